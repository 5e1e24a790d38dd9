"""The path of every request, whatever it asks for and through whichever door it came.

    plan     which upstreams can answer for this name, best first
    reserve  the most it may cost, against every budget that has a say
    guard    the question
    call     the upstream, piece by piece, each piece past the guards; the next upstream if one fails before it began
    settle   in `finally`: the bill and the event, in one transaction, also when the client left or the upstream broke

The piece that ends an answer is held back until its bill is in the database: whoever has seen an answer end can rely
on its being recorded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from ikkan.cloud import estimate
from ikkan.cloud.events import Served, inference_served
from ikkan.cloud.guards import Guard, GuardedText, inspect_all
from ikkan.cloud.ledger import Bill, Hold, Ledger
from ikkan.cloud.router import Router, Target
from ikkan.cloud.values import (
    CURRENCY,
    ChatChunk,
    ChatRequest,
    CompletionRequest,
    Embeddings,
    EmbedRequest,
    Principal,
    Usage,
)
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import (
    ErasedSubject,
    IkkanError,
    Internal,
    RateLimited,
    UnknownModel,
    UpstreamCutShort,
    UpstreamFailed,
)
from ikkan.ground.eventlog import EventLog
from ikkan.ground.money import FREE, Micros, Price, format_micros

log = logging.getLogger(__name__)

DELEGATED_TO = "delegated_to"
"""A fact: the request that an upstream of this process made through this pipeline to get its answer. Its tokens are on
that request's bill; here they are shown and not counted again. `spent_micros` beside it says what it cost."""

DEFAULT_OUTPUT_TOKENS = 4_096
"""Reserved for an answer whose length nobody limited; where a budget has a limit, the answer is limited to it."""

Piece = ChatChunk | Embeddings
Request = ChatRequest | CompletionRequest | EmbedRequest


@dataclass
class Trace:
    """Where the time of one request went."""

    began: float = field(default_factory=time.perf_counter)
    upstream_s: float = 0.0
    """Spent waiting for the upstream."""
    first_at: float | None = None

    @property
    def latency_ms(self) -> float:
        """Since the request came to the door."""
        return (time.perf_counter() - self.began) * 1e3

    @property
    def overhead_ms(self) -> float:
        """What we added to the upstream's own time, so far."""
        return max(0.0, self.latency_ms - self.upstream_s * 1e3)


@dataclass
class _Run:
    """One request on its way down the steps."""

    request: Request
    trace: Trace
    targets: Sequence[Target] = ()
    attempt: int = 0
    is_open: bool = False
    """Whether a reservation stands in the database that must be closed."""
    is_limited: bool = False
    """Whether a budget with a limit stands behind it."""
    reserved_micros: int = 0
    writing: asyncio.Task[None] | None = None
    ceiling: int = 0
    """Output tokens reserved for."""
    said: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    """What was said besides words; for guards, and only where there are some."""
    units: int = 0
    began: bool = False
    """Whether anything was handed to the client."""
    held: list[Piece] = field(default_factory=list)
    usage: Usage | None = None
    finish_reason: str | None = None
    upstream_model: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    outcome: str = "served"
    bill: Bill | None = None

    @property
    def target(self) -> Target:
        """Where the current attempt goes."""
        return self.targets[self.attempt - 1]

    @property
    def price(self) -> Price:
        """What the current target asks."""
        return self.target.price or FREE


class Pipeline:
    """Answers requests and bills them. See the top of this file for the steps.

    >>> [step.__name__ for step in Pipeline.STEPS]
    ['_plan', '_reserve', '_guard']
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ledger: Ledger,
        events: EventLog,
        router: Router,
        *,
        guards: Sequence[Guard] = (),
    ) -> None:
        self._database = database
        self._clock = clock
        self._ledger = ledger
        self._events = events
        self._router = router
        self._guards = tuple(guards)
        self._pending: set[asyncio.Task[None]] = set()

    def chat(
        self, principal: Principal, request: ChatRequest, trace: Trace | None = None
    ) -> AsyncGenerator[ChatChunk, None]:
        """The answer, piece by piece, with our `id` and the model's name as it was asked for.

        The last piece carries `usage`, and in `facts` (and under `ikkan` in its data) what the answer cost and where
        it came from. Close the iterator (`aclosing`) when nobody reads on: the upstream is told, and what was sent is
        billed.
        """
        return self._generate(replace(request, principal=principal), trace or Trace())

    def complete(
        self, principal: Principal, request: CompletionRequest, trace: Trace | None = None
    ) -> AsyncGenerator[ChatChunk, None]:
        """As `chat`, for the older endpoint."""
        return self._generate(replace(request, principal=principal), trace or Trace())

    async def embed(self, principal: Principal, request: EmbedRequest, trace: Trace | None = None) -> Embeddings:
        """One vector for each input."""
        run = _Run(replace(request, principal=principal), trace or Trace())
        async with aclosing(self._serve(run)) as pieces:
            async for piece in pieces:
                assert isinstance(piece, Embeddings), "embedding ends in vectors"
                return piece
        raise AssertionError("an answer has at least one piece")

    async def close(self) -> None:
        """Wait until everything that was answered is recorded."""
        while self._pending:
            await asyncio.wait(set(self._pending))

    # ---- the steps ---------------------------------------------------------------------------------------------------

    async def _generate(
        self, request: ChatRequest | CompletionRequest, trace: Trace
    ) -> AsyncGenerator[ChatChunk, None]:
        async with aclosing(self._serve(_Run(request, trace))) as pieces:
            async for piece in pieces:
                assert isinstance(piece, ChatChunk), "a text is answered with text"
                yield piece

    async def _serve(self, run: _Run) -> AsyncGenerator[Piece, None]:
        try:
            for step in self.STEPS:
                await step(self, run)
            async with aclosing(self._call(run)) as pieces:
                async for piece in pieces:
                    yield piece
        except (GeneratorExit, asyncio.CancelledError):
            run.outcome = "client_left"
            raise
        except UpstreamCutShort:
            run.outcome = "upstream_cut"
            raise
        except IkkanError as error:
            run.outcome = error.code
            raise
        except BaseException:
            run.outcome = Internal.code
            raise
        finally:
            await self._settle(run)
        for piece in self._farewell(run):
            yield piece

    async def _plan(self, run: _Run) -> None:
        manner = run.request.manner if isinstance(run.request, ChatRequest) else None
        run.targets = await self._router.resolve(run.request.model, run.request.principal.tenant_id, manner)

    async def _reserve(self, run: _Run) -> None:
        await self._open_attempt(run)

    async def _guard(self, run: _Run) -> None:
        if self._guards:
            request = run.request
            for text in request.prompt_texts:
                asked = GuardedText(request.request_id, request.principal, "in", text)
                await inspect_all(self._guards, asked)

    async def _call(self, run: _Run) -> AsyncGenerator[Piece, None]:
        while True:
            target = run.target
            try:
                async with aclosing(self._pieces(run, target)) as pieces:
                    async for piece in pieces:
                        yield piece
                self._router.succeeded(target)
                return
            except (UpstreamFailed, RateLimited, UnknownModel) as error:
                self._router.failed(target, error)
                if run.began or run.held or run.attempt == len(run.targets):
                    raise
                log.info("the next upstream is asked", extra={"code": error.code, "request_id": run.request.request_id})
                run.usage, run.upstream_model = None, None
                run.facts.clear()
                await self._open_attempt(run, instead_of=error.code)

    async def _settle(self, run: _Run) -> None:
        # A task of its own: it goes on to its end however often the one who waits for it is cancelled.
        await asyncio.shield(self._keep(self._close_attempt(run)))

    STEPS = (_plan, _reserve, _guard)
    """What happens before the upstream is called; `_call` and `_settle` follow, in `_serve`."""

    # ---- what the steps are made of ----------------------------------------------------------------------------------

    async def _pieces(self, run: _Run, target: Target) -> AsyncGenerator[Piece, None]:
        request = run.request
        if isinstance(request, EmbedRequest):
            began = time.perf_counter()
            made = await target.upstream.embed(replace(request, model=target.model))
            run.trace.upstream_s += time.perf_counter() - began
            run.usage, run.upstream_model = made.usage, made.model or None
            run.facts |= made.facts
            run.held.append(made)
            return
        asked = replace(request, model=target.model, body=self._body(run))
        upstream = target.upstream
        chunks = upstream.chat(asked) if isinstance(asked, ChatRequest) else upstream.complete(asked)
        early: list[ChatChunk] = []  # pieces that say nothing yet: until one does, another upstream may still answer
        try:
            while True:
                began = time.perf_counter()
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    break
                finally:
                    run.trace.upstream_s += time.perf_counter() - began
                relayed = await self._relay(run, chunk)
                if relayed is None:
                    continue
                if relayed.finish_reason is not None or not request.stream:
                    run.held.append(relayed)
                elif not run.began and not (relayed.text or relayed.units or relayed.facts):
                    early.append(relayed)
                else:
                    run.began = True
                    for waiting in early:
                        yield waiting
                    early.clear()
                    yield relayed
            run.held[:0] = early
        finally:
            await _close(chunks)

    async def _relay(self, run: _Run, chunk: ChatChunk) -> ChatChunk | None:
        """A piece as the client may see it, after it was measured; None where there is nothing to see."""
        request = run.request
        assert not isinstance(request, EmbedRequest)
        if run.trace.first_at is None:
            run.trace.first_at = time.perf_counter()
        for text, before in ((chunk.text, run.said), (chunk.aside, run.aside)):
            if text and self._guards:
                made = GuardedText(request.request_id, request.principal, "out", text, "".join(before))
                await inspect_all(self._guards, made)
        run.usage = chunk.usage or run.usage
        run.finish_reason = chunk.finish_reason or run.finish_reason
        if chunk.text:
            run.said.append(chunk.text)
        if chunk.aside and self._guards:
            run.aside.append(chunk.aside)
        run.units += chunk.units or estimate.units(chunk.text)
        if chunk.facts:
            run.facts |= chunk.facts
        named = chunk.data.get("model")
        if isinstance(named, str) and named:
            run.upstream_model = named
        if not chunk.data.get("choices") and not chunk.facts:
            return None  # usage alone, which the client gets from us
        data = {**chunk.data, "id": request.request_id, "model": request.model}
        data.pop("usage", None)
        if request.stream and request.include_usage:
            data["usage"] = None
        if chunk.facts:
            data["ikkan"] = dict(chunk.facts)
        return replace(chunk, data=data, usage=None)

    def _farewell(self, run: _Run) -> Sequence[Piece]:
        """What was held back, with what is known now that the bill is written."""
        assert run.bill is not None, "whoever says goodbye has settled"
        request, bill = run.request, run.bill
        elsewhere = run.facts.get("spent_micros") if DELEGATED_TO in run.facts else None
        in_all = bill.cost_micros + (elsewhere if isinstance(elsewhere, int) else 0)
        usage = run.usage or bill.usage if DELEGATED_TO in run.facts else bill.usage
        about = {
            **run.facts,
            "upstream": run.target.upstream_name,
            "upstream_model": run.upstream_model or run.target.model,
            "cost_micros": bill.cost_micros,
            "currency": CURRENCY,
            "cost": format_micros(in_all, CURRENCY),
            "priced": run.target.price is not None,
            "usage_estimated": usage.estimated,
            "latency_ms": round(run.trace.latency_ms, 1),
        }
        if run.trace.first_at is not None:
            about["first_token_ms"] = round((run.trace.first_at - run.trace.began) * 1e3, 1)
        if isinstance(request, EmbedRequest):
            (made,) = run.held
            return [replace(made, usage=usage, facts=about)]
        held = [piece for piece in run.held if isinstance(piece, ChatChunk)]
        if not held:
            # An upstream that never said why it ended.
            held = [ChatChunk(_frame(request, [_ending(request)]), finish_reason="stop")]
        last = held[-1]
        data = {**last.data, "ikkan": about}
        if not request.stream:
            data["usage"] = openai_usage(usage)
        held[-1] = replace(last, data=data, usage=usage, facts=about)
        if request.stream and request.include_usage:
            ending = _frame(request, []) | {"usage": openai_usage(usage)}
            held.append(ChatChunk(ending, usage=usage))
        return held

    def _body(self, run: _Run) -> Mapping[str, Any]:
        body = run.request.body
        if not run.is_limited or any(body.get(name) is not None for name in ("max_tokens", "max_completion_tokens")):
            return body
        return {**body, "max_tokens": run.ceiling}

    async def _open_attempt(self, run: _Run, *, instead_of: str | None = None) -> None:
        run.attempt += 1
        request, target = run.request, run.target
        asked, run.ceiling, answers = _sizes(request)
        most = run.price.of(input_tokens=asked, cached_tokens=0, output_tokens=run.ceiling * answers)
        hold = Hold(
            request_id=request.request_id,
            attempt=run.attempt,
            tenant_id=request.principal.tenant_id,
            key_id=request.principal.key_id,
            subject_id=request.principal.subject_id,
            endpoint=request.endpoint,
            model=request.model,
            upstream=target.upstream_name,
            upstream_model=target.model,
            amount_micros=most,
            priced=target.price is not None,
        )
        run.writing = self._keep(self._write_hold(run, hold, instead_of))
        await asyncio.shield(run.writing)

    async def _write_hold(self, run: _Run, hold: Hold, instead_of: str | None) -> None:
        def write() -> bool:
            with self._database.transaction() as connection:
                if instead_of is not None:
                    self._ledger.release(connection, hold.request_id, hold.attempt - 1, Bill(instead_of))
                return self._ledger.reserve(connection, hold)

        try:
            run.is_limited = await self._database.run(write)
            run.reserved_micros = hold.amount_micros
        except IkkanError:
            if instead_of is not None:
                run.attempt -= 1  # rolled back: the earlier attempt is the one that is open
            raise
        run.is_open = True

    async def _close_attempt(self, run: _Run) -> None:
        if run.writing is not None and not run.writing.done():
            await asyncio.wait({run.writing})  # the client left while the reservation was on its way
        if not run.is_open:
            return
        delivered = run.began or (run.outcome == "served")
        run.bill = self._bill(run, delivered)
        try:
            await self._database.run(self._record, run, run.bill, delivered)
        except Exception:
            # The reservation stays, and `sweep` gives it back. Whoever waits for the answer hears of it.
            log.exception("a bill could not be written", extra={"request_id": run.request.request_id})
            if run.outcome == "served":
                raise

    def _bill(self, run: _Run, delivered: bool) -> Bill:
        latency_ms = round(run.trace.latency_ms, 3)
        first_ms = None if run.trace.first_at is None else round((run.trace.first_at - run.trace.began) * 1e3, 3)
        if not delivered:
            return Bill(run.outcome, upstream_model=run.upstream_model, latency_ms=latency_ms, first_token_ms=first_ms)
        if DELEGATED_TO in run.facts:
            return Bill(run.outcome, Usage(), 0, run.upstream_model, latency_ms, first_ms)
        usage = run.usage or self._estimated(run)
        cost = run.price.of(
            input_tokens=usage.input_tokens, cached_tokens=usage.cached_tokens, output_tokens=usage.output_tokens
        )
        if usage.estimated:
            cost = Micros(min(cost, run.reserved_micros))  # a guess never costs more than was announced
        return Bill(run.outcome, usage, cost, run.upstream_model, latency_ms, first_ms)

    def _estimated(self, run: _Run) -> Usage:
        request = run.request
        asked = sum(estimate.tokens(estimate.units(text)) for text in request.prompt_texts)
        if isinstance(request, EmbedRequest) and not asked:
            asked = sum(len(item) for item in request.inputs)
        return Usage(asked, 0, estimate.tokens(run.units), estimated=True)

    def _record(self, run: _Run, bill: Bill, delivered: bool) -> None:
        request, target = run.request, run.target
        with self._database.transaction() as connection:
            if not delivered:
                self._ledger.release(connection, request.request_id, run.attempt, bill)
                return
            if not self._ledger.settle(connection, request.request_id, run.attempt, bill):
                return
            served = Served(
                request_id=request.request_id,
                endpoint=request.endpoint,
                model=request.model,
                upstream=target.upstream_name,
                upstream_model=run.upstream_model or target.model,
                question=request.question,
                answer="".join(run.said),
                finish_reason=run.finish_reason if run.outcome == "served" else run.outcome,
                usage=bill.usage,
                cost_micros=bill.cost_micros,
                currency=CURRENCY,
                latency_ms=bill.latency_ms or 0.0,
                first_token_ms=bill.first_token_ms,
                facts=run.facts,
            )
            principal = request.principal
            event = inference_served(principal.tenant_id, principal.subject_id, self._clock.now(), served)
            try:
                self._events.append(connection, event)
            except ErasedSubject:
                log.info("an erased person's answer is billed and not recorded")

    def _keep(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        return task


def openai_usage(usage: Usage) -> dict[str, Any]:
    """Counts as the OpenAI wire has them.

    >>> openai_usage(Usage(5, 2, 1))["prompt_tokens_details"]
    {'cached_tokens': 2}
    """
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        **({"completion_tokens_details": {"reasoning_tokens": thought}} if (thought := usage.reasoning_tokens) else {}),
    }


def _sizes(request: Request) -> tuple[int, int, int]:
    """The most input tokens, the most output tokens of one answer, and how many answers."""
    if isinstance(request, EmbedRequest):
        return estimate.ceiling(request.inputs) + 2 * len(request.inputs), 0, 0
    body = request.body
    answers = max(1, _whole(body.get("n")), _whole(body.get("best_of")))
    if isinstance(request, ChatRequest):
        asked = estimate.ceiling(request.messages) + estimate.TOKENS_PER_REQUEST
    else:
        asked = estimate.ceiling(request.prompt) + estimate.TOKENS_PER_REQUEST
        if not isinstance(request.prompt, str) and not (request.prompt and isinstance(request.prompt[0], int)):
            answers *= max(1, len(request.prompt))
    for extra in ("tools", "functions", "response_format", "chat_template_kwargs"):
        if body.get(extra) is not None:
            asked += estimate.json_ceiling(body[extra])
    given = _whole(body.get("max_completion_tokens")) or _whole(body.get("max_tokens"))
    return asked, given or DEFAULT_OUTPUT_TOKENS, answers


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _frame(request: ChatRequest | CompletionRequest, choices: list[dict[str, Any]]) -> dict[str, Any]:
    kind = "text_completion" if isinstance(request, CompletionRequest) else "chat.completion.chunk"
    return {
        "id": request.request_id,
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
        "choices": choices,
    }


def _ending(request: ChatRequest | CompletionRequest) -> dict[str, Any]:
    empty: dict[str, Any] = {"text": ""} if isinstance(request, CompletionRequest) else {"delta": {}}
    return {"index": 0, **empty, "finish_reason": "stop"}


async def _close(chunks: AsyncIterator[ChatChunk]) -> None:
    closing = getattr(chunks, "aclose", None)
    if closing is not None:
        await closing()
