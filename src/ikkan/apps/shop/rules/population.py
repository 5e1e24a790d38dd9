"""People who are made: tastes that drift, moods that come and go, deliveries that are late, things sent back.

For worlds without data and for `ikkan shop simulate`. Nobody in it is anybody. The same seed makes the same people, and
what one of them would do with a list depends on the seed, the person, the step and the list alone, so that policies are
compared on the same people in the same moods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.values import Ware

Floats: TypeAlias = NDArray[np.float64]
Index: TypeAlias = NDArray[np.int64]

DRIFT = 0.08
"""How far a taste walks from one step to the next."""
MOODY = 0.2
"""In so many steps a mood begins: for a few steps somebody wants one kind of thing, whatever their taste."""
MOOD_STEPS = 4
LATE = 0.08
"""Of what is bought, this share arrives late."""
KEEPS = 0.96
"""Of what arrives in time this share is kept; of what was late a third less."""


@dataclass(frozen=True, slots=True)
class Acted:
    """What somebody did with a list, by place in it; -1 for nothing."""

    clicked: int
    bought: int
    is_late: bool
    is_returned: bool
    alone: int
    """The row of a thing they found by themselves; -1 for none."""


@dataclass(frozen=True, slots=True)
class Population:
    """People and what they like of `items` things of some kinds.

    Args:
        kinds: the kind of each item, from 0.
    """

    seed: int
    people: int
    kinds: Index
    appeal: Floats
    """By item: how much everybody likes it."""
    traits: Floats
    """By item: what it is like beside its kind, (items, 4)."""
    likes_kinds: Floats
    """(people, kinds)"""
    likes_traits: Floats
    """(people, 4)"""

    @classmethod
    def made(cls, seed: int, people: int, kinds: Sequence[int]) -> Population:
        """Some people for things of these kinds."""
        rng = np.random.default_rng([seed, 0x90B])
        which = np.asarray(kinds, dtype=np.int64)
        count = int(which.max()) + 1 if len(which) else 0
        return cls(
            seed=seed,
            people=people,
            kinds=which,
            appeal=rng.gumbel(0.0, 0.5, len(which)),
            traits=rng.standard_normal((len(which), 4)),
            likes_kinds=rng.standard_normal((people, count)) * 1.6,
            likes_traits=rng.standard_normal((people, 4)) * 0.8,
        )

    def mood(self, person: int, step: int) -> int:
        """The kind of thing this person is in the mood for; -1 for none."""
        for began in range(step, max(-1, step - MOOD_STEPS), -1):
            rng = self._rng(person, began, 1)
            if rng.random() < MOODY:
                return int(rng.integers(self.likes_kinds.shape[1]))
        return -1

    def wants(self, person: int, step: int) -> Floats:
        """How much this person likes each item now, as log-odds before any list. (items,)"""
        walk = np.random.default_rng([self.seed, person, 0xD21F]).standard_normal((step + 1, self.likes_kinds.shape[1]))
        kinds = self.likes_kinds[person] + DRIFT * np.sqrt(self.likes_kinds.shape[1]) * walk.sum(axis=0)
        mood = self.mood(person, step)
        if mood >= 0:
            kinds = kinds.copy()
            kinds[mood] += 4.0
        return np.asarray(self.appeal + kinds[self.kinds] + self.traits @ self.likes_traits[person])

    def acts(self, person: int, step: int, rows: Sequence[int], owned: set[int], attention: float = 0.85) -> Acted:
        """What this person does with a list of items.

        Args:
            rows: the list, best place first; each further place is looked at less.
            owned: what they have already, which nobody wants twice.
        """
        rng = self._rng(person, step, 2)
        want, luck = self.wants(person, step), rng.random(len(rows) + 4)
        order = np.argsort(-want, kind="stable")
        # Wanted is what stands among the best thirtieth of everything, for this person, now.
        edge = want[order[max(1, len(order) // 30) - 1]]
        clicked = -1
        for place, row in enumerate(rows):
            fits = 1.0 / (1.0 + np.exp(-2.0 * (want[row] - edge))) * (row not in owned)
            if luck[place] < 0.6 * fits * attention**place:
                clicked = place
                break
        buys = clicked >= 0 and luck[-1] < 0.35
        late = bool(buys and luck[-2] < LATE)
        back = bool(buys and luck[-3] > (KEEPS * 2 / 3 if late else KEEPS))
        alone = -1
        if luck[-4] < 0.5:
            # They find it by a search, or a friend has it: in proportion to how much they want it.
            chance = np.exp(want - want.max())
            chance[list(owned)] = 0.0
            alone = int(rng.choice(len(want), p=chance / chance.sum())) if chance.sum() > 0 else -1
        return Acted(clicked, clicked if buys else -1, late, back, alone)

    def _rng(self, person: int, step: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, person, step, purpose])


def wares_of(seed: int, count: int, kinds: int = 12) -> tuple[list[Ware], list[int]]:
    """A shop's shelf that is made, and the kind of each ware.

    >>> wares, kinds = wares_of(1, 24)
    >>> len(wares), len(set(kinds)), wares == wares_of(1, 24)[0]
    (24, 12, True)
    """
    rng = np.random.default_rng([seed, 0x3A2E])
    which = [row % kinds for row in range(count)]
    prices = np.exp(rng.normal(3.3, 0.8, count)).round(2)
    added = datetime(2026, 1, 1, tzinfo=UTC)
    wares = [
        Ware(
            product_id=f"ware-{row:04d}",
            name=f"{_KINDS[kind % len(_KINDS)]} {row:04d}",
            category=f"{_KINDS[kind % len(_KINDS)]}" + ("" if kind < len(_KINDS) else f" {kind // len(_KINDS)}"),
            price_micros=int(prices[row] * 1_000_000),
            currency="EUR",
            added_at=added,
            seller=f"seller-{row % 7}",
        )
        for row, kind in enumerate(which)
    ]
    return wares, which


_KINDS = ("Tea", "Lamps", "Shoes", "Bags", "Pens", "Games", "Plants", "Cups", "Audio", "Bikes", "Books", "Soap")
