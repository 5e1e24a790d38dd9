"""Any server that speaks the OpenAI wire: our engine, vLLM, SGLang, llama.cpp, and most vendors.

Streams always ask for usage; of several usage objects the last one counts. A stream that closes before its answer
has finished is an error here, whatever status it began with. Leaving an iterator closes the connection, which is how
every such server learns that nobody waits any more.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import sys
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from ikkan.cloud import estimate
from ikkan.cloud.upstreams import Health
from ikkan.cloud.upstreams.sse import Frames
from ikkan.cloud.values import ChatChunk, ChatRequest, CompletionRequest, Embeddings, EmbedRequest, Usage, said_aside
from ikkan.ground.errors import (
    BadInput,
    IkkanError,
    PromptTooLong,
    RateLimited,
    RequestTooLarge,
    UnknownModel,
    UpstreamCutShort,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)

MAX_REPLY_BYTES = 256 << 20
"""Of a reply that is not streamed; embeddings of many texts are the largest."""
MAX_ERROR_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an upstream may be silent."""

    connect_s: float = 5.0
    first_token_s: float = 300.0
    """Until the first byte of an answer: a long prompt on a small machine takes its time."""
    idle_s: float = 60.0
    """Between two pieces of a stream."""
    whole_s: float = 600.0
    """For an answer that is not streamed."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """Where a server differs from the wire. All false for one that does not."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request, `appid` for example."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """Fields set in every request to a model that generates, where the client did not set them."""
    max_tokens_field: str = ""
    """`max_tokens` or `max_completion_tokens`, where it understands only that one."""
    no_stream_usage: bool = False
    """It refuses `stream_options`; usage is then estimated unless it sends it unasked."""
    always_stream: bool = False
    """It only streams; whole answers are put together here."""
    base64_embeddings: bool = False
    """It can send embeddings in base64, which is a third of the size."""
    extra_stream_options: Mapping[str, Any] = field(default_factory=dict)
    """`{"continuous_usage_stats": true}` where it can count as it goes: exact bills also for streams left early."""
    adapters: bool = False
    """It reads LoRA adapters from this machine's folders while it runs, on vLLM's routes."""
    tenant_header: str = ""
    """The header that keeps tenants apart in its prefix cache, where it has one: nobody learns from timing what
    another tenant asked."""


class HttpPool:
    """The connections of one process to all its upstreams. Opened by the first request, in its event loop."""

    def __init__(self, *, connections: int = 1_000) -> None:
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """The shared session."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=60.0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                read_bufsize=1 << 18,
                headers={"user-agent": "ikkan"},
            )
        return self._session

    async def close(self) -> None:
        """Let go of every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class OpenAIWire:
    """The server at `url`.

    Args:
        name: what our operators call it; named in errors.
        url: its base, with or without `/v1`.
        http: the process's connections.
        key: sent as a bearer token, if it wants one.
    """

    def __init__(
        self,
        name: str,
        url: str,
        http: HttpPool,
        *,
        key: str | None = None,
        timeouts: Timeouts = Timeouts(),
        quirks: Quirks = Quirks(),
    ) -> None:
        self.name = name
        self.url = base_url(url)
        self._http = http
        self._key = key
        self._timeouts = timeouts
        self._quirks = quirks

    def chat(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """See `Upstream.chat`."""
        body = {**request.body, "model": request.model, "messages": list(request.messages)}
        return self._generate("/chat/completions", body, request)

    def complete(self, request: CompletionRequest) -> AsyncIterator[ChatChunk]:
        """See `Upstream.complete`."""
        body = {**request.body, "model": request.model, "prompt": request.prompt}
        return self._generate("/completions", body, request)

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """See `Upstream.embed`."""
        body = {**request.body, "model": request.model, "input": request.inputs}
        body["encoding_format"] = "base64" if self._quirks.base64_embeddings else "float"
        whole_s = _sooner(self._timeouts.whole_s, request.deadline_s)
        async with self._post("/embeddings", body, whole_s) as response:
            reply = await self._whole(response, whole_s)
        return self._embeddings(reply, len(request.inputs))

    async def models(self) -> Sequence[str]:
        """See `Upstream.models`."""
        async with (
            self._translated(),
            asyncio.timeout(self._timeouts.connect_s * 2),
            self._http.session().get(self.url + "/models", headers=self._headers(), allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise await self._refusal(response)
            reply = _decode(await response.content.read(MAX_REPLY_BYTES))
        listed = reply.get("data", []) if isinstance(reply, dict) else []
        return [item["id"] for item in listed if isinstance(item, dict) and isinstance(item.get("id"), str)]

    async def health(self) -> Health:
        """See `Upstream.health`."""
        try:
            offered = await self.models()
        except IkkanError as error:
            return Health(False, error.message)
        return Health(True, f"{len(offered)} models")

    async def load_adapter(self, name: str, folder: str) -> None:
        """Let it answer to `name` with the adapter in `folder`; one of that name is replaced."""
        body = {"lora_name": name, "lora_path": folder, "load_inplace": True}
        async with self._post("/load_lora_adapter", body, self._timeouts.idle_s) as response:
            await response.content.read(MAX_ERROR_BYTES)

    async def unload_adapter(self, name: str) -> None:
        """Let it forget an adapter. Raises `UnknownModel` where it has none of that name."""
        async with self._post("/unload_lora_adapter", {"lora_name": name}, self._timeouts.idle_s) as response:
            await response.content.read(MAX_ERROR_BYTES)

    async def _generate(
        self, path: str, body: dict[str, Any], request: ChatRequest | CompletionRequest
    ) -> AsyncIterator[ChatChunk]:
        quirks = self._quirks
        stream = request.stream or quirks.always_stream
        for name, value in quirks.body.items():
            body.setdefault(name, value)
        if quirks.max_tokens_field:
            asked = [body.pop(name, None) for name in ("max_completion_tokens", "max_tokens")]
            given = [value for value in asked if value is not None]
            if given:
                body[quirks.max_tokens_field] = given[0]
        body["stream"] = stream
        body.pop("stream_options", None)
        if stream and not quirks.no_stream_usage:
            body["stream_options"] = {"include_usage": True, **quirks.extra_stream_options}
        first_s = self._timeouts.first_token_s if stream else self._timeouts.whole_s
        first_s = _sooner(first_s, request.deadline_s)
        started = asyncio.get_running_loop().time()
        async with self._post(path, body, first_s, request.principal.tenant_id) as response:
            left_s = max(0.001, first_s - (asyncio.get_running_loop().time() - started))
            if stream and "event-stream" in response.headers.get("content-type", ""):
                async with aclosing(self._streamed(response, left_s)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            else:
                yield self._checked(await self._whole(response, left_s))

    async def _streamed(self, response: aiohttp.ClientResponse, first_s: float) -> AsyncGenerator[ChatChunk, None]:
        frames = Frames()
        finished = False  # the first choice has said why it ended
        begun = False
        patience_s = first_s
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    piece = await response.content.readany()
            except TimeoutError as exc:
                raise self._silent(patience_s, begun) from exc
            except (aiohttp.ClientError, ConnectionError) as exc:
                if finished:
                    return  # the answer is whole; only the goodbye is missing
                raise self._cut(begun) from exc
            for data in frames.feed(piece) if piece else frames.rest():
                if data.strip() == b"[DONE]":
                    return
                chunk = self._chunk(data, begun)
                finished = finished or chunk.finish_reason is not None
                begun = True
                yield chunk
            if not piece:
                if finished:
                    return
                raise self._cut(begun)
            if begun:
                patience_s = self._timeouts.idle_s

    def _chunk(self, data: bytes, begun: bool) -> ChatChunk:
        reply = _decode(data)
        if not isinstance(reply, dict) or not isinstance(reply.get("choices"), list):
            if isinstance(reply, dict) and (reply.get("error") is not None or "code" in reply):
                refused = _said(reply)
                if begun:
                    raise UpstreamCutShort(
                        f"{self.name} stopped in the middle of its answer: {refused.message}",
                        hint="ask again",
                        upstream=self.name,
                        vendor_code=refused.code,
                    )
                raise self._error(refused.status or 502, refused)
            raise self._nonsense()
        return _piece(reply)

    def _checked(self, reply: Any) -> ChatChunk:
        if isinstance(reply, dict) and isinstance(reply.get("choices"), list) and reply["choices"]:
            chunk = _piece(reply)
            if chunk.finish_reason is None:
                return replace(
                    chunk, finish_reason="stop"
                )  # a whole answer has ended, also where the server forgets to say so
            return chunk
        if isinstance(reply, dict) and (reply.get("error") is not None or "code" in reply):
            refused = _said(reply)
            raise self._error(refused.status or 502, refused)
        raise self._nonsense()

    def _embeddings(self, reply: Any, expected: int) -> Embeddings:
        if isinstance(reply, dict) and isinstance(reply.get("data"), list):
            items = sorted(
                (item for item in reply["data"] if isinstance(item, dict)), key=lambda item: item.get("index", 0)
            )
            vectors = [_vector(item.get("embedding")) for item in items]
            if len(vectors) == expected and all(vector is not None for vector in vectors):
                model = reply.get("model")
                whole = [vector for vector in vectors if vector is not None]
                return Embeddings(whole, _usage(reply.get("usage")), model if isinstance(model, str) else "")
        elif isinstance(reply, dict) and (reply.get("error") is not None or "code" in reply):
            refused = _said(reply)
            raise self._error(refused.status or 502, refused)
        raise self._nonsense()

    def _headers(self) -> dict[str, str]:
        headers = {"accept": "application/json", **self._quirks.headers}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        return headers

    @asynccontextmanager
    async def _post(
        self, path: str, body: Mapping[str, Any], patience_s: float, tenant_id: str = ""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = self._headers()
        if self._quirks.tenant_header and tenant_id:
            headers[self._quirks.tenant_header] = tenant_id
        headers["content-type"] = "application/json"
        if body.get("stream"):
            headers["accept"] = "text/event-stream"
        async with self._translated():
            try:
                async with asyncio.timeout(patience_s):
                    response = await self._send(self.url + path, msgspec.json.encode(body), headers)
            except aiohttp.ServerTimeoutError:
                raise
            except TimeoutError as exc:
                raise self._silent(patience_s, False) from exc
            # Not `async with response`: leaving early must close the connection, not drain and reuse it.
            try:
                if response.status != 200:
                    raise await self._refusal(response)
                yield response
            finally:
                if response.content.is_eof():
                    response.release()
                else:
                    response.close()

    async def _send(self, url: str, body: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        for last in (False, True):
            try:
                return await self._http.session().post(
                    url,
                    data=_sendable(body),
                    headers=headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect_s),
                )
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                # A kept connection that the server closed while it was idle; nothing was answered on it.
                if last:
                    raise
        raise AssertionError("the second try returns or raises")

    async def _whole(self, response: aiohttp.ClientResponse, patience_s: float) -> Any:
        held = bytearray()
        try:
            async with asyncio.timeout(patience_s):
                async for piece in response.content.iter_any():
                    held += piece
                    if len(held) > MAX_REPLY_BYTES:
                        raise self._nonsense()
        except TimeoutError as exc:
            raise self._silent(patience_s, False) from exc
        except (aiohttp.ClientPayloadError, ConnectionError) as exc:
            raise self._cut(False) from exc
        return _decode(bytes(held))

    async def _refusal(self, response: aiohttp.ClientResponse) -> IkkanError:
        try:
            async with asyncio.timeout(self._timeouts.connect_s):
                reply = _decode(await response.content.read(MAX_ERROR_BYTES))
        except (TimeoutError, aiohttp.ClientError):
            reply = None
        refused = _said(reply)
        return self._error(response.status, refused, retry_after_s=_retry_after(response.headers))

    def _error(self, status: int, refused: _Refusal, *, retry_after_s: float | None = None) -> IkkanError:
        facts: dict[str, Any] = {"upstream": self.name, "status": status}
        if refused.code:
            facts["vendor_code"] = refused.code
        if refused.param:
            facts["param"] = refused.param
        said = refused.message or f"status {status}"
        if status in (401, 403):
            return UpstreamRejected(
                f"{self.name} does not accept our key: {said}",
                hint=f"check the key of upstream {self.name!r}: ikkan upstream list",
                **facts,
            )
        if status == 429:
            if refused.code in ("insufficient_quota", "Arrearage", "quota_exhausted"):
                return UpstreamRejected(
                    f"our account at {self.name} is used up: {said}", hint="top it up, or use another", **facts
                )
            if retry_after_s is not None:
                facts["retry_after_s"] = retry_after_s
            return RateLimited(f"{self.name} takes no more requests just now: {said}", hint="wait a moment", **facts)
        if status == 404:
            return UnknownModel(f"{self.name} does not know that: {said}", hint="ikkan alias list", **facts)
        if status == 413:
            return RequestTooLarge(f"{self.name} finds it too large: {said}", hint="send less", **facts)
        if refused.code == "context_length_exceeded":
            return PromptTooLong(said, **facts)  # servers say themselves what to do about it
        if status in (400, 422):
            return BadInput(said, **facts)
        if status == 503:
            return UpstreamUnreachable(f"{self.name} cannot answer now: {said}", hint="ask again in a moment", **facts)
        if status == 504 or status == 408:
            return UpstreamTimeout(f"{self.name} gave up waiting: {said}", hint="ask again", **facts)
        if status >= 500:
            return UpstreamFailed(f"{self.name} failed: {said}", hint="ask again; if it stays, see its log", **facts)
        return UpstreamRejected(
            f"{self.name} answered with status {status}: {said}", hint="check its address: ikkan upstream list", **facts
        )

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except aiohttp.ServerTimeoutError as exc:
            raise UpstreamUnreachable(
                f"{self.name} at {_place(self.url)} did not take the connection within {self._timeouts.connect_s:g} s",
                hint="is it running, and reachable from here?",
                upstream=self.name,
            ) from exc
        except (aiohttp.ClientConnectionError, aiohttp.InvalidURL, ConnectionError) as exc:
            raise UpstreamUnreachable(
                f"{self.name} at {_place(self.url)} cannot be reached",
                hint="is it running, and reachable from here?",
                upstream=self.name,
            ) from exc
        except aiohttp.ClientError as exc:
            raise UpstreamFailed(
                f"{self.name} broke off: {type(exc).__name__}", hint="ask again", upstream=self.name
            ) from exc
        except TimeoutError as exc:
            raise self._silent(self._timeouts.connect_s * 2, False) from exc

    def _silent(self, patience_s: float, begun: bool) -> IkkanError:
        if begun:
            return UpstreamCutShort(
                f"{self.name} fell silent for {patience_s:g} s in the middle of its answer",
                hint="ask again",
                upstream=self.name,
            )
        return UpstreamTimeout(
            f"{self.name} did not begin to answer within {patience_s:g} s",
            hint="ask again, or ask for less",
            upstream=self.name,
        )

    def _cut(self, begun: bool) -> IkkanError:
        if begun:
            return UpstreamCutShort(
                f"{self.name} closed the connection in the middle of its answer", hint="ask again", upstream=self.name
            )
        return UpstreamFailed(
            f"{self.name} closed the connection before it answered", hint="ask again", upstream=self.name
        )

    def _nonsense(self) -> IkkanError:
        return UpstreamRejected(
            f"what {self.name} sent is not the OpenAI wire",
            hint=f"does {_place(self.url)} point at an OpenAI-compatible base? ikkan upstream list",
            upstream=self.name,
        )


def _sendable(body: bytes) -> bytes | io.BytesIO:
    # aiohttp sends a large file piece by piece, and a large string in one go that would hold up everyone else.
    return body if len(body) < 1 << 18 else io.BytesIO(body)


def base_url(url: str) -> str:
    """Where the wire begins: a bare host gets `/v1`, a path is kept as the vendor gives it.

    >>> base_url("http://127.0.0.1:8701"), base_url("https://qianfan.baidubce.com/v2/")
    ('http://127.0.0.1:8701/v1', 'https://qianfan.baidubce.com/v2')
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"{url!r} is not a web address", hint="http://127.0.0.1:8000/v1, for example")
    path = parts.path.rstrip("/")
    for ending in ("/chat/completions", "/completions", "/embeddings", "/models"):
        path = path.removesuffix(ending)
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


@dataclass(frozen=True, slots=True)
class _Refusal:
    message: str = ""
    code: str = ""
    param: str = ""
    status: int = 0


def _said(reply: Any) -> _Refusal:
    """What an error body says, in any of the shapes vendors use."""
    if not isinstance(reply, dict):
        return _Refusal()
    error = reply.get("error", reply)
    if isinstance(error, str):
        return _Refusal(error[:500])
    if not isinstance(error, dict):
        return _Refusal()
    code, message, param = (error.get(name) for name in ("code", "message", "param"))
    if message is None and isinstance(reply.get("detail"), str):
        message = reply["detail"]
    status = code if isinstance(code, int) and 400 <= code <= 599 else 0
    if not status:
        status = {"context_length_exceeded": 400, "rate_limit_exceeded": 429, "Throttling": 429}.get(str(code), 0)
    return _Refusal(
        message[:500] if isinstance(message, str) else "",
        str(code)[:80] if code is not None else "",
        param[:200] if isinstance(param, str) else "",
        status,
    )


def _piece(reply: dict[str, Any]) -> ChatChunk:
    text, finish_reason = "", None
    aside: list[str] = []
    for choice in reply["choices"]:
        if not isinstance(choice, dict):
            continue
        inner = choice.get("delta") or choice.get("message")
        if isinstance(inner, dict):
            content = inner.get("content")
            aside += said_aside(inner)
        else:
            content = choice.get("text")
        if choice.get("index", 0) == 0:
            if isinstance(content, str):
                text += content
            reason = choice.get("finish_reason")
            if isinstance(reason, str) and reason not in ("", "null"):
                finish_reason = reason
        elif isinstance(content, str):
            aside.append(content)
    beside = "".join(aside)
    size = estimate.units(text) + estimate.units(beside)
    return ChatChunk(reply, text, finish_reason, _usage(reply.get("usage")), {}, beside, size)


def _usage(found: Any) -> Usage | None:
    """Counts in our words; None where there are none, or where they are all zero and so mean nothing."""
    if not isinstance(found, dict):
        return None
    details = found.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    if cached is None:
        cached = _count(found.get("prompt_cache_hit_tokens")) or 0
    taken = _count(found.get("prompt_tokens"))
    made = _count(found.get("completion_tokens"))
    if taken is None and made is None:
        taken = _count(found.get("total_tokens"))
    taken, made = taken or 0, made or 0
    if taken + made == 0:
        return None
    of_made = found.get("completion_tokens_details")
    thought = _count(of_made.get("reasoning_tokens")) if isinstance(of_made, dict) else None
    return Usage(taken, min(cached, taken), made, min(thought or 0, made))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _vector(found: Any) -> Sequence[float] | None:
    if isinstance(found, str):
        return decode_vector(found)
    if isinstance(found, list) and found and all(isinstance(number, int | float) for number in found):
        return found
    return None


def decode_vector(text: str) -> Sequence[float] | None:
    """Little-endian float32 in base64, as the wire has it; None if it is not that.

    >>> decode_vector("AACAPwAAAMA="), decode_vector("AAA")
    (array('f', [1.0, -2.0]), None)
    """
    try:
        raw = base64.b64decode(text, validate=True)
        vector = array("f", raw)
    except (binascii.Error, ValueError):
        return None
    if sys.byteorder == "big":
        vector.byteswap()
    return vector if len(vector) else None


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if 0 < seconds <= 3_600:
            return seconds
    return None


def _sooner(ours_s: float, theirs_s: float | None) -> float:
    return ours_s if theirs_s is None else min(ours_s, theirs_s)


def _place(url: str) -> str:
    # Without what a person may have put before the host.
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
