"""The upstream `assistant`: answers from knowledge when sure, else asks the model."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ikkan.apps.assistant.service.knowledge import KnowledgeService
from ikkan.apps.assistant.service.style import ReplyStyle
from ikkan.apps.assistant.values import (
    EARLIER,
    MODEL,
    STYLE,
    UNSEEN,
    Consulted,
    unit_of,
)
from ikkan.cloud.pipeline import DELEGATED_TO, Pipeline
from ikkan.cloud.upstreams import Health
from ikkan.cloud.upstreams.mannered import MANNER
from ikkan.cloud.values import (
    ChatChunk,
    ChatRequest,
    CompletionRequest,
    Embeddings,
    EmbedRequest,
    Manner,
    Usage,
    new_request_id,
    text_chunk,
    text_of,
)
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import ErasedSubject, IkkanError, UnknownModel
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import IMPROVE, NewEvent
from ikkan.ground.ids import RequestId
from ikkan.kit.letters import language_of

UNKNOWN = {
    "ja": "わかりません。会社の知識に答えが見つからず、質問できるモデルもまだ動いていません。",
    "en": "I don't know. Nothing the company knows answers this, and no model is running yet.",
}
"""What is said when neither knowledge nor a model has an answer."""
_PIECE = re.compile(r"\s*\S{1,12}|\s+")
_EARLIER_LETTERS = 2_000
_log = logging.getLogger(__name__)


class AssistantUpstream:
    """Answers from knowledge when sure, else hands the request to the model `default`, through the same pipeline.

    Implements `ikkan.cloud.upstreams.Upstream`. Which of the two it was travels in the chunks' facts.
    """

    def __init__(
        self,
        knowledge: KnowledgeService,
        pipeline: Pipeline,
        database: Database,
        events: EventLog,
        clock: Clock,
        style: ReplyStyle | None = None,
    ) -> None:
        self._knowledge = knowledge
        self._pipeline = pipeline
        self._database = database
        self._events = events
        self._clock = clock
        self._style = style
        self._beside: set[asyncio.Task[None]] = set()

    async def chat(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """The known answer in pieces, or the model's."""
        question = request.question
        unit = unit_of(request.principal.subject_id, self._clock.now())
        consulted = await self._database.run(self._knowledge.consult, question, unit)
        asked = consulted.facts if consulted is not None else {}
        if consulted is not None and consulted.given.beside is not None:
            # Beside the person's own answer, not before it: nobody waits for the shadow.
            task = asyncio.create_task(self._database.run(self._record_unseen, request, consulted))
            self._beside.add(task)
            task.add_done_callback(self._beside.discard)
        answer = consulted.answer if consulted is not None else None
        if answer is not None:
            facts = {
                "source": "knowledge",
                "knowledge_id": answer.knowledge_id,
                "title": answer.title,
                "document": answer.source,
                "confidence": round(answer.confidence, 4),
                **asked,
            }
            for chunk in _told(answer.text, facts):
                yield chunk
            return
        manner = await self._database.run(self._manner, unit)
        inner = replace(request, model="default", request_id=new_request_id(), include_usage=False, manner=manner)
        earlier = earlier_turns(request.messages)
        try:
            async with aclosing(self._pipeline.chat(request.principal, inner)) as chunks:
                async for chunk in chunks:
                    told = {**asked, EARLIER: earlier} if earlier and chunk.finish_reason is not None else asked
                    yield _from_model(chunk, inner.request_id, told)
        except UnknownModel:
            unknown = UNKNOWN["en" if language_of(question) == "en" else "ja"]
            for chunk in _told(unknown, {"source": "none", **asked}):
                yield chunk

    async def complete(self, request: CompletionRequest) -> AsyncIterator[ChatChunk]:
        """The model's continuation; knowledge answers questions, it does not continue texts."""
        asked = replace(request, model="default", request_id=new_request_id("completions"))
        async with aclosing(self._pipeline.complete(request.principal, asked)) as chunks:
            async for chunk in chunks:
                yield _from_model(chunk, asked.request_id, {})

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """The default embedder's vectors."""
        asked = replace(request, model="default-embed", request_id=new_request_id("embeddings"))
        return await self._pipeline.embed(request.principal, asked)

    async def models(self) -> Sequence[str]:
        """Its one name."""
        return [MODEL]

    async def health(self) -> Health:
        """Knowledge is always there; whether a model is, the router knows."""
        return Health(True)

    async def settle(self) -> None:
        """Wait until what the shadow said is recorded."""
        await asyncio.gather(*self._beside)

    def _manner(self, unit: str) -> Manner | None:
        """A style is no reason to go without an answer."""
        if self._style is None:
            return None
        try:
            return self._style.manner(unit)
        except IkkanError as error:
            _log.warning("answering in no style", extra={"code": error.code})
            return None

    def _record_unseen(self, request: ChatRequest, consulted: Consulted) -> None:
        """A trial is there for the people it serves: what goes wrong in its shadow reaches the log and nobody else."""
        try:
            told = self._knowledge.beside(consulted, request.question)
            assert told is not None, "somebody is in the shadow"
            principal = request.principal
            payload = {"request_id": request.request_id, **told}
            event = NewEvent(UNSEEN, 1, principal.tenant_id, principal.subject_id, self._clock.now(), IMPROVE, payload)
            with self._database.transaction() as connection:
                self._events.append(connection, event)
        except ErasedSubject:
            _log.info("what a shadow said to an erased person is not recorded")
        except Exception as error:
            # The kind of error alone: its text may be the question's.
            kind = type(error).__name__
            _log.error("the shadow could not answer", extra={"artifact": consulted.given.beside, "error": kind})


def earlier_turns(messages: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """What was said before the question, as `[role, text]`: its end, as long as a lesson may be.

    >>> earlier_turns([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
    ...                {"role": "user", "content": "c"}])
    [['user', 'a'], ['assistant', 'b']]
    >>> earlier_turns([{"role": "user", "content": "a" * 5_000}, {"role": "user", "content": "b"}])
    []
    """
    last = max((at for at, each in enumerate(messages) if each.get("role") == "user"), default=0)
    found: list[list[str]] = []
    room = _EARLIER_LETTERS
    for each in reversed(messages[:last]):
        text = text_of(each.get("content"))
        room -= len(text)
        if room < 0 or each.get("role") not in ("user", "assistant", "system"):
            break
        found.insert(0, [str(each["role"]), text])
    return found


def _told(text: str, facts: dict[str, Any]) -> Iterator[ChatChunk]:
    """A text that is there at once, in pieces that a page can show as they come. No tokens were spent on it."""
    first = True
    for piece in _PIECE.findall(text):
        yield text_chunk(piece, first=first)
        first = False
    yield text_chunk("", finish_reason="stop", usage=Usage(), facts=facts, first=first)


def _from_model(chunk: ChatChunk, inner: RequestId, asked: Mapping[str, Any]) -> ChatChunk:
    """A piece of the model's answer, with what ties it to the request that pays for it, and who deferred to it."""
    facts: dict[str, Any] = {"source": "model", DELEGATED_TO: inner, **asked}
    if "upstream_model" in chunk.facts:
        facts |= {"model": chunk.facts["upstream_model"], "spent_micros": chunk.facts.get("cost_micros")}
    if MANNER in chunk.facts:
        facts[STYLE] = chunk.facts[MANNER]
    data = {key: value for key, value in chunk.data.items() if key != "ikkan"}
    return replace(chunk, data=data, facts=facts)
