"""Answers keep the shape they were asked to have, and a shape that cannot be kept is refused by its part."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
from openai import BadRequestError, OpenAI

from ikkan.engine import grammar, lark
from ikkan.engine.engine import Engine
from ikkan.engine.fakes import VOCAB, fake_template, fake_tokenizer
from ikkan.engine.grammar import Grammars, Rules
from ikkan.engine.sampling import Sampler
from ikkan.engine.schemas import examined
from ikkan.engine.values import Generation, Sampling
from ikkan.ground.errors import BadGrammar, BadInput
from ikkan.models.template import ChatTemplate

from .conftest import Served, serving
from .scripted import THINKING, WITHOUT_TOOLS, Scripted, benchmark, merged_tokenizer, saying
from .test_turns import Heard

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
"""Of a made-up person."""


@pytest.fixture(scope="module")
def chatter() -> Iterator[Served]:
    """A model that says what comes likeliest by chance."""
    with serving(saying("no"), template=ChatTemplate(WITHOUT_TOOLS), context_tokens=2000) as one:
        yield one


@pytest.fixture(scope="module")
def chance(chatter: Served) -> Iterator[OpenAI]:
    with chatter.client() as one:
        yield one


def say(client: OpenAI, content: str = "hello", **more: Any) -> Any:
    messages = [{"role": "user", "content": content}]
    return client.chat.completions.create(model="tiny", messages=messages, **{"max_tokens": 600, "seed": 3, **more})


def asked_in_every_way(schema: Any) -> list[dict[str, Any]]:
    named = {"name": "person", "schema": schema, "strict": True}
    return [
        {"response_format": {"type": "json_schema", "json_schema": named}},
        {"extra_body": {"guided_json": schema}},
        {"extra_body": {"guided_json": json.dumps(schema)}},
        {"extra_body": {"structured_outputs": {"json": schema}}},
    ]


@pytest.mark.parametrize("asked", asked_in_every_way(PERSON))
@pytest.mark.parametrize("temperature", [0, 1.5])
def test_a_schema_is_kept_however_it_was_asked_for(chance: OpenAI, asked: dict[str, Any], temperature: float) -> None:
    choice = say(chance, temperature=temperature, **asked).choices[0]
    jsonschema.validate(json.loads(choice.message.content), PERSON)
    assert choice.finish_reason == "stop"


def test_many_answers_each_keep_the_schema_in_their_own_way(chance: OpenAI) -> None:
    reply = say(chance, n=4, temperature=2, **asked_in_every_way(PERSON)[0])
    found = [choice.message.content for choice in reply.choices]
    assert len(set(found)) > 1
    for text in found:
        jsonschema.validate(json.loads(text), PERSON)


def test_a_stream_keeps_the_schema_too(chance: OpenAI) -> None:
    with say(chance, stream=True, **asked_in_every_way(PERSON)[0]) as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    jsonschema.validate(json.loads(text), PERSON)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"guided_regex": r"^[a-c]{3}/[0-9]{2}$"}, r"[a-c]{3}/[0-9]{2}"),
        ({"structured_outputs": {"regex": r"x+\$"}}, r"x+\$"),
        ({"guided_choice": ["north", 'say "hi"', "南"]}, 'north|say "hi"|南'),
        ({"structured_outputs": {"choice": ["a\nb"]}}, "a\nb"),
        ({"guided_grammar": 'start: sum\nsum: NUM ("+" NUM){1,3}\nNUM: /[0-9]{1,2}/'}, r"\d{1,2}(\+\d{1,2}){1,3}"),
        ({"structured_outputs": {"grammar": 'start: "a" start "b" | "ab"'}}, r"a+b+"),
        ({"guided_grammar": 'start: "<" %json {"enum": ["a/b", 7]} ">" // %j'}, r'<("a/b"|7)>'),
        ({"response_format": {"type": "json_object"}}, r"\{(?s:.*)\}"),
        ({"structured_outputs": {"json_object": True}}, r"\{(?s:.*)\}"),
    ],
)
def test_expressions_choices_and_grammars_are_kept(chance: OpenAI, asked: dict[str, Any], expected: str) -> None:
    found = say(chance, extra_body=asked).choices[0].message.content
    assert re.fullmatch(expected, found), found
    completed = chance.completions.create(model="tiny", prompt="hello", max_tokens=600, extra_body=asked)
    assert re.fullmatch(expected, completed.choices[0].text)


def test_every_answer_to_random_schemas_validates() -> None:
    schemas = benchmark("schemas")
    answerer = schemas.Answerer(merged_tokenizer(), 720)
    outcomes = [answerer.answer(schemas.Maker(number).schema(), number) for number in range(60)]
    kinds = [one.kind for one in outcomes]
    assert [(one.why, one.text) for one in outcomes if one.kind == "wrong"] == []
    assert (kinds.count("valid") > 50, kinds.count("cut")) == (True, 0)


# --- what cannot be kept ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ([1], ""),
        ({"type": "object", "properties": []}, "/properties"),
        ({"properties": {"a/b": {"not": {}}}}, "/properties/a~1b/not"),
        ({"items": {"uniqueItems": True}}, "/items/uniqueItems"),
        ({"anyOf": [{"type": "null"}, {"if": {}, "then": False}]}, "/anyOf/1/if"),
        ({"properties": {"größe": {"items": {"type": "strin"}}}}, "/properties/größe/items"),
        ({"prefixItems": [True, {"type": "string", "pattern": "(?=a)b"}]}, "/prefixItems/1"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "/properties/a"),
        ({"$ref": "https://example.org/schema"}, "/$ref"),
        ({"type": "string", "format": "uri-template"}, "/format"),
        ({"type": "array", "items": {"type": "integer", "minimum": 5, "maximum": 3}, "minItems": 1}, "/items"),
        ({"allOf": [{"oneOf": [{"type": "integer"}, {"type": "number"}]}]}, "/allOf/0"),
        ({"type": "object", "minProperties": 2}, "/minProperties"),
        ({"type": "integer", "multipleOf": 9_999_991}, "/multipleOf"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, ""),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "items": {"$ref": "#/$defs/a"},
          "type": "array", "minItems": 1}, ""),
        ({"properties": {"a": {"enum": [1, [10**30]]}}}, "/properties/a/enum"),
        ({"type": "integer", "minimum": -(10**30)}, "/minimum"),
        (False, ""),
        ({"enum": []}, ""),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_honoured_is_a_400_that_says_which_part(
    chatter: Served, schema: Any, pointer: str
) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}]}
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    reply = chatter.ask("/v1/chat/completions", {**body, "response_format": form})
    error = reply.json["error"]
    param = "response_format.json_schema.schema"
    assert (reply.status, error["code"], error["param"]) == (400, "bad_grammar", param)
    assert error["message"].startswith(f"{param}#{pointer}: " if pointer else f"{param}: ")


@pytest.mark.parametrize(
    "schema",
    [
        {
            "title": "T",
            "description": "D",
            "default": 1,
            "examples": [1],
            "$comment": "c",
            "x-mine": {},
            "type": "null",
        },
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.org/x", "type": "null"},
        {"type": "array", "uniqueItems": False, "items": [{"type": "null"}], "additionalItems": False},
        {"type": "integer", "format": "int64"},
        {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"]},
        True,
    ],
)
def test_what_says_nothing_of_answers_is_no_reason_to_refuse_a_schema(schema: Any) -> None:
    assert json.loads(examined(schema, "schema"))


@pytest.mark.parametrize(
    "rules",
    [
        lambda: grammar.grammar_of("start: start", "g"),
        lambda: grammar.grammar_of('start: "a" start', "g"),
        lambda: grammar.grammar_of('start: a\na: /[a-z]/ b\nb: "(" a ")"', "g"),
        lambda: grammar.grammar_of("start: nobody", "g"),
        lambda: grammar.grammar_of("start: \xff (", "g"),
        lambda: grammar.grammar_of('start: "a"\n' * 40_000, "g"),
        lambda: grammar.grammar_of('start: %json {"type": "integer", "multipleOf": 9999991}', "g"),
        lambda: grammar.grammar_of('start: "%json {\\"multipleOf\\": 9999991}"', "g"),
        lambda: grammar.grammar_of("start: %json {", "g"),
        lambda: grammar.json_schema({"allOf": [{"type": "integer", "multipleOf": n} for n in (9973, 9967)]}, "g"),
        lambda: grammar.json_schema({"type": "integer", "minimum": -1e300, "maximum": 1e300}, "g"),
        lambda: grammar.json_schema({"type": "array", "minItems": 10**9, "items": {"type": "null"}}, "g"),
        lambda: grammar.matching("(a{1000}){1000}", "g"),
        lambda: grammar.matching("((a{100}){100}){100}b", "g"),
        lambda: grammar.matching(r"a[^\s\S]", "g"),
        lambda: grammar.matching("(?=a)", "g"),
        lambda: grammar.matching("(", "g"),
        lambda: grammar.matching("^$", "g"),
        lambda: grammar.matching("a" * 100_000, "g"),
        lambda: grammar.one_of([], "g"),
        lambda: grammar.one_of(["a", ""], "g"),
        lambda: grammar.one_of(["a"] * 20_000, "g"),
        lambda: grammar.json_schema(deep(200), "g"),
        lambda: grammar.json_schema({"properties": {f"k{n}": True for n in range(2_000)}}, "g"),
        lambda: grammar.json_schema({"anyOf": [{"type": "null"}] * 20_000}, "g"),
        lambda: grammar.json_schema({"enum": ["x" * 300_000]}, "g"),
        lambda: grammar.json_schema(
            {"allOf": [{"anyOf": [{"required": [f"a{n}"]}, {"required": [f"b{n}"]}]} for n in range(16)]}, "g"
        ),
    ],
)
def test_a_grammar_that_explodes_or_has_no_end_is_refused_before_anybody_waits_for_it(rules: Any) -> None:
    with pytest.raises(BadGrammar) as refused:
        Grammars(fake_tokenizer(), VOCAB).compile(rules())
    assert refused.value.facts["param"] == "g"
    assert len(refused.value.message) < 500


def deep(levels: int) -> Any:
    schema: Any = {"type": "null"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('start: a b\na: "x"\nb: b | "y"', ""),
        ('start: (a | b)+\na: a "x"\nb: b', "start"),
        ("start: a? [b]\na: a\nb: b", ""),
        ('start: a{1,3} "x"\na: a', "start"),
        ('start: a{0,3} "x"\na: a', ""),
        ('start: "|" x // a | "b"\nx: x', "start"),
        ('start: %json {"a": [1,\n "b: c"]}\nc: c', ""),
        ("?start: expr\nexpr: expr PLUS term | term\nterm: NUMBER\n%import common.NUMBER\n", ""),
    ],
)
def test_a_lark_grammar_without_an_end_is_noticed(text: str, rule: str) -> None:
    assert lark.endless(text) == rule


def test_a_grammar_that_becomes_too_costly_on_the_way_ends_its_answer_with_an_error() -> None:
    words = "\n".join(f'w{n}: w{(n * 7 + 1) % 900} w{(n * 5 + 2) % 900} | "a"' for n in range(900))
    grammars = Grammars(fake_tokenizer(), VOCAB)
    with pytest.raises(BadGrammar, match="cannot be followed"):
        constraint = grammars.compile(Rules(f"start: w0\n{words}\n", "g")).begin()
        for _ in range(50):
            constraint.allowed()
            constraint.accept(ord("a"))


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"guided_json": {"type": "null"}, "guided_regex": "a"}, "guided_regex"),
        ({"guided_choice": ["a"], "response_format": {"type": "json_object"}}, "guided_choice"),
        ({"structured_outputs": {"json": {}, "choice": ["a"]}}, "structured_outputs.choice"),
        ({"structured_outputs": {"json": {}, "json_object": True}}, "structured_outputs.json_object"),
        ({"structured_outputs": {"structural_tag": "x"}}, "structured_outputs.structural_tag"),
        ({"guided_whitespace_pattern": " "}, "guided_whitespace_pattern"),
        ({"guided_json": "{"}, "guided_json"),
        ({"guided_json": 5}, "guided_json"),
        ({"guided_choice": []}, "guided_choice"),
        ({"guided_regex": "["}, "guided_regex"),
        ({"guided_grammar": "start: nobody"}, "guided_grammar"),
        ({"prompt_logprobs": 1}, "prompt_logprobs"),
        ({"truncate_prompt_tokens": 0}, "truncate_prompt_tokens"),
        ({"deadline_s": -1}, "deadline_s"),
        ({"chat_template": "x"}, "chat_template"),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs.messages"),
        ({"continue_final_message": True}, "continue_final_message"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
    ],
)
def test_fields_that_contradict_each_other_or_mean_nothing_here_are_named(
    chatter: Served, asked: dict[str, Any], param: str
) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5, **asked}
    reply = chatter.ask("/v1/chat/completions", body)
    assert (reply.status, reply.json["error"]["param"]) == (400, param)


def test_fields_of_vllm_that_only_hint_are_accepted(chatter: Served) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5}
    hints = {"priority": 3, "deadline_s": 30, "add_generation_prompt": True, "min_tokens": 2, "top_k": 5, "min_p": 0.1}
    assert chatter.ask("/v1/chat/completions", {**body, **hints, "ignore_eos": True}).status == 200


def test_a_model_without_an_end_token_cannot_be_given_a_shape() -> None:
    tokenizer = fake_tokenizer()
    tokenizer.eos_ids = frozenset()
    with pytest.raises(BadInput, match="no token that ends"):
        Grammars(tokenizer, VOCAB).compile(grammar.any_object("g"))


# --- how an answer follows it -----------------------------------------------------------------------------------------


def engine_of(script: str = "") -> Engine:
    return Engine(saying(script), fake_tokenizer(), fake_template(), max_batch=2, context_tokens=400)


def run(engine: Engine, request: Generation) -> Heard:
    heard = Heard()
    engine.submit([request], heard)
    while engine.step():
        pass
    return heard


def constrained(rules: Rules, **more: Any) -> Generation:
    constraint = Grammars(fake_tokenizer(), VOCAB).compile(rules).begin()
    return Generation(
        tuple(b"go"), **{"max_tokens": 60, "sampling": Sampling(temperature=0), **more}, constraint=constraint
    )


CHOICES = grammar.one_of(["a long answer", "another answer"], "g")


def test_forced_tokens_need_no_step_of_their_own() -> None:
    engine = engine_of()
    heard = run(engine, constrained(CHOICES))
    decoder = engine._decoder
    assert isinstance(decoder, Scripted)
    assert heard.text() in ("a long answer", "another answer")
    assert len(decoder.calls) < 5
    assert heard.pieces[-1][1].usage.completion_tokens == len(heard.text())


def test_log_probabilities_are_the_models_own_and_every_token_has_one() -> None:
    heard = run(engine_of(), constrained(CHOICES, sampling=Sampling(temperature=0, top_logprobs=1)))
    found = [one for _, piece in heard.pieces for one in piece.logprobs]
    assert bytes(one.token_id for one in found).decode() == heard.text()
    assert all(one.logprob < 0 for one in found)


@pytest.mark.parametrize("more", [{"ignore_eos": True}, {"min_tokens": 50}, {"ignore_eos": True, "min_tokens": 50}])
def test_an_answer_ends_where_its_shape_is_complete_whatever_else_was_asked(more: dict[str, Any]) -> None:
    heard = run(engine_of(), constrained(CHOICES, **more))
    assert (heard.text() in ("a long answer", "another answer"), heard.pieces[-1][1].finish) == (True, "stop")


@pytest.mark.parametrize("max_tokens", [1, 5, 12])
def test_forced_tokens_stop_at_max_tokens(max_tokens: int) -> None:
    last = run(engine_of(), constrained(CHOICES, max_tokens=max_tokens)).pieces[-1][1]
    assert (last.finish, last.usage.completion_tokens) == ("length", max_tokens)


def test_a_grammar_is_compiled_once_and_followed_many_times() -> None:
    grammars = Grammars(fake_tokenizer(), VOCAB)
    first, second = (
        grammars.compile(CHOICES),
        grammars.compile(grammar.one_of(["a long answer", "another answer"], "h")),
    )
    assert first.matcher is second.matcher
    left, right = first.begin(), first.begin()
    left.accept(ord("a"))
    left.accept(ord("n"))
    assert (bytes(left.forced()), right.forced()) == (b"other answer", [ord("a")])


def test_only_text_may_come_in_free_text_and_nothing_beyond_the_vocabulary() -> None:
    constraint = Grammars(fake_tokenizer(), VOCAB).compile(Rules("start: /(.|\\n)*/\n", "g")).begin()
    allowed = np.unpackbits(constraint.allowed().view(np.uint8), bitorder="little")
    assert allowed[ord("a")] and allowed[256]
    assert not allowed[257:].any()


def mask(*tokens: int) -> Any:
    bits = np.zeros(32, dtype=np.uint8)
    bits[list(tokens)] = 1
    return np.packbits(bits, bitorder="little").view(np.uint32)


@pytest.mark.parametrize(
    ("sampling", "more", "possible"),
    [
        (Sampling(temperature=0), {}, {3}),
        (Sampling(temperature=1), {}, {3, 4, 5}),
        (Sampling(temperature=1, top_k=2), {}, {3, 4}),
        (Sampling(temperature=1, top_k=30), {}, {3, 4, 5}),
        (Sampling(temperature=1, top_p=0.5), {}, {3}),
        (Sampling(temperature=1, min_p=0.3), {}, {3, 4}),
        (Sampling(temperature=1, bias={3: -100.0, 0: 100.0}), {}, {4, 5}),
        (Sampling(temperature=1), {"endings": [3], "min_tokens": 9}, {4, 5}),
        (Sampling(temperature=1), {"endings": [3, 4, 5], "min_tokens": 9}, {3, 4, 5}),
        (Sampling(temperature=0, repetition_penalty=9.0), {"prompt": [3]}, {4}),
    ],
)
def test_what_is_allowed_goes_with_every_sampling_setting(
    sampling: Sampling, more: dict[str, Any], possible: set[int]
) -> None:
    scores = np.array([9, 8, 7, 3, 2, 1], dtype=np.float32)
    seeds = (Sampler(replace(sampling, seed=seed), **more) for seed in range(200))
    assert {one.draw(scores, mask(3, 4, 5)).token_id for one in seeds} == possible


def test_reasoning_comes_before_a_shape() -> None:
    script = 'I want {"age"\n</think>\n\n{"age": 7'
    with (
        serving(saying("<think>" + script), template=ChatTemplate(THINKING), context_tokens=2000) as served,
        served.client() as client,
    ):
        message = say(client, **asked_in_every_way(PERSON)[0]).choices[0].message
        jsonschema.validate(json.loads(message.content), PERSON)
        assert message.reasoning_content == 'I want {"age"'
        without = say(client, reasoning_effort="none", **asked_in_every_way(PERSON)[0]).choices[0].message
        jsonschema.validate(json.loads(without.content), PERSON)
        assert not hasattr(without, "reasoning_content")


def test_the_client_can_read_a_refusal(chance: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="uniqueItems"):
        say(chance, **asked_in_every_way({"type": "array", "uniqueItems": True})[0])
