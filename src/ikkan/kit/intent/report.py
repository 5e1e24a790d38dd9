"""What a ladder is worth: how many it answers, how many of those rightly, and what a right answer costs by rung."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ikkan.flywheel.contract import Examples, Fitted
from ikkan.kit.intent.fit import TARGET
from ikkan.kit.intent.ladder import Asked, Floats
from ikkan.kit.intent.larger import Larger

if TYPE_CHECKING:
    from ikkan.kit.intent.learnable import IntentLearnable


@dataclass(frozen=True, slots=True)
class RungReport:
    """One rung on the texts that reached it."""

    name: str
    reached: int
    answered: int
    right: int
    """Of those it answered."""
    seconds: float
    """For all that reached it. The lowest rung pays for the embeddings, which those above find made."""
    yen: float
    yen_per_success: float | None
    """Its cost over the right answers it gave; None where it gave none, or where others bear the cost."""


@dataclass(frozen=True, slots=True)
class LadderReport:
    """A ladder on texts it has not learned from."""

    texts: int
    accuracy: float
    """With nothing deferred, or with what a larger model said of what was."""
    coverage: float
    """The share answered, at the levels that training chose."""
    accuracy_answered: float
    """Of what was answered; 1 where nothing was."""
    coverage_at_97: float
    """The largest share that could be answered, surest first, with 97 % of it right: known only with hindsight."""
    rungs: tuple[RungReport, ...]
    deferred: RungReport
    """Whatever stands above these rungs: what reaches it, and what the ladder's best guess would have got right. Where
    a larger model was asked, what it answered instead, and what that cost by the ledger.
    """

    @property
    def yen_per_success(self) -> float | None:
        """What a right answer costs over all rungs, those deferred not counted."""
        right = sum(rung.right for rung in self.rungs)
        return sum(rung.yen for rung in self.rungs) / right if right else None


def report(
    learnable: IntentLearnable,
    fitted: Fitted,
    examples: Examples,
    *,
    yen_an_hour: float,
    larger: Larger | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> LadderReport:
    """Measure a ladder on these examples, whose truths it must not have learned.

    Args:
        yen_an_hour: what the machine costs under load; `Settings.yen_an_hour`.
        larger: whoever is asked what the ladder defers; None: nobody, and its best guess counts.
        timer: seconds, from any beginning.
    """
    ladder = learnable.ladder(fitted)
    began = timer()
    asked = learnable.asked(examples.inputs)
    embedding_s = timer() - began
    read = ladder.read(asked)
    place = {intent: at for at, intent in enumerate(ladder.intents)}
    truths = np.array([place.get(meant.intent, -2) for meant in examples.truths], dtype=np.int64)
    right = np.asarray(read.intent == truths)
    rungs = []
    for at, step in enumerate(ladder.steps):
        seconds = _seconds(step.rung.logits, asked.take(np.flatnonzero(read.step >= at)), timer)
        rungs.append(_rung(step.name, read.step, at, right, seconds + (0.0 if at else embedding_s), yen_an_hour))
    answered = read.answered(len(ladder.steps))
    sure, beyond = right, _rung("deferred", read.step, len(ladder.steps), right, 0.0, 0.0)
    if larger is not None and ladder.steps:
        right, beyond = _asked(larger, ladder.intents, examples, right, ~answered, timer)
    return LadderReport(
        texts=len(examples),
        accuracy=float(right.mean()) if len(right) else 0.0,
        coverage=float(answered.mean()) if len(right) else 0.0,
        accuracy_answered=float(right[answered].mean()) if answered.any() else 1.0,
        coverage_at_97=coverage_at(read.probability, sure),
        rungs=tuple(rungs),
        deferred=beyond,
    )


def _asked(
    larger: Larger,
    intents: Sequence[str],
    examples: Examples,
    right: NDArray[np.bool_],
    deferred: NDArray[np.bool_],
    timer: Callable[[], float],
) -> tuple[NDArray[np.bool_], RungReport]:
    """What is right when a larger model reads what was deferred; where it names no intent, the best guess stands."""
    began, left = timer(), np.flatnonzero(deferred).tolist()
    chosen = larger.choose_all([examples.inputs[at] for at in left], intents)
    seconds, yen = timer() - began, sum(one.yen for one in chosen)
    together, answered, wins = right.copy(), 0, 0
    for at, one in zip(left, chosen, strict=True):
        if one.intent is not None:
            together[at] = one.intent == examples.truths[at].intent
            answered += 1
            wins += int(together[at])
    each = yen / wins if wins else None
    return together, RungReport(larger.name, len(left), answered, wins, seconds, yen, each)


def coverage_at(probability: Floats, right: NDArray[np.bool_], target: float = TARGET) -> float:
    """The largest share, surest first, of which `target` is right.

    >>> coverage_at(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, True, False]))
    0.75
    """
    order = np.argsort(-probability, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # Equal probabilities are answered together or not at all.
    fine = (share >= target) & np.append(probability[order][1:] < probability[order][:-1], True)[: len(order)]
    return float((np.flatnonzero(fine)[-1] + 1) / len(order)) if fine.any() else 0.0


def _seconds(logits: Callable[[Asked], object], asked: Asked, timer: Callable[[], float]) -> float:
    began = timer()
    logits(asked)
    return timer() - began


def _rung(
    name: str, step: NDArray[np.int64], at: int, right: NDArray[np.bool_], seconds: float, yen_an_hour: float
) -> RungReport:
    here = step == at
    yen, wins = seconds / 3600 * yen_an_hour, int(right[here].sum())
    each = yen / wins if wins and seconds else None
    return RungReport(name, int((step >= at).sum()), int(here.sum()), wins, seconds, yen, each)
