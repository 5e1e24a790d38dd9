"""Moods as a service and over HTTP: said, edited, inferred, off with one tap, erased with the person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.mood import CHIPS
from ikkan.apps.shop.rules.mood.telling import SAYS
from ikkan.apps.shop.service.moods import Moods
from ikkan.apps.shop.values import LANGUAGES, Happened, Ware
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.cloud.values import LOCAL_TENANT, USER
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, Conflict
from ikkan.ground.ids import SubjectId, TenantId

SHOP = TenantId("shop")


def pseudonym(tenant_id: TenantId, person: str) -> SubjectId:
    return SubjectId(f"s-{tenant_id}-{person}")


def grinders(at: datetime) -> list[Ware]:
    return [Ware(f"g{n}", f"Grinder {n}", "Kitchen > Coffee", 10, "JPY", at, tags=("calm",)) for n in range(6)]


@pytest.fixture
def moods(database: Database, clock: FakeClock) -> Moods:
    with database.transaction() as connection:
        store.shelf.put_wares(connection, SHOP, grinders(clock.now()))
    return Moods(database, clock, pseudonym=pseudonym)


def looked(clock: FakeClock) -> list[Happened]:
    return [
        Happened(f"e{n}", "ada", "viewed", clock.now() - timedelta(seconds=200 - 40 * n), f"g{n}") for n in range(4)
    ]


def test_said_comes_before_inferred_and_both_end(moods: Moods, clock: FakeClock) -> None:
    recent = looked(clock)
    inferred = moods.now(SHOP, "ada", recent, clock.now())
    assert inferred is not None and not inferred.is_said and "category=Kitchen > Coffee" in inferred.facets
    said = moods.say(SHOP, "ada", "a gift, something calm", "en")
    assert moods.now(SHOP, "ada", recent, clock.now()) == said
    assert said.mode == "gift" and said.facets == {"tag=calm": 1.0}
    assert moods.now(SHOP, "bob", [], clock.now()) is None
    assert moods.now(TenantId("another"), "ada", [], clock.now()) is None
    clock.advance(3 * 3_600)
    assert moods.now(SHOP, "ada", recent, clock.now()) is None
    assert moods.drop_ended() > 0 and moods.drop_ended() == 0


def test_what_was_said_is_read_back_by_another_process(moods: Moods, database: Database, clock: FakeClock) -> None:
    said = moods.say(SHOP, "ada", "落ち着いた安いもの", "ja")
    elsewhere = Moods(database, clock, pseudonym=pseudonym)
    assert elsewhere.now(SHOP, "ada", [], clock.now()) == said


def test_an_edit_makes_it_the_persons_own(moods: Moods, clock: FakeClock) -> None:
    inferred = moods.now(SHOP, "ada", looked(clock), clock.now())
    edited = moods.edit(SHOP, "ada", inferred, mode="deal", price_bias=-3.0, facets={"tag=calm": 0.0, "brand=Mu": 1.0})
    assert (edited.is_said, edited.mode, edited.price_bias, edited.facets) == (True, "deal", -1.0, {"brand=Mu": 1.0})
    assert moods.now(SHOP, "ada", [], clock.now()) == edited
    with pytest.raises(BadInput):
        moods.edit(SHOP, "ada", edited, facets={"tag=religion": 1.0})
    with pytest.raises(BadInput):
        moods.say(SHOP, "ada", "qwerty", "en")


def test_off_is_off_until_on(moods: Moods, database: Database, clock: FakeClock) -> None:
    moods.say(SHOP, "ada", "gift", "en")
    moods.off(SHOP, "ada")
    for each in (moods, Moods(database, clock, pseudonym=pseudonym)):
        assert each.now(SHOP, "ada", looked(clock), clock.now()) is None and each.is_off(SHOP, "ada")
        with pytest.raises(Conflict):
            each.say(SHOP, "ada", "gift", "en")
    moods.on(SHOP, "ada")
    mood = moods.now(SHOP, "ada", looked(clock), clock.now())
    assert mood is not None and not mood.is_said


def test_a_person_who_is_erased_leaves_no_mood(moods: Moods, database: Database, clock: FakeClock) -> None:
    moods.say(SHOP, "ada", "gift", "en")
    moods.say(SHOP, "bob", "gift", "en")
    moods.look(SHOP)
    with database.transaction() as connection:
        assert store.forget(connection, SHOP, pseudonym(SHOP, "ada")) == 1
        assert store.forget(connection, SHOP, pseudonym(SHOP, "ada")) == 0
    moods.forget(SHOP, pseudonym(SHOP, "ada"))
    assert moods.now(SHOP, "ada", [], clock.now()) is None
    assert moods.now(SHOP, "bob", [], clock.now()) is not None
    assert pseudonym(SHOP, "ada") not in f"{moods._kept}{moods._looked}"


@pytest.fixture
def page(platform: Platform) -> Iterator[TestClient]:
    """A browser at this machine, in a shop where Ada looked at coffee grinders just now."""
    with platform.database.transaction() as connection:
        store.shelf.put_wares(connection, LOCAL_TENANT, grinders(datetime.now(UTC)))
    origin = "http://127.0.0.1:8700"
    with TestClient(
        asgi(platform),
        base_url=origin,
        client=("127.0.0.1", 5000),
        headers={"origin": origin, "sec-fetch-site": "same-origin"},
    ) as browser:
        browser.headers["x-csrf-token"] = browser.get("/shop").text.split('data-csrf="')[1].split('"')[0]
        at = datetime.now(UTC)
        told = [
            {"event_id": f"e{n}", "person": "ada", "deed": "viewed", "product_id": f"g{n}", "at": when.isoformat()}
            for n, when in enumerate(at - timedelta(seconds=200 - 40 * n) for n in range(4))
        ]
        assert browser.post("/a/shop/v1/events", json={"events": told}).json()["accepted"] == 4
        yield browser


MOOD = "/a/shop/v1/mood"


def test_a_mood_over_http(page: TestClient) -> None:
    assert page.get(MOOD).json()["mood"] is None
    said = page.post(f"{MOOD}/say", json={"text": "something calm and cheap", "language": "en"}).json()
    assert said["mood"]["facets"] == {"tag=calm": 1.0} and said["line"].endswith("calm, cheaper than usual")
    edited = page.put(MOOD, json={"price_bias": 0.5}).json()
    assert (edited["mood"]["price_bias"], edited["mood"]["facets"]) == (0.5, {"tag=calm": 1.0})
    assert page.put(MOOD, json={"price_bias": 2}).status_code == 400
    assert page.post(f"{MOOD}/say", json={"text": "qwerty"}).status_code == 400
    assert page.delete(MOOD).json() == {"is_off": True}
    assert page.get(MOOD).json()["is_off"] is True
    assert page.post(f"{MOOD}/say", json={"text": "gift"}).status_code == 409
    assert page.post(f"{MOOD}/on").json() == {"is_off": False}


def test_the_next_list_says_mood_and_reason_until_it_is_switched_off(page: TestClient) -> None:
    ask = {"person": "ada", "surface": "similar", "product_ids": ["g0"], "n": 3}
    shown = page.post("/a/shop/v1/suggest", json=ask).json()
    assert "category=Kitchen > Coffee" in shown["mood"]["facets"]
    assert "Coffee" in page.get(MOOD, params={"person": "ada"}).json()["line"]
    assert page.delete(MOOD, params={"person": "ada"}).status_code == 200
    assert page.post("/a/shop/v1/suggest", json=ask).json().get("mood") is None


def test_nobody_sees_or_changes_anothers_mood(page: TestClient, platform: Platform) -> None:
    keys = [platform.cloud.service.create_key(name, scopes=(USER,)).secret for name in ("one", "two")]
    one, two = (TestClient(asgi(platform), headers={"authorization": f"Bearer {key}"}) for key in keys)
    assert one.post(f"{MOOD}/say", json={"text": "gift"}).status_code == 200
    assert one.get(MOOD).json()["mood"]["mode"] == "gift"
    assert two.get(MOOD).json()["mood"] is None
    assert two.get(MOOD, params={"person": "ada"}).status_code == 403
    assert two.request("DELETE", MOOD, params={"person": "ada"}).status_code == 403


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_panel_shows_says_and_switches_off(page: TestClient, language: str) -> None:
    page.headers["accept-language"] = language
    empty = page.get(f"{MOOD}/panel").text
    assert SAYS["none"][language] in empty
    assert all(words[language] in empty for words, _ in CHIPS.values())
    assert not re.search(r"<script|\son\w+=|\sstyle=", empty)
    said = page.post(f"{MOOD}/panel", data={"said": "gift"}).text
    assert SAYS["said"][language] in said and SAYS["turn_off"][language] in said
    wrong = page.post(f"{MOOD}/panel", data={"said": "<b>qwerty</b>"}).text
    assert 'role="alert"' in wrong and "<b>" not in wrong
    off = page.post(f"{MOOD}/panel", data={"deed": "off"}).text
    assert SAYS["off"][language] in off and SAYS["turn_on"][language] in off
    assert SAYS["off"][language] not in page.post(f"{MOOD}/panel", data={"deed": "on"}).text
    noticed = page.get(f"{MOOD}/panel", params={"person": "ada"}).text
    assert "Coffee" in noticed and SAYS["inferred"][language] in noticed


def test_every_word_is_in_three_languages() -> None:
    for words in SAYS.values():
        assert set(words) == set(LANGUAGES) and all(words.values())
