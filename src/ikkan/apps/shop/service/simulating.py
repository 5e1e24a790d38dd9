"""A simulated population drives the running service: what each policy of suggesting would bring, with intervals.

Every policy lives on its own database, with the same people in the same moods: what somebody does depends on the seed,
the person, the step and the list alone. People tell through `Suggesting.tell`, lists come from `Suggesting`; nothing is
taken from the population but what it did.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ikkan.apps.shop.rules.factors import Factors, learned
from ikkan.apps.shop.rules.mood.steering import towards
from ikkan.apps.shop.rules.population import Acted
from ikkan.apps.shop.service.moods import Moods
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.apps.shop.values import Ask, Happened, Ware
from ikkan.flywheel.arms import clustered_mean
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database, upgrade
from ikkan.ground.ids import SubjectId, TenantId

SHOP = TenantId("simulated")
BEGAN = datetime(2026, 6, 1, 9, tzinfo=UTC)
STEP = timedelta(minutes=20)
LIST = 10
RETRAINED = 5
"""The model learns anew after so many steps, from what was told until then."""
SENT_BACK_AFTER = 3
"""Steps between a purchase and its return."""
POLICIES = ("popular", "live", "model", "model+mood", "model+exploration")
"""What was looked at most; the service without model, mood and exploration; with a model; with a model and moods; with
a model and exploration.
"""

Tell = Callable[[int, int, str], None]
Makes = Callable[[Suggesting], None]
"""Changes a service before it is used: a mood, a blend of one's own."""


class Crowd(Protocol):
    """People who react to lists. `rules.population.Population` is one."""

    @property
    def people(self) -> int: ...

    def acts(self, person: int, step: int, rows: Sequence[int], owned: set[int]) -> Acted: ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """People of a file: each does next what they really did next, from the list if it stands there."""

    histories: Sequence[Sequence[int]]
    seed: int

    @property
    def people(self) -> int:
        """How many."""
        return len(self.histories)

    def acts(self, person: int, step: int, rows: Sequence[int], owned: set[int]) -> Acted:
        """The next thing of the record, looked for in the list from its beginning."""
        history = self.histories[person]
        if step >= len(history):
            return Acted(-1, -1, False, False, -1)
        wanted, luck = history[step], np.random.default_rng([self.seed, person, step, 3]).random(2)
        place = list(rows).index(wanted) if wanted in rows else -1
        if place >= 0 and luck[0] < 0.9**place:
            return Acted(place, place if luck[1] < 0.35 else -1, False, False, -1)
        return Acted(-1, -1, False, False, wanted)


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over people, with its interval, 95 times of 100."""

    value: float
    low: float
    high: float


@dataclass(slots=True)
class _Tally:
    """What became of one policy's lists, list by list."""

    people: list[str] = field(default_factory=list)
    clicks: list[float] = field(default_factory=list)
    revenue: list[float] = field(default_factory=list)
    novelty: list[float] = field(default_factory=list)
    shown: set[int] = field(default_factory=set)
    bought: int = 0
    late: int = 0
    returned: int = 0


@dataclass(frozen=True, slots=True)
class Simulated:
    """What one policy brought."""

    policy: str
    lists: int
    click_rate: Figure
    """Of lists, those from which something was clicked."""
    revenue: Figure
    """Per list, in the currency's unit, without what was sent back."""
    novelty: Figure
    """Bits: how rare what was shown had been until then."""
    coverage: float
    """Of all wares, those that anybody was shown."""
    bought: int
    late: int
    returned: int
    over_first: Figure
    """How many more clicks a list than the first policy, the same people in the same steps."""


def plain_ware(item: str) -> Ware:
    """A ware of a file, of which nothing but its id is known."""
    return Ware(item, item, "everything", 10_000_000, "EUR", BEGAN - timedelta(days=90))


def simulate(
    wares: Sequence[Ware],
    crowd: Crowd,
    *,
    steps: int,
    seed: int,
    policies: Sequence[str] = POLICIES,
    makes: Mapping[str, Makes] | None = None,
    tell: Tell = lambda done, total, what: None,
) -> list[Simulated]:
    """Let the same people live through every policy.

    Args:
        wares: what the shop has; rows of the crowd are places in it.
        makes: policies of one's own: name → what is done to the service before it is used.
    """
    tallies: dict[str, _Tally] = {}
    total = len(policies) * steps
    for number, policy in enumerate(policies):
        with tempfile.TemporaryDirectory(prefix="ikkan-simulated-") as folder:
            url = f"sqlite:///{Path(folder, 'shop.db')}"
            upgrade(url)
            database = Database(url)
            try:
                live = _Live(database, wares, crowd, policy, seed, (makes or {}).get(policy))
                for step in range(steps):
                    live.step(step)
                    tell(number * steps + step + 1, total, policy)
                live.service.flush()
                tallies[policy] = live.tally
            finally:
                database.close()
    first = tallies[policies[0]]
    return [_told(policy, tallies[policy], first, len(wares)) for policy in policies]


class _Live:
    """One policy's shop."""

    def __init__(
        self, database: Database, wares: Sequence[Ware], crowd: Crowd, policy: str, seed: int, makes: Makes | None
    ) -> None:
        self.clock = FakeClock(BEGAN)
        moods = Moods(database, self.clock, pseudonym=_known_as) if "mood" in policy else None
        self.service = Suggesting(
            database, self.clock, pseudonym=_known_as, moods=moods, steer=towards if moods else None
        )
        self.service.put_wares(SHOP, wares)
        if makes is not None:
            makes(self.service)
        self.tally = _Tally()
        self._wares, self._crowd, self._policy, self._seed = wares, crowd, policy, seed
        self._row = {ware.product_id: row for row, ware in enumerate(wares)}
        self._counts = np.zeros(len(wares))
        self._owned: list[set[int]] = [set() for _ in range(crowd.people)]
        self._done: list[list[int]] = [[] for _ in range(crowd.people)]
        self._later: dict[int, list[Happened]] = {}

    def step(self, step: int) -> None:
        """Everybody looks at a list and does something, or nothing; then time passes."""
        if self._policy.startswith("model") and step and step % RETRAINED == 0:
            self.service.use(self._model(), "simulated")
        lists = self._lists()
        events: list[Happened] = list(self._later.pop(step, ()))
        # Rarity is what it was before this step: no list changes another's.
        bits = -np.log2((self._counts + 1) / (self._counts.sum() + len(self._counts)))
        for person, (rows, impression_id) in enumerate(lists):
            acted = self._crowd.acts(person, step, rows, self._owned[person])
            self._note(person, step, rows, acted, bits)
            events += self._events(person, step, rows, acted, impression_id)
        if events:
            self.service.tell(SHOP, events)
        self.clock.advance(STEP.total_seconds())

    def _lists(self) -> list[tuple[list[int], str | None]]:
        people = range(self._crowd.people)
        if self._policy == "popular":
            order = np.argsort(-self._counts, kind="stable").tolist()
            return [([row for row in order if row not in self._owned[person]][:LIST], None) for person in people]
        explores = self._policy.endswith("exploration")
        asks = [Ask(f"person-{person}", "home", LIST, is_test=not explores) for person in people]
        made = self.service.suggest_many(SHOP, asks, reasons=False)
        return [
            ([self._row[place.ware.product_id] for place in each.places], each.impression_id if explores else None)
            for each in made
        ]

    def _note(self, person: int, step: int, rows: Sequence[int], acted: Acted, bits: Any) -> None:
        tally, paid = self.tally, 0.0
        if acted.bought >= 0:
            tally.bought += 1
            tally.late += acted.is_late
            tally.returned += acted.is_returned
            paid = 0.0 if acted.is_returned else self._wares[rows[acted.bought]].price_micros / 1e6
        tally.people.append(f"person-{person}")
        tally.clicks.append(float(acted.clicked >= 0))
        tally.revenue.append(paid)
        tally.novelty.append(float(bits[list(rows)].mean()) if rows else 0.0)
        tally.shown.update(rows)

    def _events(
        self, person: int, step: int, rows: Sequence[int], acted: Acted, impression_id: str | None
    ) -> list[Happened]:
        def event(deed: Any, row: int, at: datetime, shown: bool = False) -> Happened:
            ware = self._wares[row]
            return Happened(
                f"{deed}:{person}:{step}:{row}", f"person-{person}", deed, at, ware.product_id,
                impression_id=impression_id if shown else None, price_micros=ware.price_micros,
            )  # fmt: skip

        now, events = self.clock.now(), list[Happened]()
        for row, shown in ((rows[acted.clicked] if acted.clicked >= 0 else -1, True), (acted.alone, False)):
            if row >= 0:
                events.append(event("viewed", row, now, shown))
                self._counts[row] += 1
                self._done[person].append(row)
        if acted.bought >= 0:
            row = rows[acted.bought]
            events.append(event("bought", row, now, True))
            self._owned[person].add(row)
            late = SENT_BACK_AFTER + (2 if acted.is_late else 0)
            if acted.is_late:
                when = now + SENT_BACK_AFTER * STEP
                self._later.setdefault(step + SENT_BACK_AFTER, []).append(event("complained", row, when))
            if acted.is_returned:
                self._later.setdefault(step + late, []).append(event("returned", row, now + late * STEP))
        if acted.alone >= 0:
            self._owned[person].add(acted.alone)
        return events

    def _model(self) -> Factors:
        """What was done until now, learned from nothing else."""
        who, befores, nexts = [], [], []
        for person, rows in enumerate(self._done):
            for at in range(1, len(rows)):
                who.append(person)
                befores.append(np.array(rows[:at], dtype=np.int64))
                nexts.append(np.array(rows[at : at + 1], dtype=np.int64))
        ids = tuple(ware.product_id for ware in self._wares)
        return learned(np.array(who, dtype=np.int64), befores, nexts, ids, seed=self._seed)


def _known_as(tenant_id: TenantId, person: str) -> SubjectId:
    """People who are made need no pseudonym."""
    return SubjectId(person)


def _told(policy: str, tally: _Tally, first: _Tally, wares: int) -> Simulated:
    people = tally.people
    more = np.array(tally.clicks) - np.array(first.clicks)
    return Simulated(
        policy=policy,
        lists=len(people),
        click_rate=_figure(np.array(tally.clicks), people),
        revenue=_figure(np.array(tally.revenue), people),
        novelty=_figure(np.array(tally.novelty), people),
        coverage=round(len(tally.shown) / max(1, wares), 4),
        bought=tally.bought,
        late=tally.late,
        returned=tally.returned,
        over_first=_figure(more, people),
    )


def _figure(values: np.ndarray, people: Sequence[str]) -> Figure:
    found = clustered_mean(values, people, alpha=0.05)
    return Figure(*(round(float(each), 5) for each in (found.estimate, found.lower, found.upper)))
