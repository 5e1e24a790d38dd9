"""What a tag may tell: from its own sites, with consent, once, and not too much; and single wares by API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from ikkan.apps.shop import store
from ikkan.apps.shop.service import collecting
from ikkan.apps.shop.service.collecting import Collecting
from ikkan.apps.shop.service.listening import Hears
from ikkan.apps.shop.service.replay import SHOP
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.cloud.values import LOCAL_TENANT, USER
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, IkkanError, NotAllowed, NotAuthenticated, RateLimited, RequestTooLarge
from ikkan.ground.ids import TenantId

SITE = "https://shop.example"
VISITOR = "v-" + "0123456789abcdef" * 2
API = "/a/shop/v1"


class Ticks:
    """A clock of seconds that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def heard() -> Hears:
    return Hears()


@pytest.fixture
def forgotten() -> list[tuple[TenantId, str]]:
    return []


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def door(
    database: Database, clock: FakeClock, heard: Hears, forgotten: list[tuple[TenantId, str]], ticks: Ticks
) -> Collecting:
    return Collecting(
        database, clock, heard, lambda tenant_id, visitor: forgotten.append((tenant_id, visitor)), ticks=ticks
    )


def did(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": f"event-{number:06}", "deed": "viewed", "at": "2026-06-01T11:59:00Z", "product": "A1", **more}


def batch(key: str, *events: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"key": key, "visitor": VISITOR, "events": events, **more}).encode()


def test_what_a_page_tells_is_heard_once(door: Collecting, heard: Hears) -> None:
    tag = door.make(SHOP, "shop", [SITE + "/", "http://localhost:8080"])
    told = door.collect(batch(tag.key, did(1), did(2, deed="bought", price=19.9, quantity=2)), SITE, "203.0.113.9")
    assert (told.accepted, told.repeated, told.refused) == (2, 0, ())
    assert door.collect(batch(tag.key, did(1)), SITE.upper(), "203.0.113.9").repeated == 1
    bought = [each for each in heard.heard.values() if each.deed == "bought"]
    assert [(each.person, each.price_micros, each.quantity) for each in bought] == [(VISITOR, 19_900_000, 2)]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda key: (batch("tag-ik-guessed-by-someone", did()), SITE), NotAuthenticated),
        (lambda key: (batch("sk-ik-not-a-tag", did()), SITE), NotAuthenticated),
        (lambda key: (batch(key, did()), "https://evil.example"), NotAllowed),
        (lambda key: (batch(key, did()), None), NotAllowed),
        (lambda key: (b"x" * (64 * 1024 + 1), SITE), RequestTooLarge),
        (lambda key: (b"{", SITE), BadInput),
        (lambda key: (b"\xff\xfe", SITE), BadInput),
        (lambda key: (batch(key, visitor="customer-7"), SITE), BadInput),
        (lambda key: (batch(key, *(did(at) for at in range(201))), SITE), BadInput),
        (lambda key: (batch(key, secret="more"), SITE), BadInput),
    ],
)  # fmt: skip
def test_what_is_not_a_page_of_the_shop_is_refused(
    door: Collecting, heard: Hears, wrong: Any, error: type[IkkanError]
) -> None:
    tag = door.make(SHOP, "shop", [SITE])
    with pytest.raises(error) as refused:
        door.collect(*wrong(tag.key), "203.0.113.9")
    assert refused.value.hint and heard.count == 0


def test_single_events_that_cannot_be_are_refused_and_the_others_taken(door: Collecting, heard: Hears) -> None:
    tag = door.make(SHOP, "shop", [SITE])
    told = door.collect(
        batch(tag.key, did(1), did(2, deed="danced"), did(3, at="2026-06-02T00:00:00Z"), did(4, product=None),
              did(5, at="2026-01-01T00:00:00Z"), did(6, price=-1), did(7, deed="searched", product=None, query="傘")),
        SITE, "203.0.113.9",
    )  # fmt: skip
    assert told.accepted == 2 and [at for at, _ in told.refused] == [1, 2, 3, 4, 5]


def test_consent_taken_back_forgets_the_visitor_and_keeps_nothing_of_the_batch(
    door: Collecting, heard: Hears, forgotten: list[tuple[TenantId, str]]
) -> None:
    tag = door.make(SHOP, "shop", [SITE])
    assert door.collect(batch(tag.key, did(1), consent="withdrawn"), SITE, "203.0.113.9").accepted == 0
    assert forgotten == [(SHOP, VISITOR)] and heard.count == 0


def test_too_much_from_one_place_is_slowed_down_and_others_are_not(door: Collecting, ticks: Ticks) -> None:
    tag = door.make(SHOP, "shop", [SITE])
    many = [did(at) for at in range(190)]
    for _ in range(2):
        door.collect(batch(tag.key, *many), SITE, "203.0.113.9")
    with pytest.raises(RateLimited) as refused:
        door.collect(batch(tag.key, *many), SITE, "203.0.113.9")
    assert refused.value.retryable
    door.collect(batch(tag.key, *many), SITE, "203.0.113.10")
    ticks.now_s += 60
    door.collect(batch(tag.key, *many), SITE, "203.0.113.9")


def test_whoever_guesses_addresses_does_not_fill_the_memory(door: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door._visitors, "most", 50)
    tag = door.make(SHOP, "shop", [SITE])
    for at in range(120):
        door.collect(batch(tag.key), SITE, f"2001:db8::{at:x}")
    assert len(door._visitors.each) == 50


def test_a_revoked_tag_tells_nothing_more(door: Collecting) -> None:
    tag = door.make(SHOP, "shop", [SITE])
    door.collect(batch(tag.key, did(1)), SITE, "203.0.113.9")
    with pytest.raises(IkkanError):
        door.revoke(TenantId("another"), tag.tag_id)
    door.revoke(SHOP, tag.tag_id)
    with pytest.raises(NotAuthenticated):
        door.collect(batch(tag.key, did(2)), SITE, "203.0.113.9")
    assert [each.revoked_at is None for each in door.tags(SHOP)] == [False] and door.tags(TenantId("another")) == []


@pytest.mark.parametrize(
    "origin", ["", "*", "shop.example", "https://shop.example/path", "http://shop.example", "null"]
)
def test_a_tag_is_for_named_and_encrypted_sites(door: Collecting, origin: str) -> None:
    with pytest.raises(BadInput):
        door.make(SHOP, "shop", [origin])


@pytest.fixture
def merchant(platform: Platform) -> Iterator[TestClient]:
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700", client=("127.0.0.1", 5000)) as client:
        yield client


def test_a_page_of_another_site_tells_through_the_real_door(merchant: TestClient, platform: Platform) -> None:
    tag = merchant.post(f"{API}/tags", json={"name": "shop", "origins": [SITE]}).json()
    page = TestClient(asgi(platform), client=("203.0.113.9", 5000), headers={"origin": SITE})
    asked = page.options(f"{API}/collect")
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, SITE)
    assert (
        "access-control-allow-origin"
        not in page.options(f"{API}/collect", headers={"origin": "https://evil.example"}).headers
    )
    now = platform.clock.now().isoformat()
    told = page.post(f"{API}/collect", content=batch(tag["key"], did(1, at=now), did(2, at=now, deed="no")))
    assert told.status_code == 202 and told.headers["access-control-allow-origin"] == SITE
    assert told.json()["accepted"] == 1 and told.json()["refused"][0][0] == 1
    assert page.post(f"{API}/collect", content=batch(tag["key"], did(1, at=now))).json()["repeated"] == 1
    assert page.post(f"{API}/collect", content=b"x" * 70_000).status_code == 413
    assert page.get(f"{API}/collect").status_code == 405
    assert page.get(f"{API}/wares/A1").status_code == 401
    subject = platform.cloud.subjects.pseudonym(LOCAL_TENANT, VISITOR)

    def kept() -> int:
        with platform.database.read() as connection:
            return len(store.behaviour.of_person(connection, LOCAL_TENANT, subject, 10))

    assert kept() == 1
    for _ in range(2):
        gone = page.post(f"{API}/collect", content=batch(tag["key"], consent="withdrawn"))
        assert (gone.status_code, kept()) == (202, 0)
    late = page.post(f"{API}/collect", content=batch(tag["key"], did(3, at=now)))
    assert (late.status_code, kept()) == (403, 0) and late.headers["access-control-allow-origin"] == SITE
    merchant.delete(f"{API}/tags/{tag['tag_id']}")
    assert page.post(f"{API}/collect", content=batch(tag["key"])).status_code == 401


def test_a_ware_is_put_changed_and_taken_off_by_a_merchants_system(merchant: TestClient, platform: Platform) -> None:
    body = {"name": "Mill", "price": 4980, "category": "Kitchen", "tags": ["calm"], "names": {"ja": "ミル"}}
    made = merchant.put(f"{API}/wares/A1", json=body).json()
    assert made["price_micros"] == 4_980_000_000
    later = merchant.put(f"{API}/wares/A1", json={**body, "stock": 0}).json()
    assert (later["added_at"], later["stock"]) == (made["added_at"], 0)
    assert merchant.get(f"{API}/wares/A1").json() == later
    assert merchant.delete(f"{API}/wares/A1").json() == {"removed": True}
    assert merchant.delete(f"{API}/wares/A1").status_code == 404
    assert merchant.get(f"{API}/wares/A1").json()["is_listed"] is False
    for wrong in (
        {"name": "Mill"},
        {**body, "price": -1},
        {**body, "image": "javascript:x"},
        {**body, "colour": "red"},
    ):
        assert merchant.put(f"{API}/wares/A1", json=wrong).status_code == 400
    user = platform.cloud.service.create_key("user", scopes=(USER,)).secret
    other = TestClient(asgi(platform), headers={"authorization": f"Bearer {user}"})
    assert other.put(f"{API}/wares/A1", json=body).status_code == 403


def test_a_file_goes_from_guess_to_report_by_api(merchant: TestClient, platform: Platform) -> None:
    file = {"file": ("商品.csv", "商品コード,商品名,値段,在庫数\nA1,ミル,4980,3\nA2,傘,=cmd(),1\n".encode("cp932"))}
    guessed = merchant.post(f"{API}/imports/guess", files=file, data={"kind": "catalogue"}).json()
    assert guessed["missing"] == ["price"] and guessed["unused"] == ["値段"] and guessed["encoding"] == "cp932"
    told = {"kind": "catalogue", "map": json.dumps({"price": "値段"})}
    assert merchant.post(f"{API}/imports/dry-run", files=file, data=told).json()["counts"]["refused"] == 1
    made = merchant.post(f"{API}/imports", files=file, data=told).json()
    assert made["state"] == "running" and made["job_id"]
    with platform.jobs.working():
        assert platform.jobs.wait(made["job_id"], timeout_s=60).state == "done"
    done = merchant.get(f"{API}/imports/{made['import_id']}").json()
    assert (done["counts"]["added"], done["counts"]["refused"], done["progress"]) == (1, 1, 1.0)
    assert merchant.get(f"{API}/jobs/{made['job_id']}").json()["state"] == "done"
    (wrong,) = merchant.get(f"{API}/imports/{made['import_id']}/errors").json()["errors"]
    assert (wrong["row"], wrong["field"], wrong["value"]) == (2, "price", "=cmd()")
    report = merchant.get(f"{API}/imports/{made['import_id']}/errors", params={"format": "csv"}).text
    assert "'=cmd()" in report and ",=cmd()" not in report
    assert merchant.post(f"{API}/imports", files=file, data=told).json()["is_repeat"]
    assert merchant.post(f"{API}/imports/{made['import_id']}/undo").json()["removed"] == 1
    assert len(merchant.get(f"{API}/imports").json()["imports"]) == 1
    for bad in ({"map": "{"}, {"kind": "poems"}, {"utc_offset": "noon"}, {"deed": "danced"}):
        assert merchant.post(f"{API}/imports/guess", files=file, data=bad).status_code == 400
    assert list((platform.settings.home / "cache" / "shop").glob("upload*")) == []


def test_limits_are_those_the_documents_name() -> None:
    assert (collecting.MOST_BYTES, collecting.MOST_EVENTS) == (65_536, 200)
