"""Champions come and go in one transaction, and how they did is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import Conflict, UnknownArtifact
from ikkan.ground.ids import ArtifactId
from ikkan.models import registry as store
from ikkan.models.registry import Registry

NAME = "assistant.answer"
A, B, C = (ArtifactId(f"sha256:{letter * 64}") for letter in "abc")


@pytest.fixture
def registry(database: Database, clock: FakeClock) -> Registry:
    registry = Registry(database, clock)
    with database.transaction() as connection:
        for artifact in (A, B, C):
            registry.register(connection, NAME, artifact, {"n": 3})
    return registry


def promote(database: Database, registry: Registry, *artifacts: ArtifactId) -> None:
    for artifact in artifacts:
        with database.transaction() as connection:
            registry.promote(connection, NAME, artifact, f"better: {artifact[7]}")


def test_the_store_and_its_migration_agree(differences: Callable[[sa.MetaData], list[Any]]) -> None:
    assert differences(store.metadata) == []


def test_a_name_without_promotions_has_no_champion(registry: Registry) -> None:
    assert registry.alias(NAME) is None
    assert registry.alias("never.heard.of") is None


def test_a_promotion_keeps_the_last_champion_as_previous(database: Database, registry: Registry) -> None:
    promote(database, registry, A, B)
    assert registry.aliases(NAME) == {"champion": B, "previous": A}


def test_promoting_the_champion_again_does_not_lose_the_previous_one(database: Database, registry: Registry) -> None:
    promote(database, registry, A, B, B)
    assert registry.aliases(NAME) == {"champion": B, "previous": A}


def test_a_rollback_brings_the_last_champion_back_and_a_second_one_undoes_it(
    database: Database, registry: Registry
) -> None:
    promote(database, registry, A, B)
    with database.transaction() as connection:
        assert registry.rollback(connection, NAME, "worse after all") == A
    assert registry.aliases(NAME) == {"champion": A, "previous": B}
    with database.transaction() as connection:
        assert registry.rollback(connection, NAME) == B


@pytest.mark.parametrize("promoted", [(), (A,)], ids=["none", "one"])
def test_without_a_previous_champion_there_is_no_way_back(
    promoted: tuple[ArtifactId, ...], database: Database, registry: Registry
) -> None:
    promote(database, registry, *promoted)
    before = registry.aliases(NAME)
    with pytest.raises(Conflict), database.transaction() as connection:
        registry.rollback(connection, NAME)
    assert registry.aliases(NAME) == before


def test_an_unregistered_artifact_cannot_be_promoted(database: Database, registry: Registry) -> None:
    with pytest.raises(UnknownArtifact), database.transaction() as connection:
        registry.promote(connection, NAME, ArtifactId("sha256:" + "d" * 64), "")
    with pytest.raises(UnknownArtifact), database.transaction() as connection:
        registry.promote(connection, "never.heard.of", A, "")


def test_a_change_and_what_belongs_to_it_happen_together_or_not_at_all(database: Database, registry: Registry) -> None:
    promote(database, registry, A)
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        registry.promote(connection, NAME, B, "")
        assert registry.alias(NAME, connection=connection) == B
        raise ZeroDivisionError
    assert registry.aliases(NAME) == {"champion": A}
    assert [change.deed for change in registry.history(NAME)] == ["promoted", "registered", "registered", "registered"]


def test_history_tells_what_replaced_what_when_and_why(
    database: Database, registry: Registry, clock: FakeClock
) -> None:
    promote(database, registry, A)
    clock.advance(60)
    promote(database, registry, B)
    newest = registry.history(NAME, limit=1)[0]
    assert (newest.deed, newest.artifact_id, newest.replaced_id) == ("promoted", B, A)
    assert (newest.reason, newest.at) == ("better: b", clock.now())


def test_a_challenger_that_wins_is_no_challenger_any_more(database: Database, registry: Registry) -> None:
    promote(database, registry, A)
    with database.transaction() as connection:
        registry.set_alias(connection, NAME, "challenger", B, "looks good")
        registry.set_alias(connection, NAME, "shadow", C)
    promote(database, registry, B)
    assert registry.aliases(NAME) == {"champion": B, "previous": A, "shadow": C}
    with database.transaction() as connection:
        registry.set_alias(connection, NAME, "shadow", None)
    assert "shadow" not in registry.aliases(NAME)


def test_registering_twice_keeps_the_first_facts(database: Database, registry: Registry) -> None:
    with database.transaction() as connection:
        registry.register(connection, NAME, A, {"n": 99})
    assert [(one.artifact_id, one.facts) for one in registry.registered(NAME)] == [
        (A, {"n": 3}), (B, {"n": 3}), (C, {"n": 3}),
    ]  # fmt: skip
    assert registry.names() == [NAME]


def test_two_promotions_at_once_leave_one_champion_and_the_other_as_previous(
    database: Database, registry: Registry
) -> None:
    promote(database, registry, A)
    started = threading.Barrier(2)

    def run(artifact: ArtifactId) -> None:
        started.wait()
        promote(database, registry, artifact)

    threads = [threading.Thread(target=run, args=(artifact,)) for artifact in (B, C)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last, first = registry.history(NAME)[:2]
    assert (last.replaced_id, first.replaced_id) == (first.artifact_id, A)
    assert registry.aliases(NAME) == {"champion": last.artifact_id, "previous": first.artifact_id}


D = ArtifactId(f"sha256:{'d' * 64}")


def test_replacing_an_artifact_moves_every_alias_and_nobody_can_be_promoted_to_it_again(
    database: Database, registry: Registry
) -> None:
    promote(database, registry, A, B)
    with database.transaction() as connection:
        registry.set_alias(connection, NAME, "shadow", B)
        assert registry.under(connection, B) == {NAME: ["champion", "shadow"]}
        assert registry.replace(connection, NAME, B, D, "made again", {"n": 4}) == ["champion", "shadow"]
        assert registry.replace(connection, NAME, B, D, "made again") == []
    assert registry.aliases(NAME) == {"champion": D, "previous": A, "shadow": D}
    assert [each.artifact_id for each in registry.registered(NAME)] == [A, C, D]
    deeds = [(change.deed, change.alias, change.replaced_id) for change in registry.history(NAME)[:3]]
    assert deeds == [("withdrawn", "", None), ("replaced", "shadow", B), ("replaced", "champion", B)]
    with pytest.raises(UnknownArtifact), database.transaction() as connection:
        registry.promote(connection, NAME, B, "again")


def test_where_champion_and_previous_become_one_there_is_nobody_to_go_back_to(
    database: Database, registry: Registry
) -> None:
    promote(database, registry, A, B)
    with database.transaction() as connection:
        registry.replace(connection, NAME, B, A, "made again from nothing")
    assert registry.aliases(NAME) == {"champion": A}
    with pytest.raises(Conflict), database.transaction() as connection:
        registry.rollback(connection, NAME)


def test_an_artifact_taken_off_its_name_takes_its_aliases_with_it(database: Database, registry: Registry) -> None:
    promote(database, registry, A, B)
    with database.transaction() as connection:
        assert registry.withdraw(connection, NAME, B, "gone") == ["champion"]
        assert registry.withdraw(connection, NAME, B, "gone") == []
        assert registry.withdraw(connection, "never.heard.of", B, "gone") == []
    assert registry.aliases(NAME) == {"previous": A}
