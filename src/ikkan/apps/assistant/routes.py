"""The assistant's API, under `/a/assistant/v1`: ask (a stream on the OpenAI wire), candidates, the intents known so
far, feedback.

The answer itself takes the one pipeline of `cloud`, as a request for the model `assistant`; these routes only open the
door for a signed-in browser.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from ikkan.apps.assistant.service import KnowledgeService, known_intents
from ikkan.apps.assistant.values import MODEL
from ikkan.cloud.events import Feedback
from ikkan.cloud.values import ChatRequest
from ikkan.ground.ids import EventId
from ikkan.kit import AnswerStream, Parts
from ikkan.kit import api as kit_api

_Text = Annotated[str, Field(max_length=20_000)]


class Said(BaseModel):
    """One turn of the conversation so far."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["user", "assistant"]
    content: _Text


class Ask(BaseModel):
    """A question, with what was said before it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    question: Annotated[str, Field(min_length=1, max_length=8_000)]
    history: Annotated[list[Said], Field(max_length=40)] = []


class Mark(BaseModel):
    """What a person says about an answer; `cloud.feedback.check` knows what each kind needs."""

    model_config = ConfigDict(extra="forbid")
    answer_id: Annotated[str, Field(min_length=1, max_length=80)]
    kind: Literal["thumb", "rating", "edit", "choice", "label", "comment"]
    value: float | None = None
    before: _Text | None = None
    after: _Text | None = None
    comment: _Text | None = None
    knowledge_id: Annotated[str, Field(max_length=200)] | None = None


def api(parts: Parts, knowledge: KnowledgeService) -> FastAPI:
    """The four routes. Session, key and CSRF token are checked at the door of `kit.api`."""
    door = kit_api("assistant", parts.frame)

    @door.post("/ask")
    async def ask(request: Request, asked: Ask) -> Response:
        principal = parts.frame.require(request).principal
        messages = [turn.model_dump() for turn in asked.history] + [{"role": "user", "content": asked.question}]
        wanted = ChatRequest(MODEL, messages, stream=True, include_usage=True)
        return AnswerStream(parts.cloud.pipeline.chat(principal, wanted))

    @door.get("/candidates")
    async def candidates(
        question: Annotated[str, Query(min_length=1, max_length=8_000)],
    ) -> dict[str, list[dict[str, str | float]]]:
        found = await parts.database.run(knowledge.candidates, question)
        return {
            "candidates": [
                {
                    "knowledge_id": each.knowledge_id,
                    "question": each.question,
                    "answer": each.answer,
                    "source": each.source,
                    "confidence": round(each.confidence, 4),
                }
                for each in found
            ]
        }

    @door.get("/intents")
    async def intents() -> dict[str, list[str]]:
        return {"intents": list(await parts.database.run(known_intents, parts.registry, parts.artifacts))}

    @door.post("/feedback")
    async def feedback(request: Request, mark: Mark) -> dict[str, str]:
        principal = parts.frame.require(request).principal
        given = Feedback(
            mark.answer_id,
            mark.kind,
            value=mark.value,
            before=mark.before,
            after=mark.after,
            comment=mark.comment,
            knowledge_id=mark.knowledge_id,
        )

        def record() -> EventId:
            with parts.database.transaction() as connection:
                return parts.cloud.feedback.give(connection, principal, given)

        return {"id": mark.answer_id, "event_id": await parts.database.run(record)}

    return door
