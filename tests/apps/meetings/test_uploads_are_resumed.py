"""Large files come in pieces and survive a dropped connection; what is wrong with them is said, and nothing stays."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from ikkan.apps.meetings.service import MeetingsService
from ikkan.apps.meetings.service import uploads as module
from ikkan.apps.meetings.values import Viewer
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import ChecksumMismatch, Conflict, NotFound, QuotaExhausted, RateLimited, RequestTooLarge
from ikkan.ground.eventlog import EventLog

from .conftest import ADA, BO, EVE, SAID

API = "/a/meetings/v1"
CONTENT = SAID.encode()


@pytest.fixture
def service(database: Database, clock: FakeClock, events: EventLog, tmp_path: Path) -> MeetingsService:
    return MeetingsService(database, events, clock, None, most_bytes=1 << 20, staging=tmp_path)


async def add(service: MeetingsService, viewer: Viewer, upload_id: str, offset: int, *pieces: bytes) -> int:
    async def coming() -> Any:
        for piece in pieces:
            yield piece

    return await service.uploads.add(viewer, upload_id, offset, coming())


async def test_a_file_in_pieces_becomes_a_meeting_once(service: MeetingsService, tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    upload = service.uploads.begin(ADA, "予算.txt", len(CONTENT), digest, {"title": "予算会議", "language": "ja"})
    assert await add(service, ADA, upload.id, 0, CONTENT[:50], CONTENT[50:80]) == 80
    with pytest.raises(Conflict) as told:
        await add(service, ADA, upload.id, 50, CONTENT[50:])
    assert told.value.facts["offset"] == 80
    with pytest.raises(Conflict, match=f"80 of {len(CONTENT)} bytes"):
        service.uploads.finish(ADA, upload.id)
    assert await add(service, ADA, upload.id, 80, CONTENT[80:]) == len(CONTENT)
    meeting = service.uploads.finish(ADA, upload.id)
    assert (meeting.title, meeting.segments) == ("予算会議", 4)
    assert service.uploads.finish(ADA, upload.id).id == meeting.id
    assert len(service.listed(ADA)) == 1 and not list((tmp_path / "uploads").glob("*"))


async def test_what_came_before_the_connection_broke_stays(service: MeetingsService) -> None:
    upload = service.uploads.begin(ADA, "a.txt", len(CONTENT))

    async def breaks() -> Any:
        yield CONTENT[:100]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await service.uploads.add(ADA, upload.id, 0, breaks())
    assert service.uploads.get(ADA, upload.id)[1] == 100


async def test_a_slow_disk_keeps_nobody_else_waiting(service: MeetingsService, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = service.uploads.begin(ADA, "a.txt", len(CONTENT))
    others_go_on, came_through = threading.Event(), []
    monkeypatch.setattr(module.os, "fsync", lambda file: came_through.append(others_go_on.wait(5)))
    adding = asyncio.ensure_future(add(service, ADA, upload.id, 0, CONTENT))
    asyncio.get_running_loop().call_later(0.05, others_go_on.set)
    assert (await adding, came_through) == (len(CONTENT), [True])


async def test_two_connections_do_not_write_at_once(service: MeetingsService) -> None:
    upload = service.uploads.begin(ADA, "a.txt", len(CONTENT))
    going_on = asyncio.Event()

    async def slow() -> Any:
        yield CONTENT[:10]
        await going_on.wait()

    first = asyncio.ensure_future(service.uploads.add(ADA, upload.id, 0, slow()))
    await asyncio.sleep(0.1)
    with pytest.raises(RateLimited):
        await add(service, ADA, upload.id, 0, CONTENT)
    going_on.set()
    assert await first == 10


async def test_limits_are_said_before_a_byte_comes(service: MeetingsService, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestTooLarge, match="1,048,576"):
        service.uploads.begin(ADA, "a.wav", (1 << 20) + 1)
    upload = service.uploads.begin(ADA, "a.txt", 10)
    with pytest.raises(RequestTooLarge):
        await add(service, ADA, upload.id, 0, b"x" * 11)
    monkeypatch.setattr(module, "MOST_OPEN", 1)
    with pytest.raises(QuotaExhausted, match="1 uploads"):
        service.uploads.begin(BO, "b.txt", 10)
    assert service.uploads.begin(EVE, "b.txt", 10).tenant_id == "evil"
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(QuotaExhausted, match="disk"):
        service.uploads.begin(EVE, "b.txt", 10)


async def test_another_file_than_promised_is_cleared_away(service: MeetingsService, tmp_path: Path) -> None:
    upload = service.uploads.begin(ADA, "a.txt", 4, hashlib.sha256(b"this").hexdigest())
    await add(service, ADA, upload.id, 0, b"that")
    with pytest.raises(ChecksumMismatch):
        service.uploads.finish(ADA, upload.id)
    assert not list((tmp_path / "uploads").glob("*"))


def test_an_upload_is_nobody_elses_and_ends_after_a_day(
    service: MeetingsService, clock: FakeClock, tmp_path: Path
) -> None:
    upload = service.uploads.begin(ADA, "a.txt", 10)
    for other in (BO, EVE):
        with pytest.raises(NotFound):
            service.uploads.get(other, upload.id)
        with pytest.raises(NotFound):
            service.uploads.remove(other, upload.id)
    clock.advance(25 * 3600)
    assert service.uploads.sweep() == 1
    assert not list((tmp_path / "uploads").glob("*"))
    with pytest.raises(NotFound):
        service.uploads.get(ADA, upload.id)


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700", client=("127.0.0.1", 5000)) as opened:
        yield opened


def test_the_wire_says_where_to_go_on(client: TestClient) -> None:
    told = client.post(f"{API}/uploads", json={"filename": "a.txt", "bytes": len(CONTENT)})
    assert (told.status_code, told.json()["offset"]) == (201, 0)
    at = f"{API}/uploads/{told.json()['id']}"
    sent = client.patch(at, content=CONTENT[:60], headers={"upload-offset": "0"})
    assert (sent.status_code, sent.headers["upload-offset"]) == (204, "60")
    stands = client.head(at)
    assert (stands.headers["upload-offset"], stands.headers["upload-length"]) == ("60", str(len(CONTENT)))
    assert client.patch(at, content=b"x", headers={"upload-offset": "7"}).status_code == 409
    assert client.patch(at, content=b"x").json()["error"]["code"] == "bad_input"
    client.patch(at, content=CONTENT[60:], headers={"upload-offset": "60"})
    assert client.post(f"{at}/meeting").json()["segments"] == 4
    foreign = {"origin": "http://127.0.0.1:8700", "sec-fetch-site": "same-origin"}
    refused = client.post(f"{API}/uploads", json={"filename": "a", "bytes": 1}, headers=foreign)
    assert refused.status_code == 403, "a browser brings its token"
    assert client.get(f"{API}/openapi.json").json()["paths"]["/uploads/{upload_id}"].keys() >= {
        "head",
        "patch",
        "delete",
    }


async def test_a_dropped_connection_is_resumed_at_a_real_server(platform: Platform, listening: Any) -> None:
    content = b"Ada: word.\n" * 30_000
    async with listening(asgi(platform)) as url:
        port = int(url.rpartition(":")[2])
        begun = await _asked(
            port, "POST", "/uploads", json.dumps({"filename": "a.txt", "bytes": len(content)}).encode()
        )
        at = f"/uploads/{json.loads(begun[1])['id']}"
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"PATCH {API}{at} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
            f"upload-offset: 0\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        writer.write(head.encode() + content[:200_000])
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.transport.abort()
        offset = await _settled(port, at)
        assert 0 < offset <= 200_000
        status, _ = await _asked(port, "PATCH", at, content[offset:], f"upload-offset: {offset}\r\n")
        assert status == 204
        status, body = await _asked(port, "POST", f"{at}/meeting", b"")
    assert (status, json.loads(body)["segments"]) == (200, 30_000)


async def _settled(port: int, at: str) -> int:
    """Where the upload stands once the server noticed that the connection is gone."""
    seen = -1
    for _ in range(100):
        await asyncio.sleep(0.1)
        _, head = await _asked(port, "HEAD", at, b"")
        now = int(head.split(b"upload-offset: ")[1].split(b"\r\n")[0])
        probe, _ = await _asked(port, "PATCH", at, b"", f"upload-offset: {now}\r\n")
        seen = now
        if probe == 204:
            break
    return seen


async def _asked(port: int, method: str, path: str, body: bytes, more: str = "") -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {API}{path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {len(body)}\r\n"
    head += f"content-type: application/json\r\nconnection: close\r\n{more}\r\n"
    writer.write(head.encode() + body)
    reply = await reader.read()
    writer.close()
    headers, _, content = reply.partition(b"\r\n\r\n")
    return int(headers.split(b" ")[1]), headers + b"\r\n" if method == "HEAD" else content
