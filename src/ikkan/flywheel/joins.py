"""What was shown and what became of it, joined by a declared rule: in a window, to the last that was shown or to all.

An app says once, as a `Rule`, which event shows, which event tells an outcome, and by which key and within which time
the two belong together. A row may teach when its window has closed; until then it waits, or what came early is weighted
by how likely it was to be seen in time (inverse probability of censoring).

The log is read once, as a stream. A row costs some 150 bytes however long its text is; only different texts are held.
"""

from __future__ import annotations

import gc
import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ikkan.flywheel.datasets import Int64, Rows, microseconds
from ikkan.flywheel.split import clusters
from ikkan.ground.events import Event, EventReader
from ikkan.ground.ids import TenantId


@dataclass(frozen=True, slots=True)
class Rule:
    """How outcomes belong to what was shown. Field names are those of payloads, or of the event itself."""

    shown: str
    """The event that shows: `InferenceServed`."""
    outcome: str
    """The event that tells what became of it: `FeedbackGiven`."""
    key: tuple[str, ...]
    """Fields of `shown` that name what an outcome is about: `("request_id",)`, `("subject_id", "item")`."""
    outcome_key: tuple[str, ...] = ()
    """The same in `outcome`; default: `key`."""
    window_s: float = 7 * 86_400.0
    """An outcome later than this after it was shown is another story."""
    attribution: Literal["last", "all"] = "last"
    """Whether an outcome counts for the last that was shown before it, or for all within the window."""
    open_windows: Literal["wait", "weigh"] = "wait"
    """What to do with rows whose window is still open: leave them for later, or weigh what came early."""
    silence: float = 0.0
    """The value where nothing came within the window."""

    def __post_init__(self) -> None:
        assert self.key and self.window_s > 0, "a rule has a key and a window"
        assert not self.outcome_key or len(self.outcome_key) == len(self.key), "both keys have the same fields"
        assert self.shown != self.outcome, "nothing is its own outcome"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a rule's events are read."""

    text: Callable[[Event], str]
    """The words by which near-duplicates are found."""
    value: Callable[[Event], float] = lambda event: 1.0
    """What an outcome is worth."""
    slice: Callable[[Event], str] = lambda event: "all"
    row_id: Callable[[Event], str] = lambda event: event.id
    """At most 48 letters of ASCII."""
    own: Callable[[Event], bool] = lambda event: True


@dataclass(frozen=True, slots=True)
class Joined:
    """Rows whose outcome is known, and how many still wait."""

    rows: Rows
    waiting: int
    """Shown, and the window is open: they come with a later dataset."""
    unclaimed: int
    """Outcomes of nothing that was shown in time."""


def join(
    events: EventReader, rule: Rule, reading: Reading, until: datetime, *, tenant_id: TenantId | None = None
) -> Joined:
    """Read the log up to `until` and join what was shown with what became of it.

    Of several outcomes of one row the latest counts, and all of them are its evidence.
    """
    gathered = _Gathered(rule, reading)
    with _uncollected():
        for event in events.read([rule.shown], tenant_id=tenant_id, until=until):
            gathered.show(event)
        groups = gathered.groups()  # while little else is held: it takes the most memory
        for event in events.read([rule.outcome], tenant_id=tenant_id, until=until):
            gathered.tell(event)
        return gathered.joined(until, groups)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for circles among millions of objects that make none: a tenth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Gathered:
    """Columns that grow."""

    def __init__(self, rule: Rule, reading: Reading) -> None:
        self._rule, self._reading = rule, reading
        self._outcome_key = rule.outcome_key or rule.key
        self._row_ids, self._shown_ids, self._outcome_ids = bytearray(), bytearray(), bytearray()
        self._shown_keys, self._outcome_keys = array("Q"), array("Q")
        self._shown_us, self._outcome_us = array("q"), array("q")
        self._values = array("d")
        self._own = bytearray()
        self._units, self._slices, self._texts = _Places(), _Places(), _Places()

    def show(self, event: Event) -> None:
        """One that was shown."""
        self._shown_keys.append(_key(event, self._rule.key))
        self._shown_us.append(microseconds(event.occurred_at))
        self._shown_ids += event.id.encode().ljust(_EVENT_ID, b"\0")
        row_id = self._reading.row_id(event).encode("ascii")
        assert len(row_id) <= _ROW_ID, "a row's id has at most 48 letters"
        self._row_ids += row_id.ljust(_ROW_ID, b"\0")
        # Nobody's events of one day are taken as one person's: they may well be.
        self._units.add(event.subject_id or f"someone on {event.occurred_at:%Y-%m-%d}")
        self._slices.add(self._reading.slice(event))
        self._texts.add(self._reading.text(event))
        self._own.append(self._reading.own(event))

    def tell(self, event: Event) -> None:
        """One that tells an outcome."""
        self._outcome_keys.append(_key(event, self._outcome_key))
        self._outcome_us.append(microseconds(event.occurred_at))
        self._outcome_ids += event.id.encode().ljust(_EVENT_ID, b"\0")
        self._values.append(float(self._reading.value(event)))

    def groups(self) -> Int64:
        """Of everything that was shown, its near-duplicates' group."""
        return clusters(self._texts.values)[self._texts.array()]

    def joined(self, until: datetime, groups: Int64) -> Joined:
        """Everything that was taken, joined."""
        window_us = int(self._rule.window_s * 1e6)
        shown_us = np.frombuffer(self._shown_us, dtype=np.int64) if self._shown_us else np.zeros(0, dtype=np.int64)
        outcome_us = (
            np.frombuffer(self._outcome_us, dtype=np.int64) if self._outcome_us else np.zeros(0, dtype=np.int64)
        )
        row, outcome = _pairs(
            np.array(self._shown_keys, dtype=np.uint64),
            shown_us,
            np.array(self._outcome_keys, dtype=np.uint64),
            outcome_us,
            window_us,
            last_only=self._rule.attribution == "last",
        )
        n = len(shown_us)
        order = np.lexsort((outcome_us[outcome], row))
        row, outcome = row[order], outcome[order]
        per_row = np.bincount(row, minlength=n)
        begins = np.concatenate([[0], np.cumsum(per_row)])
        has = per_row > 0
        latest = outcome[begins[1:][has] - 1]
        values = np.full(n, self._rule.silence)
        values[has] = np.array(self._values)[latest]
        closes_us = shown_us + window_us
        known_us = closes_us.copy()
        elapsed = microseconds(until) - shown_us
        closed = elapsed >= window_us
        weights = np.ones(n)
        kept = closed
        if self._rule.open_windows == "weigh":
            known_us[has] = outcome_us[latest]
            weights, kept = _weights(elapsed, np.where(has, known_us - shown_us, window_us), has | closed)
        rows = self._rows(np.flatnonzero(kept), values, weights, known_us, outcome, begins, shown_us, groups)
        return Joined(rows, int((~kept).sum()), len(outcome_us) - len(np.unique(outcome)))

    def _rows(
        self,
        kept: Int64,
        values: NDArray[np.float64],
        weights: NDArray[np.float64],
        known_us: Int64,
        outcome: Int64,
        begins: Int64,
        shown_us: Int64,
        groups: Int64,
    ) -> Rows:
        shown_ids = np.frombuffer(self._shown_ids, dtype=f"S{_EVENT_ID}")
        outcome_ids = np.frombuffer(self._outcome_ids, dtype=f"S{_EVENT_ID}")
        counts = (begins[1:] - begins[:-1])[kept]
        events_from = np.concatenate([[0], np.cumsum(counts + 1)])
        events = np.empty(int(events_from[-1]), dtype=f"S{_EVENT_ID}")
        events[events_from[:-1]] = shown_ids[kept]
        later = np.ones(len(events), dtype=np.bool_)
        later[events_from[:-1]] = False
        places = np.arange(int(counts.sum())) + np.repeat(begins[:-1][kept] - (np.cumsum(counts) - counts), counts)
        events[later] = outcome_ids[outcome[places]]
        return Rows(
            ids=np.frombuffer(self._row_ids, dtype=f"S{_ROW_ID}")[kept],
            units=tuple(self._units.values),
            unit_of=self._units.array()[kept],
            occurred_us=shown_us[kept],
            known_us=known_us[kept],
            slices=tuple(self._slices.values),
            slice_of=self._slices.array()[kept],
            groups=groups[kept],
            teaches=np.ones(len(kept), dtype=np.bool_),
            own=np.frombuffer(self._own, dtype=np.uint8).astype(np.bool_)[kept],
            weights=weights[kept],
            values=values[kept],
            events=events,
            events_from=events_from,
        )


_EVENT_ID = 36
_ROW_ID = 48


class _Places:
    """Values, each held once, and which of them each row has."""

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._of = array("i")

    def add(self, value: str) -> None:
        """The next row's value."""
        self._of.append(self._place.setdefault(value, len(self._place)))

    @property
    def values(self) -> list[str]:
        """Every value, in the order they first came."""
        return list(self._place)

    def array(self) -> NDArray[np.int32]:
        """Each row's place in `values`."""
        return np.array(self._of, dtype=np.int32)


def _key(event: Event, fields: Sequence[str]) -> int:
    """The key as 64 bits: among a million keys two are taken for one with a chance of one in thirty million."""
    payload: Mapping[str, Any] = event.payload
    said = [payload[name] if name in payload else getattr(event, name, None) for name in fields]
    digest = hashlib.blake2b(f"{event.tenant_id}{said!r}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _pairs(
    shown: NDArray[np.uint64],
    shown_us: Int64,
    outcomes: NDArray[np.uint64],
    outcome_us: Int64,
    window_us: int,
    *,
    last_only: bool,
) -> tuple[Int64, Int64]:
    """Which outcome belongs to which row: their indices, pair by pair."""
    none = np.zeros(0, dtype=np.int64)
    if not len(shown) or not len(outcomes):
        return none, none
    order = np.lexsort((shown_us, shown))
    keys, times = shown[order], shown_us[order]
    # Each key's rows stand together, in time: ranks of moments make key and moment one sortable number.
    moments = np.unique(np.concatenate([times, outcome_us, outcome_us - window_us]))
    distinct = np.unique(keys)
    place = np.searchsorted(distinct, outcomes)
    here = np.flatnonzero(distinct[np.minimum(place, len(distinct) - 1)] == outcomes)
    size = np.int64(len(moments) + 1)
    sorted_rows = np.searchsorted(distinct, keys) * size + np.searchsorted(moments, times)
    base = place[here] * size
    end = np.searchsorted(sorted_rows, base + np.searchsorted(moments, outcome_us[here]), side="right")
    begin = np.searchsorted(sorted_rows, base + np.searchsorted(moments, outcome_us[here] - window_us), side="left")
    if last_only:
        begin = np.maximum(begin, end - 1)
    counts = np.maximum(end - begin, 0)
    places = np.arange(int(counts.sum())) + np.repeat(begin - (np.cumsum(counts) - counts), counts)
    return order[places], np.repeat(here, counts)


def _weights(elapsed: Int64, needed: Int64, told: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Inverse probability of censoring: one over the share of rows old enough to have told what this one told.

    Source: Robins and Rotnitzky, "Recovery of information and adjustment for dependent censoring", 1992.
    """
    seen = told & (elapsed >= needed)
    ages = np.sort(elapsed)
    share = (len(ages) - np.searchsorted(ages, needed, side="left")) / max(1, len(ages))
    weights = np.divide(1.0, share, out=np.zeros(len(ages)), where=share > 0)
    return np.where(seen, weights, 0.0), seen
