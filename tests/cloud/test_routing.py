"""Which upstream answers: aliases, fallbacks, rest after a failure, and changes that count from the next request on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest
import sqlalchemy as sa
from openai import AsyncOpenAI

from ikkan.cloud.assembly import Cloud, assemble
from ikkan.cloud.freshness import Freshness
from ikkan.cloud.keys import KeyHasher
from ikkan.cloud.router import Router, Target
from ikkan.cloud.tables import upstreams
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.cloud.upstreams.openai_wire import HttpPool
from ikkan.cloud.values import ChatRequest
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import (
    BadInput,
    Conflict,
    IkkanError,
    NotFound,
    RateLimited,
    SetupNeeded,
    UnknownModel,
    UpstreamFailed,
    UpstreamUnreachable,
)
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.money import Price

QUESTION: Any = [{"role": "user", "content": "What jumps?"}]
Start = Callable[[FakeUpstream], Awaitable[Any]]


async def test_an_alias_leads_to_a_server_and_its_price(client: AsyncOpenAI, cloud: Cloud, vendors: Start) -> None:
    vendor = await vendors(FakeUpstream(offered=["org/qwen"]))
    cloud.service.add_upstream("vendor", vendor.url, key="top secret", price=Price("JPY", 3_000_000, 0, 5_000_000))
    cloud.service.set_alias("default", "vendor/org/qwen")
    answer: Any = await client.chat.completions.create(model="default", messages=QUESTION)
    assert (answer.model, answer.ikkan["upstream"], answer.ikkan["upstream_model"]) == ("default", "vendor", "org/qwen")
    assert answer.ikkan["cost_micros"] == 33 + 20
    assert vendor.bodies[0]["model"] == "org/qwen"
    assert {name.lower(): value for name, value in vendor.headers[0].items()}["authorization"] == "Bearer top secret"


@pytest.mark.parametrize("model", ["vendor/org/qwen", "org/qwen"])
async def test_a_model_is_found_by_its_upstream_or_by_its_bare_name(
    client: AsyncOpenAI, cloud: Cloud, vendors: Start, model: str
) -> None:
    vendor = await vendors(FakeUpstream(offered=["org/qwen"]))
    cloud.service.add_upstream("vendor", vendor.url)
    answer: Any = await client.chat.completions.create(model=model, messages=QUESTION)
    assert (answer.model, answer.ikkan["upstream_model"]) == (model, "org/qwen")
    assert "vendor/org/qwen" in [listed.id for listed in (await client.models.list()).data]


@pytest.mark.parametrize(
    "failure",
    [UpstreamUnreachable("gone"), RateLimited("slowly"), UpstreamFailed("broken"), UnknownModel("not here")],
    ids=lambda failure: failure.code,
)
@pytest.mark.parametrize("stream", [True, False])
async def test_the_next_target_answers_when_the_first_cannot(
    cloud: Cloud, fake: FakeUpstream, failure: IkkanError, stream: bool
) -> None:
    cloud.router.register("broken", FakeUpstream("broken", failure=failure), models=["other"], price=None)
    cloud.service.set_alias("default", "broken/other,fake/fake")
    request = ChatRequest("default", QUESTION, stream=stream)
    answer = [chunk async for chunk in cloud.pipeline.chat(request.principal, request)]
    assert "".join(chunk.text for chunk in answer) == "The quick brown fox."
    lines = {line.upstream: line for line in cloud.service.usage(by=("upstream",))}
    assert (lines["broken"].failed, lines["broken"].requests) == (1, 0)
    assert (lines["fake"].failed, lines["fake"].requests, lines["fake"].cost_micros) == (0, 1, 19)
    assert cloud.service.audit().is_sound


async def test_a_stream_that_breaks_off_before_its_first_word_goes_to_the_next(
    cloud: Cloud, fake: FakeUpstream, vendors: Start
) -> None:
    vendor = await vendors(FakeUpstream())
    vendor.raw, vendor.cut_raw = b'data: {"model":"x","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n', True
    cloud.service.add_upstream("vendor", vendor.url)
    cloud.service.set_alias("default", "vendor/m,fake/fake")
    request = ChatRequest("default", QUESTION, stream=True)
    answer = [chunk async for chunk in cloud.pipeline.chat(request.principal, request)]
    assert "".join(chunk.text for chunk in answer) == "The quick brown fox."
    assert answer[-1].facts["upstream_model"] == "fake"
    assert len(vendor.bodies) == 1
    await cloud.close()


async def test_once_a_word_was_sent_no_other_upstream_goes_on(cloud: Cloud, fake: FakeUpstream) -> None:
    cloud.router.register("cut", FakeUpstream("cut", offered=["other"], cut_after=1), models=["other"])
    cloud.service.set_alias("default", "cut/other,fake/fake")
    request = ChatRequest("default", QUESTION, stream=True)
    with pytest.raises(UpstreamFailed):
        [chunk async for chunk in cloud.pipeline.chat(request.principal, request)]
    assert fake.requests == []


async def test_a_request_that_is_wrong_is_wrong_everywhere(cloud: Cloud, fake: FakeUpstream) -> None:
    cloud.router.register("strict", FakeUpstream("strict", failure=BadInput("no")), models=["other"])
    cloud.service.set_alias("default", "strict/other,fake/fake")
    request = ChatRequest("default", QUESTION)
    with pytest.raises(BadInput):
        [chunk async for chunk in cloud.pipeline.chat(request.principal, request)]
    assert fake.requests == []


async def test_an_upstream_that_failed_rests_longer_each_time(cloud: Cloud, database: Database, keys: Keys) -> None:
    now = [100.0]
    router = Router(Freshness(database, KeyHasher(keys.master)), HttpPool(), monotonic=lambda: now[0])
    router.register("a", FakeUpstream("a"), models=["m"])
    router.register("b", FakeUpstream("b"), models=["n"])
    cloud.service.set_alias("default", "a/m,b/n")

    async def order() -> str:
        return "".join(target.upstream_name for target in await router.resolve("default"))

    first: Target = (await router.resolve("default"))[0]
    assert await order() == "ab"
    router.failed(first, BadInput("the client's own fault"))
    assert await order() == "ab"
    seen = []
    for _ in range(7):
        router.failed(first, UpstreamFailed("broken"))
        rests = 0
        while await order() == "ba":
            now[0] += 1.0
            rests += 1
        seen.append(rests)
    assert seen == [1, 2, 4, 8, 16, 30, 30]
    router.succeeded(first)
    router.failed(first, RateLimited("slowly", retry_after_s=9.0))
    now[0] += 8.9
    assert await order() == "ba"
    now[0] += 0.2
    assert await order() == "ab"


async def test_a_change_counts_from_the_next_request_on(client: AsyncOpenAI, cloud: Cloud, vendors: Start) -> None:
    one, two = await vendors(FakeUpstream(answer=["one"])), await vendors(FakeUpstream(answer=["two"]))
    cloud.service.add_upstream("one", one.url)
    cloud.service.add_upstream("two", two.url)

    async def ask() -> str | None:
        return (await client.chat.completions.create(model="default", messages=QUESTION)).choices[0].message.content

    cloud.service.set_alias("default", "one/fake")
    assert await ask() == "one"
    cloud.service.set_alias("default", "two/fake")
    assert await ask() == "two"
    cloud.service.add_upstream("two", one.url, replace=True)
    assert await ask() == "one"
    cloud.service.remove_alias("default")
    with pytest.raises(openai.NotFoundError):
        await ask()


async def test_a_key_in_the_environment_is_asked_for_by_name(
    database: Database, clock: FakeClock, events: EventLog, keys: Keys, vendors: Start
) -> None:
    vendor = await vendors(FakeUpstream())
    environ = {"VENDOR_KEY": "from outside"}
    cloud = assemble(database, clock, events, keys, secret_of=environ.get)
    cloud.service.prepare()
    cloud.service.add_upstream("vendor", vendor.url, key_env="VENDOR_KEY")
    cloud.service.add_upstream("forgotten", vendor.url, key_env="FORGOTTEN_KEY")
    request = ChatRequest("vendor/fake", QUESTION)
    assert [chunk.text async for chunk in cloud.pipeline.chat(request.principal, request)] == ["The quick brown fox."]
    with pytest.raises(SetupNeeded, match="FORGOTTEN_KEY"):
        await cloud.router.resolve("forgotten/fake")
    cloud.service.set_alias("default", "forgotten/fake,vendor/fake")
    assert [target.upstream_name for target in await cloud.router.resolve("default")] == ["vendor"]
    assert {name: health.ok for name, health in (await cloud.router.health()).items()} == {
        "vendor": True,
        "forgotten": False,
    }
    await cloud.close()


async def test_a_kept_key_is_encrypted(cloud: Cloud, database: Database) -> None:
    record = cloud.service.add_upstream("vendor", "http://127.0.0.1:9", key="top secret")
    assert record.has_sealed_key and "secret" not in str(record)
    with database.read() as connection:
        (row,) = connection.execute(sa.select(upstreams))
    assert b"top secret" not in row.sealed_key


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": "Über"}, BadInput),
        ({"name": "a/b"}, BadInput),
        ({"name": "taken"}, Conflict),
        ({"url": "ftp://x"}, BadInput),
        ({"url": "localhost:8000"}, BadInput),
        ({"url": "http://x/" + "y" * 600}, BadInput),
        ({"key_env": "A B"}, BadInput),
        ({"key_env": "A", "key": "b"}, BadInput),
        ({"quirks": {"unheard_of": True}}, BadInput),
        ({"quirks": {"always_stream": "maybe"}}, BadInput),
        ({"price": Price("JPY", -1, 0, 0)}, BadInput),
    ],
)
def test_an_upstream_that_cannot_be_is_refused(cloud: Cloud, fields: dict[str, Any], error: type[Exception]) -> None:
    cloud.service.add_upstream("taken", "http://127.0.0.1:9")
    with pytest.raises(error):
        cloud.service.add_upstream(**({"name": "vendor", "url": "http://127.0.0.1:9"} | fields))
    assert [record.name for record in cloud.service.upstreams()] == ["taken"]


@pytest.mark.parametrize(("name", "targets"), [("", "a/b"), ("x y", "a/b"), ("x", ""), ("x", "a"), ("x", "a/,b/c")])
def test_an_alias_that_cannot_be_is_refused(cloud: Cloud, name: str, targets: str) -> None:
    with pytest.raises(BadInput):
        cloud.service.set_alias(name, targets)


def test_an_upstream_an_alias_stands_on_stays(cloud: Cloud) -> None:
    cloud.service.add_upstream("vendor", "http://127.0.0.1:9")
    cloud.service.set_alias("default", "vendor/m")
    with pytest.raises(Conflict, match="default"):
        cloud.service.remove_upstream("vendor")
    cloud.service.set_alias("default", "fake/fake")
    cloud.service.remove_upstream("vendor")
    with pytest.raises(NotFound):
        cloud.service.remove_upstream("vendor")


def test_preparing_twice_keeps_what_an_operator_chose(cloud: Cloud) -> None:
    wanted: dict[str, Any] = {"upstreams": {"engine": "http://127.0.0.1:8701"}, "free": ["engine"]}
    cloud.service.prepare(**wanted, aliases={"default": ["engine/default"]})
    cloud.service.set_alias("default", "vendor/qwen")
    cloud.service.set_price("engine", "*", Price("JPY", 1, 1, 1))
    cloud.service.prepare(
        upstreams={"engine": "http://127.0.0.1:9999"}, aliases={"default": ["engine/default"]}, free=["engine"]
    )
    assert [(record.name, record.url) for record in cloud.service.upstreams()] == [
        ("engine", "http://127.0.0.1:9999/v1")
    ]
    assert [(alias.name, list(alias.targets)) for alias in cloud.service.aliases()] == [("default", ["vendor/qwen"])]
    assert [row.price.input_micros for row in cloud.service.prices()] == [1]


async def test_our_own_engine_is_told_whose_prefix_cache_to_use(
    client: AsyncOpenAI, cloud: Cloud, vendors: Start
) -> None:
    engine = await vendors(FakeUpstream(offered=["m"]))
    cloud.service.prepare(upstreams={"local": f"{engine.url}/v1"})
    await client.chat.completions.create(model="local/m", messages=QUESTION)
    assert {name.lower(): value for name, value in engine.headers[0].items()}["x-ikkan-cache-salt"] == "local"
