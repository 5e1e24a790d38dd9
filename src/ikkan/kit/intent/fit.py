"""Training the ladder: each rung on everything, its temperature and its level on texts it had not seen.

Every text is judged once by rungs that learned from the other folds; from that come the temperatures (least surprise)
and the levels (as many answers as can be given while the share that is right is surely high enough). In numpy: the
same examples and seed give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ikkan.kit.intent.ladder import (
    LOADS,
    Asked,
    Float32,
    Floats,
    Index,
    Ladder,
    Linear,
    Load,
    Nearest,
    Rung,
    Step,
    features,
    logarithm,
    spelling,
    tempered,
)

TARGET = 0.97
"""What is answered is right at least this often."""
FOLDS = 3
STRENGTH = 10.0
"""Inverse strength of the penalty on the linear rung's weights, per example: the middle of a flat optimum."""
TURNS = 60
"""Steps of L-BFGS; more change no answer."""
SURE = 1.96
NEXT = 2_000
"""A level is trusted when of the next so many answers, too, the target is right with 97.5 % probability (`SURE`
standard errors, one-sided): what was counted in training is a sample, and so is what comes."""
NEVER = 2.0
"""A level no probability reaches."""
EXAMPLES_A_SECOND = 100
"""What the bottom rungs learn from, embedding included: a budget in seconds, in examples, is the same on every machine,
so that the same budget learns from the same examples."""
_REMEMBERED = 8


class Recipe(Protocol):
    """How a rung learns. The slot for rungs above these: a language model with an adapter, a larger one."""

    name: str
    load: Load
    judged_folds: int
    """By what it says of so many folds it is judged, `FOLDS` at most: it learns once more for each of them."""

    def seconds(self, n: int) -> float:
        """What it takes to learn from so many texts and to be judged, on two cores, carefully; the same everywhere.

        Infinite where it cannot learn, or should not from so few.
        """
        ...

    def fit(self, asked: Asked, means: Index, intents: int, seed: int) -> Rung:
        """A rung that has learned what these texts mean."""
        ...


class NearestRecipe:
    """Learning by heart."""

    name = "nearest"
    load = staticmethod(LOADS["nearest"])
    judged_folds = FOLDS

    def seconds(self, n: int) -> float:
        """See `Recipe.seconds`: with the other rung at the bottom, twice as careful as measured."""
        return n / EXAMPLES_A_SECOND / 2

    def fit(self, asked: Asked, means: Index, intents: int, seed: int) -> Nearest:
        """See `Recipe.fit`."""
        vectors = asked.vectors if asked.vectors.shape[1] else spelling(asked.texts)
        # Half precision, as it is kept: the same numbers before and after it is stored.
        return Nearest(vectors.astype(np.float16).astype(np.float32), means, intents)


class LinearRecipe:
    """Multinomial logistic regression with a penalty on the squares of the weights."""

    name = "linear"
    load = staticmethod(LOADS["linear"])
    judged_folds = FOLDS

    def seconds(self, n: int) -> float:
        """See `Recipe.seconds`: with the other rung at the bottom, twice as careful as measured."""
        return n / EXAMPLES_A_SECOND / 2

    def fit(self, asked: Asked, means: Index, intents: int, seed: int) -> Linear:
        """See `Recipe.fit`. The problem is convex, so the seed changes nothing."""
        return Linear(multinomial(features(asked), means, intents))


BOTTOM: tuple[Recipe, ...] = (NearestRecipe(), LinearRecipe())
"""The rungs that need no language model, cheapest first."""


def fit(
    asked: Asked, meant: Sequence[str], seed: int, *, recipes: Sequence[Recipe] = BOTTOM, target: float = TARGET
) -> Ladder:
    """A ladder that has learned what these texts mean. With fewer than two intents it always defers."""
    intents = tuple(sorted(set(meant)))
    if len(intents) < 2:
        return Ladder(intents, (), asked.vectors.shape[1])
    place = {intent: at for at, intent in enumerate(intents)}
    means = np.array([place[intent] for intent in meant], dtype=np.int64)
    unseen, judged = _unseen(asked, means, len(intents), seed, recipes)
    steps, below, answered = [], np.zeros((len(means), len(intents))), np.zeros(len(means), dtype=np.bool_)
    right = np.zeros(len(means), dtype=np.bool_)
    for at, recipe in enumerate(recipes):
        known = judged[: at + 1].all(axis=0)
        temperature = coolest(unseen[at][known], means[known])
        below = below + tempered(unseen[at], temperature)
        mean = logarithm(below / (at + 1))
        mean_temperature = coolest(mean[known], means[known])
        chances = tempered(mean, mean_temperature)
        # Rungs below the last are held to twice the care: their mistakes are not theirs alone to spend.
        wanted = target if at == len(recipes) - 1 else (1 + target) / 2
        hits = chances.argmax(axis=1) == means
        best, left = chances.max(axis=1), known & ~answered
        before = int(right[known].sum()), int(answered[known].sum())
        level = sure_from(best[left], hits[left], *before, wanted)
        now = left & (best >= level)
        right |= now & hits
        answered |= now
        rung = recipe.fit(asked, means, len(intents), seed)
        steps.append(Step(recipe.name, rung, temperature, mean_temperature, level))
    return Ladder(intents, tuple(steps), asked.vectors.shape[1])


def _unseen(
    asked: Asked, means: Index, intents: int, seed: int, recipes: Sequence[Recipe]
) -> tuple[list[Floats], NDArray[np.bool_]]:
    """What each rung says of each text when it has not learned from it; and of which texts it said anything."""
    fold = folds(asked.texts, means, seed)
    said = [np.zeros((len(means), intents)) for _ in recipes]
    for number in range(FOLDS):
        here, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        if not len(here) or not len(others):
            continue
        for at, recipe in enumerate(recipes):
            if number < recipe.judged_folds:
                rung = recipe.fit(asked.take(others), means[others], intents, seed)
                said[at][here] = rung.logits(asked.take(here))
    return said, np.array([fold < recipe.judged_folds for recipe in recipes])


def folds(texts: Sequence[str], means: Index, seed: int) -> Index:
    """A fold for each text: every intent spread over all of them, the same text never in two. Shape (n,)."""
    rng = np.random.default_rng([seed, 0xF01D])
    start = rng.integers(0, FOLDS, int(means.max()) + 1)
    fold, seen, first = np.empty(len(texts), dtype=np.int64), start.copy(), dict[str, int]()
    for at in rng.permutation(len(texts)).tolist():
        text = " ".join(texts[at].casefold().split())
        if text not in first:
            first[text] = int(seen[means[at]] % FOLDS)
            seen[means[at]] += 1
        fold[at] = first[text]
    return fold


def coolest(logits: Floats, means: Index) -> float:
    """The temperature under which what turned out right surprises least. By golden section; the loss has one valley.

    Source: Guo et al. 2017, "On calibration of modern neural networks".
    """
    rows = np.arange(len(means))

    def surprise(power: float) -> float:
        return float(-np.log(np.maximum(tempered(logits, 2.0**power)[rows, means], 1e-12)).mean())

    low, high, share = -4.0, 4.0, (5**0.5 - 1) / 2
    for _ in range(20):
        left, right = high - share * (high - low), low + share * (high - low)
        low, high = (low, right) if surprise(left) <= surprise(right) else (left, high)
    return round(float(2.0 ** ((low + high) / 2)), 4)


def sure_from(probability: Floats, right: Floats, right_before: int, answered_before: int, target: float) -> float:
    """The lowest probability from which on answers may be given, so that of all answered enough are surely right.

    Args:
        right_before, answered_before: what the rungs below have answered already, and how much of it was right.

    >>> sure_from(np.array([0.9] * 200 + [0.4] * 20), np.array([1.0] * 200 + [0.0] * 20), 0, 0, 0.97)
    0.9
    >>> sure_from(np.array([0.9] * 20), np.ones(20), 0, 0, 0.97) == NEVER
    True
    """
    order = np.argsort(-probability, kind="stable")
    answers = answered_before + np.arange(1, len(order) + 1)
    share = (right_before + np.cumsum(right[order])) / answers
    fine = _surely(share, answers) >= target
    # Equal probabilities are answered together or not at all.
    fine &= np.append(probability[order][1:] < probability[order][:-1], True)
    return round(float(probability[order][np.flatnonzero(fine)[-1]]), 6) if fine.any() else NEVER


def _surely(share: Floats, n: Index) -> Floats:
    # Wilson's lower bound, with the variance of both samples.
    both = 1 / (1 / n + 1 / NEXT)
    z = SURE**2 / both
    return np.asarray((share + z / 2 - SURE * np.sqrt((share * (1 - share) + z / 4) / both)) / (1 + z))


def multinomial(
    table: Float32, means: Index, intents: int, *, strength: float = STRENGTH, turns: int = TURNS
) -> Float32:
    """Weights `(columns, intents)` under which the right intents are most probable, less a penalty on large weights.

    Args:
        table: `(n, columns)`; a constant column makes the intercepts.
        strength: the penalty is the sum of squares over twice `strength * n`.

    Source: L-BFGS, Nocedal and Wright, "Numerical Optimization", algorithm 7.5, with halving line search.
    """
    n, columns = table.shape
    penalty = np.float32(1 / (strength * n))
    right = np.zeros((n, intents), dtype=np.float32)
    right[np.arange(n), means] = 1

    def loss(weights: Float32) -> tuple[float, Float32]:
        shaped = weights.reshape(columns, intents)
        scores = table @ shaped
        scores -= scores.max(axis=1, keepdims=True)
        odds = np.exp(scores)
        sums = odds.sum(axis=1, keepdims=True)
        surprise = np.log(sums[:, 0]) - scores[np.arange(n), means]
        value = float(surprise.mean(dtype=np.float64)) + float(penalty) / 2 * float(weights @ weights)
        slope = table.T @ ((odds / sums - right) / np.float32(n))
        return value, (slope + penalty * shaped).ravel()

    return lbfgs(loss, np.zeros(columns * intents, dtype=np.float32), turns).reshape(columns, intents)


def lbfgs(loss: Callable[[Float32], tuple[float, Float32]], weights: Float32, turns: int) -> Float32:
    """Where `loss` (value and gradient) is least, from `weights` on, in at most so many steps.

    >>> lbfgs(lambda x: (float(((x - 3) ** 2).sum()), 2 * (x - 3)), np.zeros(2, np.float32), 20).round(3).tolist()
    [3.0, 3.0]
    """
    value, slope = loss(weights)
    steps: list[tuple[Float32, Float32]] = []
    for _ in range(turns):
        move: Float32 = -slope
        shares = []
        for step, turn in reversed(steps):
            shares.append(np.float32(step @ move / (turn @ step)))
            move = move - shares[-1] * turn
        if steps:
            step, turn = steps[-1]
            move = move * np.float32(step @ turn / (turn @ turn))
        else:
            move = move * np.float32(1 / max(1.0, float(np.linalg.norm(slope))))
        for (step, turn), share in zip(steps, reversed(shares), strict=True):
            move = move + step * np.float32(share - turn @ move / (turn @ step))
        length, descent = 1.0, float(slope @ move)
        then, slope_then = loss(weights + np.float32(length) * move)
        while then > value + 1e-4 * length * descent and length > 1e-6:
            length /= 2
            then, slope_then = loss(weights + np.float32(length) * move)
        if not then < value:
            break
        step, turn = np.float32(length) * move, slope_then - slope
        if step @ turn > 1e-10:
            steps = [*steps, (step, turn)][-_REMEMBERED:]
        gained, weights, value, slope = value - then, weights + step, then, slope_then
        if gained < 1e-6 * abs(value):
            break
    return weights
