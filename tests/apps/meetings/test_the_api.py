"""The API as a browser and a program meet it: upload, judge, share, find, export; and nothing for strangers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from ikkan.bootstrap.platform import Platform, asgi
from ikkan.cloud.values import Principal
from ikkan.ground.ids import TenantId

from .conftest import SAID

API = "/a/meetings/v1"


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    """A program at this machine, which needs no key."""
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700", client=("127.0.0.1", 5000)) as opened:
        yield opened


def keyed(platform: Platform, name: str, tenant: str = "local") -> dict[str, str]:
    made = platform.cloud.service.create_key(name, tenant_id=TenantId(tenant))
    return {"authorization": f"Bearer {made.secret}"}


def bring(client: TestClient, text: str | bytes = SAID, name: str = "予算.txt", **fields: str) -> Any:
    content = text.encode() if isinstance(text, str) else text
    return client.post(f"{API}/meetings", files={"file": (name, content)}, data=fields)


def line_of(client: TestClient, meeting_id: str, kind: str) -> str:
    found = client.get(f"{API}/meetings/{meeting_id}").json()["extractions"]
    return str(next(each["id"] for each in found if each["kind"] == kind))


def test_a_transcript_is_brought_judged_and_exported(client: TestClient) -> None:
    told = bring(client, held_on="2026-06-01", title="予算会議").json()
    assert (told["title"], told["state"], told["segments"]) == ("予算会議", "ready", 4)
    at = f"{API}/meetings/{told['id']}"
    line = line_of(client, told["id"], "action")
    changed = client.patch(f"{at}/items/{line}", json={"status": "accepted"}).json()
    assert (changed["item"]["status"], changed["before"]["status"]) == ("accepted", "open")
    rows = list(csv.DictReader(io.StringIO(client.get(f"{at}/export/csv").content.decode("utf-8-sig"))))
    assert [(row["text"], row["due"]) for row in rows] == [("見積もりを送る", "2026-06-05")]
    assert b"DTSTART;VALUE=DATE:20260605" in client.get(f"{at}/export/ics").content
    assert client.get(f"{at}/export/docx").content[:2] == b"PK"
    assert client.get(f"{at}/export/md").text.startswith("# 予算会議")
    assert "予算会議" in client.get(f"{at}/minutes", params={"form": "board"}).json()["markdown"]
    whole = json.loads(client.get(f"{at}/export/json").content)
    assert {"segments", "extractions", "minutes_markdown"} <= set(whole)
    (action,) = client.get(f"{API}/actions").json()["actions"]
    assert (action["meeting_id"], action["meeting_title"], action["owner"]) == (told["id"], "予算会議", "鈴木")
    undone = {key: changed["before"][key] for key in ("status", "text")}
    assert client.patch(f"{at}/items/{line}", json=undone).json()["item"]["status"] == "open"


def test_search_answers_with_quotes_and_times(client: TestClient) -> None:
    told = bring(client).json()
    (quote,) = client.get(f"{API}/search", params={"q": "広告費の上限"}).json()["quotes"]
    assert (quote["meeting_id"], quote["start_s"], quote["evidence"][0]) == (told["id"], 5.0, "s1")
    decided = client.get(f"{API}/search", params={"q": "What did we decide about 広告費?"}).json()
    assert (decided["in"], decided["quotes"][0]["text"]) == ("decision", "広告費は百万円")
    assert decided["quotes"][0]["item"]["status"] == "open" and quote["item"] is None


def test_people_named_may_see_it_and_others_do_not(client: TestClient, platform: Platform) -> None:
    bo, cy = keyed(platform, "bo"), keyed(platform, "cy")
    at = f"{API}/meetings/{bring(client).json()['id']}"
    people = {each["name"]: each["id"] for each in client.get(f"{API}/people").json()["people"]}
    assert client.put(f"{at}/audience", json={"audience": "people", "people": [people["bo"]]}).status_code == 200
    assert [client.get(at, headers=who).status_code for who in (bo, cy)] == [200, 404]
    assert client.delete(at, headers=bo).status_code == 403
    assert client.put(f"{at}/audience", json={"audience": "people", "people": ["nobody"]}).status_code == 400
    assert client.delete(at).json()["removed"] and client.get(at).status_code == 404


def test_another_tenant_finds_nothing_by_any_door(client: TestClient, platform: Platform) -> None:
    told = bring(client, audience="tenant").json()
    line, at = line_of(client, told["id"], "action"), f"{API}/meetings/{told['id']}"
    client.patch(f"{at}/items/{line}", json={"status": "accepted"})
    platform.cloud.service.create_tenant("evil", "Evil")
    eve = keyed(platform, "eve", "evil")
    reads = [at, f"{at}/minutes", *(f"{at}/export/{each}" for each in ("md", "docx", "json", "csv", "ics"))]
    assert {client.get(path, headers=eve).status_code for path in reads} == {404}
    assert client.get(f"{API}/meetings", headers=eve).json()["meetings"] == []
    assert client.get(f"{API}/actions", headers=eve).json()["actions"] == []
    assert client.get(f"{API}/search", params={"q": "予算"}, headers=eve).json()["quotes"] == []
    assert "予算" not in client.get(f"{API}/actions/export/csv", headers=eve).text
    assert client.patch(f"{at}/items/{line}", json={"status": "rejected"}, headers=eve).status_code == 404
    assert client.put(f"{at}/speakers", json={"names": {"佐藤": "x"}}, headers=eve).status_code == 404
    assert client.delete(at, headers=eve).status_code == 404


def test_a_browser_must_bring_its_token(client: TestClient) -> None:
    foreign = {"origin": "http://127.0.0.1:8700", "sec-fetch-site": "same-origin"}
    at = f"{API}/meetings/{bring(client).json()['id']}"
    assert client.patch(at, json={"title": "x"}, headers=foreign).status_code == 403
    token = client.get("/meetings", headers=foreign).text.split('data-csrf="')[1].split('"')[0]
    assert client.patch(at, json={"title": "x"}, headers={**foreign, "x-csrf-token": token}).status_code == 200


@pytest.mark.parametrize(
    ("content", "name", "status", "code"),
    [
        (b"", "a.txt", 400, "bad_file"),
        (b"OggS" + bytes(40) + b"OpusHead", "a.ogg", 400, "unsupported_format"),
        (b"x" * 40_000_000, "a.txt", 413, "request_too_large"),
    ],
)
def test_what_cannot_be_kept_says_why(client: TestClient, content: bytes, name: str, status: int, code: str) -> None:
    reply = bring(client, content, name)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert reply.json()["error"]["hint"]
    assert client.get(f"{API}/meetings").json()["meetings"] == []


def test_a_long_meeting_is_left_to_the_worker(client: TestClient, platform: Platform) -> None:
    told = bring(client, "\n".join(f"S{n % 3}: word {n}" for n in range(2_100)), "long.txt").json()
    assert told["state"] == "working"
    with platform.jobs.working():
        (job,) = platform.jobs.list(name="meetings.draw")
        assert platform.jobs.wait(job.id, timeout_s=60).state == "done"
    assert client.get(f"{API}/meetings/{told['id']}").json()["state"] == "ready"


def test_every_door_is_described(client: TestClient) -> None:
    described = client.get(f"{API}/openapi.json").json()["paths"]
    assert {"/meetings", "/search", "/actions", "/meetings/{meeting_id}/items/{item_id}"} <= set(described)
    assert "file" in str(described["/meetings"]["post"]["requestBody"])


async def test_an_assistants_tools_see_what_the_person_who_asks_may_see(platform: Platform, client: TestClient) -> None:
    told = bring(client).json()
    line = line_of(client, told["id"], "action")
    client.patch(f"{API}/meetings/{told['id']}/items/{line}", json={"status": "accepted"})
    (app,) = [app for app in platform.apps if app.name == "meetings"]
    tools = {tool.name: tool.handler for tool in app.tools}
    me = platform.cloud.subjects.pseudonym(TenantId("local"), "me")
    mine, evil = (Principal(TenantId(tenant), None, me, frozenset({"user"})) for tenant in ("local", "evil"))
    found = await tools["search_meetings"](mine, query="広告費の上限")
    assert found["quotes"][0]["meeting_id"] == told["id"]
    assert [each["owner"] for each in (await tools["list_actions"](mine))["actions"]] == ["鈴木"]
    assert (await tools["search_meetings"](evil, query="広告費の上限"))["quotes"] == []
    assert (await tools["list_actions"](evil))["actions"] == []
