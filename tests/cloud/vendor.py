"""A vendor's server for tests: an OpenAI-wire HTTP server whose answers are a `FakeUpstream`'s, faults included."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from ikkan.cloud.errors import error_body, error_headers
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.cloud.values import ChatRequest, CompletionRequest, EmbedRequest
from ikkan.cloud.wires.openai import whole
from ikkan.ground.errors import IkkanError, UpstreamCutShort


class Vendor:
    """Speaks the wire on a free port. `raw` overrides everything with bytes sent as they are."""

    def __init__(self, script: FakeUpstream) -> None:
        self.script = script
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.raw: bytes | None = None
        self.raw_status = 200
        self.raw_type = "text/event-stream"
        self.raw_headers: dict[str, str] = {}
        self.cut_raw = False
        self.silent_s = 0.0
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/v1/embeddings", self._embed)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _read(self, request: web.Request) -> dict[str, Any]:
        body = msgspec.json.decode(await request.read())
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        await asyncio.sleep(self.silent_s)
        return dict(body)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if self.raw is not None:
            return await self._as_it_is(request, self.raw)
        if self.script.failure is not None:
            return _refusal(self.script.failure)
        return web.json_response({"object": "list", "data": [{"id": name} for name in await self.script.models()]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._read(request)
        if self.raw is not None:
            return await self._as_it_is(request, self.raw)
        asked = ChatRequest(body["model"], body["messages"], stream=body.get("stream", False))
        return await self._said(request, self.script.chat(asked), asked.stream)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await self._read(request)
        asked = CompletionRequest(body["model"], body["prompt"], stream=body.get("stream", False))
        return await self._said(request, self.script.complete(asked), asked.stream)

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        body = await self._read(request)
        if self.raw is not None:
            return await self._as_it_is(request, self.raw)
        try:
            made = await self.script.embed(EmbedRequest(body["model"], body["input"]))
        except IkkanError as error:
            return _refusal(error)
        data = [{"index": index, "embedding": vector} for index, vector in enumerate(made.vectors)]
        reply: dict[str, Any] = {"object": "list", "model": body["model"], "data": data[::-1]}
        if made.usage is not None:
            reply["usage"] = {"prompt_tokens": made.usage.input_tokens, "total_tokens": made.usage.input_tokens}
        return web.json_response(reply)

    async def _said(self, request: web.Request, chunks: Any, stream: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        try:
            if not stream:
                return web.json_response(whole([chunk async for chunk in chunks]))
            async for chunk in chunks:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(b"data: " + msgspec.json.encode(chunk.data) + b"\n\n")
            await response.write(b"data: [DONE]\n\n")
            return response
        except UpstreamCutShort:
            _hang_up(request)
            return response
        except IkkanError as error:
            return _refusal(error)
        finally:
            await chunks.aclose()

    async def _as_it_is(self, request: web.Request, raw: bytes) -> web.StreamResponse:
        response = web.StreamResponse(
            status=self.raw_status, headers={"content-type": self.raw_type, **self.raw_headers}
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(raw)
        if self.cut_raw:
            _hang_up(request)
        return response


def _hang_up(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.close()


def _refusal(error: IkkanError) -> web.Response:
    headers = error_headers(error)
    return web.json_response(error_body(error), status=error.status, headers=headers)
