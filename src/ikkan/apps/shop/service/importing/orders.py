"""Orders from lines: a file has a line for each piece, the lines of an order may lie apart, and buyers may be new."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec
import sqlalchemy as sa

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.importing.rows import OrderLine
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.service.importing.landing import (
    Landed,
    Rows,
    digest,
    events_back,
    over,
    people_back,
    put_people,
    tell,
)
from ikkan.apps.shop.service.listening import Listens
from ikkan.apps.shop.store.imports import Mark
from ikkan.apps.shop.values import Customer, Happened, Line, Method, Order, Payment, Shipment
from ikkan.apps.shop.values.goods import (
    CANCELLED,
    DELIVERED,
    EXCHANGE_REQUESTED,
    PENDING,
    RETURN_REQUESTED,
    MethodKind,
)
from ikkan.apps.shop.values.importing import Counts, Trouble
from ikkan.ground.ids import SubjectId, TenantId

_AHEAD = {RETURN_REQUESTED: DELIVERED, EXCHANGE_REQUESTED: DELIVERED, CANCELLED: PENDING}
"""What support has done → what an export from before it still says."""
_KINDS: Sequence[tuple[MethodKind, str]] = (
    ("gift_card", r"gift|ギフト|ポイント|礼品|积分"),
    ("paypal", r"pay ?pal|ペイパル"),
)


class Orders:
    """Orders with their buyers; what was bought is also told as events, where the file says when."""

    def __init__(
        self,
        tenant_id: TenantId,
        import_id: str,
        pseudonym: Callable[[str], SubjectId],
        listens: Listens,
        carrier: Carrier,
    ) -> None:
        self._tenant_id, self._import_id, self._pseudonym = tenant_id, import_id, pseudonym
        self._listens, self._carrier = listens, carrier
        self._seen: set[str] = set()

    def put(self, connection: sa.Connection, rows: Rows) -> Landed:
        groups, wrong = _grouped(rows)
        there = store.books.some_orders(connection, self._tenant_id, list(groups))
        keys = [f"o:{each}" for each in groups]
        mine = store.imports.marked(connection, self._tenant_id, self._import_id, keys)
        buyers = self._buyers(connection, groups)
        made: dict[str, Order] = {}
        events: list[Happened] = []
        for order_id, lines in groups.items():
            old = there.get(order_id)
            begun = old if f"o:{order_id}" in mine else None
            order = _order(lines, buyers[lines[0].customer_id], old, begun)
            events += _bought(lines, 0 if begun is None else len(begun.lines))
            if old is None or replace(order, version=old.version) != old:
                made[order_id] = order
        store.goods.put_orders(connection, self._tenant_id, made.values())
        marks = {f"o:{each}": Mark(_before(there.get(each)), _content(order)) for each, order in made.items()}
        store.imports.mark(connection, self._tenant_id, self._import_id, marks)
        for order_id, lines in groups.items():
            day = next((line.promised_on for line in lines if line.promised_on), None)
            if day is not None:
                self._carrier.promised(connection, self._tenant_id, order_id, day)
        _, fresh = tell(connection, self._tenant_id, self._listens, events)
        if fresh:
            mark = {f"e:{rows[0][0]:012d}": Mark(fresh, "")}
            store.imports.mark(connection, self._tenant_id, self._import_id, mark)
        again = {key.removeprefix("o:") for key in mine}
        added = sum(len(groups[each]) for each in made if each not in there or (each in again and _is_new(mine, each)))
        changed = sum(len(groups[each]) for each in made) - added
        taken = len(rows) - len(wrong)
        return Landed(Counts(len(rows), added, changed, taken - added - changed, 0, len(wrong)), tuple(wrong))

    def would(self, connection: sa.Connection, rows: Rows) -> Landed:
        groups, wrong = _grouped(rows)
        there = store.books.some_orders(connection, self._tenant_id, list(groups))
        buyers = store.books.some_customers(
            connection, self._tenant_id, [rows_[0].customer_id for rows_ in groups.values()]
        )
        added = changed = 0
        for order_id, lines in groups.items():
            old = there.get(order_id)
            if old is None:
                added += len(lines)
                continue
            order = _order(lines, _paying(over(buyers.get(lines[0].customer_id), lines[0].person), lines[0]), old, None)
            changed += len(lines) * (replace(order, version=old.version) != old)
        taken = len(rows) - len(wrong)
        return Landed(Counts(len(rows), added, changed, taken - added - changed, 0, len(wrong)), tuple(wrong))

    def back(self, connection: sa.Connection, marks: Mapping[str, Mark]) -> tuple[int, int, int]:
        events_back(connection, self._tenant_id, self._listens, marks)
        people = {key: mark for key, mark in marks.items() if key.startswith("c:")}
        orders = {key.removeprefix("o:"): mark for key, mark in marks.items() if key.startswith("o:")}
        there = store.books.some_orders(connection, self._tenant_id, list(orders))
        gone, old, kept = [], [], 0
        for order_id, mark in orders.items():
            now = there.get(order_id)
            if now is None or _content(now) != mark.after_sha256:
                kept += 1
            elif mark.before is None:
                gone.append(order_id)
            else:
                old.append(msgspec.convert(mark.before, type=Order))
        store.books.remove_orders(connection, self._tenant_id, gone)
        store.deliveries.remove(connection, self._tenant_id, gone)
        store.goods.put_orders(connection, self._tenant_id, old)
        removed, restored, left = people_back(connection, self._tenant_id, people, self._pseudonym)
        return len(gone) + removed, len(old) + restored, kept + left

    def _buyers(self, connection: sa.Connection, groups: Mapping[str, Sequence[OrderLine]]) -> dict[str, Customer]:
        firsts = {lines[0].customer_id: lines[0] for lines in groups.values()}
        there = store.books.some_customers(connection, self._tenant_id, list(firsts))
        now: dict[str, Customer] = {}
        for lines in groups.values():
            first = lines[0]
            known = now.get(first.customer_id) or there.get(first.customer_id)
            now[first.customer_id] = _paying(over(known, first.person), first)
        fresh = {each: customer for each, customer in now.items() if customer != there.get(each)}
        put_people(connection, self._tenant_id, self._import_id, there, fresh, self._pseudonym)
        return now


def _grouped(rows: Rows) -> tuple[dict[str, list[OrderLine]], list[Trouble]]:
    groups: dict[str, list[OrderLine]] = {}
    wrong: list[Trouble] = []
    for row, line in rows:
        lines = groups.setdefault(line.order_id, [])
        if lines and lines[0].customer_id != line.customer_id:
            wrong.append(
                Trouble(row, "customer_id", line.customer_id, "two_customers",
                        f"an earlier row gives {line.order_id} to another customer", "one order, one customer")
            )  # fmt: skip
        else:
            lines.append(line)
    return groups, wrong


def _order(lines: Sequence[OrderLine], buyer: Customer, old: Order | None, begun: Order | None) -> Order:
    """An order as the file has it; what support or a carrier did meanwhile is kept.

    Args:
        begun: the order as earlier rows of the same file made it; these rows go on with it.
    """
    first = lines[0]
    pieces = tuple(
        Line(line.name, line.product_id, line.item_id, line.price_micros, {})
        for line in lines
        for _ in range(line.quantity)
    )
    if begun is not None:
        pieces = begun.lines + pieces
    method = _method_of(first)
    total = sum(piece.price_micros for piece in pieces)
    tracking = tuple(dict.fromkeys(line.tracking for line in lines if line.tracking))
    shipments = (Shipment(tracking, tuple(piece.item_id for piece in pieces)),) if tracking else ()
    status = first.status
    if old is not None and _AHEAD.get(old.status) == status:
        status = old.status
    made = Order(
        first.order_id,
        first.customer_id,
        status,
        buyer.address,
        pieces,
        (Payment("payment", total, method.method_id),),
        shipments or (begun.shipments if begun is not None else ()),
        first.currency,
    )
    if old is None:
        return made
    kept = replace(
        made,
        carrier=old.carrier,
        cancel_reason=old.cancel_reason,
        returned=old.returned,
        exchanged=old.exchanged,
    )
    # Options are known to the shop's own catalogue and not to the file; refunds only to support.
    if [(each.item_id, each.price_micros) for each in old.lines] == [
        (each.item_id, each.price_micros) for each in pieces
    ]:
        kept = replace(kept, lines=old.lines, payments=old.payments, address=old.address)
    return kept


def _paying(customer: Customer, line: OrderLine) -> Customer:
    method = _method_of(line)
    if method.method_id in customer.methods:
        return customer
    return replace(customer, methods={**customer.methods, method.method_id: method})


def _method_of(line: OrderLine) -> Method:
    kind: MethodKind = next((kind for kind, words in _KINDS if re.search(words, line.payment, re.I)), "credit_card")
    balance = 0 if kind == "gift_card" else None
    return Method(f"{kind}_{line.customer_id}"[:80], kind, balance)


def _bought(lines: Sequence[OrderLine], begun: int) -> list[Happened]:
    told = []
    for at, line in enumerate(lines, begun):
        if line.ordered_at is None or line.status == CANCELLED:
            continue
        key = hashlib.blake2b(f"{line.order_id}\0{line.item_id}\0{at}".encode(), digest_size=12).hexdigest()
        told.append(
            Happened(f"o-{key}", line.customer_id, "bought", line.ordered_at, line.product_id,
                     price_micros=line.price_micros, quantity=line.quantity)
        )  # fmt: skip
    return told


def _is_new(marks: Mapping[str, Mark], order_id: str) -> bool:
    mark = marks.get(f"o:{order_id}")
    return mark is not None and mark.before is None


def _content(order: Order) -> str:
    return digest(replace(order, version=0))


def _before(order: Order | None) -> object:
    return None if order is None else msgspec.to_builtins(order)
