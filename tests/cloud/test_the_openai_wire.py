"""The OpenAI wire as the unmodified client speaks it, and as careless clients do."""

from __future__ import annotations

import base64
import io
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.exchange import MAX_BODY_BYTES
from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.ground.errors import Internal, RateLimited

QUESTION: Any = [{"role": "user", "content": "What jumps?"}]


@pytest.fixture
def database_url(_fresh_sqlite: Callable[[Path], Any], tmp_path: Path) -> Iterator[str]:
    """One kind of database is enough here: nothing in this file is about how rows are kept."""
    with _fresh_sqlite(tmp_path) as url:
        yield url


async def test_models_are_listed_and_found_by_ids_with_slashes(client: AsyncOpenAI, cloud: Cloud) -> None:
    cloud.router.register("house", FakeUpstream("house"), models=["org/tiny-0.6b"])
    cloud.service.set_alias("default", "fake/fake")
    listed = [model.id for model in (await client.models.list()).data]
    assert sorted(listed) == ["default", "fake", "org/tiny-0.6b"]
    found = await client.models.retrieve("org/tiny-0.6b")
    assert (found.id, found.object, found.owned_by) == ("org/tiny-0.6b", "model", "house")
    assert found._request_id  # type: ignore[attr-defined]
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("nobody/knows")
    assert caught.value.code == "unknown_model"


async def test_completions_stream_and_do_not(client: AsyncOpenAI) -> None:
    whole = await client.completions.create(model="fake", prompt="What jumps?")
    assert whole.choices[0].text == "The quick brown fox." and whole.id.startswith("cmpl-")
    assert whole.usage is not None and whole.usage.total_tokens == 15
    stream = await client.completions.create(
        model="fake", prompt="What jumps?", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "The quick brown fox."
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == 15


@pytest.mark.parametrize(
    ("asked", "lengths"),
    [("abc", [3.0]), (["a", "bb"], [1.0, 2.0]), ([1, 2, 3], [3.0]), ([[1], [2, 3]], [1.0, 2.0])],
)
async def test_embeddings_come_as_the_client_likes_them(
    client: AsyncOpenAI, cloud: Cloud, asked: Any, lengths: list[float]
) -> None:
    unset = await client.embeddings.create(model="fake", input=asked)
    floats = await client.embeddings.create(model="fake", input=asked, encoding_format="float")
    for made in (unset, floats):
        assert [item.embedding for item in made.data] == [[length, 1.0, -0.5] for length in lengths]
        assert made.usage.prompt_tokens == sum(lengths)
    (line,) = cloud.service.usage(by=("endpoint",))
    assert (line.endpoint, line.requests, line.cost_micros) == ("embeddings", 2, 2 * sum(lengths))


async def test_base64_is_little_endian_float32(url: str) -> None:
    body = {"model": "fake", "input": "abc", "encoding_format": "base64"}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/embeddings", json=body) as reply:
        (item,) = (await reply.json())["data"]
    assert array("f", base64.b64decode(item["embedding"])).tolist() == [3.0, 1.0, -0.5]


@pytest.mark.parametrize("asked", ["", [], [""], [[]], ["a", 1], ["a", [1]], [True], None, 7])
async def test_what_cannot_be_embedded_is_refused(client: AsyncOpenAI, asked: Any) -> None:
    with pytest.raises(openai.BadRequestError):
        await client.embeddings.create(model="fake", input=asked)


async def test_unknown_fields_and_both_token_limits_go_through(client: AsyncOpenAI, fake: FakeUpstream) -> None:
    await client.chat.completions.create(
        model="fake", messages=QUESTION, max_completion_tokens=7, extra_body={"enable_thinking": False, "top_k": 3}
    )
    await client.chat.completions.create(model="fake", messages=QUESTION, max_tokens=8, temperature=0.5)
    first, second = (request.body for request in fake.requests)
    assert dict(first) == {"max_completion_tokens": 7, "enable_thinking": False, "top_k": 3}
    assert dict(second) == {"max_tokens": 8, "temperature": 0.5}


async def test_a_parsed_answer_is_asked_for_as_a_schema(client: AsyncOpenAI, fake: FakeUpstream) -> None:
    class Animal(BaseModel):
        name: str

    fake.answer = ['{"name":', ' "fox"}']
    answer = await client.chat.completions.parse(model="fake", messages=QUESTION, response_format=Animal)
    assert answer.choices[0].message.parsed == Animal(name="fox")
    assert fake.requests[0].body["response_format"]["type"] == "json_schema"


async def test_a_person_is_a_pseudonym_from_the_wire_on(client: AsyncOpenAI, cloud: Cloud, fake: FakeUpstream) -> None:
    await client.chat.completions.create(model="fake", messages=QUESTION, user="ada@example.com")
    await client.chat.completions.create(model="fake", messages=QUESTION, safety_identifier="ada@example.com")
    await client.chat.completions.create(model="fake", messages=QUESTION, user="bob")
    subjects = [request.principal.subject_id for request in fake.requests]
    assert subjects[0] == subjects[1] != subjects[2]
    assert [request.body["user"] for request in fake.requests] == subjects
    assert "ada@" not in str(fake.requests)


@pytest.mark.parametrize(
    ("raw", "status", "param"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 400, None),
        (b'{"model": "fake", "messages": "\xff"}', 400, None),
        (b"[" * 100_000, 400, None),
        (b'{"messages": [{"role": "user"}]}', 400, "model"),
        (b'{"model": "fake"}', 400, "messages"),
        (b'{"model": "fake", "messages": []}', 400, "messages"),
        (b'{"model": "fake", "messages": [{}]}', 400, "role"),
        (b'{"model": "fake", "messages": [{"role": "user", "content": 7}]}', 400, "messages[0].content"),
        (b'{"model": 7, "messages": [{"role": "user", "content": "x"}]}', 400, "model"),
        (b'{"model": "fake", "messages": [{"role": "user"}], "stream": "yes"}', 400, "stream"),
        (b'{"model": "fake", "messages": [{"role": "user"}], "max_tokens": 0}', 400, "max_tokens"),
        (b'{"model": "fake", "messages": [{"role": "user"}], "max_tokens": true}', 400, "max_tokens"),
        (b'{"model": "fake", "messages": [{"role": "user"}], "n": 1000}', 400, "n"),
        (b'{"model": "nobody", "messages": [{"role": "user"}]}', 404, None),
    ],
    ids=range(16),
)
async def test_what_cannot_be_a_request_is_refused_in_words(
    url: str, cloud: Cloud, raw: bytes, status: int, param: str | None
) -> None:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", data=raw) as reply:
        assert reply.status == status
        error = (await reply.json())["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["param"] == param
    assert reply.headers["x-request-id"] and reply.headers["x-should-retry"] == "false"
    assert cloud.service.usage() == []


@pytest.mark.parametrize("announce", [True, False])
async def test_a_body_that_is_too_large_is_refused(url: str, announce: bool) -> None:
    async def endless() -> Any:
        for _ in range(MAX_BODY_BYTES // 65_536 + 2):
            yield b" " * 65_536

    data = {True: io.BytesIO(b" " * (MAX_BODY_BYTES + 1)), False: endless()}[announce]
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/chat/completions", data=data) as reply:
        assert reply.status == 413
        assert (await reply.json())["error"]["code"] == "request_too_large"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/nothing/here", 404),
        ("POST", "/v1/responses", 404),
        ("GET", "/v1/models", 200),
    ],
)
async def test_every_reply_has_a_request_id(url: str, method: str, path: str, status: int) -> None:
    async with aiohttp.ClientSession() as session, session.request(method, url + path) as reply:
        assert reply.status == status
        assert reply.headers["x-request-id"].startswith("req-")
        assert float(reply.headers["x-ikkan-overhead-ms"]) >= 0
        assert await reply.json()


async def test_a_busy_upstream_is_asked_again_by_the_client(url: str, cloud: Cloud, fake: FakeUpstream) -> None:
    fake.failure = RateLimited("slowly", retry_after_s=0.01)
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=2) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="fake", messages=QUESTION)
    assert caught.value.response.headers["retry-after-ms"] == "10"
    assert len(fake.requests) == 3


async def test_our_own_mistakes_are_said_without_their_insides(url: str, fake: FakeUpstream) -> None:
    fake.answer = None  # type: ignore[assignment]
    async with aiohttp.ClientSession() as session:
        body = {"model": "fake", "messages": QUESTION}
        async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
            assert reply.status == 500
            said = await reply.text()
    assert Internal.code in said and "TypeError" not in said and reply.headers["x-request-id"] in said


async def test_a_clients_patience_reaches_the_upstream(client: AsyncOpenAI, fake: FakeUpstream) -> None:
    await client.with_options(timeout=12.0).chat.completions.create(model="fake", messages=QUESTION)
    assert fake.requests[0].deadline_s == 12.0  # type: ignore[union-attr]
