"""The engine over a real socket, asked by the unmodified `openai` client."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from .conftest import Served

FOX = "The quick brown fox jumps over the lazy dog."


def say(client: OpenAI, text: str = FOX, **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="tiny", messages=messages, **{"temperature": 0, **more})


def streamed(client: OpenAI, text: str = FOX, **more: Any) -> list[Any]:
    with say(client, text, stream=True, **more) as stream:
        return list(stream)


def text_of(chunks: list[Any], index: int = 0) -> str:
    said = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in said)


def test_a_chat_says_what_the_model_says_and_counts_it(client: OpenAI) -> None:
    reply = say(client)
    choice, usage = reply.choices[0], reply.usage
    assert (choice.message.content, choice.message.role, choice.finish_reason) == (FOX, "assistant", "stop")
    assert (reply.object, reply.model, reply.id[:9]) == ("chat.completion", "tiny", "chatcmpl-")
    assert usage.prompt_tokens == len("user: ") + len(FOX) + 1
    assert usage.completion_tokens == len(FOX) + 1
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_a_stream_adds_up_to_the_same_answer(client: OpenAI) -> None:
    chunks = streamed(client)
    assert text_of(chunks) == FOX
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1


def test_usage_of_a_stream_is_null_until_one_last_chunk_without_choices(served: Served) -> None:
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    frames = served.ask("/v1/chat/completions", body).text.strip().split("\n\n")
    assert frames[-1] == "data: [DONE]"
    assert all('"usage":null' in frame for frame in frames[:-2])
    assert '"choices":[]' in frames[-2]
    assert '"completion_tokens":6' in frames[-2]


def test_a_stream_that_was_not_asked_for_usage_does_not_speak_of_it(served: Served) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    assert "usage" not in served.ask("/v1/chat/completions", body).text


def test_usage_can_come_with_every_chunk(client: OpenAI) -> None:
    chunks = streamed(client, stream_options={"include_usage": True, "continuous_usage_stats": True})
    counted = [chunk.usage.completion_tokens for chunk in chunks]
    assert counted == sorted(counted)
    assert counted[-1] == len(FOX) + 1


def test_an_empty_answer_is_an_answer(client: OpenAI) -> None:
    assert say(client, "").choices[0].message.content == ""
    assert [chunk.choices[0].finish_reason for chunk in streamed(client, "")] == [None, "stop"]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_max_tokens_ends_with_length_under_both_names(client: OpenAI, name: str) -> None:
    reply = say(client, **{name: 9})
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("The quick", "length")
    assert reply.usage.completion_tokens == 9


@pytest.mark.parametrize(
    ("stop", "text"), [("fox", "The quick brown "), (["lazy", "jumps"], "The quick brown fox "), ("cat", FOX)]
)
def test_a_stop_text_across_tokens_is_never_shown(client: OpenAI, stop: Any, text: str) -> None:
    assert say(client, stop=stop).choices[0].message.content == text
    assert text_of(streamed(client, stop=stop)) == text


def test_a_stop_token_ends_the_answer(client: OpenAI) -> None:
    reply = say(client, extra_body={"stop_token_ids": [ord("q")]})
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("The ", "stop")


def test_characters_of_several_tokens_arrive_whole(client: OpenAI) -> None:
    chunks = streamed(client, "鉄🍵é")
    pieces = [chunk.choices[0].delta.content for chunk in chunks[1:-1]]
    assert "".join(pieces) == "鉄🍵é"
    assert "\ufffd" not in "".join(pieces)


def test_half_a_character_at_the_end_is_left_out(client: OpenAI) -> None:
    assert say(client, "鉄🍵", max_tokens=5).choices[0].message.content == "鉄"


def test_min_tokens_and_ignore_eos_keep_the_model_talking(client: OpenAI) -> None:
    longer = say(client, "hi", max_tokens=30, extra_body={"min_tokens": 9})
    endless = say(client, "hi", max_tokens=30, extra_body={"ignore_eos": True})
    assert longer.usage.completion_tokens >= 9
    assert (endless.usage.completion_tokens, endless.choices[0].finish_reason) == (30, "length")


def test_n_answers_come_back_apart_and_the_prompt_counts_once(client: OpenAI) -> None:
    reply = client.completions.create(model="tiny", prompt="a", n=3, seed=5, max_tokens=20)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]
    assert len({choice.text for choice in reply.choices}) == 3
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (1, 60)


def test_n_answers_are_streamed_side_by_side(client: OpenAI) -> None:
    chunks = streamed(client, n=2)
    assert text_of(chunks, 0) == text_of(chunks, 1) == FOX


def test_logprobs_name_the_alternatives_with_their_bytes(client: OpenAI) -> None:
    content = say(client, "é", logprobs=True, top_logprobs=2).choices[0].logprobs.content
    assert b"".join(bytes(one.bytes or b"") for one in content) == "é".encode()
    assert content[-1].token == "<|im_end|>"
    assert [len(one.top_logprobs) for one in content] == [2, 2, 2]
    assert content[0].logprob == pytest.approx(content[0].top_logprobs[0].logprob)
    assert content[0].logprob > content[0].top_logprobs[1].logprob


def test_logprobs_of_a_stream_are_those_of_the_whole_answer(client: OpenAI) -> None:
    whole = say(client, "é!", logprobs=True).choices[0].logprobs.content
    chunks = streamed(client, "é!", logprobs=True)
    pieces = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs]
    assert [one.logprob for piece in pieces for one in piece.content] == [one.logprob for one in whole]


@pytest.mark.parametrize("prompt", ["The", list(b"The"), [list(b"The")], ["The"]])
def test_completions_take_texts_and_token_ids(client: OpenAI, prompt: Any) -> None:
    one = client.completions.create(model="tiny", prompt=prompt, max_tokens=6, temperature=0)
    reference = client.completions.create(model="tiny", prompt="The", max_tokens=6, temperature=0)
    assert one.choices[0].text == reference.choices[0].text
    assert one.object == "text_completion"


def test_many_prompts_are_answered_in_their_order(client: OpenAI) -> None:
    prompts = ["one", "two", "three"]
    together = client.completions.create(model="tiny", prompt=prompts, max_tokens=5, temperature=0, echo=True)
    alone = [client.completions.create(model="tiny", prompt=one, max_tokens=5, temperature=0) for one in prompts]
    assert [one.text for one in together.choices] == [
        prompt + one.choices[0].text for prompt, one in zip(prompts, alone, strict=True)
    ]


def test_a_streamed_completion_adds_up(client: OpenAI) -> None:
    asked: Any = {"model": "tiny", "prompt": "abc", "max_tokens": 12, "temperature": 0, "echo": True}
    with client.completions.create(**asked, stream=True) as stream:
        pieces = [chunk.choices[0].text for chunk in stream]
    assert "".join(pieces) == client.completions.create(**asked).choices[0].text
    assert len(pieces) == 12


def test_a_completion_writes_sixteen_tokens_unless_told(client: OpenAI) -> None:
    assert client.completions.create(model="tiny", prompt="abc").usage.completion_tokens == 16


def test_completion_logprobs_have_the_old_shape(client: OpenAI) -> None:
    found = client.completions.create(model="tiny", prompt="abc", max_tokens=4, temperature=0, logprobs=3)
    logprobs: Any = found.choices[0].logprobs
    assert "".join(logprobs.tokens) == found.choices[0].text
    assert logprobs.text_offset == [0, 1, 2, 3]
    assert [len(one) for one in logprobs.top_logprobs] == [3, 3, 3, 3]
    assert [top[token] for top, token in zip(logprobs.top_logprobs, logprobs.tokens, strict=True)] == (
        logprobs.token_logprobs
    )


def test_content_may_come_in_parts_and_system_words_under_either_name(client: OpenAI) -> None:
    parts = [{"type": "text", "text": "first"}, {"type": "text", "text": "second"}]
    messages: Any = [{"role": "developer", "content": "be brief"}, {"role": "user", "content": parts}]
    reply = client.chat.completions.create(model="tiny", messages=messages, temperature=0)
    assert reply.choices[0].message.content == "first\nsecond"


def test_a_control_token_that_somebody_types_is_only_text(client: OpenAI) -> None:
    text = "before<|im_end|>after"
    assert say(client, text).choices[0].message.content == text


def test_embeddings_are_the_same_in_base64_and_in_numbers(served: Served, client: OpenAI) -> None:
    by_client = client.embeddings.create(model="tiny-embed", input=["abc", "abd"])
    asked = {"model": "tiny-embed", "input": "abc"}
    numbers = served.ask("/v1/embeddings", asked).json["data"][0]["embedding"]
    packed = served.ask("/v1/embeddings", {**asked, "encoding_format": "base64"}).json["data"][0]["embedding"]
    assert struct.unpack("<8f", base64.b64decode(packed)) == pytest.approx(numbers)
    assert by_client.data[0].embedding == pytest.approx(numbers)
    assert by_client.usage.prompt_tokens == by_client.usage.total_tokens == 6


def test_embeddings_take_tokens_and_keep_the_order(client: OpenAI) -> None:
    texts = [letter * (1 + 7 * number % 40) for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz")]
    together = client.embeddings.create(model="tiny-embed", input=[list(text.encode()) for text in texts])
    alone = [client.embeddings.create(model="tiny-embed", input=text).data[0].embedding for text in texts]
    assert [one.embedding for one in together.data] == alone


def test_a_text_too_long_to_embed_is_refused_unless_its_beginning_will_do(served: Served) -> None:
    asked = {"model": "tiny-embed", "input": "x" * 100}
    refused = served.ask("/v1/embeddings", asked)
    cut = served.ask("/v1/embeddings", {**asked, "truncate_prompt_tokens": -1})
    assert (refused.status, refused.json["error"]["code"]) == (400, "context_length_exceeded")
    assert (cut.status, cut.json["usage"]["prompt_tokens"]) == (200, 64)


def test_models_are_listed_and_found_by_name(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "default", "tiny-embed"]
    assert client.models.retrieve("default").object == "model"


@pytest.mark.parametrize("name", ["gpt-99", "qwen/qwen3"])
def test_an_unknown_model_is_a_404_that_says_what_there_is(client: OpenAI, name: str) -> None:
    with pytest.raises(NotFoundError, match="tiny") as caught:
        client.chat.completions.create(model=name, messages=[{"role": "user", "content": "x"}])
    with pytest.raises(NotFoundError, match="tiny"):
        client.models.retrieve(name)
    assert (caught.value.code, caught.value.param) == ("unknown_model", "model")


@pytest.mark.parametrize(("text", "more"), [("x" * 500, {}), ("x" * 350, {"max_tokens": 100})])
def test_what_does_not_fit_the_context_is_refused_with_openais_code(
    client: OpenAI, text: str, more: dict[str, Any]
) -> None:
    with pytest.raises(BadRequestError, match="400 tokens") as caught:
        say(client, text, **more)
    assert caught.value.code == "context_length_exceeded"


def test_without_a_limit_an_answer_ends_with_the_context(client: OpenAI) -> None:
    reply = say(client, "x" * 250)
    assert (reply.usage.total_tokens, reply.choices[0].finish_reason) == (400, "length")


def test_tokenize_and_detokenize_are_inverse(served: Served) -> None:
    asked = {"model": "tiny", "prompt": "日本語 and 🍵", "return_token_strs": True}
    found = served.ask("/tokenize", asked).json
    assert found["count"] == len(found["tokens"]) == len(found["token_strs"])
    assert found["max_model_len"] == 400
    assert served.ask("/detokenize", {"tokens": found["tokens"]}).json == {"prompt": "日本語 and 🍵"}


def test_tokenize_counts_a_conversation_as_the_chat_does(served: Served, client: OpenAI) -> None:
    counted = served.ask("/tokenize", {"messages": [{"role": "user", "content": FOX}]}).json["count"]
    assert counted == say(client).usage.prompt_tokens


def test_a_request_id_is_kept_and_one_is_made_where_none_came(served: Served, client: OpenAI) -> None:
    kept = served.ask("/v1/models", headers={"x-request-id": "from-the-gateway-7"})
    odd = served.ask("/v1/models", headers={"x-request-id": "spaces are odd"})
    nowhere = served.ask("/nowhere", headers={"x-request-id": "lost"})
    assert kept.headers["x-request-id"] == "from-the-gateway-7"
    assert odd.headers["x-request-id"].startswith("req-")
    assert (nowhere.status, nowhere.headers["x-request-id"]) == (404, "lost")
    assert say(client)._request_id.startswith("req-")


def test_health_and_metrics_tell_how_busy_it_is(served: Served, client: OpenAI) -> None:
    say(client)
    health = served.ask("/health").json
    metrics = served.ask("/metrics").text
    assert (health["ready"], health["model"], health["slots"]["total"]) == (True, "tiny", 4)
    assert health["queue"] == {"waiting": 0, "limit": 6}
    assert 'ikkan_engine_requests_total{route="/v1/chat/completions",status="200"}' in metrics
    assert "ikkan_engine_first_token_seconds_count" in metrics
    assert FOX not in metrics
