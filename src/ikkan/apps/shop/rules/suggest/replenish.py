"""When something that is used up is bought again: the gaps between purchases, of a person, a product, a category."""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict

_REMEMBERED = 200_000
_LEAST_GAP_S = 86_400.0
_LEAST_OF_CATEGORY = 6


class Gaps:
    """Means of the logarithm of gaps, by product row and by category code.

    >>> gaps = Gaps(); day = 86_400.0
    >>> for times in range(3):
    ...     gaps.bought("ada", 7, 0, times * 30 * day)
    >>> round(gaps.gap_s(7, 0, [0.0, 30 * day, 60 * day]) / day), gaps.gap_s(8, 1, [0.0])
    (30, None)
    """

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, int], float] = OrderedDict()
        self._of_product: dict[int, tuple[int, float]] = {}
        self._of_category: dict[int, tuple[int, float]] = {}

    def bought(self, subject: str, row: int, category: int, at_s: float) -> None:
        """Count a purchase."""
        key = (subject, row)
        before = self._last.get(key)
        if before is None or at_s > before:
            self._last[key] = at_s
            self._last.move_to_end(key)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        if before is None or at_s - before < _LEAST_GAP_S:
            return
        told = math.log(at_s - before)
        for table, name in ((self._of_product, row), (self._of_category, category)):
            n, mean = table.get(name, (0, 0.0))
            table[name] = n + 1, mean + (told - mean) / (n + 1)

    def gap_s(self, row: int, category: int, bought_s: list[float]) -> float | None:
        """After how long this person buys this again; None where nobody knows.

        Args:
            bought_s: when they bought it, in order.
        """
        gaps = (later - before for before, later in itertools.pairwise(bought_s))
        own = [gap for gap in gaps if gap >= _LEAST_GAP_S]
        n, mean = self._of_product.get(row, (0, 0.0))
        if own:
            mine = sum(map(math.log, own)) / len(own)
            # The more often they bought it, the less the others count.
            return math.exp((mine * len(own) + mean * min(n, 2)) / (len(own) + min(n, 2)))
        if n >= 2:
            return math.exp(mean)
        n, mean = self._of_category.get(category, (0, 0.0))
        return math.exp(mean) if n >= _LEAST_OF_CATEGORY else None


def due(elapsed_s: float, gap_s: float) -> float:
    """How due it is, 0 to 1: rising towards the gap, whole for as long again, then fading.

    >>> [round(due(elapsed, 10.0), 2) for elapsed in (2.0, 8.0, 10.0, 15.0, 40.0)]
    [0.01, 0.51, 1.0, 1.0, 0.5]
    """
    ratio = elapsed_s / gap_s
    if ratio < 1.0:
        return max(0.0, ratio) ** 3
    return 1.0 if ratio <= 2.0 else 2.0 / ratio
