"""The blend: a small logistic ranker with weights for each length of history, sane before it was ever fitted.

Its answer is a probability, so what it says can be compared with what happened. Fitting draws the weights away from
the defaults only as far as the data insist. What stands further down is looked at less, whatever it is: fitting gives
that a number of its own, by which nothing is ordered.

Source of that number: a place is looked at with a chance of one over its number to some power; Joachims, Swaminathan
and Schnabel, "Unbiased Learning-to-Rank with Biased Feedback", 2017. Ours falls in log-odds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.ground.errors import BadFile

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

FILE = "blend.json"
"""Where an artifact keeps it."""

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
    fades: Floats = field(default_factory=lambda: np.zeros(len(BUCKETS)))
    """By bucket: how fast log-odds fall with the logarithm of the place, from 1."""

    def odds(self, features: NDArray[np.float32], bucket: int) -> NDArray[np.float32]:
        """Log-odds of each row of `(n, features)`, were it the first of the list."""
        weights = self.weights[bucket].astype(np.float32)
        return np.asarray(features @ weights[1:] + weights[0], np.float32)

    def expected(self, scores: Any, bucket: int) -> Floats:
        """With what chance each place of a list, in order, is clicked, from that of each were it the first.

        >>> Ranker(fades=np.ones(4)).expected([0.5, 0.5, 0.5], 0).round(2).tolist()
        [0.5, 0.33, 0.25]
        """
        first = np.minimum(np.maximum(np.asarray(scores, np.float64), 1e-12), 1 - 1e-12)
        if not self.fades[bucket]:
            return first
        odds = np.log(first / (1 - first)) - self.fades[bucket] * np.log(1.0 + np.arange(len(first)))
        return _sigmoid(odds)

    def to_files(self) -> dict[str, bytes]:
        """As an artifact keeps it."""
        told = {
            "features": list(FEATURES),
            "buckets": list(BUCKETS),
            "weights": self.weights.round(6).tolist(),
            "fades": self.fades.round(6).tolist(),
        }
        return {FILE: json.dumps(told, sort_keys=True).encode()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Ranker:
        """As an artifact kept it; features it does not know keep their default weight.

        Raises:
            BadFile: it is not there, or no ranker.

        >>> bool((Ranker.from_files(Ranker().to_files()).weights == Ranker().weights).all())
        True
        """
        made = cls().weights
        try:
            told = json.loads(files[FILE])
            names = list(told["features"])
            kept, fades = np.array(told["weights"], np.float64), np.array(told["fades"], np.float64)
            fits = kept.shape == (len(made), 1 + len(names)) and fades.shape == (len(made),)
            if not fits or told["buckets"] != list(BUCKETS) or not np.isfinite([*kept.ravel(), *fades]).all():
                raise BadFile("this blend has not one row of numbers for each length of history", hint="train it again")
        except (KeyError, TypeError, ValueError) as exc:
            raise BadFile("this is not the file of a blend", hint="train it again") from exc
        made[:, 0] = kept[:, 0]
        for at, name in enumerate(names):
            if name in FEATURES:
                made[:, 1 + FEATURES.index(name)] = kept[:, 1 + at]
        return cls(made, fades)


def fitted(
    features: NDArray[np.float32],
    clicked: NDArray[np.bool_],
    buckets: NDArray[np.int64],
    places: NDArray[np.int64],
    *,
    strength: float = 3.0,
    start: Ranker | None = None,
) -> Ranker:
    """A ranker from what was shown and what of it was clicked.

    Args:
        features: `(n, features)` as served.
        places: of each in its list, from 0.
        strength: how many clicks' worth the weights at the start are.
        start: where the weights are drawn to; None: the defaults.

    Returns:
        Weights that minimise log loss plus the squared way from the start: logistic regression by Newton's steps.
    """
    begin = start or Ranker()
    weights, fades = begin.weights.copy(), begin.fades.copy()
    # How often people click at all, and how far down they look, is read from the data.
    pull = np.array([1.0, *[strength] * len(FEATURES), 1.0])
    for bucket in range(len(BUCKETS)):
        mine = buckets == bucket
        if not mine.any():
            continue
        x = np.column_stack([np.ones(int(mine.sum())), features[mine], -np.log(1.0 + places[mine])]).astype(np.float64)
        found = _descended(x, clicked[mine].astype(np.float64), np.append(weights[bucket], fades[bucket]), pull)
        weights[bucket], fades[bucket] = found[:-1], found[-1]
    return Ranker(weights, fades)


def level(clicked: NDArray[np.bool_], buckets: NDArray[np.int64], places: NDArray[np.int64]) -> Ranker:
    """A ranker that knows how often each place is clicked, and nothing of what stands there."""
    blank = Ranker()
    blank.weights[:, 1:] = 0.0
    return fitted(np.zeros((len(clicked), len(FEATURES)), np.float32), clicked, buckets, places, start=blank)


def _descended(x: Floats, y: Floats, start: Floats, pull: Floats) -> Floats:
    weights = start.copy()
    for _ in range(25):
        p = _sigmoid(x @ weights)
        slope = x.T @ (p - y) + pull * (weights - start)
        bend = (x * (p * (1 - p))[:, None]).T @ x + np.diag(pull)
        step = np.linalg.solve(bend, slope)
        weights -= step * min(1.0, 4.0 / max(1e-9, float(np.abs(step).max())))
        if float(np.abs(step).max()) < 1e-6:
            break
    return weights


def probability(odds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-odds as a probability."""
    # Not `clip`, which takes three times as long for a few numbers.
    return np.asarray(1.0 / (1.0 + np.exp(np.minimum(np.maximum(-odds, -30.0), 30.0))), np.float32)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -30, 30))))
