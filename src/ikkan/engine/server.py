"""The door: HTTP in, the OpenAI wire out."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeAlias

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from ikkan.engine import formats, shapes, wire
from ikkan.engine.adapters import AdapterShelf
from ikkan.engine.embedder import DecoderEmbedder, Embedder, Embeds
from ikkan.engine.engine import Engine, told
from ikkan.engine.exchange import ClientLeft, Exchange, caller, deadline_s
from ikkan.engine.further import Answer, Further
from ikkan.engine.grammar import Compiled, Grammars, Rules
from ikkan.engine.scoring import Pooling, Scorer
from ikkan.engine.shapes import Choice
from ikkan.engine.turns import PLAIN, Reading, Turns
from ikkan.engine.values import Generation
from ikkan.ground.errors import IkkanError, Internal, NotFound, PromptTooLong, RequestTooLarge, UnknownModel
from ikkan.ground.ids import new_id

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 8 << 20
_MOST_DISCARDED_BYTES: Final = 64 << 20
"""What is read of a body that is too large, and thrown away: whoever still sends hears no answer."""
CHAT, COMPLETION = "chat.completion", "text_completion"
COMPLETION_TOKENS: Final = 16
"""What `/v1/completions` writes unless told otherwise."""

Handler: TypeAlias = Callable[[Request, Send], Awaitable[None]]

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def create_app(
    engine: Engine,
    embedder: Embedder | None = None,
    served_name: str = "default",
    aliases: Sequence[str] = (),
    *,
    embedder_name: str = "default-embed",
    embedder_aliases: Sequence[str] = (),
    scorer: Scorer | None = None,
    shelf: AdapterShelf | None = None,
    pooling: Pooling | None = None,
) -> Starlette:
    """The engine's ASGI application.

    Args:
        engine: started; answers chats and completions.
        embedder: answers `/v1/embeddings`, on the engine's compute thread.
        served_name: what the chat model is called in answers.
        aliases: further names it answers to.
        embedder_name: what the embedding model is called.
        embedder_aliases: further names it answers to.
        scorer: answers `/v1/score`, and `/v1/rerank` where the chat model is to judge.
        shelf: the adapters that requests may load and name.
        pooling: the chat model answers `/v1/embeddings` as well, so; needs `scorer`.
    """
    names = list(dict.fromkeys([served_name, *aliases]))
    embedders: dict[str, Embeds] = dict.fromkeys([embedder_name, *embedder_aliases], embedder) if embedder else {}
    if pooling is not None and scorer is not None:
        embedders |= dict.fromkeys(names, DecoderEmbedder(scorer, engine.tokenizer, engine.vocab, pooling))
    further = Further(engine, scorer, shelf, names, embedders)
    door = _Door(engine, embedders, names, further, can_echo=scorer is not None)
    routes = [
        ("GET", "/health", door.health),
        ("GET", "/metrics", door.metrics),
        ("GET", "/v1/models", door.models),
        ("GET", "/v1/models/{name:path}", door.model),
        ("POST", "/v1/chat/completions", door.chat),
        ("POST", "/v1/completions", door.complete),
        ("POST", "/v1/embeddings", door.embed),
        ("POST", "/tokenize", door.tokenize),
        ("POST", "/detokenize", door.detokenize),
        *((method, path, _answering(answer)) for method, path, answer in further.routes),
    ]
    return Starlette(
        routes=[Route(path, _Endpoint(path, handler, engine), methods=[method]) for method, path, handler in routes],
        exception_handlers={HTTPException: _no_such_route},
    )


class _Door:
    """One method a route."""

    def __init__(
        self,
        engine: Engine,
        embedders: Mapping[str, Embeds],
        names: Sequence[str],
        further: Further,
        *,
        can_echo: bool,
    ) -> None:
        self._engine = engine
        self._embedders = embedders
        self._names = names
        self._embedder_names = [name for name in embedders if name not in names]
        self._further = further
        self._can_echo = can_echo
        self._created = int(time.time())
        self._turns = Turns(engine.tokenizer, engine.template, self._names[0])
        self._grammars = Grammars(engine.tokenizer, engine.vocab)
        # Templates, grammars and tokenizers take milliseconds, on hostile input seconds: not on the event loop.
        self._reading = ThreadPoolExecutor(2, "ikkan-engine-reading")

    async def health(self, request: Request, send: Send) -> None:
        status = self._engine.status()
        body = {
            "status": "ok" if status.alive else "stopped",
            "ready": status.alive,
            "model": self._names[0],
            "models": self._names,
            "embedders": self._embedder_names,
            "slots": {"in_use": status.slots_in_use, "total": status.slots},
            "queue": {"waiting": status.waiting, "limit": status.max_waiting},
            "pages": {"in_use": status.pages_in_use, "cached": status.pages_cached, "total": status.pages},
            "preemptions": status.preemptions,
            "context_tokens": status.context_tokens,
            "kv_bytes": status.kv_bytes,
        }
        await _send(request, send, body, status=200 if status.alive else 503)

    async def metrics(self, request: Request, send: Send) -> None:
        status = self._engine.status()
        self._engine.metrics.slots_in_use.set(status.slots_in_use)
        self._engine.metrics.waiting.set(status.waiting)
        self._engine.metrics.pages_in_use.set(status.pages_in_use)
        self._engine.metrics.pages_cached.set(status.pages_cached)
        response = Response(self._engine.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
        await response(request.scope, request.receive, send)

    async def models(self, request: Request, send: Send) -> None:
        await _send(request, send, {"object": "list", "data": self._all_described()})

    async def model(self, request: Request, send: Send) -> None:
        name = request.path_params["name"]
        known = {one["id"]: one for one in self._all_described()}
        self._require(name, list(known))
        await _send(request, send, known[name])

    async def chat(self, request: Request, send: Send) -> None:
        body = wire.read(await _body(request), wire.ChatBody)
        adapter = self._further.adapter(body.model)
        wire.refuse_what_this_engine_cannot(body)
        wire.check_turn(body)
        messages = wire.messages(body.messages)
        # Settings before the template: what is wrong with a request should not depend on the model.
        base = replace(self._base(body, request), adapter=adapter)
        if body.truncate_prompt_tokens is None:
            self._check_size(one["content"] for one in messages)
        turn = await self._read(self._turns.turn, body, messages)
        compiled = await self._read(self._compiled, turn.rules)
        prompt = wire.shortened(body, turn.prompt, self._engine.context_tokens)
        await self._generate(request, send, body, [prompt], base, None, turn.reading, compiled)

    async def complete(self, request: Request, send: Send) -> None:
        body = wire.read(await _body(request), wire.CompletionBody)
        adapter = self._further.adapter(body.model)
        wire.refuse_what_this_engine_cannot(body)
        if body.suffix:
            wire.refuse("suffix", "this engine writes at the end of a text only")
        if body.best_of is not None and body.best_of != (body.n or 1):
            wire.refuse("best_of", "this engine gives all answers it computes; use `n`")
        if body.echo and body.logprobs is not None:
            if body.max_tokens != 0 or body.stream or (body.n or 1) != 1 or not self._can_echo:
                wire.refuse("echo", "with `logprobs` it needs `max_tokens` to be 0, and neither `stream` nor `n`")
            given = wire.prompts("prompt", body.prompt, self._engine.vocab)
            alternatives = wire.sampling(body, self._engine.vocab).top_logprobs or 0
            await _send(request, send, await self._further.echo(request, given, alternatives, body.model))
            return
        base = replace(self._base(body, request), adapter=adapter)
        given = wire.prompts("prompt", body.prompt, self._engine.vocab)
        if body.truncate_prompt_tokens is None:
            for one in given:
                self._check_size([one] if isinstance(one, str) else [])
        prompts = await self._read(lambda: [self._completion_prompt(one) for one in given])
        prompts = [wire.shortened(body, one, self._engine.context_tokens) for one in prompts]
        compiled = await self._read(lambda: self._compiled(formats.asked(body)))
        tokenizer = self._engine.tokenizer
        echoes = [one if isinstance(one, str) else tokenizer.decode(one) for one in given] if body.echo else None
        await self._generate(request, send, body, prompts, base, echoes, PLAIN, compiled)

    async def embed(self, request: Request, send: Send) -> None:
        body = wire.read(await _body(request), wire.EmbeddingBody)
        self._require(body.model, list(self._embedders))
        embedder = self._embedders[body.model].pooled(body.pooling)
        if body.encoding_format not in (None, "float", "base64"):
            wire.refuse("encoding_format", "one of float, base64")
        if body.dimensions not in (None, embedder.dimensions):
            wire.refuse("dimensions", f"this model's vectors have {embedder.dimensions} dimensions, no other number")
        cut = body.truncate_prompt_tokens
        if cut is not None and cut != -1 and not 3 <= cut <= embedder.context_tokens:
            wire.refuse("truncate_prompt_tokens", f"-1, or between 3 and {embedder.context_tokens}")
        limit = embedder.context_tokens if cut == -1 else cut
        given = wire.prompts("input", body.input, embedder.vocab)
        ids = await self._read(lambda: [embedder.ids(one, limit=limit) for one in given])
        vectors = await embedder.embed(self._engine, ids, request.is_disconnected)
        reply = shapes.embeddings(
            vectors,
            model=next(name for name, one in self._embedders.items() if one is self._embedders[body.model]),
            as_base64=body.encoding_format == "base64",
            tokens=sum(map(len, ids)),
        )
        await _send(request, send, reply)

    async def tokenize(self, request: Request, send: Send) -> None:
        body = wire.read(await _body(request), wire.TokenizeBody)
        if body.model is not None:
            self._further.adapter(body.model)
        if (body.prompt is None) == (body.messages is None):
            wire.refuse("prompt", "either `prompt` or `messages`")
        if body.messages is not None:
            wire.check_turn(body)
            turn = await self._read(self._turns.turn, body, wire.messages(body.messages))
            ids = turn.prompt
        else:
            ids = await self._read(self._text_ids, body.prompt or "", body.add_special_tokens is not False)
        spelled = [self._engine.tokenizer.spelling_of(one) for one in ids] if body.return_token_strs else None
        reply = {"count": len(ids), "max_model_len": self._engine.context_tokens, "tokens": ids, "token_strs": spelled}
        await _send(request, send, reply)

    async def detokenize(self, request: Request, send: Send) -> None:
        body = wire.read(await _body(request), wire.DetokenizeBody)
        if body.model is not None:
            self._further.adapter(body.model)
        ids = wire.tokens("tokens", body.tokens, self._engine.vocab)
        await _send(request, send, {"prompt": await self._read(self._engine.tokenizer.decode, ids)})

    # --- generation --------------------------------------------------------------------------------------------------

    def _base(self, body: wire.ChatBody | wire.CompletionBody, request: Request) -> Generation:
        """The request's settings, around a prompt that is yet to be read."""
        wire.check_stream_options(body)
        most = wire.max_tokens(body)
        if most is None and isinstance(body, wire.CompletionBody):
            most = COMPLETION_TOKENS
        # The header is the gateway's, the field the client's: whoever is in more of a hurry.
        limits = (deadline_s(request.headers), wire.deadline(body, time.monotonic()))
        return Generation(
            prompt=(),
            max_tokens=most or 0,
            sampling=wire.sampling(body, self._engine.vocab),
            min_tokens=wire.min_tokens(body, most or self._engine.context_tokens),
            stop=wire.stops(body),
            stop_token_ids=wire.stop_token_ids(body, self._engine.vocab),
            ignore_eos=bool(body.ignore_eos),
            # Both are needed: the header is the gateway's, the field may be a client's.
            cache_salt=msgspec.json.encode([request.headers.get("x-ikkan-cache-salt"), body.cache_salt]).decode(),
            caller=caller(request.headers),
            deadline_s=min((one for one in limits if one is not None), default=None),
        )

    async def _generate(
        self,
        request: Request,
        send: Send,
        body: wire.ChatBody | wire.CompletionBody,
        prompts: Sequence[Sequence[int]],
        base: Generation,
        echoes: Sequence[str] | None,
        reading: Reading,
        compiled: Compiled | None,
    ) -> None:
        each = wire.choices(body)
        wanted: list[Generation] = []
        for prompt in prompts:
            room = self._engine.check(len(prompt), base.max_tokens or None)
            for number in range(each):
                sampling = replace(base.sampling, choice=number)
                constraint = compiled.begin() if compiled else None
                wanted.append(
                    replace(base, prompt=tuple(prompt), max_tokens=room, sampling=sampling, constraint=constraint)
                )
        is_chat = isinstance(body, wire.ChatBody)
        choices = [
            Choice(number, is_chat, self._engine.tokenizer, echoes[number // each] if echoes else "", reading)
            for number in range(len(wanted))
        ]
        reply = _Reply(base.adapter or self._names[0], is_chat, choices, each, base.sampling.top_logprobs is not None)
        async with Exchange(self._engine, wanted, request.receive) as exchange:
            if body.stream:
                await reply.stream(request, send, exchange, body.stream_options or wire.StreamOptions())
            else:
                await reply.at_once(request, send, exchange)

    async def _read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._reading, function, *arguments)

    def _compiled(self, rules: Rules | None) -> Compiled | None:
        return self._grammars.compile(rules) if rules else None

    def _check_size(self, texts: Iterable[str]) -> None:
        """Refuse at once what cannot fit, before anything reads it; a template may leave out half of a conversation."""
        chars = sum(map(len, texts))
        most = max(1 << 16, 4 * self._engine.context_tokens * self._engine.tokenizer.longest_token_bytes)
        if chars > most:
            raise PromptTooLong(
                f"the prompt has {chars:,} characters; this model's context is {self._engine.context_tokens:,} tokens",
                hint="shorten the conversation",
                context_tokens=self._engine.context_tokens,
            )

    def _completion_prompt(self, given: str | list[int]) -> list[int]:
        ids = self._text_ids(given, True) if isinstance(given, str) else given
        if not ids:
            wire.refuse("prompt", "an empty text has nothing to continue")
        return ids

    def _text_ids(self, text: str, begin: bool) -> list[int]:
        tokenizer = self._engine.tokenizer
        ids = tokenizer.encode(text)
        return [tokenizer.bos_id, *ids] if begin and tokenizer.adds_bos and tokenizer.bos_id is not None else ids

    def _require(self, name: str, known: Sequence[str]) -> None:
        if name not in known:
            served = ", ".join(known) or "none for this"
            raise UnknownModel(
                f"no model named {name[:100]!r} here; served: {served}", hint="GET /v1/models", param="model"
            )

    def _all_described(self) -> list[dict[str, Any]]:
        common = {"object": "model", "created": self._created, "owned_by": "ikkan"}
        contexts = dict.fromkeys(self._names, self._engine.context_tokens)
        contexts |= {name: self._embedders[name].context_tokens for name in self._embedder_names}
        served = [
            {**common, "id": name, "root": name, "parent": None, "max_model_len": context}
            for name, context in contexts.items()
        ]
        return [*served, *self._further.described(created=self._created)]


class _Reply:
    """Sends the answers of one request, whole or as they come."""

    def __init__(self, model: str, is_chat: bool, choices: Sequence[Choice], each: int, with_logprobs: bool) -> None:
        self._is_chat = is_chat
        self._choices = choices
        self._each = each
        self._with_logprobs = with_logprobs
        self._head = {"id": new_id("chatcmpl" if is_chat else "cmpl"), "created": int(time.time()), "model": model}

    async def at_once(self, request: Request, send: Send, exchange: Exchange) -> None:
        while came := await exchange.next():
            for number, piece in came:
                if piece.failure is not None:
                    raise piece.failure
                self._choices[number].add(piece)
        kind = CHAT if self._is_chat else COMPLETION
        answers = [choice.whole(self._with_logprobs) for choice in self._choices]
        await _send(request, send, {**self._head, "object": kind, "choices": answers, "usage": self._usage()})

    async def stream(self, request: Request, send: Send, exchange: Exchange, options: wire.StreamOptions) -> None:
        began = False
        while came := await exchange.next():
            frames: list[bytes] = []
            for number, piece in came:
                if piece.failure is not None:
                    if not began and not frames:
                        raise piece.failure  # nothing was sent yet: an honest status is still possible
                    frames.append(_frame(wire.error_body(piece.failure)))
                    await self._push(request, send, frames, begin=not began, end=True)
                    return
                for chunk in self._choices[number].chunks(piece, self._with_logprobs):
                    frames.append(
                        self._framed([chunk], options, self._usage() if options.continuous_usage_stats else None)
                    )
            await self._push(request, send, frames, begin=not began)
            began = True
        last = [self._framed([], options, self._usage())] if options.include_usage else []
        await self._push(request, send, [*last, b"data: [DONE]\n\n"], begin=False, end=True)

    def _framed(
        self, choices: list[dict[str, Any]], options: wire.StreamOptions, usage: dict[str, Any] | None
    ) -> bytes:
        kind = "chat.completion.chunk" if self._is_chat else COMPLETION
        chunk: dict[str, Any] = {**self._head, "object": kind, "choices": choices}
        if options.include_usage:
            chunk["usage"] = usage
        return _frame(chunk)

    async def _push(
        self, request: Request, send: Send, frames: Sequence[bytes], *, begin: bool, end: bool = False
    ) -> None:
        if begin:
            headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"".join(frames), "more_body": not end})

    def _usage(self) -> dict[str, Any]:
        spent = [choice.usage for choice in self._choices]
        thoughts = [choice.thought_tokens for choice in self._choices if choice.thought_tokens is not None]
        by_prompt = [spent[at : at + self._each] for at in range(0, len(spent), self._each)]
        return shapes.usage(by_prompt, sum(thoughts) if thoughts else None)


class _Endpoint:
    """A route: its request id, its count, and its errors in the shape clients know."""

    def __init__(self, path: str, handler: Handler, engine: Engine) -> None:
        self._path = path
        self._handler = handler
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        status = 499  # nobody was there to be answered
        marked = _marked(request.headers, send)

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await marked(message)

        try:
            await self._handler(request, sending)
        except (ClientLeft, ClientDisconnect):
            pass
        except Exception as exc:  # the door stays open whatever one request does
            error = exc if isinstance(exc, IkkanError) else Internal("a fault of ours", hint="ask again")
            if not isinstance(exc, IkkanError):
                log.error("a request failed", extra={"route": self._path, **told(exc)})
            if status == 499:
                await _send(request, sending, wire.error_body(error), error.status, wire.error_headers(error))
            else:
                frame = _frame(wire.error_body(error))
                await sending({"type": "http.response.body", "body": frame, "more_body": False})
        finally:
            self._engine.metrics.requests.labels(self._path, str(status)).inc()


def _marked(headers: Mapping[str, str], send: Send) -> Send:
    """A `send` that puts the request's id on its answer."""
    given = headers.get("x-request-id", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else new_id("req")

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
        await send(message)

    return sending


async def _no_such_route(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException), "registered for that"
    error = NotFound(
        f"{request.method} {request.url.path[:200]}: {exc.detail}", hint="GET /v1/models says what is here"
    )
    given = request.headers.get("x-request-id", "")
    headers = {"x-request-id": given if _REQUEST_ID.fullmatch(given) else new_id("req"), **(exc.headers or {})}
    return Response(msgspec.json.encode(wire.error_body(error)), exc.status_code, headers, "application/json")


async def _body(request: Request) -> bytes:
    held, size = bytearray(), 0
    async for piece in request.stream():
        size += len(piece)
        if size <= MAX_BODY_BYTES:
            held += piece
        elif size > _MOST_DISCARDED_BYTES:
            break
    if size > MAX_BODY_BYTES:
        raise RequestTooLarge(f"the body is larger than {MAX_BODY_BYTES >> 20} MiB", hint="send less at once")
    return bytes(held)


def _answering(answer: Answer) -> Handler:
    async def handler(request: Request, send: Send) -> None:
        answered = await answer(request, await _body(request))
        if isinstance(answered, str):
            await Response(answered, media_type="text/plain")(request.scope, request.receive, send)
        else:
            await _send(request, send, answered)

    return handler


async def _send(
    request: Request, send: Send, body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> None:
    response = Response(msgspec.json.encode(body), status, headers, "application/json")
    await response(request.scope, request.receive, send)


def _frame(data: Any) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"
