"""One HTTP exchange on a hot wire: body in with a limit, reply or stream out, and an eye on whether anyone still reads.

Plain ASGI instead of a framework's request and response: a client that leaves cancels the work at once, in whatever
step it is, which is what frees an engine's slot and stops the meter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import msgspec

from ikkan.cloud.door import Door
from ikkan.cloud.errors import error_body, error_headers
from ikkan.cloud.pipeline import Trace
from ikkan.cloud.values import Principal
from ikkan.cloud.wires.openai import frame
from ikkan.ground.errors import BadInput, IkkanError, Internal, NotFound, RequestTooLarge
from ikkan.ground.ids import new_id

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 8 << 20
MOST_READ_BYTES = 64 << 20
"""Read and dropped of a body beyond what may be sent."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Exchange:
    """A request and the reply to it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path_params: Mapping[str, Any] = scope.get("path_params", {})
        self.query: bytes = scope.get("query_string", b"")
        client = scope.get("client")
        self.client_host: str | None = client[0] if client else None
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        self.request_id: str = new_id("req")
        self.trace = Trace()
        self._receive = receive
        self._send = send
        self._begun = False
        self._streams = False

    async def admit(self, door: Door) -> Principal:
        """Who asks. Raises `NotAuthenticated` for nobody."""
        return await door.admit(self.method, self.client_host, self.headers)

    @property
    def deadline_s(self) -> float | None:
        """How long this client will wait, where it says so (the `openai` client does)."""
        try:
            seconds = float(self.headers.get("x-stainless-read-timeout", ""))
        except ValueError:
            return None
        return seconds if 0 < seconds < 86_400 else None

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            RequestTooLarge: more than 8 MiB. The rest is read and dropped, within reason: a client that is still
                sending would otherwise see a broken connection instead of this answer.
            BadInput: compressed, or broken off.
        """
        held = bytearray()
        async for piece in self.pieces(MAX_BODY_BYTES):
            held += piece
        return bytes(held)

    async def pieces(self, most_bytes: int) -> AsyncGenerator[bytes, None]:
        """The body as it comes, for what is too large to hold. Raises as `body`, at its end if it was too large."""
        if self.headers.get("content-encoding", "identity") != "identity":
            raise BadInput("a compressed body is not read here", hint="send it as it is")
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise BadInput("the request broke off", hint="send it again")
            piece = message.get("body", b"")
            size += len(piece)
            if piece and size <= most_bytes:
                yield piece
            if not message.get("more_body", False):
                break
            if size > most_bytes + MOST_READ_BYTES:
                raise _too_large(most_bytes)
        if size > most_bytes:
            raise _too_large(most_bytes)

    async def reply(self, data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send a JSON object."""
        await self._begin(status, "application/json", headers or {})
        await self._send({"type": "http.response.body", "body": msgspec.json.encode(data)})

    async def reply_file(self, path: Path, content_type: str) -> None:
        """Send a file, piece by piece."""
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except OSError as exc:
            raise NotFound("the file is not on this disk any more", hint="upload it again") from exc
        with file:
            await self._begin(200, content_type, {})
            while piece := await asyncio.to_thread(file.read, 1 << 20):
                await self.push(piece)
        await self.push(b"", last=True)

    async def stream(self) -> None:
        """Begin a stream of events."""
        self._streams = True
        await self._begin(
            200, "text/event-stream; charset=utf-8", {"cache-control": "no-cache", "x-accel-buffering": "no"}
        )

    async def push(self, data: bytes, *, last: bool = False) -> None:
        """Send bytes of a stream."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def fail(self, error: IkkanError) -> None:
        """Say what went wrong: as a reply, or as the last event of a stream that has begun. Never by silence."""
        if not self._begun:
            await self.reply(error_body(error), status=error.status, headers=error_headers(error))
        elif self._streams:
            await self.push(frame(error_body(error)), last=True)

    async def attended(self, work: Awaitable[None]) -> None:
        """Do `work` for as long as the client is there; cancel it when the client leaves."""
        working = asyncio.ensure_future(work)
        watching = asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                working.cancel()
            try:
                await working
            except asyncio.CancelledError:
                if not working.cancelled():
                    raise  # we ourselves are being cancelled
        finally:
            watching.cancel()
            if not working.done():
                working.cancel()

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _begin(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        self._begun = True
        lines = [
            (b"content-type", content_type.encode("latin-1")),
            (b"x-request-id", self.request_id.encode("latin-1")),
            (b"x-ikkan-overhead-ms", b"%.2f" % self.trace.overhead_ms),
            (b"x-content-type-options", b"nosniff"),
        ]
        lines += [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": lines})


Handler = Callable[[Exchange], Awaitable[None]]


class Desk:
    """An ASGI app that hands each method to its handler and turns every error into a reply with its request id.

    Args:
        handlers: by HTTP method.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = dict(handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        handler = self._handlers.get("GET" if exchange.method == "HEAD" else exchange.method)
        try:
            if handler is None:
                await exchange.reply(
                    error_body(BadInput(f"{exchange.method} is not done here", hint=", ".join(self._handlers))),
                    status=405,
                    headers={"allow": ", ".join(self._handlers)},
                )
                return
            await handler(exchange)
        except IkkanError as error:
            log.info("refused", extra={"request_id": exchange.request_id, "code": error.code, "status": error.status})
            await exchange.fail(error)
        except Exception:
            # The door must outlive one bad request; what happened is in the log under the request's id.
            log.exception("a request failed by our fault", extra={"request_id": exchange.request_id})
            await exchange.fail(
                Internal("something went wrong on our side", hint=f"the log knows more: {exchange.request_id}")
            )


def _too_large(most_bytes: int) -> RequestTooLarge:
    most = f"{most_bytes >> 20} MiB" if most_bytes >= 1 << 20 else f"{most_bytes:,} bytes"
    return RequestTooLarge(f"a body has at most {most}", hint="send less at once")
