"""What a worker does for a training: look at its files, train, and let the result be asked for.

Everything here may happen again after `kill -9`: rows are written at places decided beforehand, artifacts are named by
their content, and the trainer goes on from what it kept. A training that was cancelled is one whose row says so; it is
looked at after every step.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import shutil
import traceback
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from ikkan.cloud.ledger import Ledger
from ikkan.cloud.tuning import store
from ikkan.cloud.tuning.ending import STARTED, VALIDATED, end, place_of_step
from ikkan.cloud.tuning.examples import read_examples
from ikkan.cloud.tuning.shelf import Shelf
from ikkan.cloud.tuning.values import (
    KIND,
    RESULTS,
    Checkpoint,
    Contents,
    Progress,
    StoredFile,
    Trainer,
    TunedModel,
    TuningJob,
)
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import ChecksumMismatch, IkkanError, Internal, NotFound
from ikkan.ground.ids import ArtifactId, new_id
from ikkan.ground.jobs import JobContext

log = logging.getLogger(__name__)

EVENTS = 200
"""Metrics of so many steps become events, evenly spread; the result file has all of them."""


class TuningWork:
    """The durable job's body.

    Args:
        folder: where trainings keep what they go on from; a start may find it empty.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ledger: Ledger,
        shelf: Shelf,
        artifacts: ArtifactStore,
        trainer: Trainer,
        folder: Path,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ledger = ledger
        self._shelf = shelf
        self._artifacts = artifacts
        self._trainer = trainer
        self._folder = folder

    def run(self, context: JobContext, tuning_id: str) -> dict[str, Any]:
        """Train; returns how it ended. Registered as the job `service.RUN`."""
        try:
            if context.step("validate", self._validate, tuning_id):
                made = context.step("train", self._train, tuning_id)
                if made is not None:
                    context.step("finish", self._finish, tuning_id, made)
        except IkkanError as error:
            param = error.facts.get("param")
            message = f"{error.message} ({error.hint})" if error.hint else error.message
            told = {"code": error.code, "message": message, "param": param if isinstance(param, str) else None}
            with self._database.transaction() as connection:
                job = store.get_job(connection, None, tuning_id)
                end(connection, self._ledger, job, "failed", self._clock.now(), tokens=0, error=told)
        shutil.rmtree(self._folder / tuning_id, ignore_errors=True)
        with self._database.read() as connection:
            return {"state": store.get_job(connection, None, tuning_id).state}

    def _validate(self, tuning_id: str) -> bool:
        job, files = self._load(tuning_id)
        for param, file in zip(("training_file", "validation_file"), files, strict=False):
            try:
                with self._shelf.path(file).open("rb") as content:
                    digest = hashlib.file_digest(content, "sha256").hexdigest()
            except OSError as exc:
                raise NotFound(f"{file.id} is not on this disk any more", hint="upload it", param=param) from exc
            if digest != file.sha256:
                raise ChecksumMismatch(f"{file.id} was changed on the disk", hint="upload it again", param=param)
        with self._database.transaction() as connection:
            if not store.move(connection, job.id, "queued"):
                return False
            told = "Files validated, moving job to queued state"
            store.tell(connection, job.id, VALIDATED, self._clock.now(), told)
        return True

    def _train(self, tuning_id: str) -> dict[str, Any] | None:
        with self._database.transaction() as connection:
            if not store.move(connection, tuning_id, "running"):
                return None
            store.tell(connection, tuning_id, STARTED, self._clock.now(), "Fine-tuning job started")
        job, files = self._load(tuning_id)
        examples, *more = [read_examples(self._shelf.path(file)) for file in files]
        folder = self._folder / job.id
        folder.mkdir(parents=True, exist_ok=True)
        try:
            outcome = self._trainer(
                job.base,
                examples,
                more[0] if more else (),
                job.recipe,
                folder=folder,
                tell=lambda progress: self._advance(job, progress),
                keep=lambda checkpoint: self._keep(job, files, checkpoint),
                check=lambda: self._check(job),
            )
        except _Stopped:
            log.info("a training was stopped", extra={"job": job.id})
            return None
        except IkkanError:
            raise
        except Exception as exc:
            # Where it broke, not what it said: that may be somebody's words.
            where = "".join(traceback.format_tb(exc.__traceback__))
            log.error("a training failed", extra={"job": job.id, "error": type(exc).__name__, "where": where})
            told = f"the training failed: {type(exc).__name__}"
            raise Internal(told, hint="the worker's log says where") from None
        artifact_id = self._put(job, files, job.model_name, outcome.files, dict(outcome.facts))
        return {
            "artifact": artifact_id,
            "losses": list(outcome.losses),
            "valid_losses": {str(step): loss for step, loss in outcome.valid_losses.items()},
            "tokens": outcome.tokens,
        }

    def _finish(self, tuning_id: str, made: Mapping[str, Any]) -> None:
        with self._database.read() as connection:
            job = store.get_job(connection, None, tuning_id)
            kept = store.models_of(connection, tuning_id)
        losses: Sequence[float] = made["losses"]
        # What was measured before a crash is known from what was kept then.
        valid = {model.step: model.valid_loss for model in kept if model.valid_loss is not None}
        valid |= {int(step): loss for step, loss in made["valid_losses"].items()}
        content = results(losses, valid)
        now, last = self._clock.now(), len(losses)
        file = StoredFile(
            id=job.result_file,
            tenant_id=job.tenant_id,
            subject_id=job.subject_id,
            filename="step_metrics.csv",
            purpose=RESULTS,
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            contents=Contents("result", last, 0),
            created_at=now,
        )
        model = self._model(job, job.model_name, ArtifactId(made["artifact"]), last, losses[-1], valid.get(last))
        with self._database.transaction() as connection:
            if not end(connection, self._ledger, job, "succeeded", now, tokens=made["tokens"]):
                if store.get_job(connection, None, job.id).state != "succeeded":
                    self._artifacts.delete(model.artifact_id)  # cancelled after the last step
                return
            store.add_file(connection, file)
            self._shelf.write(file.tenant_id, content, file.sha256)
            store.add_model(connection, model)
            told = f"New fine-tuned model created: {job.model_name}"
            store.tell(connection, job.id, place_of_step(last, checkpoint=True), now, told)

    def _advance(self, job: TuningJob, progress: Progress) -> None:
        now = self._clock.now()
        left_s = progress.seconds_a_step * (progress.steps - progress.step)
        every = max(1, progress.steps // EVENTS)
        with self._database.transaction() as connection:
            if not store.advance(
                connection,
                job.id,
                step=progress.step,
                steps=progress.steps,
                tokens=progress.tokens,
                estimated_finish=now + timedelta(seconds=left_s),
            ):
                raise _Stopped
            if progress.step % every == 0 or progress.step == progress.steps:
                told = f"Step {progress.step}/{progress.steps}: training loss={progress.loss:.2f}"
                data = {"step": progress.step, "train_loss": progress.loss, "total_steps": progress.steps}
                store.tell(connection, job.id, place_of_step(progress.step), now, told, data=data)

    def _check(self, job: TuningJob) -> None:
        with self._database.read() as connection:
            if not store.get_job(connection, None, job.id).is_active:
                raise _Stopped

    def _keep(self, job: TuningJob, files: Sequence[StoredFile], checkpoint: Checkpoint) -> None:
        name = f"{job.model_name}:ckpt-step-{checkpoint.step}"
        artifact_id = self._put(job, files, name, checkpoint.files, {"step": checkpoint.step})
        model = self._model(job, name, artifact_id, checkpoint.step, checkpoint.train_loss, checkpoint.valid_loss)
        with self._database.transaction() as connection:
            if not store.get_job(connection, None, job.id).is_active:
                self._artifacts.delete(artifact_id)
                raise _Stopped
            if not store.add_model(connection, model):
                self._artifacts.delete(artifact_id)  # another one was kept here before a crash
            place = place_of_step(checkpoint.step, checkpoint=True)
            told = f"Checkpoint created at step {checkpoint.step}"
            store.tell(connection, job.id, place, self._clock.now(), told)

    def _put(
        self,
        job: TuningJob,
        files: Sequence[StoredFile],
        name: str,
        adapter: Mapping[str, bytes],
        facts: Mapping[str, Any],
    ) -> ArtifactId:
        # With its name beside it the content is this model's alone: what is destroyed with it is nobody else's.
        mark = msgspec.json.encode({"model": name, "tenant": job.tenant_id, "job": job.id})
        parents = [file.sha256 for file in files] + [job.base.sha256]
        put = self._artifacts.put(
            {**adapter, "tuned.json": mark},
            kind=KIND,
            source=job.id,
            built_from=[ArtifactId(f"sha256:{sha256}") for sha256 in parents],
            facts={"base": job.base.name, "seed": job.recipe.seed, **facts},
        )
        return put.id

    def _model(
        self, job: TuningJob, name: str, artifact_id: ArtifactId, step: int, loss: float | None, valid: float | None
    ) -> TunedModel:
        return TunedModel(
            name=name,
            checkpoint_id=new_id("ftckpt"),
            tenant_id=job.tenant_id,
            job_id=job.id,
            artifact_id=artifact_id,
            upstream=job.upstream,
            upstream_model=job.upstream_model,
            base=job.base.name,
            step=step,
            train_loss=loss,
            valid_loss=valid,
            created_at=self._clock.now(),
        )

    def _load(self, tuning_id: str) -> tuple[TuningJob, list[StoredFile]]:
        with self._database.read() as connection:
            job = store.get_job(connection, None, tuning_id)
            named = [("training_file", job.training_file), ("validation_file", job.validation_file)]
            return job, [
                store.get_file(connection, job.tenant_id, file_id, param=param) for param, file_id in named if file_id
            ]


class _Stopped(Exception):
    """The row says that this training is over."""


def results(losses: Sequence[float], valid_losses: Mapping[int, float]) -> bytes:
    """A training's curve as a table.

    >>> print(results([2.5, 2.25], {2: 2.375}).decode(), end="")
    step,train_loss,valid_loss
    1,2.5,
    2,2.25,2.375
    """
    told = io.StringIO()
    table = csv.writer(told, lineterminator="\n")
    table.writerow(["step", "train_loss", "valid_loss"])
    for step, loss in enumerate(losses, 1):
        table.writerow([step, round(loss, 6), round(valid_losses[step], 6) if step in valid_losses else ""])
    return told.getvalue().encode()
