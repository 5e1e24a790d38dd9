"""The table of erasures: one row a person, known by their tombstone once all is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ikkan.flywheel.store import metadata
from ikkan.ground.db import UtcDateTime
from ikkan.ground.ids import SubjectId, TenantId

Cause = Literal["asked", "returned"]
"""Somebody asked for it; or a restored backup, or an older release, brought the person back."""
State = Literal["begun", "swapped", "destroyed", "done"]

erasures_table = sa.Table(
    "flywheel_erasures",
    metadata,
    sa.Column("id", sa.String(48), primary_key=True),
    sa.Column("tombstone", sa.String(64), nullable=False),
    sa.Column("tenant_id", sa.String(80), nullable=False),
    sa.Column("subject_id", sa.String(120), nullable=True),
    sa.Column("cause", sa.String(20), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("done_at", UtcDateTime, nullable=True),
    sa.Column("work", sa.JSON, nullable=False),
    sa.Column("receipt", sa.JSON, nullable=True),
    sa.Index("flywheel_erasures_by_tombstone", "tombstone", unique=True),
)


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure, as far as it has come."""

    id: str
    tombstone: str
    """A keyed hash of the person, from which nobody can be listed."""
    tenant_id: TenantId
    subject_id: SubjectId | None
    """The pseudonym, until all is done."""
    cause: Cause
    state: State
    asked_at: datetime
    """From here on nobody can open the person's events."""
    done_at: datetime | None
    work: Mapping[str, Any]
    """What was found and what was made of it, for going on after a stop: `datasets`, `rebuilt`, `swapped` and more."""
    receipt: Mapping[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """The erasure as the command line prints it."""
        return {
            "id": self.id,
            "person": self.tombstone,
            "tenant_id": self.tenant_id,
            "cause": self.cause,
            "state": self.state,
            "asked_at": self.asked_at.isoformat(),
            "done_at": self.done_at.isoformat() if self.done_at else None,
            "receipt": dict(self.receipt) if self.receipt else None,
        }


def add(connection: sa.Connection, erasure: Erasure) -> Erasure:
    """Record that a person is being erased; where that was recorded before, gives that one back."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {name: getattr(erasure, name) for name in Erasure.__slots__} | {"work": dict(erasure.work)}
    connection.execute(dialect.insert(erasures_table).values(row).on_conflict_do_nothing())
    found = of(connection, erasure.tombstone)
    assert found is not None, "just added"
    return found


def of(connection: sa.Connection, tombstone: str) -> Erasure | None:
    """The erasure of the person with this tombstone."""
    return _one(connection, erasures_table.c.tombstone == tombstone)


def get(connection: sa.Connection, erasure_id: str) -> Erasure | None:
    """The erasure of this id."""
    return _one(connection, erasures_table.c.id == erasure_id)


def every(connection: sa.Connection) -> list[Erasure]:
    """All erasures, the latest first."""
    columns = erasures_table.c
    rows = connection.execute(sa.select(erasures_table).order_by(columns.asked_at.desc(), columns.id.desc()))
    return [Erasure(**row) for row in rows.mappings()]


def change(connection: sa.Connection, erasure_id: str, **values: Any) -> None:
    """Write how far it has come."""
    connection.execute(sa.update(erasures_table).where(erasures_table.c.id == erasure_id).values(**values))


def count(connection: sa.Connection, *, hold: bool = False) -> int:
    """How many people were erased so far: another number means that somebody was erased meanwhile.

    Args:
        hold: nobody is erased until the caller's transaction ends. (On SQLite it holds the one write lock already.)
    """
    if hold and connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE flywheel_erasures IN SHARE MODE")
    return connection.execute(sa.select(sa.func.count()).select_from(erasures_table)).scalar_one()


def _one(connection: sa.Connection, where: sa.ColumnElement[bool]) -> Erasure | None:
    row = connection.execute(sa.select(erasures_table).where(where)).mappings().first()
    return Erasure(**row) if row is not None else None
