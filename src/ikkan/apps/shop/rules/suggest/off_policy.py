"""What another way to fill the explored places would have earned, from what was logged with its chances.

IPS weighs each click by how much likelier the other policy would have shown that ware. Doubly robust adds a model of
clicks and weighs only its mistakes: right where either the chances or the model are, and less noisy.

Source of the idea: Dudík, Langford and Li, "Doubly Robust Policy Evaluation and Learning", 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.values import Interval, PolicyValue

Floats = NDArray[np.float64]
MOST_WEIGHT = 50.0
"""A weight above this is cut: a little bias for much less noise. The floor of the chances keeps ours below it."""
_RIDGE = 1.0


@dataclass(frozen=True, slots=True)
class Logged:
    """One explored place: the pool it was drawn from, which was drawn with what chance, and what came of it."""

    x: Floats
    """`(pool, features)`."""
    chosen: int
    propensity: float
    reward: float
    unit: str
    """Whose it was: places of one person are not independent."""
    blend: int = 0
    """Which of the pool the blend liked best."""


Target = Callable[[Logged], Floats]
"""With what chance a policy would show each of the pool."""


def uniform(logged: Logged) -> Floats:
    """Each with the same chance."""
    return np.full(len(logged.x), 1.0 / len(logged.x))


def blend(logged: Logged) -> Floats:
    """What the blend likes best, always."""
    return np.asarray(np.arange(len(logged.x)) == logged.blend, np.float64)


def linear(weights: Floats) -> Target:
    """What a linear model likes best, always."""

    def chances(logged: Logged) -> Floats:
        return np.asarray(np.arange(len(logged.x)) == int((logged.x @ weights).argmax()), np.float64)

    return chances


def clicks_by_ridge(log: Sequence[Logged]) -> Floats:
    """A linear model of clicks, from what was shown."""
    x = np.stack([each.x[each.chosen] for each in log])
    y = np.array([each.reward for each in log])
    weights: Floats = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y)
    return weights


def estimates(log: Sequence[Logged], target: Target) -> tuple[Floats, Floats]:
    """IPS and doubly robust terms, one a place; their means are the estimates.

    The model of clicks for one half of the people is learned from the other, so that it cannot know its own noise.
    """
    halves = np.array([_half(each.unit) for each in log])
    models = []
    for half in (0, 1):
        others = [each for each, its in zip(log, halves, strict=True) if its != half]
        models.append(clicks_by_ridge(others) if others else np.zeros(log[0].x.shape[1]))
    ips, dr = np.empty(len(log)), np.empty(len(log))
    for at, each in enumerate(log):
        wanted = target(each)
        weight = min(float(wanted[each.chosen]) / each.propensity, MOST_WEIGHT)
        guessed = np.clip(each.x @ models[halves[at]], 0.0, 1.0)
        ips[at] = weight * each.reward
        dr[at] = float(wanted @ guessed) + weight * (each.reward - guessed[each.chosen])
    return ips, dr


def value_of(name: str, log: Sequence[Logged], target: Target, rng: np.random.Generator) -> PolicyValue:
    """Both estimates with their bounds."""
    ips, dr = estimates(log, target)
    units = [each.unit for each in log]
    return PolicyValue(name, bootstrap(ips, units, rng), bootstrap(dr, units, rng), len(log))


def bootstrap(
    terms: Floats, units: Sequence[str], rng: np.random.Generator, *, rounds: int = 1_000, total: bool = False
) -> Interval:
    """The mean (or sum) of terms, with bounds by drawing whole units anew.

    >>> bounds = bootstrap(np.ones(8), list("aabbccdd"), np.random.default_rng(0))
    >>> (bounds.value, bounds.low, bounds.high)
    (1.0, 1.0, 1.0)
    """
    if not len(terms):
        return Interval(0.0, 0.0, 0.0)
    _, at = np.unique(np.asarray(units), return_inverse=True)
    sums, counts = np.bincount(at, terms), np.bincount(at).astype(np.float64)
    shares = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=rounds)
    drawn = shares @ sums if total else (shares @ sums) / np.maximum(shares @ counts, 1.0)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(float(terms.sum() if total else terms.mean()), float(low), float(high))


def _half(unit: str) -> int:
    return sum(unit.encode()) & 1
