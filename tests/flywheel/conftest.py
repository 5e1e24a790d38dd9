"""A wheel over a fake learnable: events in memory, decisions in a real database of each kind."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ikkan.flywheel import REVERSIBLE, SHADOW, Flywheel, Policy, Terms
from ikkan.flywheel.fakes import ANSWERED, FARED, FakeLearnable
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.events import NewEvent
from ikkan.ground.fakes import FakeEvents
from ikkan.ground.ids import SubjectId, TenantId
from ikkan.models.registry import Registry

NAME = "fake.answer"
TENANT = TenantId("local")


@dataclass
class Wheel:
    """Everything a test of the wheel touches."""

    flywheel: Flywheel
    clock: FakeClock
    events: FakeEvents
    registry: Registry
    artifacts: ArtifactStore
    database: Database
    learnable: FakeLearnable
    told: list[NewEvent] = field(default_factory=list)
    said: int = 0

    def happen(
        self, n: int, *, seed: int = 0, people: int = 20, topics: int = 5, own: bool = False, **fixed: Any
    ) -> None:
        """`n` people's questions with their right answers; each topic has one, except where `fixed` says otherwise."""
        rng = random.Random(seed)
        for _ in range(n):
            self.clock.advance(timedelta(hours=1).total_seconds())
            self.said += 1
            topic = f"topic-{rng.randrange(topics)}"
            text = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=24))
            payload = {"id": f"e{self.said}", "topic": topic, "text": text, "right": f"right-{topic}", "own": own}
            payload["slice"] = rng.choice(("ja", "en"))
            who = SubjectId(f"person-{rng.randrange(people)}")
            self.events.append(NewEvent(ANSWERED, 1, TENANT, who, self.clock.now(), "service", payload | fixed))
        self.clock.advance(1)

    def visit(self, people: range, champion: float, candidate: float, **more: float | None) -> None:
        """Each of these people comes once, is served as the trial says, and fares as that arm's people do."""
        for number in people:
            who = SubjectId(f"visitor-{number}")
            trial = self.flywheel.status(NAME).trial
            assert trial is not None, "somebody is being tried"
            arm = self.flywheel.serves(NAME, who)
            value = candidate if arm == trial.candidate else champion
            harm = more.get("harm_candidate" if arm == trial.candidate else "harm_champion")
            self.fare(who, {"arm": arm, "value": value, "harm": harm})
            if trial.state == "shadow":
                arm = SHADOW + trial.candidate
                self.fare(who, {"arm": arm, "value": 0.0, "harm": more.get("harm_candidate")})
        self.clock.advance(3600)

    def fare(self, who: str, payload: dict[str, Any]) -> None:
        """One person's closed case."""
        # People are not all alike: every other one fares a little better, whoever answers.
        lucky = 0.1 * (int(who.rpartition("-")[2]) % 2)
        payload = payload | {"value": payload["value"] + lucky}
        self.clock.advance(1)
        self.events.append(NewEvent(FARED, 1, TENANT, SubjectId(who), self.clock.now(), "service", payload))


@pytest.fixture
def fresh_sqlite(_fresh_sqlite: Callable[[Path], Any]) -> Iterator[Callable[[Path], Database]]:
    """A fresh SQLite database in a folder of its own, as often as asked."""
    with ExitStack() as opened:

        def fresh(folder: Path) -> Database:
            folder.mkdir(exist_ok=True)
            database = Database(opened.enter_context(_fresh_sqlite(folder)))
            opened.callback(database.close)
            return database

        yield fresh


@pytest.fixture
def sqlite(fresh_sqlite: Callable[[Path], Database], tmp_path: Path) -> Database:
    """A fresh SQLite database: for what does not depend on the dialect."""
    return fresh_sqlite(tmp_path)


class _Book:
    def __init__(self, told: list[NewEvent]) -> None:
        self._told = told

    def append(self, connection: Any, *events: NewEvent) -> list[Any]:
        self._told.extend(events)
        return []


@pytest.fixture
def wheel(database: Database, clock: FakeClock, tmp_path: Path) -> Wheel:
    return make_wheel(database, clock, tmp_path, FakeLearnable(NAME))


def make_wheel(
    database: Database, clock: FakeClock, folder: Path, learnable: FakeLearnable, policy: Policy = REVERSIBLE
) -> Wheel:
    events, registry = FakeEvents(clock), Registry(database, clock)
    artifacts, told = ArtifactStore(folder / "artifacts"), []  # type: ignore[var-annotated]
    salts = (f"salt-{number}" for number in itertools.count())
    flywheel = Flywheel(
        database,
        events,
        registry,
        artifacts,
        [learnable],
        clock,
        log=_Book(told),
        terms=Terms(),
        policy=policy,
        salts=lambda: next(salts),
    )
    return Wheel(flywheel, clock, events, registry, artifacts, database, learnable, told)
