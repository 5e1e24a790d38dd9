"""The four tables of the event log, and how their keys are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ikkan.ground.db import UtcDateTime
from ikkan.ground.ids import TenantId

metadata = sa.MetaData()

events_table = sa.Table(
    "ground_events",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("tenant_id", sa.String(80), nullable=False),
    sa.Column("subject_id", sa.String(120), nullable=True),
    sa.Column("occurred_at", UtcDateTime, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("purpose", sa.String(40), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Index("ground_events_by_name", "name", "recorded_at", "id"),
    sa.Index("ground_events_by_time", "recorded_at", "id"),
)
keys_table = sa.Table(
    "ground_subject_keys",
    metadata,
    sa.Column("tenant_id", sa.String(80), primary_key=True),
    sa.Column("subject_id", sa.String(120), primary_key=True),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)
consents_table = sa.Table(
    "ground_consents",
    metadata,
    sa.Column("tenant_id", sa.String(80), primary_key=True),
    sa.Column("subject_id", sa.String(120), primary_key=True),
    sa.Column("purpose", sa.String(40), primary_key=True),
    sa.Column("granted", sa.Boolean, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)
erasures_table = sa.Table(
    "ground_erasures",
    metadata,
    sa.Column("tombstone", sa.String(64), primary_key=True),
    sa.Column("erased_at", UtcDateTime, nullable=False),
)

NOBODY = ""
"""Stands for "no subject" where a column may not be null: the tenant's own key, the tenant's default consent."""
Whose: TypeAlias = tuple[TenantId, str]
"""Whose key: tenant, and subject or `NOBODY`."""
_WRAPPED = sa.select(keys_table.c.subject_id, keys_table.c.wrapped_key).where(
    keys_table.c.tenant_id == sa.bindparam("whose"),
    keys_table.c.subject_id.in_(sa.bindparam("subjects", expanding=True)),
)
"""Put together once: it is asked at every click."""
_T = TypeVar("_T")
_IN_ONE = 500
"""Values in one IN: statements of few lengths are prepared once."""


def portions(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """So many that each fits into one statement."""
    for start in range(0, len(items), _IN_ONE):
        yield items[start : start + _IN_ONE]


def wrapped_keys(connection: sa.Connection, owners: Iterable[Whose]) -> dict[Whose, bytes]:
    """The wrapped keys that exist, by owner."""
    of_tenant: dict[TenantId, list[str]] = {}
    for tenant_id, subject in owners:
        of_tenant.setdefault(tenant_id, []).append(subject)
    found: dict[Whose, bytes] = {}
    for tenant_id, subjects in of_tenant.items():
        for some in portions(subjects):
            rows = connection.execute(_WRAPPED, {"whose": tenant_id, "subjects": some})
            found |= {(tenant_id, subject): wrapped for subject, wrapped in rows}
    return found


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the dialect's own class."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
