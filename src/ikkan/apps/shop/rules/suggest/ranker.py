"""The blend: a small logistic ranker with weights for each length of history, sane before it was ever fitted.

Its answer is a probability, so what it says can be compared with what happened. Fitting draws the weights away from
the defaults only as far as the data insist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEATURES = (
    "space", "together", "bought_with", "popular", "facets", "new", "price", "due", "rank", "ignored", "unlike",
    "query",
)  # fmt: skip
"""What is known of a candidate, each about 0 to 1: nearness in vector space, what goes with the last events, what is
bought with the basket, popularity, likeness to what the person dealt with, newness, nearness to their prices, dueness,
the place a search gave it, how often it was shown and ignored, likeness to what they rejected, likeness to what the
page is about."""
BUCKETS = (0, 1, 3, 6)
"""Histories of no event, 1-2, 3-5, and more."""

_DEFAULTS: tuple[tuple[float, ...], ...] = (
    # space together bought popular facets new price due rank ignored unlike query
    (0.0, 1.0, 1.0, 2.5, 0.0, 0.4, 0.0, 0.0, 2.0, -0.8, 0.0, 1.5),
    (1.5, 2.0, 1.2, 1.2, 1.2, 0.3, 0.3, 1.5, 2.0, -0.8, -4.0, 1.5),
    (1.8, 2.2, 1.2, 0.9, 1.2, 0.3, 0.4, 1.5, 2.0, -0.8, -4.0, 1.5),
    (2.2, 2.2, 1.2, 0.7, 1.0, 0.3, 0.5, 1.5, 2.0, -0.8, -4.0, 1.5),
)
_INTERCEPT = -4.0
"""A place of a list is clicked about twice in a hundred times where nothing is known."""

Floats = NDArray[np.float64]


def bucket_of(events: int) -> int:
    """Which weights a history of so many events takes.

    >>> [bucket_of(events) for events in (0, 2, 3, 200)]
    [0, 1, 2, 3]
    """
    return sum(events >= least for least in BUCKETS) - 1


@dataclass(frozen=True, slots=True)
class Ranker:
    """Weights by bucket: `(buckets, 1 + features)`, the intercept first."""

    weights: Floats = field(default_factory=lambda: np.array([(_INTERCEPT, *row) for row in _DEFAULTS]))

    def odds(self, features: NDArray[np.float32], bucket: int) -> NDArray[np.float32]:
        """Log-odds of each row of `(n, features)`."""
        weights = self.weights[bucket].astype(np.float32)
        return np.asarray(features @ weights[1:] + weights[0], np.float32)

    def to_json(self) -> dict[str, Any]:
        """As an artifact keeps it."""
        return {"features": list(FEATURES), "buckets": list(BUCKETS), "weights": self.weights.tolist()}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Ranker:
        """As an artifact kept it; features it does not know keep their default weight.

        >>> bool((Ranker.from_json(Ranker().to_json()).weights == Ranker().weights).all())
        True
        """
        made = Ranker().weights
        kept = np.asarray(told["weights"], np.float64)
        assert kept.shape == (len(BUCKETS), 1 + len(told["features"])), "weights have a row a bucket"
        made[:, 0] = kept[:, 0]
        for at, name in enumerate(told["features"]):
            if name in FEATURES:
                made[:, 1 + FEATURES.index(name)] = kept[:, 1 + at]
        return cls(made)


def fitted(
    features: NDArray[np.float32], clicked: NDArray[np.bool_], buckets: NDArray[np.int64], *, strength: float = 20.0
) -> Ranker:
    """A ranker from what was shown and what of it was clicked.

    Args:
        features: `(n, features)` as served.
        strength: how many clicks' worth the defaults are.

    Returns:
        Weights that minimise log loss plus the squared way from the defaults: logistic regression by Newton's steps.
    """
    made = Ranker().weights
    for bucket in range(len(BUCKETS)):
        mine = buckets == bucket
        if not mine.any():
            continue
        x = np.column_stack([np.ones(int(mine.sum())), features[mine]]).astype(np.float64)
        y = clicked[mine].astype(np.float64)
        start = made[bucket].copy()
        pull = np.full(len(start), strength)
        pull[0] = 1e-3  # how often people click at all is read from the data
        weights = start.copy()
        for _ in range(25):
            p = _sigmoid(x @ weights)
            slope = x.T @ (p - y) + pull * (weights - start)
            bend = (x * (p * (1 - p))[:, None]).T @ x + np.diag(pull)
            step = np.linalg.solve(bend, slope)
            weights -= step * min(1.0, 4.0 / max(1e-9, float(np.abs(step).max())))
            if float(np.abs(step).max()) < 1e-6:
                break
        made[bucket] = weights
    return Ranker(made)


def probability(odds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-odds as a probability."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -30, 30))), np.float32)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -30, 30))))
