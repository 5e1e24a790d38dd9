"""The pages of meetings: in every language, nothing inline, and only for whom a meeting is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from ikkan.apps.meetings.pages.words import WORDS
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.kit.language import LANGUAGES, TAGS

from .conftest import SAID

API = "/a/meetings/v1"


@pytest.fixture
def browser(platform: Platform) -> Iterator[TestClient]:
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700", client=("127.0.0.1", 5000)) as opened:
        yield opened


@pytest.fixture
def meeting_id(browser: TestClient) -> str:
    said = SAID.replace("来期", "<script>来期")
    file = ("予算 & <b>.txt", said.encode())
    sent = browser.post(f"{API}/meetings", files={"file": file}, data={"held_on": "2026-06-01"})
    return str(sent.json()["id"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_speaks_the_persons_language(browser: TestClient, meeting_id: str, language: str) -> None:
    told = {"accept-language": language}
    pages = {
        "/meetings": "meetings.bring",
        "/meetings/actions": "meetings.no_actions",
        "/meetings/live": "meetings.consent",
        "/meetings/search?q=広告費": "meetings.in_decision",
        f"/meetings/{meeting_id}": "meetings.kind_decision",
    }
    for path, key in pages.items():
        reply = browser.get(path, headers=told)
        assert (reply.status_code, f'<html lang="{TAGS[language]}"' in reply.text) == (200, True), path
        assert WORDS[key][language] in html.unescape(reply.text)
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", reply.text)


def test_one_page_alone_may_ask_for_the_microphone(browser: TestClient, meeting_id: str) -> None:
    asked = {path: browser.get(path).headers["permissions-policy"] for path in ("/meetings", "/meetings/live")}
    assert "microphone=()" in asked["/meetings"] and "microphone=(self)" in asked["/meetings/live"]
    assert browser.get(f"/meetings/live?meeting={meeting_id}").status_code == 200
    assert browser.get("/meetings/live?meeting=nobody").status_code == 404
    for script in ("live.js", "microphone.js"):
        assert browser.get(f"/static/meetings/{script}").status_code == 200


def test_what_people_said_is_text_and_each_line_leads_to_its_words(browser: TestClient, meeting_id: str) -> None:
    text = browser.get(f"/meetings/{meeting_id}").text
    assert "&lt;script&gt;来期" in text and "<b>" not in text
    rested = re.findall(r'data-evidence="([^"]+)"', text)
    assert rested and all(f'id="{segment_id}"' in text for segment_id in " ".join(rested).split())


def test_accepted_actions_stand_on_their_page_with_the_way_back(browser: TestClient, meeting_id: str) -> None:
    found = browser.get(f"{API}/meetings/{meeting_id}").json()["extractions"]
    action = next(each["id"] for each in found if each["kind"] == "action")
    browser.patch(f"{API}/meetings/{meeting_id}/items/{action}", json={"status": "accepted"})
    assert f'href="/meetings/{meeting_id}#s4"' in browser.get("/meetings/actions").text
    assert "見積もりを送る" in browser.get("/meetings/actions?owner=鈴木").text
    browser.cookies.clear()  # a program's request, which needs no token
    browser.patch(f"{API}/meetings/{meeting_id}/items/{action}", json={"is_done": True})
    assert "見積もりを送る" not in browser.get("/meetings/actions").text
    assert "見積もりを送る" in browser.get("/meetings/actions?done=1").text


def test_a_meeting_of_another_tenant_is_not_a_page(browser: TestClient, platform: Platform, meeting_id: str) -> None:
    platform.cloud.service.create_tenant("evil", "Evil")
    secret = platform.cloud.service.create_key("eve", tenant_id="evil").secret  # type: ignore[arg-type]
    eve = {"authorization": f"Bearer {secret}"}
    assert browser.get(f"/meetings/{meeting_id}", headers=eve).status_code == 404
    assert browser.get(f"/meetings/{meeting_id}/progress", headers=eve).status_code == 404
    assert meeting_id not in browser.get("/meetings", headers=eve).text
    assert meeting_id not in browser.get("/meetings/search?q=広告費", headers=eve).text


def test_a_long_meeting_shows_how_far_it_is(browser: TestClient) -> None:
    said = "\n".join(f"S{n % 3}: word {n}" for n in range(2_100))
    meeting_id = browser.post(f"{API}/meetings", files={"file": ("long.txt", said.encode())}).json()["id"]
    reply = browser.get(f"/meetings/{meeting_id}/progress")
    assert "<progress" in reply.text and "hx-refresh" not in reply.headers
    assert f'hx-get="/meetings/{meeting_id}/progress?lang=' in browser.get(f"/meetings/{meeting_id}").text
