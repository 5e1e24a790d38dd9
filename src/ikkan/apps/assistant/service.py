"""Use cases of the assistant: answer from knowledge when sure, else ask the model; load the sample workspace."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from ikkan.apps.assistant import store
from ikkan.apps.assistant.rules.answerer import Answerer, Reply
from ikkan.apps.assistant.rules.text import language_of
from ikkan.apps.assistant.values import (
    EARLIER,
    FEEDBACK,
    FROM_SAMPLE,
    INTENT,
    LEARNABLE,
    MODEL,
    REPLY_STYLE,
    SERVED,
    STYLE,
    UNSEEN,
    Candidate,
    Consulted,
    Embed,
    Knowledge,
    KnowledgeAnswer,
    unit_of,
)
from ikkan.cloud.pipeline import DELEGATED_TO, Pipeline
from ikkan.cloud.upstreams import Health
from ikkan.cloud.upstreams.mannered import MANNER
from ikkan.cloud.values import (
    LOCAL_TENANT,
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
from ikkan.flywheel import Fitted, Given
from ikkan.flywheel.contract import Gives
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import ErasedSubject, IkkanError, UnknownModel
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import IMPROVE, SERVICE, NewEvent
from ikkan.ground.ids import ArtifactId, RequestId, SubjectId, TenantId
from ikkan.models.adapters import WEIGHTS
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
_ARMS = 2
_EARLIER_LETTERS = 2_000
_log = logging.getLogger(__name__)


class KnowledgeService:
    """The company's knowledge, and the model that finds answers in it: the champion, or in a trial one of two.

    A promotion or rollback takes effect with the next question: each asks who answers, and a new model is loaded once.
    Changed entries are answered in their new words, removed ones not at all, without training.

    Args:
        gives: who answers a person; None: always the registry's champion.
    """

    def __init__(
        self,
        database: Database,
        registry: Registry,
        artifacts: ArtifactStore,
        *,
        tenant_id: TenantId = LOCAL_TENANT,
        embed: Embed | None = None,
        gives: Gives | None = None,
    ) -> None:
        self._database = database
        self._registry = registry
        self._artifacts = artifacts
        self._tenant_id = tenant_id
        self._embed = embed
        self._gives = gives or self._champion
        self._lock = threading.Lock()
        self._loaded: dict[ArtifactId, Answerer] = {}

    def ask(self, question: str, lang: str | None = None) -> KnowledgeAnswer | None:
        """The best known answer, or None for "I don't know". Blocking; a few milliseconds."""
        consulted = self.consult(question, lang=lang)
        return consulted.answer if consulted is not None else None

    def consult(self, question: str, unit: str = "", *, lang: str | None = None) -> Consulted | None:
        """The same for one person, who in a trial is always given the same model; None where there is none."""
        given = self._gives(LEARNABLE, unit)
        if given is None or not question.strip():
            return None
        answer, lookup_ms = self._answer(given.artifact_id, question, lang)
        return Consulted(given, answer, lookup_ms)

    def beside(self, consulted: Consulted, question: str) -> dict[str, Any] | None:
        """What the candidate in the shadow says to the same question, as its event tells it; None: there is none."""
        if consulted.given.beside is None:
            return None
        answer, lookup_ms = self._answer(consulted.given.beside, question, None)
        return {
            "artifact": consulted.given.beside,
            "knowledge_id": answer.knowledge_id if answer is not None else None,
            "confidence": round(answer.confidence, 4) if answer is not None else None,
            "lookup_ms": round(lookup_ms, 3),
        }

    def candidates(self, question: str, lang: str | None = None, most: int = 5) -> list[Candidate]:
        """Answers that might be meant, the likeliest first, for a person to choose the right one."""
        given = self._gives(LEARNABLE, "")
        found = self._reply(given.artifact_id, question, lang, most=most) if given and question.strip() else None
        ranked = found.ranked if found else ()
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

    def _answer(self, artifact_id: ArtifactId, question: str, lang: str | None) -> tuple[KnowledgeAnswer | None, float]:
        """This model's best answer and the milliseconds it took to look it up."""
        answerer = self._model(artifact_id)  # loading is not the question's fault
        began = time.perf_counter()
        best = self._said(answerer, question, lang, most=1).best
        lookup_ms = (time.perf_counter() - began) * 1e3
        entry = self._as_it_is_now(best.entry) if best is not None else None
        if best is None or entry is None:
            return None, lookup_ms
        said = CORRECTED["ja" if entry.lang in ("ja", "zh") else "en"]
        answer = KnowledgeAnswer(
            knowledge_id=entry.id,
            title=entry.question or said,
            text=entry.answer,
            source=entry.source or said,
            confidence=best.probability,
            artifact_id=artifact_id,
        )
        return answer, lookup_ms

    def _reply(self, artifact_id: ArtifactId, question: str, lang: str | None, most: int) -> Reply:
        return self._said(self._model(artifact_id), question, lang, most)

    def _said(self, answerer: Answerer, question: str, lang: str | None, most: int) -> Reply:
        vector = None
        if self._embed is not None and answerer.vectors.shape[1]:
            vector = self._embed([question])[0]
        return answerer.reply(question, lang, vector=vector, most=most)

    def _champion(self, name: str, unit: str) -> Given | None:
        champion = self._registry.alias(name, "champion")
        return Given(champion) if champion is not None else None

    def _model(self, artifact_id: ArtifactId) -> Answerer:
        """The model of this id, loaded once; the two loaded last stay in memory: a trial has two arms."""
        loaded = self._loaded
        if artifact_id not in loaded:
            with self._lock:
                loaded = self._loaded
                if artifact_id not in loaded:
                    answerer = Answerer.load(Fitted.read(self._artifacts.get(artifact_id)).files)
                    kept = list(loaded.items())[-(_ARMS - 1) :]
                    self._loaded = loaded = {**dict(kept), artifact_id: answerer}
        return loaded[artifact_id]

    def _as_it_is_now(self, entry: Knowledge) -> Knowledge | None:
        if not entry.question:
            return entry  # typed as a correction: it lives in the artifact alone
        with self._database.read() as connection:
            return store.get(connection, self._tenant_id, entry.id)


def known_intents(registry: Registry, artifacts: ArtifactStore) -> tuple[str, ...]:
    """What the champion of `assistant.intent` can tell apart, in order; none before it learned. Blocking."""
    champion = registry.alias(INTENT, "champion")
    if champion is None:
        return ()
    with artifacts.open(champion, "ladder.json") as file:
        return tuple(sorted(json.load(file)["intents"]))


class ReplyStyle:
    """How this house wants the model's answers written: the adapter of the champion of `assistant.reply_style`.

    Args:
        gives: who writes for a person; None: always the registry's champion.
    """

    def __init__(self, registry: Registry, artifacts: ArtifactStore, *, gives: Gives | None = None) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._gives = gives or self._champion
        self._known: tuple[ArtifactId, Manner | None] | None = None

    def manner(self, unit: str) -> Manner | None:
        """The adapter for one person's answer; None where nothing was learned yet. Blocking; a row is read."""
        given = self._gives(REPLY_STYLE, unit)
        if given is None:
            return None
        known = self._known
        if known is None or known[0] != given.artifact_id:
            manifest = self._artifacts.get(given.artifact_id).manifest
            base = manifest.facts.get("base")
            found = Manner(given.artifact_id, base) if WEIGHTS in manifest.files and isinstance(base, str) else None
            self._known = known = (given.artifact_id, found)
        return known[1]

    def _champion(self, name: str, unit: str) -> Given | None:
        champion = self._registry.alias(name, "champion")
        return Given(champion) if champion is not None else None


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
