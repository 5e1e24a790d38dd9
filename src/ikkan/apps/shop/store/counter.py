"""What a store's counter looks up: who could be served, what is still on its way, and whether enough is left."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from ikkan.apps.shop.store import goods, shelf
from ikkan.apps.shop.store.tables import customers, orders
from ikkan.apps.shop.store.tables import wares as wares_table
from ikkan.apps.shop.values import Order
from ikkan.ground.ids import TenantId


def some_people(connection: sa.Connection, tenant_id: TenantId, most: int) -> list[tuple[str, str]]:
    """Customers with a name: id and name."""
    chosen = (
        sa.select(customers.c.customer_id, customers.c.first_name, customers.c.last_name)
        .where(customers.c.tenant_id == tenant_id, customers.c.first_name != "")
        .order_by(customers.c.customer_id)
        .limit(most)
    )
    return [(row.customer_id, f"{row.first_name} {row.last_name}".strip()) for row in connection.execute(chosen)]


def open_orders(
    connection: sa.Connection, tenant_id: TenantId, closed: Sequence[str], most: int, *, customer_id: str | None = None
) -> list[Order]:
    """Orders whose state is none of `closed`, the latest number first; of one customer, if named."""
    where = [orders.c.tenant_id == tenant_id, orders.c.status.not_in(closed)]
    if customer_id is not None:
        where.append(orders.c.customer_id == customer_id)
    ids = sa.select(orders.c.order_id).where(*where).order_by(orders.c.order_id.desc()).limit(most)
    wanted = list(connection.execute(ids).scalars())
    found = goods.orders_where(connection, tenant_id, (orders.c.tenant_id == tenant_id, orders.c.order_id.in_(wanted)))
    return found[::-1]


def take(connection: sa.Connection, tenant_id: TenantId, product_id: str, pieces: int) -> bool:
    """Take pieces from the stock; False where there are not so many, and nothing was taken. What is not counted is
    never short."""
    mine = (wares_table.c.tenant_id == tenant_id, wares_table.c.product_id == product_id)
    done = connection.execute(
        wares_table.update()
        .where(*mine, wares_table.c.is_listed.is_(True), wares_table.c.stock >= pieces)
        .values(stock=wares_table.c.stock - pieces, version=shelf.next_version(connection, tenant_id))
    )
    if done.rowcount:
        return True
    uncounted = sa.select(wares_table.c.product_id).where(
        *mine, wares_table.c.is_listed.is_(True), wares_table.c.stock.is_(None)
    )
    return connection.execute(uncounted).one_or_none() is not None
