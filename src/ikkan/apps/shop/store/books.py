"""Customers, orders and products by id, for whoever brings in many: what is there, and taking it away again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from ikkan.apps.shop.store import goods
from ikkan.apps.shop.store.tables import customers, items, lines, methods, orders, payments, products
from ikkan.apps.shop.values import Customer, Order
from ikkan.ground.ids import TenantId

_MANY = 500


def some_orders(connection: sa.Connection, tenant_id: TenantId, order_ids: Sequence[str]) -> dict[str, Order]:
    """The orders of these numbers that there are."""
    known: dict[str, Order] = {}
    for some in _portions(order_ids):
        theirs = (orders.c.tenant_id == tenant_id, orders.c.order_id.in_(some))
        known |= {each.order_id: each for each in goods.orders_where(connection, tenant_id, theirs)}
    return known


def some_customers(connection: sa.Connection, tenant_id: TenantId, customer_ids: Sequence[str]) -> dict[str, Customer]:
    """The customers of these ids that there are."""
    known: dict[str, Customer] = {}
    for some in _portions(customer_ids):
        theirs = (customers.c.tenant_id == tenant_id, customers.c.customer_id.in_(some))
        known |= {each.customer_id: each for each in goods.customers_where(connection, theirs)}
    return known


def who_ordered(connection: sa.Connection, tenant_id: TenantId, customer_ids: Sequence[str]) -> set[str]:
    """Those of these customers who have any order."""
    found: set[str] = set()
    for some in _portions(customer_ids):
        theirs = (orders.c.tenant_id == tenant_id, orders.c.customer_id.in_(some))
        found |= set(connection.execute(sa.select(orders.c.customer_id).where(*theirs).distinct()).scalars())
    return found


def remove_orders(connection: sa.Connection, tenant_id: TenantId, order_ids: Sequence[str]) -> None:
    """Take orders away, with their lines and payments."""
    _remove(connection, tenant_id, order_ids, (lines, payments, orders), "order_id")


def remove_customers(connection: sa.Connection, tenant_id: TenantId, customer_ids: Sequence[str]) -> None:
    """Take customers away, with their ways to pay."""
    _remove(connection, tenant_id, customer_ids, (methods, customers), "customer_id")


def remove_products(connection: sa.Connection, tenant_id: TenantId, product_ids: Sequence[str]) -> None:
    """Take products away, with their items."""
    _remove(connection, tenant_id, product_ids, (items, products), "product_id")


def _remove(
    connection: sa.Connection, tenant_id: TenantId, ids: Sequence[str], tables: Iterable[sa.Table], column: str
) -> None:
    for some in _portions(ids):
        for table in tables:
            mine: tuple[Any, ...] = (table.c.tenant_id == tenant_id, table.c[column].in_(some))
            connection.execute(table.delete().where(*mine))


def _portions(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[at : at + _MANY] for at in range(0, len(ids), _MANY))
