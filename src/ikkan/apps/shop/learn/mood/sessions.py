"""Visits cut in two: the first half says in which mood somebody is, the second what they then wanted."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from ikkan.apps.shop.learn.next_item.events import WANTED
from ikkan.apps.shop.learn.next_item.visits import STREAM, Then
from ikkan.apps.shop.rules.factors import Stream
from ikkan.apps.shop.values import Happened, Ware
from ikkan.flywheel.contract import Examples
from ikkan.ground.events import Event

GAP = timedelta(minutes=30)
SHELF = "shelf.json"
"""The file in a dataset's background with the wares as they were."""
FEWEST = 4
"""Things of a visit; fewer say nothing of a mood and of what came of it."""
REMEMBERED = 100
MOST_TRUTHS = 10


@dataclass(frozen=True, slots=True)
class Session:
    """What a mood is read from."""

    events: tuple[Happened, ...]
    """Before this visit, and its first half; newest last. `person` is empty."""
    at: datetime
    place: int
    """How many events the shop had seen by then."""


def read_sessions(happened: Iterable[Happened], wares: Sequence[Ware], owners: bool = True) -> Examples:
    """What happened, given in the order of time, as examples; the wares and the stream are their background."""
    known = {ware.product_id for ware in wares}
    place_of = {ware.product_id: row for row, ware in enumerate(wares)}
    rows: list[int] = []
    ends: dict[str, list[int]] = defaultdict(list)
    people: dict[str, list[Happened]] = defaultdict(list)
    for event in happened:
        if event.product_id in known:
            people[event.person].append(event)
            ends[event.person].append(len(rows))
            if event.deed in WANTED:
                rows.append(place_of[str(event.product_id)])
    found = []
    for person, events in people.items():
        for first, last in _visits(events):
            row = _row(person, events, ends[person], first, last)
            if row is not None:
                found.append(row)
    found.sort(key=lambda row: (row[1].at, row[0]))
    stream = Stream(tuple(ware.product_id for ware in wares), np.array(rows, dtype=np.int64))
    return Examples(
        ids=tuple(f"session-{evidence[0]}" for _, _, _, _, evidence in found),
        unit_ids=tuple(person for person, *_ in found),
        occurred_at=tuple(session.at for _, session, *_ in found),
        known_at=tuple(known_at for _, _, _, known_at, _ in found),
        slices=("all",) * len(found),
        keys=tuple(_key(person, session) for person, session, *_ in found),
        inputs=tuple(session for _, session, *_ in found),
        truths=tuple(then for _, _, then, *_ in found),
        teaches=np.ones(len(found), dtype=np.bool_),
        own=np.full(len(found), owners, dtype=np.bool_),
        evidence=tuple(evidence for *_, evidence in found),
        background={SHELF: msgspec.json.encode(list(wares)), STREAM: stream.files()} if found else {},
    )


def happened_in(events: Iterable[Event]) -> list[Happened]:
    """Recorded events as things that happened, in their order; what cannot be read is left out."""
    found = []
    for event in sorted(events, key=lambda event: (event.occurred_at, event.id)):
        payload: dict[str, Any] = {**event.payload, "person": event.subject_id or "", "at": event.occurred_at}
        try:
            one = msgspec.convert(payload, type=Happened, strict=False)
        except msgspec.ValidationError:
            continue
        if one.person and one.product_id:
            found.append(one)
    return found


def _visits(events: Sequence[Happened]) -> list[tuple[int, int]]:
    """First and one past the last of each visit."""
    cuts = [0, *(at for at in range(1, len(events)) if events[at].at - events[at - 1].at > GAP), len(events)]
    return list(pairwise(cuts))


def _row(
    person: str, events: Sequence[Happened], places: Sequence[int], first: int, last: int
) -> tuple[str, Session, Then, datetime, tuple[str, ...]] | None:
    if last - first < FEWEST:
        return None
    half = first + (last - first) // 2
    behind = {event.product_id for event in events[:half]}
    later = [event for event in events[half:last] if event.deed in WANTED and event.product_id not in behind]
    wanted = tuple(dict.fromkeys(str(event.product_id) for event in later))[:MOST_TRUTHS]
    if not wanted:
        return None
    before = tuple(_nobody(event) for event in events[max(0, half - REMEMBERED) : half])
    session = Session(before, events[half - 1].at, places[half])
    evidence = tuple(event.event_id for event in events[first:last])
    return person, session, Then(wanted), events[last - 1].at, evidence


def _nobody(event: Happened) -> Happened:
    """The event without whose it was: examples say that once, in `unit_ids`."""
    return replace(event, person="")


def _key(person: str, session: Session) -> str:
    said = repr((person, session.at, session.place)).encode()
    number = int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big") % 36**5
    return np.base_repr(number, 36).lower()
