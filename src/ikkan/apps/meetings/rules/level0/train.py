"""Learning the weights that ship with this app: numpy only, the same meetings give the same model.

Run by `tools/train_meetings.py`, measured by `benchmarks/meetings.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0.features import COLUMNS, Float32, Float64, Rows, rows, shapes, stacked
from ikkan.apps.meetings.rules.level0.model import SHORTEST_WORDS, Head, Model, curved, leveled, logistic
from ikkan.apps.meetings.rules.level0.rates import WORD_COLUMNS, Heard, Rates, Told, expanded, heard, places, traits
from ikkan.apps.meetings.rules.level0.units import Unit, contents, spoken, words

Bools = NDArray[np.bool_]
PENALTY = {"actions": 10.0, "decisions": 10.0, "importance": 100.0}
"""Half of this, times the square of each weight, is added to the summed surprise."""
_TURNS = 60
_REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class Lesson:
    """A meeting with what people said of it."""

    name: str
    group: str
    """Meetings of one group are never on both sides of a split: `ES2003` for `ES2003a` to `ES2003d`."""
    units: tuple[Unit, ...]
    table: Rows
    marks: dict[str, Bools]
    """For `actions`, `decisions`, `importance`: which units are. Missing where nobody marked them."""
    summary: tuple[str, ...]
    """The words of the summary people wrote."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Words of each unit."""
        return np.array([len(unit.words) for unit in self.units], dtype=np.int64)


def lesson(name: str, group: str, said: Sequence[Unit], marks: dict[str, Bools], summary: str) -> Lesson:
    """A meeting made ready to learn from."""
    return Lesson(name, group, tuple(said), rows(said), marks, tuple(contents(words(summary))))


def learn(lessons: Sequence[Lesson]) -> Model:
    """Everything at once."""
    assert lessons, "nothing to learn from"
    heads = {question: head(lessons, question) for question in ("actions", "decisions")}
    importance, chances = head_and_chances(lessons, "importance", folds=3)
    return Model(
        actions=heads["actions"],
        decisions=heads["decisions"],
        importance=importance,
        shape=fit_shape(lessons),
        rates=fit_rates(lessons, chances),
    )


def head(lessons: Sequence[Lesson], question: str, folds: int = 4) -> Head:
    """Learn one question."""
    return head_and_chances(lessons, question, folds)[0]


def head_and_chances(lessons: Sequence[Lesson], question: str, folds: int) -> tuple[Head, list[Float64]]:
    """Learn one question; with it, the chances of each meeting from those who had not seen it (none where unasked)."""
    asked = [number for number, one in enumerate(lessons) if question in one.marks]
    groups = sorted({lessons[number].group for number in asked})
    fold = np.array([groups.index(lessons[number].group) % folds for number in asked])
    scores: dict[int, Float32] = {}
    for here in range(folds):
        taught = [lessons[number] for number, where in zip(asked, fold, strict=True) if where != here]
        unseen = [number for number, where in zip(asked, fold, strict=True) if where == here]
        if taught and unseen:
            weights = fit(taught, question)
            scores |= {number: lessons[number].table.times(weights) for number in unseen}
    curve, threshold = curve_of([lessons[number] for number in scores], list(scores.values()), question)
    weights = fit([lessons[number] for number in asked], question)
    chances = [
        curved(scores[number], one.lengths, curve) if number in scores else np.zeros(len(one.units))
        for number, one in enumerate(lessons)
    ]
    return Head(weights, curve, threshold), chances


def fit(lessons: Sequence[Lesson], question: str) -> Float32:
    """Logistic regression with a penalty on the squares of the weights, shape `(COLUMNS,)`."""
    kept = [one.lengths >= SHORTEST_WORDS for one in lessons]
    used, table = stacked([one.table.take(rows_kept) for one, rows_kept in zip(lessons, kept, strict=True)]).narrow()
    right = np.concatenate([one.marks[question][rows_kept] for one, rows_kept in zip(lessons, kept, strict=True)])
    signs, penalty = np.where(right, 1, -1).astype(np.float32), PENALTY[question]

    def loss(weights: Float64) -> tuple[float, Float64]:
        margins = signs * table.times(weights.astype(np.float32))
        value = float(np.logaddexp(0, -margins).sum(dtype=np.float64)) + penalty / 2 * float(weights @ weights)
        slopes = -signs / (1 + np.exp(np.clip(margins, -40, 40)))
        return value, table.turned(slopes, len(used)).astype(np.float64) + penalty * weights

    found = np.zeros(COLUMNS, dtype=np.float32)
    found[used] = lbfgs(loss, np.zeros(len(used)))
    return found


def curve_of(lessons: Sequence[Lesson], scores: Sequence[Float32], question: str) -> tuple[Float64, float]:
    """How scores of unseen meetings become chances, and from which chance on F1 is best."""
    kept = [one.lengths >= SHORTEST_WORDS for one in lessons]
    table = np.vstack([leveled(score[fit_]) for score, fit_ in zip(scores, kept, strict=True)])
    right = np.concatenate([one.marks[question][fit_] for one, fit_ in zip(lessons, kept, strict=True)])
    curve = plain_logistic(table, right)
    return curve, best_threshold(logistic(table @ curve), right)


def best_threshold(chances: Float64, right: Bools) -> float:
    """The chance from which on F1 is highest.

    >>> best_threshold(np.array([0.9, 0.6, 0.2]), np.array([True, True, False]))
    0.6
    """
    order = np.argsort(-chances, kind="stable")
    f1 = 2 * np.cumsum(right[order]) / (np.arange(1, len(order) + 1) + right.sum())
    return float(chances[order[int(np.argmax(f1))]])


def plain_logistic(table: Float64, right: Bools, penalty: float = 1e-3) -> Float64:
    """Logistic regression on a few columns."""
    signs = np.where(right, 1.0, -1.0)

    def loss(weights: Float64) -> tuple[float, Float64]:
        margins = signs * (table @ weights)
        value = float(np.logaddexp(0, -margins).sum()) + penalty / 2 * float(weights @ weights)
        return value, table.T @ (-signs * logistic(-margins)) + penalty * weights

    return lbfgs(loss, np.zeros(table.shape[1]), turns=200)


def fit_shape(lessons: Sequence[Lesson]) -> Float64:
    """Importance from what is the same in any language."""
    asked = [one for one in lessons if "importance" in one.marks]
    return plain_logistic(
        np.vstack([shapes(one.units) for one in asked]), np.concatenate([one.marks["importance"] for one in asked])
    )


def fit_rates(lessons: Sequence[Lesson], chances: Sequence[Float64]) -> Rates:
    """How often a word stands in a summary, from meetings with summaries: Poisson regression."""
    pairs = [(one, chance) for one, chance in zip(lessons, chances, strict=True) if one.summary]
    counted = [heard(spoken(one.units), chance) for one, chance in pairs]
    stood = [_stood(words_, one.summary) for words_, (one, _) in zip(counted, pairs, strict=True)]
    told = _told(counted, [one.summary for one, _ in pairs])
    tables = [
        traits(words_, told.without(places(words_.words), words_.times, stands))
        for words_, stands in zip(counted, stood, strict=True)
    ]
    every = np.vstack(tables)
    middle, width = every.mean(axis=0), every.std(axis=0) + 1e-9
    table = expanded(every, middle, width)
    counts = np.concatenate(stood)
    exposure = np.concatenate(
        [np.full(len(one), np.log(len(pair[0].summary))) for one, pair in zip(stood, pairs, strict=True)]
    )

    def loss(weights: Float64) -> tuple[float, Float64]:
        level = np.clip(table @ weights + exposure, -20, 8)
        expected = np.exp(level)
        value = float((expected - counts * level).sum()) + 0.5 * float(weights @ weights)
        return value, table.T @ (expected - counts) + weights

    start = np.zeros(table.shape[1])
    start[0] = -8.0
    return Rates(told, middle, width, lbfgs(loss, start, turns=150))


def _stood(words_: Heard, summary: Sequence[str]) -> Float64:
    at = {word: number for number, word in enumerate(words_.words)}
    found = np.zeros(len(words_.words))
    for word in summary:
        if word in at:
            found[at[word]] += 1
    return found


def _told(counted: Sequence[Heard], summaries: Sequence[Sequence[str]]) -> Told:
    meetings_with, said, summed, with_ = (np.zeros(WORD_COLUMNS) for _ in range(4))
    for words_, summary in zip(counted, summaries, strict=True):
        at = places(words_.words)
        np.add.at(meetings_with, at, 1)
        np.add.at(said, at, words_.times)
        np.add.at(summed, places(summary), 1)
        np.add.at(with_, places(sorted(set(summary))), 1)
    summary_words = float(sum(len(summary) for summary in summaries))
    return Told(float(len(counted)), summary_words, meetings_with, said, summed, with_)


def lbfgs(loss: Callable[[Float64], tuple[float, Float64]], weights: Float64, turns: int = _TURNS) -> Float64:
    """Where `loss` (value and gradient) is least, from `weights` on, in at most so many steps.

    Source: L-BFGS, Nocedal and Wright, "Numerical Optimization", algorithm 7.5, with halving line search.

    >>> lbfgs(lambda x: (float(((x - 3) ** 2).sum()), 2 * (x - 3)), np.zeros(2)).round(3).tolist()
    [3.0, 3.0]
    """
    value, slope = loss(weights)
    steps: list[tuple[Float64, Float64]] = []
    for _ in range(turns):
        move, shares = -slope, []
        for step, turn in reversed(steps):
            shares.append(step @ move / (turn @ step))
            move = move - shares[-1] * turn
        if steps:
            step, turn = steps[-1]
            move = move * (step @ turn / (turn @ turn))
        else:
            move = move / max(1.0, float(np.linalg.norm(slope)))
        for (step, turn), share in zip(steps, reversed(shares), strict=True):
            move = move + step * (share - turn @ move / (turn @ step))
        length, descent = 1.0, float(slope @ move)
        then, slope_then = loss(weights + length * move)
        while then > value + 1e-4 * length * descent and length > 1e-6:
            length /= 2
            then, slope_then = loss(weights + length * move)
        if not then < value:
            break
        step, turn = length * move, slope_then - slope
        if step @ turn > 1e-10:
            steps = [*steps, (step, turn)][-_REMEMBERED:]
        gained, weights, value, slope = value - then, weights + step, then, slope_then
        if gained < 1e-5 * abs(value):
            break
    return weights
