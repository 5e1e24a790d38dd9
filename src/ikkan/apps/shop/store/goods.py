"""Products, customers and orders: read as one `Case`, written only where the version that was read still stands."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ikkan.apps.shop.store.tables import customers, items, lines, methods, orders, payments, products
from ikkan.apps.shop.values import (
    Address,
    Case,
    Customer,
    Effect,
    Exchange,
    Item,
    Line,
    Method,
    Order,
    Payment,
    Policy,
    Product,
    Return,
    Shipment,
)
from ikkan.ground.errors import Conflict
from ikkan.ground.ids import SubjectId, TenantId

_MANY = 500


def folded(text: str) -> str:
    """A name or an address as it is compared: no accents, no case, no stray spaces.

    >>> folded("  Vázquez "), folded("ＡＤＡ@Example.com")
    ('vazquez', 'ada@example.com')
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    return " ".join("".join(sign for sign in plain if not unicodedata.combining(sign)).split())


# ---- bringing in -----------------------------------------------------------------------------------------------------


def put_products(connection: sa.Connection, tenant_id: TenantId, wanted: Iterable[Product]) -> int:
    """Add products, or replace those that are there with all their items; returns how many."""
    every = list(wanted)
    for some in _portions([each.product_id for each in every]):
        for table in (items, products):
            connection.execute(table.delete().where(table.c.tenant_id == tenant_id, table.c.product_id.in_(some)))
    _insert(connection, products, [_row(tenant_id, product_id=p.product_id, name=p.name) for p in every])
    _insert(connection, items, [_row(tenant_id, **msgspec.to_builtins(i)) for p in every for i in p.items.values()])
    return len(every)


def put_customers(
    connection: sa.Connection,
    tenant_id: TenantId,
    wanted: Iterable[Customer],
    pseudonym: Callable[[str], SubjectId],
) -> int:
    """Add customers, or replace those that are there; returns how many.

    Args:
        pseudonym: of a customer's id; by it the person is known to the event log and to erasure.
    """
    every = list(wanted)
    for some in _portions([each.customer_id for each in every]):
        for table in (methods, customers):
            connection.execute(table.delete().where(table.c.tenant_id == tenant_id, table.c.customer_id.in_(some)))
    people = [
        _row(
            tenant_id,
            customer_id=each.customer_id,
            subject_id=pseudonym(each.customer_id),
            first_name=each.first_name,
            last_name=each.last_name,
            email=each.email,
            email_key=folded(each.email),
            name_key=_name_key(each.first_name, each.last_name, each.address.zip),
            address=msgspec.to_builtins(each.address),
        )
        for each in every
    ]
    _insert(connection, customers, people)
    ways = [
        _row(tenant_id, customer_id=each.customer_id, **msgspec.to_builtins(way))
        for each in every
        for way in each.methods.values()
    ]
    _insert(connection, methods, ways)
    return len(every)


def put_orders(connection: sa.Connection, tenant_id: TenantId, wanted: Iterable[Order]) -> int:
    """Add orders, or replace those that are there; returns how many. A replaced order has a new version."""
    every = list(wanted)
    ids = [each.order_id for each in every]
    before: dict[str, int] = {}
    for some in _portions(ids):
        of_these = (orders.c.tenant_id == tenant_id, orders.c.order_id.in_(some))
        before |= {
            row.order_id: row.version
            for row in connection.execute(sa.select(orders.c.order_id, orders.c.version).where(*of_these))
        }
        for table in (lines, payments, orders):
            connection.execute(table.delete().where(table.c.tenant_id == tenant_id, table.c.order_id.in_(some)))
    rows = [
        _row(tenant_id, **_order_columns(each), version=before[each.order_id] + 1 if each.order_id in before else 0)
        for each in every
    ]
    _insert(connection, orders, rows)
    _insert(connection, lines, [row for each in every for row in _line_rows(tenant_id, each)])
    _insert(connection, payments, [row for each in every for row in _payment_rows(tenant_id, each)])
    return len(every)


def carrier_said(connection: sa.Connection, tenant_id: TenantId, order_id: str, news: str) -> bool:
    """Note what the carrier says of an order; False where there is no such order. What waits for a yes is stale."""
    done = connection.execute(
        orders.update()
        .where(orders.c.tenant_id == tenant_id, orders.c.order_id == order_id)
        .values(carrier=news, version=orders.c.version + 1)
    )
    return bool(done.rowcount)


# ---- reading ---------------------------------------------------------------------------------------------------------


def who_has_email(connection: sa.Connection, tenant_id: TenantId, email: str) -> list[str]:
    """The customers with this email address; one, unless an import was careless."""
    columns = customers.c
    found = sa.select(columns.customer_id).where(columns.tenant_id == tenant_id, columns.email_key == folded(email))
    return list(connection.execute(found.order_by(columns.customer_id).limit(2)).scalars())


def who_has_name(
    connection: sa.Connection, tenant_id: TenantId, first_name: str, last_name: str, zip_code: str
) -> list[str]:
    """The customers with this name at this zip code; at most two are looked for."""
    columns = customers.c
    key = _name_key(first_name, last_name, zip_code)
    found = sa.select(columns.customer_id).where(columns.tenant_id == tenant_id, columns.name_key == key)
    return list(connection.execute(found.order_by(columns.customer_id).limit(2)).scalars())


def case_of(
    connection: sa.Connection,
    tenant_id: TenantId,
    customer_id: str | None,
    policy: Policy,
    *,
    product_id: str | None = None,
    item_id: str | None = None,
) -> Case:
    """Everything a decision about this customer may look at; a product named besides is added to it."""
    wanted = set[str]() if product_id is None else {product_id}
    if item_id is not None:
        found = sa.select(items.c.product_id).where(items.c.tenant_id == tenant_id, items.c.item_id == item_id)
        wanted |= set(connection.execute(found).scalars())
    if customer_id is None:
        return Case(products=products_by_id(connection, tenant_id, wanted), policy=policy)
    theirs = (orders.c.tenant_id == tenant_id, orders.c.customer_id == customer_id)
    bought = orders_where(connection, tenant_id, theirs)
    wanted |= {line.product_id for order in bought for line in order.lines}
    known = customers_where(connection, (customers.c.tenant_id == tenant_id, customers.c.customer_id == customer_id))
    return Case(
        next(iter(known), None),
        {order.order_id: order for order in bought},
        products_by_id(connection, tenant_id, wanted),
        policy,
    )


def product_names(connection: sa.Connection, tenant_id: TenantId) -> dict[str, str]:
    """Names of all products → their ids, by name."""
    found = sa.select(products.c.name, products.c.product_id).where(products.c.tenant_id == tenant_id)
    return {row.name: row.product_id for row in connection.execute(found.order_by(products.c.name))}


def all_orders(connection: sa.Connection, tenant_id: TenantId) -> list[Order]:
    """Every order of the shop, for an export."""
    return orders_where(connection, tenant_id, (orders.c.tenant_id == tenant_id,))


def all_customers(connection: sa.Connection, tenant_id: TenantId) -> list[Customer]:
    """Every customer of the shop, for an export."""
    return customers_where(connection, (customers.c.tenant_id == tenant_id,))


def subject_of(connection: sa.Connection, tenant_id: TenantId, customer_id: str) -> SubjectId | None:
    """The pseudonym of a customer."""
    found = sa.select(customers.c.subject_id).where(
        customers.c.tenant_id == tenant_id, customers.c.customer_id == customer_id
    )
    kept = connection.execute(found).scalar_one_or_none()
    return None if kept is None else SubjectId(kept)


def customers_of(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> list[str]:
    """The customers a pseudonym stands for."""
    found = sa.select(customers.c.customer_id).where(
        customers.c.tenant_id == tenant_id, customers.c.subject_id == subject_id
    )
    return list(connection.execute(found).scalars())


def orders_of(connection: sa.Connection, tenant_id: TenantId, customer_ids: Sequence[str]) -> list[str]:
    """The numbers of all orders of these customers."""
    theirs = (orders.c.tenant_id == tenant_id, orders.c.customer_id.in_(list(customer_ids)))
    return list(connection.execute(sa.select(orders.c.order_id).where(*theirs)).scalars())


def orders_where(connection: sa.Connection, tenant_id: TenantId, where: Sequence[Any]) -> list[Order]:
    """Orders with their lines and payments, by id."""
    rows = list(connection.execute(sa.select(orders).where(*where).order_by(orders.c.order_id)))
    ids = [row.order_id for row in rows]
    bought: dict[str, list[Line]] = {each: [] for each in ids}
    paid: dict[str, list[Payment]] = {each: [] for each in ids}
    for some in _portions(ids):
        mine = (lines.c.tenant_id == tenant_id, lines.c.order_id.in_(some))
        for row in connection.execute(sa.select(lines).where(*mine).order_by(lines.c.order_id, lines.c.place)):
            bought[row.order_id].append(Line(row.name, row.product_id, row.item_id, row.price_micros, row.options))
        mine = (payments.c.tenant_id == tenant_id, payments.c.order_id.in_(some))
        for row in connection.execute(sa.select(payments).where(*mine).order_by(payments.c.order_id, payments.c.place)):
            paid[row.order_id].append(Payment(row.kind, row.amount_micros, row.method_id))
    return [
        Order(
            row.order_id,
            row.customer_id,
            row.status,
            _as(Address, row.address),
            tuple(bought[row.order_id]),
            tuple(paid[row.order_id]),
            _as(tuple[Shipment, ...], row.shipments),
            row.currency,
            row.carrier,
            row.cancel_reason,
            _as(Return | None, row.returned),
            _as(Exchange | None, row.exchanged),
            row.version,
        )
        for row in rows
    ]


def customers_where(connection: sa.Connection, where: Sequence[Any]) -> list[Customer]:
    """Customers with their ways to pay, by id."""
    joined = sa.and_(customers.c.tenant_id == methods.c.tenant_id, customers.c.customer_id == methods.c.customer_id)
    ways: dict[str, dict[str, Method]] = {}
    chosen = sa.select(methods).select_from(methods.join(customers, joined)).where(*where)
    for row in connection.execute(chosen.order_by(methods.c.method_id)):
        way = Method(row.method_id, row.kind, row.balance_micros, row.brand, row.last_four)
        ways.setdefault(row.customer_id, {})[row.method_id] = way
    rows = connection.execute(sa.select(customers).where(*where).order_by(customers.c.customer_id))
    return [
        Customer(
            row.customer_id,
            row.first_name,
            row.last_name,
            row.email,
            _as(Address, row.address),
            ways.get(row.customer_id, {}),
        )
        for row in rows
    ]


def products_by_id(connection: sa.Connection, tenant_id: TenantId, ids: Iterable[str]) -> dict[str, Product]:
    """Products with their items."""
    found: dict[str, Product] = {}
    for some in _portions(sorted(ids)):
        made: dict[str, dict[str, Item]] = {}
        mine = (items.c.tenant_id == tenant_id, items.c.product_id.in_(some))
        for row in connection.execute(sa.select(items).where(*mine).order_by(items.c.item_id)):
            item = Item(row.item_id, row.product_id, row.options, row.price_micros, row.is_available)
            made.setdefault(row.product_id, {})[row.item_id] = item
        mine = (products.c.tenant_id == tenant_id, products.c.product_id.in_(some))
        for row in connection.execute(sa.select(products).where(*mine)):
            found[row.product_id] = Product(row.product_id, row.name, made.get(row.product_id, {}))
    return found


# ---- writing ---------------------------------------------------------------------------------------------------------


def write(connection: sa.Connection, tenant_id: TenantId, customer_id: str, effect: Effect) -> None:
    """Carry out an effect, inside the caller's transaction.

    Raises:
        Conflict: the order is not of the version the effect was made from, or a gift card has not that much left.
            The transaction must be given up.
    """
    if effect.order is not None:
        _write_order(connection, tenant_id, effect.order)
    for method_id, by in effect.balances.items():
        left = methods.c.balance_micros + by
        done = connection.execute(
            methods.update()
            .where(
                methods.c.tenant_id == tenant_id,
                methods.c.customer_id == customer_id,
                methods.c.method_id == method_id,
                left >= 0,
            )
            .values(balance_micros=left)
        )
        if done.rowcount != 1:
            raise Conflict("the gift card has not enough left", hint="choose another payment method")
    if effect.address is not None:
        mine = (customers.c.tenant_id == tenant_id, customers.c.customer_id == customer_id)
        name = connection.execute(sa.select(customers.c.first_name, customers.c.last_name).where(*mine)).one()
        connection.execute(
            customers.update()
            .where(*mine)
            .values(
                address=msgspec.to_builtins(effect.address),
                name_key=_name_key(name.first_name, name.last_name, effect.address.zip),
            )
        )


def forget(connection: sa.Connection, tenant_id: TenantId, customer_ids: Sequence[str]) -> int:
    """Remove customers and their orders; returns the rows removed."""
    if not customer_ids:
        return 0
    theirs = orders_of(connection, tenant_id, customer_ids)
    gone = 0
    for table in (lines, payments):
        done = connection.execute(table.delete().where(table.c.tenant_id == tenant_id, table.c.order_id.in_(theirs)))
        gone += done.rowcount
    for table in (orders, methods, customers):
        mine = (table.c.tenant_id == tenant_id, table.c.customer_id.in_(customer_ids))
        gone += connection.execute(table.delete().where(*mine)).rowcount
    return gone


# ---- private ---------------------------------------------------------------------------------------------------------


def _write_order(connection: sa.Connection, tenant_id: TenantId, order: Order) -> None:
    mine = (orders.c.tenant_id == tenant_id, orders.c.order_id == order.order_id)
    changed = connection.execute(
        orders.update()
        .where(*mine, orders.c.version == order.version)
        .values(**_order_columns(order), version=order.version + 1)
    )
    if changed.rowcount != 1:
        raise Conflict("the order changed meanwhile", hint="look at it again, then ask again")
    for table in (lines, payments):
        connection.execute(table.delete().where(table.c.tenant_id == tenant_id, table.c.order_id == order.order_id))
    _insert(connection, lines, _line_rows(tenant_id, order))
    _insert(connection, payments, _payment_rows(tenant_id, order))


def _name_key(first_name: str, last_name: str, zip_code: str) -> str:
    return "\n".join((folded(first_name), folded(last_name), zip_code.strip()))


def _row(tenant_id: TenantId, **columns: Any) -> dict[str, Any]:
    return {"tenant_id": tenant_id, **columns}


def _order_columns(order: Order) -> dict[str, Any]:
    whole = msgspec.to_builtins(order)
    return {name: whole[name] for name in whole if name not in {"lines", "payments", "version"}}


def _line_rows(tenant_id: TenantId, order: Order) -> list[dict[str, Any]]:
    return [
        _row(tenant_id, order_id=order.order_id, place=place, **msgspec.to_builtins(line))
        for place, line in enumerate(order.lines)
    ]


def _payment_rows(tenant_id: TenantId, order: Order) -> list[dict[str, Any]]:
    return [
        _row(tenant_id, order_id=order.order_id, place=place, **msgspec.to_builtins(payment))
        for place, payment in enumerate(order.payments)
    ]


def _as(kind: Any, value: Any) -> Any:
    return msgspec.convert(value, type=kind)


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)


def _portions(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[at : at + _MANY] for at in range(0, len(ids), _MANY))
