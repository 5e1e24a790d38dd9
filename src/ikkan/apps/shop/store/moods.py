"""What people said they want, until it ends, and who wants no mood used. Nothing inferred is ever kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ikkan.apps.shop.store.tables import moods
from ikkan.apps.shop.values import Evidence, Mood
from ikkan.ground.ids import SubjectId, TenantId


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one person."""

    is_off: bool = False
    said: Mood | None = None
    """It may have ended: whoever reads it looks."""


def get(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> Kept:
    """What is kept of a person; of most, nothing."""
    row = connection.execute(_GET, {"whose": tenant_id, "who": subject_id}).one_or_none()
    return Kept() if row is None else _kept(row)


def stamp(connection: sa.Connection, tenant_id: TenantId) -> tuple[int, datetime | None]:
    """How many rows a shop has, and when the latest was written: another whenever anything changed."""
    count, latest = connection.execute(_STAMP, {"whose": tenant_id}).one()
    return count, latest


def everybody(connection: sa.Connection, tenant_id: TenantId) -> dict[SubjectId, Kept]:
    """What is kept of everybody of a shop; of whom nothing is kept is not in it."""
    return {row.subject_id: _kept(row) for row in connection.execute(_EVERYBODY, {"whose": tenant_id})}


def put(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId, kept: Kept, at: datetime) -> None:
    """Keep this instead of what was kept; nothing is kept of whoever has neither said nor switched anything."""
    connection.execute(moods.delete().where(*_of(tenant_id, subject_id)))
    if kept == Kept():
        return
    said = None
    if kept.said is not None:
        said = asdict(kept.said)
        del said["expires_at"]
    connection.execute(
        moods.insert().values(
            tenant_id=tenant_id,
            subject_id=subject_id,
            is_off=kept.is_off,
            said=said,
            expires_at=kept.said.expires_at if kept.said is not None else None,
            changed_at=at,
        )
    )


def drop_ended(connection: sa.Connection, at: datetime) -> int:
    """Remove what was said and has ended, of everybody; returns how many rows it was in."""
    ended = moods.c.expires_at <= at
    gone = connection.execute(moods.delete().where(ended, moods.c.is_off.is_(False))).rowcount
    emptied = moods.update().where(ended).values(said=None, expires_at=None)
    return int(gone) + int(connection.execute(emptied).rowcount)


def forget(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
    """Remove a person; returns the rows removed."""
    return int(connection.execute(moods.delete().where(*_of(tenant_id, subject_id))).rowcount)


def _of(tenant_id: TenantId, subject_id: SubjectId) -> tuple[sa.ColumnElement[bool], ...]:
    return moods.c.tenant_id == tenant_id, moods.c.subject_id == subject_id


def _mood(said: dict[str, Any], expires_at: datetime) -> Mood:
    evidence = tuple(Evidence(each["words"], tuple(each["event_ids"])) for each in said["evidence"])
    return Mood(**{**said, "evidence": evidence, "expires_at": expires_at})


def _kept(row: sa.Row[Any]) -> Kept:
    return Kept(row.is_off, None if row.said is None else _mood(row.said, row.expires_at))


# Put together once: these are asked all the time.
_EVERYBODY = sa.select(moods).where(moods.c.tenant_id == sa.bindparam("whose"))
_GET = _EVERYBODY.where(moods.c.subject_id == sa.bindparam("who"))
_STAMP = sa.select(sa.func.count(), sa.func.max(moods.c.changed_at)).where(moods.c.tenant_id == sa.bindparam("whose"))
