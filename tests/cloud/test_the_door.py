"""The door: a key, or this machine's own keyboard; never another site's page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ikkan.cloud.assembly import Cloud, assemble
from ikkan.cloud.door import is_at_this_machine
from ikkan.cloud.values import LOCAL
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import NotAuthenticated
from ikkan.ground.eventlog import EventLog, Keys

HOME = {"host": "127.0.0.1:8700"}


@pytest.fixture
def database_url(_fresh_sqlite: Callable[[Path], Any], tmp_path: Path) -> Iterator[str]:
    """One kind of database is enough here: nothing in this file is about how rows are kept."""
    with _fresh_sqlite(tmp_path) as url:
        yield url


@pytest.mark.parametrize(
    ("method", "client", "headers"),
    [
        ("POST", "127.0.0.1", HOME),
        ("POST", "127.8.9.1", {"host": "localhost:8700"}),
        ("POST", "::1", {"host": "[::1]:8700"}),
        ("POST", "::ffff:127.0.0.1", HOME),
        ("POST", "127.0.0.1", {"host": "LOCALHOST"}),
        ("POST", "127.0.0.1", HOME | {"origin": "http://127.0.0.1:8700", "sec-fetch-site": "same-origin"}),
        ("GET", "127.0.0.1", HOME | {"sec-fetch-site": "none"}),
        ("GET", "127.0.0.1", HOME | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
    ],
)
def test_this_machines_own_user_is_at_this_machine(method: str, client: str, headers: dict[str, str]) -> None:
    assert is_at_this_machine(method, client, headers)


@pytest.mark.parametrize(
    ("method", "client", "headers"),
    [
        ("POST", "192.168.1.5", HOME),
        ("POST", "10.0.0.1", {"host": "127.0.0.1"}),
        ("POST", None, HOME),
        ("POST", "", HOME),
        ("POST", "testclient", HOME),
        ("POST", "::ffff:10.0.0.1", HOME),
        ("POST", "127.0.0.1", {}),
        ("POST", "127.0.0.1", {"host": "evil.example:8700"}),
        ("POST", "127.0.0.1", {"host": "localhost.evil.example"}),
        ("POST", "127.0.0.1", {"host": "127.0.0.1.evil.example"}),
        ("POST", "127.0.0.1", {"host": "127.0.0.1@evil.example"}),
        ("POST", "127.0.0.1", HOME | {"x-forwarded-for": "127.0.0.1"}),
        ("POST", "127.0.0.1", HOME | {"forwarded": "for=203.0.113.9"}),
        ("POST", "127.0.0.1", HOME | {"x-real-ip": "203.0.113.9"}),
        ("POST", "127.0.0.1", HOME | {"origin": "https://evil.example"}),
        ("POST", "127.0.0.1", HOME | {"origin": "http://127.0.0.1:3000"}),
        ("POST", "127.0.0.1", HOME | {"origin": "null"}),
        ("GET", "127.0.0.1", HOME | {"origin": "https://evil.example"}),
        ("POST", "127.0.0.1", HOME | {"sec-fetch-site": "cross-site"}),
        ("POST", "127.0.0.1", HOME | {"sec-fetch-site": "same-site"}),
        ("POST", "127.0.0.1", HOME | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
        ("GET", "127.0.0.1", HOME | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}),
    ],
)
def test_everyone_else_is_not(method: str, client: str | None, headers: dict[str, str]) -> None:
    assert not is_at_this_machine(method, client, headers)


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer anything"}, {"authorization": "Bearer "}, {"authorization": "Basic eA=="}],
)
async def test_on_a_laptop_whatever_a_client_sends_instead_of_a_key_is_fine(
    cloud: Cloud, headers: dict[str, str]
) -> None:
    assert await cloud.door.admit("POST", "127.0.0.1", HOME | headers) == LOCAL


async def test_a_revoked_key_is_not_as_good_as_none(cloud: Cloud) -> None:
    made = cloud.service.create_key("k")
    cloud.service.revoke_key(made.key.id)
    with pytest.raises(NotAuthenticated):
        await cloud.door.admit("POST", "127.0.0.1", HOME | {"authorization": f"Bearer {made.secret}"})


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key"])
async def test_a_key_opens_from_anywhere(cloud: Cloud, name: str) -> None:
    secret = cloud.service.create_key("k").secret
    sent = {"authorization": f"bearer {secret}", "x-api-key": secret, "api-key": secret}[name]
    principal = await cloud.door.admit("POST", "203.0.113.9", {"origin": "https://app.example", name: sent})
    assert principal.key_id is not None


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer none"}])
async def test_a_server_wants_a_key_also_from_itself(
    database: Database, clock: FakeClock, events: EventLog, keys: Keys, headers: dict[str, str]
) -> None:
    server = assemble(database, clock, events, keys, allow_keyless=False)
    with pytest.raises(NotAuthenticated):
        await server.door.admit("POST", "127.0.0.1", HOME | headers)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/feedback", "/admin/v1/keys"])
async def test_another_sites_page_gets_nothing_done(url: str, path: str) -> None:
    body: dict[str, Any] = {"model": "fake", "messages": [{"role": "user", "content": "hi"}]}
    async with aiohttp.ClientSession() as session:
        async with session.post(url + path, json=body, headers={"origin": "https://evil.example"}) as reply:
            assert reply.status == 401
            assert "access-control-allow-origin" not in reply.headers
            assert reply.headers["x-request-id"]
        async with session.post(url + path, json=body, headers={"host": "evil.example"}) as reply:
            assert reply.status == 401
