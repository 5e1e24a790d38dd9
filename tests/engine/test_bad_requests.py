"""Whatever comes in, the answer is a clear error in OpenAI's shape, and the engine goes on."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Served

HELLO = [{"role": "user", "content": "hello"}]


def content(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": 7}, "model"),
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [*HELLO, {"role": "function", "content": "x", "name": "f"}]}, "messages[1]"),
        (
            {"messages": [{"role": "user", "content": "x", "tool_calls": [{"function": {"name": "f"}}]}]},
            "messages[0].tool_calls",
        ),
        (
            {
                "messages": [
                    *HELLO,
                    {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]},
                ]
            },
            "messages[1].tool_calls[0].function.arguments",
        ),
        (
            {"messages": [*HELLO, {"role": "assistant", "tool_calls": [{"id": "c"}]}]},
            "messages[1].tool_calls[0].function",
        ),
        ({"messages": content({"type": "image_url", "image_url": {"url": "x"}})}, "messages[0].content[0].type"),
        ({"messages": content({"type": "text"})}, "messages[0].content[0].text"),
        ({"messages": content({"text": "x"})}, "messages[0].content[0].type"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 9}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"min_p": -1}, "min_p"),
        ({"top_k": -5}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"max_completion_tokens": 5, "max_tokens": 6}, "max_tokens"),
        ({"min_tokens": 9, "max_tokens": 5}, "min_tokens"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"seed": "x"}, "seed"),
        ({"seed": 2**70}, "seed"),
        ({"stop": 3}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": "x" * 501}, "stop"),
        ({"stop_token_ids": [260]}, "stop_token_ids"),
        ({"logit_bias": {"a": 1}}, "logit_bias"),
        ({"logit_bias": {"999": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"logprobs": 1}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"response_format": {"type": "poem"}}, "response_format.type"),
        ({"response_format": "text"}, "response_format"),
        ({"modalities": ["audio"]}, "modalities"),
    ],
)
def test_a_chat_with_a_wrong_value_is_a_400_that_names_the_field(
    served: Served, change: dict[str, Any], param: str
) -> None:
    refused(served, "/v1/chat/completions", {"model": "tiny", "messages": HELLO, **change}, param)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": ["a", [1]]}, "prompt"),
        ({"prompt": [1.5]}, "prompt[0]"),
        ({"prompt": [260]}, "prompt"),
        ({"prompt": [[-1]]}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"echo": True, "logprobs": 1}, "echo"),
    ],
)
def test_a_completion_with_a_wrong_value_is_a_400_that_names_the_field(
    served: Served, change: dict[str, Any], param: str
) -> None:
    refused(served, "/v1/completions", {"model": "tiny", "prompt": "a", **change}, param)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": []}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"dimensions": 5}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"truncate_prompt_tokens": 0}, "truncate_prompt_tokens"),
    ],
)
def test_an_embedding_with_a_wrong_value_is_a_400_that_names_the_field(
    served: Served, change: dict[str, Any], param: str
) -> None:
    refused(served, "/v1/embeddings", {"model": "tiny-embed", "input": "a", **change}, param)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": "a", "messages": HELLO}, "prompt"),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": [9999]}, "tokens"),
    ],
)
def test_the_tokenizer_refuses_what_it_cannot_read(served: Served, path: str, body: Any, param: str) -> None:
    refused(served, path, body, param)


def refused(served: Served, path: str, body: Any, param: str) -> None:
    reply = served.ask(path, body)
    error = reply.json["error"]
    assert (reply.status, error["param"]) == (400, param), error
    assert (error["type"], error["code"]) == ("invalid_request_error", "bad_input")
    assert reply.headers["x-request-id"]
    assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b'"text"',
        b"\xff\xfe{}",
        b'{"model": "\\ud800", "messages": []}',
        b'{"model": "tiny", "messages": ' + b"[" * 100_000,
        b'{"model": "tiny", "messages": [], "temperature": 1e999}',
        b'{"model": "tiny", "messages": [], "temperature": NaN}',
        b'{"model": "tiny", "messages": [], "seed": ' + b"9" * 5_000 + b"}",
    ],
    ids=["empty", "cut", "list", "null", "text", "latin", "surrogate", "deep", "huge", "nan", "digits"],
)
def test_rubbish_is_a_400(served: Served, body: bytes) -> None:
    reply = served.ask("/v1/chat/completions", body)
    assert (reply.status, reply.json["error"]["code"]) == (400, "bad_input")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b'{"model": "tiny", "messages": [{"role": "user", "content": "a\xff\xfe"}]}'),
        ("/v1/chat/completions", b'{"model": "tiny", "messages": [{"role": "user", "content": "\xed\xa0\x80"}]}'),
        ("/v1/chat/completions", b'{"model": "tiny", "messages": [{"role": "user", "content": "\xe3\x81"}]}'),
        ("/v1/completions", b'{"model": "tiny", "prompt": "\xc0\x80"}'),
        ("/tokenize", b'{"prompt": "\x80"}'),
    ],
)
def test_a_prompt_that_is_no_utf_8_is_a_400(served: Served, unread: list[str], path: str, body: bytes) -> None:
    reply = served.ask(path, body)
    assert (reply.status, reply.json["error"]["code"], unread) == (400, "bad_input", [])


@pytest.mark.parametrize("size", [10 << 20, 7 << 20, 1 << 20])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_prompt_of_megabytes_is_refused_before_anything_reads_it(
    served: Served, unread: list[str], path: str, size: int
) -> None:
    text = "x" * size
    asks = {"prompt": text} if path == "/v1/completions" else {"messages": [{"role": "user", "content": text}]}
    reply = served.ask(path, {"model": "tiny", **asks})
    codes = {413: "request_too_large", 400: "context_length_exceeded"}
    assert (reply.json["error"]["code"], unread) == (codes[reply.status], [])
    assert served.ask("/health").json["status"] == "ok"


@pytest.fixture
def unread(served: Served, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a tokenizer or template was asked to read."""
    seen: list[str] = []
    monkeypatch.setattr(type(served.engine.tokenizer), "encode", lambda *_, **__: seen.append("encode"))
    monkeypatch.setattr(type(served.engine.template), "render", lambda *_, **__: seen.append("render"))
    return seen


def test_a_huge_body_is_a_413(served: Served) -> None:
    reply = served.ask("/v1/chat/completions", b'{"model": "' + b"x" * (9 << 20) + b'"}')
    assert (reply.status, reply.json["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/v2/none", None, 404), ("/v1/chat/completions", None, 405), ("/health", {}, 405), ("/v1/models/", None, 404)],
)
def test_unknown_routes_and_methods_have_the_same_shape(served: Served, path: str, body: Any, status: int) -> None:
    reply = served.ask(path, body)
    assert (reply.status, reply.json["error"]["param"] in (None, "model")) == (status, True)


@pytest.mark.parametrize(
    "more",
    [
        {"verbosity": "low", "store": True, "metadata": {"a": "b"}, "prompt_cache_key": "k", "user": "u"},
        {"tools": [], "tool_choice": "none", "functions": None, "response_format": {"type": "text"}},
        {"temperature": None, "top_p": None, "n": None, "stop": None, "seed": None, "stream": None, "logit_bias": None},
        {"top_k": -1, "stop": [], "modalities": ["text"], "temperature": 1},
    ],
)
def test_unknown_fields_and_nulls_are_ignored(served: Served, more: dict[str, Any]) -> None:
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 3, **more}
    assert served.ask("/v1/chat/completions", body).status == 200


def test_a_model_without_a_template_says_where_to_go(served: Served) -> None:
    from ikkan.engine.engine import Engine
    from ikkan.engine.fakes import FakeDecoder, fake_tokenizer

    from .conftest import Served as Serving

    with Serving(Engine(FakeDecoder(), fake_tokenizer(), None), FakeDecoder()) as plain:
        reply = plain.ask("/v1/chat/completions", {"model": "tiny", "messages": HELLO})
        assert (reply.status, "/v1/completions" in reply.json["error"]["message"]) == (400, True)
        assert plain.ask("/v1/completions", {"model": "tiny", "prompt": "a"}).status == 200
