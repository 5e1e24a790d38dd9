"""An erased person is in no model: rebuilt to the bytes as if never there, swapped, destroyed, signed for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ikkan.flywheel import Budget, Examples, Fitted, datasets, store
from ikkan.flywheel.erasure import ReceiptKey, verify
from ikkan.flywheel.erasure import store as erasures
from ikkan.flywheel.fakes import FakeLearnable
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadFile, ChecksumMismatch, ErasedSubject, LeakFound, NotFound
from ikkan.ground.events import NewEvent
from ikkan.ground.ids import ArtifactId, SubjectId

from .houses import ADA, NAME, TENANT, House, make_house


@pytest.fixture
def house(sqlite: Database, clock: FakeClock, tmp_path: Path) -> House:
    return make_house(sqlite, clock, tmp_path)


@pytest.fixture
def learned(house: House) -> House:
    """A house whose champion has learned from ada."""
    house.happen(300)
    assert house.flywheel.run(NAME).decision == "promoted"
    assert house.knows_ada(house.aliases()["champion"])
    return house


def test_the_store_and_its_migration_agree(differences: Callable[[Any], list[Any]]) -> None:
    assert erasures.erasures_table.metadata is store.metadata
    assert differences(store.metadata) == []


def test_after_an_erasure_no_serving_model_holds_the_person(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    learned = make_house(database, clock, tmp_path)
    learned.happen(300)
    learned.flywheel.run(NAME)
    before = learned.aliases()
    receipt = learned.erase()
    after = learned.aliases()
    assert after["champion"] != before["champion"] and not learned.knows_ada(after["champion"])
    assert after["previous"] == before["previous"], "it had learned from nobody"
    (made,) = receipt["artifacts"]
    assert (made["old"], made["new"], made["aliases"]) == (before["champion"], after["champion"], ["champion"])
    assert made["code"] == "rebuilt" and made["lower"] > -0.1 and made["gone"] == 30
    assert before["champion"] not in learned.files()
    assert learned.forgot == [ADA] and receipt["rows"] == {"cloud": 2}


def test_nothing_on_disk_holds_the_person_any_more(learned: House) -> None:
    learned.happen(200, seed=5, right="topic-ada has no truth of its own")  # refused: its datasets and candidates stay
    refused = learned.flywheel.run(NAME)
    drill = learned.flywheel.run(NAME, shuffle=True)
    assert {refused.decision, drill.decision} == {"refused"}
    tainted = {refused.judged, refused.dataset, drill.judged, drill.dataset}
    assert tainted <= learned.files()
    receipt = learned.erase()
    assert not tainted & learned.files() and tainted <= set(receipt["destroyed"])
    models = [each.id for each in learned.artifacts.list("fake-table")]
    assert models and not any(learned.knows_ada(model) for model in models)
    with learned.database.read() as connection:
        events = learned.log.skeleton(connection, TENANT, ADA).ids
    for dataset in learned.artifacts.list("flywheel-dataset"):
        assert not events & datasets.read(learned.artifacts, dataset.id).event_ids


def test_the_model_made_again_is_byte_for_byte_that_of_a_house_where_they_never_were(
    learned: House, fresh_sqlite: Callable[[Path], Database], tmp_path: Path
) -> None:
    until = learned.clock.now()
    learned.erase()
    began = FakeClock(until - timedelta(hours=300, seconds=1))
    there = make_house(fresh_sqlite(tmp_path / "other"), began, tmp_path / "other")
    there.happen(300, without=ADA)
    assert there.flywheel.run(NAME).decision == "promoted"
    assert there.aliases()["champion"] == learned.aliases()["champion"]


def test_the_decision_says_why_and_the_next_turn_judges_only_what_is_new(learned: House) -> None:
    known_until = learned.flywheel.status(NAME).known_until
    learned.erase()
    decision = learned.flywheel.history(NAME)[0]
    assert (decision.decision, decision.code, decision.candidate) == (
        "rebuilt", "rebuilt", learned.aliases()["champion"],
    )  # fmt: skip
    assert "a person was erased" in decision.reasons["en"] and "消去" in decision.reasons["ja"]
    assert learned.flywheel.status(NAME).known_until == known_until is not None
    assert learned.flywheel.run(NAME).code == "nothing_new"
    assert not learned.flywheel.asks_for_turn(NAME)


def test_champion_and_previous_are_both_made_again_and_a_rollback_still_works(learned: House) -> None:
    learned.happen(300, seed=1, topics=30)
    second = learned.flywheel.run(NAME)
    assert second.decision == "promoted", second.reason
    before = learned.aliases()
    receipt = learned.erase()
    after = learned.aliases()
    assert {one["old"] for one in receipt["artifacts"]} == {before["champion"], before["previous"]}
    assert not any(learned.knows_ada(artifact) for artifact in after.values())
    back = learned.flywheel.rollback(NAME)
    assert learned.aliases()["champion"] == after["previous"] == back.candidate
    assert learned.flywheel.champion(NAME).files


def test_an_erasure_happens_even_if_the_model_is_worse_without_them(learned: House) -> None:
    learned.learnables[0].sabotage = None  # type: ignore[attr-defined]
    learned.learnables[0].train = spoiled(learned.learnables[0].train)  # type: ignore[method-assign]
    receipt = learned.erase()
    (made,) = receipt["artifacts"]
    assert made["code"] == "rebuilt_worse" and made["upper"] < 0
    assert not learned.knows_ada(learned.aliases()["champion"])
    assert learned.flywheel.asks_for_turn(NAME)
    assert "worse" in learned.flywheel.history(NAME)[0].reason


def spoiled(train: Any) -> Callable[[Examples, Budget, int], Fitted]:
    """A recipe that has gone bad since."""

    def worse(examples: Examples, budget: Budget, seed: int) -> Fitted:
        fitted = train(examples, budget, seed)
        table = dict.fromkeys(json.loads(fitted.files["table.json"]), "wrong")
        return replace(fitted, files={"table.json": json.dumps(table).encode()})

    return worse


def broken(train: Any) -> Callable[[Examples, Budget, int], Fitted]:
    """A recipe that cannot do it any more, except from nothing."""

    def fails(examples: Examples, budget: Budget, seed: int) -> Fitted:
        if len(examples):
            raise LeakFound("it diverges without them", hint="-")
        fitted: Fitted = train(examples, budget, seed)
        return fitted

    return fails


def test_where_nothing_can_be_made_the_first_model_serves(learned: House) -> None:
    base = learned.aliases()["previous"]
    learned.learnables[0].train = broken(learned.learnables[0].train)  # type: ignore[method-assign]
    receipt = learned.erase()
    assert [one["code"] for one in receipt["artifacts"]] == ["rebuilt_as_base"]
    assert learned.aliases() == {"champion": base}, "there is nobody to go back to"
    decision = learned.flywheel.history(NAME)[0]
    assert (decision.decision, decision.numbers["why"]) == ("installed", "trainer_failed")
    assert learned.flywheel.asks_for_turn(NAME) and learned.flywheel.status(NAME).known_until is None


def test_where_nobody_else_taught_the_first_model_serves(house: House) -> None:
    house.happen(150, people=8)
    assert house.flywheel.run(NAME).decision == "promoted"
    for number in range(8):
        house.erase(SubjectId(f"person-{number}"))
    receipt = house.erase()
    assert receipt["artifacts"][-1]["code"] == "rebuilt_as_base" and receipt["artifacts"][-1]["left"] == 0
    assert house.flywheel.champion(NAME).files == {"table.json": b"{}"}
    assert all(erasure.state == "done" for erasure in house.eraser.erasures())


def test_one_in_no_dataset_leaves_nothing_to_rebuild(learned: House) -> None:
    learned.append("Elsewhere", SubjectId("bob"), {"n": 1})
    before, files = learned.aliases(), learned.files()
    receipt = learned.erase(SubjectId("bob"))
    assert receipt["nothing_to_rebuild"] and receipt["artifacts"] == [] and receipt["destroyed"] == []
    assert receipt["events"]["count"] == 1
    assert (learned.aliases(), learned.files()) == (before, files)


def test_whom_nobody_knows_is_an_error_that_says_what_to_do(learned: House) -> None:
    with pytest.raises(NotFound) as caught:
        learned.eraser.begin(TENANT, SubjectId("never-was"))
    assert "pseudonym" in caught.value.hint
    assert learned.eraser.erasures() == []


def test_erasing_twice_gives_the_same_receipt(learned: House) -> None:
    receipt = learned.erase()
    history = learned.flywheel.history(NAME)
    assert learned.erase() == receipt
    assert learned.flywheel.history(NAME) == history and len(learned.eraser.erasures()) == 1


def test_the_person_is_forgotten_at_once_and_nothing_more_is_recorded(learned: House) -> None:
    erasure = learned.eraser.begin(TENANT, ADA)
    assert erasure.state == "begun"
    with pytest.raises(ErasedSubject), learned.database.transaction() as connection:
        learned.log.append(connection, NewEvent("Seen", 1, TENANT, ADA, learned.clock.now(), "service", {}))
    examples = learned.learnables[0].examples(learned.log.reader(), learned.clock.now())
    assert ADA not in examples.unit_ids


def test_a_receipt_names_nobody_verifies_and_notices_every_change(learned: House, tmp_path: Path) -> None:
    receipt = learned.erase()
    kept = json.loads(json.dumps(receipt))
    assert verify(kept, public=learned.eraser.public_key) == receipt
    assert f'"{ADA}"' not in json.dumps(receipt)
    erasure = learned.eraser.erasure(receipt["id"])
    assert erasure.subject_id is None and erasure.receipt == receipt
    for name in set(receipt) - {"signature", "key"}:
        with pytest.raises(ChecksumMismatch):
            verify({**kept, name: "changed"})
    with pytest.raises(ChecksumMismatch, match="another key"):
        verify(kept, public=ReceiptKey.open(tmp_path / "elsewhere").public)
    with pytest.raises(BadFile):
        verify({"id": "x"})


def test_the_receipts_hash_of_the_events_can_be_computed_again_ever_after(learned: House) -> None:
    with learned.database.read() as connection:
        before = learned.log.skeleton(connection, TENANT, ADA)
    receipt = learned.erase()
    with learned.database.read() as connection:
        assert learned.log.skeleton(connection, TENANT, ADA) == before
    assert receipt["events"] == {"count": 30, "sha256": before.sha256}


def test_a_turn_that_was_under_way_promotes_nobody_who_learned_from_them(house: House) -> None:
    house.happen(200)
    champion = house.flywheel.ensure_champion(NAME)
    train, receipts = house.learnables[0].train, []

    def slowly(examples: Examples, budget: Budget, seed: int) -> Fitted:
        if not receipts and len(examples):
            receipts.append(house.erase())  # while the wheel is turning
        return train(examples, budget, seed)

    house.learnables[0].train = slowly  # type: ignore[method-assign]
    decision = house.flywheel.run(NAME)
    assert (decision.decision, decision.code, decision.dataset) == ("refused", "erased_meanwhile", None)
    assert house.aliases() == {"champion": champion}
    assert house.files() == {champion}
    again = house.flywheel.run(NAME)
    assert again.decision == "promoted" and not house.knows_ada(house.aliases()["champion"])


def test_a_turn_goes_on_if_whoever_was_erased_is_not_in_it(house: House) -> None:
    house.happen(200)
    house.append("Elsewhere", SubjectId("bob"), {})
    train, receipts = house.learnables[0].train, []

    def slowly(examples: Examples, budget: Budget, seed: int) -> Fitted:
        if not receipts and len(examples):
            receipts.append(house.erase(SubjectId("bob")))
        return train(examples, budget, seed)

    house.learnables[0].train = slowly  # type: ignore[method-assign]
    assert house.flywheel.run(NAME).decision == "promoted" and len(receipts) == 1


def test_what_a_killed_turn_left_on_disk_goes_too(learned: House) -> None:
    left = learned.artifacts.put({"table.json": b'{"topic-ada": "x"}'}, kind="fake-table", source=f"flywheel {NAME}")
    theirs = learned.artifacts.put({"x": b"x"}, kind="road-graph", source="maps.import")
    for artifact in (left, theirs):
        os.utime(artifact.path, (0, 0))
    assert left.id in learned.erase()["destroyed"]
    assert left.id not in learned.files() and theirs.id in learned.files()


def test_two_erasures_at_once_end_with_neither_in_any_model(learned: House) -> None:
    ada, other = learned.eraser.begin(TENANT, ADA), learned.eraser.begin(TENANT, SubjectId("person-3"))
    steps: list[str] = []

    def slow(name: str, fn: Callable[[], Any]) -> Any:
        done = fn()
        if name == "rebuild 0.0":
            steps.append(learned.eraser.run(other.id)["id"])  # the other one overtakes
        return done

    learned.eraser.run(ada.id, step=slow)
    assert steps == [other.id]
    for who in (ADA, SubjectId("person-3")):
        assert not learned.eraser.lineage(TENANT, who)
    assert learned.flywheel.champion(NAME).files and not learned.knows_ada(learned.aliases()["champion"])
    assert [one.state for one in learned.eraser.erasures()] == ["done", "done"]


def test_an_explanation_of_an_old_decision_says_what_can_no_longer_be_shown(house: House) -> None:
    house.happen(200, own=True)
    decision = house.flywheel.run(NAME)
    house.erase()
    told = house.flywheel.explain(decision.id)
    assert told.own == () and told.unreadable == len(decision.numbers["own_corrections"]) > 0


def test_a_model_nobody_here_can_make_is_taken_off_its_name(learned: House) -> None:
    parent = learned.aliases()["champion"]
    child = learned.artifacts.put({"w": b"distilled"}, kind="student", source="elsewhere", built_from=[parent])
    with learned.database.transaction() as connection:
        learned.registry.register(connection, "other.student", child.id)
        learned.registry.promote(connection, "other.student", child.id, "by hand")
    receipt = learned.erase()
    assert receipt["withdrawn"] == {**receipt["withdrawn"], child.id: ["champion"]}
    assert learned.aliases("other.student") == {} and child.id not in learned.files()


class Student(FakeLearnable):
    """Learns from the champion of another learnable, and says so."""

    teacher: Callable[[], ArtifactId]

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        teacher = self.teacher()
        fitted = super().train(examples, budget, seed)
        return replace(fitted, kind="student-table", facts={"built_from": [teacher]})


def test_a_student_is_made_again_after_its_teacher(sqlite: Database, clock: FakeClock, tmp_path: Path) -> None:
    student = Student("fake.student")
    house = make_house(sqlite, clock, tmp_path, [FakeLearnable(NAME), student])
    student.teacher = lambda: house.aliases()["champion"]
    house.happen(200)
    house.flywheel.run(NAME)
    assert house.flywheel.run("fake.student").decision == "promoted"
    before = house.aliases("fake.student")["champion"]
    receipt = house.erase()
    assert [one["learnable"] for one in receipt["artifacts"]] == [NAME, "fake.student"]
    after = house.aliases("fake.student")["champion"]
    assert after != before and not house.knows_ada(after)
    assert house.artifacts.get(after).manifest.built_from == (house.aliases()["champion"],)
