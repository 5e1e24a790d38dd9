"""Between the compute thread and one HTTP request: pieces come in, and leaving is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import TypeAlias

from starlette.types import Receive

from ikkan.engine.engine import Engine, Ticket
from ikkan.engine.values import Generation, Piece

Delivery: TypeAlias = "tuple[int, Piece]"


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
        put = self._arrived.put_nowait
        self._ticket = self._engine.submit(
            self._requests, lambda number, piece: void(loop.call_soon_threadsafe(put, (number, piece)))
        )
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


def void(_: object) -> None:
    """Nothing."""
