"""Between the compute thread and one HTTP request: pieces come in, and leaving is noticed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, TypeAlias

from starlette.types import Receive

from ikkan.engine.engine import Engine, Ticket
from ikkan.engine.values import Generation, Piece
from ikkan.ground.errors import BadInput

Delivery: TypeAlias = "tuple[int, Piece]"

TIMEOUT_HEADER: Final = "x-ikkan-timeout-ms"
"""How long whoever asks will wait for the whole answer."""
_LONGEST_MS: Final = 24 * 3_600_000


class ClientLeft(Exception):
    """Nobody is there to be answered. Never leaves the server."""


class Exchange:
    """The answers to one request. Leaving the context gives their slots back, however it is left.

    Args:
        receive: the request's, its body already read: what comes next can only be the client's leaving.
    """

    def __init__(self, engine: Engine, requests: Sequence[Generation], receive: Receive) -> None:
        self._engine = engine
        self._requests = requests
        self._receive = receive
        self._open = len(requests)
        self._arrived: asyncio.Queue[Delivery | None] = asyncio.Queue()
        self._ticket: Ticket | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Exchange:
        loop = asyncio.get_running_loop()
        under_way: deque[Delivery] = deque()

        def take_in() -> None:
            # What comes after this loop found nothing finds an empty deque, and calls again.
            while under_way:
                self._arrived.put_nowait(under_way.popleft())

        def send(number: int, piece: Piece) -> None:
            under_way.append((number, piece))
            if len(under_way) == 1:  # waking the loop is dearer than all else here: once for what one step says
                loop.call_soon_threadsafe(take_in)

        self._ticket = self._engine.submit(self._requests, send)
        self._watch = loop.create_task(self._notice_leaving())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._ticket is not None and self._watch is not None
        self._ticket.cancel()
        self._watch.cancel()

    async def next(self) -> list[Delivery]:
        """The pieces that came since the last call, at least one; empty when all answers are complete.

        Raises:
            ClientLeft: nobody waits for them.
        """
        if not self._open:
            return []
        came = [await self._arrived.get()]
        while not self._arrived.empty():
            came.append(self._arrived.get_nowait())
        whole = [one for one in came if one is not None]
        if len(whole) < len(came):
            raise ClientLeft
        self._open -= sum(piece.is_last for _, piece in whole)
        return whole

    async def _notice_leaving(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._ticket is not None:
            self._ticket.cancel()  # at once: the reader may be waiting for a slow client's socket
        self._arrived.put_nowait(None)


def caller(headers: Mapping[str, str]) -> str:
    """Who asks, as far as turns are concerned: the gateway names its tenants by their salts."""
    return headers.get("x-ikkan-cache-salt", "")


def deadline_s(headers: Mapping[str, str]) -> float | None:
    """When the answer must be complete, by `time.monotonic`; None if nobody said so.

    Raises:
        BadInput: the header is no number of milliseconds.

    >>> deadline_s({}), deadline_s({"x-ikkan-timeout-ms": "1500"}) > time.monotonic()
    (None, True)
    """
    given = headers.get(TIMEOUT_HEADER)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 9 and int(given) <= _LONGEST_MS):
        raise BadInput(f"{TIMEOUT_HEADER} is milliseconds, at most {_LONGEST_MS:,}", hint="send a whole number")
    return time.monotonic() + int(given) / 1_000
