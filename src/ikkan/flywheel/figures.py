"""From a turn to what is kept of it: plain numbers beside the decision, and whether two such reports agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ikkan.flywheel.contract import Examples, Learnable
from ikkan.flywheel.gate import Champion, Contest, Turn
from ikkan.flywheel.statistics import Interval
from ikkan.flywheel.words import RISKS

_OWN_SHOWN = 50
_FEW_PEOPLE = 20

COMPARED = ("champion_score", "candidate_score", "refit_score", "slices", "baselines")
"""What a replay holds against the record, besides the gain."""


def details(came: Turn) -> dict[str, Any]:
    """What the words of its reason speak of."""
    details = dict(came.details)
    if came.gain is not None:
        details |= {
            "n": came.gain.n,
            "people": came.gain.units,
            "gain": came.gain.estimate,
            "lower": came.gain.lower,
            "upper": came.gain.upper,
            "level": 100 * (1 - float(details.get("alpha", 0.05))),
            "candidate_score": came.candidate_score,
            "refit": came.refit_score,
        }
    return details


def numbers(came: Turn) -> dict[str, Any]:
    """Everything about a turn that is kept as JSON beside the decision."""
    if came.gain is None or came.split is None:
        return {key: value for key, value in came.details.items() if isinstance(value, int | float | str)}
    risks = ["selected_by_feedback"]
    if came.refit is not None:
        risks.append("refit_unjudged")
    if int(came.details.get("attempt", 1)) > 1:
        risks.append("many_attempts")
    if came.gain.units < _FEW_PEOPLE:
        risks.append("few_people")
    return {
        "people": came.gain.units,
        "level": 1 - float(came.details["alpha"]),
        "attempt": int(came.details["attempt"]),
        "champion_score": came.champion_score,
        "candidate_score": came.candidate_score,
        "refit_score": came.refit_score,
        "per_example": {"n": came.gain.n, **bounds(came.per_example)},
        "slices": {contest.name: _contest(contest) for contest in came.slices},
        "baselines": {contest.name: _contest(contest) for contest in came.baselines},
        "teaching": int(came.split.teach.sum()),
        "judging": int(came.split.judge.sum()),
        "too_similar": came.split.too_similar,
        "in_between": came.split.in_between,
        "cutoff": came.split.cutoff.isoformat(),
        "risks": [
            {lang: text.format(**came.details) for lang, text in RISKS[risk].items()} | {"code": risk} for risk in risks
        ],
    }


def _contest(contest: Contest) -> dict[str, Any]:
    gain = contest.gain
    return {"score": contest.score, "n": gain.n, "people": gain.units, **bounds(gain)}


def bounds(gain: Interval | None) -> dict[str, float | None]:
    """A gain and its interval, as a decision keeps them."""
    if gain is None:
        return {"gain": None, "lower": None, "upper": None}
    return {"gain": gain.estimate, "lower": gain.lower, "upper": gain.upper}


def own_corrections(learnable: Learnable, champion: Champion, examples: Examples, came: Turn) -> list[dict[str, Any]]:
    """This house's own corrections that the champion had not seen: how it does on them, and how its successor does."""
    fresh = np.array(
        [champion.known_until is None or at >= champion.known_until for at in examples.known_at], dtype=np.bool_
    )
    mine = examples.take(np.flatnonzero(examples.own & examples.teaches & fresh)[-_OWN_SHOWN:])
    if not len(mine):
        return []
    before = learnable.score(champion.fitted, mine)
    after = learnable.score(came.refit, mine) if came.promoted and came.refit else before
    return [
        {"example_id": id, "before": float(then), "after": float(now)}
        for id, then, now in zip(mine.ids, before, after, strict=True)
    ]


def same(one: Any, other: Any) -> bool:
    """Whether two reports agree, numbers to the last digit that a processor may change."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)
