"""Tables of candidates that are tried on people: the trial, and how each person fared, counted once per phase.

A person stands here only as a salted hash of their pseudonym: enough to count them once, and to take them out when
they are erased.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from ikkan.flywheel.canary import Evidence, Phase, Policy, Trial
from ikkan.flywheel.store import metadata
from ikkan.ground.db import UtcDateTime

trials_table = sa.Table(
    "flywheel_trials",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("learnable", sa.String(80), nullable=False),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("candidate", sa.String(80), nullable=False),
    sa.Column("champion", sa.String(80), nullable=False),
    sa.Column("policy", sa.JSON, nullable=False),
    sa.Column("salt", sa.String(64), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("share", sa.Float, nullable=False),
    sa.Column("began_at", UtcDateTime, nullable=False),
    sa.Column("phase_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime, nullable=True),
    sa.Column("until", UtcDateTime, nullable=False),
    sa.Column("last", sa.String(40), nullable=False),
    sa.Index("flywheel_trials_by_round", "learnable", "round", unique=True),
)
evidence_table = sa.Table(
    "flywheel_evidence",
    metadata,
    sa.Column("trial_id", sa.String(40), primary_key=True),
    sa.Column("phase", sa.String(10), primary_key=True),
    sa.Column("unit", sa.String(32), primary_key=True),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("treated", sa.Boolean, nullable=False),
    sa.Column("share", sa.Float, nullable=False),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("guards", sa.JSON, nullable=False),
    sa.Column("broken", sa.String(80), nullable=True),
    sa.Column("counted_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Person:
    """How one person fared in one phase of a trial."""

    unit: str
    """A salted hash."""
    place: int
    """In which order people are counted, from 0."""
    treated: bool
    share: float
    value: float
    """In [0, 1], more is better."""
    guards: Mapping[str, float]
    """In [0, 1], more is better; only what is known."""
    broken: str | None
    """The guardrail whose intolerable end this person met with the candidate."""
    counted_at: datetime


def disguised(unit: str, salt: str) -> str:
    """The person as evidence knows them."""
    return hashlib.blake2b(f"unit\0{unit}".encode(), key=salt.encode()[:64], digest_size=16).hexdigest()


def begin(connection: sa.Connection, trial: Trial) -> None:
    """Record a new trial."""
    connection.execute(trials_table.insert().values(**_row(trial)))


def change(connection: sa.Connection, trial: Trial, before: Trial) -> bool:
    """Move a trial on, unless somebody else did since it was read as `before`; says whether it was moved."""
    columns = trials_table.c
    statement = (
        sa.update(trials_table)
        .where(columns.id == trial.id, columns.last == before.last, columns.ended_at.is_(None))
        .values(**_row(trial))
    )
    return connection.execute(statement).rowcount == 1


def open_trial(connection: sa.Connection, learnable: str) -> Trial | None:
    """The trial that is going on, its holdback included."""
    columns = trials_table.c
    statement = sa.select(trials_table).where(columns.learnable == learnable, columns.ended_at.is_(None))
    row = connection.execute(statement.order_by(columns.round.desc()).limit(1)).mappings().first()
    return _trial(row) if row is not None else None


def trial(connection: sa.Connection, trial_id: str) -> Trial | None:
    """The trial of this id."""
    row = connection.execute(sa.select(trials_table).where(trials_table.c.id == trial_id)).mappings().first()
    return _trial(row) if row is not None else None


def latest(connection: sa.Connection, learnable: str) -> Trial | None:
    """The latest trial, over or not."""
    statement = sa.select(trials_table).where(trials_table.c.learnable == learnable)
    row = connection.execute(statement.order_by(trials_table.c.round.desc()).limit(1)).mappings().first()
    return _trial(row) if row is not None else None


def rounds(connection: sa.Connection, learnable: str) -> int:
    """How many trials there have been."""
    counted = sa.select(sa.func.max(trials_table.c.round)).where(trials_table.c.learnable == learnable)
    return int(connection.scalar(counted) or 0)


def people(connection: sa.Connection, trial_id: str, phase: Phase, first: int | None = None) -> list[Person]:
    """Everyone counted in a phase, in order; only the `first` so many, if given."""
    columns = evidence_table.c
    statement = sa.select(evidence_table).where(columns.trial_id == trial_id, columns.phase == phase)
    if first is not None:
        statement = statement.where(columns.place < first)
    names = [each.name for each in fields(Person)]
    rows = connection.execute(statement.order_by(columns.place)).mappings()
    return [Person(**{name: row[name] for name in names}) for row in rows]


def count(connection: sa.Connection, trial_id: str, phase: Phase, new: Sequence[Person]) -> None:
    """Record how people fared. A person counted before in this phase is a mistake of the caller."""
    if new:
        rows = [
            {"trial_id": trial_id, "phase": phase, **{each.name: getattr(person, each.name) for each in fields(Person)}}
            for person in new
        ]
        connection.execute(evidence_table.insert(), rows)


def forget(connection: sa.Connection, unit: str) -> int:
    """Take a person out of the evidence of every trial; says of how many rows. Decisions keep their numbers."""
    forgotten = 0
    for trial_id, salt in connection.execute(sa.select(trials_table.c.id, trials_table.c.salt)).all():
        columns = evidence_table.c
        statement = sa.delete(evidence_table).where(columns.trial_id == trial_id, columns.unit == disguised(unit, salt))
        forgotten += connection.execute(statement).rowcount
    return forgotten


def evidence(counted: Sequence[Person]) -> Evidence:
    """People as arrays, in the order they were counted."""
    names = sorted({name for person in counted for name in person.guards})
    broken: dict[str, int] = {}
    for person in counted:
        if person.broken is not None:
            broken[person.broken] = broken.get(person.broken, 0) + 1
    return Evidence(
        values=np.array([person.value for person in counted], dtype=np.float64),
        treated=np.array([person.treated for person in counted], dtype=np.bool_),
        shares=np.array([person.share for person in counted], dtype=np.float64),
        guards={
            name: np.array([person.guards.get(name, np.nan) for person in counted], dtype=np.float64) for name in names
        },
        broken=broken,
    )


def digest(counted: Sequence[Person]) -> str:
    """One hash over who fared how."""
    hasher = hashlib.sha256()
    for person in counted:
        hasher.update(
            repr((person.unit, person.treated, person.share, person.value, sorted(person.guards.items()))).encode()
        )
    return hasher.hexdigest()


def _row(trial: Trial) -> dict[str, Any]:
    return {**{each.name: getattr(trial, each.name) for each in fields(Trial)}, "policy": trial.policy.as_json()}


def _trial(row: sa.RowMapping) -> Trial:
    return Trial(**{**row, "policy": Policy.read(row["policy"])})
