"""Tools, shapes and reasoning pass through the gateway both ways, to our own engine and back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError
from starlette.applications import Starlette
from tests.engine.scripted import THINKING, Scripted

from ikkan.cloud.assembly import Cloud, assemble
from ikkan.cloud.guards import PASS, GuardedText, Verdict
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.cloud.upstreams.openai_wire import HttpPool, OpenAIWire
from ikkan.cloud.values import LOCAL, ChatChunk, ChatRequest
from ikkan.engine.engine import Engine
from ikkan.engine.fakes import fake_tokenizer
from ikkan.engine.server import create_app
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import ContentRefused
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.models.template import ChatTemplate

from .conftest import PRICE, listening

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {
    "type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}}}  # fmt: skip
ARGUMENTS = '{"word": "fox"}'
CALL = (
    "<think>\nI must look.\n</think>\n\nOne moment.\n"
    f'<tool_call>\n{{"name": "look_up", "arguments": {ARGUMENTS}}}\n</tool_call>'
)


def answer(prompt: str) -> str:
    last = prompt.rpartition("<user>\n")[2]
    return {True: "<think>\n\n</think>\n\nIt is red.", False: CALL}["<tool_response>" in last]


@pytest.fixture
def database_url(_fresh_sqlite: Callable[[Path], Any], tmp_path: Path) -> Iterator[str]:
    """One kind of database is enough here: nothing in this file is about how rows are kept."""
    with _fresh_sqlite(tmp_path) as url:
        yield url


@pytest.fixture
async def house(cloud: Cloud) -> AsyncIterator[Cloud]:
    """The cloud with our own engine behind the model `tiny`."""
    engine = Engine(Scripted(script=answer), fake_tokenizer(), ChatTemplate(THINKING), context_tokens=4000)
    engine.start()
    http = HttpPool()
    async with listening(create_app(engine, served_name="tiny")) as address:
        cloud.router.register("house", OpenAIWire("house", address, http), models=["tiny"], price=PRICE)
        yield cloud
        await http.close()
    engine.stop()


@pytest.fixture
async def caller(house: Cloud) -> AsyncIterator[AsyncOpenAI]:
    async with (
        listening(Starlette(routes=house.routes())) as address,
        AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as opened,
    ):
        yield opened
    await house.close()


async def ask(client: AsyncOpenAI, messages: Any = None, **more: Any) -> Any:
    asked = messages or [{"role": "user", "content": "What is a fox?"}]
    settings = {"temperature": 0, "max_tokens": 300, "tools": [TOOL], **more}
    return await client.chat.completions.create(model="tiny", messages=asked, **settings)


async def test_a_conversation_with_a_tool_goes_round(caller: AsyncOpenAI, house: Cloud) -> None:
    reply = await ask(caller)
    choice = reply.choices[0]
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, call.function.name, call.function.arguments) == ("tool_calls", "look_up", ARGUMENTS)
    assert (choice.message.content, choice.message.reasoning_content) == ("One moment.", "I must look.")
    thought = "<think>\nI must look.\n</think>"
    assert reply.usage.completion_tokens_details.reasoning_tokens == len(thought)
    mute = choice.message.model_dump(exclude_none=True) | {"content": None}
    messages = [
        {"role": "user", "content": "What is a fox?"},
        mute,
        {"role": "tool", "tool_call_id": call.id, "content": "red"},
    ]
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    again = await ask(caller, messages, extra_body=extra)
    assert again.choices[0].message.content == "It is red."
    (line,) = house.service.usage(by=())
    assert (line.requests, line.failed) == (2, 0)


async def test_calls_stream_as_they_grow(caller: AsyncOpenAI) -> None:
    thought = content = arguments = ""
    names, reasons, counted = [], [], None
    async for chunk in await ask(caller, stream=True, stream_options={"include_usage": True}):
        counted = chunk.usage or counted
        for choice in chunk.choices:
            reasons.append(choice.finish_reason)
            thought += getattr(choice.delta, "reasoning_content", None) or ""
            content += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                names += [call.function.name] if call.id else []
                arguments += call.function.arguments
    assert (thought, content, names, arguments) == ("I must look.", "One moment.", ["look_up"], ARGUMENTS)
    assert reasons[-1] == "tool_calls"
    assert counted is not None and counted.completion_tokens_details.reasoning_tokens > 0


async def test_a_shape_is_asked_for_and_refused_through_the_gateway(caller: AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    reply = await ask(caller, tools=None, response_format=form, extra_body=off)
    assert json.loads(reply.choices[0].message.content)["a"] in (1, 2)
    odd = {**form, "json_schema": {"name": "s", "schema": {"properties": {"a": {"not": {}}}}}}
    with pytest.raises(BadRequestError, match="#/properties/a/not"):
        await ask(caller, tools=None, response_format=odd)


class Everything:
    """Remembers what it saw; lets nothing pass that holds its word."""

    name = "everything"

    def __init__(self, word: str) -> None:
        self.word = word
        self.seen: list[str] = []

    async def inspect(self, chunk: GuardedText) -> Verdict:
        self.seen.append(chunk.before + chunk.text)
        return {True: Verdict(False, "not that"), False: PASS}[self.word in chunk.before + chunk.text]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": '"secret"'}}]}],
        [{"role": "assistant", "reasoning_content": "secret"}],
        [{"role": "tool", "content": "secret"}],
    ],
)
async def test_guards_see_calls_and_results_that_go_in(
    database: Database, clock: FakeClock, events: EventLog, keys: Keys, messages: list[Any]
) -> None:
    guard, fake = Everything("secret"), FakeUpstream()
    cloud = assemble(database, clock, events, keys, guards=[guard])
    cloud.service.prepare()
    cloud.router.register("fake", fake, models=["fake"], price=PRICE)
    with pytest.raises(ContentRefused):
        [chunk async for chunk in cloud.pipeline.chat(LOCAL, ChatRequest("fake", messages))]
    assert fake.requests == []
    await cloud.close()


class Saying(FakeUpstream):
    """Answers with these deltas."""

    deltas: tuple[tuple[str, str], ...] = ()

    async def chat(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:  # type: ignore[override]
        for text, aside in self.deltas:
            data = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
            yield ChatChunk(data, text, aside=aside, units=1)


async def test_guards_see_reasoning_and_arguments_that_come_out(
    database: Database, clock: FakeClock, events: EventLog, keys: Keys
) -> None:
    guard, fake = Everything("secret"), Saying("fake")
    fake.deltas = (("se", "a"), ("cr", "se"), ("", "cret"))
    cloud = assemble(database, clock, events, keys, guards=[guard])
    cloud.service.prepare()
    cloud.router.register("fake", fake, models=["fake"], price=PRICE)
    with pytest.raises(ContentRefused):
        [chunk async for chunk in cloud.pipeline.chat(LOCAL, ChatRequest("fake", [], stream=True))]
    assert guard.seen == ["se", "a", "secr", "ase", "asecret"]
    await cloud.close()
