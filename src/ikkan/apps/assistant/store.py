"""The table of what the company knows. Nothing in it is about a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from ikkan.apps.assistant.values import Knowledge
from ikkan.ground.db import UtcDateTime
from ikkan.ground.ids import SubjectId, TenantId

metadata = sa.MetaData()

knowledge_table = sa.Table(
    "assistant_knowledge",
    metadata,
    sa.Column("tenant_id", sa.String(80), primary_key=True),
    sa.Column("id", sa.String(120), primary_key=True),
    sa.Column("lang", sa.String(8), nullable=False),
    sa.Column("topic", sa.String(80), nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("source", sa.String(400), nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)


def put(connection: sa.Connection, tenant_id: TenantId, entries: Iterable[Knowledge], at: datetime) -> int:
    """Add entries, or change those that are there; returns how many are new or different."""
    known = {entry.id: entry for entry in all_of(connection, tenant_id)}
    fresh = [entry for entry in entries if known.get(entry.id) != entry]
    changed = [entry.id for entry in fresh if entry.id in known]
    columns = knowledge_table.c
    if changed:
        connection.execute(knowledge_table.delete().where(columns.tenant_id == tenant_id, columns.id.in_(changed)))
    if fresh:
        rows = [{**asdict(entry), "tenant_id": tenant_id, "changed_at": at} for entry in fresh]
        connection.execute(knowledge_table.insert(), rows)
    return len(fresh)


def remove(connection: sa.Connection, tenant_id: TenantId, knowledge_id: str) -> bool:
    """Take an entry out; it is not given as an answer from then on. False when there was none."""
    columns = knowledge_table.c
    done = connection.execute(
        knowledge_table.delete().where(columns.tenant_id == tenant_id, columns.id == knowledge_id)
    )
    return bool(done.rowcount)


def all_of(connection: sa.Connection, tenant_id: TenantId) -> list[Knowledge]:
    """Everything a tenant knows, in the order of the ids."""
    columns = knowledge_table.c
    rows = connection.execute(sa.select(knowledge_table).where(columns.tenant_id == tenant_id).order_by(columns.id))
    return [_entry(row) for row in rows]


def get(connection: sa.Connection, tenant_id: TenantId, knowledge_id: str) -> Knowledge | None:
    """One entry, as it is now."""
    columns = knowledge_table.c
    statement = sa.select(knowledge_table).where(columns.tenant_id == tenant_id, columns.id == knowledge_id)
    return next((_entry(row) for row in connection.execute(statement)), None)


def count(connection: sa.Connection, tenant_id: TenantId) -> int:
    """How many entries a tenant has."""
    statement = sa.select(sa.func.count()).where(knowledge_table.c.tenant_id == tenant_id)
    return connection.execute(statement).scalar_one()


def forget(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
    """Remove a person from these tables: there is nobody in them. What a person asked and said is in the event log."""
    return 0


def _entry(row: sa.Row[tuple[object, ...]]) -> Knowledge:
    return Knowledge(row.id, row.lang, row.topic, row.question, row.answer, row.source)
