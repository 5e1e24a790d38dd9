"""From a person to events, datasets, models and whatever was built from one; readable or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ikkan.flywheel import lineage, store
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.ids import ArtifactId, SubjectId

from .houses import ADA, NAME, TENANT, House, make_house

LAST = SubjectId("last")
"""Who asked last: she judges the candidate, and teaches the refit."""


@pytest.fixture
def house(sqlite: Database, clock: FakeClock, tmp_path: Path) -> House:
    house = make_house(sqlite, clock, tmp_path)
    house.happen(300)
    last = {"id": "last", "topic": "topic-last", "text": "the very last one to ask", "right": "soon", "slice": "en"}
    house.append("FakeAnswered", LAST, last)
    house.clock.advance(1)
    assert house.flywheel.run(NAME).decision == "promoted"
    return house


def trace(house: House, freed: list[ArtifactId] | None = None) -> lineage.Lineage:
    with house.database.read() as connection:
        told = store.every(connection)
        events = house.log.skeleton(connection, TENANT, ADA).ids
    return lineage.trace(told, house.artifacts, events, freed=freed or [])


def test_a_person_is_followed_to_dataset_candidate_and_refit(house: House) -> None:
    promoted = house.flywheel.history(NAME)[0]
    found = house.eraser.lineage(TENANT, ADA)
    assert found.datasets == {promoted.dataset: 30}
    assert set(found.artifacts) == {promoted.judged, promoted.candidate}
    assert promoted.candidate is not None and promoted.judged is not None and promoted.dataset is not None
    assert found.origins[promoted.candidate] == lineage.Origin(NAME, promoted.dataset, "refit")
    assert found.origins[promoted.judged].role == "candidate"
    assert promoted.champion not in found.artifacts, "the first model learned from nobody"


def test_the_trail_is_there_also_after_the_key_is_gone(house: House) -> None:
    before = house.eraser.lineage(TENANT, ADA)
    house.eraser.begin(TENANT, ADA)
    assert house.eraser.lineage(TENANT, ADA) == before


def test_whoever_is_in_nothing_has_no_lineage(house: House) -> None:
    house.append("Elsewhere", SubjectId("bob"), {})
    assert not house.eraser.lineage(TENANT, SubjectId("bob"))
    assert not house.eraser.lineage(TENANT, SubjectId("never-was"))


def test_who_only_judged_is_in_the_dataset_and_so_in_the_refit(house: House) -> None:
    promoted = house.flywheel.history(NAME)[0]
    with house.artifacts.open(promoted.candidate or ArtifactId(""), "table.json") as file:
        assert b"topic-last" in file.read()
    assert promoted.candidate in house.eraser.lineage(TENANT, LAST).artifacts


def test_children_and_grandchildren_of_a_tainted_model_are_found_parents_first(house: House) -> None:
    parent = house.aliases()["champion"]
    child = house.artifacts.put({"w": b"1"}, kind="student", source="elsewhere", built_from=[parent])
    grandchild = house.artifacts.put({"w": b"2"}, kind="student", source="elsewhere", built_from=[child.id])
    beside = house.artifacts.put(
        {"w": b"3"}, kind="student", source="elsewhere", built_from=[house.aliases()["previous"]]
    )
    found = trace(house)
    order = [found.artifacts.index(each) for each in (parent, child.id, grandchild.id)]
    assert order == sorted(order)
    assert found.parents[grandchild.id] == (child.id,)
    assert child.id not in found.origins and beside.id not in found.artifacts


def test_what_was_built_from_a_dataset_with_the_person_is_found(house: House) -> None:
    dataset = house.flywheel.history(NAME)[0].dataset
    assert dataset is not None
    index = house.artifacts.put({"i": b"1"}, kind="index", source="elsewhere", built_from=[dataset])
    assert index.id in trace(house).artifacts


def test_the_same_bytes_made_without_the_person_are_clean(house: House) -> None:
    champion = house.aliases()["champion"]
    assert champion in trace(house).artifacts
    assert trace(house, freed=[champion]).artifacts == (house.flywheel.history(NAME)[0].judged,)


def test_a_dataset_that_is_gone_taints_nothing_any_more(house: House) -> None:
    dataset = house.flywheel.history(NAME)[0].dataset
    assert dataset is not None
    house.artifacts.delete(dataset)
    assert not trace(house)
