"""The frame: one session a request, tokens where a browser asks, errors told to whoever reads them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import Request as ApiRequest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from ikkan.cloud.values import text_chunk
from ikkan.console.words import WORDS
from ikkan.ground.clock import FakeClock
from ikkan.ground.errors import Conflict, IkkanError, NotFound
from ikkan.kit import AnswerStream, Frame, Session, SessionKeeper, Words, api, own_path, page_error
from ikkan.kit.session import COOKIE


class Body(BaseModel):
    text: str


@pytest.fixture
def asked() -> list[str]:
    """How often it was decided who is looking."""
    return []


@pytest.fixture
def frame(clock: FakeClock, asked: list[str]) -> Frame:
    keeper = SessionKeeper(b"s" * 32, clock)

    def admit(request: Request, session: Session | None) -> Session | None:
        asked.append(request.url.path)
        if request.headers.get("x-who") == "stranger":
            return None
        return session or keeper.open("local", key_id=None, subject_id="s-1", scopes=("user",))

    return Frame(keeper, Words(WORDS), admit)


@pytest.fixture
def page(frame: Frame) -> TestClient:
    door = api("things", frame)

    @door.post("/things")
    async def make(request: ApiRequest, body: Body) -> dict[str, str]:
        return {"made": body.text}

    @door.get("/things")
    async def show() -> dict[str, str]:
        raise Conflict("not now", hint="later", param="text")

    async def home(request: Request) -> Response:
        frame.require(request)
        return frame.render(request, "error.html", title_key="error.title", message="hello", hint="", code="none")

    async def gone(request: Request) -> Response:
        raise NotFound("nothing <here>", hint="go on")

    async def say(request: Request, error: Exception) -> Response:
        assert isinstance(error, IkkanError)
        return page_error(frame, request, error)

    app = Starlette(
        routes=[Route("/", home), Route("/gone", gone), Mount("/a/things/v1", door)],
        exception_handlers={IkkanError: say},
    )
    return TestClient(app, follow_redirects=False, headers={"sec-fetch-site": "same-origin"})


def token(page: TestClient) -> dict[str, str]:
    return {"x-csrf-token": page.get("/").text.split('data-csrf="')[1].split('"')[0]}


def test_who_is_looking_is_decided_once_a_request(page: TestClient, asked: list[str]) -> None:
    page.get("/")
    assert asked == ["/"]


def test_an_app_takes_nothing_from_a_browser_without_its_token(page: TestClient) -> None:
    good = token(page)
    assert page.post("/a/things/v1/things", json={"text": "x"}).status_code == 403
    assert page.post("/a/things/v1/things", json={"text": "x"}, headers={"x-csrf-token": "guess"}).status_code == 403
    assert page.post("/a/things/v1/things", json={"text": "x"}, headers=good).json() == {"made": "x"}


def test_another_sites_page_is_refused_even_with_a_token(page: TestClient) -> None:
    headers = token(page) | {"origin": "https://evil.example"}
    assert page.post("/a/things/v1/things", json={"text": "x"}, headers=headers).status_code == 403


def test_a_program_with_its_own_key_needs_no_token(page: TestClient) -> None:
    reply = page.post("/a/things/v1/things", json={"text": "x"}, headers={"authorization": "Bearer sk-ik-a-b"})
    assert (reply.status_code, COOKIE in reply.cookies) == (200, False)


def test_an_apps_errors_are_ours(page: TestClient) -> None:
    wrong = page.post("/a/things/v1/things", json={"txt": 1}, headers=token(page))
    assert (wrong.status_code, wrong.json()["error"]["code"], wrong.json()["error"]["param"]) == (
        400,
        "bad_input",
        "text",
    )
    assert page.get("/a/things/v1/things").json()["error"]["hint"] == "later"
    stranger = page.get("/a/things/v1/things", headers={"x-who": "stranger"})
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (401, "invalid_api_key")


def test_an_error_is_a_page_in_the_persons_language(page: TestClient) -> None:
    reply = page.get("/gone", headers={"accept-language": "ja"})
    assert (reply.status_code, WORDS["error.not_found"]["ja"] in reply.text) == (404, True)
    assert "nothing &lt;here&gt;" in reply.text


def test_an_error_of_a_fragment_is_json_for_the_pages_script(page: TestClient) -> None:
    assert page.get("/gone", headers={"hx-request": "true"}).json()["error"]["message"] == "nothing <here>"


def test_a_stranger_comes_back_to_where_they_wanted(page: TestClient) -> None:
    reply = page.get("/?learnable=a&b=c", headers={"x-who": "stranger"})
    assert reply.headers["location"] == "/sign-in?next=/%3Flearnable%3Da%26b%3Dc"


@pytest.mark.parametrize(
    "wanted", ["//x", "/\\x", "\\/x", "https://x", "x", "", "/a\nb", "/a\tb", "/" + "x" * 3000, "//[", "/\u2028"]
)
def test_only_our_own_places_are_ours(wanted: str) -> None:
    assert own_path(wanted) == "/"


class Broken(Exception):
    """No error of ours."""


async def pieces(*found: Any) -> Any:
    for piece in found:
        if isinstance(piece, Exception):
            raise piece
        yield text_chunk(piece)


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        (("Hel", "lo"), 200, ["Hel", "lo", "[DONE]"]),
        ((Conflict("not now"), "x"), 409, ["not now"]),
        (("Hel", Conflict("not now")), 200, ["Hel", "not now"]),
        ((Broken("secret detail"),), 500, ["our side"]),
        ((), 200, ["[DONE]"]),
    ],
)
def test_a_stream_begins_only_when_there_is_something_to_send(found: Any, status: int, said: list[str]) -> None:
    async def show(request: Request) -> Response:
        return AnswerStream(pieces(*found))

    reply = TestClient(Starlette(routes=[Route("/", show)])).get("/")
    assert reply.status_code == status
    assert all(word in reply.text for word in said) and "secret" not in reply.text


async def test_a_reader_who_leaves_stops_the_answer() -> None:
    closed, first = asyncio.Event(), asyncio.Event()

    async def endless() -> Any:
        try:
            yield text_chunk("word")
            first.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def leave() -> Any:
        await first.wait()
        return {"type": "http.disconnect"}

    async def swallow(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "POST", "headers": []}
    async with asyncio.timeout(10):
        await AnswerStream(endless())(scope, leave, swallow)
    assert closed.is_set()
