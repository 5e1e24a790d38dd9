"""Tables of the shop: goods, customers and orders (`goods.py`), conversations and what was agreed (`talks.py`).

Every function is told whose shop it is; nothing is read or written across tenants. `forget` removes a person.
"""

from __future__ import annotations

import sqlalchemy as sa

from ikkan.apps.shop.store import goods, talks
from ikkan.apps.shop.store.tables import metadata
from ikkan.ground.ids import SubjectId, TenantId

__all__ = ["forget", "goods", "metadata", "talks"]


def forget(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
    """Remove a person from every table here; returns the rows removed.

    Their orders go too: the books of the shop are kept elsewhere, these are copies to help with. Conversations go
    whether the person was the customer, or signed in and spoke for one.
    """
    ids = goods.customers_of(connection, tenant_id, subject_id)
    return talks.forget(connection, tenant_id, subject_id, ids) + goods.forget(connection, tenant_id, ids)
