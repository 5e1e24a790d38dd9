"""Meetings that go on, by a real WebSocket at the server we ship: kept as they come, resumed, and nobody else's."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ikkan.apps import meetings
from ikkan.apps.meetings.rules.hearing import RATE
from ikkan.apps.meetings.service.hearing import Ears
from ikkan.apps.meetings.service.hearing.fakes import FakeTranscriber
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.ground.ids import TenantId
from ikkan.ground.settings import Settings

from .hearing import pcm, talk

API = "/a/meetings/v1"
LINES = ["来期の予算を話し合います。", "では百万円で決定します。", "見積もりを送ります。"]
START = {"type": "start", "title": "定例", "language": "ja"}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTranscriber:
    made = FakeTranscriber(LINES)
    monkeypatch.setattr(meetings, "ears", lambda settings, secret_of: Ears(lambda: made))
    return made


@pytest.fixture
async def url(fake: FakeTranscriber, platform: Platform, listening: Any) -> AsyncIterator[str]:
    async with listening(asgi(platform)) as address:
        yield address


@pytest.fixture
async def http(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(url) as session:
        yield session
        await _close_all()


_OPEN: list[aiohttp.ClientWebSocketResponse] = []


async def _close_all() -> None:
    """A socket that nobody closes would be found by whatever test comes next."""
    while _OPEN:
        await _OPEN.pop().close()


class Talk:
    """A client of the stream."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []

    async def said(self, kind: str, **facts: Any) -> dict[str, Any]:
        """The message of this kind and these facts, among what came or what will come."""
        place = 0
        while True:
            for message in self.heard[place:]:
                if message["type"] == kind and all(message.get(name) == fact for name, fact in facts.items()):
                    return message
            place = len(self.heard)
            self.heard.append(await asyncio.wait_for(self.socket.receive_json(), 30))

    async def speak(self, sound: bytes, piece: int = 16_000) -> None:
        for at in range(0, len(sound), piece):
            await self.socket.send_bytes(sound[at : at + piece])

    @property
    def segments(self) -> list[str]:
        return [message["text"] for message in self.heard if message["type"] == "segment"]


async def begin(
    http: aiohttp.ClientSession, first: dict[str, Any] = START, **headers: str
) -> tuple[Talk, dict[str, Any]]:
    socket = await http.ws_connect(f"{API}/live", headers=headers)
    _OPEN.append(socket)
    await socket.send_json(first)
    talk_ = Talk(socket)
    return talk_, await talk_.said("ready")


async def test_sound_goes_in_and_segments_come_out(http: aiohttp.ClientSession, platform: Platform) -> None:
    live, ready = await begin(http)
    assert (ready["offset"], ready["seq"], ready["segments"], ready["hears"]) == (0, 0, [], "fake")
    sound = pcm(talk(1.5, 1.5, 1.5, gap_s=2.0))
    await live.speak(sound)
    await live.said("ack", offset=len(sound))
    await live.said("segment", text=LINES[1])
    so_far = await (await http.get(f"{API}/meetings/{ready['meeting_id']}")).json()
    assert so_far["state"] == "live" and [each["text"] for each in so_far["segments"]][:2] == LINES[:2]
    await live.socket.send_json({"type": "end"})
    ended = await live.said("ended")
    with platform.jobs.working():
        (job,) = platform.jobs.list(name="meetings.hear")
        assert (await platform.jobs.wait_async(job.id, timeout_s=60)).state == "done"
    whole = await (await http.get(f"{API}/meetings/{ended['meeting_id']}")).json()
    assert (whole["state"], [each["text"] for each in whole["segments"]]) == ("ready", LINES)
    assert [each["start_s"] for each in whole["segments"]] == pytest.approx([1.3, 4.8, 8.3], abs=0.5)
    played = await (await http.get(f"{API}/meetings/{ended['meeting_id']}/sound")).read()
    assert played[:4] == b"RIFF" and played[44:] == sound


async def test_captions_are_numbered_and_kept_once(http: aiohttp.ClientSession, platform: Platform) -> None:
    live, ready = await begin(http)
    for seq, text in enumerate(["始めます。", "予算は百万円で決定します。"], start=1):
        await live.socket.send_json(
            {"type": "caption", "seq": seq, "speaker": "佐藤", "text": text, "start_s": 10.0 * seq}
        )
        await live.said("ack", seq=seq)
    await live.socket.send_json({"type": "caption", "seq": 1, "text": "始めます。"})
    await live.said("ack", seq=1)
    await live.socket.send_json({"type": "caption", "seq": 9, "text": "飛びました。"})
    error = await live.said("error")
    assert error["error"]["message"] == "caption 3 comes next"
    live, again = await begin(http, {"type": "resume", "meeting_id": ready["meeting_id"]})
    assert again["seq"] == 2 and [each["text"] for each in again["segments"]] == [
        "始めます。",
        "予算は百万円で決定します。",
    ]
    await live.socket.send_json({"type": "end"})
    await live.said("ended")
    with platform.jobs.working():
        (job,) = platform.jobs.list(name="meetings.hear")
        assert (await platform.jobs.wait_async(job.id, timeout_s=60)).state == "done"
    whole = await (await http.get(f"{API}/meetings/{ready['meeting_id']}")).json()
    assert [(each["speaker"], each["start_s"]) for each in whole["segments"]] == [("佐藤", 10.0), ("佐藤", 20.0)]


async def test_a_newer_connection_takes_over_where_the_sound_stands(http: aiohttp.ClientSession) -> None:
    first, ready = await begin(http)
    sound = pcm(talk(1.5))
    await first.speak(sound[:48_000])
    await first.said("ack", offset=48_000)
    second, again = await begin(http, {"type": "resume", "meeting_id": ready["meeting_id"]})
    assert again["offset"] == 48_000
    assert (await first.said("error"))["error"]["code"] == "not_allowed"
    await second.speak(sound[48_000:])
    await second.said("ack", offset=len(sound))
    await second.said("segment", text=LINES[0])


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://evil.example", "Cookie": "ikkan_session=x"},
        {"Cookie": "ikkan_session=x"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Authorization": "Bearer sk-ik-nonsense", "X-Forwarded-For": "203.0.113.9"},
    ],
)
async def test_another_sites_page_and_strangers_open_nothing(
    http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(f"{API}/live", headers=headers)
    assert refused.value.status == 403


async def test_a_browser_on_our_own_page_may(http: aiohttp.ClientSession, url: str) -> None:
    page = await http.get("/meetings", headers={"sec-fetch-mode": "navigate", "sec-fetch-site": "none"})
    assert page.status == 200
    _, ready = await begin(http, Origin=url)
    assert ready["meeting_id"]


async def test_nobody_goes_on_with_anothers_meeting(http: aiohttp.ClientSession, platform: Platform) -> None:
    live, ready = await begin(http, START | {"audience": "tenant"})
    platform.cloud.service.create_tenant("evil", "Evil")
    resume = {"type": "resume", "meeting_id": ready["meeting_id"]}
    for tenant, code in (("local", "not_allowed"), ("evil", "not_found")):
        secret = platform.cloud.service.create_key("x", tenant_id=TenantId(tenant)).secret
        socket = await http.ws_connect(f"{API}/live", headers={"Authorization": f"Bearer {secret}"})
        await socket.send_json(resume)
        assert (await Talk(socket).said("error"))["error"]["code"] == code
    await live.socket.send_json({"type": "caption", "seq": 1, "text": "still here"})
    await live.said("ack", seq=1)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("not json", "JSON"),
        ('{"type": "start", "language": "xx"}', "language"),
        ('{"type": "resume", "meeting_id": "nobody"}', "no such meeting"),
        ('{"type": "caption", "seq": 1, "text": "x"}', "type"),
        ("x" * 20_000, "too long"),
    ],
)
async def test_what_is_not_understood_is_said(http: aiohttp.ClientSession, message: str, words: str) -> None:
    socket = await http.ws_connect(f"{API}/live")
    await socket.send_str(message)
    told = (await Talk(socket).said("error"))["error"]
    assert words in told["message"] and told["hint"]
    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_too_much_at_once_is_refused_and_loses_nothing(http: aiohttp.ClientSession) -> None:
    live, ready = await begin(http)
    await live.speak(bytes(32_000))
    await live.said("ack", offset=32_000)
    await live.socket.send_bytes(bytes(300_000))
    assert (await live.said("error"))["error"]["code"] == "request_too_large"
    _, again = await begin(http, {"type": "resume", "meeting_id": ready["meeting_id"]})
    assert again["offset"] == 32_000


_GATEWAY = """
import sys
from pathlib import Path
from ikkan.apps import meetings
from ikkan.apps.meetings.service.hearing import Ears
from ikkan.apps.meetings.service.hearing.fakes import FakeTranscriber
from ikkan.bootstrap.platform import asgi, build
from ikkan.ground.asgi import serve
from ikkan.ground.db import upgrade
from ikkan.ground.settings import load_settings
settings = load_settings({"IKKAN_HOME": sys.argv[1], "IKKAN_PORT": sys.argv[2]})
meetings.ears = lambda settings, secret_of: Ears(lambda: FakeTranscriber(["One.", "Two.", "Three."]))
upgrade(settings.database_url)
serve(asgi(build(settings)), host="127.0.0.1", port=settings.port)
"""


async def _opened(port: int, first: dict[str, Any]) -> tuple[aiohttp.ClientSession, Talk, dict[str, Any]]:
    session = aiohttp.ClientSession(f"http://127.0.0.1:{port}")
    for _ in range(600):
        try:
            live, ready = await begin(session, first)
            return session, live, ready
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)
    raise AssertionError("the gateway did not start")


async def test_what_was_acknowledged_is_there_after_kill_minus_nine(
    settings: Settings, free_port: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", _GATEWAY, str(settings.home), str(free_port)]
    sound = pcm(talk(1.5, 1.5, 1.5, gap_s=2.0))
    cut = round(8.0 * RATE) * 2
    gateway = subprocess.Popen(command, env={**os.environ})
    try:
        session, live, ready = await _opened(free_port, {"type": "start", "language": "en"})
        await live.socket.send_json({"type": "caption", "seq": 1, "text": "typed", "start_s": 0.5})
        await live.said("ack", seq=1)
        await live.speak(sound[:cut])
        await live.said("ack", offset=cut)
        await live.said("segment", text="Two.")
    finally:
        gateway.send_signal(signal.SIGKILL)
        gateway.wait(20)
    await _close_all()
    await session.close()
    gateway = subprocess.Popen(command, env={**os.environ})
    try:
        session, live, again = await _opened(free_port, {"type": "resume", "meeting_id": ready["meeting_id"]})
        assert again["offset"] >= cut and again["seq"] == 1
        assert [each["text"] for each in again["segments"]] == ["typed", "One.", "Two."]
        await live.speak(sound[again["offset"] :])
        await live.said("segment", text="One.")  # the third window; a new recogniser begins its lines anew
        await _close_all()
        await session.close()
    finally:
        gateway.send_signal(signal.SIGTERM)
        gateway.wait(20)
