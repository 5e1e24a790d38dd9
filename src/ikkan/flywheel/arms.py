"""Which of two models serves people better, when each person sees only one of them: live evidence, looked at any time.

Three answers, each with its source. `live_gain` is what the canary uses: one gambler a side, who bets on people in the
order they are counted; it stays true while shares grow and while good and bad weeks come and go. `two_arms` is the
plain way, an interval for each arm, and the check on it. `clustered_mean` is the textbook's fixed-sample interval, for
reports that are read once.

People are the clusters: whoever calls this has averaged what is known of one person into one number (`by_unit`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from ikkan.flywheel.contract import Mask
from ikkan.flywheel.statistics import Floats, Interval, betting

BELIEFS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""The gains a gambler believes in, as a share of the range; the stake is split evenly among them."""
_SURE = 0.75
"""The largest part of the capital that one person's outcome may cost."""
_HALVINGS = 20
_LEAST_VARIANCE = 1e-3


def live_gain(values: Floats, treated: Mask, shares: Floats, *, below: float = 0.025, above: float = 0.025) -> Interval:
    """How much better people fare with the candidate: the mean over people, and an interval that is true at any time.

    Each person tells of the gain by `(value - guess) / chance` if given the candidate and `-(value - guess) / chance`
    if not, where `chance` is that of what they were given and `guess` the mean of the people before: on average that
    is their gain, whatever the share was and however outcomes drift. Gamblers bet on it as in `betting`.

    Args:
        values: one per person, in [0, 1], more is better; in an order that does not depend on who was given what.
        treated: who was given the candidate, drawn with the probability in `shares`, strictly between 0 and 1.
        below, above: the chance that the lower end, the upper end, is ever on the wrong side of the truth, at any look.

    Returns:
        The gain as a share of the range, in [-1, 1]; with nobody, all that is possible.

    Source: inverse-propensity scores with a predictable control, Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform,
    nonparametric, nonasymptotic confidence sequences", Annals of Statistics 2021, § 4.2, and Waudby-Smith, Wu, Ramdas,
    Karampatziakis and Mineiro, "Anytime-valid off-policy inference for contextual bandits", ACM / IMS Journal of Data
    Science 2024; bets as in Waudby-Smith and Ramdas, JRSS-B 2024, Theorem 3, split among stakes as their mixtures are.

    >>> rng = np.random.default_rng(0)
    >>> treated = rng.random(600) < 0.5
    >>> gain = live_gain((rng.random(600) < np.where(treated, 0.8, 0.4)).astype(float), treated, np.full(600, 0.5))
    >>> gain.lower > 0, round(gain.estimate, 1)
    (True, 0.4)
    """
    values, shares = np.asarray(values, dtype=np.float64), np.asarray(shares, dtype=np.float64)
    assert values.shape == treated.shape == shares.shape, "one outcome, one arm and one share a person"
    n = len(values)
    if n == 0:
        return Interval(0.0, -1.0, 1.0, 0, 0)
    assert float(values.min()) >= 0.0 and float(values.max()) <= 1.0, "values are in [0, 1]"
    assert float(shares.min()) > 0.0 and float(shares.max()) < 1.0, "both arms were possible for everyone"
    told, lowest, highest, spread = _told(values, treated, shares)
    lower = _ruled_out(told, lowest, spread, below)
    upper = -_ruled_out(-told, -highest, spread, above)
    return Interval(float(told.mean()), min(lower, upper), max(lower, upper), n, n)


def two_arms(candidate: Floats, champion: Floats, *, alpha: float = 0.05) -> Interval:
    """The difference of two arms' means, from an interval for each: wider than `live_gain`, and simpler.

    Args:
        candidate, champion: one value per person, in [0, 1], each arm with a mean of its own that does not move.

    Source: `betting` (Waudby-Smith and Ramdas 2024) for each arm at alpha / 2, joined by the union bound.

    >>> two_arms(np.zeros(0), np.zeros(0)).lower
    -1.0
    """
    low_1, high_1 = betting(candidate, alpha / 2)
    low_0, high_0 = betting(champion, alpha / 2)
    mean = float(candidate.mean() - champion.mean()) if len(candidate) and len(champion) else 0.0
    n = len(candidate) + len(champion)
    return Interval(mean, low_1 - high_0, high_1 - low_0, n, n)


def clustered_mean(values: Floats, units: Sequence[str], *, alpha: float = 0.05) -> Interval:
    """The mean of all values with an interval that knows which of them belong together. For one look, not for many.

    Args:
        values: paired differences, or anything else; no range is needed.
        units: whose value it is. Values of one unit may depend on one another in any way.

    Returns:
        The mean of the *examples*, not of the people (zealous people weigh more), with Student's interval on
        `units - 1` degrees of freedom; infinite with fewer than two units.

    Source: Liang and Zeger, Biometrika 1986 (cluster-robust variance); the factor G / (G - 1) and the degrees of
    freedom as in Cameron and Miller, "A practitioner's guide to cluster-robust inference", JHR 2015, § VI.

    >>> clustered_mean(np.array([1.0, 1.0, 0.0, 0.0]), ["ada", "ada", "bob", "bob"]).estimate
    0.5
    """
    assert len(values) == len(units), "one unit per value"
    place: dict[str, int] = {}
    index = np.array([place.setdefault(unit, len(place)) for unit in units], dtype=np.int64)
    count, mean = len(place), float(values.mean()) if len(values) else 0.0
    if count < 2:
        return Interval(mean, -math.inf, math.inf, len(values), count)
    sums = np.bincount(index, weights=values - mean)
    error = math.sqrt(count / (count - 1) * float(sums @ sums)) / len(values)
    margin = student(1 - alpha / 2, count - 1) * error
    return Interval(mean, mean - margin, mean + margin, len(values), count)


def student(level: float, degrees: int) -> float:
    """Student's t below which lies `level` of its distribution; exact to two degrees of freedom, then within 0.005.

    Source: Abramowitz and Stegun, 26.7.5 (expansion around the normal quantile, four terms).

    >>> [round(student(0.975, degrees), 2) for degrees in (1, 2, 4, 7, 19, 99)]
    [12.71, 4.3, 2.78, 2.36, 2.09, 1.98]
    """
    if degrees == 1:
        return math.tan(math.pi * (level - 0.5))
    if degrees == 2:
        return (2 * level - 1) / math.sqrt(2 * level * (1 - level))
    x, v = NormalDist().inv_cdf(level), float(degrees)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + sum(term / v ** (power + 1) for power, term in enumerate(terms))


def _told(values: Floats, treated: Mask, shares: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """What each person tells of the gain; the least and the most they could have told; the variance to expect."""
    n = len(values)
    guess = np.concatenate([[0.5], (0.5 + np.cumsum(values)) / np.arange(2, n + 2)])[:n]
    told = (values - guess) * np.where(treated, 1 / shares, -1 / (1 - shares))
    lowest = np.minimum(-guess / shares, -(1 - guess) / (1 - shares))
    highest = np.maximum((1 - guess) / shares, guess / (1 - shares))
    # A rare arm tells loudly and seldom: what a person tells has the variance of the outcome over this product.
    scale = 1 / (shares * (1 - shares))
    past = np.concatenate([[0.25], 0.25 + np.cumsum(told**2 / scale)])[:n] / np.arange(1, n + 1)
    return told, lowest, highest, np.maximum(past, _LEAST_VARIANCE) * scale


def _ruled_out(told: Floats, lowest: Floats, spread: Floats, alpha: float) -> float:
    """The largest gain that those who bet on "more" have ruled out, rounded down; -1 if none."""
    stakes = np.asarray(BELIEFS)[:, None] / spread
    goal = math.log(1 / alpha)
    low, high = -1.0, 1.0
    # Capital falls as the gain that is tested rises, so what is ruled out lies below one point.
    if not _reaches(told, lowest, stakes, low, goal):
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _reaches(told, lowest, stakes, middle, goal):
            low = middle
        else:
            high = middle
    return low


def _reaches(told: Floats, lowest: Floats, stakes: Floats, gain: float, goal: float) -> bool:
    """Whether the gamblers together ever multiplied their capital by exp(goal), were `gain` the truth."""
    capped = np.minimum(stakes, _SURE / np.maximum(gain - lowest, 1e-12))
    growth = np.cumsum(np.log1p(capped * (told - gain)), axis=1)
    together = np.logaddexp.reduce(growth, axis=0) - math.log(len(BELIEFS))
    return bool(together.max() >= goal)
