"""A chat from the unmodified `openai` client to the ledger, over a real server, also when it goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import openai
import pytest
import sqlalchemy as sa
from openai import AsyncOpenAI

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.tables import meter
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.cloud.values import Usage
from ikkan.ground.errors import UpstreamFailed
from ikkan.ground.eventlog import EventLog

QUESTION: Any = [{"role": "user", "content": "What jumps?"}]
Until = Callable[[Callable[[], bool]], Awaitable[None]]


def metered(cloud: Cloud) -> list[Any]:
    """Every attempt that has ended, oldest first."""
    with cloud.database.read() as connection:
        ended = sa.select(meter).where(meter.c.state != "reserved").order_by(meter.c.request_id, meter.c.attempt)
        return list(connection.execute(ended))


async def test_a_chat_is_answered_billed_and_recorded(client: AsyncOpenAI, cloud: Cloud, events: EventLog) -> None:
    answer: Any = await client.chat.completions.create(model="fake", messages=QUESTION)
    assert answer.choices[0].message.content == "The quick brown fox."
    assert answer.id.startswith("chatcmpl-") and answer._request_id == answer.id
    assert (answer.model, answer.object) == ("fake", "chat.completion")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 4)
    assert answer.ikkan["cost_micros"] == 11 + 2 * 4
    assert answer.ikkan["cost"] == "0.000019 JPY"
    (line,) = cloud.service.usage()
    assert (line.requests, line.input_tokens, line.output_tokens, line.cost_micros) == (1, 11, 4, 19)
    (event,) = events.reader().read(["InferenceServed"])
    assert event.payload["request_id"] == answer.id
    assert event.payload["question"] == "What jumps?"
    assert event.payload["answer"] == "The quick brown fox."
    assert event.payload["finish_reason"] == "stop"
    assert cloud.service.audit().is_sound


async def test_a_stream_ends_with_usage_only_when_asked(client: AsyncOpenAI, fake: FakeUpstream) -> None:
    stream: Any = await client.chat.completions.create(model="fake", messages=QUESTION, stream=True)
    plain = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in plain) == "The quick brown fox."
    assert all(chunk.usage is None for chunk in plain)
    assert plain[-1].choices[0].finish_reason == "stop"
    assert plain[-1].ikkan["cost_micros"] == 19
    stream = await client.chat.completions.create(
        model="fake", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    asked = [chunk async for chunk in stream]
    assert asked[-1].choices == [] and asked[-1].usage.total_tokens == 15
    assert len({chunk.id for chunk in asked}) == 1
    assert fake.open_streams == 0


async def test_whoever_has_seen_an_answer_end_finds_it_in_the_ledger(client: AsyncOpenAI, cloud: Cloud) -> None:
    stream: Any = await client.chat.completions.create(model="fake", messages=QUESTION, stream=True)
    async for chunk in stream:
        ended = bool(chunk.choices[0].finish_reason)
        assert len(metered(cloud)) >= ended


async def test_a_client_that_leaves_pays_for_what_was_sent(
    client: AsyncOpenAI, cloud: Cloud, fake: FakeUpstream, events: EventLog, until: Until
) -> None:
    fake.stall = asyncio.Event()
    stream: Any = await client.chat.completions.create(model="fake", messages=QUESTION, stream=True)
    async for chunk in stream:
        assert chunk.choices[0].delta.content == "The"
        break
    await stream.close()
    await until(lambda: fake.open_streams == 0)
    await until(lambda: len(metered(cloud)) == 1)
    (row,) = metered(cloud)
    assert (row.outcome, row.output_tokens, row.estimated) == ("client_left", 1, True)
    assert row.cost_micros == row.input_tokens + 2
    (event,) = events.reader().read(["InferenceServed"])
    assert (event.payload["answer"], event.payload["finish_reason"]) == ("The", "client_left")
    assert cloud.service.audit().is_sound


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_before_the_first_word_pays_nothing(
    url: str, cloud: Cloud, fake: FakeUpstream, until: Until, stream: bool
) -> None:
    fake.stall, fake.pause_s = asyncio.Event(), {True: 30.0, False: 0.0}[stream]
    body = {"model": "fake", "messages": QUESTION, "stream": stream}
    async with aiohttp.ClientSession() as session:
        asking = asyncio.ensure_future(session.post(f"{url}/v1/chat/completions", json=body))
        await until(lambda: fake.open_streams == 1)
        asking.cancel()
        await asyncio.wait({asking})
    await until(lambda: fake.open_streams == 0)
    await until(lambda: len(metered(cloud)) == 1)
    (row,) = metered(cloud)
    assert (row.state, row.outcome, row.cost_micros) == ("released", "client_left", 0)
    assert cloud.service.audit().is_sound


async def test_an_upstream_that_breaks_off_ends_the_stream_with_an_error(
    client: AsyncOpenAI, cloud: Cloud, fake: FakeUpstream, events: EventLog
) -> None:
    fake.cut_after = 2
    stream: Any = await client.chat.completions.create(model="fake", messages=QUESTION, stream=True)
    heard = []
    with pytest.raises(openai.APIError) as caught:
        async for chunk in stream:
            heard.append(chunk.choices[0].delta.content)
    assert heard == ["The", " quick"]
    assert caught.value.code == "upstream_cut_short"
    (row,) = metered(cloud)
    assert (row.state, row.outcome, row.output_tokens) == ("settled", "upstream_cut", 3)
    (event,) = events.reader().read(["InferenceServed"])
    assert event.payload["answer"] == "The quick"
    assert cloud.service.audit().is_sound


async def test_an_answer_that_never_came_costs_nothing(
    client: AsyncOpenAI, cloud: Cloud, fake: FakeUpstream, events: EventLog
) -> None:
    fake.failure = UpstreamFailed("broken", hint="ask again")
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model="fake", messages=QUESTION)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_failed")
    assert caught.value.request_id is not None and caught.value.request_id.startswith("chatcmpl-")
    (row,) = metered(cloud)
    assert (row.state, row.outcome, row.cost_micros) == ("released", "upstream_failed", 0)
    assert list(events.reader().read(["InferenceServed"])) == []


async def test_an_upstream_that_does_not_count_is_billed_by_estimate(
    client: AsyncOpenAI, cloud: Cloud, fake: FakeUpstream
) -> None:
    fake.usage = None
    answer: Any = await client.chat.completions.create(model="fake", messages=QUESTION)
    assert answer.usage.completion_tokens == 5
    assert answer.ikkan["usage_estimated"] is True
    (row,) = metered(cloud)
    assert row.estimated and row.cost_micros == row.input_tokens + 2 * 5


async def test_cached_tokens_cost_what_cached_tokens_cost(
    client: AsyncOpenAI, cloud: Cloud, fake: FakeUpstream
) -> None:
    fake.usage = Usage(input_tokens=1_000, cached_tokens=900, output_tokens=10)
    answer: Any = await client.chat.completions.create(model="fake", messages=QUESTION)
    assert answer.usage.prompt_tokens_details.cached_tokens == 900
    (line,) = cloud.service.usage(by=())
    assert (line.cached_tokens, line.cost_micros) == (900, 100 + 90 + 20)


async def test_many_chats_at_once_keep_to_themselves(client: AsyncOpenAI, cloud: Cloud, fake: FakeUpstream) -> None:
    fake.pause_s = 0.005
    answers: list[Any] = await asyncio.gather(
        *(client.chat.completions.create(model="fake", messages=QUESTION) for _ in range(40))
    )
    assert {answer.choices[0].message.content for answer in answers} == {"The quick brown fox."}
    assert len({answer.id for answer in answers}) == 40
    (line,) = cloud.service.usage(by=())
    assert (line.requests, line.cost_micros) == (40, 40 * 19)
    assert cloud.service.audit().is_sound
