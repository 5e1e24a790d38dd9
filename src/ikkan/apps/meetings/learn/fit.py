"""Learning a correction: which line of a list is wanted, starting at the shipped weights and held there by a penalty.

    chance that line i of a list is the wanted one = softmax over the list of (base + row · correction)

`base` is what the shipped weights say, and is not learned. That people are shown likely lines only, or that one team
takes in more than another, cancels out within a list. The penalty on squares of the correction is a normal prior around
the shipped weights, so few judgements move little. The same judgements give the same bytes.

Source: conditional logit, McFadden 1974; the prior centred at a model learned before, Chelba and Acero 2006.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0.correction import Correction
from ikkan.apps.meetings.rules.level0.features import COLUMNS, Float32, Float64, Rows, stacked
from ikkan.apps.meetings.rules.level0.train import lbfgs

PENALTY = 3.0
"""Half of this, times the square of each weight, is added to the summed surprise."""


def fit(
    rows: Sequence[Rows], base: Float64, starts: NDArray[np.int64], wanted: NDArray[np.int64], penalty: float = PENALTY
) -> Correction:
    """What choices teach.

    Args:
        rows: one of one row for each line of each list.
        base: log-odds of each line.
        starts: where each list begins; a line stands in one list.
        wanted: which line of all is the wanted one of each list.
    """
    if not len(starts):
        return Correction.none()
    used, table = stacked(rows).narrow()
    lengths = np.diff(np.append(starts, len(base)))

    def loss(weights: Float64) -> tuple[float, Float64]:
        worth = base + table.times(weights.astype(np.float32))
        level = np.repeat(np.maximum.reduceat(worth, starts), lengths)
        shares = np.exp(worth - level)
        sums = np.add.reduceat(shares, starts)
        slopes = shares / np.repeat(sums, lengths)
        slopes[wanted] -= 1
        value = float((np.log(sums) + level[starts] - worth[wanted]).sum()) + penalty / 2 * float(weights @ weights)
        return value, table.turned(slopes.astype(np.float32), len(used)).astype(np.float64) + penalty * weights

    found: Float32 = np.zeros(COLUMNS, dtype=np.float32)
    found[used] = lbfgs(loss, np.zeros(len(used)))
    return Correction.of(found)
