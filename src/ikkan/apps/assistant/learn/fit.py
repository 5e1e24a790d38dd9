"""Training the answerer: index what people meant, then weigh the features so that the right answer comes first.

One convex-like problem in nine numbers, solved by Newton's method with a line search, in numpy: the same examples and
seed give the same bytes. Each training question looks away from its own anchors and their near-duplicates, so
the weights are those for questions never seen. Weights stay near `BASE` while there is little to learn from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.assistant.learn.examples import Asked, decode_knowledge
from ikkan.apps.assistant.rules.answerer import (
    ANCHOR,
    ANSWER,
    BASE,
    BASE_CALIBRATION,
    DEFERRED,
    FEATURES,
    NONE,
    QUESTION,
    Answerer,
    Index,
    bag_of,
    script_of,
)
from ikkan.apps.assistant.values import NO_ANSWER, Knowledge, Truth
from ikkan.flywheel.contract import Examples
from ikkan.flywheel.split import clusters
from ikkan.kit.taught import Embed

Floats = NDArray[np.float64]

NEAREST = 48
"""A question is trained against this many of the entries that look most like it."""
MOST_WEIGHED = 2_500
"""The ranking has nine weights; more questions than this (the latest) would not change them."""
STAY_NEAR_BASE = 0.5
PULL = 40.0
"""How many points it takes to move the level from which answers are given by 0.16 from where it started."""
_STEPS = 30


@dataclass(frozen=True, slots=True)
class _Lesson:
    asked: Asked
    truth: Truth
    cluster: int


def fit(examples: Examples, knowledge: Sequence[Knowledge] | None = None, *, embed: Embed | None = None) -> Answerer:
    """An answerer that knows `knowledge` (default: the examples' background) and what these examples taught.

    Without examples it is the base: the knowledge alone, under the weights `BASE`.
    """
    known = {
        entry.id: entry for entry in (knowledge if knowledge is not None else decode_knowledge(examples.background))
    }
    lessons = _agreed(examples)
    for lesson in lessons:
        right = lesson.truth.right
        if right is not None and right != NO_ANSWER and right not in known and lesson.asked.corrected:
            known[right] = Knowledge(right, lesson.asked.lang, "", "", lesson.asked.corrected, "")
    entries = tuple(known[id] for id in sorted(known))
    place = {entry.id: at for at, entry in enumerate(entries)}
    bags, owner, kind = [], [], []
    for at, entry in enumerate(entries):
        for text, what in ((entry.question, QUESTION), (entry.answer, ANSWER)):
            if text:
                bags.append(bag_of(text))
                owner.append(at)
                kind.append(what)
    anchored: dict[int, list[int]] = defaultdict(list)
    for lesson in lessons:
        if lesson.truth.right in place:
            anchored[lesson.cluster].append(len(bags))
            bags.append(bag_of(lesson.asked.question))
            owner.append(place[lesson.truth.right])
            kind.append(ANCHOR)
    vectors = np.zeros((len(entries), 0), dtype=np.float32)
    if embed is not None and entries:
        vectors = np.asarray(embed([entry.question or entry.answer for entry in entries]), dtype=np.float32)
    untrained = Answerer(
        entries=entries,
        index=Index.build(bags, owner),
        owner=np.array(owner, dtype=np.int32),
        kind=np.array(kind, dtype=np.uint8),
        weights=np.array(BASE),
        calibration=np.array(BASE_CALIBRATION),
        vectors=vectors,
    )
    weights, calibration = _weigh(untrained, lessons[-MOST_WEIGHED:], anchored, embed)
    return replace(untrained, weights=weights, calibration=calibration)


def _agreed(examples: Examples) -> list[_Lesson]:
    """What each question teaches, once people who contradict each other have been counted.

    Within near-duplicate questions the answer named by most distinct people counts; at a tie, the latest word.
    """
    taught = examples.take(examples.teaches)
    groups = clusters(taught.keys).tolist()
    votes: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    latest: dict[tuple[int, str], int] = {}
    for at, (group, truth) in enumerate(zip(groups, taught.truths, strict=True)):
        if truth.right is not None and not truth.silent:
            votes[group][truth.right].add(taught.unit_ids[at])
            latest[group, truth.right] = at
    chosen: dict[int, str] = {}
    for group, named in votes.items():
        chosen[group] = max(named, key=lambda right: (len(named[right]), latest[group, right]))
    lessons = []
    for at, (group, truth) in enumerate(zip(groups, taught.truths, strict=True)):
        agreed = chosen.get(group)
        # What nobody said stands only where nobody said otherwise.
        stands = agreed is None or truth.right == agreed or (truth.right is None and truth.wrong != agreed)
        if stands:
            lessons.append(_Lesson(taught.inputs[at], truth, group))
    return lessons


def _weigh(
    answerer: Answerer, lessons: Sequence[_Lesson], anchored: dict[int, list[int]], embed: Embed | None
) -> tuple[Floats, Floats]:
    """The weights under which the right answers are most probable, never far from `BASE` for want of evidence."""
    vectors = None
    if embed is not None and lessons:
        vectors = np.asarray(embed([lesson.asked.question for lesson in lessons]), dtype=np.float32)
    learned, calibrated = [], []
    for script, start in enumerate(BASE):
        base = np.array(start)
        tables, targets, denied = [], [], []
        for at, lesson in enumerate(lessons):
            named = lesson.truth.right if lesson.truth.right is not None else lesson.truth.wrong
            place = answerer.place.get(named or "")
            if script_of(lesson.asked.lang) != script or (place is None and named != NO_ANSWER):
                continue
            features = answerer.features(
                lesson.asked.question,
                lesson.asked.lang,
                without=np.array(anchored.get(lesson.cluster, []), dtype=np.int64),
                vector=None if vectors is None else vectors[at],
            )
            order = np.argsort(-(features @ base[:NONE]), kind="stable")[:NEAREST]
            if place is not None and place not in order:
                order = np.append(order[: NEAREST - 1], place)
            table = np.zeros((NEAREST + 1, len(base)))
            table[: len(order), :NONE] = features[order]
            table[len(order) : NEAREST, :] = np.nan
            table[NEAREST, NONE] = 1.0
            tables.append(table)
            targets.append(NEAREST if place is None else int(np.flatnonzero(order == place)[0]))
            denied.append(lesson.truth.right is None)
        calibration = np.array(BASE_CALIBRATION[script])
        if tables:
            stacked, right, wrong = np.stack(tables), np.array(targets), np.array(denied)
            base = _newton(stacked, right, wrong, base)
            calibration = _calibrate(_chances(stacked, base), right, wrong, calibration)
        learned.append(base)
        calibrated.append(calibration)
    return np.stack(learned), np.stack(calibrated)


def _chances(tables: Floats, weights: Floats) -> Floats:
    """The probability of each alternative; rows of NaN are no alternative."""
    logits = np.where(np.isnan(tables[:, :, 0]), -np.inf, np.nan_to_num(tables) @ weights)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _calibrate(chances: Floats, targets: NDArray[np.int64], denied: NDArray[np.bool_], start: Floats) -> Floats:
    """How sure to say one is, and from where on to answer: what would have scored best on questions never seen."""
    best = chances[:, :-1].argmax(axis=1)
    top = np.clip(chances[np.arange(len(best)), best], 1e-9, 1 - 1e-9)
    right = (best == targets) & ~denied
    odds = np.log(top / (1 - top))
    line = start[:2].copy()
    inputs = np.stack([np.ones(len(odds)), odds], axis=1)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-inputs @ line))
        gradient = inputs.T @ (p - right) + STAY_NEAR_BASE * (line - start[:2])
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + STAY_NEAR_BASE * np.eye(2)
        line = line - np.linalg.solve(curvature, gradient)
    line = np.round(np.array([line[0], np.clip(line[1], 0.2, 5.0)]), 4)
    sure = 1 / (1 + np.exp(-inputs @ line))
    deferred = np.where((targets == chances.shape[1] - 1) & ~denied, 1.0, DEFERRED)
    levels = np.arange(0.2, 0.7, 0.01)
    scored = [np.where(sure >= level, right, deferred).sum() - PULL * (level - start[2]) ** 2 for level in levels]
    return np.append(line, round(float(levels[int(np.argmax(scored))]), 2))


def _newton(tables: Floats, targets: NDArray[np.int64], denied: NDArray[np.bool_], base: Floats) -> Floats:
    filled = np.nan_to_num(tables)
    rows = np.arange(len(tables))

    def loss(weights: Floats) -> float:
        right = np.clip(_chances(tables, weights)[rows, targets], 1e-12, 1 - 1e-12)
        surprise = np.where(denied, -np.log1p(-right), -np.log(right))
        return float(surprise.sum() + 0.5 * STAY_NEAR_BASE * ((weights - base) ** 2).sum())

    weights = base.copy()
    now = loss(weights)
    for _ in range(_STEPS):
        p = _chances(tables, weights)
        right = np.clip(p[rows, targets], 1e-12, 1 - 1e-12)
        # Of "not this one" the gradient is the other way round, as strongly as the model believed in it.
        pull = np.where(denied, -right / (1 - right), 1.0)
        mean = np.einsum("nk,nkf->nf", p, filled)
        gradient = (pull[:, None] * (mean - filled[rows, targets])).sum(axis=0) + STAY_NEAR_BASE * (weights - base)
        strength = np.minimum(np.abs(pull), 1.0)
        spread = np.einsum("n,nk,nkf,nkg->fg", strength, p, filled, filled, optimize=True)
        curvature = spread - np.einsum("n,nf,ng->fg", strength, mean, mean) + STAY_NEAR_BASE * np.eye(len(base))
        step = np.linalg.solve(curvature, gradient)
        scale = 1.0
        while (then := loss(weights - scale * step)) > now and scale > 1e-4:
            scale /= 2
        if then > now:
            break
        weights, before, now = weights - scale * step, now, then
        if before - now < 1e-6 * max(1.0, now):
            break
    # Fewer digits than arithmetic keeps, so that another order of additions gives the same bytes.
    return np.round(weights, 4)


assert all(len(row) == len(FEATURES) + 1 for row in BASE)
