"""Whether what was said to be clicked once in ten times is: expected against happened, tenth by tenth of the places.

Source of the error over all tenths: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using
Bayesian Binning", 2015, with bins of as many places each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.suggest.off_policy import bootstrap
from ikkan.apps.shop.values import Calibration, Tenth

PARTS = 10
FEWEST = 200
"""Places; of fewer every tenth would be luck."""
_ROUNDS = 200


def calibration(
    expected: NDArray[np.float64], clicked: NDArray[np.bool_], units: Sequence[str], rng: np.random.Generator
) -> Calibration | None:
    """Places by how likely a click was held to be, in parts of one size; None where there are too few.

    Args:
        units: whose each place is; bounds are found by drawing people anew.

    >>> rng = np.random.default_rng(0)
    >>> expected = rng.random(4_000)
    >>> clicked, units = rng.random(4_000) < expected / 2, [str(at % 80) for at in range(4_000)]
    >>> round(calibration(expected, clicked, units, rng).error, 2), calibration(expected[:9], clicked[:9], units, rng)
    (0.25, None)
    """
    if len(expected) < FEWEST:
        return None
    tenths = []
    for part in np.array_split(np.argsort(expected, kind="stable"), PARTS):
        happened = bootstrap(clicked[part].astype(np.float64), [units[at] for at in part], rng, rounds=_ROUNDS)
        tenths.append(Tenth(float(expected[part].mean()), happened, len(part)))
    apart = sum(each.places * abs(each.expected - each.happened.value) for each in tenths)
    return Calibration(tuple(tenths), apart / len(expected))
