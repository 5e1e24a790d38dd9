"""Whoever comes again is answered out of memory, and memory is what the tables say, whoever writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.suggest import nearest
from ikkan.apps.shop.rules.suggest.nearest import Nearest
from ikkan.apps.shop.service import moods as moods_of
from ikkan.apps.shop.service.moods import Moods
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.suggesting import suggesting
from ikkan.apps.shop.service.suggesting.batching import Batches
from ikkan.apps.shop.values import Ask
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database

from .conftest import Suggester, a_ware, pseudonym, suggester


def no_database(*_: Any) -> Any:
    raise LookupError("asked the database")


async def test_who_came_a_moment_ago_is_answered_without_the_database_or_a_thread(
    here: Database, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggesting, "_LOOK_S", 3_600.0)
    monkeypatch.setattr(moods_of, "_KEPT_S", 3_600.0)
    service = suggester(here, clock, tmp_path, moods=Moods(here, clock, pseudonym=pseudonym))
    service.put_wares(SHOP, [a_ware(number) for number in range(40)])
    batches = Batches(service)
    first = await batches.suggest(SHOP, Ask("ada"))
    service.flush()
    monkeypatch.setattr(here, "read", no_database)
    monkeypatch.setattr(service, "suggest_many", no_database)
    again = await batches.suggest(SHOP, Ask("ada"))
    assert [place.ware for place in again.places] == [place.ware for place in first.places]
    with pytest.raises(LookupError):
        await batches.suggest(SHOP, Ask("bob"))
    monkeypatch.undo()
    assert (await batches.suggest(SHOP, Ask("bob"))).places
    service.flush()


async def test_who_comes_for_the_first_time_is_fetched_without_a_thread(
    shop: Suggester, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.did("bob", "viewed", "w1", "w5")
    batches = Batches(shop)
    await batches.suggest(SHOP, Ask("ada"))
    monkeypatch.setattr(suggesting, "_LOOK_S", 3_600.0)
    monkeypatch.setattr(shop, "fetch", no_database)
    listed = await batches.suggest(SHOP, Ask("bob"))
    assert not {"w1", "w5"} & {place.ware.product_id for place in listed.places}
    with shop._shops[SHOP]._loading, pytest.raises(LookupError):  # somebody is read just now: a thread waits for it
        await batches.suggest(SHOP, Ask("cleo"))


def test_what_is_near_somebody_is_looked_up_once_until_something_happens(
    shop: Suggester, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.did("ada", "viewed", "w1", "w5")
    looked_up, top = [0], Nearest.top

    def counted(*arguments: Any) -> Any:
        looked_up[0] += 1
        return top(*arguments)

    monkeypatch.setattr(Nearest, "top", counted)
    first = shop.ids("ada")
    assert shop.ids("ada") == first and looked_up == [1]
    shop.did("ada", "viewed", "w9")
    assert "w9" not in shop.ids("ada") and looked_up == [2]
    shop.put_wares(SHOP, [a_ware(41)])
    shop.ids("ada")
    assert looked_up == [3]
    shop.ids("ada", "similar", product_ids=("w9",))
    assert looked_up == [4]


async def test_a_large_shelf_has_a_thread_that_chooses_until_it_is_in_cells(
    shop: Suggester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "EXACT_MOST", 10)
    monkeypatch.setattr(Nearest, "settle", lambda _: None)
    batches, chosen = Batches(shop), []
    many = shop.suggest_many

    def noted(tenant_id: Any, asks: Sequence[Ask], **more: Any) -> Any:
        chosen.extend(ask.person for ask in asks)
        return many(tenant_id, asks, **more)

    monkeypatch.setattr(shop, "suggest_many", noted)
    assert [(await batches.suggest(SHOP, Ask(each))).person for each in ("ada", "bob")] == ["ada", "bob"]
    assert chosen == ["ada", "bob"]
    monkeypatch.undo()
    monkeypatch.setattr(shop, "suggest_many", no_database)
    assert (await batches.suggest(SHOP, Ask("ada"))).places


def test_one_look_keeps_all_moods_at_hand_and_sees_what_others_changed(database: Database, clock: FakeClock) -> None:
    people = [f"p{number}" for number in range(40)]
    here, elsewhere = (Moods(database, clock, pseudonym=pseudonym) for _ in range(2))
    assert not here.at_hand(SHOP, "p7")
    here.look(SHOP)
    assert all(here.at_hand(SHOP, each) for each in people)
    elsewhere.off(SHOP, "p7")
    here.look(SHOP)
    assert [each for each in people if here.is_off(SHOP, each)] == ["p7"]
    here.off(SHOP, "p8")
    elsewhere.on(SHOP, "p7")
    assert [each for each in people if here.is_off(SHOP, each)] == ["p7", "p8"]
    here.look(SHOP)
    assert [each for each in people if here.is_off(SHOP, each)] == ["p8"]


def test_with_many_rows_moods_are_read_person_by_person(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moods_of, "_ROWS", 0)
    here, elsewhere = (Moods(database, clock, pseudonym=pseudonym) for _ in range(2))
    elsewhere.off(SHOP, "ada")
    here.look(SHOP)
    assert not here.at_hand(SHOP, "ada") and here.is_off(SHOP, "ada")
    assert here.at_hand(SHOP, "ada") and not here.at_hand(SHOP, "bob")


def test_whose_events_are_as_many_as_in_memory_is_not_read_again(shop: Suggester) -> None:
    ada, kept = pseudonym(SHOP, "ada"), shop._shops
    shop.did("ada", "viewed", "w1", "w5")
    before = shop.ids("ada")
    person = kept[SHOP].people[ada]

    def looked_later() -> bool:
        kept[SHOP].at_hand(ada)
        kept[SHOP].read_at[ada] -= 50.0  # as if most of a minute had passed
        shop._look(force=True)
        return kept[SHOP].at_hand(ada)

    assert looked_later() and kept[SHOP].people[ada] is person
    with shop.database.transaction() as connection:  # by another process
        store.behaviour.take_back(connection, SHOP, ["ada-viewed-w1-0.0"])
    assert not looked_later()
    assert "w1" in shop.ids("ada", n=40) and "w1" not in before
