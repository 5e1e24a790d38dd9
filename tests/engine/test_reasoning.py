"""Reasoning is kept apart from the answer, whole and streamed, and can be switched off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from openai import OpenAI

from ikkan.engine.reasoning import Thinking, ThoughtTokens
from ikkan.models.template import ChatTemplate

from .conftest import serving
from .scripted import HERMES, OPENS, THINKING, WITHOUT_TOOLS, Scripted, saying

THOUGHT, ANSWER = "Let me see:\n 2 + 2 < 5, so </thi", "It is 4. <b>"


@contextmanager
def asking(decoder: Scripted, template: str) -> Iterator[OpenAI]:
    with (
        serving(decoder, template=ChatTemplate(template), context_tokens=2000) as served,
        served.client() as client,
    ):
        yield client


def say(client: OpenAI, **more: Any) -> Any:
    messages = [{"role": "user", "content": "2 + 2?"}]
    settings = {"messages": messages, "temperature": 0, "max_tokens": 300}
    return client.chat.completions.create(model="tiny", **{**settings, **more})


@pytest.mark.parametrize(
    ("template", "script"),
    [
        (THINKING, f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"),
        (OPENS, f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"),
        (THINKING, f"\n<think>{THOUGHT}</think>{ANSWER}"),
    ],
)
def test_reasoning_is_a_field_of_its_own(template: str, script: str) -> None:
    with asking(saying(script), template) as client:
        reply = say(client)
        message = reply.choices[0].message
        assert (message.reasoning_content, message.content) == (THOUGHT, ANSWER)
        counted = reply.usage.completion_tokens_details.reasoning_tokens
        in_prompt = len("<think>\n") if template == OPENS else 0
        assert counted == len(script.partition("</think>")[0]) + len("</think>") - in_prompt
        thought = content = ""
        with say(client, stream=True, stream_options={"include_usage": True}) as stream:
            for chunk in stream:
                for choice in chunk.choices:
                    more = getattr(choice.delta, "reasoning_content", None) or ""
                    assert not (more and content), "reasoning comes before the answer"
                    thought, content = thought + more, content + (choice.delta.content or "")
        assert (thought, content) == (THOUGHT, ANSWER)
        assert chunk.usage.completion_tokens_details.reasoning_tokens == counted


def test_an_answer_that_ends_in_the_middle_of_reasoning_has_no_words() -> None:
    with asking(saying(f"<think>\n{THOUGHT}"), THINKING) as client:
        choice = say(client, max_tokens=20).choices[0]
        assert (choice.message.content, choice.finish_reason) == ("", "length")
        assert choice.message.reasoning_content == THOUGHT[:12].rstrip()


@pytest.mark.parametrize(
    "off", [{"reasoning_effort": "none"}, {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}]
)
def test_thinking_can_be_switched_off(off: dict[str, Any]) -> None:
    with asking(saying(f"<think>\n\n</think>\n\n{ANSWER}"), THINKING) as client:
        thought, silent = say(client), say(client, **off)
        assert [one.choices[0].message.content for one in (thought, silent)] == [ANSWER, ANSWER]
        # Switched off, the empty tags are the prompt's; else the model writes them itself.
        tags = len("<think>\n\n</think>\n\n")
        assert silent.usage.prompt_tokens - thought.usage.prompt_tokens == tags
        assert thought.usage.completion_tokens - silent.usage.completion_tokens == tags
        assert silent.usage.completion_tokens_details is None


def test_an_effort_a_template_does_not_know_changes_nothing() -> None:
    with asking(saying("fine"), THINKING) as client:
        assert say(client, reasoning_effort="low").choices[0].message.content == "fine"


def test_a_model_that_does_not_think_may_write_the_tag_as_text() -> None:
    with asking(saying("<think>is a tag</think>"), WITHOUT_TOOLS) as client:
        reply = say(client)
        assert reply.choices[0].message.content == "<think>is a tag</think>"
        assert reply.usage.completion_tokens_details is None


def test_reasoning_of_before_is_handed_to_the_template() -> None:
    prompts: list[str] = []

    def remember(prompt: str) -> str:
        prompts.append(prompt)
        return "ok"

    template = (
        "{% for m in messages %}{{ m.reasoning_content or '' }}|{{ m.content }}<|im_end|>{% endfor %}"
        "<assistant>\n{{ '' }}"
    )
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a", "reasoning_content": "because"},
        {"role": "user", "content": "r"},
    ]
    with asking(Scripted(script=remember), template) as client:
        say(client, messages=messages)
    assert "because|a<|im_end|>" in prompts[-1]


def test_a_message_can_be_continued() -> None:
    script = Scripted(script=lambda prompt: "The answer is 4.")
    messages = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "The answer"}]
    body = {"continue_final_message": True, "add_generation_prompt": False}
    with asking(script, HERMES) as client:
        assert say(client, messages=messages, extra_body=body).choices[0].message.content == " is 4."


def test_a_long_prompt_can_be_cut_to_its_end() -> None:
    with asking(saying("ok"), HERMES) as client:
        reply = say(
            client, messages=[{"role": "user", "content": "x" * 5_000}], extra_body={"truncate_prompt_tokens": 50}
        )
        assert reply.usage.prompt_tokens == 50


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize("opened", [True, False])
def test_it_does_not_matter_how_reasoning_is_cut(opened: bool, size: int) -> None:
    text = ("" if opened else "<think>") + f"\n {THOUGHT} \n</think>\n {ANSWER}\n"
    thinking = Thinking(opened=opened)
    pieces = [thinking.add(text[at : at + size]) for at in range(0, len(text), size)] + [thinking.end()]
    assert ("".join(one for one, _ in pieces), "".join(one for _, one in pieces)) == (THOUGHT, ANSWER + "\n")


@pytest.mark.parametrize(
    ("text", "opened", "thought", "answer"),
    [
        ("", False, "", ""),
        ("  <thin", False, "", "  <thin"),
        (" a<think>b</think>", False, "", " a<think>b</think>"),
        ("<think>a", False, "a", ""),
        ("a </thi", True, "a </thi", ""),
        (" \n ", True, "", ""),
        ("<think></think>a", False, "", "a"),
        ("<think>a</think>b</think>", False, "a", "b</think>"),
    ],
)
def test_odd_ends(text: str, opened: bool, thought: str, answer: str) -> None:
    thinking = Thinking(opened=opened)
    first, last = thinking.add(text), thinking.end()
    assert (first[0] + last[0], first[1] + last[1]) == (thought, answer)


@pytest.mark.parametrize(
    ("tokens", "opened", "count"),
    [
        ([b"<think>", b"a", b"</think>", b"b"], False, 3),
        ([b"a", b"b"], False, 0),
        ([b"a", b"</", b"think>\n", b"b"], True, 3),
        ([b"\n", b"<thi", b"nk>a", b"b"], False, 4),
        ([b"<thi", b"s>"], False, 0),
    ],
)
def test_tokens_of_reasoning_are_counted(tokens: list[bytes], opened: bool, count: int) -> None:
    counter = ThoughtTokens(opened=opened)
    for one in tokens:
        counter.add(one)
    assert counter.count == count
