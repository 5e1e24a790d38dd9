"""What the operator chose on the pages: one row a choice."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from ikkan.ground.db import UtcDateTime

THINKING = "thinking"
"""The choice of the first page: `upstream/model`. Not there until somebody chose."""

metadata = sa.MetaData()

choices = sa.Table(
    "console_choices",
    metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("value", sa.String(400), nullable=False),
    sa.Column("chosen_at", UtcDateTime, nullable=False),
)


def choose(connection: sa.Connection, name: str, value: str, at: datetime) -> None:
    """Remember a choice; the newest one counts."""
    connection.execute(sa.delete(choices).where(choices.c.name == name))
    connection.execute(sa.insert(choices).values(name=name, value=value, chosen_at=at))


def chosen(connection: sa.Connection, name: str) -> str | None:
    """The value chosen last, or None if never."""
    return connection.execute(sa.select(choices.c.value).where(choices.c.name == name)).scalar()
