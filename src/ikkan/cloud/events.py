"""The events of this room. Samples of every version ever written are kept in `tests/cloud/event_samples`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ikkan.cloud.tuning.values import StoredFile
from ikkan.cloud.values import Usage
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import SubjectId, TenantId

INFERENCE_SERVED = "InferenceServed"
FEEDBACK_GIVEN = "FeedbackGiven"
FILE_UPLOADED = "FileUploaded"


@dataclass(frozen=True, slots=True)
class Served:
    """What was answered, as the event tells it."""

    request_id: str
    """The id of the answer, as the client saw it."""
    endpoint: str
    """`chat`, `completions` or `embeddings`."""
    model: str
    """What the client asked for."""
    upstream: str
    """Who answered."""
    upstream_model: str
    """What that upstream calls the model that answered."""
    question: str
    """The last user text; empty for embeddings."""
    answer: str
    """The text of the first choice, as far as it was sent."""
    finish_reason: str | None
    """`stop`, `length`, …, or `client_left`, `upstream_cut`, `content_refused`."""
    usage: Usage
    cost_micros: int
    currency: str
    latency_ms: float
    """From the door to the last piece."""
    first_token_ms: float | None
    """From the door to the first piece; None if there was none."""
    facts: Mapping[str, Any]
    """What the upstream said about the answer, its source for example."""


def inference_served(tenant_id: TenantId, subject_id: SubjectId | None, at: datetime, served: Served) -> NewEvent:
    """An answer was given, or as much of it as the client waited for."""
    payload = {
        "request_id": served.request_id,
        "endpoint": served.endpoint,
        "model": served.model,
        "upstream": served.upstream,
        "upstream_model": served.upstream_model,
        "question": served.question,
        "answer": served.answer,
        "finish_reason": served.finish_reason,
        "usage": {
            "input_tokens": served.usage.input_tokens,
            "cached_tokens": served.usage.cached_tokens,
            "output_tokens": served.usage.output_tokens,
            "estimated": served.usage.estimated,
        },
        "cost_micros": served.cost_micros,
        "currency": served.currency,
        "latency_ms": served.latency_ms,
        "first_token_ms": served.first_token_ms,
        "facts": dict(served.facts),
    }
    return NewEvent(INFERENCE_SERVED, 1, tenant_id, subject_id, at, SERVICE, payload)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said about an answer."""

    inference_id: str
    """The answer's id."""
    kind: str
    """`thumb`, `rating`, `edit`, `choice`, `label` or `comment`."""
    value: float | None = None
    """Thumb: 1 or -1. Rating: 1 to 5."""
    before: str | None = None
    """Edit: the answer as it was."""
    after: str | None = None
    """Edit: the answer as it should have been. Label: what the question was about."""
    comment: str | None = None
    knowledge_id: str | None = None
    """Choice: the entry that was right."""


def feedback_given(
    tenant_id: TenantId, subject_id: SubjectId | None, at: datetime, feedback: Feedback, *, actor: str
) -> NewEvent:
    """A person judged or corrected an answer."""
    payload = {
        "inference_id": feedback.inference_id,
        "kind": feedback.kind,
        "value": feedback.value,
        "before": feedback.before,
        "after": feedback.after,
        "comment": feedback.comment,
        "knowledge_id": feedback.knowledge_id,
        "actor": actor,
    }
    return NewEvent(FEEDBACK_GIVEN, 1, tenant_id, subject_id, at, SERVICE, payload)


def file_uploaded(file: StoredFile) -> NewEvent:
    """Somebody brought a file to learn from. Only the fact: its words lie in the file."""
    payload = {
        "file_id": file.id,
        "filename": file.filename,
        "purpose": file.purpose,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "kind": file.contents.kind,
        "examples": file.contents.examples,
    }
    return NewEvent(FILE_UPLOADED, 1, file.tenant_id, file.subject_id, file.created_at, SERVICE, payload)
