"""What many want just now: a count that halves every week, changed by each event."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

HALF_LIFE_S = 7 * 86_400.0
WEIGHTS: dict[str, float] = {
    "viewed": 1.0,
    "carted": 3.0,
    "uncarted": -1.0,
    "bought": 6.0,
    "returned": -6.0,
    "complained": -6.0,
    "disliked": -2.0,
    "searched": 0.0,
}
_FRESH_S = 5.0


class Popularity:
    """Decayed counts by row of the shelf.

    >>> popular = Popularity(0.0)
    >>> popular.add(3, "bought", 0.0); popular.add(1, "viewed", 0.0)
    >>> popular.top(2, 0.0).tolist(), [round(float(each), 2) for each in popular.of(np.array([3, 2]), HALF_LIFE_S)]
    ([3, 1], [1.0, 0.0])
    """

    def __init__(self, began_s: float) -> None:
        self._began_s = began_s
        # Weights grow with time instead of all counts shrinking: 2 ** 1000 is 19 years away.
        self._counts = np.zeros(1_024)
        self._top: NDArray[np.int64] = np.zeros(0, np.int64)
        self._top_at_s = -1e18
        self._touched: deque[int] = deque(maxlen=64)
        self._told: dict[int, NDArray[np.int64]] = {}
        """What `top` said since anything changed, by how many were wanted."""

    def add(self, row: int, deed: str, at_s: float) -> None:
        """Count one event."""
        if row >= len(self._counts):
            self._counts = np.concatenate([self._counts, np.zeros(max(len(self._counts), row))])
        self._counts[row] += WEIGHTS[deed] * 2.0 ** ((at_s - self._began_s) / HALF_LIFE_S)
        self._told.clear()
        if not self._touched or self._touched[-1] != row:
            self._touched.append(row)

    def of(self, rows: NDArray[np.int64], now_s: float) -> NDArray[np.float32]:
        """How wanted these rows are, 0 to about 1: 1 for the most wanted of the shelf."""
        known = np.zeros(len(rows))
        inside = rows < len(self._counts)
        known[inside] = self._counts[rows[inside]]
        known = np.log1p(np.maximum(known, 0.0) * self._scale(now_s))
        return np.asarray(known / np.log1p(max(self._peak * self._scale(now_s), 2.0)), np.float32)

    def top(self, k: int, now_s: float) -> NDArray[np.int64]:
        """The rows most wanted, and those that were touched last; best first among the former."""
        if now_s - self._top_at_s > _FRESH_S or self._top_at_s > now_s or len(self._top) < min(k, len(self._counts)):
            best = np.argsort(-self._counts)[:k] if len(self._counts) <= 4_096 else _largest(self._counts, k)
            self._top = best[self._counts[best] > 0.0]
            self._top_at_s = now_s
            self._told.clear()
        told = self._told.get(k)
        if told is None:
            extra = [row for row in dict.fromkeys(self._touched) if self._counts[row] > 0.0]
            told = np.asarray(list(dict.fromkeys([*self._top[:k].tolist(), *extra])), np.int64)
            self._told[k] = told
        return told

    @property
    def _peak(self) -> float:
        return float(self._counts[self._top[0]]) if len(self._top) else float(self._counts.max(initial=0.0))

    def _scale(self, now_s: float) -> float:
        return float(2.0 ** (-(now_s - self._began_s) / HALF_LIFE_S))


def _largest(values: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    best = np.argpartition(-values, min(k, len(values) - 1))[:k]
    return np.asarray(best[np.argsort(-values[best])], np.int64)
