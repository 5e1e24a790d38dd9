"""What people did, cut into visits: what somebody had done, and the new things they did next.

A visit ends after three new things, after half an hour without any, or where the record ends. Its question is the
person's history when it began, its truth are its new things. What somebody had done before is no truth: to suggest what
a person has is another surface's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from ikkan.apps.shop.rules.factors import Stream
from ikkan.flywheel.contract import Examples

GAP = timedelta(minutes=30)
"""Longer without anything new, and it is another visit."""
MOST_NEW = 3
"""So many new things end a visit: what somebody did an hour ago belongs to the question by then."""
REMEMBERED = 200
"""Of a history, so many of the latest things are kept in an example."""
STREAM = "stream.npz"
"""The file in a dataset's background with what happened in the shop, without whose it was."""


@dataclass(frozen=True, slots=True)
class Did:
    """One thing one person did."""

    person: str
    product_id: str
    at: datetime
    event_id: str
    own: bool = True


@dataclass(frozen=True, slots=True)
class Visit:
    """What a model is asked: somebody is here, with this behind them."""

    history: tuple[str, ...]
    """What they did before, newest last, each thing once."""
    place: int
    """How many events the shop had seen before."""


@dataclass(frozen=True, slots=True)
class Then:
    """What they did next: new things, in order."""

    product_ids: tuple[str, ...]


@dataclass(slots=True)
class _Case:
    """A visit while it goes on."""

    person: str
    history: tuple[str, ...]
    place: int
    began_at: datetime
    known_at: datetime
    own: bool
    then: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


def read_visits(did: Iterable[Did], wares: Sequence[str] = ()) -> Examples:
    """Everything that happened, given in the order of time, as examples; the stream of it as their background.

    Args:
        wares: ids of what is on the shelf beside what was done.
    """
    place_of: dict[str, int] = {item: row for row, item in enumerate(sorted(set(wares)))}
    rows: list[int] = []
    cases: list[_Case] = []
    going_on: dict[str, _Case] = {}
    histories: dict[str, dict[str, None]] = {}
    for each in did:
        history = histories.setdefault(each.person, {})
        if each.product_id not in history:
            case = going_on.get(each.person)
            if case is None or len(case.then) == MOST_NEW or each.at - case.known_at > GAP:
                behind = tuple(list(history)[-REMEMBERED:])
                case = _Case(each.person, behind, len(rows), each.at, each.at, each.own)
                going_on[each.person] = case
                cases.append(case)
            case.then.append(each.product_id)
            case.events.append(each.event_id)
            case.known_at = each.at
        # What was done again is the newest again.
        history.pop(each.product_id, None)
        history[each.product_id] = None
        if len(history) > 2 * REMEMBERED:
            history.pop(next(iter(history)))
        rows.append(place_of.setdefault(each.product_id, len(place_of)))
    return _as_examples(cases, Stream(tuple(place_of), np.array(rows, dtype=np.int64)))


def _as_examples(cases: Sequence[_Case], stream: Stream) -> Examples:
    return Examples(
        ids=tuple(f"visit-{case.events[0]}" for case in cases),
        unit_ids=tuple(case.person for case in cases),
        occurred_at=tuple(case.began_at for case in cases),
        known_at=tuple(case.known_at for case in cases),
        slices=("all",) * len(cases),
        keys=tuple(_key(case) for case in cases),
        inputs=tuple(Visit(case.history, case.place) for case in cases),
        truths=tuple(Then(tuple(case.then)) for case in cases),
        teaches=np.ones(len(cases), dtype=np.bool_),
        own=np.array([case.own for case in cases], dtype=np.bool_),
        evidence=tuple(tuple(case.events) for case in cases),
        background={STREAM: stream.files()} if cases else {},
    )


def _key(case: _Case) -> str:
    """The same person at the same point asks the same; two others are alike by chance only, and then left out."""
    said = repr((case.person, case.place)).encode()
    number = int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big") % 36**5
    return np.base_repr(number, 36).lower()
