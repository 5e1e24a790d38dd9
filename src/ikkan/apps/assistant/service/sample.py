"""The sample workspace: its knowledge, and its recorded visits as events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from ikkan.apps.assistant import store
from ikkan.apps.assistant.rules.answerer import Answerer
from ikkan.apps.assistant.values import (
    FEEDBACK,
    FROM_SAMPLE,
    LEARNABLE,
    MODEL,
    SERVED,
    Knowledge,
)
from ikkan.cloud.values import (
    LOCAL_TENANT,
)
from ikkan.flywheel import Fitted
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import ArtifactId, SubjectId, TenantId

_BATCH = 40


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
