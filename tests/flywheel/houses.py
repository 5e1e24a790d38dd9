"""A house whose people can be erased: a real event log under real keys, the wheel, and the eraser over both."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ikkan.flywheel import REVERSIBLE, Flywheel, Policy
from ikkan.flywheel.contract import Learnable
from ikkan.flywheel.erasure import Eraser, ReceiptKey
from ikkan.flywheel.fakes import ANSWERED, FARED, FakeLearnable
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.events import NewEvent
from ikkan.ground.ids import ArtifactId, SubjectId, TenantId
from ikkan.models.registry import Registry

NAME = "fake.answer"
TENANT = TenantId("local")
ADA = SubjectId("ada")
"""Who is erased. Nobody else asks about her topic, so a model that learned from her knows it."""


@dataclass
class House:
    """Everything a test of erasing touches."""

    database: Database
    clock: FakeClock
    log: EventLog
    registry: Registry
    artifacts: ArtifactStore
    flywheel: Flywheel
    eraser: Eraser
    learnables: Sequence[Learnable]
    forgot: list[SubjectId] = field(default_factory=list)
    said: int = 0

    def append(self, name: str, who: SubjectId, payload: dict[str, Any]) -> None:
        with self.database.transaction() as connection:
            self.log.append(connection, NewEvent(name, 1, TENANT, who, self.clock.now(), "service", payload))

    def happen(
        self, n: int, *, without: SubjectId | None = None, seed: int = 0, people: int = 150, topics: int = 5,
        **fixed: Any,
    ) -> None:  # fmt: skip
        """`n` questions of many people and of ada, each with its right answer; who is `without` was never there."""
        rng = random.Random(seed)
        for _ in range(n):
            self.clock.advance(3600)
            self.said += 1
            topic, text = f"topic-{rng.randrange(topics)}", "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=24))
            who = SubjectId(f"person-{rng.randrange(people)}")
            who, topic = (ADA, "topic-ada") if self.said % 10 == 0 else (who, topic)
            payload = {"id": f"e{self.said}", "topic": topic, "text": text, "right": f"right-{topic}", "own": False}
            payload["slice"] = rng.choice(("ja", "en"))
            if who != without:
                self.append(ANSWERED, who, payload | fixed)
        self.clock.advance(1)

    def fare(self, people: range, arm_of: Any, value: float = 0.5) -> None:
        """Each of these people comes once and fares as well as `value`."""
        for number in people:
            self.clock.advance(1)
            who = SubjectId(f"visitor-{number}")
            payload = {"arm": arm_of(who), "value": value, "harm": None}
            self.append(FARED, who, payload)
        self.clock.advance(3600)

    def aliases(self, name: str = NAME) -> dict[str, ArtifactId]:
        return dict(self.registry.aliases(name))

    def knows_ada(self, artifact_id: ArtifactId) -> bool:
        """Whether a fake's model holds what only ada said."""
        with self.artifacts.open(artifact_id, "table.json") as file:
            return b"topic-ada" in file.read()

    def erase(self, who: SubjectId = ADA) -> dict[str, Any]:
        return self.eraser.run(self.eraser.begin(TENANT, who).id)

    def files(self) -> set[str]:
        return {artifact.id for artifact in self.artifacts.list()}


def make_house(
    database: Database,
    clock: FakeClock,
    folder: Path,
    learnables: Sequence[Learnable] | None = None,
    policy: Policy = REVERSIBLE,
) -> House:
    keys = Keys.open(folder / "keys", folder / "erased")
    log, registry = EventLog(database, clock, keys), Registry(database, clock)
    artifacts = ArtifactStore(folder / "artifacts")
    learnables = [FakeLearnable(NAME)] if learnables is None else learnables
    salts = (f"salt-{number}" for number in itertools.count())
    flywheel = Flywheel(
        database, log.reader(), registry, artifacts, learnables, clock,
        log=log, policy=policy, salts=lambda: next(salts),
    )  # fmt: skip
    forgot: list[SubjectId] = []

    def forget(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> dict[str, int]:
        forgot.append(subject_id)
        return {"cloud": 2, "assistant": 0}

    eraser = Eraser(
        database, log, flywheel.reads, registry, artifacts, learnables, clock, ReceiptKey.open(folder / "keys"),
        forget=forget, record=flywheel.record,
    )  # fmt: skip
    return House(database, clock, log, registry, artifacts, flywheel, eraser, learnables, forgot)
