"""The engine's HTTP face: the OpenAI wire on loopback, with vLLM's habits where OpenAI has none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message

from ikkan.engine import wire
from ikkan.engine.engine import Engine
from ikkan.engine.engine import Sequence as Answer
from ikkan.engine.values import Piece, Work
from ikkan.engine.wire import Asked, Body
from ikkan.ground.errors import BadInput, IkkanError, Internal, PromptTooLong, UnknownModel
from ikkan.ground.ids import new_id
from ikkan.models.template import ChatTemplate, encode_chat
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import Encoder

MAX_BODY_BYTES = 16 << 20
MAX_EMBED_INPUTS = 2048


class Embedder:
    """The embedding model served beside the chat model."""

    def __init__(self, encoder: Encoder, tokenizer: Tokenizer, names: Sequence[str]) -> None:
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.names = tuple(names)


class Metrics:
    """What `/metrics` tells."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("ikkan_engine_requests", "Requests by endpoint.", ["endpoint"], registry=self.registry)
        self.first_piece_s = Histogram(
            "ikkan_engine_first_token_seconds",
            "From request to first token.",
            buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
            registry=self.registry,
        )
        for name, about in (
            ("running", "Answers under way."),
            ("waiting", "Answers waiting for a slot."),
            ("generated", "Output tokens."),
            ("read", "Prompt tokens computed."),
            ("steps", "Model calls."),
        ):
            gauge = Gauge(f"ikkan_engine_{name}", about, registry=self.registry)
            gauge.set_function(lambda name=name: float(getattr(engine.state, name)))  # type: ignore[misc]


class Door:
    """One model's endpoints."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        template: ChatTemplate | None,
        names: Sequence[str],
        embedder: Embedder | None,
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.template = template
        self.names = tuple(names)
        self.embedder = embedder
        self.metrics = Metrics(engine)

    # ---- reading ----------------------------------------------------------------------------------------------------

    async def models(self, request: Request) -> Response:
        listed = [self._listed(name) for name in self._all_names()]
        return _json({"object": "list", "data": listed})

    async def model(self, request: Request) -> Response:
        name = request.path_params["model"]
        self._known(name, self._all_names())
        return _json(self._listed(name))

    async def health(self, request: Request) -> Response:
        state = self.engine.state
        return _json(
            {
                "ready": True,
                "model": self.names[0],
                "embedder": self.embedder.names[0] if self.embedder else None,
                "running": state.running,
                "waiting": state.waiting,
                "slots": state.slots,
                "context_tokens": self.engine.context_tokens,
            }
        )

    async def metrics_page(self, request: Request) -> Response:
        return Response(generate_latest(self.metrics.registry), media_type="text/plain; version=0.0.4")

    async def tokenize(self, request: Request) -> Response:
        body = await _body(request)
        if body.get("messages") is not None:
            ids = self._encode_chat(wire.read_messages(body))
        else:
            ids = self.tokenizer.encode(body.text("prompt"), special=body.get("add_special_tokens") is not False)
        return _json({"tokens": ids, "count": len(ids), "max_model_len": self.engine.context_tokens})

    async def detokenize(self, request: Request) -> Response:
        body = await _body(request)
        tokens = wire.token_lists(body, "tokens")[0]
        if isinstance(tokens, str):
            raise body.wrong("tokens", "must be a list of token ids")
        return _json({"prompt": self.tokenizer.decode(tokens)})

    # ---- answering --------------------------------------------------------------------------------------------------

    async def chat(self, request: Request) -> Response:
        self.metrics.requests.labels("chat").inc()
        body = await _body(request)
        asked = wire.read_asked(body, room=self.engine.context_tokens, chat=True)
        self._known(asked.model, self.names)
        messages = wire.read_messages(body)
        prompt = await asyncio.to_thread(self._encode_chat, messages)
        answers = Answers(self, request, asked, [prompt] * asked.choices, "chatcmpl")
        kind = "chat.completion"
        if asked.stream:
            return answers.stream(f"{kind}.chunk", _chat_delta)
        await answers.finish()
        return answers.reply(kind, _chat_choice)

    async def completions(self, request: Request) -> Response:
        self.metrics.requests.labels("completions").inc()
        body = await _body(request)
        asked = wire.read_asked(body, room=self.engine.context_tokens, chat=False)
        self._known(asked.model, self.names)
        if body.get("best_of") not in (None, 1, asked.choices):
            raise body.wrong("best_of", "is not supported by this engine")
        body.refuse("echo")
        prompts = [
            self.tokenizer.encode(text, special=True) if isinstance(text, str) else self._checked(body, "prompt", text)
            for text in wire.token_lists(body, "prompt")
        ]
        repeated = [prompt for prompt in prompts for _ in range(asked.choices)]
        if len(repeated) > wire.MAX_CHOICES:
            raise body.wrong("prompt", f"and n ask for more than {wire.MAX_CHOICES} answers at once")
        answers = Answers(self, request, asked, repeated, "cmpl")
        if asked.stream:
            return answers.stream("text_completion", _completion_delta)
        await answers.finish()
        return answers.reply("text_completion", _completion_choice)

    async def embeddings(self, request: Request) -> Response:
        self.metrics.requests.labels("embeddings").inc()
        body = await _body(request)
        embedder = self.embedder
        if embedder is None:
            raise UnknownModel("this engine serves no embedding model", hint="start it with --embedder NAME")
        self._known(body.text("model"), embedder.names)
        encoding = body.get("encoding_format") or "float"
        if encoding not in ("float", "base64"):
            raise body.wrong("encoding_format", "must be float or base64")
        if body.get("dimensions") not in (None, embedder.encoder.config.hidden):
            raise body.wrong("dimensions", f"can only be {embedder.encoder.config.hidden} with this model")
        inputs = wire.token_lists(body, "input")
        if len(inputs) > MAX_EMBED_INPUTS:
            raise body.wrong("input", f"has {len(inputs):,} texts; {MAX_EMBED_INPUTS:,} are taken at once")
        ids = await asyncio.to_thread(self._encode_inputs, embedder, body, inputs)
        vectors = await asyncio.wrap_future(self.engine.call(lambda: embedder.encoder.embed(ids)))
        tokens = sum(map(len, ids))
        data = [
            {"object": "embedding", "index": place, "embedding": wire.embedding(vector, encoding == "base64")}
            for place, vector in enumerate(vectors)
        ]
        counted = {"prompt_tokens": tokens, "total_tokens": tokens}
        return _json({"object": "list", "data": data, "model": body.text("model"), "usage": counted})

    # ---- small parts ------------------------------------------------------------------------------------------------

    def _encode_chat(self, messages: Sequence[dict[str, Any]]) -> list[int]:
        if self.template is None:
            raise BadInput(
                f"{self.names[0]} has no chat template", hint="use /v1/completions with a prompt of your own", param=None
            )
        return encode_chat(self.tokenizer, self.template, messages)

    def _encode_inputs(self, embedder: Embedder, body: Body, inputs: Sequence[str | list[int]]) -> list[list[int]]:
        limit = embedder.encoder.context
        ids = []
        for text in inputs:
            if text == "":
                raise body.wrong("input", "has an empty text")
            tokens = embedder.tokenizer.encode(text, special=True) if isinstance(text, str) else text
            if len(tokens) > limit:
                raise PromptTooLong(
                    f"a text has {len(tokens):,} tokens; this embedder reads {limit:,}", hint="split it", param="input"
                )
            if not isinstance(text, str) and max(text) >= embedder.encoder.config.vocab:
                raise body.wrong("input", "has token ids outside the vocabulary")
            ids.append(tokens)
        return ids

    def _checked(self, body: Body, name: str, tokens: list[int]) -> list[int]:
        if max(tokens) >= self.tokenizer.vocab_size:
            raise body.wrong(name, "has token ids outside the vocabulary")
        return tokens

    def _all_names(self) -> list[str]:
        return [*self.names, *(self.embedder.names if self.embedder else ())]

    def _known(self, name: str, names: Sequence[str]) -> None:
        if name not in names:
            raise UnknownModel(f"no model named {name!r} here", hint=f"this engine serves {', '.join(names)}", param="model")

    def _listed(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": 0, "owned_by": "ikkan"}


class Answers:
    """The answers to one request: one per choice, gathered or streamed. Whoever leaves frees their slots."""

    def __init__(self, door: Door, request: Request, asked: Asked, prompts: Sequence[list[int]], prefix: str) -> None:
        self._door = door
        self._request = request
        self._asked = asked
        self._prompts = prompts
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[tuple[int, Piece]] = asyncio.Queue()
        self._began_s = self._loop.time()
        self._identity = new_id(prefix)
        self.pieces: list[list[Piece]] = [[] for _ in prompts]
        self._answers: list[Answer] = []
        salt = request.headers.get("x-ikkan-cache-salt", "")
        try:
            for index, prompt in enumerate(prompts):
                work = Work(tuple(prompt), asked.sampling, self._deliver_to(index), salt)
                self._answers.append(door.engine.submit(work, index=index))
        except IkkanError:
            self._leave()
            raise

    def _deliver_to(self, index: int) -> Any:
        def deliver(piece: Piece) -> None:
            # A closed loop means the server is stopping; nobody is left to hear.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._arrived.put_nowait, (index, piece))

        return deliver

    async def _each(self) -> AsyncIterator[tuple[int, Piece]]:
        open_answers = len(self._answers)
        first = True
        try:
            while open_answers:
                index, piece = await self._arrived.get()
                if first:
                    self._door.metrics.first_piece_s.observe(self._loop.time() - self._began_s)
                    first = False
                self.pieces[index].append(piece)
                if piece.finish_reason == "error":
                    raise Internal("the engine failed in the middle of this answer", hint="ask again")
                open_answers -= piece.finish_reason is not None
                yield index, piece
        finally:
            self._leave()

    def _leave(self) -> None:
        for answer in self._answers:
            self._door.engine.cancel(answer)

    async def finish(self) -> None:
        """Wait for the whole of it, unless the asker leaves."""
        gathering = asyncio.ensure_future(self._gather())
        leaving = asyncio.ensure_future(_left(self._request))
        try:
            await asyncio.wait({gathering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not gathering.done():
                gathering.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await gathering
                return
            gathering.result()
        finally:
            leaving.cancel()

    async def _gather(self) -> None:
        async for _ in self._each():
            pass

    def usage(self) -> dict[str, Any]:
        cached = sum(answer.work.facts.get("cached_tokens", 0) for answer in self._answers)
        made = sum(pieces[-1].tokens for pieces in self.pieces if pieces)
        return wire.usage_of(sum(map(len, self._prompts)), made, cached)

    def reply(self, kind: str, choice: Any) -> Response:
        data = wire.head(self._identity, kind, self._asked.model)
        data["choices"] = [
            choice(self._door.tokenizer, index, pieces, self._asked.sampling.top_logprobs is not None)
            for index, pieces in enumerate(self.pieces)
        ]
        data["usage"] = self.usage()
        return _json(data)

    def stream(self, kind: str, delta: Any) -> Response:
        return StreamingResponse(self._frames(kind, delta), media_type="text/event-stream")

    async def _frames(self, kind: str, delta: Any) -> AsyncIterator[bytes]:
        head = wire.head(self._identity, kind, self._asked.model)
        usage: dict[str, Any] = {"usage": None} if self._asked.include_usage else {}
        wanted = self._asked.sampling.top_logprobs is not None
        begun: set[int] = set()
        try:
            async for index, piece in self._each():
                if not piece.text and piece.finish_reason is None and not wanted and index in begun:
                    continue
                choice = delta(self._door.tokenizer, index, piece, index not in begun, wanted)
                begun.add(index)
                yield wire.frame({**head, "choices": [choice], **usage})
            if self._asked.include_usage:
                yield wire.frame({**head, "choices": [], "usage": self.usage()})
            yield wire.DONE
        except IkkanError as error:
            yield wire.frame(wire.error_body(error))


# ---- choices, whole and in pieces ---------------------------------------------------------------------------------------


def _chat_choice(tokenizer: Tokenizer, index: int, pieces: Sequence[Piece], wanted: bool) -> dict[str, Any]:
    text = "".join(piece.text for piece in pieces)
    return {
        "index": index,
        "message": {"role": "assistant", "content": text},
        "finish_reason": pieces[-1].finish_reason if pieces else None,
        "logprobs": {"content": [_token(tokenizer, piece) for piece in pieces]} if wanted else None,
    }


def _chat_delta(tokenizer: Tokenizer, index: int, piece: Piece, first: bool, wanted: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": piece.text} if first else {"content": piece.text}
    return {
        "index": index,
        "delta": said if first or piece.text else {},
        "finish_reason": piece.finish_reason,
        "logprobs": {"content": [_token(tokenizer, piece)]} if wanted else None,
    }


def _completion_choice(tokenizer: Tokenizer, index: int, pieces: Sequence[Piece], wanted: bool) -> dict[str, Any]:
    return {
        "index": index,
        "text": "".join(piece.text for piece in pieces),
        "finish_reason": pieces[-1].finish_reason if pieces else None,
        "logprobs": _old_logprobs(tokenizer, pieces) if wanted else None,
    }


def _completion_delta(tokenizer: Tokenizer, index: int, piece: Piece, first: bool, wanted: bool) -> dict[str, Any]:
    return {
        "index": index,
        "text": piece.text,
        "finish_reason": piece.finish_reason,
        "logprobs": _old_logprobs(tokenizer, [piece]) if wanted else None,
    }


def _token(tokenizer: Tokenizer, piece: Piece) -> dict[str, Any]:
    def said(token_id: int, logprob: float) -> dict[str, Any]:
        raw = tokenizer.bytes_of(token_id) or tokenizer.spelling_of(token_id).encode()
        return {"token": raw.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(raw)}

    assert piece.token_id is not None, "a piece of an answer has a token"
    best = [said(other.token_id, other.logprob) for other in piece.alternatives]
    return {**said(piece.token_id, piece.logprob), "top_logprobs": best}


def _old_logprobs(tokenizer: Tokenizer, pieces: Sequence[Piece]) -> dict[str, Any]:
    told = [_token(tokenizer, piece) for piece in pieces]
    offsets = [0]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece.text))
    return {
        "tokens": [token["token"] for token in told],
        "token_logprobs": [token["logprob"] for token in told],
        "top_logprobs": [{best["token"]: best["logprob"] for best in token["top_logprobs"]} for token in told],
        "text_offset": offsets[:-1],
    }


# ---- the application ------------------------------------------------------------------------------------------------------


def create_app(
    engine: Engine,
    tokenizer: Tokenizer,
    template: ChatTemplate | None,
    *,
    names: Sequence[str],
    embedder: Embedder | None = None,
) -> Starlette:
    """The ASGI application for one engine. `names`: what requests may call the model, the first being its own."""
    door = Door(engine, tokenizer, template, names, embedder)
    return Starlette(
        routes=[
            Route("/v1/models", door.models),
            Route("/v1/models/{model:path}", door.model),
            Route("/v1/chat/completions", door.chat, methods=["POST"]),
            Route("/v1/completions", door.completions, methods=["POST"]),
            Route("/v1/embeddings", door.embeddings, methods=["POST"]),
            Route("/tokenize", door.tokenize, methods=["POST"]),
            Route("/detokenize", door.detokenize, methods=["POST"]),
            Route("/health", door.health),
            Route("/metrics", door.metrics_page),
        ],
        exception_handlers={IkkanError: _said, Exception: _broke},
    )


async def _said(request: Request, error: Exception) -> Response:
    assert isinstance(error, IkkanError)
    response = _json(wire.error_body(error), status=error.status)
    if "retry_after_ms" in error.facts:
        response.headers["retry-after-ms"] = str(error.facts["retry_after_ms"])
    response.headers["x-request-id"] = request.headers.get("x-request-id") or new_id("req")
    return response


async def _broke(request: Request, error: Exception) -> Response:
    return _json(wire.error_body(Internal("the engine failed", hint="its log says more")), status=500)


async def _body(request: Request) -> Body:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BadInput(f"the body is larger than {MAX_BODY_BYTES >> 20} MB", hint="send less at once", param=None)
        parts.append(part)
    return Body(b"".join(parts))


async def _left(request: Request) -> None:
    """Returns when the client has gone."""
    while True:
        message: Message = await request.receive()
        if message["type"] == "http.disconnect":
            return


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
