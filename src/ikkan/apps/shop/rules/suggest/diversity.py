"""A list whose places are unlike each other: maximal marginal relevance, with caps a category and a seller.

Source of the idea: Carbonell and Goldstein, "The Use of MMR", 1998.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RELEVANCE = 0.75
"""What is left of a place's worth goes to being unlike those before it."""


def unlike(
    worth: NDArray[np.float32],
    vectors: NDArray[np.float32],
    n: int,
    *,
    groups: Sequence[tuple[NDArray[np.int32], int]] = (),
    relevance: float = RELEVANCE,
    first: Sequence[int] = (),
) -> list[int]:
    """Which of the candidates to take, in order.

    Args:
        worth: of each candidate, in any unit.
        vectors: of unit length, a row a candidate.
        groups: a group number for each candidate, and how many of one group may be taken; -1 is in no group.
        first: taken whatever they are worth; they count.

    >>> vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    >>> unlike(np.array([1.0, 0.85, 0.8], np.float32), vectors, 2)
    [0, 2]
    >>> one = np.array([1, 1, 1], np.int32)
    >>> unlike(np.array([1.0, 0.85, 0.8], np.float32), vectors, 3, groups=[(one, 1)])
    [0]
    """
    count = len(worth)
    if count == 0 or n <= 0:
        return []
    least = worth.min()
    span = float(worth.max() - least)
    value = np.asarray((worth - least) * np.float32(relevance / (span if span > 1e-9 else 1.0)), np.float32)
    likeness = (vectors @ vectors.T) * np.float32(1 - relevance)
    nearest, left = np.zeros(count, np.float32), np.empty(count, np.float32)
    kinds = [(numbers, numbers.tolist(), most, dict[int, int]()) for numbers, most in groups]
    taken: list[int] = []
    waiting = list(first)
    for _ in range(min(n, count)):
        if waiting:
            best = waiting.pop(0)
        else:
            np.subtract(value, nearest, out=left)
            best = int(left.argmax())
            if left[best] == -np.inf:
                break
        taken.append(best)
        value[best] = -np.inf
        np.maximum(nearest, likeness[best], out=nearest)
        for numbers, listed, most, used in kinds:
            group = listed[best]
            if group >= 0:
                used[group] = used.get(group, 0) + 1
                if used[group] >= most:
                    value[numbers == group] = -np.inf
    return taken


def distance(vectors: NDArray[np.float32]) -> float:
    """How unlike the places of one list are on average, 0 to 1: one minus the mean product of two."""
    if len(vectors) < 2:
        return 0.0
    likeness = vectors @ vectors.T
    pairs = len(vectors) * (len(vectors) - 1)
    return float(np.clip(1.0 - (likeness.sum() - np.trace(likeness)) / pairs, 0.0, 1.0))
