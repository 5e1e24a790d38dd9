"""Chance that is written down: a place or two of a list go to wares we know too little of, by linear Thompson sampling.

Each segment (surface and length of history) has a linear model of clicks. `DRAWS` models are drawn from what is
believed; each names the ware it likes best, and the shares of these votes, mixed with an even part for everything in
the pool, are the chances by which one ware is drawn. So the propensity that is logged is not an estimate: given the
draws, which do not look at what follows, it is the chance with which this ware was put there, and none is nought.

Source of the idea: Agrawal and Goyal, "Thompson Sampling for Contextual Bandits with Linear Payoffs", 2013.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.suggest.ranker import FEATURES

SIZE = 1 + len(FEATURES)
DRAWS = 32
EVEN = 0.1
"""The part of the chance that is even over the pool."""
OWED = 0.3
"""The part that goes to new wares that were shown too rarely, while there are any."""
POOL = 16
_SPREAD = 0.3
_RIDGE = 4.0
_STALE = 32

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Explored:
    """A draw: which of the pool, and every chance."""

    chosen: int
    propensities: Floats


class Segment:
    """What is believed of one segment: a Gaussian over weights."""

    def __init__(self) -> None:
        self.precision = np.eye(SIZE) * _RIDGE
        self.told = np.zeros(SIZE)
        self.changes = 0
        self._solved_at = -1
        self._mean = np.zeros(SIZE)
        self._factor = np.eye(SIZE)

    def shown(self, x: Floats) -> None:
        """A ware with these features was shown."""
        self.precision += x[:, None] * x
        self.changes += 1

    def clicked(self, x: Floats, reward: float = 1.0) -> None:
        """And was clicked."""
        self.told += reward * x
        self.changes += 1

    def mean(self) -> Floats:
        """The weights believed in most."""
        self._solve()
        return self._mean

    def drawn(self, rng: np.random.Generator, count: int) -> Floats:
        """Weights drawn from what is believed, a row each."""
        self._solve()
        return np.asarray(self._mean + _SPREAD * (rng.standard_normal((count, SIZE)) @ self._factor.T))

    def _solve(self) -> None:
        # A few changes do not move what is believed; solving at each would cost more than choosing.
        if self._solved_at >= 0 and self.changes - self._solved_at < min(_STALE, 1 + self.changes // 8):
            return
        inverse = np.linalg.inv(self.precision)
        self._mean, self._factor = inverse @ self.told, np.linalg.cholesky(inverse)
        self._solved_at = self.changes


class Explorer:
    """All segments of one shop, and its dice."""

    def __init__(self) -> None:
        self._segments: dict[tuple[str, int], Segment] = {}
        self._bits = np.random.SFC64(0)
        self._dice = np.random.Generator(self._bits)

    def of(self, surface: str, bucket: int) -> Segment:
        """The segment of this surface and length of history."""
        found = self._segments.get((surface, bucket))
        if found is None:
            found = self._segments[surface, bucket] = Segment()
        return found

    def dice(self, told: str) -> np.random.Generator:
        """Dice that fall by these words alone, until they are asked for again; new ones would take 9 µs more."""
        state = np.empty(4, np.uint64)
        state[:3] = np.frombuffer(hashlib.blake2b(told.encode(), digest_size=24).digest(), np.uint64)
        state[3] = 1  # the counter of SFC64
        self._bits.state = {"bit_generator": "SFC64", "state": {"state": state}, "has_uint32": 0, "uinteger": 0}
        return self._dice


def drawn(rng: np.random.Generator, weights: Floats, x: Floats, owed: NDArray[np.bool_] | None = None) -> Explored:
    """Choose one of a pool.

    Args:
        weights: drawn by `Segment.drawn`.
        x: `(pool, SIZE)`: one, then the features.
        owed: which are new and were shown too rarely; None: none of them.
    """
    chances = propensities(weights, x, owed)
    at = int(chances.cumsum().searchsorted(rng.random(), side="right"))
    return Explored(min(at, len(x) - 1), chances)


def propensities(weights: Floats, x: Floats, owed: NDArray[np.bool_] | None = None) -> Floats:
    """With what chance each of the pool is chosen, given drawn weights.

    >>> weights = np.zeros((4, 2)); weights[:3, 0] = 1.0; weights[3, 1] = 1.0
    >>> propensities(weights, np.eye(2)).round(3).tolist()
    [0.725, 0.275]
    """
    count = 0 if owed is None else int(np.count_nonzero(owed))
    votes = np.bincount((weights @ x.T).argmax(1), minlength=len(x))
    voted = 1 - EVEN if not count else (1 - EVEN) * (1 - OWED)
    chances = votes * (voted / len(weights)) + EVEN / len(x)
    if owed is not None and count:
        chances[owed] += (1 - EVEN) * OWED / count
    return np.asarray(chances)
