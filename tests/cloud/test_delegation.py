"""An upstream of this process that asks the pipeline itself: shown as one answer, billed once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.pipeline import DELEGATED_TO, Pipeline
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.cloud.values import ChatChunk, ChatRequest, new_request_id, text_chunk
from ikkan.ground.eventlog import EventLog


@pytest.fixture
def database_url(_fresh_sqlite: Callable[[Path], Any], tmp_path: Path) -> Iterator[str]:
    """One kind of database is enough here: nothing in this file is about how rows are kept."""
    with _fresh_sqlite(tmp_path) as url:
        yield url


@dataclass
class Helpdesk(FakeUpstream):
    """Knows one answer, and asks the model `fake` for all others."""

    pipeline: Pipeline | None = None

    async def chat(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:  # type: ignore[override]
        known = {"Where?": "On the second floor."}.get(request.question)
        answer = {True: self.ask, False: self.know}[known is None]
        async for chunk in answer(request, known or ""):
            yield chunk

    async def know(self, request: ChatRequest, known: str) -> AsyncIterator[ChatChunk]:
        yield text_chunk(known, first=True, facts={"source": "knowledge", "confidence": 0.9})
        yield text_chunk("", finish_reason="stop")

    async def ask(self, request: ChatRequest, known: str) -> AsyncIterator[ChatChunk]:
        assert self.pipeline is not None
        asked = replace(request, model="fake", request_id=new_request_id(), include_usage=False)
        async for chunk in self.pipeline.chat(request.principal, asked):
            spent = chunk.facts.get("cost_micros")
            facts = {"source": "model", DELEGATED_TO: asked.request_id, "spent_micros": spent}
            yield replace(chunk, facts=facts)


async def test_an_answer_out_of_knowledge_carries_its_facts(
    client: AsyncOpenAI, cloud: Cloud, events: EventLog
) -> None:
    cloud.router.register("helpdesk", Helpdesk(pipeline=cloud.pipeline), models=["helpdesk"])
    question: Any = [{"role": "user", "content": "Where?"}]
    answer: Any = await client.chat.completions.create(model="helpdesk", messages=question)
    assert answer.choices[0].message.content == "On the second floor."
    assert (answer.ikkan["source"], answer.ikkan["confidence"]) == ("knowledge", 0.9)
    (event,) = events.reader().read(["InferenceServed"])
    assert event.payload["facts"] == {"source": "knowledge", "confidence": 0.9}
    stream: Any = await client.chat.completions.create(model="helpdesk", messages=question, stream=True)
    chunks = [chunk async for chunk in stream]
    assert chunks[0].ikkan == {"source": "knowledge", "confidence": 0.9}


async def test_an_answer_of_a_model_behind_it_is_billed_once(
    client: AsyncOpenAI, cloud: Cloud, events: EventLog
) -> None:
    cloud.router.register("helpdesk", Helpdesk(pipeline=cloud.pipeline), models=["helpdesk"])
    question: Any = [{"role": "user", "content": "What jumps?"}]
    answer: Any = await client.chat.completions.create(model="helpdesk", messages=question)
    assert answer.choices[0].message.content == "The quick brown fox."
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 4)
    assert (answer.ikkan["cost_micros"], answer.ikkan["cost"]) == (0, "0.000019 JPY")
    lines = {line.model: line for line in cloud.service.usage(by=("model",))}
    assert (lines["fake"].output_tokens, lines["fake"].cost_micros) == (4, 19)
    assert (lines["helpdesk"].requests, lines["helpdesk"].output_tokens, lines["helpdesk"].cost_micros) == (1, 0, 0)
    served = {event.payload["model"]: event.payload for event in events.reader().read(["InferenceServed"])}
    assert served["helpdesk"]["facts"][DELEGATED_TO] == served["fake"]["request_id"]
    assert served["helpdesk"]["request_id"] == answer.id
    assert cloud.service.audit().is_sound
