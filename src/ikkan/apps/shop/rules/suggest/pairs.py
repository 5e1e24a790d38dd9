"""What goes together: decayed counts of pairs, changed by each event and bounded a row.

The shape is that of `rules.next_item.covisits.Covisits`; this one is plain enough to count baskets too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

HALF_LIFE_S = 30 * 86_400.0
NEIGHBOURS = 64
_ROOM = 96
STRONGEST = 80
"""So many of what goes together are candidates."""

Scores = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Rows, and how much each goes with what was asked about."""


class Together(Protocol):
    """Counts pairs of rows."""

    def see(self, previous_rows: Sequence[int], row: int, at: float) -> None:
        """A person came to `row` after `previous_rows`, the latest last; `at` in seconds."""
        ...

    def scores(self, rows: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """What goes with these rows, and how much, the latest of them counting most."""
        ...

    @property
    def fade(self) -> float:
        """What a row counts beside the one after it."""
        ...

    def among(self, rows: Sequence[int], others: Sequence[int]) -> NDArray[np.float32]:
        """How much each of `others` goes with each of `rows` alone: `(rows, others)`."""
        ...


class Pairs:
    """Counts in dicts of dicts.

    >>> pairs = Pairs(0.0)
    >>> pairs.see([1], 2, 0.0); pairs.see([1], 2, 5.0); pairs.see([1], 3, 9.0)
    >>> rows, values = pairs.scores([1])
    >>> int(rows[values.argmax()]), sorted(rows.tolist())
    (2, [2, 3])
    """

    fade = 0.8

    def __init__(self, began_s: float) -> None:
        self._began_s = began_s
        self._counts: dict[int, dict[int, float]] = {}
        self._totals: dict[int, float] = {}

    def see(self, previous_rows: Sequence[int], row: int, at: float) -> None:
        weight = 2.0 ** ((at - self._began_s) / HALF_LIFE_S)
        for before in reversed(previous_rows):
            if before == row:
                continue
            self._add(before, row, weight)
            self._add(row, before, weight * 0.5)
            weight *= 0.6

    def scores(self, rows: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `Together.scores`. Counts are divided by the root of both rows' totals: what goes with everything says
        little."""
        found: dict[int, float] = {}
        weight, totals = 1.0, self._totals
        for row in reversed(rows):
            near = self._counts.get(row)
            if near:
                own = weight / totals[row] ** 0.5
                for other, count in near.items():
                    found[other] = found.get(other, 0.0) + own * count / totals[other] ** 0.5
            weight *= self.fade
        return (
            np.fromiter(found, np.int64, len(found)),
            np.fromiter(found.values(), np.float32, len(found)),
        )

    def among(self, rows: Sequence[int], others: Sequence[int]) -> NDArray[np.float32]:
        """See `Together.among`."""
        nothing: dict[int, float] = {}
        found = [self._counts.get(row, nothing) for row in rows]
        # Looked up without a step of Python each: this is asked for every list.
        looked = chain.from_iterable([map(near.get, others, repeat(0.0)) for near in found])
        counts = np.fromiter(looked, np.float64, len(rows) * len(others)).reshape(len(rows), len(others))
        totals = np.fromiter(
            map(self._totals.get, chain(rows, others), repeat(1.0)), np.float64, len(rows) + len(others)
        )
        return np.asarray(counts / np.sqrt(totals[: len(rows), None] * totals[len(rows) :]), np.float32)

    def _add(self, row: int, other: int, weight: float) -> None:
        near = self._counts.setdefault(row, {})
        near[other] = near.get(other, 0.0) + weight
        self._totals[row] = self._totals.get(row, 0.0) + weight
        self._totals.setdefault(other, weight)
        if len(near) > _ROOM:
            kept = sorted(near.items(), key=lambda pair: -pair[1])[:NEIGHBOURS]
            self._counts[row] = dict(kept)


def by_row(found: Scores) -> Scores:
    """The same, sorted by row, so that one is found by halving."""
    rows, values = found
    order = rows.argsort()
    return rows[order], values[order]


def strongest(found: Scores) -> NDArray[np.int64]:
    """The rows that go best, in no order."""
    rows, values = found
    return rows if len(rows) <= STRONGEST else rows[values.argpartition(-STRONGEST)[-STRONGEST:]]
