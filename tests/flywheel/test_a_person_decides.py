"""A person's word instead of the gate's: audited, with a reason, and taken back like any other promotion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ikkan.flywheel import REVERSIBLE, Decision, Given
from ikkan.flywheel.fakes import FakeLearnable
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, Conflict, UnknownArtifact

from .conftest import NAME, Wheel, make_wheel

Refused = Callable[[Wheel], Decision]


def refused(wheel: Wheel) -> Decision:
    """A candidate that was judged and refused: it learned lies, and honest people judged it."""
    wheel.happen(200)
    wheel.flywheel.run(NAME)
    wheel.happen(200, seed=1, right="a lie")
    wheel.happen(90, seed=2)
    return wheel.flywheel.run(NAME)


def test_a_refused_candidate_serves_at_once_and_the_record_says_who_and_why(wheel: Wheel) -> None:
    decision = refused(wheel)
    assert decision.decision == "refused" and decision.judged is not None
    forced = wheel.flywheel.promote(NAME, decision.judged, " The audit  asked for it ", who="key:k1")
    assert (forced.decision, forced.code, forced.candidate) == ("promoted", "forced", decision.judged)
    assert forced.numbers == {"forced": True, "forced_by": "key:k1", "forced_because": "The audit asked for it"}
    assert all("key:k1" in text and "The audit asked for it" in text for text in forced.reasons.values())
    assert wheel.flywheel.given(NAME, "ada") == Given(decision.judged)
    assert wheel.flywheel.status(NAME).last == forced
    assert wheel.told[-1].payload["code"] == "forced"


def test_it_is_taken_back_like_any_other(wheel: Wheel) -> None:
    decision = refused(wheel)
    wheel.flywheel.promote(NAME, str(decision.judged), "to see", who="local")
    wheel.flywheel.rollback(NAME, "seen")
    assert wheel.flywheel.given(NAME, "ada") == Given(decision.champion)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 2_001])
def test_without_a_reason_it_is_refused_and_nothing_is_recorded(wheel: Wheel, reason: str) -> None:
    decision = refused(wheel)
    before = wheel.flywheel.history(NAME)
    with pytest.raises(BadInput):
        wheel.flywheel.promote(NAME, str(decision.judged), reason, who="local")
    assert wheel.flywheel.history(NAME) == before and wheel.registry.alias(NAME) == decision.champion


def test_a_beginning_of_the_id_is_enough_if_it_means_only_one(wheel: Wheel) -> None:
    decision = refused(wheel)
    start = str(decision.judged).removeprefix("sha256:")[:10]
    assert wheel.flywheel.promote(NAME, start, "to see", who="local").candidate == decision.judged


@pytest.mark.parametrize("artifact", ["sha256:" + "0" * 64, "abc", ""])
def test_what_no_decision_speaks_of_cannot_be_promoted(wheel: Wheel, artifact: str) -> None:
    wheel.flywheel.ensure_champion(NAME)
    with pytest.raises(UnknownArtifact):
        wheel.flywheel.promote(NAME, artifact, "to see", who="local")


def test_whoever_serves_already_and_what_is_no_model_are_refused(wheel: Wheel) -> None:
    decision = refused(wheel)
    with pytest.raises(Conflict, match="serves already"):
        wheel.flywheel.promote(NAME, str(decision.champion), "to see", who="local")
    with pytest.raises(UnknownArtifact):
        wheel.flywheel.promote(NAME, str(decision.dataset), "to see", who="local")


def test_the_first_model_brought_back_by_force_has_learned_nothing_so_everything_may_teach(wheel: Wheel) -> None:
    wheel.happen(200)
    first = wheel.flywheel.ensure_champion(NAME)
    wheel.flywheel.run(NAME)
    wheel.flywheel.promote(NAME, first, "begin again", who="local")
    status = wheel.flywheel.status(NAME)
    assert status.champion == first and status.fresh == status.corrections == 200
    assert wheel.flywheel.run(NAME).code == "already_judged"
    wheel.happen(60, seed=5)
    assert wheel.flywheel.run(NAME).numbers["teaching"] > 150


def test_a_trial_ends_when_a_person_decides(database: Database, clock: FakeClock, tmp_path: Path) -> None:
    small = replace(REVERSIBLE, stages=(0.25, 0.5), stage_people=20, shadow_people=10)
    wheel = make_wheel(database, clock, tmp_path, FakeLearnable(NAME, live=True), small)
    wheel.happen(200)
    trying = wheel.flywheel.run(NAME)
    assert trying.decision == "trying" and wheel.flywheel.given(NAME, "ada") == Given(
        trying.champion, beside=trying.candidate
    )
    forced = wheel.flywheel.promote(NAME, str(trying.candidate), "no time for a trial", who="local")
    assert [each.code for each in wheel.flywheel.history(NAME)][:2] == ["forced", "withdrawn"]
    status = wheel.flywheel.status(NAME)
    assert (status.trial, status.champion) == (None, forced.candidate)
    assert wheel.registry.alias(NAME, "shadow") is None


def test_in_a_trial_each_person_has_a_chance_and_status_says_what_is_known(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    small = replace(REVERSIBLE, stages=(0.25, 0.5), stage_people=20, shadow_people=10)
    wheel = make_wheel(database, clock, tmp_path, FakeLearnable(NAME, live=True), small)
    wheel.happen(200)
    wheel.flywheel.run(NAME)
    wheel.visit(range(5_000, 5_012), 0.4, 0.4)
    wheel.flywheel.look(NAME)
    status = wheel.flywheel.status(NAME)
    assert status.trial is not None and status.standing is not None and status.standing.phase == "canary"
    given = [wheel.flywheel.given(NAME, f"p{n}") for n in range(200)]
    chances = {each.artifact_id: each.chance for each in given if each is not None}
    assert chances == {status.trial.candidate: 0.25, status.trial.champion: 0.75}
    wheel.visit(range(30), 0.3, 0.6)
    wheel.flywheel.look(NAME)
    standing = wheel.flywheel.status(NAME).standing
    assert standing is not None and standing.gain is not None
    assert (standing.people, standing.gain.lower < standing.gain.upper) == (30, True)
    told = wheel.flywheel.status(NAME).as_json()["trial"]
    assert {"share", "people", "people_with_candidate", "gain", "lower", "upper", "guards"} <= set(told)
    trial, looks = wheel.flywheel.looks(NAME)
    assert trial is not None and [each.code for each in looks][:2] == ["fit_to_try", "shadow_passed"]
