"""The worker's rounds in a whole home: what people corrected becomes one turn in the queue, whoever looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ikkan.bootstrap.platform import Platform, build, schedule
from ikkan.console.wheel import turn_key
from ikkan.flywheel.values import ENOUGH
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import upgrade
from ikkan.ground.events import NewEvent
from ikkan.ground.ids import SubjectId, TenantId
from ikkan.ground.settings import Settings

NAME = "assistant.answer"
HOUR = 3_600.0


@pytest.fixture
def platform(settings: Settings, clock: FakeClock) -> Iterator[Platform]:
    upgrade(settings.database_url)
    built = build(settings, clock=clock)
    built.flywheel.ensure_champion(NAME)
    yield built
    built.jobs.close()
    built.database.close()


def correct(platform: Platform, clock: FakeClock, times: int) -> None:
    """People of this house ask and correct."""
    for number in range(times):
        who, answer_id = SubjectId(f"p{number % 9}"), f"chatcmpl-{number}"
        served = {"request_id": answer_id, "model": "assistant", "question": f"Question {number}?", "facts": {}}
        said = {"inference_id": answer_id, "kind": "edit", "before": "", "after": f"Answer {number}."}
        with platform.database.transaction() as connection:
            for name, payload in (("InferenceServed", served), ("FeedbackGiven", said)):
                event = NewEvent(name, 1, TenantId("local"), who, clock.now(), "service", payload)
                platform.events.append(connection, event)
        clock.advance(1)


def test_enough_corrections_put_one_turn_in_the_queue_whoever_looks(platform: Platform, clock: FakeClock) -> None:
    first, second = schedule(platform), schedule(platform)
    first.tick()
    correct(platform, clock, ENOUGH)
    for _ in range(3):
        clock.advance(HOUR)
        first.tick()
        second.tick()
    (job,) = platform.jobs.list(name="flywheel.run")
    assert (job.name, job.state) == ("flywheel.run", "queued")
    # The console's button finds the turn that the rounds asked for.
    assert platform.jobs.start_once("flywheel.run", turn_key(NAME), learnable=NAME, shuffle=False) == job.id
    assert platform.flywheel.status(NAME).next_look is not None


def test_a_home_that_turns_it_off_has_no_rounds(platform: Platform, clock: FakeClock) -> None:
    schedule(platform).tick()
    off = schedule(replace(platform, settings=replace(platform.settings, flywheel_every_s=0.0)))
    off.run(stop=None)  # type: ignore[arg-type]
    assert platform.flywheel.status(NAME).next_look is None
