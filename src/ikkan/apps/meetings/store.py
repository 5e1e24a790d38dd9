"""Tables of meetings. Their names start with `meetings_`; a migration makes them."""

from __future__ import annotations

from sqlalchemy import Connection, MetaData

from ikkan.ground.ids import SubjectId, TenantId

metadata = MetaData()


def forget(connection: Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
    """Remove a person from every table here; returns the rows removed."""
    return 0
