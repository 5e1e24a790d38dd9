"""Signals: what an app showed, and what became of it, said to the event log in one call each.

An app that chooses among things says what it showed, where, with which probability and on which features, *as served*:
nobody has to guess later what the model saw. What people then did is one more call, in the transaction of the app's
own row. The flywheel joins the two by a rule the app declares (`ikkan.flywheel.joins.Rule`).

Answers through the API need no call: every one is an `InferenceServed` with whatever facts its upstream gave
(`as_served` makes them), and `FeedbackGiven` is what the feedback endpoint records.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from ikkan.ground.clock import Clock
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import ArtifactId, EventId, SubjectId, TenantId, new_id


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that was shown."""

    item: str
    """Its id, in the app's own words."""
    position: int = 1
    """From 1, as the person saw it."""
    propensity: float = 1.0
    """How likely it was to be shown there: 1 where nothing was left to chance. Off-policy estimates divide by it."""
    features: Mapping[str, float] = field(default_factory=dict)
    """What the model was given about it, at that moment."""

    def __post_init__(self) -> None:
        assert self.item and self.position >= 1, "an offer has an item and a place, from 1"
        assert 0.0 < self.propensity <= 1.0, "what was shown had a chance to be"
        assert all(math.isfinite(value) for value in self.features.values()), "features are numbers"


class Signals:
    """Writes an app's signals. `name`s are the app's own events, in the past tense: `ItemsShown`, `ItemClicked`.

    >>> import tempfile
    >>> from datetime import timedelta
    >>> from pathlib import Path
    >>> from ikkan.flywheel.joins import Reading, Rule, join
    >>> from ikkan.ground import SystemClock
    >>> from ikkan.ground.db import Database, upgrade
    >>> from ikkan.ground.eventlog import Keys
    >>> folder = tempfile.TemporaryDirectory()
    >>> url = f"sqlite:///{folder.name}/ikkan.db"
    >>> upgrade(url)
    >>> database, clock = Database(url), SystemClock()
    >>> log = EventLog(database, clock, Keys.open(Path(folder.name) / "keys"))
    >>> signals, shop, ada = Signals(log, clock), TenantId("shop"), SubjectId("ada")

    Show two things, and record the click where the app records its own row:

    >>> with database.transaction() as connection:
    ...     offers = [Offer("tea", 1, 0.9, {"price": 480.0}), Offer("cup", 2, 0.1)]
    ...     shown = signals.shown(connection, shop, ada, "ItemsShown", offers)
    >>> with database.transaction() as connection:
    ...     _ = signals.happened(connection, shop, ada, "ItemClicked", about=shown, item="tea", value=1.0)

    A rule joins them, once the time in which a click may come is over:

    >>> rule = Rule("ItemsShown", "ItemClicked", key=("impression_id",), window_s=86_400.0)
    >>> reading = Reading(text=lambda event: event.payload["offers"][0]["item"])
    >>> tomorrow = clock.now() + timedelta(days=1, seconds=1)
    >>> [len(join(log.reader(), rule, reading, until).rows) for until in (clock.now(), tomorrow)]
    [0, 1]
    >>> database.close(); folder.cleanup()
    """

    def __init__(self, events: EventLog, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    def shown(
        self,
        connection: sa.Connection,
        tenant_id: TenantId,
        subject_id: SubjectId | None,
        name: str,
        offers: Sequence[Offer],
        *,
        artifact: ArtifactId | None = None,
        purpose: str = SERVICE,
        **more: Any,
    ) -> str:
        """Record what was shown; returns the id by which outcomes name it.

        Args:
            artifact: the model that chose.
            more: whatever else the app wants to know later, as JSON values.

        Raises:
            ErasedSubject: the person was erased; nothing was recorded.
        """
        assert len({offer.position for offer in offers}) == len(offers), "each place shows one thing"
        impression_id = new_id("shown")
        payload = {**more, "impression_id": impression_id, "artifact": artifact, "offers": [_told(o) for o in offers]}
        self._record(connection, NewEvent(name, 1, tenant_id, subject_id, self._clock.now(), purpose, payload))
        return impression_id

    def happened(
        self,
        connection: sa.Connection,
        tenant_id: TenantId,
        subject_id: SubjectId | None,
        name: str,
        *,
        about: str,
        value: float = 1.0,
        item: str | None = None,
        purpose: str = SERVICE,
        **more: Any,
    ) -> EventId:
        """Record what became of something shown: a click, a purchase, a return.

        Args:
            about: what `shown` returned.
            value: what it is worth, in the app's own measure.
            item: which of the things it was.

        Raises:
            ErasedSubject: the person was erased; nothing was recorded.
        """
        assert math.isfinite(value), "a value is a number"
        payload = {**more, "impression_id": about, "item": item, "value": value}
        return self._record(connection, NewEvent(name, 1, tenant_id, subject_id, self._clock.now(), purpose, payload))

    def _record(self, connection: sa.Connection, event: NewEvent) -> EventId:
        (event_id,) = self._events.append(connection, event)
        return event_id


def as_served(offers: Sequence[Offer]) -> dict[str, Any]:
    """Facts for an upstream's answer: `InferenceServed` keeps them as they are, for a chat that chose among answers.

    >>> as_served([Offer("k7", propensity=0.8)])
    {'offers': [{'item': 'k7', 'position': 1, 'propensity': 0.8, 'features': {}}]}
    """
    return {"offers": [_told(offer) for offer in offers]}


def _told(offer: Offer) -> dict[str, Any]:
    return {
        "item": offer.item,
        "position": offer.position,
        "propensity": offer.propensity,
        "features": dict(offer.features),
    }
