"""Counts that follow every event: what came after what, and what is wanted now.

Both fade with time by forward decay (Cormode et al. 2009): a count is written larger the later it is made, so that
nothing that is already there has to be touched. Memory is bounded: so many followers an item, the weakest gives way.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ikkan.apps.shop.rules.next_item.encoder import DAMAGED, Float32Array
from ikkan.ground.errors import BadFile

WINDOW = 10
"""Events before this one that it is a follower of; the nearest counts most."""
BACKWARD = 0.25
"""What an event says of the way back: who bought the case may still want the phone, but less."""
OFTEN_SEEN, OFTEN_FOLLOWING = 0.5, 0.15
"""Powers by which a much seen item says less of its followers, and a much seen follower is expected anyway.

These three were chosen on the validation items of two published sets (`benchmarks/LOG.md`)."""
TOO_LARGE = 60.0
"""Exponents beyond this are brought down, all counts at once."""


class Covisits:
    """What followed what, near and lately: directed, so that the case comes after the phone rather than before it.

    Args:
        items: how many there are; `grow` makes room for more.
        followers: kept an item. When full, the weakest makes room (the newcomer starts from nothing).
        half_life_s: after so long a count is worth half; None keeps all.
    """

    def __init__(self, items: int, *, followers: int = 128, half_life_s: float | None = None) -> None:
        self.followers, self.half_life_s = followers, half_life_s
        self.rows = np.full((items, followers), -1, dtype=np.int32)
        self.values = np.zeros((items, followers), dtype=np.float32)
        self.seen = np.zeros(items, dtype=np.float32)
        self._begin: float | None = None

    def see(self, previous_rows: Sequence[int] | npt.NDArray[np.integer], row: int, at: float) -> None:
        """An event: this item, after those (oldest first), at this second."""
        worth = self._worth(at)
        self.seen[row] += worth
        for distance, before in enumerate(reversed(previous_rows[-WINDOW:]), start=1):
            if before != row:
                self._add(int(before), row, worth / distance)
                self._add(row, int(before), BACKWARD * worth / distance)

    def _add(self, before: int, after: int, worth: float) -> None:
        kept, values = self.rows[before], self.values[before]
        found = np.flatnonzero(kept == after)
        place = int(found[0]) if len(found) else int(np.argmin(np.where(kept < 0, -1.0, values)))
        if not len(found):
            kept[place], values[place] = after, 0.0
        values[place] += worth

    def see_all(self, histories: Iterable[npt.NDArray[np.integer]]) -> None:
        """Many histories at once, when it does not matter how old they are."""
        items = len(self.seen)
        pairs: list[npt.NDArray[np.int64]] = []
        worths: list[npt.NDArray[np.float64]] = []
        for each in histories:
            np.add.at(self.seen, each, np.float32(1.0))
            for distance in range(1, min(WINDOW, len(each) - 1) + 1):
                before, after = each[:-distance].astype(np.int64), each[distance:].astype(np.int64)
                other = before != after
                pairs += [(before * items + after)[other], (after * items + before)[other]]
                worths += [np.full(int(other.sum()), 1.0 / distance), np.full(int(other.sum()), BACKWARD / distance)]
        if not pairs:
            return
        keys, places = np.unique(np.concatenate(pairs), return_inverse=True)
        sums = np.bincount(places, np.concatenate(worths))
        for before in np.unique(keys // items):
            low, high = np.searchsorted(keys, (before * items, (before + 1) * items))
            best = low + np.argsort(-sums[low:high])[: self.followers]
            self.rows[before, : len(best)] = keys[best] % items
            self.values[before, : len(best)] = sums[best]

    def scores(self, rows: Sequence[int] | npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int32], Float32Array]:
        """Items that followed these, in order of rows, and how much speaks for each; the nearer an event, the more."""
        recent = np.asarray(rows[-WINDOW:], dtype=np.int64)[::-1]
        if not len(recent):
            return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
        found = self.rows[recent]
        nearness = 1.0 / np.arange(1, len(recent) + 1)
        weight = self.values[recent] * (nearness / (self.seen[recent] + 1.0) ** OFTEN_SEEN)[:, None]
        there = found >= 0
        named, places = np.unique(found[there], return_inverse=True)
        sums = np.bincount(places, weight[there]) / (self.seen[named] + 1.0) ** OFTEN_FOLLOWING
        return named.astype(np.int32), sums.astype(np.float32)

    def to_files(self) -> dict[str, bytes]:
        """As a file of an artifact."""
        return {
            "covisits.npz": _packed(self.half_life_s, self._begin, rows=self.rows, values=self.values, seen=self.seen)
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Covisits:
        """What `to_files` wrote."""
        held, half_life_s, begin = _unpacked(files, "covisits.npz")
        made = cls(0, followers=held["rows"].shape[1], half_life_s=half_life_s)
        made.rows, made.values, made.seen, made._begin = held["rows"], held["values"], held["seen"], begin
        return made

    def grow(self, items: int) -> None:
        """Make room for items that came since."""
        more = items - len(self.seen)
        if more > 0:
            self.rows = np.concatenate([self.rows, np.full((more, self.followers), -1, dtype=np.int32)])
            self.values = np.concatenate([self.values, np.zeros((more, self.followers), dtype=np.float32)])
            self.seen = np.concatenate([self.seen, np.zeros(more, dtype=np.float32)])

    def _worth(self, at: float) -> float:
        if self.half_life_s is None:
            return 1.0
        if self._begin is None:
            self._begin = at
        exponent = (at - self._begin) / self.half_life_s
        if exponent > TOO_LARGE:
            self.values *= np.float32(2.0**-exponent)
            self.seen *= np.float32(2.0**-exponent)
            self._begin, exponent = at, 0.0
        return float(2.0 ** max(exponent, -TOO_LARGE))


class Popularity:
    """How much each item is wanted now.

    Args:
        items: how many there are.
        half_life_s: after so long an event is worth half; None counts all alike.
    """

    def __init__(self, items: int, *, half_life_s: float | None = None) -> None:
        self.half_life_s = half_life_s
        self.counts = np.zeros(items, dtype=np.float64)
        self._begin: float | None = None

    def see(self, row: int, at: float) -> None:
        """An event with this item, at this second."""
        if self.half_life_s is None:
            self.counts[row] += 1.0
            return
        if self._begin is None:
            self._begin = at
        exponent = (at - self._begin) / self.half_life_s
        if exponent > TOO_LARGE:
            self.counts *= 2.0**-exponent
            self._begin, exponent = at, 0.0
        self.counts[row] += 2.0 ** max(exponent, -TOO_LARGE)

    def shares(self) -> Float32Array:
        """Each item's share of what is wanted, smoothed so that none is nothing."""
        held = self.counts + 0.01 * max(self.counts.mean(), 1e-9)
        made: Float32Array = (held / held.sum()).astype(np.float32)
        return made

    def to_files(self) -> dict[str, bytes]:
        """As a file of an artifact."""
        return {"popularity.npz": _packed(self.half_life_s, self._begin, counts=self.counts)}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Popularity:
        """What `to_files` wrote."""
        held, half_life_s, begin = _unpacked(files, "popularity.npz")
        made = cls(0, half_life_s=half_life_s)
        made.counts, made._begin = held["counts"], begin
        return made

    def grow(self, items: int) -> None:
        """Make room for items that came since."""
        self.counts = np.concatenate([self.counts, np.zeros(max(0, items - len(self.counts)))])


def _packed(half_life_s: float | None, begin: float | None, **arrays: npt.NDArray[np.generic]) -> bytes:
    times = np.array([np.nan if each is None else each for each in (half_life_s, begin)])
    held = io.BytesIO()
    np.savez(held, allow_pickle=False, times=times, **arrays)
    return held.getvalue()


def _unpacked(files: Mapping[str, bytes], name: str) -> tuple[dict[str, npt.NDArray[Any]], float | None, float | None]:
    try:
        with np.load(io.BytesIO(files[name]), allow_pickle=False) as held:
            arrays = {each: held[each] for each in held.files}
        half_life_s, begin = (None if np.isnan(each) else float(each) for each in arrays.pop("times"))
    except DAMAGED as error:
        raise BadFile(f"{name} does not hold counts", hint="train the next-item model again") from error
    return arrays, half_life_s, begin
