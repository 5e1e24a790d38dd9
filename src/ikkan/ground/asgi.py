"""Serving an ASGI application from this very process, and ending cleanly when asked.

The gateway and the engine each hold state in their process (caches, weights), so the server runs in it too: granian's
embedded server on this process's event loop, no second worker process to pay for.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Any

log = logging.getLogger(__name__)

_GRACE_S = 5.0


def serve(
    app: Any,
    *,
    host: str,
    port: int,
    on_start: Callable[[], Awaitable[None]] | None = None,
    on_stop: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve `app` on `host:port` until SIGTERM or SIGINT; answers under way get a moment to finish.

    Args:
        app: an ASGI application; its lifespan is run.
        on_start: awaited on the event loop before the first request.
        on_stop: awaited after the last.
    """
    asyncio.run(_serve(app, host, port, on_start, on_stop))


async def _serve(
    app: Any,
    host: str,
    port: int,
    on_start: Callable[[], Awaitable[None]] | None,
    on_stop: Callable[[], Awaitable[None]] | None,
) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.server.embed import Server

    if on_start is not None:
        await on_start()
    # HTTP/1 alone: every client of ours speaks it, and an idle HTTP/2 stack is memory.
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    serving = loop.create_task(server.serve())
    asking = loop.create_task(asked.wait())
    try:
        await asyncio.wait({serving, asking}, return_when=asyncio.FIRST_COMPLETED)
        if asked.is_set():
            server.stop()
            await asyncio.wait({serving}, timeout=_GRACE_S)
    finally:
        asking.cancel()
        if on_stop is not None:
            # Connections may still live here, so that whoever waits for an answer can be told.
            await on_stop()
        if not serving.done():
            log.info("answers under way were cut to stop in time")
            await asyncio.wait({serving}, timeout=1.0)
