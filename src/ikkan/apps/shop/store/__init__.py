"""Tables of the shop: goods, customers and orders (`goods.py`), conversations and what was agreed (`talks.py`), what
may be suggested (`shelf.py`), what people did and were shown (`behaviour.py`), what they said
they want and whether moods are used at all (`moods.py`), the merchant's documents (`knowledge.py`).

Every function is told whose shop it is; nothing is read or written across tenants. `forget` removes a person.
"""

from __future__ import annotations

import sqlalchemy as sa

from ikkan.apps.shop.store import (
    behaviour,
    books,
    counter,
    deliveries,
    goods,
    imports,
    incoming,
    knowledge,
    moods,
    shelf,
    tags,
    talks,
)
from ikkan.apps.shop.store.tables import metadata
from ikkan.ground.ids import SubjectId, TenantId

__all__ = [
    "behaviour",
    "books",
    "counter",
    "deliveries",
    "forget",
    "goods",
    "imports",
    "incoming",
    "knowledge",
    "metadata",
    "moods",
    "shelf",
    "tags",
    "talks",
]


def forget(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
    """Remove a person from every table here; returns the rows removed.

    Their orders go too: the books of the shop are kept elsewhere, these are copies to help with. Conversations go
    whether the person was the customer, or signed in and spoke for one.
    """
    ids = goods.customers_of(connection, tenant_id, subject_id)
    bought = goods.orders_of(connection, tenant_id, ids)
    remembered = [*(f"c:{each}" for each in ids), *(f"o:{each}" for each in bought)]
    gone = imports.forget(connection, tenant_id, remembered)
    gone += deliveries.forget(connection, tenant_id, subject_id, ids)
    gone += behaviour.forget(connection, tenant_id, subject_id)
    gone += talks.forget(connection, tenant_id, subject_id, ids)
    gone += moods.forget(connection, tenant_id, subject_id)
    return gone + goods.forget(connection, tenant_id, ids)
