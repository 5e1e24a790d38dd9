"""What an app showed is recorded as served, and what became of it names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import ErasedSubject
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import ArtifactId, SubjectId, TenantId
from ikkan.kit import Offer, Signals

SHOP, ADA = TenantId("shop"), SubjectId("ada")
OFFERS = [Offer("tea", 1, 0.75, {"price": 480.0, "stock": 3}), Offer("cup", 2, 0.25)]


@pytest.fixture
def log(database: Database, clock: FakeClock, home: Path) -> EventLog:
    return EventLog(database, clock, Keys.open(home / "keys"))


def test_what_was_shown_is_recorded_as_served(database: Database, clock: FakeClock, log: EventLog) -> None:
    with database.transaction() as connection:
        shown = Signals(log, clock).shown(
            connection, SHOP, ADA, "ItemsShown", OFFERS, artifact=ArtifactId("sha256:1"), mood="calm"
        )
    (event,) = log.reader().read(["ItemsShown"])
    assert event.payload == {
        "impression_id": shown,
        "artifact": "sha256:1",
        "mood": "calm",
        "offers": [
            {"item": "tea", "position": 1, "propensity": 0.75, "features": {"price": 480.0, "stock": 3}},
            {"item": "cup", "position": 2, "propensity": 0.25, "features": {}},
        ],
    }


def test_an_outcome_names_what_was_shown(database: Database, clock: FakeClock, log: EventLog) -> None:
    signals = Signals(log, clock)
    with database.transaction() as connection:
        shown = signals.shown(connection, SHOP, ADA, "ItemsShown", OFFERS)
        event_id = signals.happened(connection, SHOP, ADA, "ItemReturned", about=shown, item="cup", value=-1.0)
    (event,) = log.reader().read(["ItemReturned"])
    assert event.id == event_id and event.payload == {"impression_id": shown, "item": "cup", "value": -1.0}


def test_a_signal_lives_or_dies_with_the_apps_own_row(database: Database, clock: FakeClock, log: EventLog) -> None:
    with pytest.raises(RuntimeError), database.transaction() as connection:
        Signals(log, clock).shown(connection, SHOP, ADA, "ItemsShown", OFFERS)
        raise RuntimeError
    assert log.count() == 0


def test_nothing_is_recorded_of_an_erased_person(database: Database, clock: FakeClock, log: EventLog) -> None:
    with database.transaction() as connection:
        log.erase(connection, SHOP, ADA)
    with pytest.raises(ErasedSubject), database.transaction() as connection:
        Signals(log, clock).shown(connection, SHOP, ADA, "ItemsShown", OFFERS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"position": 0},
        {"propensity": 0.0},
        {"propensity": 1.5},
        {"features": {"price": float("nan")}},
        {"item": ""},
    ],
)
def test_an_offer_that_cannot_have_been_made_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        Offer(**{"item": "tea", **wrong})
