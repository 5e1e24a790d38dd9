"""A streamed answer of an app: begun only when there is something to send, and stopped as soon as nobody reads on."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ikkan.cloud.exchange import Exchange
from ikkan.cloud.values import ChatChunk
from ikkan.cloud.wires.openai import DONE, frame
from ikkan.ground.errors import IkkanError, Internal

log = logging.getLogger(__name__)


class AnswerStream(Response):
    """The pieces of an answer as events on the OpenAI wire.

    What fails before the first piece is a proper error with its status; what fails later is the stream's last event.
    A client that leaves closes the pipeline's iterator, which frees the engine's slot and stops the meter.
    """

    media_type = "text/event-stream"

    def __init__(self, pieces: AsyncGenerator[ChatChunk, None]) -> None:
        super().__init__()
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        exchange = Exchange(scope, receive, send)
        try:
            await exchange.attended(self._relay(exchange))
        except IkkanError as error:
            await exchange.fail(error)
        except Exception:
            # The page must be told, whatever it was; the log has the rest.
            log.exception("a streamed answer failed by our fault", extra={"request_id": exchange.request_id})
            await exchange.fail(Internal("something went wrong on our side", hint="the gateway's log says more"))

    async def _relay(self, exchange: Exchange) -> None:
        begun = False
        async with aclosing(self._pieces) as pieces:
            async for piece in pieces:
                if not begun:
                    await exchange.stream()
                    begun = True
                await exchange.push(frame(piece.data))
        if not begun:
            await exchange.stream()
        await exchange.push(DONE, last=True)
