"""How a company writes what transcripts get wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from ikkan.apps.meetings.store.tables import glossary
from ikkan.ground.ids import TenantId


def terms(connection: sa.Connection, tenant_id: TenantId) -> dict[str, str]:
    """As heard → as written, in order of the first."""
    statement = sa.select(glossary.c.heard, glossary.c.written).where(glossary.c.tenant_id == tenant_id)
    return {row.heard: row.written for row in connection.execute(statement.order_by(glossary.c.heard))}


def put(connection: sa.Connection, tenant_id: TenantId, given: Mapping[str, str], at: datetime) -> None:
    """Add terms, or change how they are written."""
    remove(connection, tenant_id, given)
    rows = [
        {"tenant_id": tenant_id, "heard": heard, "written": written, "changed_at": at}
        for heard, written in given.items()
    ]
    if rows:
        connection.execute(glossary.insert(), rows)


def remove(connection: sa.Connection, tenant_id: TenantId, heard: Mapping[str, str] | list[str]) -> int:
    """Take terms away; returns how many there were."""
    chosen = sa.and_(glossary.c.tenant_id == tenant_id, glossary.c.heard.in_(list(heard)))
    return connection.execute(glossary.delete().where(chosen)).rowcount
