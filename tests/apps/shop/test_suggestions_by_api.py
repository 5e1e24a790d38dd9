"""The API of suggestions, and support's word to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from ikkan.apps.shop.service import tau
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.suggesting.intake import Intake
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.cloud.values import LOCAL_TENANT, USER
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import RateLimited

from .conftest import FOUND, Desk, Suggester, a_ware, order_of

API = "/a/shop/v1"


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    from ikkan.apps.shop import store

    with platform.database.transaction() as connection:
        store.shelf.put_wares(connection, LOCAL_TENANT, [a_ware(number, margin_share=0.4) for number in range(40)])
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700", client=("127.0.0.1", 50_000)) as opened:
        yield opened


def deed(id: str, **said: Any) -> dict[str, Any]:
    told = {"event_id": id, "person": "ada", "deed": "viewed", "at": "2026-06-01T12:00:00Z", "product_id": "w1"}
    return {**told, **said}


def test_an_event_by_api_changes_the_next_list_by_api(client: TestClient) -> None:
    before = client.post(f"{API}/suggest", json={"person": "ada", "n": 8}).json()
    told = client.post(
        f"{API}/events",
        json={"events": [deed("a"), deed("a"), deed("b", deed="smelled"), {"x": 1}, deed("c", product_id=None)]},
    ).json()
    assert (told["accepted"], told["repeated"]) == (1, 1) and [each["at"] for each in told["refused"]] == [2, 3, 4]
    after = client.get(f"{API}/suggest", params={"person": "ada", "n": 8}).json()
    assert [each["product_id"] for each in after["places"]] != [each["product_id"] for each in before["places"]]
    assert "margin" not in str(after), "margins are nobody's business"
    page = client.get(f"{API}/suggest", params={"person": "ada", "n": 8, "cursor": after["cursor"]}).json()
    assert not {each["product_id"] for each in page["places"]} & {each["product_id"] for each in after["places"]}
    events = client.get(f"{API}/history", params={"person": "ada"}).json()["events"]
    assert [(each["event_id"], each["person"]) for each in events] == [("a", "ada")]
    client.post(f"{API}/events", json=[deed("z", product_id="w2")])
    assert client.get(f"{API}/report").json()["surfaces"][0]["lists"] == 3


def test_rules_are_put_listed_and_dropped(client: TestClient) -> None:
    assert client.put(f"{API}/rules/top", json={"kind": "pin", "product_id": "w9", "amount": 0}).status_code == 200
    assert [rule["rule_id"] for rule in client.get(f"{API}/rules").json()["rules"]] == ["top"]
    listed = client.get(f"{API}/suggest", params={"person": "ada"}).json()["places"]
    assert (listed[0]["product_id"], listed[0]["source"]) == ("w9", "pinned")
    assert client.put(f"{API}/rules/bad", json={"kind": "pin"}).status_code == 400
    assert client.delete(f"{API}/rules/top").json() == {"dropped": True}
    assert client.delete(f"{API}/rules/top").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("suggest", b"{", 400),
        ("suggest", b'{"person": ""}', 400),
        ("suggest", b'{"person": "ada", "surface": "moon"}', 400),
        ("suggest", b'{"person": "ada", "n": 101}', 400),
        ("events", b'{"events": 3}', 400),
        ("events", b"[" + b",".join([b"1"] * 1_001) + b"]", 413),
        ("events", b'["' + b"x" * (2 * 2**20) + b'"]', 413),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    client: TestClient, path: str, body: bytes, status: int
) -> None:
    reply = client.post(f"{API}/{path}", content=body)
    assert reply.status_code == status and reply.json()["error"]["hint"]


@pytest.mark.parametrize("path", ["suggest", "events"])
def test_what_is_asked_all_the_time_is_guarded_like_the_rest(platform: Platform, path: str) -> None:
    stranger = TestClient(asgi(platform), client=("203.0.113.9", 5_000))
    assert stranger.post(f"{API}/{path}", json={"person": "ada"}).status_code == 401
    home = {"base_url": "http://127.0.0.1:8700", "client": ("127.0.0.1", 5_000)}
    browser = TestClient(asgi(platform), headers={"origin": "http://127.0.0.1:8700"}, **home)
    assert browser.post(f"{API}/{path}", json={"person": "ada"}).status_code == 403, "no CSRF token"
    assert TestClient(asgi(platform), **home).get(f"{API}/openapi.json").json()["paths"][f"/{path}"]["post"]


def test_what_breaks_while_choosing_is_told_as_ours(
    client: TestClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr("ikkan.apps.shop.service.suggesting.suggesting.chosen", broken)
    home = {"base_url": "http://127.0.0.1:8700", "client": ("127.0.0.1", 5_000)}
    reply = TestClient(asgi(platform), raise_server_exceptions=False, **home).post(
        f"{API}/suggest", json={"person": "ada"}
    )
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "internal_error")


def test_a_full_queue_is_a_429_that_says_when(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Intake, rows: Any) -> Any:
        raise RateLimited("full", hint="later", retry_after_s=1)

    monkeypatch.setattr(Intake, "take", full)
    reply = client.post(f"{API}/events", json=[deed("a")])
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")


def test_histories_rules_and_reports_are_for_administrators(platform: Platform) -> None:
    key = platform.cloud.service.create_key("till", scopes=(USER,))
    headers = {"authorization": f"Bearer {key.secret}"}
    with TestClient(asgi(platform), client=("203.0.113.9", 5_000), headers=headers) as till:
        assert till.post(f"{API}/events", json=[deed("a")]).json()["accepted"] == 1
        assert till.post(f"{API}/suggest", json={"person": "ada"}).status_code == 200
        for path in ("history?person=ada", "rules", "report", "suggest?person=ada&is_test=true"):
            assert till.get(f"{API}/{path}").status_code == 403, path
        platform.cloud.service.revoke_key(key.key.id)
        assert till.post(f"{API}/suggest", json={"person": "ada"}).status_code == 401


# ---- support ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "tool", "given", "deed"),
    [
        ("delivered", "return_delivered_order_items", "item_ids", "returned"),
        ("pending", "cancel_pending_order", "reason", "returned"),
    ],
)
def test_what_support_takes_back_is_known_to_the_next_list_and_undone_with_it(
    here: Database, clock: FakeClock, shop: Suggester, me: str, status: str, tool: str, given: str, deed: str
) -> None:
    tau.bring_in(here, SHOP, FOUND)
    desk = Desk(here, clock, behaviour=shop)
    order = order_of(me, status)
    items = order["items"]
    shop.put_wares(SHOP, [a_ware(0, product_id=each["product_id"], category="Odd > One") for each in items])
    before = shop.ids(me, n=40)
    assert items[0]["product_id"] in before
    talk = desk.come_in(me)
    said: dict[str, Any] = {"order_id": order["order_id"]}
    said |= (
        {"reason": "no longer needed"}
        if given == "reason"
        else {
            "item_ids": [each["item_id"] for each in items],
            "payment_method_id": order["payment_history"][0]["payment_method_id"],
        }
    )
    asked = desk.ask(talk, tool, **said)
    assert items[0]["product_id"] in shop.ids(me, n=40), "asking is not doing"
    assert desk.yes(talk, asked).is_done
    assert items[0]["product_id"] not in shop.ids(me, n=40)
    assert {each.deed for each in shop.history(SHOP, me)} == {deed}
    assert desk.undo(SHOP, talk).kind == "undone"
    assert items[0]["product_id"] in shop.ids(me, n=40)
