"""Use cases of the assistant: answer from knowledge when sure, else ask the model; load the sample workspace."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from ikkan.apps.assistant import store
from ikkan.apps.assistant.rules.answerer import Answerer, Reply
from ikkan.apps.assistant.rules.text import language_of
from ikkan.apps.assistant.values import (
    FEEDBACK,
    FROM_SAMPLE,
    LEARNABLE,
    MODEL,
    SERVED,
    Candidate,
    Embed,
    Knowledge,
    KnowledgeAnswer,
)
from ikkan.cloud.pipeline import DELEGATED_TO, Pipeline
from ikkan.cloud.upstreams import Health
from ikkan.cloud.values import (
    LOCAL_TENANT,
    ChatChunk,
    ChatRequest,
    CompletionRequest,
    Embeddings,
    EmbedRequest,
    Usage,
    new_request_id,
    text_chunk,
)
from ikkan.flywheel import Fitted
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import UnknownModel
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import ArtifactId, RequestId, SubjectId, TenantId
from ikkan.models.registry import Registry

UNKNOWN = {
    "ja": "わかりません。会社の知識に答えが見つからず、質問できるモデルもまだ動いていません。",
    "en": "I don't know. Nothing the company knows answers this, and no model is running yet.",
}
"""What is said when neither knowledge nor a model has an answer."""
CORRECTED = {"ja": "社内の訂正", "en": "A colleague's correction"}
"""The title and source of an answer that somebody typed as a correction."""
_PIECE = re.compile(r"\s*\S{1,12}|\s+")
_BATCH = 40


class KnowledgeService:
    """The company's knowledge, and the current champion that finds answers in it.

    A promotion or rollback takes effect with the next question: each asks the registry who the champion is, and a new
    one is loaded once. Changed entries are answered in their new words, removed ones not at all, without training.
    """

    def __init__(
        self,
        database: Database,
        registry: Registry,
        artifacts: ArtifactStore,
        *,
        tenant_id: TenantId = LOCAL_TENANT,
        embed: Embed | None = None,
    ) -> None:
        self._database = database
        self._registry = registry
        self._artifacts = artifacts
        self._tenant_id = tenant_id
        self._embed = embed
        self._lock = threading.Lock()
        self._loaded: tuple[ArtifactId, Answerer] | None = None

    def ask(self, question: str, lang: str | None = None) -> KnowledgeAnswer | None:
        """The best known answer, or None for "I don't know". Blocking; a few milliseconds."""
        found = self._reply(question, lang, most=1)
        if found is None or found[1].best is None:
            return None
        artifact_id, reply = found
        assert reply.best is not None, "just checked"
        entry = self._as_it_is_now(reply.best.entry)
        if entry is None:
            return None
        said = CORRECTED["ja" if entry.lang in ("ja", "zh") else "en"]
        return KnowledgeAnswer(
            knowledge_id=entry.id,
            title=entry.question or said,
            text=entry.answer,
            source=entry.source or said,
            confidence=reply.best.probability,
            artifact_id=artifact_id,
        )

    def candidates(self, question: str, lang: str | None = None, most: int = 5) -> list[Candidate]:
        """Answers that might be meant, the likeliest first, for a person to choose the right one."""
        found = self._reply(question, lang, most=most)
        ranked = found[1].ranked if found else ()
        entries = [(self._as_it_is_now(each.entry), each.probability) for each in ranked]
        return [
            Candidate(entry.id, entry.question or CORRECTED["ja" if entry.lang == "ja" else "en"], entry.answer,
                      entry.source, sure)
            for entry, sure in entries
            if entry is not None
        ]  # fmt: skip

    def known(self) -> list[Knowledge]:
        """Everything the company knows now."""
        with self._database.read() as connection:
            return store.all_of(connection, self._tenant_id)

    def count(self) -> int:
        """How many entries there are."""
        with self._database.read() as connection:
            return store.count(connection, self._tenant_id)

    def _reply(self, question: str, lang: str | None, most: int) -> tuple[ArtifactId, Reply] | None:
        champion = self._champion()
        if champion is None or not question.strip():
            return None
        artifact_id, answerer = champion
        vector = None
        if self._embed is not None and answerer.vectors.shape[1]:
            vector = self._embed([question])[0]
        return artifact_id, answerer.reply(question, lang, vector=vector, most=most)

    def _champion(self) -> tuple[ArtifactId, Answerer] | None:
        artifact_id = self._registry.alias(LEARNABLE, "champion")
        loaded = self._loaded
        if artifact_id is None or (loaded is not None and loaded[0] == artifact_id):
            return loaded if artifact_id is not None else None
        with self._lock:
            if self._loaded is None or self._loaded[0] != artifact_id:
                fitted = Fitted.read(self._artifacts.get(artifact_id))
                self._loaded = (artifact_id, Answerer.load(fitted.files))
            return self._loaded

    def _as_it_is_now(self, entry: Knowledge) -> Knowledge | None:
        if not entry.question:
            return entry  # typed as a correction: it lives in the artifact alone
        with self._database.read() as connection:
            return store.get(connection, self._tenant_id, entry.id)


class AssistantUpstream:
    """Answers from knowledge when sure, else hands the request to the model `default`, through the same pipeline.

    Implements `ikkan.cloud.upstreams.Upstream`. Which of the two it was travels in the chunks' facts.
    """

    def __init__(self, knowledge: KnowledgeService, pipeline: Pipeline, database: Database) -> None:
        self._knowledge = knowledge
        self._pipeline = pipeline
        self._database = database

    async def chat(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """The known answer in pieces, or the model's."""
        question = request.question
        answer = await self._database.run(self._knowledge.ask, question)
        if answer is not None:
            facts = {
                "source": "knowledge",
                "knowledge_id": answer.knowledge_id,
                "title": answer.title,
                "document": answer.source,
                "confidence": round(answer.confidence, 4),
                "artifact": answer.artifact_id,
            }
            for chunk in _told(answer.text, facts):
                yield chunk
            return
        asked = replace(request, model="default", request_id=new_request_id(), include_usage=False)
        try:
            async with aclosing(self._pipeline.chat(request.principal, asked)) as chunks:
                async for chunk in chunks:
                    yield _from_model(chunk, asked.request_id)
        except UnknownModel:
            for chunk in _told(UNKNOWN["en" if language_of(question) == "en" else "ja"], {"source": "none"}):
                yield chunk

    async def complete(self, request: CompletionRequest) -> AsyncIterator[ChatChunk]:
        """The model's continuation; knowledge answers questions, it does not continue texts."""
        asked = replace(request, model="default", request_id=new_request_id("completions"))
        async with aclosing(self._pipeline.complete(request.principal, asked)) as chunks:
            async for chunk in chunks:
                yield _from_model(chunk, asked.request_id)

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


def _told(text: str, facts: dict[str, Any]) -> Iterator[ChatChunk]:
    """A text that is there at once, in pieces that a page can show as they come. No tokens were spent on it."""
    first = True
    for piece in _PIECE.findall(text):
        yield text_chunk(piece, first=first)
        first = False
    yield text_chunk("", finish_reason="stop", usage=Usage(), facts=facts, first=first)


def _from_model(chunk: ChatChunk, inner: RequestId) -> ChatChunk:
    """A piece of the model's answer, with what ties it to the request that pays for it."""
    facts: dict[str, Any] = {"source": "model", DELEGATED_TO: inner}
    if chunk.facts:
        facts |= {"model": chunk.facts.get("upstream_model"), "spent_micros": chunk.facts.get("cost_micros")}
    data = {key: value for key, value in chunk.data.items() if key != "ikkan"}
    return replace(chunk, data=data, facts=facts)


# ---- the sample workspace ------------------------------------------------------------------------------------------


class SampleEntry(Protocol):
    """What `load_sample` reads of an entry of the sample."""

    @property
    def entry_id(self) -> str: ...
    @property
    def lang(self) -> Any: ...
    @property
    def topic(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def source(self) -> str: ...


class SampleReaction(Protocol):
    """What a recorded visitor did about an answer."""

    @property
    def kind(self) -> Literal["edit", "choice", "thumb_up", "thumb_down"]: ...
    @property
    def knowledge_id(self) -> str | None: ...


class SampleVisit(Protocol):
    """What `load_sample` reads of a recorded visit."""

    @property
    def visit_id(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def subject(self) -> str: ...
    @property
    def question(self) -> str: ...

    def reaction(self, shown_id: str | None) -> Any: ...


class Wheel(Protocol):
    """What `load_sample` needs of the flywheel."""

    def ensure_champion(self, name: str, *, refresh: bool = False) -> ArtifactId: ...
    def champion(self, name: str) -> Fitted: ...


@dataclass(frozen=True, slots=True)
class Replayed:
    """One recorded visit as events."""

    served: NewEvent
    feedback: NewEvent | None


def visit_events(
    visit: SampleVisit, shown: Knowledge | None, answers: Mapping[str, str], tenant_id: TenantId = LOCAL_TENANT
) -> Replayed:
    """What a recorded visit leaves in the log when `shown` (None: the model's turn) is what it was shown.

    The payloads are those that the cloud writes; `facts["origin"]` says that they came with the sample.
    """
    subject = SubjectId(visit.subject)
    request_id = f"chatcmpl-{visit.visit_id}"
    facts: dict[str, Any] = {"origin": FROM_SAMPLE, "source": "knowledge" if shown else "model"}
    if shown is not None:
        facts |= {"knowledge_id": shown.id, "title": shown.question}
    said = shown.answer if shown else ""
    served = {
        "request_id": request_id,
        "endpoint": "chat",
        "model": MODEL,
        "upstream": MODEL,
        "upstream_model": MODEL,
        "question": visit.question,
        "answer": said,
        "finish_reason": "stop",
        "usage": {"input_tokens": 0, "cached_tokens": 0, "output_tokens": 0, "estimated": False},
        "cost_micros": 0,
        "currency": "JPY",
        "latency_ms": 0.0,
        "first_token_ms": None,
        "facts": facts,
    }
    event = NewEvent(SERVED, 1, tenant_id, subject, visit.at, SERVICE, served)
    reaction = visit.reaction(shown.id if shown else None)
    if reaction is None:
        return Replayed(event, None)
    given: dict[str, Any] = {"inference_id": request_id, "kind": "thumb", "value": None, "before": None, "after": None}
    given |= {"comment": None, "knowledge_id": None, "actor": "sample"}
    if reaction.kind == "edit":
        given |= {"kind": "edit", "before": said, "after": answers[reaction.knowledge_id]}
    elif reaction.kind == "choice":
        given |= {"kind": "choice", "knowledge_id": reaction.knowledge_id}
    else:
        given |= {"value": 1 if reaction.kind == "thumb_up" else -1}
    later = visit.at + timedelta(seconds=40)
    return Replayed(event, NewEvent(FEEDBACK, 1, tenant_id, subject, later, SERVICE, given))


def load_sample(
    database: Database,
    events: EventLog,
    flywheel: Wheel,
    knowledge: Iterable[SampleEntry],
    visits: Sequence[SampleVisit],
    clock: Clock,
    *,
    tenant_id: TenantId = LOCAL_TENANT,
) -> dict[str, int]:
    """Put the sample's knowledge and recorded visits into this home. Repeatable: what is there is not added again.

    The visits are answered as the champion answers, in a new home from the knowledge alone, and their people react.

    Returns:
        How many `knowledge` entries, `visits` and `corrections` (any reaction) were added.
    """
    entries = [Knowledge(e.entry_id, e.lang, e.topic, e.question, e.answer, e.source) for e in knowledge]
    with database.transaction() as connection:
        added = store.put(connection, tenant_id, entries, clock.now())
    flywheel.ensure_champion(LEARNABLE, refresh=added > 0)
    answerer = Answerer.load(flywheel.champion(LEARNABLE).files)
    answers = {entry.id: entry.answer for entry in entries}
    there = {
        str(event.payload.get("request_id"))
        for event in events.reader().read([SERVED], tenant_id=tenant_id, purpose=SERVICE)
    }
    counted = {"knowledge": added, "visits": 0, "corrections": 0}
    fresh = [visit for visit in sorted(visits, key=lambda visit: visit.at) if f"chatcmpl-{visit.visit_id}" not in there]
    for start in range(0, len(fresh), _BATCH):
        replayed = []
        for visit in fresh[start : start + _BATCH]:
            best = answerer.reply(visit.question, most=1).best
            replayed.append(visit_events(visit, best.entry if best else None, answers, tenant_id))
        recorded = [event for each in replayed for event in (each.served, each.feedback) if event is not None]
        with database.transaction() as connection:
            events.append(connection, *recorded)
        counted["visits"] += len(replayed)
        counted["corrections"] += sum(each.feedback is not None for each in replayed)
    return counted
