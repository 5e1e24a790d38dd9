"""What carriers say, and a promised day that passes in silence: noted, told to the house, and answered with an offer.

News come by import or API; `look` notices what nobody said. A delay is told once, as an event in the transaction that
notes it. Where the merchant wants it, support then offers help before the customer asks: a conversation is opened in
which the offer waits. It says only what policy allows, it is not repeated, and a no is remembered.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.importing import times
from ikkan.apps.shop.rules.importing.rows import News
from ikkan.apps.shop.rules.support import offering
from ikkan.apps.shop.values import LANGUAGES, Language, Order, Policy
from ikkan.apps.shop.values.care import DELAYED, Care, Choice, Delay, Delivery, Heard, Offer
from ikkan.apps.shop.values.goods import CANCELLED, DELIVERED, LATE, LOST
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, ErasedSubject, NotFound
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import SubjectId, TenantId

log = logging.getLogger(__name__)


class Carrier:
    """Deliveries of every shop in this house.

    Args:
        events: where delays are told; None tells nobody, as in a replay.
    """

    def __init__(
        self, database: Database, clock: Clock, *, events: EventLog | None = None, policy: Policy = Policy()
    ) -> None:
        self.database = database
        self.clock = clock
        self._events = events
        self._policy = policy

    # ---- news --------------------------------------------------------------------------------------------------------

    def said(self, tenant_id: TenantId, news: News) -> Heard:
        """Take one piece of news."""
        with self.database.transaction() as connection:
            return self.hear(connection, tenant_id, news)

    def hear(self, connection: sa.Connection, tenant_id: TenantId, news: News) -> Heard:
        """Take one piece of news, inside the caller's transaction. What was said before something newer is left."""
        order = store.books.some_orders(connection, tenant_id, [news.order_id]).get(news.order_id)
        if order is None:
            return Heard(news.order_id, "unknown")
        before = store.deliveries.get(connection, tenant_id, news.order_id) or Delivery(
            news.order_id, None, "", None, ""
        )
        if before.said_at is not None and news.said_at is not None and news.said_at < before.said_at:
            return Heard(news.order_id, "stale")
        after = replace(
            before,
            promised_on=news.promised_on or before.promised_on,
            news=news.news or before.news,
            said_at=news.said_at or before.said_at,
        )
        if after == before and (not news.news or order.carrier == news.news):
            return Heard(news.order_id, "same")
        store.deliveries.put(connection, tenant_id, after)
        if news.news and news.news != order.carrier:
            store.goods.carrier_said(connection, tenant_id, order.order_id, news.news)
            order = replace(order, carrier=news.news)
        now = self.clock.now()
        if after.news == DELIVERED:
            store.deliveries.came(connection, tenant_id, order.order_id)
            store.deliveries.is_over(connection, tenant_id, order.order_id, now)
            return Heard(order.order_id, "noted")
        if after.news == LOST:
            store.deliveries.is_over(connection, tenant_id, order.order_id, now, kind="late")
            return Heard(order.order_id, "noted", self._delayed(connection, tenant_id, order, after, "lost"))
        moved = (
            before.promised_on is not None and after.promised_on is not None and after.promised_on > before.promised_on
        )
        if after.news == LATE or (moved and not news.news):
            # What is late against the first promise stays so; a second promise that is broken is another delay.
            first = replace(after, promised_on=before.promised_on or after.promised_on)
            return Heard(order.order_id, "noted", self._delayed(connection, tenant_id, order, first, "late"))
        return Heard(order.order_id, "noted")

    def promised(self, connection: sa.Connection, tenant_id: TenantId, order_id: str, day: date) -> None:
        """An order comes with a promised day; the first promise, so nothing is late by it yet."""
        before = store.deliveries.get(connection, tenant_id, order_id)
        if before is None:
            store.deliveries.put(connection, tenant_id, Delivery(order_id, day, "", None, ""))

    # ---- silence -----------------------------------------------------------------------------------------------------

    def look(self, tenant_id: TenantId | None = None) -> int:
        """Notice orders whose promised day has passed without a delivery; returns how many. For one shop, or all.

        Looking twice notices nothing twice.
        """
        with self.database.read() as connection:
            shops = [tenant_id] if tenant_id is not None else store.deliveries.shops_with_promises(connection)
            cares = {each: store.deliveries.care(connection, each) for each in shops}
        return sum(self._look(each, care) for each, care in cares.items())

    # ---- offers ------------------------------------------------------------------------------------------------------

    def offers(
        self, tenant_id: TenantId, *, customer_id: str | None = None, subject_id: SubjectId | None = None
    ) -> list[tuple[Offer, dict[str, str], tuple[Choice, ...]]]:
        """What is offered to a person now: the offer, its words by language, and what policy lets be done about it."""
        with self.database.read() as connection:
            if not store.deliveries.care(connection, tenant_id).offers_help:
                return []
            found = store.deliveries.open_offers(connection, tenant_id, customer_id=customer_id, subject_id=subject_id)
            told = []
            for each in found:
                case = store.goods.case_of(connection, tenant_id, each.customer_id, self._policy)
                order = case.orders.get(each.order_id)
                if order is None or order.status in (DELIVERED, CANCELLED):
                    continue
                known = store.deliveries.get(connection, tenant_id, each.order_id)
                day = known.promised_on if known else None
                words = {str(lang): offering.says(each.kind, order, day, lang) for lang in LANGUAGES}
                told.append((each, words, offering.choices(order, case)))
            return told

    def offer(self, tenant_id: TenantId, offer_id: str) -> Offer:
        """One offer, whatever became of it.

        Raises:
            NotFound: this shop made none of this id.
        """
        with self.database.read() as connection:
            found = store.deliveries.offered(connection, tenant_id, offer_id)
        if found is None:
            raise NotFound("there is no such offer", hint="GET /a/shop/v1/offers")
        return found

    def take(self, tenant_id: TenantId, offer_id: str, language: Language) -> str:
        """The customer wants the help; returns the conversation in which it waits, in their language."""
        offer = self.offer(tenant_id, offer_id)
        with self.database.transaction() as connection:
            now = self.clock.now()
            if store.deliveries.answer(connection, tenant_id, offer_id, "taken", now):
                talk = store.talks.get(connection, tenant_id, offer.talk_id)
                if talk is not None and talk.language != language:
                    store.talks.change(connection, tenant_id, offer.talk_id, language=language)
                    case = store.goods.case_of(connection, tenant_id, offer.customer_id, self._policy)
                    known = store.deliveries.get(connection, tenant_id, offer.order_id)
                    day = known.promised_on if known else None
                    text = offering.says(offer.kind, case.orders[offer.order_id], day, language)
                    store.talks.say(connection, tenant_id, offer.talk_id, "shop", text, now)
        return offer.talk_id

    def decline(self, tenant_id: TenantId, offer_id: str) -> bool:
        """The customer does not want it; it is not offered again. False where it was answered before."""
        self.offer(tenant_id, offer_id)
        with self.database.transaction() as connection:
            return store.deliveries.answer(connection, tenant_id, offer_id, "declined", self.clock.now())

    def care(self, tenant_id: TenantId) -> Care:
        """What this merchant wants when deliveries go wrong."""
        with self.database.read() as connection:
            return store.deliveries.care(connection, tenant_id)

    def set_care(self, tenant_id: TenantId, wanted: Care) -> None:
        """Set it.

        Raises:
            BadInput: the offset from UTC is none.
        """
        try:
            times.offset(wanted.utc_offset)
        except times.NoTime as exc:
            raise BadInput(
                f"{wanted.utc_offset!r} is no offset from UTC", hint="like +09:00", param="utc_offset"
            ) from exc
        with self.database.transaction() as connection:
            store.deliveries.put_care(connection, tenant_id, wanted)

    # ---- private -----------------------------------------------------------------------------------------------------

    def _look(self, tenant_id: TenantId, care: Care) -> int:
        today = self.clock.now().astimezone(times.offset(care.utc_offset)).date()
        before, noticed = today - timedelta(days=care.grace_days), 0
        while True:
            with self.database.read() as connection:
                found = store.deliveries.overdue(connection, tenant_id, before)
            for each in found:
                with self.database.transaction() as connection:
                    known = store.deliveries.get(connection, tenant_id, each.order_id)
                    order = store.books.some_orders(connection, tenant_id, [each.order_id]).get(each.order_id)
                    if known != each or order is None:
                        continue  # something was heard of it meanwhile
                    if order.carrier not in (LATE, LOST):
                        store.goods.carrier_said(connection, tenant_id, order.order_id, LATE)
                        order = replace(order, carrier=LATE)
                    noticed += self._delayed(connection, tenant_id, order, each, "late") is not None
            if len(found) < 500:
                return noticed

    def _delayed(
        self, connection: sa.Connection, tenant_id: TenantId, order: Order, known: Delivery, kind: Delay
    ) -> Delay | None:
        told = f"{kind}:{known.promised_on or ''}" if kind == "late" else "lost:"
        if known.told == told or order.status in (DELIVERED, CANCELLED):
            return None
        now = self.clock.now()
        kept = store.deliveries.get(connection, tenant_id, order.order_id)
        assert kept is not None, "what is delayed was noted first"
        store.deliveries.put(connection, tenant_id, replace(kept, told=told))
        care = store.deliveries.care(connection, tenant_id)
        today = now.astimezone(times.offset(care.utc_offset)).date()
        subject = store.goods.subject_of(connection, tenant_id, order.customer_id)
        if self._events is not None:
            payload = {
                "order_id": order.order_id,
                "kind": kind,
                "promised_on": known.promised_on.isoformat() if known.promised_on else None,
                "days_late": max(0, (today - known.promised_on).days) if known.promised_on else None,
                "product_ids": sorted({line.product_id for line in order.lines}),
            }
            try:
                self._events.append(connection, NewEvent(DELAYED, 1, tenant_id, subject, now, SERVICE, payload))
            except ErasedSubject:
                return None
        if care.offers_help and subject is not None:
            self._offer(connection, tenant_id, order, known.promised_on, kind, subject, care, now)
        return kind

    def _offer(
        self,
        connection: sa.Connection,
        tenant_id: TenantId,
        order: Order,
        promised_on: date | None,
        kind: Delay,
        subject: SubjectId,
        care: Care,
        now: datetime,
    ) -> None:
        made = store.deliveries.offer(connection, tenant_id, order.order_id, kind, order.customer_id, subject, now)
        if made is None:
            return
        # Whoever may enter it is the customer's own session, or the shop's people.
        talk_id = store.talks.begin(connection, tenant_id, care.language, subject, now)
        store.talks.change(connection, tenant_id, talk_id, customer_id=order.customer_id)
        text = offering.says(kind, order, promised_on, care.language)
        store.talks.say(connection, tenant_id, talk_id, "shop", text, now)
        store.deliveries.waits_in(connection, tenant_id, made, talk_id)
