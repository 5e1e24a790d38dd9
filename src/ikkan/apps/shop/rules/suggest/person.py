"""A person as the shop knows them: their last events, and what they were shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.suggest.ring import EVENT_BYTES, Ring
from ikkan.apps.shop.values import Happened, Surface

SITTING_S = 600.0
"""Lists of one surface within ten minutes are one sitting: a page that is loaded again shows the same."""
IGNORED_S: Mapping[Surface, float] = {
    "home": 3 * 86_400.0,
    "similar": 86_400.0,
    "basket": 86_400.0,
    "replenish": 2 * 86_400.0,
    "search": 0.0,
}
"""How long what was shown and ignored counts against a ware on this surface."""
IGNORED_MOST = 3
"""Shown in so many sittings and never touched, it is left out for that time."""
_SHOWN_MOST = 400
_LISTS = 40
_BYTES, _SHOWN_BYTES, _LIST_BYTES = 8_000, 120, 400


@dataclass(slots=True)
class Shown:
    """How often a ware was shown on a surface and not touched."""

    sittings: int
    at_s: float
    """The last time."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list that was shown."""

    impression_id: str
    surface: Surface
    at_s: float
    rows: tuple[int, ...]
    explored: tuple[tuple[int, Any], ...] = ()
    """Row and what the explorer was told of it, for each explored place."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What a person's events say, made once an event."""

    rows: tuple[int, ...] = ()
    """Of the wares they turned to, the latest last."""
    weights: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    events: tuple[Happened, ...] = ()
    """Those events."""
    vector: NDArray[np.float32] | None = None
    """In the space of the model; None where nothing is known."""
    profile: NDArray[np.float32] | None = None
    """In the space of facets."""
    rejected: tuple[int, ...] = ()
    """Disliked, sent back or complained about."""
    touched: tuple[tuple[int, str, float], ...] = ()
    """Row, deed and when, of everything they did, the latest last."""
    log_price: float | None = None
    bucket: int = 0
    together: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None
    """What goes with the latest of them, by row."""
    together_most: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """The rows that go best."""
    made_at_s: float = 0.0
    stamp: tuple[int, int, int] = (-1, -1, -1)
    near: tuple[int, NDArray[np.int64]] | None = None
    """The rows nearest to `vector`, and the version of the space they were looked up in."""
    memo: dict[bytes, NDArray[np.float32]] = field(default_factory=dict)
    """Histories with some events left out, as a model sees them and in the space of facets."""


class Person:
    """Everything that is kept of one person between two requests; it can be made again from the database."""

    __slots__ = ("digest", "lists", "ring", "shown", "subject_id", "version")

    def __init__(self, subject_id: str) -> None:
        self.subject_id = subject_id
        self.ring = Ring()
        self.shown: dict[Surface, dict[int, Shown]] = {}
        self.lists: deque[Listed] = deque(maxlen=_LISTS)
        self.version = 0
        self.digest = Digest()

    @property
    def bytes(self) -> int:
        """What it takes in memory, roughly."""
        shown = sum(map(len, self.shown.values()))
        return _BYTES + len(self.ring.events) * EVENT_BYTES + shown * _SHOWN_BYTES + len(self.lists) * _LIST_BYTES

    def happened(self, event: Happened, row: int | None) -> bool:
        """Take in an event; False where it was known. What was touched was not ignored."""
        if not self.ring.add(event):
            return False
        self.version += 1
        if row is not None:
            for shown in self.shown.values():
                shown.pop(row, None)
        return True

    def drop(self, event_id: str) -> None:
        """Take an event back."""
        if self.ring.drop(event_id):
            self.version += 1

    def was_shown(self, listed: Listed) -> None:
        """Note a list. The same list twice, or twice in one sitting, counts once."""
        if any(each.impression_id == listed.impression_id for each in self.lists):
            return
        self.lists.append(listed)
        shown = self.shown.setdefault(listed.surface, {})
        for row in listed.rows:
            before = shown.pop(row, None)
            if before is None:
                shown[row] = Shown(1, listed.at_s)
            elif listed.at_s - before.at_s > SITTING_S:
                shown[row] = Shown(before.sittings + 1, listed.at_s)
            else:
                shown[row] = Shown(before.sittings, max(before.at_s, listed.at_s))
        while len(shown) > _SHOWN_MOST:
            del shown[next(iter(shown))]

    def ignored(self, surface: Surface, now_s: float) -> dict[int, int]:
        """Rows that were shown in earlier sittings and not touched → in how many."""
        window = IGNORED_S[surface]
        return {
            row: each.sittings - (now_s - each.at_s <= SITTING_S)
            for row, each in self.shown.get(surface, {}).items()
            if now_s - each.at_s <= window and each.sittings - (now_s - each.at_s <= SITTING_S) > 0
        }

    def shown_since(self, cursor: str) -> set[int]:
        """Rows of the list a cursor names and of those after it on its surface."""
        found: set[int] = set()
        surface: Surface | None = None
        for each in self.lists:
            if each.impression_id == cursor:
                surface = each.surface
            if surface == each.surface:
                found.update(each.rows)
        return found
