"""Installed, promoted, refused with a reason, rolled back, explained, computed again: on both databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ikkan.flywheel import store
from ikkan.flywheel.fakes import FakeLearnable
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import Conflict, NotFound, UnknownArtifact, UnknownLearnable
from ikkan.ground.ids import DecisionId

from .conftest import NAME, Wheel, make_wheel


def test_the_store_and_its_migration_agree(differences: Callable[[Any], list[Any]]) -> None:
    assert differences(store.metadata) == []


def test_the_first_champion_knows_nothing_and_its_installation_is_a_decision(wheel: Wheel) -> None:
    champion = wheel.flywheel.ensure_champion(NAME)
    (decision,) = wheel.flywheel.history(NAME)
    assert (decision.decision, decision.candidate) == ("installed", champion)
    assert wheel.flywheel.ensure_champion(NAME) == champion
    assert wheel.registry.alias(NAME) == champion and len(wheel.flywheel.history(NAME)) == 1


def test_true_corrections_are_promoted_with_everything_a_sceptic_asks_for(wheel: Wheel) -> None:
    wheel.happen(200)
    decision = wheel.flywheel.run(NAME)
    told = decision.as_json()
    assert told["decision"] == "promoted" and told["lower"] > 0 and told["n"] > 30
    assert told["slices"].keys() == {"ja", "en"} and told["baselines"]["majority"]["lower"] > 0
    assert wheel.registry.alias(NAME) == decision.candidate != decision.champion
    assert wheel.registry.alias(NAME, "previous") == decision.champion
    assert {risk["code"] for risk in told["risks"]} >= {"refit_unjudged"}
    assert told["reason"] and told["reason_ja"]


def test_the_decision_and_the_promotion_are_one_transaction(wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel.happen(200)
    champion = wheel.flywheel.ensure_champion(NAME)

    def fail(*_: Any) -> None:
        raise RuntimeError("the power went out")

    monkeypatch.setattr(wheel.flywheel._book, "_announce", fail)
    with pytest.raises(RuntimeError):
        wheel.flywheel.run(NAME)
    assert wheel.registry.alias(NAME) == champion
    assert [each.decision for each in wheel.flywheel.history(NAME)] == ["installed"]


def test_every_decision_is_an_event(wheel: Wheel) -> None:
    wheel.happen(200)
    wheel.flywheel.run(NAME)
    wheel.flywheel.rollback(NAME)
    assert [event.payload["decision"] for event in wheel.told] == ["installed", "promoted", "rolled_back"]


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_corrections_are_refused_and_change_nothing(wheel: Wheel, seed: int) -> None:
    wheel.happen(200)
    champion = wheel.flywheel.ensure_champion(NAME)
    decision = wheel.flywheel.run(NAME, shuffle=True, seed=seed)
    assert (decision.decision, decision.drill) == ("refused", True)
    assert decision.reasons["en"].startswith("drill") and wheel.registry.alias(NAME) == champion


def test_a_drill_after_a_promotion_is_a_real_test_still(wheel: Wheel) -> None:
    wheel.happen(200)
    wheel.flywheel.run(NAME)
    decision = wheel.flywheel.run(NAME, shuffle=True)
    assert decision.decision == "refused" and decision.n > 30


def test_a_drill_that_passes_promotes_nobody_and_says_so(wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel.happen(200)
    champion = wheel.flywheel.ensure_champion(NAME)
    monkeypatch.setattr("ikkan.flywheel.contract.Examples.shuffled", lambda self, seed: self)
    decision = wheel.flywheel.run(NAME, shuffle=True)
    assert decision.decision == "promoted" and "do not trust" in decision.reason
    assert wheel.registry.alias(NAME) == champion


@pytest.mark.parametrize(("happened", "code"), [(0, "nothing_said"), (12, "too_few_judges")])
def test_too_little_is_refused_in_words_not_a_crash(wheel: Wheel, happened: int, code: str) -> None:
    wheel.happen(happened)
    decision = wheel.flywheel.run(NAME)
    assert (decision.decision, decision.code, decision.lower) == ("refused", code, None)


def test_the_same_evidence_is_not_judged_twice(wheel: Wheel) -> None:
    wheel.happen(200, right="same")
    assert wheel.flywheel.run(NAME).code == "trivial_is_as_good"
    trained = wheel.learnable.trained
    assert wheel.flywheel.run(NAME, seed=9).code == "already_judged"
    assert wheel.learnable.trained == trained


def test_after_a_promotion_nothing_new_is_refused(wheel: Wheel) -> None:
    wheel.happen(200)
    wheel.flywheel.run(NAME)
    assert wheel.flywheel.run(NAME).code == "nothing_new"


def test_a_second_turn_judges_only_what_the_champion_has_not_seen(wheel: Wheel) -> None:
    wheel.happen(200, topics=5)
    first = wheel.flywheel.run(NAME)
    wheel.happen(200, topics=30, seed=1)
    second = wheel.flywheel.run(NAME)
    assert second.decision == "promoted" and second.champion == first.candidate
    assert 30 <= second.n <= 80
    assert second.numbers["teaching"] > 200


def test_each_further_attempt_against_a_champion_must_be_surer(wheel: Wheel) -> None:
    wheel.happen(200, right="same", seed=100)
    levels = []
    for seed in range(3):
        wheel.happen(10, right="same", seed=seed)
        levels.append(wheel.flywheel.run(NAME).numbers["level"])
    assert levels == [0.95, 0.975, 0.9875]


def test_a_refit_that_disappoints_is_refused(database: Database, clock: FakeClock, tmp_path: Path) -> None:
    wheel = make_wheel(database, clock, tmp_path, FakeLearnable(NAME, sabotage=200))
    wheel.happen(200)
    decision = wheel.flywheel.run(NAME)
    assert (decision.decision, decision.code) == ("refused", "refit_worse") and decision.lower is not None
    assert decision.lower > 0 and wheel.registry.alias(NAME) == decision.champion


def test_a_champion_that_moved_meanwhile_is_not_overwritten(wheel: Wheel) -> None:
    wheel.happen(200)
    wheel.flywheel.ensure_champion(NAME)

    def meddle(done: float, told: str) -> None:
        artifact = wheel.artifacts.put({"table.json": b"{}"}, kind=f"other-{done}", source="test")
        with wheel.database.transaction() as connection:
            wheel.registry.register(connection, NAME, artifact.id)
            wheel.registry.promote(connection, NAME, artifact.id, "meanwhile")

    decision = wheel.flywheel.run(NAME, progress=meddle)
    assert (decision.decision, decision.code) == ("refused", "champion_moved")
    assert wheel.registry.alias(NAME) != decision.candidate


def test_a_rollback_brings_the_old_model_back_and_a_second_one_undoes_it(wheel: Wheel) -> None:
    wheel.happen(200)
    promoted = wheel.flywheel.run(NAME)
    back = wheel.flywheel.rollback(NAME, "people complained")
    assert wheel.registry.alias(NAME) == promoted.champion and "people complained" in back.reason
    assert wheel.flywheel.run(NAME).code == "already_judged"
    wheel.flywheel.rollback(NAME)
    assert wheel.registry.alias(NAME) == promoted.candidate


def test_there_is_nothing_to_roll_back_to_at_first(wheel: Wheel) -> None:
    wheel.flywheel.ensure_champion(NAME)
    with pytest.raises(Conflict):
        wheel.flywheel.rollback(NAME)


def test_own_corrections_are_shown_apart_and_read_from_the_log_each_time(wheel: Wheel) -> None:
    wheel.happen(200)
    wheel.happen(3, own=True, seed=5, topics=1)
    decision = wheel.flywheel.run(NAME)
    assert [line["after"] for line in decision.numbers["own_corrections"]] == [1.0, 1.0, 1.0]
    told = wheel.flywheel.explain(decision.id)
    assert [(line.before, line.after, line.right) for line in told.own] == [
        (None, "right-topic-0", "right-topic-0")
    ] * 3
    everyone = {event.subject_id for event in wheel.events.events[-3:]}
    for person in everyone:
        assert person is not None
        wheel.events.erase(wheel.events.events[0].tenant_id, person)
    assert wheel.flywheel.explain(decision.id).unreadable == 3


def test_no_words_of_anyone_stand_in_a_decision_or_dataset(wheel: Wheel) -> None:
    wheel.happen(200, own=True)
    decision = wheel.flywheel.run(NAME)
    assert decision.dataset is not None
    with wheel.artifacts.open(decision.dataset, "dataset.json") as file:
        kept = repr(decision.as_json()) + file.read().decode()
    assert not any(event.payload["text"] in kept for event in wheel.events.events)


@pytest.mark.parametrize("drill", [False, True])
def test_a_decision_can_be_computed_again(wheel: Wheel, drill: bool) -> None:
    wheel.happen(200)
    decision = wheel.flywheel.run(NAME, seed=4, shuffle=drill)
    wheel.happen(50, seed=9)
    replay = wheel.flywheel.replay(decision.id)
    assert (replay.same, dict(replay.differences), replay.missing) == (True, {}, 0)


def test_computing_again_notices_what_was_tampered_with(wheel: Wheel) -> None:
    wheel.happen(200)
    decision = wheel.flywheel.run(NAME)
    forged = replace(decision, id=DecisionId("forged"), gain=0.9, numbers={**decision.numbers, "candidate_score": 0.1})
    with wheel.database.transaction() as connection:
        store.add_decision(connection, forged)
    assert set(wheel.flywheel.replay(forged.id).differences) == {"gain", "candidate_score"}


def test_computing_again_says_how_many_people_are_gone(wheel: Wheel) -> None:
    wheel.happen(200)
    decision = wheel.flywheel.run(NAME)
    person = wheel.events.events[0].subject_id
    assert person is not None
    wheel.events.erase(wheel.events.events[0].tenant_id, person)
    replay = wheel.flywheel.replay(decision.id)
    assert not replay.same and replay.missing > 0


def test_a_deleted_artifact_cannot_be_replayed(wheel: Wheel) -> None:
    wheel.happen(200)
    decision = wheel.flywheel.run(NAME)
    assert decision.judged is not None
    wheel.artifacts.delete(decision.judged)
    with pytest.raises(UnknownArtifact):
        wheel.flywheel.replay(decision.id)


def test_the_status_counts_what_has_come_in_since(wheel: Wheel) -> None:
    wheel.happen(200)
    before = wheel.flywheel.status(NAME)
    wheel.flywheel.run(NAME)
    wheel.happen(7, seed=3)
    after = wheel.flywheel.status(NAME)
    assert (before.champion, before.fresh, before.can_roll_back) == (None, 200, False)
    assert (after.corrections, after.fresh, after.can_roll_back) == (207, 7, True)
    assert after.last is not None and after.as_json()["last"]["decision"] == "promoted"


def test_an_unknown_name_says_what_there_is(wheel: Wheel) -> None:
    with pytest.raises(UnknownLearnable, match=r"fake\.answer|nothing called"):
        wheel.flywheel.run("shop.next_item")
    with pytest.raises(NotFound):
        wheel.flywheel.explain(DecisionId("no-such"))
