"""From measurements to a verdict: gains over the frozen champion with their intervals, and what a pass asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ikkan.flywheel.arms import clustered_mean
from ikkan.flywheel.contract import Metric
from ikkan.flywheel.proof.plan import Plan
from ikkan.flywheel.proof.stress import Erased, Nulls
from ikkan.flywheel.statistics import Floats, Interval, paired_gain


@dataclass(frozen=True, slots=True)
class Measured:
    """Every visit of every seed, as one arm served it."""

    seeds: np.ndarray
    rounds: np.ndarray
    people: tuple[str, ...]
    """A person of one seed is nobody in another."""
    scores: Mapping[str, Floats]
    """By arm, one for each visit."""


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better an arm served the average person than the frozen champion did, over all rounds."""

    gain: float
    lower: float
    upper: float
    """The wider of the two intervals below at each end."""
    people: Interval
    """People are independent of each other."""
    seeds: Interval | None
    """Only seeds are; None with one seed."""

    def as_json(self) -> dict[str, Any]:
        """As it is printed."""
        told = {"gain": self.gain, "lower": self.lower, "upper": self.upper, "by_person": _ends(self.people)}
        return {**told, "by_seed": _ends(self.seeds) if self.seeds else None}


def gain(measured: Measured, arm: str, metric: Metric, alpha: float) -> Gain:
    """The arm beside the frozen one, on the same visits.

    Two intervals: a confidence sequence over people, as the gate uses it, and Student's over seeds, because everybody
    in one seed is served by the same artifacts. What is reported is as wide as the wider at each end.
    """
    order = np.random.default_rng(0x5EED).permutation(len(measured.people))
    # Gains grow from round to round; the sequence takes people in an order in which each is like the ones before.
    mine, frozen = measured.scores[arm][order], measured.scores["frozen"][order]
    people = [measured.people[at] for at in order.tolist()]
    higher = metric.direction == "higher"
    one = paired_gain(mine, frozen, people, alpha=alpha, low=metric.low, high=metric.high, higher_is_better=higher)
    place: dict[str, int] = {}
    index = np.array([place.setdefault(person, len(place)) for person in people], dtype=np.int64)
    better = np.bincount(index, weights=(mine - frozen) * (1.0 if higher else -1.0)) / np.bincount(index)
    seeds = [person.partition(":")[0] for person in place]
    over = clustered_mean(better, seeds, alpha=alpha)
    if over.units < 2:
        return Gain(one.estimate, one.lower, one.upper, one, None)
    span = metric.high - metric.low
    # A few seeds can allow more than can be.
    over = Interval(over.estimate, max(over.lower, -span), min(over.upper, span), over.n, over.units)
    return Gain(one.estimate, min(one.lower, over.lower), max(one.upper, over.upper), one, over)


def curve(measured: Measured, arm: str, alpha: float) -> list[dict[str, float]]:
    """By round, the mean score of all seeds' visits, with an interval over people."""
    found = []
    for number in sorted(set(measured.rounds.tolist())):
        here = np.flatnonzero(measured.rounds == number)
        mean = clustered_mean(measured.scores[arm][here], [measured.people[at] for at in here.tolist()], alpha=alpha)
        found.append({"round": int(number), "visits": mean.n, "mean": mean.estimate, **_ends(mean)})
    return found


def differences(measured: Measured, arm: str, metric: Metric) -> list[dict[str, Any]]:
    """By round, how much better than frozen: averaged over seeds, and in each of them."""
    sign = 1.0 if metric.direction == "higher" else -1.0
    better = sign * (measured.scores[arm] - measured.scores["frozen"])
    found = []
    for number in sorted(set(measured.rounds.tolist())):
        here = measured.rounds == number
        seeds = {
            str(seed): float(better[here & (measured.seeds == seed)].mean())
            for seed in sorted(set(measured.seeds[here].tolist()))
        }
        found.append({"round": int(number), "mean": float(np.mean(list(seeds.values()))), "seeds": seeds})
    return found


def judge(
    plan: Plan, metric: Metric, gains: Mapping[str, Gain], by_round: Mapping[str, Sequence[Mapping[str, Any]]],
    nulls: Sequence[Nulls], erased: Erased,
) -> dict[str, bool]:  # fmt: skip
    """What a pass asks for, and whether it is so. Nothing here can be chosen after looking: see `Plan`."""
    floor = -plan.fallen * (metric.high - metric.low)
    return {
        "better_than_frozen": gains["flywheel"].lower > 0,
        "placebo_not_above_frozen": gains["placebo"].lower <= 0,
        "self_training_not_above_frozen": gains["self_training"].lower <= 0,
        "never_below_frozen": min(each["mean"] for each in by_round["flywheel"]) >= floor,
        "liars_do_no_harm": min(each["mean"] for each in by_round["malicious"]) >= floor,
        "nulls_refused": all(each.share <= plan.null_share for each in nulls),
        "erasure_exact": erased.exact,
        "more_than_one_seed": len(plan.seeds) > 1,
    }


def _ends(interval: Interval) -> dict[str, float]:
    assert math.isfinite(interval.lower) and math.isfinite(interval.upper), "an interval that can be written down"
    return {"lower": interval.lower, "upper": interval.upper, "units": interval.units}
