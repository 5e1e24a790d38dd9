"""Drift: is what we serve still like what we judged? It asks for an evaluation; it never promotes.

Two effect sizes and one interval, no p-values: with enough rows a test finds a difference in everything. PSI says how
differently values fall into the reference's own bins, Wasserstein how far they moved; each must exceed what chance
alone gives at these sample sizes. The live score is held against the level it had, per person, at every look.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ikkan.flywheel.contract import Metric, Scores
from ikkan.flywheel.statistics import Floats, betting, by_unit
from ikkan.ground.events import EventReader

BINS = 10
_CHANCE_SDS = 4.0


@dataclass(frozen=True, slots=True)
class Served:
    """What a model was asked, as it was served, in one stretch of time."""

    series: Mapping[str, Floats] = field(default_factory=dict)
    """By name, the numbers of a feature or of the model's own confidence; NaN where there was none."""
    unit_ids: tuple[str, ...] = ()
    scores: Scores = field(default_factory=lambda: np.zeros(0))
    """How well it went, in the learnable's metric, with whose it was: only the cases whose truth is known."""
    yen: Floats = field(default_factory=lambda: np.zeros(0))
    """What each of these cases cost, where the app knows; else empty."""

    def yen_per_success(self, metric: Metric) -> float | None:
        """What a case that went as well as possible cost, those that did not included; None where it is not known.

        >>> served = Served(unit_ids=("a", "b"), scores=np.array([1.0, 0.0]), yen=np.array([0.5, 1.5]))
        >>> served.yen_per_success(Metric("share_right"))
        2.0
        """
        best = metric.high if metric.direction == "higher" else metric.low
        successes = int(np.isclose(self.scores, best).sum())
        return float(self.yen.sum()) / successes if len(self.yen) and successes else None


@runtime_checkable
class Watched(Protocol):
    """A learnable whose serving can be watched for drift. The flywheel asks whether a learnable is one."""

    def served(self, events: EventReader, arm: str) -> Served:
        """What this artifact was asked; `events` has only the stretch of time that is meant."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a difference counts. Recorded with every decision."""

    psi: float = 0.2
    """The usual reading: below 0.1 nothing, from 0.2 on a change worth a look."""
    moved: float = 0.2
    """How far values moved, in standard deviations of the reference."""
    fewest: int = 50
    """Fewer values than this on either side are not compared."""
    loss: float = 0.02
    """How much the live score may fall, as a share of the metric's range."""
    alpha: float = 0.01
    """A score that has not fallen is called fallen at most with this probability."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One series beside its reference."""

    name: str
    measure: str
    """`psi`, `wasserstein` or `live_score`."""
    value: float
    limit: float
    n: int
    drifted: bool

    def as_json(self) -> dict[str, Any]:
        """For keeping."""
        return {name: getattr(self, name) for name in self.__slots__}


def psi(reference: Floats, current: Floats, bins: int = BINS) -> float:
    """How differently the values fall into ten equally filled bins of the reference: 0 when the same.

    Source: population stability index, Siddiqi, "Credit Risk Scorecards", 2006: the sum over bins of
    (p - q) ln(p / q), which is Jeffreys' divergence (1946); half a count is added to each bin.

    >>> values = np.arange(1000.0)
    >>> round(psi(values, values), 3), psi(values, values + 500) > 1
    (0.0, True)
    """
    p, q = _filled(reference, current, bins)
    p, q = (p + 0.5) / (p + 0.5).sum(), (q + 0.5) / (q + 0.5).sum()
    return float(((p - q) * np.log(p / q)).sum())


def psi_by_chance(n: int, m: int, bins: int = BINS) -> float:
    """What PSI stays below when nothing changed, by four standard deviations.

    Source: Yurdakul, "Statistical properties of population stability index", Western Michigan University 2018: for
    equal distributions PSI is about (1/n + 1/m) times a chi-squared with bins - 1 degrees of freedom.

    >>> psi_by_chance(10_000, 10_000) < 0.01 < psi_by_chance(100, 100)
    True
    """
    freedom = bins - 1
    return (1 / n + 1 / m) * (freedom + _CHANCE_SDS * math.sqrt(2 * freedom))


def wasserstein(reference: Floats, current: Floats) -> float:
    """How far, on average, values must be moved to make one sample the other; in the values' own unit.

    Source: first Wasserstein distance on the line, the area between the distribution functions (Vallender 1974).

    >>> wasserstein(np.array([0.0, 1.0, 3.0]), np.array([5.0, 6.0, 8.0]))
    5.0
    """
    at, steps = _steps(reference, current)
    gaps = np.abs(_share_up_to(reference, at) - _share_up_to(current, at))
    return float((gaps * steps).sum())


def wasserstein_by_chance(reference: Floats, current: Floats) -> float:
    """What the distance stays below when nothing changed: four times the bound on its mean.

    Source: that bound is the area under the standard deviation of the gap between the distribution functions, Bobkov
    and Ledoux, "One-dimensional empirical measures, order statistics and Kantorovich transport distances", Memoirs of
    the AMS 2019, § 3.
    """
    at, steps = _steps(reference, current)
    n, m = len(reference), len(current)
    pooled = (n * _share_up_to(reference, at) + m * _share_up_to(current, at)) / (n + m)
    return float(_CHANCE_SDS * (np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)) * steps).sum())


def compare(before: Served, now: Served, metric: Metric, limits: Limits | None = None) -> list[Finding]:
    """Every series, and the score, beside what they were. A series with too few values is left out."""
    limits = limits or Limits()
    found: list[Finding] = []
    for name in sorted(set(before.series) & set(now.series)):
        old, new = _known(before.series[name]), _known(now.series[name])
        if min(len(old), len(new)) >= limits.fewest:
            found += _series(name, old, new, limits)
    score = _fallen(before, now, metric, limits)
    return [*found, score] if score is not None else found


def _series(name: str, old: Floats, new: Floats, limits: Limits) -> list[Finding]:
    value, limit = psi(old, new), max(limits.psi, psi_by_chance(len(old), len(new)))
    moved, allowed = wasserstein(old, new), max(limits.moved * float(old.std()), wasserstein_by_chance(old, new))
    return [
        Finding(name, "psi", value, limit, len(new), value > limit),
        Finding(name, "wasserstein", moved, allowed, len(new), moved > allowed),
    ]


def _fallen(before: Served, now: Served, metric: Metric, limits: Limits) -> Finding | None:
    """Whether the score of the average person is shown to be lower than it was, at any look."""
    then = by_unit(_good(before.scores, metric), before.unit_ids)
    live = by_unit(_good(now.scores, metric), now.unit_ids)
    if not len(then) or not len(live):
        return None
    # Both are samples: each end is on the wrong side with at most half of alpha.
    at_least, _ = betting(then, limits.alpha)
    _, at_most = betting(live, limits.alpha)
    fallen = at_least - at_most
    return Finding(
        "score", "live_score", float(then.mean() - live.mean()), limits.loss, len(live), bool(fallen > limits.loss)
    )


def _good(scores: Scores, metric: Metric) -> Floats:
    share = np.clip((scores - metric.low) / (metric.high - metric.low), 0.0, 1.0)
    return share if metric.direction == "higher" else 1.0 - share


def _filled(reference: Floats, current: Floats, bins: int) -> tuple[Floats, Floats]:
    """Counts of both in bins that the reference fills equally; values that repeat share one bin."""
    assert len(reference) and len(current), "two samples"
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    size = len(edges) + 1

    def fill(values: Floats) -> Floats:
        return np.bincount(np.searchsorted(edges, values, side="left"), minlength=size).astype(np.float64)

    return fill(reference), fill(current)


def _steps(reference: Floats, current: Floats) -> tuple[Floats, Floats]:
    at = np.sort(np.concatenate([reference, current]))
    return at[:-1], np.diff(at)


def _share_up_to(values: Floats, at: Floats) -> Floats:
    return np.asarray(np.searchsorted(np.sort(values), at, side="right") / len(values))


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]
