"""What carriers said of orders and for which day they were promised; offers of help; what a merchant wants of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from ikkan.apps.shop.store.incoming import cares, deliveries, offers
from ikkan.apps.shop.store.tables import insert, orders
from ikkan.apps.shop.values.care import Care, Delay, Delivery, Offer, OfferState
from ikkan.apps.shop.values.goods import DELIVERED, PENDING, PENDING_CHANGED, PROCESSED
from ikkan.ground.ids import TenantId, new_id

UNDER_WAY = (PENDING, PENDING_CHANGED, PROCESSED)
"""States of an order that has not come yet."""


def get(connection: sa.Connection, tenant_id: TenantId, order_id: str) -> Delivery | None:
    """What is known of an order's way."""
    mine = (deliveries.c.tenant_id == tenant_id, deliveries.c.order_id == order_id)
    row = connection.execute(sa.select(deliveries).where(*mine)).one_or_none()
    return None if row is None else Delivery(row.order_id, row.promised_on, row.news, row.said_at, row.told)


def put(connection: sa.Connection, tenant_id: TenantId, known: Delivery) -> None:
    """Keep what is known of an order's way."""
    statement = insert(connection, deliveries).values(tenant_id=tenant_id, **asdict(known))
    values = {name: value for name, value in asdict(known).items() if name != "order_id"}
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "order_id"], set_=values))


def overdue(connection: sa.Connection, tenant_id: TenantId, before: date, *, limit: int = 500) -> list[Delivery]:
    """Orders that were promised for a day before this one and have not come, of whose delay nobody was told."""
    late = sa.literal("late:") + sa.cast(deliveries.c.promised_on, sa.String)
    chosen = (
        sa.select(deliveries)
        .join(orders, sa.and_(orders.c.tenant_id == deliveries.c.tenant_id, orders.c.order_id == deliveries.c.order_id))
        .where(
            deliveries.c.tenant_id == tenant_id,
            deliveries.c.promised_on < before,
            deliveries.c.told != late,
            sa.not_(deliveries.c.told.like("lost:%")),
            deliveries.c.news != DELIVERED,
            orders.c.status.in_(UNDER_WAY),
        )
        .order_by(deliveries.c.promised_on, deliveries.c.order_id)
        .limit(limit)
    )
    return [
        Delivery(row.order_id, row.promised_on, row.news, row.said_at, row.told) for row in connection.execute(chosen)
    ]


def shops_with_promises(connection: sa.Connection) -> list[TenantId]:
    """The shops that have promised anything."""
    return [TenantId(each) for each in connection.execute(sa.select(deliveries.c.tenant_id).distinct()).scalars()]


def came(connection: sa.Connection, tenant_id: TenantId, order_id: str) -> bool:
    """An order that was under way has been delivered; False where it was not under way."""
    done = connection.execute(
        orders.update()
        .where(orders.c.tenant_id == tenant_id, orders.c.order_id == order_id, orders.c.status.in_(UNDER_WAY))
        .values(status=DELIVERED, version=orders.c.version + 1)
    )
    return bool(done.rowcount)


def remove(connection: sa.Connection, tenant_id: TenantId, order_ids: Sequence[str]) -> None:
    """Orders that were taken away leave nothing here."""
    for table in (deliveries, offers):
        mine = (table.c.tenant_id == tenant_id, table.c.order_id.in_(list(order_ids)))
        connection.execute(table.delete().where(*mine))


# ---- offers ----------------------------------------------------------------------------------------------------------


def offer(
    connection: sa.Connection,
    tenant_id: TenantId,
    order_id: str,
    kind: Delay,
    customer_id: str,
    subject_id: str,
    at: datetime,
) -> str | None:
    """Make an offer; returns its id, or None where one was made for this delay of this order before."""
    offer_id = new_id("offer")
    values = {
        "tenant_id": tenant_id,
        "offer_id": offer_id,
        "order_id": order_id,
        "kind": kind,
        "customer_id": customer_id,
        "subject_id": subject_id,
        "talk_id": "",
        "state": "open",
        "made_at": at,
    }
    done = connection.execute(insert(connection, offers).values(values).on_conflict_do_nothing())
    return offer_id if done.rowcount else None


def waits_in(connection: sa.Connection, tenant_id: TenantId, offer_id: str, talk_id: str) -> None:
    """The offer waits in this conversation."""
    connection.execute(offers.update().where(*_mine(tenant_id, offer_id)).values(talk_id=talk_id))


def offered(connection: sa.Connection, tenant_id: TenantId, offer_id: str) -> Offer | None:
    """One offer, whatever became of it."""
    row = connection.execute(sa.select(offers).where(*_mine(tenant_id, offer_id))).one_or_none()
    return None if row is None else _offer(row)


def open_offers(
    connection: sa.Connection, tenant_id: TenantId, *, customer_id: str | None = None, subject_id: str | None = None
) -> list[Offer]:
    """What is offered now to a customer, or to whomever a pseudonym stands for; the latest first."""
    assert (customer_id is None) != (subject_id is None), "one person"
    whose = offers.c.customer_id == customer_id if subject_id is None else offers.c.subject_id == subject_id
    chosen = sa.select(offers).where(offers.c.tenant_id == tenant_id, offers.c.state == "open", whose)
    return [_offer(row) for row in connection.execute(chosen.order_by(offers.c.made_at.desc()).limit(20))]


def answer(connection: sa.Connection, tenant_id: TenantId, offer_id: str, state: OfferState, at: datetime) -> bool:
    """Note what became of an open offer; False where it was answered before."""
    done = connection.execute(
        offers.update().where(*_mine(tenant_id, offer_id), offers.c.state == "open").values(state=state, answered_at=at)
    )
    return bool(done.rowcount)


def is_over(
    connection: sa.Connection, tenant_id: TenantId, order_id: str, at: datetime, *, kind: Delay | None = None
) -> int:
    """What was offered for an order is not needed any more; returns how many offers were open."""
    mine = [offers.c.tenant_id == tenant_id, offers.c.order_id == order_id, offers.c.state == "open"]
    if kind is not None:
        mine.append(offers.c.kind == kind)
    done = connection.execute(offers.update().where(*mine).values(state="over", answered_at=at))
    return done.rowcount


# ---- what a merchant wants -------------------------------------------------------------------------------------------


def care(connection: sa.Connection, tenant_id: TenantId) -> Care:
    """What this merchant wants when deliveries go wrong."""
    row = connection.execute(sa.select(cares).where(cares.c.tenant_id == tenant_id)).one_or_none()
    return Care() if row is None else Care(row.offers_help, row.grace_days, row.utc_offset, row.language)


def put_care(connection: sa.Connection, tenant_id: TenantId, wanted: Care) -> None:
    """Set it."""
    values = asdict(wanted)
    statement = insert(connection, cares).values(tenant_id=tenant_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_=values))


# ---- erasure ---------------------------------------------------------------------------------------------------------


def forget(connection: sa.Connection, tenant_id: TenantId, subject_id: str, customer_ids: Sequence[str]) -> int:
    """Remove what is known of a person's deliveries, and their offers. Before their orders go."""
    theirs = sa.select(orders.c.order_id).where(
        orders.c.tenant_id == tenant_id, orders.c.customer_id.in_(list(customer_ids))
    )
    mine = (deliveries.c.tenant_id == tenant_id, deliveries.c.order_id.in_(theirs))
    gone = connection.execute(deliveries.delete().where(*mine)).rowcount
    person = sa.or_(offers.c.subject_id == subject_id, offers.c.customer_id.in_(list(customer_ids)))
    return gone + connection.execute(offers.delete().where(offers.c.tenant_id == tenant_id, person)).rowcount


def _mine(tenant_id: TenantId, offer_id: str) -> tuple[Any, Any]:
    return offers.c.tenant_id == tenant_id, offers.c.offer_id == offer_id


def _offer(row: Any) -> Offer:
    return Offer(
        row.offer_id, row.order_id, row.kind, row.customer_id, row.subject_id, row.talk_id, row.state, row.made_at
    )
