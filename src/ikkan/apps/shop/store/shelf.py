"""What may be suggested: the wares of a shop, and a number that grows with each change of them.

Several processes read a shelf: the gateway keeps it in memory, the worker imports. `version` is one row to look at;
`changed_since` brings only what moved, so a ware that was just put is seen at the next look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from ikkan.apps.shop.store.tables import insert, shelves
from ikkan.apps.shop.store.tables import wares as wares_table
from ikkan.apps.shop.values import Ware
from ikkan.ground.ids import TenantId

_MANY = 500
_KEY = ("tenant_id", "product_id")
_SAID = tuple(column.name for column in wares_table.c if column.name not in {*_KEY, "version"})
"""Columns that are fields of a ware."""


def put_wares(connection: sa.Connection, tenant_id: TenantId, wanted: Iterable[Ware]) -> int:
    """Put wares on the shelf, or replace those that are there; returns how many. The last of two alike counts."""
    every = {each.product_id: each for each in wanted}
    if not every:
        return 0
    version = next_version(connection, tenant_id)
    rows = [_row(tenant_id, ware, version) for ware in every.values()]
    statement = insert(connection, wares_table)
    statement = statement.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={name: statement.excluded[name] for name in (*_SAID, "version")},
    )
    connection.execute(statement, rows)
    return len(rows)


def remove_ware(connection: sa.Connection, tenant_id: TenantId, product_id: str) -> bool:
    """Take a ware from the shelf; orders still know it. False where it was not on it."""
    return bool(remove_wares(connection, tenant_id, [product_id]))


def remove_wares(connection: sa.Connection, tenant_id: TenantId, product_ids: Sequence[str]) -> int:
    """Take wares from the shelf; returns how many were on it."""
    if not product_ids:
        return 0
    version, gone = next_version(connection, tenant_id), 0
    for at in range(0, len(product_ids), _MANY):
        mine = (*_mine(tenant_id, product_ids[at : at + _MANY]), wares_table.c.is_listed.is_(True))
        done = connection.execute(wares_table.update().where(*mine).values(is_listed=False, version=version))
        gone += done.rowcount
    return gone


def ware(connection: sa.Connection, tenant_id: TenantId, product_id: str) -> Ware | None:
    """One ware, listed or not; None where it never was."""
    found = connection.execute(sa.select(wares_table).where(*_mine(tenant_id, [product_id]))).one_or_none()
    return None if found is None else _ware(found)


def wares(connection: sa.Connection, tenant_id: TenantId) -> list[Ware]:
    """Every ware, those taken from the shelf included, by id."""
    found = sa.select(wares_table).where(wares_table.c.tenant_id == tenant_id)
    return [_ware(row) for row in connection.execute(found.order_by(wares_table.c.product_id))]


def some(connection: sa.Connection, tenant_id: TenantId, product_ids: Sequence[str]) -> dict[str, Ware]:
    """The wares of these ids that there are, by id."""
    known: dict[str, Ware] = {}
    for at in range(0, len(product_ids), _MANY):
        found = sa.select(wares_table).where(*_mine(tenant_id, product_ids[at : at + _MANY]))
        known |= {row.product_id: _ware(row) for row in connection.execute(found)}
    return known


def version(connection: sa.Connection, tenant_id: TenantId) -> int:
    """How often this shelf was changed; 0 before it ever was."""
    found = connection.execute(sa.select(shelves.c.version).where(shelves.c.tenant_id == tenant_id))
    return found.scalar_one_or_none() or 0


def changed_since(connection: sa.Connection, tenant_id: TenantId, seen: int) -> list[Ware]:
    """The wares that were put or taken off after version `seen`, by id."""
    newer = (wares_table.c.tenant_id == tenant_id, wares_table.c.version > seen)
    return [
        _ware(row)
        for row in connection.execute(sa.select(wares_table).where(*newer).order_by(wares_table.c.product_id))
    ]


# ---- private ---------------------------------------------------------------------------------------------------------


def next_version(connection: sa.Connection, tenant_id: TenantId) -> int:
    # The row is locked until the caller commits, so versions become visible in their order.
    statement = insert(connection, shelves).values(tenant_id=tenant_id, version=1)
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id"], set_={"version": shelves.c.version + 1}
    ).returning(shelves.c.version)
    return int(connection.execute(statement).scalar_one())


def _mine(tenant_id: TenantId, product_ids: Sequence[str]) -> tuple[Any, Any]:
    return wares_table.c.tenant_id == tenant_id, wares_table.c.product_id.in_(product_ids)


def _row(tenant_id: TenantId, ware: Ware, version: int) -> dict[str, Any]:
    said = {name: getattr(ware, name) for name in _SAID}
    plain = {
        "names": dict(ware.names),
        "attributes": dict(ware.attributes),
        "tags": list(ware.tags),
    }
    return {"tenant_id": tenant_id, "product_id": ware.product_id, **said, **plain, "version": version}


def _ware(row: Any) -> Ware:
    said = {name: getattr(row, name) for name in _SAID}
    return Ware(product_id=row.product_id, **{**said, "tags": tuple(row.tags)})
