"""`/admin/v1`: for administrators only, and what they can do there."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from ikkan.cloud.assembly import Cloud
from ikkan.ground.ids import SubjectId, TenantId


async def call(url: str, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{url}/admin/v1/{path}", json=body, headers=headers) as reply,
    ):
        assert reply.headers["x-request-id"]
        return reply.status, await reply.json()


async def test_a_key_is_made_used_limited_to_its_scope_and_revoked(url: str, cloud: Cloud) -> None:
    status, made = await call(url, "POST", "keys", {"name": "app", "budget_micros": 500})
    assert (status, made["scopes"], made["limit_micros"]) == (201, ["user"], 500)
    status, refused = await call(url, "GET", "keys", key=made["secret"])
    assert (status, refused["error"]["code"]) == (403, "not_allowed")
    admin = cloud.service.create_key("boss", scopes=["admin"]).secret
    status, listed = await call(url, "GET", "keys", key=admin)
    assert status == 200 and {item["name"] for item in listed["data"]} == {"app", "boss"}
    assert "secret" not in str(listed).replace("secret_hash", "")
    status, revoked = await call(url, "DELETE", f"keys/{made['id']}", key=admin)
    assert status == 200 and revoked["revoked_at"]
    status, refused = await call(url, "GET", "keys", key=made["secret"])
    assert (status, refused["error"]["code"]) == (401, "invalid_api_key")


async def test_upstreams_aliases_and_prices_are_set_and_listed(url: str) -> None:
    price = {"input_micros": 10, "output_micros": 20}
    asked = {"name": "vendor", "url": "http://127.0.0.1:9/v1", "key": "hidden", "price": price}
    status, made = await call(url, "POST", "upstreams", asked)
    assert (status, made["has_sealed_key"]) == (201, True)
    status, listed = await call(url, "GET", "upstreams")
    assert "hidden" not in str(listed) and listed["data"][0]["health"]["ok"] is False
    assert (await call(url, "PUT", "aliases/team/default", {"targets": ["vendor/m"]}))[0] == 200
    assert (await call(url, "GET", "aliases"))[1]["data"] == [{"name": "team/default", "targets": ["vendor/m"]}]
    price["cached_micros"] = 1
    assert (await call(url, "PUT", "prices", {"upstream": "vendor", "model": "m", "price": price}))[0] == 200
    status, listed = await call(url, "GET", "prices")
    assert [(row["model"], row["price"]["cached_micros"]) for row in listed["data"]] == [("*", 10), ("m", 1)]
    assert (await call(url, "DELETE", "upstreams/vendor"))[0] == 409
    assert (await call(url, "DELETE", "aliases/team/default"))[0] == 200
    assert (await call(url, "DELETE", "upstreams/vendor"))[0] == 200


async def test_usage_is_told_apart_as_asked(url: str, cloud: Cloud) -> None:
    secret = cloud.service.create_key("app").secret
    body = {"model": "fake", "messages": [{"role": "user", "content": "x"}]}
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"authorization": f"Bearer {secret}"}, {"authorization": f"Bearer {secret}"}):
            async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as reply:
                assert reply.status == 200
    status, found = await call(url, "GET", "usage?by=key,day&since=2026-06-01&until=2026-06-02")
    assert status == 200
    lines = {line["key_name"]: (line["day"], line["requests"], line["cost_micros"]) for line in found["data"]}
    assert lines == {None: ("2026-06-01", 1, 19), "app": ("2026-06-01", 2, 38)}
    assert (await call(url, "GET", "usage?since=2026-06-02"))[1]["data"] == []
    assert (await call(url, "GET", "audit"))[1]["is_sound"] is True


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "usage?by=mood", None, 400),
        ("GET", "usage?colour=red", None, 400),
        ("POST", "keys", {}, 400),
        ("POST", "keys", {"name": "x", "scopes": ["root"]}, 400),
        ("POST", "keys", {"name": "x", "unheard": 1}, 400),
        ("POST", "tenants", {"id": "Ä", "name": "x"}, 400),
        ("POST", "tenants", {"id": "local", "name": "x"}, 409),
        ("DELETE", "keys/nobody", None, 404),
        ("DELETE", "aliases/nobody", None, 404),
        ("PATCH", "keys", None, 405),
    ],
)
async def test_what_cannot_be_done_is_refused_in_words(
    url: str, method: str, path: str, body: Any, status: int
) -> None:
    found, reply = await call(url, method, path, body)
    assert (found, bool(reply["error"]["message"])) == (status, True)


async def test_tenants_are_kept_apart(url: str, cloud: Cloud) -> None:
    assert (await call(url, "POST", "tenants", {"id": "acme", "name": "Acme", "limit_micros": 0}))[0] == 201
    _, listed = await call(url, "GET", "tenants")
    assert [(item["id"], item["limit_micros"]) for item in listed["data"]] == [("acme", 0), ("local", None)]
    assert cloud.service.usage(tenant_id=TenantId("acme")) == []


def test_a_person_can_be_taken_out_of_the_rows(cloud: Cloud) -> None:
    subject = SubjectId("s-1")
    cloud.service.create_key("hers", subject_id=subject)
    cloud.service.create_key("his", subject_id=SubjectId("s-2"))
    with cloud.database.transaction() as connection:
        assert cloud.service.forget(connection, TenantId("local"), subject) == 1
    listed = cloud.service.keys()
    assert [key.subject_id for key in listed].count(None) == 1
