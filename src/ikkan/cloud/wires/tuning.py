"""The OpenAI wire of files and fine-tuning: bodies and queries in, objects out, as `openai` 3.54 has them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

import msgspec

from ikkan.cloud.tuning.asking import Asked
from ikkan.cloud.tuning.values import StoredFile, TunedModel, TuningEvent, TuningJob
from ikkan.cloud.wires.openai import read_body
from ikkan.ground.errors import BadInput

_Auto = Literal["auto"]
_Whole = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_SUFFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_METADATA = 16


class _Hyperparameters(msgspec.Struct):
    n_epochs: Annotated[int, msgspec.Meta(ge=1, le=50)] | _Auto | None = None
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=256)] | _Auto | None = None
    learning_rate_multiplier: Annotated[float, msgspec.Meta(gt=0, le=100)] | _Auto | None = None
    beta: Annotated[float, msgspec.Meta(gt=0, le=2)] | _Auto | None = None


class _Settings(msgspec.Struct):
    hyperparameters: _Hyperparameters | None = None


class _Method(msgspec.Struct):
    type: str
    supervised: _Settings | None = None
    dpo: _Settings | None = None


class _Create(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    training_file: _Id
    validation_file: _Id | None = None
    suffix: str | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    hyperparameters: _Hyperparameters | None = None
    method: _Method | None = None
    metadata: dict[str, str] | None = None
    integrations: list[Any] | None = None


def read_create(raw: bytes) -> Asked:
    """A body that wants a training.

    Raises:
        BadInput: not JSON, a field is missing or wrong, or wants what is not done here; `facts["param"]`.
    """
    body = read_body(raw, _Create)
    method = body.method or _Method("supervised")
    if method.type not in ("supervised", "dpo"):
        raise BadInput(
            f"the method {method.type[:40]!r} is not offered here", hint="supervised or dpo", param="method.type"
        )
    if body.integrations:
        raise BadInput("nothing is reported elsewhere", hint="leave out integrations", param="integrations")
    if body.suffix and not _SUFFIX.fullmatch(body.suffix):
        raise BadInput(
            f"{body.suffix[:80]!r} cannot be a suffix", hint="up to 64 letters, digits and ._-", param="suffix"
        )
    metadata = body.metadata
    if metadata and (
        len(metadata) > _MOST_METADATA or any(len(name) > 64 or len(value) > 512 for name, value in metadata.items())
    ):
        raise BadInput("this is too much metadata", hint="16 names of 64, values of 512 characters", param="metadata")
    chosen = method.dpo if method.type == "dpo" else method.supervised
    given = (chosen.hyperparameters if chosen else None) or body.hyperparameters or _Hyperparameters()
    names = ["n_epochs", "batch_size", "learning_rate_multiplier", *(["beta"] if method.type == "dpo" else [])]
    return Asked(
        model=body.model,
        training_file=body.training_file,
        validation_file=body.validation_file,
        suffix=body.suffix or "",
        seed=body.seed,
        method="dpo" if method.type == "dpo" else "supervised",
        hyperparameters={name: getattr(given, name) or "auto" for name in names},
        metadata=metadata,
    )


def check_form(fields: Mapping[str, str]) -> None:
    """What may stand beside a file in its form.

    Raises:
        BadInput: a field we do not keep to, such as a date on which the file should go by itself.
    """
    unknown = sorted(set(fields) - {"purpose", "user"})
    if unknown:
        raise BadInput(
            f"{unknown[0][:60]!r} is not kept to here", hint="delete the file when it should go", param=unknown[0][:60]
        )


class Query:
    """A list's query: what the client may say there, and nothing else."""

    def __init__(self, raw: bytes, *, most: int, default: int) -> None:
        fields = dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True))
        self.after = fields.get("after") or None
        self.purpose = fields.get("purpose") or None
        self.newest = _one_of(fields, "order", ("desc", "asc")) != "asc"
        self.metadata = {
            name[len("metadata[") : -1]: value
            for name, value in fields.items()
            if name.startswith("metadata[") and name.endswith("]")
        }
        limit = fields.get("limit", str(default))
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= most):
            raise BadInput(f"limit cannot be {limit[:20]!r}", hint=f"1 to {most:,}", param="limit")
        self.limit = int(limit)


def page(items: Sequence[Mapping[str, Any]], has_more: bool) -> Mapping[str, Any]:
    """A page of a list.

    >>> page([{"id": "a"}, {"id": "b"}], False)["last_id"]
    'b'
    """
    ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {"first_id": None, "last_id": None}
    return {"object": "list", "data": items, "has_more": has_more, **ends}


def file_object(file: StoredFile) -> dict[str, Any]:
    """A file."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": _seconds(file.created_at),
        "expires_at": None,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def job_object(job: TuningJob) -> dict[str, Any]:
    """A training: hyperparameters as they were decided, once it is known that it will run."""
    recipe = job.recipe
    decided = {
        "n_epochs": recipe.epochs,
        "batch_size": recipe.batch,
        "learning_rate_multiplier": recipe.learning_rate_multiplier,
        **({"beta": recipe.beta} if recipe.method == "dpo" else {}),
    }
    hyperparameters = dict(job.asked) if job.state == "validating_files" else decided
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": _seconds(job.created_at),
        "finished_at": _seconds(job.finished_at),
        "estimated_finish": _seconds(job.estimated_finish) if job.state == "running" else None,
        "model": job.model,
        "fine_tuned_model": job.model_name if job.state == "succeeded" else None,
        "organization_id": job.tenant_id,
        "status": job.state,
        "training_file": job.training_file,
        "validation_file": job.validation_file,
        "result_files": [job.result_file] if job.state == "succeeded" else [],
        "trained_tokens": None if job.is_active else job.trained_tokens,
        "error": dict(job.error) if job.error else None,
        "seed": recipe.seed,
        "user_provided_suffix": job.suffix or None,
        "hyperparameters": hyperparameters,
        "method": {"type": recipe.method, recipe.method: {"hyperparameters": hyperparameters}},
        "metadata": dict(job.metadata) if job.metadata else None,
        "integrations": [],
    }


def event_object(event: TuningEvent) -> dict[str, Any]:
    """Something that happened to a training."""
    return {
        "id": event.id,
        "object": "fine_tuning.job.event",
        "created_at": _seconds(event.created_at),
        "level": event.level,
        "message": event.message,
        "type": "message" if event.data is None else "metrics",
        "data": dict(event.data or {}),
    }


def checkpoint_object(model: TunedModel) -> dict[str, Any]:
    """What was kept at the end of an epoch."""
    metrics = {"step": model.step, "train_loss": model.train_loss, "valid_loss": model.valid_loss}
    return {
        "id": model.checkpoint_id,
        "object": "fine_tuning.job.checkpoint",
        "created_at": _seconds(model.created_at),
        "fine_tuning_job_id": model.job_id,
        "fine_tuned_model_checkpoint": model.name,
        "step_number": model.step,
        "metrics": {name: value for name, value in metrics.items() if value is not None},
    }


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _one_of(fields: Mapping[str, str], name: str, known: Sequence[str]) -> str | None:
    said = fields.get(name)
    if said is not None and said not in known:
        raise BadInput(f"{name} cannot be {said[:20]!r}", hint=" or ".join(known), param=name)
    return said
