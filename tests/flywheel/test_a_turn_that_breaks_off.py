"""A trainer that runs away, a full disk, a poisoned batch, an empty window: the turn ends, and nothing moves."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from ikkan.flywheel import Decision, Given, store
from ikkan.flywheel.fakes import FakeLearnable
from ikkan.flywheel.schedule import wish
from ikkan.ground.errors import Conflict, MissingPackage, NotFinite, WheelStopped

from .conftest import NAME, Wheel

Break = Callable[..., Any]


def failing(error: BaseException) -> Break:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def not_numbers(fitted: Any, examples: Any) -> Any:
    return np.full(len(examples), np.nan)


BROKEN: Mapping[str, tuple[str, Break, str]] = {
    "a loss that is no number": ("train", failing(FloatingPointError("loss is NaN")), "diverged"),
    "weights that are no numbers": ("train", failing(NotFinite("a weight is NaN", hint="-")), "diverged"),
    "a step too long": ("train", failing(OverflowError("too large")), "diverged"),
    "scores that are no numbers": ("score", not_numbers, "diverged"),
    "a trainer with a fault": ("train", failing(KeyError("the words of a person")), "trainer_failed"),
    "a judge with a fault": ("score", failing(ZeroDivisionError()), "diverged"),
    "no memory": ("train", failing(MemoryError()), "out_of_memory"),
    "a full disk while training": ("train", failing(OSError(errno.ENOSPC, "no space")), "disk_full"),
    "a poisoned batch": ("examples", failing(ValueError("the words of a person")), "unreadable_examples"),
}


@pytest.fixture
def before(wheel: Wheel) -> Any:
    wheel.happen(200)
    return wheel.flywheel.ensure_champion(NAME)


def check_nothing_moved(wheel: Wheel, champion: Any, decision: Decision, code: str) -> None:
    assert (decision.decision, decision.code, decision.champion) == ("refused", code, champion)
    assert wheel.flywheel.given(NAME, "ada") == Given(champion)
    assert wheel.flywheel.history(NAME, 1) == [decision]
    assert {"en", "ja"} <= set(decision.reasons) and "the words of a person" not in str(decision.as_json())
    assert [event.payload["code"] for event in wheel.told][-1] == code


@pytest.mark.parametrize("what", BROKEN)
def test_whatever_fails_the_turn_ends_and_the_champion_serves(
    wheel: Wheel, before: Any, what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    method, broken, code = BROKEN[what]
    with monkeypatch.context() as patched:
        patched.setattr(wheel.learnable, method, broken)
        decision = wheel.flywheel.run(NAME)
    check_nothing_moved(wheel, before, decision, code)
    (logged,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert logged.__dict__["code"] == code and "the words of a person" not in str(logged.__dict__)
    # What broke off is no attempt: the next turn is judged as if it had not been.
    again = wheel.flywheel.run(NAME)
    assert (again.decision, again.numbers["attempt"]) == ("promoted", 1)


def test_a_drill_that_breaks_off_is_no_drill_that_was_refused(
    wheel: Wheel, before: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheel.learnable, "train", failing(MemoryError()))
    decision = wheel.flywheel.run(NAME, shuffle=True)
    assert decision.drill and decision.code == "out_of_memory" and decision.reason.startswith("stopped: ")


def test_a_full_disk_while_keeping_ends_the_turn_too(
    wheel: Wheel, before: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(wheel.artifacts, "put", failing(OSError(errno.ENOSPC, "no space")))
        decision = wheel.flywheel.run(NAME)
    check_nothing_moved(wheel, before, decision, "disk_full")
    assert wheel.flywheel.run(NAME).decision == "promoted"


def test_where_not_even_the_decision_fits_whoever_asked_is_told(
    wheel: Wheel, before: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OperationalError("INSERT", {}, OSError(errno.ENOSPC, "database or disk is full"))
    monkeypatch.setattr(wheel.artifacts, "put", failing(OSError(errno.ENOSPC, "no space")))
    monkeypatch.setattr(store, "add_decision", failing(full))
    with pytest.raises(WheelStopped, match="the disk is full") as told:
        wheel.flywheel.run(NAME)
    assert told.value.facts["why"] == "disk_full" and wheel.flywheel.given(NAME, "ada") == Given(before)


@pytest.mark.parametrize("happened", [0, 5])
def test_an_empty_window_ends_the_turn_in_words(wheel: Wheel, happened: int) -> None:
    wheel.happen(happened)
    champion = wheel.flywheel.ensure_champion(NAME)
    decision = wheel.flywheel.run(NAME)
    assert decision.decision == "refused" and decision.code in ("nothing_said", "too_few_judges")
    assert wheel.registry.alias(NAME) == champion and decision.reason


def test_a_batch_of_lies_is_refused_by_the_gate(wheel: Wheel) -> None:
    wheel.happen(200)
    champion = wheel.flywheel.run(NAME).candidate
    # The liars teach; honest people, who come later, judge.
    wheel.happen(200, seed=1, right="a lie")
    wheel.happen(90, seed=2)
    decision = wheel.flywheel.run(NAME)
    assert decision.decision == "refused" and decision.code in ("worse", "not_shown_better")
    assert wheel.registry.alias(NAME) == champion


@pytest.mark.parametrize("error", [MissingPackage("torch is missing", hint="pip install 'ikkan[train]'"), KeyError()])
def test_what_a_person_must_mend_is_told_and_not_recorded(
    wheel: Wheel, before: Any, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing package; and a fault of our own while recording, which no decision may cover up."""
    place = {MissingPackage: (wheel.learnable, "train"), KeyError: (wheel.registry, "promote")}[type(error)]
    monkeypatch.setattr(*place, failing(error))
    with pytest.raises(type(error)):
        wheel.flywheel.run(NAME)
    assert [each.code for each in wheel.flywheel.history(NAME)] == ["installed"]


def test_a_cancelled_job_is_no_failure_of_the_trainer(
    wheel: Wheel, before: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cancelled(Exception):
        pass

    monkeypatch.setattr(wheel.learnable, "train", failing(Cancelled()))
    with pytest.raises(Cancelled):
        wheel.flywheel.run(NAME)
    assert len(wheel.flywheel.history(NAME)) == 1


def test_after_a_turn_broke_off_the_schedule_rests_a_day(
    wheel: Wheel, before: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel.happen(40, own=True)
    assert wish(wheel.flywheel.status(NAME), wheel.clock.now()) == "corrections"
    with monkeypatch.context() as patched:
        patched.setattr(FakeLearnable, "train", failing(RuntimeError()))
        wheel.flywheel.run(NAME)
    status = wheel.flywheel.status(NAME)
    assert wish(status, wheel.clock.now()) == ""
    wheel.clock.advance(86_401)
    assert wish(status, wheel.clock.now()) == "corrections"


def test_somebody_elses_trial_is_a_conflict(wheel: Wheel, before: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel.learnable, "train", failing(Conflict("moved meanwhile", hint="look again")))
    with pytest.raises(Conflict):
        wheel.flywheel.run(NAME)
