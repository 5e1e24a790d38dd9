"""A whole cloud around an upstream that answers as it is told, and a real HTTP server in front of it."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from granian.constants import Interfaces
from granian.server.embed import Server
from openai import AsyncOpenAI
from starlette.applications import Starlette

from ikkan.cloud.assembly import Cloud, assemble
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.money import Price

PRICE = Price("JPY", input_micros=1_000_000, cached_micros=100_000, output_micros=2_000_000)
"""One micro a fresh input token, two an output token: costs can be added up in the head."""


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI app with the server we ship, on a free port; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(app, "127.0.0.1", port, interface=Interfaces.ASGI, log_enabled=False, websockets=False)
    serving = asyncio.ensure_future(server.serve())
    for _attempt in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            await writer.wait_closed()
            break
    yield f"http://127.0.0.1:{port}"
    server.stop()
    await serving


@pytest.fixture(name="listening")
def _listening() -> Any:
    """`listening`, for tests that serve an app of their own."""
    return listening


@pytest.fixture
def keys(home: Path) -> Keys:
    return Keys.open(home / "keys")


@pytest.fixture
def events(database: Database, clock: FakeClock, keys: Keys) -> EventLog:
    return EventLog(database, clock, keys)


@pytest.fixture
def fake() -> FakeUpstream:
    """The upstream behind the model `fake`; tell it what to do."""
    return FakeUpstream()


@pytest.fixture
def cloud(database: Database, clock: FakeClock, events: EventLog, keys: Keys, fake: FakeUpstream) -> Cloud:
    """A cloud with the model `fake` at `PRICE`, that lets this machine in without a key."""
    joined = assemble(database, clock, events, keys, allow_keyless=True)
    joined.service.prepare()
    joined.router.register("fake", fake, models=["fake"], price=PRICE)
    return joined


@pytest.fixture
async def url(cloud: Cloud) -> AsyncIterator[str]:
    """Where that cloud is served."""
    async with listening(Starlette(routes=cloud.routes())) as address:
        yield address
    await cloud.close()


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    """The unmodified `openai` client, without a key that means anything."""
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


@pytest.fixture
async def vendors() -> AsyncIterator[Callable[[FakeUpstream], Awaitable[Any]]]:
    """Starts vendors' servers, and stops them at the end; see `vendor.py`."""
    specification = importlib.util.spec_from_file_location("cloud_vendor", Path(__file__).with_name("vendor.py"))
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    started: list[Any] = []

    async def start(script: FakeUpstream) -> Any:
        vendor = module.Vendor(script)
        await vendor.start()
        started.append(vendor)
        return vendor

    yield start
    for vendor in started:
        await vendor.stop()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait until something is so; fails after a while."""

    async def wait(is_so: Callable[[], bool]) -> None:
        for _attempt in range(1_000):
            if is_so():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not become so")

    return wait
