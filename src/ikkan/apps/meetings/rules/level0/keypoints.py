"""Key points: what to read first if there is room for so many words and no more.

Each unit is worth the words it brings that a summary is likely to hold and that were not brought yet, times how likely
the unit itself is important. Taken greedily, the first so many words are a good extract at any length.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0.features import Float64
from ikkan.apps.meetings.rules.level0.rates import Heard

USUAL_SUMMARY_WORDS = 300
"""What people wrote of a meeting had 290 words on average."""
FEWEST_WORDS = 5
"""A line that stands alone has at least so many."""
_COPIES = 40
_SPREAD = 4.0
"""Counts of a word vary more than Poisson's: negative binomial with this shape."""
_TRUST = 0.5
"""How much the importance of a unit counts beside the worth of its words. At 0 the words choose alone, and scraps."""
_LENGTH = 0.9
"""A unit costs its length to this power: a little below one, whole sentences beat scraps."""


def ordered(
    said: Sequence[Sequence[str]], chances: Float64, words: Heard, rates: Float64, room_words: int
) -> list[int]:
    """Places of units, best first, until they fill `room_words`.

    Args:
        said: the words of each unit, as a summary counts them.
        chances: how likely each unit is important.
        words, rates: the words of the meeting and how often each is expected per word of summary.
    """
    number = {word: at for at, word in enumerate(words.words)}
    acts = [np.array([number[word] for word in unit], dtype=np.int64) for unit in said]
    nth = [_nth(act) for act in acts]
    worth = copies_wanted(rates * USUAL_SUMMARY_WORDS)
    brought = np.zeros(len(words.words), dtype=np.int64)
    trust = np.maximum(chances, 1e-6) ** _TRUST

    def value(at: int) -> float:
        copies = np.minimum(brought[acts[at]] + nth[at], _COPIES - 1)
        return float(worth[acts[at], copies].sum() / len(acts[at]) ** _LENGTH * trust[at])

    fewest = min(FEWEST_WORDS, max((len(unit) for unit in said), default=0))
    # Values only fall as words are brought, so one that is still the best after being counted afresh is the best.
    waiting = [(-value(at), at) for at, unit in enumerate(said) if len(unit) >= max(1, fewest)]
    heapq.heapify(waiting)
    order: list[int] = []
    filled = 0
    while waiting and filled < room_words:
        _, at = heapq.heappop(waiting)
        now = value(at)
        if waiting and now < -waiting[0][0] - 1e-12:
            heapq.heappush(waiting, (-now, at))
            continue
        order.append(at)
        filled += len(acts[at])
        np.add.at(brought, acts[at], 1)
    return order


def _nth(act: NDArray[np.int64]) -> NDArray[np.int64]:
    seen: dict[int, int] = {}
    found = []
    for word in act.tolist():
        found.append(seen.get(word, 0))
        seen[word] = found[-1] + 1
    return np.array(found, dtype=np.int64)


def copies_wanted(expected: Float64) -> Float64:
    """Chance that a summary holds a word at least 1, 2, … times, where it is expected so often. `(words, copies)`.

    >>> copies_wanted(np.array([1.0]))[0, :2].round(2).tolist()
    [0.59, 0.26]
    """
    share = _SPREAD / (_SPREAD + expected)
    mass = share**_SPREAD
    left = 1 - mass
    found = np.empty((len(expected), _COPIES))
    for copy in range(_COPIES):
        found[:, copy] = left
        mass = mass * (_SPREAD + copy) / (copy + 1) * (1 - share)
        left = np.maximum(left - mass, 0)
    return found


def confidences(chances: Float64, order: Sequence[int]) -> list[float]:
    """Confidences that fall along the order: the k-th line gets the k-th highest chance among all lines.

    The order minds what was said before, a single chance does not; together the lines are as likely as they say.
    """
    return [round(float(chance), 4) for chance in np.sort(chances[list(order)])[::-1]]
