"""A small meeting, what is drawn out of it whatever the rules of the day, and the service on both databases."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from ikkan.apps.meetings.service import MeetingsService, drawing
from ikkan.apps.meetings.values import Extraction, Kind, Transcript, Viewer
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import SubjectId, TenantId

SAID = """[00:00:05] 佐藤：来期の予算を話し合います。
[00:01:05] 鈴木：広告費の上限は百万円でいいですか？
[00:01:10] 佐藤：では百万円で決定します。
[00:02:05] 鈴木：見積もりを金曜までに送ります。
"""
ADA = Viewer(TenantId("acme"), SubjectId("ada"))
BO = Viewer(TenantId("acme"), SubjectId("bo"))
ADMIN = Viewer(TenantId("acme"), SubjectId("root"), is_admin=True)
EVE = Viewer(TenantId("evil"), SubjectId("ada"), is_admin=True)
"""Of another tenant, under the same pseudonym and with every right there."""


def extract(
    transcript: Transcript, *, glossary: Mapping[str, str] = {}, model: object = None
) -> tuple[Extraction, ...]:
    """A decision, an action and a question, by where they stand."""
    ids = [segment.id for segment in transcript] * 4  # a short meeting says it all in its few lines
    due = date(2026, 6, 5) if transcript.held_on else None
    return (
        Extraction(Kind.QUESTION, "上限は百万円か", (ids[1],), "rule", 0.6),
        Extraction(Kind.DECISION, "広告費は百万円", (ids[2],), "rule", 0.7),
        Extraction(Kind.ACTION, "見積もりを送る", (ids[3],), "rule", 0.8, "鈴木", due, "金曜まで"),
    )


@pytest.fixture(autouse=True)
def drawn_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "level0", SimpleNamespace(extract=extract))


@pytest.fixture
def events(database: Database, clock: FakeClock, tmp_path: Path) -> EventLog:
    return EventLog(database, clock, Keys.open(tmp_path / "keys"))


@pytest.fixture
def service(database: Database, clock: FakeClock, events: EventLog) -> MeetingsService:
    return MeetingsService(database, events, clock, None, most_bytes=1 << 20)


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI app with the server we ship, sockets included, on a free port; yields its address."""
    port = _free_port()
    server = Server(app, "127.0.0.1", port, interface=Interfaces.ASGI, http=HTTPModes.http1, log_enabled=False)
    serving = asyncio.ensure_future(server.serve())
    for _ in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            break
    yield f"http://127.0.0.1:{port}"
    server.stop()
    await serving


@pytest.fixture
def listening() -> Any:
    return served


@pytest.fixture
def free_port() -> int:
    return _free_port()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
