"""What the operator chose on the pages is kept, and the newest choice counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ikkan.console import store
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database


def test_the_store_and_its_migration_agree(differences: Callable[[Any], list[Any]]) -> None:
    assert differences(store.metadata) == []


def test_the_newest_choice_counts(database: Database, clock: FakeClock) -> None:
    with database.transaction() as connection:
        assert store.chosen(connection, "thinking") is None
        store.choose(connection, "thinking", "sample", clock.now())
        store.choose(connection, "thinking", "vendor/qwen-plus", clock.now())
    with database.read() as connection:
        assert store.chosen(connection, "thinking") == "vendor/qwen-plus"
