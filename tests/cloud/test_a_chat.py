"""A chat from the unmodified `openai` client to the ledger."""

from __future__ import annotations

from openai import AsyncOpenAI

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.ground.eventlog import EventLog

QUESTION = [{"role": "user", "content": "What jumps?"}]


async def test_a_chat_is_answered_billed_and_recorded(client: AsyncOpenAI, cloud: Cloud, events: EventLog) -> None:
    answer = await client.chat.completions.create(model="fake", messages=QUESTION)  # type: ignore[call-overload]
    assert answer.choices[0].message.content == "The quick brown fox."
    assert answer.id.startswith("chatcmpl-")
    assert answer._request_id == answer.id
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 4)
    assert answer.ikkan["cost_micros"] == 11 + 2 * 4
    (line,) = cloud.service.usage()
    assert (line.requests, line.input_tokens, line.output_tokens, line.cost_micros) == (1, 11, 4, 19)
    (event,) = events.reader().read(["InferenceServed"])
    assert event.payload["request_id"] == answer.id
    assert event.payload["question"] == "What jumps?"
    assert event.payload["answer"] == "The quick brown fox."
    assert cloud.service.audit().is_sound


async def test_a_stream_ends_with_usage_only_when_asked(client: AsyncOpenAI, fake: FakeUpstream) -> None:
    plain = [
        chunk async for chunk in await client.chat.completions.create(model="fake", messages=QUESTION, stream=True)
    ]  # type: ignore[call-overload]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in plain) == "The quick brown fox."
    assert all(chunk.usage is None for chunk in plain)
    assert plain[-1].choices[0].finish_reason == "stop"
    assert plain[-1].ikkan["cost_micros"] == 19
    asked = [
        chunk
        async for chunk in await client.chat.completions.create(  # type: ignore[call-overload]
            model="fake", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    ]
    assert asked[-1].choices == [] and asked[-1].usage.total_tokens == 15
    assert len({chunk.id for chunk in asked}) == 1
    assert fake.open_streams == 0
