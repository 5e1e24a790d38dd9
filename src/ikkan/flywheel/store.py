"""Tables of the flywheel: decisions and the datasets they rest on (trials: `trials.py`). Rows are only ever added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ikkan.flywheel.values import Decision
from ikkan.ground.db import UtcDateTime
from ikkan.ground.ids import ArtifactId, DecisionId

metadata = sa.MetaData()

decisions_table = sa.Table(
    "flywheel_decisions",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("learnable", sa.String(80), nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
    sa.Column("decision", sa.String(20), nullable=False),
    sa.Column("code", sa.String(40), nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("champion", sa.String(80), nullable=True),
    sa.Column("candidate", sa.String(80), nullable=True),
    sa.Column("judged", sa.String(80), nullable=True),
    sa.Column("dataset", sa.String(80), nullable=True),
    sa.Column("until", UtcDateTime, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("drill", sa.Boolean, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("gain", sa.Float, nullable=True),
    sa.Column("lower", sa.Float, nullable=True),
    sa.Column("upper", sa.Float, nullable=True),
    sa.Column("numbers", sa.JSON, nullable=False),
    sa.Index("flywheel_decisions_by_learnable", "learnable", "decided_at", "id"),
)
datasets_table = sa.Table(
    "flywheel_datasets",
    metadata,
    sa.Column("artifact_id", sa.String(80), primary_key=True),
    sa.Column("learnable", sa.String(80), nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("until", UtcDateTime, nullable=False),
    sa.Column("cutoff", UtcDateTime, nullable=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("examples", sa.Integer, nullable=False),
    sa.Column("teaching", sa.Integer, nullable=False),
    sa.Column("judging", sa.Integer, nullable=False),
)


def add_decision(connection: sa.Connection, decision: Decision) -> None:
    """Record a decision."""
    row = asdict(decision)
    row["reasons"], row["numbers"] = dict(decision.reasons), dict(decision.numbers)
    connection.execute(decisions_table.insert().values(**row))


def add_dataset(connection: sa.Connection, **row: Any) -> None:
    """Record a dataset; the same one twice is one row."""
    columns = datasets_table.c
    known = connection.scalar(sa.select(columns.artifact_id).where(columns.artifact_id == row["artifact_id"]))
    if known is None:
        connection.execute(datasets_table.insert().values(**row))


def decision(connection: sa.Connection, decision_id: DecisionId) -> Decision | None:
    """The decision of this id."""
    rows = connection.execute(sa.select(decisions_table).where(decisions_table.c.id == decision_id))
    return next((_decision(row) for row in rows.mappings()), None)


def history(connection: sa.Connection, learnable: str, limit: int) -> list[Decision]:
    """The latest decisions about a learnable, newest first."""
    columns = decisions_table.c
    statement = (
        sa.select(decisions_table)
        .where(columns.learnable == learnable)
        .order_by(columns.decided_at.desc(), columns.id.desc())
        .limit(limit)
    )
    return [_decision(row) for row in connection.execute(statement).mappings()]


def every(connection: sa.Connection) -> list[Decision]:
    """Every decision about everything, oldest first."""
    columns = decisions_table.c
    rows = connection.execute(sa.select(decisions_table).order_by(columns.decided_at, columns.id))
    return [_decision(row) for row in rows.mappings()]


def named(connection: sa.Connection, artifacts: Sequence[ArtifactId]) -> set[ArtifactId]:
    """Those of these artifacts that a decision names."""
    columns = decisions_table.c
    found: set[ArtifactId] = set()
    for column in (columns.candidate, columns.judged, columns.champion, columns.dataset):
        found |= set(connection.scalars(sa.select(column).where(column.in_(artifacts))))
    return found


def how_many(connection: sa.Connection) -> int:
    """How many decisions there are: another number means that something was decided meanwhile."""
    return connection.execute(sa.select(sa.func.count()).select_from(decisions_table)).scalar_one()


def known_until(connection: sa.Connection, learnable: str, artifact_id: ArtifactId) -> datetime | None:
    """What this artifact had seen when it was promoted or made again; None for one installed without examples."""
    columns = decisions_table.c
    moment: datetime | None = connection.execute(
        sa.select(columns.until)
        .where(
            columns.learnable == learnable,
            columns.candidate == artifact_id,
            columns.decision.in_(("promoted", "rebuilt")),
        )
        .order_by(columns.until.desc())
        .limit(1)
    ).scalar()
    return moment


def serving_since(connection: sa.Connection, learnable: str, artifact_id: ArtifactId) -> datetime | None:
    """When this artifact last became the champion."""
    columns = decisions_table.c
    moment: datetime | None = connection.execute(
        sa.select(columns.decided_at)
        .where(
            columns.learnable == learnable,
            columns.candidate == artifact_id,
            columns.decision.in_(("promoted", "installed", "rolled_back", "rebuilt")),
            sa.or_(columns.champion.is_(None), columns.champion != artifact_id),
        )
        .order_by(columns.decided_at.desc())
        .limit(1)
    ).scalar()
    return moment


def judgements(connection: sa.Connection, learnable: str, champion: ArtifactId) -> Sequence[str]:
    """Digests of the evidence on which this champion was already challenged, drills left out, oldest first."""
    columns = decisions_table.c
    return list(
        connection.scalars(
            sa.select(columns.digest)
            .where(
                columns.learnable == learnable,
                columns.champion == champion,
                columns.drill.is_(sa.false()),
                columns.dataset.is_not(None),
                columns.gain.is_not(None),
            )
            .order_by(columns.decided_at, columns.id)
        )
    )


def _decision(row: sa.RowMapping) -> Decision:
    return Decision(**row)
