"""Every page of the house opens in every language; where a room lacks one, English stands in and the page says so."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from ikkan import bootstrap
from ikkan.apps.meetings.pages.words import SCRIPT_WORDS
from ikkan.apps.meetings.pages.words import WORDS as MEETINGS
from ikkan.apps.shop.pages.words import WORDS as SHOP
from ikkan.apps.shop.service.knowledge import ShopKnowledge
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.cloud.values import LOCAL_TENANT
from ikkan.console.words import WORDS as HOUSE
from ikkan.ground.settings import load_settings
from ikkan.kit.language import LANGUAGES, TAGS

NO_PAGE = re.compile(r"/(health|mcp|static|usage\.csv)\b|.*/(deed|as|offers|carrier)$")
"""Not for people to read, or answering a form alone."""
FRAGMENT = re.compile(r".*/progress$|.*/merchant/live$|.*/jobs/.*|/models/tuning$")
"""Put into a page by htmx."""
ENGLISH_INSIDE = re.compile(r'<main [^>]*lang="en"')


@dataclass(frozen=True)
class Opened:
    """A house with something on every page, and a browser before it."""

    app: Starlette
    browser: TestClient
    ids: Mapping[str, str]

    def addresses(self) -> list[str]:
        routes = [each for each in self.app.routes if isinstance(each, Route) and "GET" in (each.methods or ())]
        paths = [route.path.format_map(self.ids) for route in routes if not NO_PAGE.match(route.path)]
        return [*paths, "/?choose=1", "/meetings/search?q=広告費", "/shop/search?q=mug"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with bootstrap.opened(load_settings({"IKKAN_HOME": str(tmp_path_factory.mktemp("home"))})) as platform:
        yield from filled(platform)


def filled(platform: Platform) -> Iterator[Opened]:
    bootstrap.load_sample(platform)
    for name in platform.flywheel.names:
        platform.flywheel.ensure_champion(name)
    document = ShopKnowledge(platform.database, platform.clock).add(LOCAL_TENANT, "returns.md", b"# Returns\n\nSoon.\n")
    origin = "http://127.0.0.1:8700"
    app = asgi(platform)
    headers = {"origin": origin, "sec-fetch-site": "same-origin"}
    with TestClient(app, base_url=origin, client=("127.0.0.1", 5000), headers=headers) as browser:
        browser.headers["x-csrf-token"] = re.findall('data-csrf="([^"]+)"', browser.get("/shop").text)[0]
        said = "[00:00:05] 佐藤：広告費を百万円に決定します。\n[00:01:05] 鈴木：見積もりを金曜までに送ります。\n"
        meeting = browser.post("/a/meetings/v1/meetings", files={"file": ("予算.txt", said.encode())}).json()
        talk = browser.post("/a/shop/v1/support/talks", json={"language": "zh"}).json()
        assert browser.post(f"/a/shop/v1/support/talks/{talk['talk_id']}/hand-over").json()["state"] == "human"
        assert browser.post("/wheel/run", data={"learnable": "assistant.answer"}).status_code == 200
        ids = {
            "meeting_id": meeting["id"],
            "product_id": re.findall('data-product="([^"]+)"', browser.get("/shop").text)[0],
            "document_id": document.document_id,
            "talk_id": talk["talk_id"],
            "decision_id": platform.flywheel.history("assistant.answer")[0].id,
            "job_id": platform.jobs.list()[0].id,
        }
        yield Opened(app, browser, ids)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_opens_in_every_language(opened: Opened, language: str) -> None:
    for path in opened.addresses():
        reply = opened.browser.get(path, headers={"accept-language": language})
        assert reply.status_code == 200, (path, reply.text[:300])
        is_whole = FRAGMENT.fullmatch(path.partition("?")[0]) is None
        assert reply.text.lstrip().startswith(f'<!doctype html>\n<html lang="{TAGS[language]}"') == is_whole, path


def test_what_a_room_does_not_say_in_chinese_it_says_in_english(opened: Opened) -> None:
    told = html.unescape(opened.browser.get("/shop", headers={"accept-language": "zh-TW"}).text)
    assert SHOP["shop.store_lead"]["en"] in told and HOUSE["nav.meetings"]["zh"] in told
    assert ENGLISH_INSIDE.search(told), "whoever is read to hears English as English"
    for path in ("/meetings", f"/meetings/{opened.ids['meeting_id']}", "/sign-in"):
        assert not ENGLISH_INSIDE.search(opened.browser.get(path, headers={"accept-language": "zh"}).text)


def test_a_choice_in_the_head_of_a_page_is_kept(opened: Opened) -> None:
    offered = opened.browser.get("/meetings", headers={"accept-language": "en"}).text
    assert re.findall(r'name="lang" value="(\w+)"', offered) == list(LANGUAGES)
    opened.browser.post("/preferences", data={"lang": "zh", "back": "/meetings"})
    chosen = opened.browser.get("/meetings", headers={"accept-language": "en"}).text
    assert MEETINGS["meetings.lead"]["zh"] in chosen
    assert re.findall(r'value="(\w+)"[^>]* aria-current="true"', chosen) == ["zh"]


def test_another_language_shows_what_was_searched(opened: Opened) -> None:
    page = opened.browser.get("/meetings", params={"q": "budget & plan", "lang": "en"}).text
    back = html.unescape(re.findall(r'name="back" value="([^"]*)"', page)[0])
    assert back == "/meetings?q=budget+%26+plan&lang=en"
    gone = opened.browser.post("/preferences", data={"lang": "zh", "back": back}, follow_redirects=False)
    assert gone.headers["location"] == "/meetings?q=budget+%26+plan"


@pytest.mark.parametrize("catalog", [MEETINGS, SCRIPT_WORDS], ids=["pages", "script"])
def test_meetings_say_everything_in_every_language(catalog: Mapping[str, Mapping[str, str]]) -> None:
    for key, texts in catalog.items():
        assert set(texts) == set(LANGUAGES) and all(texts.values()), key
        assert len({tuple(sorted(re.findall(r"\{\w+\}", text))) for text in texts.values()}) == 1, key


def test_what_stands_around_every_page_is_said_in_every_language() -> None:
    around = {key: texts for key, texts in (HOUSE | SHOP).items()
              if key.partition(".")[0] in {"frame", "error", "job", "nav", "sign_in"}}  # fmt: skip
    assert {"nav.shop", "frame.skip", "error.home", "job.done", "sign_in.key"} <= set(around)
    assert [key for key, texts in around.items() if set(texts) != set(LANGUAGES)] == []
