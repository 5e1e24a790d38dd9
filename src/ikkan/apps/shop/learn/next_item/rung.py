"""The rung above the light one: the encoder, learned from visits where torch, the visits and the budget allow.

What it takes is reckoned from what there is to learn, by the same rate on every machine, so that the same visits,
budget and seed make the same model. It learns twice: without the latest lessons, which then say when it was best and
whether it tells people apart better than the light rung does; and, where it does, once more from all of them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np

from ikkan.apps.shop.learn.next_item import training
from ikkan.apps.shop.learn.next_item.asked import Answers, Data
from ikkan.apps.shop.learn.next_item.dial import Dial
from ikkan.apps.shop.rules.factors import Index, told_apart
from ikkan.apps.shop.rules.next_item import NextItem
from ikkan.apps.shop.rules.next_item.kinds import likes
from ikkan.apps.shop.rules.suggest.hooks import Encodes
from ikkan.apps.shop.rules.suggest.world import ENCODED
from ikkan.flywheel.contract import Examples
from ikkan.flywheel.statistics import by_unit

FEWEST = 2_000
"""Of fewer visits the tenth that chooses says too little."""
LEAST_S = 120.0
"""A turn with less time is a light one: it is over before anybody waits for the processor."""
HELD = 0.1
"""This share of the lessons, the latest, chooses."""
JUDGED_MOST = 1_000
WORK_A_SECOND = 3e10
"""Multiplications, on one busy core, carefully."""


@dataclass(frozen=True, slots=True)
class EncoderRung:
    """When the encoder learns, and how.

    Args:
        settings: the dial of its size.
        fewest: visits.
        least_s: a budget of less has no time for it, however little there is to learn.
    """

    settings: Dial = field(default_factory=Dial)
    fewest: int = FEWEST
    least_s: float = LEAST_S

    def in_time(self, lessons: Examples, seconds: float) -> Examples | None:
        """The latest lessons that it learns from in so many seconds; None: it cannot, or should not from so few."""
        if seconds < self.least_s or find_spec("torch") is None:
            return None
        most = int(len(lessons) * min(1.0, seconds / max(self.seconds(lessons), 1e-9)))
        return None if most < self.fewest else lessons.take(np.arange(len(lessons) - most, len(lessons)))

    def seconds(self, lessons: Examples) -> float:
        """What learning twice takes, were no pass over the data spared."""
        items = len({item for visit, then in _pairs(lessons) for item in (*visit, *then)})
        answers = sum(len(then) for visit, then in _pairs(lessons) if visit)
        shape, recipe = self.settings.shape(items, ENCODED), self.settings.recipe(answers, items)
        network = shape.blocks * shape.width * (6 * shape.width + 3 * shape.inner)
        read = max(answers, recipe.steps_per_look * recipe.events_per_step)
        return 2 * recipe.looks * read * 3 * ((recipe.sampled or items) * shape.width + network) / WORK_A_SECOND

    def better(self, lessons: Examples, light: Encodes, seed: int) -> Better | None:
        """An encoder that has learned from these visits; None where the light rung tells people apart as well.

        Args:
            light: learned without the latest `held(lessons)` visits, as this one is before it is compared.
        """
        cut = len(lessons) - held(lessons)
        early, exam = followed(lessons.take(np.arange(cut))), Exam(lessons.take(np.arange(cut, len(lessons))))
        if not early.rows or not len(exam):
            return None
        first = training.follow(early, settings=self.settings, seed=seed, longest=ENCODED, judge=exam)
        told = {"light": exam(light), "encoder": exam(first.model)}
        if told["encoder"] <= told["light"]:
            return None
        whole = followed(lessons)
        again = training.follow(whole, settings=self.settings, seed=seed, longest=ENCODED, epochs=first.epochs)
        return Better(again.model, told)


@dataclass(frozen=True, slots=True)
class Better:
    """An encoder, and how well both rungs told people apart on the lessons that chose it."""

    model: NextItem
    told_apart: Mapping[str, float]


def held(lessons: Examples) -> int:
    """How many of these lessons, the latest, choose."""
    return math.ceil(len(lessons) * HELD)


def followed(lessons: Examples) -> Data:
    """Each person's things in order, and what they did after which of them. Only what these visits name is in it."""
    ids = tuple(sorted({item for visit, then in _pairs(lessons) for item in (*visit, *then)}))
    place = {item: row for row, item in enumerate(ids)}
    rows: dict[str, dict[str, None]] = defaultdict(dict)
    places: dict[str, list[int]] = defaultdict(list)
    answers: dict[str, list[int]] = defaultdict(list)
    for unit, (visit, then) in zip(lessons.unit_ids, _pairs(lessons), strict=True):
        # The history of a later visit goes on where that of an earlier one ended: all are read in one pass.
        rows[unit].update(dict.fromkeys(visit))
        if rows[unit]:
            places[unit] += [len(rows[unit]) - 1] * len(then)
            answers[unit] += [place[item] for item in then]
    people = [unit for unit in rows if answers[unit]]
    return Data(
        ids=ids,
        rows=[np.array([place[item] for item in rows[unit]], dtype=np.int64) for unit in people],
        ends=np.array([len(rows[unit]) for unit in people], dtype=np.int64),
        times=None,
        kinds=None,
        attributes=None,
        answers=[
            Answers(np.array(places[unit], dtype=np.int64), np.array(answers[unit], dtype=np.int64)) for unit in people
        ],
    )


class Exam:
    """How well a model tells people apart on these visits: what one did then from what others of them did."""

    def __init__(self, visits: Examples) -> None:
        asked = np.flatnonzero([bool(before) for before, _ in _pairs(visits)])
        some = np.unique(np.linspace(0, len(asked) - 1, min(len(asked), JUDGED_MOST)).astype(np.int64))
        self._visits = visits.take(asked[some])
        did = [item for _, then in _pairs(visits) for item in then]
        self._ids = tuple(sorted({*did, *(item for before, _ in _pairs(self._visits) for item in before)}))
        self._place = {item: row for row, item in enumerate(self._ids)}
        self._did = np.bincount(self._rows(did), minlength=len(self._ids)).astype(np.float64)

    def __len__(self) -> int:
        return len(self._visits)

    def __call__(self, model: Encodes) -> float:
        """The average person's score."""
        pairs, found = _pairs(self._visits), np.empty(len(self))
        for at, liked in enumerate(likes(model, self._ids, [before for before, _ in pairs])):
            before, then = pairs[at]
            others = self._did.copy()
            others[self._rows(before)] = 0.0
            found[at] = told_apart(liked, others, self._rows(then))
        return float(by_unit(found, self._visits.unit_ids).mean())

    def _rows(self, items: Sequence[str]) -> Index:
        return np.array([self._place[item] for item in items], dtype=np.int64)


def _pairs(lessons: Examples) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """What somebody had done, and did then."""
    return [(visit.history, then.product_ids) for visit, then in zip(lessons.inputs, lessons.truths, strict=True)]
