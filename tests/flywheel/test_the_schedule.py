"""The worker's rounds: each learnable once in a period, whoever comes first; turns asked for, promotions never."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ikkan.flywheel import Schedule
from ikkan.flywheel.fakes import WAITED, FakeLearnable
from ikkan.flywheel.schedule import schedule_table
from ikkan.flywheel.store import metadata
from ikkan.flywheel.values import ENOUGH
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.events import NewEvent
from ikkan.ground.ids import SubjectId

from .conftest import NAME, TENANT, Wheel, make_wheel

HOUR = 3600.0


@dataclass
class Queue:
    """Turns that were asked for."""

    asked: list[str] = field(default_factory=list)

    def start(self, name: str) -> None:
        self.asked.append(name)


@dataclass
class Several:
    """A wheel with more learnables than the fake one: the others are only counted, or fail."""

    wheel: Any
    names: list[str]
    broken: str = ""
    looked: list[str] = field(default_factory=list)

    def look(self, name: str) -> None:
        self.looked.append(name)
        if name == self.broken:
            raise RuntimeError("broken")

    def watch(self, name: str) -> None: ...

    def status(self, name: str) -> Any:
        return self.wheel.flywheel.status(NAME)


def worker(wheel: Wheel, queue: Queue, every_s: float = HOUR, of: Any = None) -> Schedule:
    return Schedule(wheel.database, of or wheel.flywheel, wheel.clock, every_s, queue.start)


def test_the_table_and_its_migration_agree(differences: Callable[[Any], list[Any]]) -> None:
    assert schedule_table.name in metadata.tables and differences(metadata) == []


def test_a_new_home_is_left_in_peace_for_a_period(wheel: Wheel) -> None:
    queue = Queue()
    rounds = worker(wheel, queue)
    wheel.happen(60, own=True)
    wheel.flywheel.ensure_champion(NAME)
    assert rounds.tick() == []
    due = wheel.flywheel.status(NAME).next_look
    assert due is not None and (due - wheel.clock.now()).total_seconds() == HOUR
    wheel.clock.advance(HOUR - 1)
    assert rounds.tick() == [] and queue.asked == []
    wheel.clock.advance(1)
    assert [each.turned for each in rounds.tick()] == ["corrections"]
    assert queue.asked == [NAME] and rounds.tick() == []


@pytest.mark.parametrize(
    ("corrections", "own", "asked"), [(ENOUGH, True, [NAME]), (ENOUGH - 1, True, []), (90, False, [])]
)
def test_only_enough_corrections_of_our_own_ask_for_a_turn(
    wheel: Wheel, corrections: int, own: bool, asked: list[str]
) -> None:
    queue = Queue()
    rounds = worker(wheel, queue)
    wheel.flywheel.ensure_champion(NAME)
    rounds.tick()
    wheel.happen(corrections, own=own)
    wheel.clock.advance(HOUR)
    rounds.tick()
    assert queue.asked == asked


def test_a_learnable_of_which_one_example_says_little_waits_for_more(
    sqlite: Database, clock: FakeClock, tmp_path: Path
) -> None:
    class Patient(FakeLearnable):
        enough = 90

    wheel, queue = make_wheel(sqlite, clock, tmp_path, Patient(NAME)), Queue()
    rounds = worker(wheel, queue)
    wheel.flywheel.ensure_champion(NAME)
    rounds.tick()
    wheel.happen(89, own=True)
    wheel.clock.advance(HOUR)
    rounds.tick()
    assert queue.asked == [] and wheel.flywheel.status(NAME).enough == 90
    wheel.happen(1, own=True)
    wheel.clock.advance(HOUR)
    rounds.tick()
    assert queue.asked == [NAME]


def test_what_a_turn_has_seen_does_not_ask_again(wheel: Wheel) -> None:
    queue = Queue()
    rounds = worker(wheel, queue)
    rounds.tick()
    wheel.happen(200, own=True)
    wheel.clock.advance(HOUR)
    rounds.tick()
    wheel.flywheel.run(NAME)
    wheel.clock.advance(HOUR)
    rounds.tick()
    assert queue.asked == [NAME]


def test_two_workers_look_once_between_them(wheel: Wheel) -> None:
    queue, wheels = Queue(), Several(wheel, ["one", "two"])
    wheel.flywheel.ensure_champion(NAME)
    first, second = worker(wheel, queue, of=wheels), worker(wheel, queue, of=wheels)
    first.tick()
    second.tick()
    wheel.clock.advance(HOUR)
    threads = [threading.Thread(target=each.tick) for each in (first, second)]
    [each.start() for each in threads]
    [each.join() for each in threads]
    assert sorted(wheels.looked) == ["one", "two"]


def test_a_worker_killed_in_the_middle_of_a_look_costs_one_look(wheel: Wheel) -> None:
    class Killed(BaseException):
        pass

    class Dying(Several):
        def look(self, name: str) -> None:
            raise Killed

    queue = Queue()
    wheel.flywheel.ensure_champion(NAME)
    worker(wheel, queue, of=Several(wheel, ["one"])).tick()
    wheel.clock.advance(HOUR)
    with pytest.raises(Killed):
        worker(wheel, queue, of=Dying(wheel, ["one"])).tick()
    after = Several(wheel, ["one"])
    assert worker(wheel, queue, of=after).tick() == []
    wheel.clock.advance(HOUR)
    worker(wheel, queue, of=after).tick()
    assert after.looked == ["one"]


def test_a_learnable_that_fails_does_not_keep_the_others_waiting(wheel: Wheel) -> None:
    wheels = Several(wheel, ["broken", "fine"], broken="broken")
    wheel.flywheel.ensure_champion(NAME)
    rounds = worker(wheel, Queue(), of=wheels)
    rounds.tick()
    for failures in (1, 2):
        wheel.clock.advance(HOUR)
        assert [(each.learnable, each.error) for each in rounds.tick()] == [("broken", "RuntimeError"), ("fine", "")]
        with wheel.database.read() as connection:
            rows = connection.execute(schedule_table.select().order_by(schedule_table.c.learnable)).all()
        assert [row.failures for row in rows] == [failures, 0]


def test_a_shorter_period_counts_at_once_and_none_at_all_forgets(wheel: Wheel) -> None:
    wheel.flywheel.ensure_champion(NAME)
    worker(wheel, Queue(), every_s=86_400.0).tick()
    worker(wheel, Queue(), every_s=60.0).tick()
    due = wheel.flywheel.status(NAME).next_look
    assert due is not None and (due - wheel.clock.now()).total_seconds() == 60.0
    worker(wheel, Queue(), every_s=0.0).run(threading.Event())
    assert wheel.flywheel.status(NAME).next_look is None


def test_rounds_go_on_until_they_are_stopped(wheel: Wheel) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=worker(wheel, Queue(), every_s=1.0).run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(30)
    assert not thread.is_alive() and wheel.flywheel.status(NAME).next_look is not None


def test_a_trial_on_people_is_looked_at_and_asks_for_no_turn(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    wheel = make_wheel(database, clock, tmp_path, FakeLearnable(NAME, live=True))
    queue = Queue()
    rounds = worker(wheel, queue)
    rounds.tick()
    wheel.happen(200, own=True)
    wheel.flywheel.run(NAME)
    wheel.happen(60, seed=3, own=True)
    rounds.tick()
    wheel.clock.advance(HOUR)
    rounds.tick()
    assert wheel.flywheel.history(NAME, 1)[0].code == "shadow_waited"
    assert queue.asked == [] and wheel.registry.alias(NAME) == wheel.flywheel.history(NAME, 1)[0].champion


def test_drift_asks_for_a_turn_and_promotes_nothing(wheel: Wheel) -> None:
    queue = Queue()
    champion = wheel.flywheel.ensure_champion(NAME)
    rounds = worker(wheel, queue)
    rounds.tick()
    for seconds in (1.0, 9.0):
        for number in range(80):
            wheel.clock.advance(2 * 86_400 / 20)
            payload = {"artifact": champion, "seconds": seconds + number / 100, "score": 1.0}
            who = SubjectId(f"p{number}")
            wheel.events.append(NewEvent(WAITED, 1, TENANT, who, wheel.clock.now(), "service", payload))
    wheel.clock.advance(HOUR)
    assert [each.turned for each in rounds.tick()] == ["drift"]
    status = wheel.flywheel.status(NAME)
    assert queue.asked == [NAME] and status.champion == champion
    assert status.drift is not None and status.drift.code == "drifted" and status.wants_turn
