"""Sessions: what a cookie proves, and what a forged, foreign or stale one does not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ikkan.ground.clock import FakeClock
from ikkan.kit import SessionKeeper

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def still() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def keeper(still: FakeClock) -> SessionKeeper:
    return SessionKeeper(b"s" * 32, still)


def test_a_cookie_brings_back_the_session_it_was_made_from(keeper: SessionKeeper) -> None:
    session = keeper.open("tenant-1", key_id="key-1", subject_id="person-1", scopes=("user", "admin"))
    assert keeper.read(keeper.cookie(session)) == session


def test_a_session_ends_after_twelve_hours(keeper: SessionKeeper, still: FakeClock) -> None:
    cookie = keeper.cookie(keeper.open("tenant-1", key_id="key-1", subject_id=None, scopes=("user",)))
    still.advance(12 * 3600 + 1)
    assert keeper.read(cookie) is None


@pytest.mark.parametrize("damage", ["", ".", "x", "a.b", "é.é", "AAAA", "=." * 40])
def test_rubbish_is_nobody(keeper: SessionKeeper, damage: str) -> None:
    assert keeper.read(damage) is None


def test_a_changed_cookie_is_nobody(keeper: SessionKeeper) -> None:
    cookie = keeper.cookie(keeper.open("tenant-1", key_id=None, subject_id=None, scopes=("user",)))
    for place in range(0, len(cookie), 7):
        changed = cookie[:place] + ("A" if cookie[place] != "A" else "B") + cookie[place + 1 :]
        assert keeper.read(changed) is None


def test_another_secret_reads_nothing(keeper: SessionKeeper, still: FakeClock) -> None:
    cookie = keeper.cookie(keeper.open("tenant-1", key_id=None, subject_id=None, scopes=("user",)))
    assert SessionKeeper(b"t" * 32, still).read(cookie) is None


def test_a_csrf_token_belongs_to_one_session(keeper: SessionKeeper) -> None:
    mine = keeper.open("tenant-1", key_id=None, subject_id=None, scopes=("user",))
    yours = keeper.open("tenant-1", key_id=None, subject_id=None, scopes=("user",))
    assert keeper.csrf_ok(mine, keeper.csrf(mine))
    assert not keeper.csrf_ok(mine, keeper.csrf(yours))
    assert not keeper.csrf_ok(mine, "")
