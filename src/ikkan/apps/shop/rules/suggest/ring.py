"""The last events of a person, in the order in which they happened, however they came in."""

from __future__ import annotations

from bisect import insort
from datetime import datetime, timedelta

from ikkan.apps.shop.values import Happened

LENGTH = 200
EVENT_BYTES = 560
"""What one event in a ring takes, roughly: the value, its time, its id and its places in the lists."""
SKEW = timedelta(seconds=2)
"""So far ahead a teller's clock may be before it is set right."""


class Ring:
    """Up to `LENGTH` events by time; the oldest go first. The same id twice is kept once.

    >>> from datetime import UTC
    >>> ring, noon = Ring(), datetime(2026, 6, 1, 12, tzinfo=UTC)
    >>> for id, minute in (("b", 2), ("a", 1), ("b", 5)):
    ...     _ = ring.add(Happened(id, "ada", "viewed", noon + timedelta(minutes=minute), "tea"))
    >>> [each.event_id for each in ring.events]
    ['a', 'b']
    """

    __slots__ = ("_ids", "events")

    def __init__(self) -> None:
        self.events: list[Happened] = []
        self._ids: set[str] = set()

    def add(self, event: Happened) -> bool:
        """Place an event by its time; False where it is known, or older than everything in a full ring."""
        if event.event_id in self._ids:
            return False
        events = self.events
        if not events or event.at >= events[-1].at:
            events.append(event)
        else:
            if len(events) >= LENGTH and event.at < events[0].at:
                return False
            insort(events, event, key=_at)
        self._ids.add(event.event_id)
        if len(events) > LENGTH:
            self._ids.discard(events.pop(0).event_id)
        return True

    def drop(self, event_id: str) -> bool:
        """Take an event back."""
        if event_id not in self._ids:
            return False
        self._ids.discard(event_id)
        self.events = [each for each in self.events if each.event_id != event_id]
        return True


def clamped(at: datetime, now: datetime) -> datetime:
    """When something happened, as far as it can be believed: nothing happens in the future.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    >>> clamped(noon + timedelta(hours=3), noon) == noon, clamped(noon - timedelta(hours=3), noon) == noon
    (True, False)
    """
    return now if at > now + SKEW else at


def _at(event: Happened) -> datetime:
    return event.at
