"""The tables the code knows are the tables the migration makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from ikkan.cloud import tables


def test_the_store_and_its_migration_agree(differences: Callable[[sa.MetaData], list[Any]]) -> None:
    assert differences(tables.metadata) == []
