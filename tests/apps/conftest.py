"""The whole platform in this process, on a fresh home and a SQLite file, without an engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ikkan import bootstrap
from ikkan.bootstrap.platform import Platform
from ikkan.ground.settings import Settings


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    with bootstrap.opened(settings) as opened:
        yield opened
