"""A world in which it is known what everybody did next, and the shop hears of a part of it.

Implements `ikkan.flywheel.proof.World`. What people did comes from a file with times, or is made. Time runs as it ran:
the warm-up is its beginning, and each round's visits are scored before anything of them is learned. What was done is
heard of as a shop hears of it: the higher the model had put a thing, the likelier people took it from the list, and
some find what they want by themselves; a few clicks are mistakes. Seeds draw who had been a customer when the champion
was frozen, which visits are looked at, and what is heard of.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ikkan.apps.shop.learn.next_item.visits import GAP, MOST_NEW, STREAM, Did, Then, Visit, read_visits
from ikkan.apps.shop.rules.factors import MEANWHILE, Stream
from ikkan.apps.shop.rules.population import Population
from ikkan.flywheel.contract import Budget, Examples, Fitted, Recipe, Scores
from ikkan.ground.errors import BadFile, NotFound

if TYPE_CHECKING:
    from ikkan.apps.shop.learn.next_item.learnable import NextItemLearnable

WARM_UP = 0.2
"""Of everything that happened, the earliest part."""
CUSTOMERS = 1 / 3
"""Of the people of the warm-up, so many were customers of this shop when its champion was frozen."""
MOST_EACH = 30
"""Visits of one person in one round."""
HEARD, FOUND = 0.7, 0.2
"""What people do is heard of with this chance where the model puts it first, and where it puts it last."""
MISTAKEN = 0.05
FEWEST = 60
"""Visits of a round, in the smallest file that can be used."""
MOST_BYTES = 2 * 2**30


class VisitWorld:
    """Visits of a shop's people, in the order in which they came.

    Args:
        data: CSV with a header and the columns user, item, value, time (seconds since 1970), in this order; None: made.
    """

    budget = Budget(seconds=60.0)

    def __init__(self, learnable: NextItemLearnable, data: Path | None, *, quick: bool = False) -> None:
        self.learnable = learnable
        self._data = data
        self._people, self._steps = (150, 24) if quick else (1_200, 24)
        self.facts: Mapping[str, Any] = {
            "visits": "file" if data else "made",
            "made_people": self._people,
            "made_steps": self._steps,
            "visit": [MOST_NEW, GAP.total_seconds(), MEANWHILE],
            "warm_up": WARM_UP,
            "customers": CUSTOMERS,
            "most_each": MOST_EACH,
            "heard": HEARD,
            "found": FOUND,
            "mistaken": MISTAKEN,
        }

    def warm_up(self, seed: int) -> Examples:
        """Visits of the first customers, over before the cut."""
        everything, cut = self._visits, self._cut
        before = np.array([known < cut for known in everything.known_at], dtype=np.bool_)
        mine = {unit: _drawn(unit, seed) < CUSTOMERS for unit in set(everything.unit_ids)}
        return everything.take(before & np.array([mine[unit] for unit in everything.unit_ids], dtype=np.bool_))

    def visits(self, seed: int, rounds: int) -> Sequence[Examples]:
        """Everybody's visits after the cut, in rounds of one size.

        Raises:
            BadFile: it holds too few for so many rounds.
        """
        everything, cut = self._visits, self._cut
        later = np.flatnonzero([began >= cut and bool(visit.history) for began, visit in
                                zip(everything.occurred_at, everything.inputs, strict=True)])  # fmt: skip
        if len(later) < rounds * FEWEST:
            raise BadFile(
                f"{len(later):,} visits after the first fifth are too few for {rounds - 1} rounds:"
                f" it takes {rounds * FEWEST:,}",
                hint="give a larger file, or fewer --rounds",
            )
        parts = np.array_split(later, rounds)
        begins = [everything.occurred_at[part[0]] for part in parts[1:]] + [datetime.max.replace(tzinfo=UTC)]
        return [
            everything.take(self._some(everything, part, begin, seed, number))
            for number, (part, begin) in enumerate(zip(parts, begins, strict=True))
        ]

    def told(self, visits: Examples, scores: Scores, rng: np.random.Generator) -> Examples:
        """What the shop hears of."""
        heard = rng.random(len(visits)) < FOUND + (HEARD - FOUND) * scores
        mistaken = rng.random(len(visits)) < MISTAKEN
        others = rng.integers(0, len(self._items), (len(visits), 1)).tolist()
        truths = tuple(
            Then(tuple(self._items[row] for row in other)) if is_mistaken else then
            for then, is_mistaken, other in zip(visits.truths, mistaken.tolist(), others, strict=True)
        )
        return replace(visits, truths=truths).take(heard)

    def poisoned(self, said: Examples, share: float, rng: np.random.Generator) -> Examples:
        """A seller's friends click on three of his things, whatever they are shown."""
        pushed = Then(tuple(sorted(self._items, key=lambda item: hashlib.sha256(item.encode()).digest())[:3]))
        truths = tuple(
            pushed if _drawn(f"lies {unit}", 0) < share else then
            for unit, then in zip(said.unit_ids, said.truths, strict=True)
        )
        return replace(said, truths=truths)

    def self_labelled(self, fitted: Fitted, visits: Examples) -> Examples:
        """Everybody as they were when the champion was frozen, followed by what the model likes best for them.

        What people did since then is feedback, in a history as in a truth: learning from nobody has neither. Who came
        later is nobody yet, and nothing is said of them.
        """
        visits = replace(visits, inputs=tuple(
            Visit(self._at_the_cut.get(unit, ()), visit.place)
            for unit, visit in zip(visits.unit_ids, visits.inputs, strict=True)
        ))  # fmt: skip
        truths = tuple(Then(top) for top in self.learnable.likeliest(fitted, visits))
        return replace(visits, truths=truths, teaches=np.array([bool(then.product_ids) for then in truths]))

    def at_random(self, visits: Examples, rng: np.random.Generator) -> Scores:
        """A place like any other."""
        return rng.random(len(visits))

    def trivial(self) -> tuple[str, Recipe]:
        """Plain likeness of items, from the same visits."""
        return "item_knn", self.learnable.rivals()["item_knn"]

    @cached_property
    def _visits(self) -> Examples:
        return read_visits(_read(self._data) if self._data else _made(self._people, self._steps))

    @cached_property
    def _items(self) -> tuple[str, ...]:
        return Stream.load(self._visits.background[STREAM]).item_ids

    @cached_property
    def _at_the_cut(self) -> Mapping[str, tuple[str, ...]]:
        """What each person of the time before the cut had done by then."""
        everything, cut = self._visits, self._cut
        rows = zip(everything.unit_ids, everything.known_at, everything.inputs, everything.truths, strict=True)
        return {unit: (*visit.history, *then.product_ids) for unit, known, visit, then in rows if known < cut}

    @cached_property
    def _cut(self) -> datetime:
        """After the first fifth of what happened."""
        places = [visit.place for visit in self._visits.inputs]
        first = next(at for at, place in enumerate(places) if place >= WARM_UP * (places[-1] + 1))
        return self._visits.occurred_at[first]

    def _some(self, everything: Examples, part: np.ndarray, until: datetime, seed: int, number: int) -> list[int]:
        """At most so many of one person, drawn by the seed; over before the next round begins."""
        rng, kept, each = np.random.default_rng([seed, number, 0x5033]), list[int](), Counter[str]()
        for at in rng.permutation(part).tolist():
            unit = everything.unit_ids[at]
            if each[unit] < MOST_EACH and everything.known_at[at] < until:
                each[unit] += 1
                kept.append(at)
        return sorted(kept)


def _read(path: Path) -> list[Did]:
    """The file's rows in the order of time."""
    if not path.is_file():
        raise NotFound(f"there is no file {path}", hint="CSV: user,item,value,timestamp", path=str(path))
    if path.stat().st_size > MOST_BYTES:
        raise _bad(path, f"is larger than {MOST_BYTES:,} bytes")
    rows: list[tuple[float, int, str, str]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            next(reader, None)
            for number, row in enumerate(reader, start=1):
                try:
                    rows.append((float(row[3]), number, row[0], row[1]))
                except (IndexError, ValueError) as error:
                    raise _bad(path, f"row {number:,} is no user,item,value,timestamp") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise _bad(path, f"cannot be read as CSV in UTF-8: {error}") from error
    if not rows:
        raise _bad(path, "has no rows")
    rows.sort()
    return [Did(user, item, datetime.fromtimestamp(at, UTC), f"row-{number}") for at, number, user, item in rows]


def _made(people: int, steps: int) -> list[Did]:
    """People who come one after another, and do what they want."""
    town = Population.made(7, people, [row % 10 for row in range(240)])
    began, did = datetime(2026, 1, 1, tzinfo=UTC), list[Did]()
    for person in range(people):
        owned: set[int] = set()
        for step in range(steps):
            acted = town.acts(person, step, (), owned)
            if acted.alone >= 0:
                owned.add(acted.alone)
                at = began + timedelta(hours=3 * person + 20 * (step // 6), minutes=step, seconds=person % 60)
                did.append(Did(f"person-{person}", f"item-{acted.alone}", at, f"made-{person}-{step}"))
    return sorted(did, key=lambda each: (each.at, each.event_id))


def _drawn(unit: str, seed: int) -> float:
    """A number of one's own from 0 to 1."""
    return int.from_bytes(hashlib.sha256(f"{seed} {unit}".encode()).digest()[:8], "big") / 2**64


def _bad(path: Path, why: str) -> BadFile:
    return BadFile(f"{path.name} {why}", hint="CSV with a header and the columns user,item,value,timestamp")
