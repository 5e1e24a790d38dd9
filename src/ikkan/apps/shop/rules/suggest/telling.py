"""What is told is looked at once, at the door: what is wrong with an event, and when it can have happened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ikkan.apps.shop.rules.suggest.ring import clamped
from ikkan.apps.shop.values import DEEDS, Deed, Happened, Order

_DEEDS = frozenset(DEEDS)
_OLDEST = datetime(2000, 1, 1, tzinfo=UTC)


def wrong_with(event: Happened) -> str | None:
    """What is wrong with an event; None if nothing is.

    >>> at = datetime(2026, 6, 1, tzinfo=UTC)
    >>> wrong_with(Happened("e1", "ada", "viewed", at, "tea")), wrong_with(Happened("e1", "ada", "viewed", at))
    (None, 'product_id: which product was viewed?')
    """
    if not 0 < len(event.event_id) <= 120:
        return "event_id: 1 to 120 characters"
    if not 0 < len(event.person) <= 200:
        return "person: 1 to 200 characters"
    if event.deed not in _DEEDS:
        return f"deed: one of {', '.join(DEEDS)}"
    if event.at.tzinfo is None:
        return "at: a time with its zone, like 2026-06-01T12:00:00Z"
    if event.at < _OLDEST:
        return "at: before the year 2000"
    if event.product_id is None:
        return None if event.deed == "searched" else f"product_id: which product was {event.deed}?"
    if not 0 < len(event.product_id) <= 80:
        return "product_id: 1 to 80 characters"
    if len(event.query) > 500:
        return "query: at most 500 characters"
    if not 1 <= event.quantity <= 1_000_000:
        return "quantity: 1 to 1,000,000"
    if event.price_micros is not None and not 0 <= event.price_micros <= 10**15:
        return "price_micros: 0 to 10^15"
    if len(event.impression_id or "") > 80 or len(event.session_id or "") > 120:
        return "impression_id and session_id: at most 80 and 120 characters"
    numbers = (event.rating, event.dwell_s)
    if any(number is not None and not math.isfinite(number) for number in numbers):
        return "rating and dwell_s: numbers"
    return None


def believed(event: Happened, now: datetime) -> Happened:
    """The event at the time at which it can have happened."""
    at = clamped(event.at, now)
    return event if at is event.at else replace(event, at=at)


def came_back(
    proposal_id: str, order: Order, item_ids: Sequence[str], at: datetime, *, deed: Deed = "returned"
) -> list[Happened]:
    """Pieces of an order that are sent back, swapped or not wanted after all, as events."""
    wanted = list(item_ids)
    found = []
    for line in order.lines:
        if line.item_id in wanted:
            wanted.remove(line.item_id)
            found.append(line)
    return [
        Happened(
            f"support:{proposal_id}:{place}", order.customer_id, deed, at, line.product_id,
            price_micros=max(0, line.price_micros),
        )
        for place, line in enumerate(found)
    ]  # fmt: skip
