"""How high the item that came next stood among all items not yet seen: full ranking, no sampled opponents.

This file needs numpy alone, so that another program's environment can measure with the very same lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CUTS = (5, 10, 20)


def ranks(
    scores: npt.NDArray[np.floating], seen: Sequence[npt.NDArray[np.integer]], targets: npt.NDArray[np.integer]
) -> npt.NDArray[np.int64]:
    """Rank each person's target, 1 for the best, among the items that this person has not seen.

    A target is a candidate even when it was seen before. Equal scores count against the target, so a model that
    gives everything one score earns nothing. A target without a score (`-inf`, or a row the model does not know)
    ranks last.

    Args:
        scores: `(people, items)`; entries of seen items are overwritten with `-inf`.
        seen: rows of seen items, person by person.
        targets: one row a person; negative or beyond the matrix means unknown to the model.

    >>> ranks(np.array([[0.9, 0.5, 0.4]]), [np.array([0])], np.array([2])).tolist()
    [2]
    """
    people, items = scores.shape
    known = (targets >= 0) & (targets < items)
    at = np.where(known, targets, 0)
    who = np.arange(people)
    own = np.where(known, scores[who, at], -np.inf)
    if len(seen):
        lengths = np.array([len(each) for each in seen])
        scores[np.repeat(who, lengths), np.concatenate([np.asarray(each, dtype=np.int64) for each in seen])] = -np.inf
    scores[who, at] = -np.inf
    better = (scores >= own[:, None]).sum(axis=1)
    made: npt.NDArray[np.int64] = np.where(np.isneginf(own), items, better + 1).astype(np.int64)
    return made


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over people, with the 95 % interval of a bootstrap over people."""

    mean: float
    low: float
    high: float


def gains(found: npt.NDArray[np.int64], cut: int) -> dict[str, npt.NDArray[np.float64]]:
    """Per person: NDCG and hit rate at a cut, for one relevant item each."""
    hit = found <= cut
    return {f"ndcg@{cut}": np.where(hit, 1.0 / np.log2(found + 1.0), 0.0), f"hr@{cut}": hit.astype(np.float64)}


def means(found: npt.NDArray[np.int64]) -> dict[str, float]:
    """NDCG and hit rate at 5, 10 and 20, averaged over people."""
    return {name: float(values.mean()) for cut in CUTS for name, values in gains(found, cut).items()}


def bootstrap(values: npt.NDArray[np.float64], *, rounds: int = 1000, seed: int = 0) -> Interval:
    """The mean of per-person values, and where it would lie in 95 of 100 other draws of as many people."""
    generator = np.random.default_rng(seed)
    count = len(values)
    drawn = np.array([values[generator.integers(0, count, count)].mean() for _ in range(rounds)])
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))
