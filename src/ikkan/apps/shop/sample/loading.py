"""Put the sample store into a home: shelf, support and what people did, under the ids the seed gives. Repeatable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ikkan.apps.shop import store
from ikkan.apps.shop.sample.store import Store, sample_store
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.service.listening import Listens
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog
from ikkan.ground.ids import SubjectId, TenantId

_PORTION = 100

T = TypeVar("T")


def load_store(
    database: Database,
    tenant_id: TenantId,
    made: Store,
    listens: Listens,
    carrier: Carrier,
    pseudonym: Callable[[TenantId, str], SubjectId],
    *,
    tell: Callable[[float, str], None] = lambda done, told: None,
) -> dict[str, int]:
    """Bring the store in; what is there under the same ids is replaced, what was told is not told again.

    The late order is noticed at the end, as the worker would: its customer has an offer of help.
    """

    def by(customer: str) -> SubjectId:
        return pseudonym(tenant_id, customer)

    for wares in _portions(made.wares):
        with database.transaction() as connection:
            store.shelf.put_wares(connection, tenant_id, wares)
    for products in _portions(made.products):
        with database.transaction() as connection:
            store.goods.put_products(connection, tenant_id, products)
    for customers in _portions(made.customers):
        with database.transaction() as connection:
            store.goods.put_customers(connection, tenant_id, customers, by)
    days = dict(made.promised)
    for orders in _portions(made.orders):
        with database.transaction() as connection:
            store.goods.put_orders(connection, tenant_id, orders)
            for order in orders:
                if order.order_id in days:
                    carrier.promised(connection, tenant_id, order.order_id, days[order.order_id])
    accepted = 0
    for at, events in enumerate(_portions(made.events)):
        accepted += listens.tell(tenant_id, events).accepted
        tell(min(1.0, (at + 1) * _PORTION / len(made.events)), "events")
    return {
        "wares": len(made.wares),
        "customers": len(made.customers),
        "orders": len(made.orders),
        "events": accepted,
        "late": carrier.look(tenant_id),
    }


def load_sample_store(
    database: Database,
    clock: Clock,
    events: EventLog,
    pseudonym: Callable[[TenantId, str], SubjectId],
    tenant_id: TenantId,
    *,
    seed: int = 1,
) -> dict[str, int]:
    """`load_store` for a home that is not being served: as of now, heard by suggestions, told in the event log."""
    suggesting = Suggesting(database, clock, events=events, pseudonym=pseudonym)
    carrier = Carrier(database, clock, events=events)
    made = sample_store(seed, end=clock.now())
    loaded = load_store(database, tenant_id, made, suggesting, carrier, pseudonym)
    suggesting.flush()
    return loaded


def _portions(every: Sequence[T]) -> Sequence[Sequence[T]]:
    return [every[at : at + _PORTION] for at in range(0, len(every), _PORTION)]
