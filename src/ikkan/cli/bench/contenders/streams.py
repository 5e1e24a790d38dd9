"""Many streams at the same time over the OpenAI wire, with nothing but the standard library."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import urllib.request
from collections.abc import AsyncIterator
from typing import Any


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(url: str, is_alive: Any, timeout_s: float = 300) -> None:
    """Return when a server answers; RuntimeError if it ended or does not within the time."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if not is_alive():
            raise RuntimeError("the server ended while it was starting")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not answer within {timeout_s:.0f} s")


def drive(port: int, lines: list[list[Any]], answer: int, **more: Any) -> dict[str, Any]:
    """Let each line ask its prompts one after the other, all lines at the same time.

    Returns:
        `seconds` from the first question to the last answer; `lines`, of each answer when it was asked, began and
        ended (seconds from the start), its tokens and its text.
    """
    return asyncio.run(_drive(port, lines, answer, more))


async def _drive(port: int, lines: list[list[Any]], answer: int, more: dict[str, Any]) -> dict[str, Any]:
    started = time.perf_counter()

    async def line(prompts: list[Any]) -> list[dict[str, Any]]:
        return [await _ask(port, prompt, answer, more, started) for prompt in prompts]

    found = await asyncio.gather(*(line(prompts) for prompts in lines))
    return {"seconds": time.perf_counter() - started, "lines": found}


async def _ask(port: int, prompt: Any, answer: int, more: dict[str, Any], started: float) -> dict[str, Any]:
    body = {"model": "m", "prompt": prompt, "max_tokens": answer, "temperature": 0, "ignore_eos": True, "stream": True}
    raw = json.dumps({**body, "stream_options": {"include_usage": True}, **more}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    asked = time.perf_counter() - started
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Connection: close\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw)
    first, last, tokens, text = None, asked, 0, []
    async for line in _lines(reader):
        if not line.startswith(b"data: ") or line == b"data: [DONE]":
            continue
        event = json.loads(line[6:])
        last = time.perf_counter() - started
        if "error" in event:
            raise RuntimeError(f"the server answered {event['error']}")
        if event.get("choices"):
            first = last if first is None else first
            text.append(event["choices"][0].get("text") or "")
        if event.get("usage"):
            tokens = event["usage"]["completion_tokens"]
    writer.close()
    if first is None:
        raise RuntimeError("the server answered nothing")
    return {"asked_s": asked, "first_s": first, "last_s": last, "tokens": tokens, "text": "".join(text)}


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a reply's body, chunked or not; RuntimeError if it is a refusal."""
    status = (await reader.readline()).split(b" ", 2)
    chunked = False
    while (header := (await reader.readline()).strip().lower()) != b"":
        chunked = chunked or header == b"transfer-encoding: chunked"
    if len(status) < 2 or status[1] != b"200":
        raise RuntimeError(f"the server refused: {(await reader.read())[:300]!r}")
    rest = b""
    while True:
        if chunked:
            size = int((await reader.readline()).strip() or b"0", 16)
            part = await reader.readexactly(size) if size else b""
            if size:
                await reader.readexactly(2)
        else:
            part = await reader.read(65_536)
        if not part:
            break
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r")
    if rest:
        yield rest
