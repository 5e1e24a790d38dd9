"""The gate: one turn of the wheel as a pure function of examples and a champion. No database, no clock.

1. Time: the candidate learns from what was known at a cut-off and is judged on what was asked later (`split.py`).
2. Pairing: candidate, champion and the trivial baselines answer the same later questions; gains are averaged per
   person.
3. Proof: the lower bound of the gain over the champion, and over each baseline, is above zero (`statistics.py`);
   no slice is shown to be worse. Where live outcomes will judge (`canary.py`) this is only a *screen*: the lower bound
   of the gain is above a small loss, and nobody, no slice and no baseline, shows the candidate to be worse.
4. Refit: the same recipe on everything known now, so that the freshest corrections count. It has seen the questions
   that judge, so this step can only refuse, never prove: it must not score below the candidate on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from ikkan.flywheel.arms import clustered_mean
from ikkan.flywheel.canary import draw
from ikkan.flywheel.contract import Budget, Examples, Fitted, Learnable, Mask, Scores
from ikkan.flywheel.split import Split, clusters, split
from ikkan.flywheel.statistics import Interval, by_unit, paired_gain


@dataclass(frozen=True, slots=True)
class Terms:
    """What the gate asks for. Recorded with every decision."""

    alpha: float = 0.05
    """The interval of the first attempt against a champion misses the truth with at most this probability."""
    judge_share: float = 0.3
    """This share of what the champion has not seen, the latest, judges; the rest teaches."""
    fewest_judges: int = 30
    fewest_units: int = 8
    slack: float = 0.01
    """How much worse than the candidate the refit may score on the judging questions, as a share of the range."""
    sealed_share: float = 0.0
    """This share of people, drawn by `salt`, never teaches and only judges: for "does it help people it never met?".
    Off by default: in a house of twenty, two would correct the assistant in vain."""
    salt: str = ""
    """Makes the draw one that nobody can foresee."""
    margin: float = 0.1
    """A screen lets pass what is shown to lose less than this share of the range: about what fifty people can show."""

    def level(self, attempt: int) -> float:
        """The error allowed to the n-th attempt (from 1) against one champion: halved each time.

        Attempts against one champion share later questions, so they share one allowance: an endless row of them
        promotes something no better with probability at most `alpha` in all (half of each interval's error is on
        the promoting side, and 1 + 1/2 + 1/4 + … = 2).

        >>> [Terms().level(attempt) for attempt in (1, 2, 3)]
        [0.05, 0.025, 0.0125]
        """
        return float(self.alpha * 2.0 ** (1 - max(attempt, 1)))

    def seals(self, examples: Examples) -> Mask:
        """Which examples belong to people who only judge: the same people in every turn."""
        drawn = {unit for unit in set(examples.unit_ids) if draw(unit, self.salt, "sealed") < self.sealed_share}
        return np.array([unit in drawn for unit in examples.unit_ids], dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Champion:
    """Who serves, and what it has already seen."""

    fitted: Fitted
    known_until: datetime | None = None
    """It learned from what was known before this; None: from no examples."""


@dataclass(frozen=True, slots=True)
class Contest:
    """The candidate beside one rival, on the judging questions."""

    name: str
    score: float
    """The rival's mean per person."""
    gain: Interval


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of one turn. `code` names the reason; `words.py` says it in a person's language."""

    promoted: bool
    """It passed: to serve everyone, or after a screen to be tried on people."""
    code: str
    details: Mapping[str, Any] = field(default_factory=dict)
    split: Split | None = None
    gain: Interval | None = None
    per_example: Interval | None = None
    """The gain of the average *example*, cluster-robust: for reading beside `gain`, not for deciding."""
    champion_score: float | None = None
    candidate_score: float | None = None
    refit_score: float | None = None
    slices: tuple[Contest, ...] = ()
    baselines: tuple[Contest, ...] = ()
    candidate: Fitted | None = None
    """What was judged."""
    refit: Fitted | None = None
    """What serves if promoted."""
    scores: Mapping[str, Scores] = field(default_factory=dict)
    """By contestant, one number per judging question."""
    screen: bool = False
    """Whoever passed is to be tried on people."""


def cut_off(examples: Examples, champion: Champion, terms: Terms) -> datetime | None:
    """Where to part, so that the latest `judge_share` of what the champion has not seen judges. None: nothing is."""
    unseen = sorted(at for at in examples.occurred_at if champion.known_until is None or at >= champion.known_until)
    if not unseen:
        return None
    first = min(int(len(unseen) * (1 - terms.judge_share)), len(unseen) - 1)
    # The moment before the first judge: what was asked at the very cut-off teaches.
    return unseen[first - 1] if first else champion.known_until or unseen[0]


def turn(
    learnable: Learnable,
    examples: Examples,
    champion: Champion,
    *,
    seed: int,
    terms: Terms | None = None,
    attempt: int = 1,
    budget: Budget | None = None,
    candidate: Fitted | None = None,
    screen: bool = False,
) -> Turn:
    """One turn of the wheel.

    Args:
        attempt: how many times this champion has been challenged, this one included.
        candidate: judge this one instead of training (a replay, or an experiment).
        screen: live outcomes will judge; only keep away from people what is shown to be worse.

    Raises:
        LeakFound: the same question would stand on both sides.
    """
    terms = terms or Terms()
    budget = budget or Budget()
    cutoff = cut_off(examples, champion, terms)
    if cutoff is None:
        return Turn(False, "nothing_new" if len(examples) else "nothing_said")
    taught = np.array(
        [champion.known_until is not None and at < champion.known_until for at in examples.known_at], dtype=np.bool_
    )
    sealed = terms.seals(examples)
    parted = split(examples, cutoff, clusters(examples.keys), taught, sealed)
    judges = examples.take(parted.judge)
    people = len(set(judges.unit_ids))
    if len(judges) < terms.fewest_judges or people < terms.fewest_units:
        needed = {"n": len(judges), "people": people, "need": terms.fewest_judges, "need_people": terms.fewest_units}
        return Turn(False, "too_few_judges", needed, parted)
    lessons = examples.take(parted.teach)
    if not len(lessons):
        return Turn(False, "nothing_to_learn", {}, parted)
    candidate = candidate or learnable.train(lessons, budget, seed)
    judged = judge(learnable, judges, lessons, champion.fitted, candidate, parted, terms, attempt, budget, seed, screen)
    if not judged.promoted:
        return judged
    refit = learnable.train(examples.take(examples.teaches & ~sealed), budget, seed)
    return confirm(learnable, judges, judged, refit, terms)


def judge(
    learnable: Learnable,
    judges: Examples,
    lessons: Examples,
    champion: Fitted,
    candidate: Fitted,
    parted: Split,
    terms: Terms,
    attempt: int,
    budget: Budget,
    seed: int,
    screen: bool = False,
) -> Turn:
    """Steps 2 and 3: everyone answers the same later questions."""
    metric = learnable.metric
    # A screen promotes nobody, so there is no error to share out among attempts.
    alpha = terms.alpha if screen else terms.level(attempt)

    def compare(mine: Scores, theirs: Scores, which: Mask | None = None) -> Interval:
        here = np.ones(len(judges), dtype=np.bool_) if which is None else which
        units = [unit for unit, inside in zip(judges.unit_ids, here, strict=True) if inside]
        return paired_gain(
            mine[here],
            theirs[here],
            units,
            alpha=alpha,
            low=metric.low,
            high=metric.high,
            higher_is_better=metric.direction == "higher",
        )

    scores = {"champion": learnable.score(champion, judges), "candidate": _sound(learnable.score(candidate, judges))}
    baselines = []
    for name, recipe in sorted(learnable.baselines().items()):
        scores[name] = learnable.score(recipe(lessons, budget, seed), judges)
        baselines.append(Contest(name, _mean(scores[name], judges), compare(scores["candidate"], scores[name])))
    gain = compare(scores["candidate"], scores["champion"])
    slices = []
    for name in sorted(set(judges.slices)):
        inside = np.array([each == name for each in judges.slices], dtype=np.bool_)
        score = _mean(scores["champion"][inside], judges.take(inside))
        slices.append(Contest(name, score, compare(scores["candidate"], scores["champion"], inside)))

    code, why = verdict(gain, slices, baselines, margin=terms.margin * (metric.high - metric.low) if screen else None)
    details: dict[str, Any] = {"alpha": alpha, "attempt": attempt, **why}
    return Turn(
        promoted=code in PASSED,
        code=code,
        details=details,
        split=parted,
        gain=gain,
        per_example=clustered_mean(
            (scores["candidate"] - scores["champion"]) * (1.0 if metric.direction == "higher" else -1.0),
            judges.unit_ids,
            alpha=alpha,
        ),
        champion_score=_mean(scores["champion"], judges),
        candidate_score=_mean(scores["candidate"], judges),
        slices=tuple(slices),
        baselines=tuple(baselines),
        candidate=candidate,
        scores=scores,
        screen=screen,
    )


PASSED = ("better", "fit_to_try")


def verdict(
    gain: Interval, slices: Sequence[Contest], baselines: Sequence[Contest], *, margin: float | None
) -> tuple[str, dict[str, Any]]:
    """The code of what was measured, and what it is about. `margin`: what a screen lets pass; None: proof is asked."""
    worse = [contest.name for contest in slices if contest.gain.upper < 0]
    if margin is not None:
        beaten = [contest.name for contest in baselines if contest.gain.upper < 0]
    else:
        beaten = [contest.name for contest in baselines if contest.gain.lower <= 0]
    if gain.upper < 0:
        return "worse", {}
    if margin is None and gain.lower <= 0:
        return "not_shown_better", {}
    if margin is not None and gain.lower <= -margin:
        return "not_shown_as_good", {"margin": margin}
    if worse:
        return "slice_worse", {"slice": worse[0]}
    if beaten:
        return "trivial_is_as_good" if margin is None else "trivial_is_better", {"baseline": beaten[0]}
    return "better" if margin is None else "fit_to_try", {}


def confirm(learnable: Learnable, judges: Examples, judged: Turn, refit: Fitted, terms: Terms) -> Turn:
    """Step 4: the refit may serve unless it is worse than the candidate that proved itself."""
    scores = {**judged.scores, "refit": _sound(learnable.score(refit, judges))}
    refit_score = _mean(scores["refit"], judges)
    assert judged.candidate_score is not None, "a candidate was judged"
    sign = 1.0 if learnable.metric.direction == "higher" else -1.0
    span = learnable.metric.high - learnable.metric.low
    fine = sign * (refit_score - judged.candidate_score) >= -terms.slack * span
    code = judged.code if fine else "refit_worse"
    return replace(judged, promoted=fine, code=code, refit_score=refit_score, refit=refit, scores=scores)


def _sound(scores: Scores) -> Scores:
    """The scores, if training came to anything: one that ran away answers with numbers that are none."""
    if not np.isfinite(scores).all():
        raise FloatingPointError("a score is not a finite number")
    return scores


def _mean(scores: Scores, examples: Examples) -> float:
    """The score of the average person."""
    return float(by_unit(scores, examples.unit_ids).mean()) if len(scores) else 0.0
