"""Rows of files, trainings and tuned models. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from ikkan.cloud import versions
from ikkan.cloud.tables import files, tuned_models, tuning_events, tuning_jobs
from ikkan.cloud.tuning.values import (
    ACTIVE,
    Base,
    Contents,
    Page,
    Recipe,
    State,
    StoredFile,
    TunedModel,
    TuningEvent,
    TuningJob,
)
from ikkan.cloud.values import CURRENCY
from ikkan.ground.errors import BadInput, NotFound
from ikkan.ground.ids import ArtifactId, SubjectId, TenantId
from ikkan.ground.money import Price

T = TypeVar("T")

# ---- files -----------------------------------------------------------------------------------------------------------


def add_file(connection: sa.Connection, file: StoredFile) -> None:
    """Write a file down; the same one again changes nothing."""
    if connection.execute(sa.select(files.c.id).where(files.c.id == file.id)).first() is None:
        connection.execute(files.insert(), {**_flat(file), **_counts(file.contents)})


def get_file(connection: sa.Connection, tenant_id: TenantId, file_id: str, *, param: str | None = None) -> StoredFile:
    """A tenant's file. Raises `NotFound`, also for another tenant's."""
    here = sa.and_(files.c.id == file_id, files.c.tenant_id == tenant_id)
    row = connection.execute(sa.select(files).where(here)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no file {file_id[:80]!r}", hint="GET /v1/files", param=param)
    return _file(row)


def list_files(
    connection: sa.Connection, tenant_id: TenantId, *, after: str | None, limit: int, newest: bool, purpose: str | None
) -> Page[StoredFile]:
    """A tenant's files in the order they came, or the other way round."""
    statement = sa.select(files).where(files.c.tenant_id == tenant_id)
    if purpose is not None:
        statement = statement.where(files.c.purpose == purpose)
    if after is not None:
        get_file(connection, tenant_id, after, param="after")
        statement = statement.where(files.c.id < after if newest else files.c.id > after)
    order = files.c.id.desc() if newest else files.c.id
    rows = connection.execute(statement.order_by(order).limit(limit + 1)).mappings()
    return _page([_file(row) for row in rows], limit)


def remove_file(connection: sa.Connection, file: StoredFile) -> bool:
    """Forget a file; returns whether nothing else of its tenant has the same content."""
    connection.execute(files.delete().where(files.c.id == file.id))
    same = sa.and_(files.c.tenant_id == file.tenant_id, files.c.sha256 == file.sha256)
    return connection.execute(sa.select(files.c.id).where(same).limit(1)).first() is None


def files_of(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> Sequence[StoredFile]:
    """Everything a person brought."""
    here = sa.and_(files.c.tenant_id == tenant_id, files.c.subject_id == subject_id)
    return [_file(row) for row in connection.execute(sa.select(files).where(here)).mappings()]


# ---- jobs ------------------------------------------------------------------------------------------------------------


def add_job(connection: sa.Connection, job: TuningJob) -> None:
    """Write a training down."""
    flat = _flat(job)
    base = flat.pop("base")
    price = flat.pop("price")
    row = {**flat, "base": base.name, "base_sha256": base.sha256, "price_micros": price.input_micros}
    connection.execute(tuning_jobs.insert(), {**row, "recipe": asdict(job.recipe)})


def get_job(
    connection: sa.Connection, tenant_id: TenantId | None, job_id: str, *, param: str | None = None
) -> TuningJob:
    """A tenant's job; of any tenant where none is given. Raises `NotFound`, also for another tenant's."""
    here = tuning_jobs.c.id == job_id
    if tenant_id is not None:
        here = sa.and_(here, tuning_jobs.c.tenant_id == tenant_id)
    row = connection.execute(sa.select(tuning_jobs).where(here)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no fine-tuning job {job_id[:80]!r}", hint="GET /v1/fine_tuning/jobs", param=param)
    return _job(row)


def list_jobs(
    connection: sa.Connection,
    tenant_id: TenantId | None,
    *,
    after: str | None,
    limit: int,
    metadata: Mapping[str, str] | None = None,
) -> Page[TuningJob]:
    """Jobs, newest first: of one tenant, or all; where `metadata` is given, those that have all of it."""
    statement = sa.select(tuning_jobs)
    if tenant_id is not None:
        statement = statement.where(tuning_jobs.c.tenant_id == tenant_id)
    if after is not None:
        get_job(connection, tenant_id, after, param="after")
        statement = statement.where(tuning_jobs.c.id < after)
    for name, value in (metadata or {}).items():
        statement = statement.where(tuning_jobs.c.metadata[name].as_string() == value)
    rows = connection.execute(statement.order_by(tuning_jobs.c.id.desc()).limit(limit + 1)).mappings()
    return _page([_job(row) for row in rows], limit)


def is_used(connection: sa.Connection, file_id: str) -> str | None:
    """The id of a job that is not over and needs this file."""
    needs = sa.or_(tuning_jobs.c.training_file == file_id, tuning_jobs.c.validation_file == file_id)
    found = sa.select(tuning_jobs.c.id).where(needs, tuning_jobs.c.state.in_(ACTIVE)).limit(1)
    return connection.execute(found).scalar_one_or_none()


def jobs_on(connection: sa.Connection, file_ids: Sequence[str]) -> Sequence[TuningJob]:
    """Every job that learned or learns from one of these files."""
    needs = sa.or_(tuning_jobs.c.training_file.in_(file_ids), tuning_jobs.c.validation_file.in_(file_ids))
    return [_job(row) for row in connection.execute(sa.select(tuning_jobs).where(needs)).mappings()]


def set_run(connection: sa.Connection, job_id: str, run_id: str) -> None:
    """Say which durable job is behind it."""
    connection.execute(tuning_jobs.update().where(tuning_jobs.c.id == job_id).values(run_id=run_id))


def move(connection: sa.Connection, job_id: str, state: State, **values: Any) -> bool:
    """Bring a job that is not over into another state; returns whether it was not."""
    here = sa.and_(tuning_jobs.c.id == job_id, tuning_jobs.c.state.in_(ACTIVE))
    return bool(connection.execute(tuning_jobs.update().where(here).values(state=state, **values)).rowcount)


def advance(
    connection: sa.Connection, job_id: str, *, step: int, steps: int, tokens: int, estimated_finish: datetime
) -> bool:
    """Write down how far a running job is; False if it is not running any more."""
    here = sa.and_(tuning_jobs.c.id == job_id, tuning_jobs.c.state == "running")
    known = tuning_jobs.c.trained_tokens
    changed = tuning_jobs.update().where(here)
    values = {"step": step, "steps": steps, "estimated_finish": estimated_finish}
    # After a crash some steps are taken again; what was told already is not taken back.
    more = sa.case((known < tokens, tokens), else_=known)
    return bool(connection.execute(changed.values(trained_tokens=more, **values)).rowcount)


# ---- events ----------------------------------------------------------------------------------------------------------


def tell(
    connection: sa.Connection,
    job_id: str,
    place: int,
    at: datetime,
    message: str,
    *,
    level: str = "info",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Record an event at its place; what is there already stays."""
    here = sa.and_(tuning_events.c.job_id == job_id, tuning_events.c.place == place)
    if connection.execute(sa.select(tuning_events.c.place).where(here)).first() is None:
        row = {"job_id": job_id, "place": place, "created_at": at, "level": level, "message": message, "data": data}
        connection.execute(tuning_events.insert(), row)


def list_events(connection: sa.Connection, job_id: str, *, after: str | None, limit: int) -> Page[TuningEvent]:
    """What happened to a job, latest first."""
    statement = sa.select(tuning_events).where(tuning_events.c.job_id == job_id)
    if after is not None:
        job, _, place = after.removeprefix("ftevent-").rpartition("-")
        if f"ftjob-{job}" != job_id or not (place.isascii() and place.isdigit() and len(place) < 16):
            raise BadInput(f"{after[:80]!r} is no event of this job", hint="the id of an event", param="after")
        statement = statement.where(tuning_events.c.place < int(place))
    rows = connection.execute(statement.order_by(tuning_events.c.place.desc()).limit(limit + 1)).mappings()
    return _page([_event(row) for row in rows], limit)


# ---- models ----------------------------------------------------------------------------------------------------------


def add_model(connection: sa.Connection, model: TunedModel) -> bool:
    """Let a model be asked for; the same one again changes nothing. False if another adapter has its name."""
    known = sa.select(tuned_models.c.artifact_id).where(tuned_models.c.name == model.name)
    artifact_id = connection.execute(known).scalar_one_or_none()
    if artifact_id is None:
        connection.execute(tuned_models.insert(), _flat(model))
        versions.bump(connection)
    return artifact_id in (None, model.artifact_id)


def remove_model(connection: sa.Connection, model: TunedModel) -> None:
    """Let nobody ask for it any more."""
    connection.execute(tuned_models.delete().where(tuned_models.c.name == model.name))
    versions.bump(connection)


def models_of(connection: sa.Connection, job_id: str) -> Sequence[TunedModel]:
    """A job's models, the latest first: the result and what was kept on the way."""
    found = sa.select(tuned_models).where(tuned_models.c.job_id == job_id).order_by(tuned_models.c.step.desc())
    return [_model(row) for row in connection.execute(found).mappings()]


def all_models(connection: sa.Connection) -> Mapping[str, TunedModel]:
    """Every tenant's, by name: for the router."""
    return {row["name"]: _model(row) for row in connection.execute(sa.select(tuned_models)).mappings()}


# ---- private ---------------------------------------------------------------------------------------------------------


def _page(found: Sequence[T], limit: int) -> Page[T]:
    return Page(found[:limit], len(found) > limit)


def _flat(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__ if name != "contents"}


def _counts(contents: Contents) -> dict[str, Any]:
    return {"kind": contents.kind, "examples": contents.examples, "tokens_most": contents.tokens_most}


def _file(row: sa.RowMapping) -> StoredFile:
    fields = dict(row)
    counted = Contents(fields.pop("kind"), fields.pop("examples"), fields.pop("tokens_most"))
    return StoredFile(**fields, contents=counted)


def _job(row: sa.RowMapping) -> TuningJob:
    fields = dict(row)
    base = Base(fields.pop("base"), fields.pop("base_sha256"))
    price = Price(CURRENCY, fields.pop("price_micros"), 0, 0)
    return TuningJob(**{**fields, "recipe": Recipe(**fields["recipe"])}, base=base, price=price)


def _event(row: sa.RowMapping) -> TuningEvent:
    event_id = f"ftevent-{row['job_id'].removeprefix('ftjob-')}-{row['place']:012d}"
    return TuningEvent(event_id, row["place"], row["created_at"], row["level"], row["message"], row["data"])


def _model(row: sa.RowMapping) -> TunedModel:
    return TunedModel(**{**row, "artifact_id": ArtifactId(row["artifact_id"])})
