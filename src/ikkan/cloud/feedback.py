"""Feedback: what people say about answers, bound to the answer they said it about."""

from __future__ import annotations

import math

import sqlalchemy as sa

from ikkan.cloud.events import Feedback, feedback_given
from ikkan.cloud.tables import meter
from ikkan.cloud.values import Principal
from ikkan.ground.clock import Clock
from ikkan.ground.errors import BadInput, NotFound
from ikkan.ground.eventlog import EventLog
from ikkan.ground.ids import EventId

KINDS = ("thumb", "rating", "edit", "choice", "label", "comment")


class FeedbackBook:
    """Takes feedback down as events."""

    def __init__(self, events: EventLog, clock: Clock) -> None:
        self._events = events
        self._clock = clock

    def give(self, connection: sa.Connection, principal: Principal, feedback: Feedback) -> EventId:
        """Record what a person said about one of their organisation's answers, in the caller's transaction.

        Where nobody says who it is, it is the person the answer was for.

        Raises:
            BadInput: the kind does not exist, or lacks what it needs.
            NotFound: this organisation was given no such answer.
            ErasedSubject: the person was erased.
        """
        check(feedback)
        statement = sa.select(meter.c.subject_id).where(
            meter.c.request_id == feedback.inference_id, meter.c.tenant_id == principal.tenant_id
        )
        row = connection.execute(statement.order_by(meter.c.attempt.desc()).limit(1)).first()
        if row is None:
            raise NotFound("there is no answer with this id", hint="send the `id` of the answer as it came", param="id")
        subject_id = principal.subject_id or row.subject_id
        actor = "local" if principal.key_id is None else f"key:{principal.key_id}"
        event = feedback_given(principal.tenant_id, subject_id, self._clock.now(), feedback, actor=actor)
        (event_id,) = self._events.append(connection, event)
        return event_id


def check(feedback: Feedback) -> None:
    """Refuse feedback that says nothing.

    Raises:
        BadInput: the kind does not exist, or lacks what it needs.

    >>> check(Feedback("chatcmpl-1", "thumb", value=1))
    """
    value, kind = feedback.value, feedback.kind
    if kind not in KINDS:
        raise BadInput(f"there is no feedback of kind {kind!r}", hint=f"one of {', '.join(KINDS)}", param="kind")
    if value is not None and not math.isfinite(value):
        raise BadInput("a value is a number", hint="thumb: 1 or -1; rating: 1 to 5", param="value")
    if kind == "thumb" and value not in (1, -1):
        raise BadInput("a thumb is up or down", hint='"value": 1 or -1', param="value")
    if kind == "rating" and (value is None or not 1 <= value <= 5):
        raise BadInput("a rating is from 1 to 5", hint='"value": 4', param="value")
    if kind == "edit" and not (feedback.after or "").strip():
        raise BadInput("an edit says how the answer should have been", hint='"after": "…"', param="after")
    if kind == "choice" and not (feedback.knowledge_id or (feedback.after or "").strip()):
        raise BadInput("a choice says which answer was right", hint='"knowledge_id": "…"', param="knowledge_id")
    if kind == "label" and not (feedback.after or "").strip():
        raise BadInput("a label names what the question was about", hint='"after": "…"', param="after")
    if kind == "comment" and not (feedback.comment or "").strip():
        raise BadInput("a comment has words", hint='"comment": "…"', param="comment")
    for name in ("before", "after", "comment", "knowledge_id"):
        if len(getattr(feedback, name) or "") > 200_000:
            raise BadInput(f"{name} is too long", hint="at most 200,000 characters", param=name)
