"""Which shape a request asks of its answer: OpenAI's `response_format`, and the fields that vLLM has for it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ikkan.engine import grammar, wire
from ikkan.engine.grammar import Rules


def asked(body: wire.Asked) -> Rules | None:
    """The shape of the answer; None if it may be anything.

    Raises:
        BadInput: two fields ask for different things, or one for what no field of ours can do.
        BadGrammar: a schema, expression or grammar cannot be honoured.
    """
    found = [rules for rules in (_response_format(body), _guided(body), _structured(body)) if rules is not None]
    if len(found) > 1:
        wire.refuse(found[1].param, f"it contradicts `{found[0].param}`; send one of them")
    return found[0] if found else None


def _response_format(body: wire.Asked) -> Rules | None:
    form = body.response_format
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return (
            grammar.any_object("response_format")
            if form.schema is None
            else _schema(form.schema, "response_format.schema")
        )
    if form.type != "json_schema":
        wire.refuse("response_format.type", "one of text, json_object, json_schema")
    if form.json_schema is None or form.json_schema.schema is msgspec.UNSET:
        wire.refuse("response_format.json_schema.schema", "a schema is needed")
    return _schema(form.json_schema.schema, "response_format.json_schema.schema")


def _guided(body: wire.Asked) -> Rules | None:
    if body.guided_whitespace_pattern is not None:
        wire.refuse("guided_whitespace_pattern", "answers in JSON are one line here; leave it out")
    return _one("guided_", body.guided_json, body.guided_regex, body.guided_choice, body.guided_grammar)


def _structured(body: wire.Asked) -> Rules | None:
    asked = body.structured_outputs
    if asked is None:
        return None
    if asked.structural_tag is not None:
        wire.refuse("structured_outputs.structural_tag", "this engine does not know it", hint="use json, or tools")
    if asked.whitespace_pattern is not None:
        wire.refuse("structured_outputs.whitespace_pattern", "answers in JSON are one line here; leave it out")
    schema = {"type": "object"} if asked.json_object else asked.json
    if asked.json_object and asked.json is not None:
        wire.refuse("structured_outputs.json_object", "it contradicts `json`; send one of them")
    return _one("structured_outputs.", schema, asked.regex, asked.choice, asked.grammar)


def _one(prefix: str, schema: Any, regex: str | None, choice: list[str] | None, lark: str | None) -> Rules | None:
    given = {"json": schema, "regex": regex, "choice": choice, "grammar": lark}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        wire.refuse(prefix + names[1], f"it contradicts `{prefix}{names[0]}`; send one of them")
    if schema is not None:
        return _schema(schema, prefix + "json")
    if regex is not None:
        return grammar.matching(regex, prefix + "regex")
    if choice is not None:
        return grammar.one_of(choice, prefix + "choice")
    return None if lark is None else grammar.grammar_of(lark, prefix + "grammar")


def _schema(given: Any, param: str) -> Rules:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            wire.refuse(param, "a schema is an object, or JSON of one")
    return grammar.json_schema(given, param)
