"""What servers send when they are not well, and what becomes of it. Everything goes over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from ikkan.cloud.upstreams.fakes import FakeUpstream
from ikkan.cloud.upstreams.openai_wire import HttpPool, OpenAIWire, Quirks, Timeouts
from ikkan.cloud.values import ChatChunk, ChatRequest, EmbedRequest, Usage
from ikkan.cloud.wires.openai import whole
from ikkan.ground.errors import (
    BadInput,
    IkkanError,
    RateLimited,
    UpstreamCutShort,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)

MESSAGES = [{"role": "user", "content": "Hi"}]
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.fixture
async def vendor(vendors: Callable[[FakeUpstream], Awaitable[Any]]) -> Any:
    return await vendors(FakeUpstream())


@pytest.fixture
async def http() -> AsyncIterator[HttpPool]:
    pool = HttpPool()
    yield pool
    await pool.close()


@pytest.fixture
def wire(vendor: Any, http: HttpPool) -> OpenAIWire:
    return OpenAIWire("vendor", vendor.url, http, key="secret", timeouts=Timeouts(first_token_s=5.0, idle_s=5.0))


async def hear(wire: OpenAIWire, **fields: Any) -> list[ChatChunk]:
    return [chunk async for chunk in wire.chat(ChatRequest("m", MESSAGES, stream=True, **fields))]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (WORD + END + DONE, "Hi"),
        (WORD.replace(b"\n", b"\r\n") + END + DONE, "Hi"),
        (b": keep-alive\n\n" + WORD + b": keep-alive\n\n" + END + DONE, "Hi"),
        (b"event: message\nid: 1\n" + WORD + END + DONE, "Hi"),
        (WORD.replace(b"data: ", b"data:") + END + DONE, "Hi"),
        (WORD + END, "Hi"),
        (WORD + END.rstrip(b"\n"), "Hi"),
        ('data: {"choices":[{"index":0,"delta":{"content":"東京"}}]}\n\n'.encode() + END + DONE, "東京"),
        (b'data: {"choices":[]}\n\n' + WORD + END + DONE, "Hi"),
        (b'data: {"choices":[{"index":1,"delta":{"content":"No"}}]}\n\n' + WORD + END + DONE, "Hi"),
        (b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"length"}]}\n\n', "Hi"),
    ],
)
async def test_every_way_to_stream_is_understood(vendor: Any, wire: OpenAIWire, raw: bytes, text: str) -> None:
    vendor.raw = raw
    assert "".join(chunk.text for chunk in await hear(wire)) == text


@pytest.mark.parametrize(
    "raw",
    [WORD, WORD + b"data: {", WORD + b'data: {"error":{"message":"out of memory"}}\n\n', WORD + b"\n\n"],
)
@pytest.mark.parametrize("cut", [True, False])
async def test_a_stream_without_its_end_is_cut_short(vendor: Any, wire: OpenAIWire, raw: bytes, cut: bool) -> None:
    vendor.raw, vendor.cut_raw = raw, cut
    with pytest.raises(UpstreamFailed):
        await hear(wire)


async def test_an_answer_whose_goodbye_is_missing_is_whole(vendor: Any, wire: OpenAIWire) -> None:
    vendor.raw, vendor.cut_raw = WORD + END, True
    assert [chunk.finish_reason for chunk in await hear(wire)] == [None, "stop"]


@pytest.mark.parametrize(
    ("status", "kind", "raw", "expected"),
    [
        (200, "text/html", b"<html>hello", UpstreamRejected),
        (200, "application/json", b'{"hello": 1}', UpstreamRejected),
        (200, "application/json", b'{"error": {"message": "no", "code": 429}}', RateLimited),
        (200, "application/json", b'{"code": "Throttling", "message": "slowly"}', RateLimited),
        (200, "text/event-stream", b'data: {"error": {"message": "no"}}\n\n', UpstreamFailed),
        (200, "text/event-stream", b"data: hello\n\n", UpstreamRejected),
        (200, "text/event-stream", b"", UpstreamFailed),
        (301, "text/plain", b"", UpstreamRejected),
        (400, "application/json", b'{"error": "bad temperature"}', BadInput),
        (400, "application/json", b'{"detail": "bad temperature"}', BadInput),
        (401, "application/json", b'{"error": {"message": "wrong key"}}', UpstreamRejected),
        (429, "application/json", b'{"error": {"code": "insufficient_quota"}}', UpstreamRejected),
        (429, "text/plain", b"slowly", RateLimited),
        (500, "text/html", b"<html>", UpstreamFailed),
        (502, "application/json", b"[", UpstreamFailed),
        (504, "text/plain", b"", UpstreamTimeout),
    ],
)
async def test_every_refusal_has_a_name(
    vendor: Any, wire: OpenAIWire, status: int, kind: str, raw: bytes, expected: type[IkkanError]
) -> None:
    vendor.raw, vendor.raw_status, vendor.raw_type = raw, status, kind
    with pytest.raises(expected) as caught:
        await hear(wire)
    assert caught.value.status != 401, "a vendor's refusal of our key is not the client's"


async def test_a_vendors_wait_is_passed_on(vendor: Any, wire: OpenAIWire) -> None:
    vendor.raw, vendor.raw_status, vendor.raw_headers = b"", 429, {"retry-after": "7"}
    with pytest.raises(RateLimited) as caught:
        await hear(wire)
    assert caught.value.facts["retry_after_s"] == 7.0


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (b'{"prompt_tokens":9,"completion_tokens":2}', Usage(9, 0, 2)),
        (b'{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}', Usage(9, 4, 2)),
        (b'{"prompt_tokens":9,"completion_tokens":2,"prompt_cache_hit_tokens":5}', Usage(9, 5, 2)),
        (b'{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":99}}', Usage(9, 9, 2)),
        (b'{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":null}', Usage(9, 0, 2)),
        (b'{"prompt_tokens":0,"completion_tokens":0}', None),
        (b'{"prompt_tokens":-1,"completion_tokens":"2"}', None),
        (b"null", None),
        (b"[]", None),
    ],
)
async def test_usage_is_believed_only_where_it_can_be(
    vendor: Any, wire: OpenAIWire, usage: bytes, expected: Usage | None
) -> None:
    last = b'data: {"choices":[],"usage":' + usage + b"}\n\n"
    vendor.raw = WORD + END + last + DONE
    assert (await hear(wire))[-1].usage == expected


async def test_usage_that_counts_up_in_every_piece_is_not_summed(vendor: Any, wire: OpenAIWire) -> None:
    counting = [
        b'data: {"choices":[{"index":0,"delta":{"content":"x"}}],'
        b'"usage":{"prompt_tokens":5,"completion_tokens":%d}}\n\n' % n
        for n in (1, 2, 3)
    ]
    vendor.raw = b"".join(counting) + END + DONE
    assert [chunk.usage for chunk in await hear(wire) if chunk.usage][-1] == Usage(5, 0, 3)


async def test_usage_is_always_asked_for_and_the_rest_passed_on(vendor: Any, wire: OpenAIWire) -> None:
    vendor.raw = WORD + END + DONE
    await hear(wire, body={"temperature": 0.5, "enable_thinking": False, "stream_options": {"include_usage": False}})
    (sent,) = vendor.bodies
    assert sent["stream_options"] == {"include_usage": True}
    assert (sent["temperature"], sent["enable_thinking"], sent["stream"]) == (0.5, False, True)
    assert (
        vendor.headers[0]["authorization" if "authorization" in vendor.headers[0] else "Authorization"]
        == "Bearer secret"
    )


async def test_quirks_bend_the_request_to_the_server(vendor: Any, http: HttpPool) -> None:
    quirks = Quirks(
        headers={"appid": "7"},
        body={"enable_enhancement": True},
        max_tokens_field="max_completion_tokens",
        no_stream_usage=True,
    )
    vendor.raw = WORD + END + DONE
    await hear(OpenAIWire("vendor", vendor.url, http, quirks=quirks), body={"max_tokens": 9})
    (sent,) = vendor.bodies
    assert sent["max_completion_tokens"] == 9 and "max_tokens" not in sent and "stream_options" not in sent
    assert sent["enable_enhancement"] is True
    assert {name.lower(): value for name, value in vendor.headers[0].items()}["appid"] == "7"


async def test_tool_calls_and_reasoning_are_put_together(vendor: Any, wire: OpenAIWire) -> None:
    vendor.raw = (
        b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":"Hm",'
        b'"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"look","arguments":""}}]}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"a\\""}}]}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n' + DONE
    )
    chunks = await hear(wire)
    message = whole(chunks)["choices"][0]["message"]
    assert message["content"] is None and message["reasoning_content"] == "Hm"
    assert message["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
    ]
    assert sum(chunk.units for chunk in chunks) == len('Hmlook{"a":1}')


async def test_silence_before_the_first_word_is_a_timeout(vendor: Any, http: HttpPool) -> None:
    vendor.script.stall = asyncio.Event()
    vendor.silent_s = 30.0
    wire = OpenAIWire("vendor", vendor.url, http, timeouts=Timeouts(first_token_s=0.1))
    with pytest.raises(UpstreamTimeout):
        await hear(wire)


async def test_silence_in_the_middle_is_a_cut(vendor: Any, http: HttpPool) -> None:
    vendor.script.stall = asyncio.Event()
    wire = OpenAIWire("vendor", vendor.url, http, timeouts=Timeouts(idle_s=0.1))
    heard = []
    with pytest.raises(UpstreamCutShort):
        async for chunk in wire.chat(ChatRequest("fake", MESSAGES, stream=True)):
            heard.append(chunk.text)
    assert heard == ["The"]


async def test_a_client_that_waits_less_is_answered_in_time(vendor: Any, wire: OpenAIWire) -> None:
    vendor.silent_s = 30.0
    with pytest.raises(UpstreamTimeout):
        await hear(wire, deadline_s=0.1)


async def test_nobody_there_is_unreachable(http: HttpPool) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        wire = OpenAIWire("vendor", f"http://user:pw@127.0.0.1:{closed.getsockname()[1]}", http)
        with pytest.raises(UpstreamUnreachable) as caught:
            await hear(wire)
    assert "pw" not in caught.value.message
    assert not (await wire.health()).ok


@pytest.mark.parametrize(
    "raw",
    [
        b'{"data":[]}',
        b'{"data":[{"index":0,"embedding":[]}]}',
        b'{"data":[{"index":0,"embedding":["a"]}]}',
        b'{"data":[{"index":0,"embedding":"AAA"}]}',
        b'{"data":[{"index":0,"embedding":[1.0]},{"index":1,"embedding":[1.0]}]}',
        b"[]",
    ],
)
async def test_vectors_that_are_none_are_refused(vendor: Any, wire: OpenAIWire, raw: bytes) -> None:
    vendor.raw, vendor.raw_type = raw, "application/json"
    with pytest.raises(UpstreamRejected):
        await wire.embed(EmbedRequest("m", ["a"]))


async def test_vectors_in_base64_are_read(vendor: Any, http: HttpPool) -> None:
    vendor.raw, vendor.raw_type = b'{"data":[{"index":0,"embedding":"AACAPwAAAMA="}]}', "application/json"
    wire = OpenAIWire("vendor", vendor.url, http, quirks=Quirks(base64_embeddings=True))
    assert list((await wire.embed(EmbedRequest("m", ["a"]))).vectors[0]) == [1.0, -2.0]
    assert vendor.bodies[0]["encoding_format"] == "base64"


async def test_a_kept_connection_that_was_closed_meanwhile_is_no_error(http: HttpPool) -> None:
    reply = b'{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    asked: list[int] = []

    async def one_answer_a_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(0)
        for answered in (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", b""):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            asked[-1] += 1
            writer.write(answered and answered % (len(reply), reply))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(one_answer_a_connection, "127.0.0.1", 0)
    wire = OpenAIWire("vendor", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", http)
    for _ in range(2):
        chunks = [chunk async for chunk in wire.chat(ChatRequest("m", MESSAGES))]
        assert chunks[0].text == "Hi"
    assert asked == [2, 1]
    await http.close()
    server.close()
