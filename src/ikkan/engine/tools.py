"""Tools that a model may call: what a request offers, how a model is told, and the grammar that keeps calls whole.

Models whose template knows tools are told by it, and write `<tool_call>{…}</tool_call>`. Others are told by a system
prompt of ours, and write one JSON object with all calls, or else plain words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgspec

from ikkan.engine import calls, reasoning, schemas, wire
from ikkan.engine.calls import Style
from ikkan.engine.grammar import Rules, quoted
from ikkan.ground.errors import BadGrammar, BadInput

MAX_TOOLS: Final = 128
MAX_CALLS: Final = 32
"""In one answer, when several are allowed."""

Thought: TypeAlias = Literal["never", "maybe", "opened"]
"""Whether an answer may begin with reasoning, or has begun with it in the prompt."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NO_PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str
    function: _Function


class _Named(msgspec.Struct):
    name: str


class _NamedTool(msgspec.Struct):
    type: str
    function: _Named


@dataclass(frozen=True, slots=True)
class Tool:
    """One function that may be called."""

    name: str
    schema: str
    """Of its arguments, in JSON, as the grammar reads it."""


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools of one request."""

    offered: Sequence[Mapping[str, Any]]
    """All of them as they came, for the template."""
    callable: Sequence[Tool]
    """Those that may be called now."""
    must_call: bool
    several: bool
    """Whether an answer may have more than one call."""


def read(tools: Sequence[Any] | None, choice: Any, parallel: bool | None) -> Toolbox | None:
    """The tools a request offers; None if there are none, or if none may be called.

    Raises:
        BadInput: a tool or the choice is not as the wire has it.
        BadGrammar: a strict tool's parameters cannot be honoured.
    """
    if not tools:
        if choice not in (None, "none", "auto"):
            wire.refuse("tool_choice", "it needs `tools`")
        return None
    if len(tools) > MAX_TOOLS:
        wire.refuse("tools", f"at most {MAX_TOOLS}")
    functions = [_function(number, one) for number, one in enumerate(tools)]
    names = [one.name for one in functions]
    if len(set(names)) < len(names):
        wire.refuse("tools", "two tools have the same name")
    only = _chosen(choice, names)
    if choice == "none":
        return None
    known = [
        Tool(one.name, _schema(one, f"tools[{number}].function.parameters"))
        for number, one in enumerate(functions)
        if only in (None, one.name)
    ]
    return Toolbox(tools, known, choice == "required" or only is not None, parallel is not False and only is None)


def _function(number: int, tool: Any) -> _Function:
    read = wire.convert(tool, _Tool, f"tools[{number}]")
    if read.type != "function":
        wire.refuse(f"tools[{number}].type", "this engine knows tools of type `function`")
    if not _NAME.fullmatch(read.function.name):
        wire.refuse(f"tools[{number}].function.name", "at most 64 of letters, digits, `_`, `-`, `.` and `:`")
    return read.function


def _chosen(choice: Any, names: Sequence[str]) -> str | None:
    """The one tool that must be called, if the choice names one."""
    if choice in (None, "none", "auto", "required"):
        return None
    try:
        named = msgspec.convert(choice, _NamedTool)
    except msgspec.ValidationError as exc:
        form = '{"type": "function", "function": {"name": …}}'
        raise BadInput(f"tool_choice: one of none, auto, required, or {form}", param="tool_choice") from exc
    if named.type != "function" or named.function.name not in names:
        wire.refuse("tool_choice", "it names no function among `tools`")
    return named.function.name


def _schema(function: _Function, param: str) -> str:
    """What the arguments must be. What cannot be honoured is an error only where the request is strict about it."""
    given = {"type": "object", **(function.parameters or _NO_PARAMETERS)}
    if given["type"] != "object":
        wire.refuse(param, "arguments are an object")
    if function.strict:
        return schemas.examined(given, param)
    try:
        return schemas.examined(given, param, lenient=True)
    except BadGrammar:
        return schemas.examined({"type": "object"}, param)


# --- the grammar ------------------------------------------------------------------------------------------------------


def rules(toolbox: Toolbox | None, answer: Rules | None, style: Style, thought: Thought) -> Rules | None:
    """What an answer must look like, with its reasoning, its calls, and the shape its words must have; None for freely.

    Args:
        toolbox: tools that may be called.
        answer: the shape asked of the answer itself.
        style: how this model writes calls.
        thought: whether reasoning comes first.
    """
    if toolbox is None and (answer is None or thought == "never"):
        return answer
    before = {"never": "", "maybe": "think? ", "opened": "think "}[thought]
    lines = [f"start: {before}body"]
    if thought != "never":
        opening = re.escape(reasoning.OPEN) if thought == "maybe" else ""
        lines += [
            "think: thinking gap",
            f"thinking[lazy]: /{opening}(.|\\n)*{_regex(reasoning.CLOSE)}/",
            "gap: /[ \\n]{0,4}/",
        ]
    parts = list(answer.parts) if answer else []
    words = ""
    if answer is not None:
        # The answer's own grammar becomes a part of this one.
        inner = answer.start.removeprefix("start: ").strip()
        words = "answer"
        lines.append(f"answer: {inner}")
    if toolbox is None:
        lines.append(f"body: {words}")
    else:
        lines += _calling(toolbox, style, thought, words)
        parts += [(f"t{number}", tool.schema) for number, tool in enumerate(toolbox.callable)]
    return Rules("\n".join(lines) + "\n", answer.param if answer else "tools", tuple(parts))


def _calling(toolbox: Toolbox, style: Style, thought: Thought, words: str) -> list[str]:
    more = f"{{0,{MAX_CALLS - 1}}}"
    call = " | ".join(
        f"{quoted(_head(tool.name))} @t{number} {quoted('}')}" for number, tool in enumerate(toolbox.callable)
    )
    lines = [f"call: {call}"]
    # Reasoning is a rule of its own; without this, an answer that begins with it could be read as words.
    no_thought = "" if thought != "maybe" else " & ~/[ \\n]*<think>(.|\\n)*/"
    if style == "object":
        others = f'(", " call){more} ' if toolbox.several else ""
        lines.append(f'calls: {quoted(calls.OBJECT)} call {others}"]}}"')
        if not words and not toolbox.must_call:
            words = "WORDS"
            lines.append(f"WORDS: /[^{{ \\n\\r\\t](.|\\n)*/{no_thought}")
        lines.append("body: calls" if toolbox.must_call else f"body: {words} | calls")
        return lines
    opening, closing = quoted(calls.OPEN + "\n"), quoted("\n" + calls.CLOSE)
    others = f" ({quoted(chr(10) + calls.OPEN + chr(10))} call {closing}){more}" if toolbox.several else ""
    lines.append(f"rest: {closing}{others}")
    if toolbox.must_call:
        return [*lines, f"body: {opening} call rest"]
    if words:
        return [*lines, f"body: {words} | {opening} call rest"]
    return [
        *lines,
        f"WORDS: /(.|\\n)*/{no_thought}",
        f"OPENED: /(.|\\n)*{_regex(calls.OPEN)}/{no_thought}",
        "opened[lazy]: OPENED",
        'body: WORDS | opened "\\n" call rest',
    ]


def _head(name: str) -> str:
    return f'{{"name": "{name}", "arguments": '


def _regex(tag: str) -> str:
    return tag.replace("/", "\\/")


# --- for models whose template knows no tools -------------------------------------------------------------------------


def told_in_words(messages: Sequence[Mapping[str, Any]], toolbox: Toolbox | None) -> list[dict[str, Any]]:
    """A conversation with tools for a template that knows none: told in the system prompt, calls and results as text.

    >>> result = {"role": "tool", "content": "21", "tool_call_id": "c", "name": "weather"}
    >>> told_in_words([result], None)
    [{'role': 'user', 'content': 'Result of weather: 21'}]
    """
    told: list[dict[str, Any]] = []
    for message in messages:
        content = message.get("content") or ""
        if message["role"] == "tool":
            result = f"Result of {message.get('name', 'the tool')}: {content}"
            if told and told[-1].get("results"):
                told[-1]["content"] += "\n" + result
            else:
                told.append({"role": "user", "content": result, "results": True})
        elif made := message.get("tool_calls"):
            written = [{"name": one["function"]["name"], "arguments": one["function"]["arguments"]} for one in made]
            told.append({**message, "content": json.dumps({"tool_calls": written}, ensure_ascii=False)})
        else:
            told.append({**message})
    for one in told:
        one.pop("results", None)
        one.pop("tool_calls", None)
    if toolbox is not None:
        system = told.pop(0)["content"] + "\n\n" if told and told[0]["role"] == "system" else ""
        told.insert(0, {"role": "system", "content": system + _manual(toolbox)})
    return told


def _manual(toolbox: Toolbox) -> str:
    functions = [json.dumps(one["function"], ensure_ascii=False) for one in toolbox.offered]
    form = '{"tool_calls": [{"name": "NAME", "arguments": {…}}]}'
    how = "one or more" if toolbox.several else "one"
    if toolbox.must_call:
        when = f"Answer by calling {how} of these functions. Write nothing but one line of JSON:"
    else:
        when = f"To call {how} of these functions, write nothing but one line of JSON:"
    otherwise = "" if toolbox.must_call else "\nIf no function helps, answer in plain words."
    return "You can call these functions:\n" + "\n".join(functions) + f"\n{when}\n{form}{otherwise}"
