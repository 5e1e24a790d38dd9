"""An engine on a fake decoder, behind a real socket, and the unmodified `openai` client to talk to it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from openai import OpenAI

from ikkan.engine.embedder import Embedder
from ikkan.engine.engine import Engine
from ikkan.engine.fakes import FakeDecoder, FakeEncoder, fake_template, fake_tokenizer
from ikkan.engine.server import create_app


@dataclass(frozen=True)
class Reply:
    """What came back over the wire."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Served:
    """One engine behind a real HTTP server on a free loopback port."""

    def __init__(self, engine: Engine, decoder: FakeDecoder) -> None:
        self.engine, self.decoder = engine, decoder
        self.encoder = FakeEncoder()
        embedder = Embedder(self.encoder, fake_tokenizer())
        self._app = create_app(engine, embedder, "tiny", ["default"], embedder_name="tiny-embed")
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key="none", **{"max_retries": 0, **options})

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """GET, or POST where there is a body: bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return Reply(reply.status, reply.headers, reply.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.headers, error.read().decode())

    def __enter__(self) -> Served:
        self.engine.start()
        self._thread.start()
        eventually(self._listens)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(10)
        self.engine.stop()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = Server(
            self._app,
            address="127.0.0.1",
            port=self.port,
            interface=Interfaces.ASGI,
            http=HTTPModes.http1,
            websockets=False,
            log_enabled=False,
        )
        await self._server.serve()


def eventually(happens: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    for _ in range(2_000):
        if happens():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


@contextmanager
def serving(decoder: FakeDecoder | None = None, **options: Any) -> Iterator[Served]:
    """Serve a fake decoder for a while."""
    decoder = decoder or FakeDecoder()
    settings = {"max_batch": 4, "context_tokens": 400, "max_waiting": 6, **options}
    template = settings.pop("template", fake_template())
    engine = Engine(decoder, fake_tokenizer(), template, **settings)
    with Served(engine, decoder) as served:
        yield served


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """An engine that repeats the last turn; one for all tests of a file, so none may wear it out."""
    with serving() as one:
        yield one


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[OpenAI]:
    with served.client() as one:
        yield one
