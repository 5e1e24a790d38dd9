"""Where rows land: each kind of file in its tables, with what was there before, so that it can be taken back.

A file says only what it has columns for: what it does not mention stays as it is. What is already there just so is
left alone, so the same rows twice change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.importing.guess import ATTRIBUTE
from ikkan.apps.shop.rules.importing.rows import News, Person
from ikkan.apps.shop.rules.support.binding import sha256
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.service.listening import Listens
from ikkan.apps.shop.store.imports import Mark
from ikkan.apps.shop.values import Address, Customer, Happened, Item, Product, Told, Ware
from ikkan.apps.shop.values.importing import Counts, Trouble
from ikkan.ground.ids import SubjectId, TenantId

Rows = Sequence[tuple[int, Any]]
"""Row numbers and the values read of them."""
_SEEN_AT_MOST = 500_000
"""So many ids a dry run remembers to tell what is repeated; beyond, it tells fewer."""


_UNTOLD = 500
"""Events taken back at a time."""


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of some rows."""

    counts: Counts
    wrong: tuple[Trouble, ...] = ()
    """Rows that could be read and still not be taken."""


class Landing(Protocol):
    """Takes rows of one kind."""

    def put(self, connection: sa.Connection, rows: Rows) -> Landed:
        """Write them, inside the caller's transaction."""
        ...

    def would(self, connection: sa.Connection, rows: Rows) -> Landed:
        """What `put` would do; writes nothing."""
        ...

    def back(self, connection: sa.Connection, marks: Mapping[str, Mark]) -> tuple[int, int, int]:
        """Take back what these marks say was done: how many were removed, restored, and left as changed since."""
        ...


def digest(value: Any) -> str:
    """A value as it is compared with itself later."""
    return sha256(msgspec.to_builtins(value))


class Wares:
    """A catalogue, onto the shelf and into support's products."""

    def __init__(self, tenant_id: TenantId, import_id: str, fields: Collection[str]) -> None:
        self._tenant_id, self._import_id = tenant_id, import_id
        self._fields = [_WARE_FIELDS[name] for name in fields if name in _WARE_FIELDS]
        self._merged = {"attributes"} if any(name.startswith(ATTRIBUTE) for name in fields) else set[str]()
        self._merged |= {"names"} if any(name.startswith("name_") for name in fields) else set[str]()
        self._seen: set[str] = set()

    def put(self, connection: sa.Connection, rows: Rows) -> Landed:
        wanted = {ware.product_id: ware for _, ware in rows}
        keys = [f"w:{each}" for each in wanted]
        mine = store.imports.marked(connection, self._tenant_id, self._import_id, keys)
        there, fresh = self._compared(connection, wanted)
        store.shelf.put_wares(connection, self._tenant_id, fresh.values())
        put_products(connection, self._tenant_id, fresh.values())
        marks = {
            f"w:{each.product_id}": Mark(_before(there.get(each.product_id)), digest(each)) for each in fresh.values()
        }
        store.imports.mark(connection, self._tenant_id, self._import_id, marks)
        again = {key.removeprefix("w:") for key in mine}
        added = sum(each not in there for each in fresh)
        changed = sum(each in there and each not in again for each in fresh)
        repeated = len(rows) - len(wanted) + len(again)
        return Landed(Counts(len(rows), added, changed, len(rows) - added - changed - repeated, repeated))

    def would(self, connection: sa.Connection, rows: Rows) -> Landed:
        wanted = {ware.product_id: ware for _, ware in rows}
        new = [each for each in wanted if each not in self._seen]
        if len(self._seen) < _SEEN_AT_MOST:
            self._seen.update(new)
        there, fresh = self._compared(connection, {each: wanted[each] for each in new})
        added = sum(each not in there for each in fresh)
        changed = len(fresh) - added
        repeated = len(rows) - len(new)
        return Landed(Counts(len(rows), added, changed, len(rows) - added - changed - repeated, repeated))

    def back(self, connection: sa.Connection, marks: Mapping[str, Mark]) -> tuple[int, int, int]:
        there = store.shelf.some(connection, self._tenant_id, [key.removeprefix("w:") for key in marks])
        gone, old, kept = [], [], 0
        for key, mark in marks.items():
            now = there.get(key.removeprefix("w:"))
            if now is None or digest(now) != mark.after_sha256:
                kept += 1
            elif mark.before is None:
                gone.append(now.product_id)
            else:
                old.append(msgspec.convert(mark.before, type=Ware))
        store.shelf.remove_wares(connection, self._tenant_id, gone)
        store.shelf.put_wares(connection, self._tenant_id, old)
        put_products(connection, self._tenant_id, old)
        alone = store.goods.products_by_id(connection, self._tenant_id, gone)
        store.books.remove_products(connection, self._tenant_id, [each for each in alone if _is_ours(alone[each])])
        return len(gone), len(old), kept

    def _compared(
        self, connection: sa.Connection, wanted: Mapping[str, Ware]
    ) -> tuple[dict[str, Ware], dict[str, Ware]]:
        there = store.shelf.some(connection, self._tenant_id, list(wanted))
        merged = {each: self._over(there.get(each), ware) for each, ware in wanted.items()}
        return there, {each: ware for each, ware in merged.items() if ware != there.get(each)}

    def _over(self, old: Ware | None, new: Ware) -> Ware:
        if old is None:
            return new
        said: dict[str, Any] = {name: getattr(new, name) for name in self._fields}
        said |= {name: {**getattr(old, name), **getattr(new, name)} for name in self._merged}
        # An amount is nothing without its currency; what a catalogue names is on sale unless it says otherwise.
        said |= {"currency": new.currency, "is_listed": new.is_listed}
        return replace(old, **said)


_WARE_FIELDS = {
    "name": "name", "price": "price_micros", "category": "category", "description": "description", "brand": "brand",
    "seller": "seller", "margin": "margin_share", "stock": "stock", "tags": "tags", "image": "image",
    "added_at": "added_at",
}  # fmt: skip
"""Field of a file → field of a ware."""


def put_products(connection: sa.Connection, tenant_id: TenantId, wares: Collection[Ware]) -> None:
    """Let support know these wares too: as products of one item of the same id, where it does not know them better."""
    known = store.goods.products_by_id(connection, tenant_id, [each.product_id for each in wares])
    plain = [each for each in wares if each.product_id not in known or _is_ours(known[each.product_id])]
    made = [
        Product(
            each.product_id,
            each.name,
            {each.product_id: Item(each.product_id, each.product_id, {}, each.price_micros, each.can_be_had)},
        )
        for each in plain
    ]
    store.goods.put_products(connection, tenant_id, made)


def _is_ours(product: Product) -> bool:
    return set(product.items) == {product.product_id}


def _before(value: Any) -> Any:
    return None if value is None else msgspec.to_builtins(value)


class Events:
    """What people did, to whoever listens. An event is told once, whichever file it is in."""

    def __init__(self, tenant_id: TenantId, import_id: str, listens: Listens) -> None:
        self._tenant_id, self._import_id, self._listens = tenant_id, import_id, listens
        self._seen: set[str] = set()

    def put(self, connection: sa.Connection, rows: Rows) -> Landed:
        told, fresh = tell(connection, self._tenant_id, self._listens, [each for _, each in rows])
        if fresh:
            # One mark for all events of a portion; its number is its first row.
            mark = {f"e:{rows[0][0]:012d}": Mark(fresh, "")}
            store.imports.mark(connection, self._tenant_id, self._import_id, mark)
        wrong = tuple(Trouble(rows[at][0], "", "", "refused", why, "see what it says") for at, why in told.refused)
        counts = Counts(len(rows), told.accepted, 0, 0, told.repeated, len(told.refused))
        return Landed(counts, wrong)

    def would(self, connection: sa.Connection, rows: Rows) -> Landed:
        ids = {each.event_id for _, each in rows} - self._seen
        if len(self._seen) < _SEEN_AT_MOST:
            self._seen |= ids
        known = store.behaviour.known(connection, self._tenant_id, list(ids))
        return Landed(Counts(len(rows), len(ids) - len(known), 0, 0, len(rows) - len(ids) + len(known)))

    def back(self, connection: sa.Connection, marks: Mapping[str, Mark]) -> tuple[int, int, int]:
        return events_back(connection, self._tenant_id, self._listens, marks), 0, 0


def tell(
    connection: sa.Connection, tenant_id: TenantId, listens: Listens, events: Sequence[Happened]
) -> tuple[Told, list[str]]:
    """Tell events; returns what became of them, and the ids of those that were not there before."""
    if not events:
        return Told(0, 0), []
    known = store.behaviour.known(connection, tenant_id, [each.event_id for each in events])
    told = listens.tell(tenant_id, events, connection=connection)
    out = {at for at, _ in told.refused}
    fresh = dict.fromkeys(each.event_id for at, each in enumerate(events) if at not in out)
    return told, [each for each in fresh if each not in known]


def events_back(connection: sa.Connection, tenant_id: TenantId, listens: Listens, marks: Mapping[str, Mark]) -> int:
    """Untell what these marks say was told; returns how many events that were."""
    ids = [event_id for key, mark in marks.items() if key.startswith("e:") for event_id in mark.before]
    for at in range(0, len(ids), _UNTOLD):
        listens.untell(tenant_id, ids[at : at + _UNTOLD], connection=connection)
    return len(ids)


class Carriers:
    """News of carriers."""

    def __init__(self, tenant_id: TenantId, carrier: Carrier) -> None:
        self._tenant_id, self._carrier = tenant_id, carrier

    def put(self, connection: sa.Connection, rows: Rows) -> Landed:
        counts, wrong = Counts(len(rows)), []
        for row, news in rows:
            heard = self._carrier.hear(connection, self._tenant_id, news)
            if heard.became == "unknown":
                wrong.append(_unknown(row, news))
            counts = counts.plus(
                Counts(
                    changed=heard.became == "noted",
                    same=heard.became in ("same", "stale"),
                    refused=heard.became == "unknown",
                )
            )
        return Landed(counts, tuple(wrong))

    def would(self, connection: sa.Connection, rows: Rows) -> Landed:
        there = store.books.some_orders(connection, self._tenant_id, [news.order_id for _, news in rows])
        wrong = tuple(_unknown(row, news) for row, news in rows if news.order_id not in there)
        same = sum(
            news.order_id in there and there[news.order_id].carrier == news.news and news.promised_on is None
            for _, news in rows
        )
        return Landed(Counts(len(rows), 0, len(rows) - len(wrong) - same, same, 0, len(wrong)), wrong)

    def back(self, connection: sa.Connection, marks: Mapping[str, Mark]) -> tuple[int, int, int]:
        return 0, 0, len(marks)


def _unknown(row: int, news: News) -> Trouble:
    return Trouble(row, "order_id", news.order_id, "unknown_order", f"there is no order {news.order_id}",
                   "bring the orders in first")  # fmt: skip


class People:
    """Customers. What a file leaves empty stays as it was."""

    def __init__(self, tenant_id: TenantId, import_id: str, pseudonym: Callable[[str], SubjectId]) -> None:
        self._tenant_id, self._import_id, self._pseudonym = tenant_id, import_id, pseudonym
        self._seen: set[str] = set()

    def put(self, connection: sa.Connection, rows: Rows) -> Landed:
        wanted: dict[str, Person] = {person.customer_id: person for _, person in rows}
        mine = store.imports.marked(connection, self._tenant_id, self._import_id, [f"c:{each}" for each in wanted])
        there, fresh = self._compared(connection, wanted)
        put_people(connection, self._tenant_id, self._import_id, there, fresh, self._pseudonym)
        added = sum(each not in there for each in fresh)
        changed = sum(each in there and f"c:{each}" not in mine for each in fresh)
        repeated = len(rows) - len(wanted) + len(mine)
        return Landed(Counts(len(rows), added, changed, len(rows) - added - changed - repeated, repeated))

    def would(self, connection: sa.Connection, rows: Rows) -> Landed:
        wanted = {person.customer_id: person for _, person in rows if person.customer_id not in self._seen}
        if len(self._seen) < _SEEN_AT_MOST:
            self._seen.update(wanted)
        there, fresh = self._compared(connection, wanted)
        added = sum(each not in there for each in fresh)
        repeated = len(rows) - len(wanted)
        return Landed(Counts(len(rows), added, len(fresh) - added, len(wanted) - len(fresh), repeated))

    def back(self, connection: sa.Connection, marks: Mapping[str, Mark]) -> tuple[int, int, int]:
        return people_back(connection, self._tenant_id, marks, self._pseudonym)

    def _compared(
        self, connection: sa.Connection, wanted: Mapping[str, Person]
    ) -> tuple[dict[str, Customer], dict[str, Customer]]:
        there = store.books.some_customers(connection, self._tenant_id, list(wanted))
        merged = {each: over(there.get(each), person) for each, person in wanted.items()}
        return there, {each: customer for each, customer in merged.items() if customer != there.get(each)}


def over(old: Customer | None, new: Person) -> Customer:
    """A customer as known now: what the file says over what was known."""
    if old is None:
        return Customer(new.customer_id, new.first_name, new.last_name, new.email, new.address, {})
    fields = Address.__slots__
    # An address is taken whole or not at all: half of one and half of another is nobody's.
    address = new.address if any(getattr(new.address, name) for name in fields) else old.address
    return replace(
        old,
        first_name=new.first_name or old.first_name,
        last_name=new.last_name or old.last_name,
        email=new.email or old.email,
        address=address,
    )


def put_people(
    connection: sa.Connection,
    tenant_id: TenantId,
    import_id: str,
    there: Mapping[str, Customer],
    fresh: Mapping[str, Customer],
    pseudonym: Callable[[str], SubjectId],
) -> None:
    """Write customers and remember what was there."""
    store.goods.put_customers(connection, tenant_id, fresh.values(), pseudonym)
    marks = {f"c:{each}": Mark(_before(there.get(each)), digest(customer)) for each, customer in fresh.items()}
    store.imports.mark(connection, tenant_id, import_id, marks)


def people_back(
    connection: sa.Connection, tenant_id: TenantId, marks: Mapping[str, Mark], pseudonym: Callable[[str], SubjectId]
) -> tuple[int, int, int]:
    """Take customers back; whoever still has an order stays."""
    ids = [key.removeprefix("c:") for key in marks]
    there = store.books.some_customers(connection, tenant_id, ids)
    buying = store.books.who_ordered(connection, tenant_id, ids)
    gone, old, kept = [], [], 0
    for key, mark in marks.items():
        now = there.get(key.removeprefix("c:"))
        if now is None or digest(now) != mark.after_sha256 or (mark.before is None and now.customer_id in buying):
            kept += 1
        elif mark.before is None:
            gone.append(now.customer_id)
        else:
            old.append(msgspec.convert(mark.before, type=Customer))
    store.books.remove_customers(connection, tenant_id, gone)
    store.goods.put_customers(connection, tenant_id, old, pseudonym)
    return len(gone), len(old), kept
