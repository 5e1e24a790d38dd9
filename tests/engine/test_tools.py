"""Tools in and out: models that were taught to call them, and models that were only told how."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from ikkan.engine.calls import Argued, Called, Calls, Said
from ikkan.models.template import ChatTemplate

from .conftest import Served, serving
from .scripted import HERMES, THINKING, WITHOUT_TOOLS, Scripted, saying

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 30}, "days": {"type": "integer"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}
STRICT = {"type": "function", "function": {**WEATHER["function"], "name": "strict_one", "strict": True}}
OSLO, ROME = '{"city": "Oslo", "days": 2}', '{"city": "Rom{e}\\"]"}'


def call(arguments: str, name: str = "get_weather") -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


@contextmanager
def asking(script: str | Scripted, template: str = HERMES) -> Iterator[OpenAI]:
    decoder = saying(script) if isinstance(script, str) else script
    with (
        serving(decoder, template=ChatTemplate(template), context_tokens=4000) as served,
        served.client() as client,
    ):
        yield client


def say(client: OpenAI, **more: Any) -> Any:
    messages = [{"role": "user", "content": "What is the weather?"}]
    settings = {"messages": messages, "temperature": 0, "max_tokens": 900, "tools": [WEATHER, CLOCK]}
    return client.chat.completions.create(model="tiny", **{**settings, **more})


def calls_of(choice: Any) -> list[tuple[str, str]]:
    return [(one.function.name, one.function.arguments) for one in choice.message.tool_calls or []]


def streamed(client: OpenAI, **more: Any) -> tuple[str, list[dict[str, str]], list[Any]]:
    """The words, the calls put together from their deltas, and the reasons to finish."""
    words, calls, reasons = "", [], []
    with say(client, stream=True, **more) as stream:
        for chunk in stream:
            choice = chunk.choices[0]
            words += choice.delta.content or ""
            reasons.append(choice.finish_reason)
            for delta in choice.delta.tool_calls or []:
                if delta.id:
                    assert delta.index == len(calls)
                    assert delta.function.name
                    calls.append({"id": delta.id, "name": delta.function.name, "arguments": "", "pieces": "0"})
                calls[delta.index]["arguments"] += delta.function.arguments
                calls[delta.index]["pieces"] = str(int(calls[delta.index]["pieces"]) + 1)
    return words, calls, reasons


TWO = "Let me look.\n" + call(OSLO) + "\n" + call(ROME)
OBJECT = '{"tool_calls": [{"name": "get_weather", "arguments": %s}, {"name": "get_weather", "arguments": %s}]}'


@pytest.mark.parametrize(
    ("template", "script", "words"),
    [(HERMES, TWO, "Let me look."), (THINKING, TWO, "Let me look."), (WITHOUT_TOOLS, OBJECT % (OSLO, ROME), "")],
)
def test_calls_are_told_from_words_whole_and_streamed(template: str, script: str, words: str) -> None:
    with asking(script, template) as client:
        choice = say(client).choices[0]
        assert (choice.message.content or "", choice.finish_reason) == (words, "tool_calls")
        assert calls_of(choice) == [("get_weather", OSLO), ("get_weather", ROME)]
        assert len({one.id for one in choice.message.tool_calls}) == 2
        said, calls, reasons = streamed(client)
        assert (said, reasons[-1], set(reasons[:-1])) == (words, "tool_calls", {None})
        assert [(one["name"], one["arguments"]) for one in calls] == calls_of(choice)
        assert min(int(one["pieces"]) for one in calls) > 5, "arguments arrive as they grow"


@pytest.mark.parametrize("template", [HERMES, THINKING, WITHOUT_TOOLS])
@pytest.mark.parametrize("words", ["It is a < b and {c}.", "Fine."])
def test_plain_words_stay_words_though_tools_are_there(template: str, words: str) -> None:
    with asking(words, template) as client:
        choice = say(client).choices[0]
        assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == (words, None, "stop")
        assert streamed(client)[0] == words


@pytest.mark.parametrize(
    "script",
    [
        "<tool_call>\nget_weather(Oslo)",
        call('{"town": 1}'),
        call("[1]"),
        call(OSLO, name="set_weather"),
        "Well <tool_call>{",
    ],
)
def test_a_call_once_begun_is_a_call_that_fits_its_tool(script: str) -> None:
    with asking(script) as client:
        choice = say(client).choices[0]
        assert choice.finish_reason == "tool_calls"
        for name, arguments in calls_of(choice):
            found = json.loads(arguments)
            assert name in ("get_weather", "clock")
            assert name == "clock" or isinstance(found["city"], str)


@pytest.mark.parametrize(
    ("template", "script"),
    [
        (HERMES, "I would rather talk."),
        (THINKING, "<think>\nMust I?\n</think>\n\nI would rather talk."),
        (WITHOUT_TOOLS, "I would rather talk."),
    ],
)
def test_a_call_may_be_required_or_named(template: str, script: str) -> None:
    with asking(script, template) as client:
        required = say(client, tool_choice="required").choices[0]
        assert required.finish_reason == "tool_calls"
        assert {name for name, _ in calls_of(required)} <= {"get_weather", "clock"}
        named = say(client, tool_choice={"type": "function", "function": {"name": "get_weather"}}).choices[0]
        assert [name for name, _ in calls_of(named)] == ["get_weather"]
        assert "city" in json.loads(calls_of(named)[0][1])
        assert named.message.content is None


@pytest.mark.parametrize(("template", "script"), [(HERMES, TWO), (WITHOUT_TOOLS, OBJECT % (OSLO, ROME))])
def test_one_call_at_a_time_if_so_asked(template: str, script: str) -> None:
    with asking(script, template) as client:
        assert len(calls_of(say(client, parallel_tool_calls=False).choices[0])) == 1
        assert len(calls_of(say(client, parallel_tool_calls=True).choices[0])) == 2


@pytest.mark.parametrize("template", [HERMES, WITHOUT_TOOLS])
def test_with_choice_none_nothing_is_called_and_no_tool_is_told(template: str) -> None:
    decoder = Scripted(script=lambda prompt: "tools" if "get_weather" in prompt else "none")
    with asking(decoder, template) as client:
        assert say(client, tool_choice="none").choices[0].message.content == "none"
        assert say(client).choices[0].message.content == "tools"


def test_several_answers_have_calls_of_their_own() -> None:
    with asking(TWO) as client:
        reply = say(client, n=2)
        assert [len(calls_of(choice)) for choice in reply.choices] == [2, 2]
        assert len({one.id for choice in reply.choices for one in choice.message.tool_calls}) == 4


def test_arguments_cut_by_max_tokens_end_with_length() -> None:
    with asking(call('{"city": "a rather long name"}')) as client:
        choice = say(client, max_tokens=70).choices[0]
        assert choice.finish_reason == "length"
        assert calls_of(choice)[0][1].startswith('{"city": "a rat')


CONVERSATION: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": OSLO}},
        {"id": "b", "type": "function", "function": {"name": "clock", "arguments": ""}},
    ]},
    {"role": "tool", "tool_call_id": "a", "content": "rain"},
    {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "noon"}]},
]  # fmt: skip


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            HERMES,
            ["Be brief.", call(OSLO), call("{}", "clock"), "<tool_response>\nrain\n", "<tool_response>\nnoon\n",
             json.dumps(WEATHER)],
        ),
        (
            WITHOUT_TOOLS,
            ["<system>\nBe brief.\n\nYou can call these functions:\n", json.dumps(CLOCK["function"]),
             f'{{"tool_calls": [{{"name": "get_weather", "arguments": {OSLO}}}, ',
             '{"name": "clock", "arguments": {}}]}',
             "<user>\nResult of get_weather: rain\nResult of clock: noon<|im_end|>"],
        ),
    ],
)  # fmt: skip
def test_calls_and_results_of_before_are_told_to_the_model(template: str, expected: list[str]) -> None:
    prompts: list[str] = []

    def remember(prompt: str) -> str:
        prompts.append(prompt)
        return "It rains."

    with asking(Scripted(script=remember), template) as client:
        assert say(client, messages=CONVERSATION).choices[0].message.content == "It rains."
    for part in expected:
        assert part in prompts[-1]


def test_a_client_can_send_back_what_it_got() -> None:
    script = Scripted(script=lambda prompt: "It rains." if "<tool_response>" in prompt else call(OSLO))
    with asking(script) as client:
        messages: list[Any] = [{"role": "user", "content": "Weather?"}]
        message = say(client, messages=messages).choices[0].message
        messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}]
        assert say(client, messages=messages).choices[0].message.content == "It rains."


def test_words_keep_their_shape_where_a_call_is_possible_too() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"enum": ["yes", "no"]}}}
    for template in (HERMES, WITHOUT_TOOLS):
        with asking("perhaps", template) as client:
            assert say(client, response_format=form).choices[0].message.content in ('"yes"', '"no"')
    with asking(call(OSLO)) as client:
        assert calls_of(say(client, response_format=form).choices[0]) == [("get_weather", OSLO)]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(saying("hello"), template=ChatTemplate(HERMES)) as one:
        yield one


def function(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **fields}}


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [CLOCK], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [CLOCK], "tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"tools": [CLOCK, CLOCK]}, "tools"),
        ({"tools": [CLOCK] * 200}, "tools"),
        ({"tools": [{"type": "custom", "function": {"name": "f"}}]}, "tools[0].type"),
        ({"tools": [CLOCK, {"type": "function", "function": {}}]}, "tools[1].function.name"),
        ({"tools": [function(name='a"b')]}, "tools[0].function.name"),
        ({"tools": [function(parameters=[1])]}, "tools[0].function.parameters"),
        ({"tools": [function(parameters={"type": "array"})]}, "tools[0].function.parameters"),
        ({"tools": [function(strict=True, parameters={"properties": {"a": {"not": {}}}})]},
         "tools[0].function.parameters"),
    ],
)  # fmt: skip
def test_tools_that_cannot_be_used_are_named(served: Served, asked: dict[str, Any], param: str) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], **asked}
    reply = served.ask("/v1/chat/completions", body)
    assert (reply.status, reply.json["error"]["param"]) == (400, param), reply.text


def test_the_older_fields_name_the_newer_ones(served: Served) -> None:
    with served.client() as client, pytest.raises(BadRequestError, match="tools"):
        say(client, tools=None, functions=[{"name": "f", "parameters": {}}])


def test_only_a_strict_tool_is_refused_for_what_its_schema_cannot_keep(served: Served) -> None:
    odd = {"type": "object", "properties": {"a": {"type": "string", "format": "iban", "not": {"const": "x"}}}}
    body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5}
    lenient = served.ask("/v1/chat/completions", {**body, "tools": [function(parameters=odd)]})
    strict = served.ask("/v1/chat/completions", {**body, "tools": [function(parameters=odd, strict=True)]})
    assert (lenient.status, strict.status, strict.json["error"]["code"]) == (200, 400, "bad_grammar")
    assert "#/properties/a/format" in strict.json["error"]["message"]


def test_tools_are_counted_by_tokenize_as_they_are_told(served: Served) -> None:
    body = {"messages": [{"role": "user", "content": "x"}]}
    plain, told = (served.ask("/tokenize", {**body, **more}).json for more in ({}, {"tools": [WEATHER]}))
    assert told["count"] > plain["count"] + 100


# --- the reader -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_it_does_not_matter_how_an_answer_is_cut(size: int) -> None:
    calls = Calls("tags")
    text = "a < b <tool\n " + TWO
    heard = [one for at in range(0, len(text), size) for one in calls.add(text[at : at + size])] + calls.end()
    assert "".join(one.text for one in heard if isinstance(one, Said)) == "a < b <tool\n Let me look."
    assert [one.name for one in heard if isinstance(one, Called)] == ["get_weather", "get_weather"]
    for index, arguments in enumerate((OSLO, ROME)):
        assert "".join(one.text for one in heard if isinstance(one, Argued) and one.index == index) == arguments


@pytest.mark.parametrize(
    ("text", "said"), [("a <tool", "a <tool"), ("a \n", "a \n"), ("a <tool_call>\n{", "a"), ("", "")]
)
def test_what_was_held_back_is_words_at_the_end_unless_a_call_had_begun(text: str, said: str) -> None:
    calls = Calls("tags")
    heard = calls.add(text) + calls.end()
    assert "".join(one.text for one in heard if isinstance(one, Said)) == said
