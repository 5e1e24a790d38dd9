"""What the shop recorded, as things people did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ikkan.apps.shop.learn.next_item.visits import Did
from ikkan.ground.events import Event

SHOWN, HAPPENED = "shop.ItemsShown", "shop.ItemHappened"
"""Events of suggesting, read by name: a list with its artifact and places; one thing one person did."""
WANTED = frozenset({"viewed", "carted", "bought"})
"""Deeds that say somebody wants a thing. What was sent back or disliked is no next thing."""


def did_in(events: Iterable[Event]) -> Iterator[Did]:
    """What people wanted, in the order in which it happened; nobody's things are left out."""
    found = [
        event
        for event in events
        if event.subject_id and event.payload.get("deed") in WANTED and event.payload.get("product_id")
    ]
    found.sort(key=lambda event: (event.occurred_at, event.id))
    for event in found:
        yield Did(
            person=str(event.subject_id),
            product_id=str(event.payload["product_id"]),
            at=event.occurred_at,
            event_id=event.id,
            own=event.payload.get("origin") != "sample",
        )
