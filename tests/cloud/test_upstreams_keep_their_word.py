"""The conformance suite: what every upstream promises, whoever it is.

`script` is what the upstream was told to do; over the wire it is a vendor's server that does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import pytest

from ikkan.cloud.upstreams import Upstream
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.cloud.upstreams.openai_wire import HttpPool, OpenAIWire, Quirks
from ikkan.cloud.values import ChatChunk, ChatRequest, CompletionRequest, EmbedRequest, Usage
from ikkan.cloud.wires.openai import whole
from ikkan.ground.errors import (
    BadInput,
    IkkanError,
    PromptTooLong,
    RateLimited,
    UnknownModel,
    UpstreamCutShort,
    UpstreamFailed,
    UpstreamUnreachable,
)

MESSAGES = [{"role": "user", "content": "What jumps?"}]


@pytest.fixture
def script() -> FakeUpstream:
    return FakeUpstream()


Start = Callable[[FakeUpstream], Awaitable[Any]]


async def in_this_process(script: FakeUpstream, start: Start, http: HttpPool) -> Upstream:
    return script


async def on_the_wire(script: FakeUpstream, start: Start, http: HttpPool) -> Upstream:
    return OpenAIWire("vendor", (await start(script)).url, http)


async def on_a_wire_that_only_streams(script: FakeUpstream, start: Start, http: HttpPool) -> Upstream:
    return OpenAIWire("vendor", (await start(script)).url, http, quirks=Quirks(always_stream=True))


@pytest.fixture(params=[in_this_process, on_the_wire, on_a_wire_that_only_streams], ids=lambda make: make.__name__)
async def upstream(request: pytest.FixtureRequest, script: FakeUpstream, vendors: Start) -> AsyncIterator[Upstream]:
    http = HttpPool()
    yield await request.param(script, vendors, http)
    await http.close()


async def said(chunks: AsyncIterator[ChatChunk]) -> list[ChatChunk]:
    return [chunk async for chunk in chunks]


async def test_a_stream_adds_up_to_the_answer(upstream: Upstream) -> None:
    chunks = await said(upstream.chat(ChatRequest("fake", MESSAGES, stream=True)))
    assert "".join(chunk.text for chunk in chunks) == "The quick brown fox."
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert len(chunks) > 4
    assert all(chunk.data["object"] == "chat.completion.chunk" for chunk in chunks)


async def test_the_last_usage_is_the_answers(upstream: Upstream, script: FakeUpstream) -> None:
    script.usage = Usage(100, 40, 7)
    chunks = await said(upstream.chat(ChatRequest("fake", MESSAGES, stream=True)))
    assert [chunk.usage for chunk in chunks if chunk.usage][-1] == Usage(100, 40, 7)


async def test_an_upstream_that_does_not_count_says_nothing(upstream: Upstream, script: FakeUpstream) -> None:
    script.usage = None
    chunks = await said(upstream.chat(ChatRequest("fake", MESSAGES, stream=True)))
    assert [chunk.usage for chunk in chunks if chunk.usage] == []
    assert sum(chunk.units for chunk in chunks) == len("The quick brown fox.")


async def test_an_answer_that_is_not_streamed_is_whole(upstream: Upstream) -> None:
    chunks = await said(upstream.chat(ChatRequest("fake", MESSAGES)))
    assert whole(chunks)["choices"][0]["message"]["content"] == "The quick brown fox."
    assert [chunk.usage for chunk in chunks if chunk.usage][-1] == Usage(11, 0, 4)


@pytest.mark.parametrize("stream", [True, False])
async def test_the_older_endpoint_answers_with_text(upstream: Upstream, stream: bool) -> None:
    chunks = await said(upstream.complete(CompletionRequest("fake", "What jumps?", stream=stream)))
    assert whole(chunks)["choices"][0]["text"] == "The quick brown fox."


async def test_leaving_a_stream_frees_its_slot(
    upstream: Upstream, script: FakeUpstream, until: Callable[[Callable[[], bool]], Awaitable[None]]
) -> None:
    script.stall = asyncio.Event()
    async with aclosing(cast(Any, upstream.chat(ChatRequest("fake", MESSAGES, stream=True)))) as chunks:
        first = await anext(chunks)
        assert first.text == "The"
        assert script.open_streams == 1
    await until(lambda: script.open_streams == 0)


async def test_cancelling_an_answer_that_has_not_begun_frees_its_slot(
    upstream: Upstream, script: FakeUpstream, until: Callable[[Callable[[], bool]], Awaitable[None]]
) -> None:
    script.stall = asyncio.Event()
    waiting = asyncio.ensure_future(said(upstream.chat(ChatRequest("fake", MESSAGES))))
    await until(lambda: script.open_streams == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(lambda: script.open_streams == 0)


@pytest.mark.parametrize("after", [1, 3, 4])
async def test_a_stream_that_breaks_off_never_ends_as_if_it_were_whole(
    upstream: Upstream, script: FakeUpstream, after: int
) -> None:
    script.cut_after = after
    heard = ""
    with pytest.raises(UpstreamCutShort):
        async for chunk in upstream.chat(ChatRequest("fake", MESSAGES, stream=True)):
            heard += chunk.text
    assert heard == "".join(script.answer[:after])
    assert script.open_streams == 0


async def test_a_whole_answer_that_breaks_off_is_an_error(upstream: Upstream, script: FakeUpstream) -> None:
    script.cut_after = 2
    with pytest.raises(UpstreamFailed):
        await said(upstream.chat(ChatRequest("fake", MESSAGES)))


@pytest.mark.parametrize(
    "failure",
    [
        BadInput("temperature is a number"),
        PromptTooLong("too long"),
        RateLimited("slowly", retry_after_s=3.0),
        UnknownModel("no such model"),
        UpstreamFailed("broken"),
        UpstreamUnreachable("loading"),
    ],
    ids=lambda failure: failure.code,
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_goes_wrong_before_the_first_word_has_a_name(
    upstream: Upstream, script: FakeUpstream, failure: IkkanError, stream: bool
) -> None:
    script.failure = failure
    with pytest.raises(type(failure)) as caught:
        await said(upstream.chat(ChatRequest("fake", MESSAGES, stream=stream)))
    assert caught.value.status == failure.status or failure.status == 502
    assert caught.value.facts.get("retry_after_s") == failure.facts.get("retry_after_s")


async def test_each_input_gets_its_own_vector_in_order(upstream: Upstream) -> None:
    made = await upstream.embed(EmbedRequest("fake", ["a", "bbb", "cc"]))
    assert [vector[0] for vector in made.vectors] == [1.0, 3.0, 2.0]
    assert made.usage == Usage(6, 0, 0)


async def test_it_says_what_it_offers_and_how_it_is(upstream: Upstream, script: FakeUpstream) -> None:
    script.offered = ["fake", "org/other-7b"]
    assert list(await upstream.models()) == ["fake", "org/other-7b"]
    assert (await upstream.health()).ok
    script.failure = UpstreamFailed("broken")
    assert not (await upstream.health()).ok
