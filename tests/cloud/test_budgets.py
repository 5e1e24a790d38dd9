"""Budgets: reserved before, settled after, and never overspent, however many ask at once."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.cloud.values import ChatRequest, Principal
from ikkan.ground.errors import QuotaExhausted
from ikkan.ground.money import Price

QUESTION: Any = [{"role": "user", "content": "What jumps?"}]


async def test_fifty_requests_at_once_never_overspend(cloud: Cloud, fake: FakeUpstream) -> None:
    limit = 1_000
    made = cloud.service.create_key("batch", budget_micros=limit)
    principal = Principal(made.key.tenant_id, made.key.id, None, frozenset({"user"}))
    fake.pause_s = 0.01

    async def ask() -> str:
        request = ChatRequest("fake", QUESTION, body={"max_tokens": 4}, stream=True)
        try:
            return "".join([chunk.text async for chunk in cloud.pipeline.chat(principal, request)])
        except QuotaExhausted as error:
            return error.code

    async def watch(asking: asyncio.Future[Any]) -> int:
        most = 0
        while not asking.done():
            key = await cloud.database.run(cloud.service.key, made.key.id)
            most = max(most, key.spent_micros + key.held_micros)
            await asyncio.sleep(0.002)
        return most

    asking = asyncio.gather(*(ask() for _ in range(50)))
    most = await watch(asking)
    answers = await asking
    served = answers.count("The quick brown fox.")
    assert 1 <= served < 50 and served + answers.count("quota_exhausted") == 50
    key = cloud.service.key(made.key.id)
    assert most <= limit
    assert (key.held_micros, key.spent_micros) == (0, 19 * served)
    assert cloud.service.audit().is_sound
    await cloud.close()


async def test_an_exhausted_budget_is_not_asked_again(url: str, cloud: Cloud) -> None:
    secret = cloud.service.create_key("poor", budget_micros=10).secret
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=2) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="fake", messages=QUESTION)
    assert caught.value.code == "quota_exhausted"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"
    assert "0.00001 JPY" in caught.value.message


async def test_an_answer_nobody_limited_is_limited_to_what_was_reserved(cloud: Cloud, fake: FakeUpstream) -> None:
    rich, limited = cloud.service.create_key("rich"), cloud.service.create_key("limited", budget_micros=1_000_000)
    for made in (rich, limited):
        principal = Principal(made.key.tenant_id, made.key.id, None, frozenset({"user"}))
        async for _ in cloud.pipeline.chat(principal, ChatRequest("fake", QUESTION)):
            pass
    assert [request.body.get("max_tokens") for request in fake.requests] == [None, 4_096]
    await cloud.close()


async def test_a_model_without_a_price_is_free_and_says_so(cloud: Cloud, client: AsyncOpenAI) -> None:
    cloud.router.register("unpriced", FakeUpstream("unpriced", offered=["gift"]), models=["gift"], price=None)
    answer: Any = await client.chat.completions.create(model="gift", messages=QUESTION)
    assert (answer.ikkan["priced"], answer.ikkan["cost_micros"]) == (False, 0)
    (line,) = cloud.service.usage(by=("model",))
    assert (line.model, line.unpriced, line.cost_micros) == ("gift", 1, 0)


async def test_a_raised_budget_counts_at_once(url: str, cloud: Cloud) -> None:
    made = cloud.service.create_key("poor", budget_micros=0)
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=made.secret, max_retries=0) as client:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="fake", messages=QUESTION)
        cloud.service.set_key_budget(made.key.id, None)
        await client.chat.completions.create(model="fake", messages=QUESTION)
    assert cloud.service.key(made.key.id).spent_micros == 19


def test_prices_are_in_the_ledgers_currency(cloud: Cloud) -> None:
    with pytest.raises(Exception, match="JPY, not USD"):
        cloud.service.set_price("vendor", "*", Price("USD", 1, 1, 1))
