"""Is the candidate better? Confidence sequences: intervals that stay true however often, and whenever, one looks.

Three of them, each with its source. `betting` is what the gate uses: it promises its coverage at every sample size for
any scores within their range, and it is the narrowest of the exact ones. `empirical_bernstein` is in closed form, and
the check on it. `asymptotic` needs no range but promises only in the long run.

Clustering comes first: examples of one person are not independent, so scores are averaged per unit (`by_unit`), and the
estimate is of the gain of the average person. One zealous person cannot carry a promotion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_GRID = 2_000
_REFINEMENTS = 3
_PAIRED_VARIANCE = 0.02
"""Paired gains per person gather around zero: a standard deviation of about 0.3 of the metric's range."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and what is known about it."""

    estimate: float
    lower: float
    upper: float
    n: int
    """Examples."""
    units: int
    """Independent units among them; this is what the width depends on."""

    def excludes_from_above(self, value: float = 0.0) -> bool:
        """Whether everything the data allow is greater than `value`."""
        return self.lower > value


def by_unit(values: Floats, units: Sequence[str]) -> Floats:
    """The mean of each unit, units in the order in which they first appear.

    >>> by_unit(np.array([1.0, 0.0, 0.5]), ["ada", "ada", "bob"]).tolist()
    [0.5, 0.5]
    """
    assert len(values) == len(units), "one unit per value"
    place: dict[str, int] = {}
    index = np.array([place.setdefault(unit, len(place)) for unit in units], dtype=np.int64)
    if not len(index):
        return np.zeros(0)
    return np.asarray(np.bincount(index, weights=values) / np.bincount(index))


def paired_gain(
    candidate: Floats,
    champion: Floats,
    units: Sequence[str],
    *,
    alpha: float = 0.05,
    low: float = 0.0,
    high: float = 1.0,
    higher_is_better: bool = True,
) -> Interval:
    """How much better the candidate scores on the same examples: the per-person mean, and its interval.

    Args:
        candidate, champion: one score each per example, within [low, high].
        units: whose example it is; scores are averaged per unit before anything else.
        alpha: the interval misses the truth with at most this probability, half of it on either side.

    Returns:
        The gain in the metric's units, positive when the candidate is better. Without examples: all that is possible.
    """
    assert candidate.shape == champion.shape == (len(units),), "the same examples for both"
    assert high > low, "a metric has a range"
    gains = by_unit(candidate - champion if higher_is_better else champion - candidate, units)
    span = high - low
    if not len(gains):
        return Interval(0.0, -span, span, 0, 0)
    assert float(np.abs(gains).max()) <= span * (1 + 1e-9), "a score is outside the metric's range"
    lower, upper = betting(np.clip((gains / span + 1) / 2, 0.0, 1.0), alpha, expected_variance=_PAIRED_VARIANCE)
    return Interval(
        estimate=float(gains.mean()),
        lower=(2 * lower - 1) * span,
        upper=(2 * upper - 1) * span,
        n=len(units),
        units=len(gains),
    )


def betting(
    values: Floats, alpha: float = 0.05, *, plan: int | None = None, expected_variance: float = 0.25
) -> tuple[float, float]:
    """An interval for the mean of values in [0, 1]: the means on which no gambler would have grown rich.

    For each possible mean m, one gambler bets that the truth is more and one that it is less, with stakes that only
    look at earlier values. If m were the truth, either would multiply the starting capital by 2/alpha at any time
    with probability at most alpha/2 (Ville). The interval is every m on which neither did, ever.

    Args:
        values: in order; each in [0, 1], with the same mean given the ones before.
        alpha: chance of missing the mean, at any time.
        plan: for how many values the stakes are tuned; default: as many as there are. Any plan is valid, as long as
            it was not chosen by looking at the values.
        expected_variance: what the stakes assume before the first value; any guess is valid, a good one is narrower.

    Returns:
        Lower and upper end, rounded outwards.

    Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS-B 2024, § 4.3
    (hedged capital process, Theorem 3), with stakes tuned for a sample size as in § 4.4.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n == 0:
        return 0.0, 1.0
    assert float(values.min()) >= 0.0 and float(values.max()) <= 1.0, "values are in [0, 1]"
    _, variance = _past(values, expected_variance)
    stakes = np.sqrt(2 * np.log(2 / alpha) / (variance * (plan or n)))
    # The set of means not ruled out is an interval (Theorem 3), so each end is found by narrowing a grid.
    lower = _edge(values, stakes, alpha)
    upper = 1.0 - _edge(1.0 - values, stakes, alpha)
    return min(lower, upper), max(lower, upper)


def empirical_bernstein(values: Floats, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Intervals after each value in [0, 1], valid at all times together, in closed form.

    Source: Waudby-Smith and Ramdas 2024, Theorem 2 (predictable plug-in empirical Bernstein); Howard, Ramdas,
    McAuliffe and Sekhon 2021 for the function psi.
    """
    values = np.asarray(values, dtype=np.float64)
    t = np.arange(1, len(values) + 1)
    mean, variance = _past(values)
    stakes = np.minimum(np.sqrt(2 * np.log(2 / alpha) / (variance * t * np.log(1 + t))), 0.5)
    surprise = 4 * (values - mean) ** 2
    psi = (-np.log1p(-stakes) - stakes) / 4
    total = np.cumsum(stakes)
    centre = np.cumsum(stakes * values) / total
    margin = (np.log(2 / alpha) + np.cumsum(surprise * psi)) / total
    return np.maximum(centre - margin, 0.0), np.minimum(centre + margin, 1.0)


def asymptotic(values: Floats, alpha: float = 0.05, *, tightest_at: int = 100) -> tuple[Floats, Floats]:
    """Intervals after each value, for values without a range; the promise holds in the long run.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic
    confidence sequences", Annals of Statistics 2024, Theorem 2.2 and the choice of rho in its appendix B.2.
    """
    values = np.asarray(values, dtype=np.float64)
    t = np.arange(1, len(values) + 1)
    mean = np.cumsum(values) / t
    variance = np.maximum(np.cumsum(values**2) / t - mean**2, 0.0)
    rho2 = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / tightest_at
    grown = t * variance * rho2 + 1
    margin = np.sqrt(grown / (t**2 * rho2) * np.log(grown / alpha**2))
    return mean - margin, mean + margin


def _past(values: Floats, expected_variance: float = 0.25) -> tuple[Floats, Floats]:
    """Mean and variance of what came before each value, with one imagined value in the middle."""
    t = np.arange(1, len(values) + 1)
    now = (0.5 + np.cumsum(values)) / (t + 1)
    spread = (expected_variance + np.cumsum((values - now) ** 2)) / (t + 1)
    before = np.concatenate([[0.5], now[:-1]])
    return before, np.concatenate([[expected_variance], spread[:-1]])


def _edge(values: Floats, stakes: Floats, alpha: float) -> float:
    """The largest mean that the gambler on "more" has ruled out (0 if none): a lower end, rounded down."""
    low, high = 0.0, 1.0
    for _ in range(_REFINEMENTS):
        grid = np.linspace(low, high, _GRID // 20 + 1)
        ruled_out = _capital_reaches(values, stakes, grid, np.log(2 / alpha))
        # Everything below the first survivor is out; the edge lies between the two.
        first = int(np.argmin(ruled_out)) if not ruled_out.all() else len(grid)
        if first == 0:
            return low
        if first == len(grid):
            return float(grid[-1])
        low, high = float(grid[first - 1]), float(grid[first])
    return low


def _capital_reaches(values: Floats, stakes: Floats, means: Floats, log_goal: float) -> NDArray[np.bool_]:
    """For each mean, whether betting on "more" ever multiplied its capital by exp(log_goal)."""
    with np.errstate(divide="ignore"):
        # A zero may cost nine tenths of the capital, never all of it. Any share below one keeps the promise.
        limit = np.where(means > 0, 0.9 / np.maximum(means, 1e-300), np.inf)
    capped = np.minimum(stakes[:, None], limit[None, :])
    growth = np.cumsum(np.log1p(capped * (values[:, None] - means[None, :])), axis=0)
    return np.asarray(growth.max(axis=0) >= log_goal)
