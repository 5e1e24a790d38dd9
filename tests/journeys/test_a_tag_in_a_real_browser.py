"""The tag of web pages in a real headless Chromium, on a page of another origin, against a real collecting door."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

import ikkan.apps.shop as room
from ikkan.apps.shop.service.collecting import Collecting
from ikkan.apps.shop.service.listening import Hears
from ikkan.apps.shop.service.replay import SHOP
from ikkan.ground.clock import SystemClock
from ikkan.ground.db import Database, upgrade
from ikkan.ground.errors import IkkanError

from .test_the_pages_in_a_real_browser import browser

__all__ = ["browser"]

pytestmark = pytest.mark.browser

TAG = Path(room.__path__[0]) / "static" / "tag.js"


class House:
    """A collecting door and the script, at one address; the shop's page at another."""

    def __init__(self, folder: Path) -> None:
        upgrade(f"sqlite:///{folder}/house.db")
        self.database = Database(f"sqlite:///{folder}/house.db")
        self.heard, self.forgotten, self.bodies = Hears(), list[str](), list[dict[str, Any]]()
        self.door = Collecting(self.database, SystemClock(), self.heard, lambda _, who: self.forgotten.append(who))
        self.is_down = False
        self._servers = [self._serve(self._house()), self._serve(self._shop())]
        self.url, self.site = (f"http://127.0.0.1:{each.server_port}" for each in self._servers)
        self.key = self.door.make(SHOP, "shop", [self.site]).key

    def close(self) -> None:
        for each in self._servers:
            each.shutdown()
            each.server_close()
        self.database.close()

    @property
    def deeds(self) -> list[str]:
        return [each.deed for each in self.heard.heard.values()]

    def _serve(self, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def _house(self) -> type[BaseHTTPRequestHandler]:
        house = self

        class Handler(_Quiet):
            def do_GET(self) -> None:
                self.answer(200, TAG.read_bytes(), "text/javascript")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                origin = self.headers["origin"]
                if house.is_down:
                    self.answer(503, b"{}", "application/json", origin)
                    return
                house.bodies.append(json.loads(body))
                try:
                    house.door.collect(body, origin, "127.0.0.1")
                    self.answer(202, b"{}", "application/json", origin)
                except IkkanError as error:
                    self.answer(error.status, b"{}", "application/json", origin)

        return Handler

    def _shop(self) -> type[BaseHTTPRequestHandler]:
        house = self

        class Handler(_Quiet):
            def do_GET(self) -> None:
                text = ('<!doctype html><meta charset="utf-8"><meta name="ikkan:product" content="A1">'
                        f'<title>ミル</title>'
                        f'<script src="{house.url}/tag.js" data-key="{house.key}"></script>')  # fmt: skip
                self.answer(200, text.encode(), "text/html; charset=utf-8")

        return Handler


class _Quiet(BaseHTTPRequestHandler):
    def answer(self, status: int, body: bytes, kind: str, origin: str | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in {"access-control-allow-origin": origin}.items() if origin else ():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def page(browser: Browser, house: House) -> Iterator[Page]:
    context = browser.new_context()
    opened = context.new_page()
    opened.goto(house.site)
    yield opened
    context.close()


def until(page: Page, holds: Any) -> None:
    for _ in range(100):
        page.wait_for_timeout(100)
        if holds():
            return
    raise AssertionError("it did not happen within ten seconds")


def kept(page: Page) -> Any:
    return page.evaluate("JSON.parse(localStorage.getItem('ikkan.tag'))")


def test_it_is_small_and_needs_nothing() -> None:
    source = TAG.read_text(encoding="utf-8")
    assert len(source.encode()) < 4_096 and "import " not in source and "eval" not in source


def test_nothing_is_sent_or_kept_before_consent(page: Page, house: House) -> None:
    assert page.evaluate("ikkanTag.tell('viewed', {product: 'A1'})") is False
    page.evaluate("ikkanTag.flush()")
    page.wait_for_timeout(2_000)
    assert house.bodies == [] and page.evaluate("localStorage.length") == 0
    assert page.evaluate("document.cookie") == "" and page.evaluate("ikkanTag.visitor()") is None


def test_with_consent_a_page_tells_its_product_and_what_is_done_in_one_batch(page: Page, house: House) -> None:
    assert page.evaluate("ikkanTag.consent(true)") is True
    page.evaluate("ikkanTag.tell('carted', {product: 'A1', price: 4980, quantity: 2})")
    until(page, lambda: house.heard.count >= 2)
    assert len(house.bodies) == 1 and house.deeds == ["viewed", "carted"]
    assert {each.person for each in house.heard.heard.values()} == {page.evaluate("ikkanTag.visitor()")}
    assert len({each.session_id for each in house.heard.heard.values()}) == 1
    page.reload()
    until(page, lambda: house.heard.count >= 3)
    assert kept(page)["q"] == []


def test_what_could_not_be_sent_is_kept_and_sent_later_and_is_bounded(page: Page, house: House) -> None:
    house.is_down = True
    page.evaluate("ikkanTag.consent(true)")
    page.evaluate("for (let n = 0; n < 300; n++) ikkanTag.tell('viewed', {product: 'p' + n})")
    page.wait_for_timeout(2_500)
    assert house.heard.count == 0 and len(kept(page)["q"]) == 200
    house.is_down = False
    page.reload()
    until(page, lambda: len(house.heard.heard) >= 200 and kept(page)["q"] == [])
    assert len(house.heard.heard) <= 201


def test_consent_taken_back_forgets_the_visitor_here_and_there(page: Page, house: House) -> None:
    page.evaluate("ikkanTag.consent(true)")
    visitor = page.evaluate("ikkanTag.visitor()")
    house.is_down = True
    assert page.evaluate("ikkanTag.consent(false)") is False
    assert page.evaluate("ikkanTag.tell('viewed', {product: 'A1'})") is False and kept(page) is None
    page.wait_for_timeout(500)
    house.is_down = False
    page.reload()
    until(page, lambda: set(house.forgotten) == {visitor} and page.evaluate("localStorage.length") == 0)
    assert house.deeds == []
    page.evaluate("ikkanTag.consent(true)")
    assert page.evaluate("ikkanTag.visitor()") != visitor


@pytest.mark.parametrize("signal", ["globalPrivacyControl: true", "doNotTrack: '1'"])
def test_a_browser_that_says_do_not_track_is_not_tracked(browser: Browser, house: House, signal: str) -> None:
    context = browser.new_context()
    name, _, value = signal.partition(": ")
    context.add_init_script(f"Object.defineProperty(Navigator.prototype, '{name}', {{get: () => {value}}})")
    page = context.new_page()
    page.goto(house.site)
    assert page.evaluate("ikkanTag.consent(true)") is False
    assert page.evaluate("ikkanTag.tell('viewed', {product: 'A1'})") is False
    page.wait_for_timeout(2_000)
    assert house.bodies == [] and page.evaluate("localStorage.length") == 0
    context.close()


def test_what_happens_last_on_a_page_is_not_lost(page: Page, house: House) -> None:
    page.evaluate("ikkanTag.consent(true)")
    page.evaluate("ikkanTag.tell('bought', {product: 'A1'}); setTimeout(() => location.assign('about:blank'), 0)")
    until(page, lambda: "bought" in house.deeds)


def test_an_answer_that_says_no_for_good_is_not_asked_again(page: Page, house: House) -> None:
    (tag,) = house.door.tags(SHOP)
    house.door.revoke(SHOP, tag.tag_id)
    page.evaluate("ikkanTag.consent(true)")
    until(page, lambda: kept(page)["q"] == [])
    sent = len(house.bodies)
    page.wait_for_timeout(3_000)
    assert sent == len(house.bodies) == 1 and house.heard.count == 0
