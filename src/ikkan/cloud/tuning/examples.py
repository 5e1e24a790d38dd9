"""Lines of a file to examples: OpenAI's chat format, and its preference format. An error names the line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from ikkan.cloud import estimate
from ikkan.cloud.tuning.values import MAX_TOKENS, Contents, Example, Kind, Said
from ikkan.ground.errors import BadInput, NotFound

MOST_LINE_BYTES = 4 << 20
_TEMPLATE_TOKENS = estimate.TOKENS_PER_REQUEST


class _Part(msgspec.Struct):
    type: Literal["text"]
    text: str


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part]
    weight: Literal[0, 1] | None = None
    tool_calls: Any = None
    function_call: Any = None


class _Conversation(msgspec.Struct):
    messages: list[_Message]
    tools: Any = None
    functions: Any = None


class _Preference(msgspec.Struct):
    input: _Conversation
    preferred_output: list[_Message]
    non_preferred_output: list[_Message]


def read_examples(path: Path) -> list[Example]:
    """Every example of a file. Raises as `inspect`."""
    return [example for _, examples in _lines(path) for example in examples]


def inspect(path: Path) -> Contents:
    """What a file holds. One line is in memory at a time.

    Raises:
        BadInput: a line is not what can be learned from; `facts["line"]` says which, counted from 1.
    """
    kinds: dict[Kind, int] = {}
    count = tokens = 0
    for number, examples in _lines(path):
        kind: Kind = "chat" if examples[0].rejected is None else "preference"
        kinds.setdefault(kind, number)
        if len(kinds) > 1:
            raise _wrong(number, f"this is the {kind} format, and line {min(kinds.values())} has the other one")
        count += len(examples)
        tokens += sum(map(_tokens_most, examples))
    if not count:
        raise BadInput("the file is empty", hint="one example a line", param="file")
    return Contents(next(iter(kinds)), count, tokens)


def parse_line(number: int, raw: bytes) -> Sequence[Example]:
    """The examples of one line: of a conversation, one for each answer in it that has not the weight 0.

    >>> line = b'{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}'
    >>> parse_line(1, line)
    [Example(before=(Said(role='user', content='Hi'),), answer='Hello.', rejected=None)]
    """
    if len(raw) > MOST_LINE_BYTES:
        raise _wrong(number, f"it has {len(raw):,} bytes; at most {MOST_LINE_BYTES:,}")
    try:
        found = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as exc:
        raise _wrong(number, f"it is not JSON in UTF-8 ({str(exc).splitlines()[0][:160]})") from exc
    if not isinstance(found, dict):
        raise _wrong(number, "it is not a JSON object")
    try:
        if "messages" in found:
            return _answers(number, msgspec.convert(found, _Conversation))
        if "input" in found:
            return [_preference(number, msgspec.convert(found, _Preference))]
    except msgspec.ValidationError as exc:
        raise _wrong(number, re.sub(r"`\$\.?", "`", str(exc))[:300]) from exc
    if "prompt" in found:
        raise _wrong(number, "prompt and completion are the old format; write them as messages")
    raise _wrong(number, "it has neither `messages` nor `input`")


def _lines(path: Path) -> Iterator[tuple[int, Sequence[Example]]]:
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(MOST_LINE_BYTES + 2):
                number += 1
                if raw.strip():
                    yield number, parse_line(number, raw)
    except OSError as exc:
        raise NotFound("the file is not on this disk any more", hint="upload it again") from exc


def _answers(number: int, conversation: _Conversation) -> Sequence[Example]:
    said = _said(number, conversation, "messages")
    examples = [
        Example(tuple(said[:place]), one.content)
        for place, (one, message) in enumerate(zip(said, conversation.messages, strict=True))
        if one.role == "assistant" and message.weight != 0
    ]
    if said[-1].role != "assistant":
        raise _wrong(number, "its last message is not the assistant's, so there is nothing to learn")
    if not examples:
        raise _wrong(number, "every answer in it has the weight 0, so there is nothing to learn")
    for example in examples:
        if not example.before:
            raise _wrong(number, "it begins with the assistant, who has nothing to answer")
        if not example.answer.strip():
            raise _wrong(number, "an answer in it is empty")
    return examples


def _preference(number: int, found: _Preference) -> Example:
    before = _said(number, found.input, "input.messages")
    sides = []
    outputs = {"preferred_output": found.preferred_output, "non_preferred_output": found.non_preferred_output}
    for name, side in outputs.items():
        one = _said(number, _Conversation(side), name)
        if len(one) != 1 or one[0].role != "assistant" or not one[0].content.strip():
            raise _wrong(number, f"`{name}` is not one message of the assistant's")
        sides.append(one[0].content)
    if before[-1].role == "assistant":
        raise _wrong(number, "`input.messages` ends with the assistant's, who should answer next")
    if sides[0] == sides[1]:
        raise _wrong(number, "what is preferred is the same as what is not")
    return Example(tuple(before), sides[0], sides[1])


def _said(number: int, conversation: _Conversation, place: str) -> list[Said]:
    if conversation.tools or conversation.functions:
        raise _wrong(number, "calling tools is not learned here; leave out `tools`")
    if not conversation.messages:
        raise _wrong(number, f"`{place}` is empty")
    said = []
    for message in conversation.messages:
        if message.tool_calls or message.function_call:
            raise _wrong(number, "calling tools is not learned here; leave out `tool_calls`")
        content = message.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        said.append(Said("system" if message.role == "developer" else message.role, text))
    return said


def _tokens_most(example: Example) -> int:
    shared = sum(estimate.ceiling(one.content) + estimate.TOKENS_PER_MESSAGE for one in example.before)
    sides = [example.answer] if example.rejected is None else [example.answer, example.rejected]
    return sum(
        min(MAX_TOKENS, _TEMPLATE_TOKENS + shared + estimate.ceiling(side) + estimate.TOKENS_PER_MESSAGE)
        for side in sides
    )


def _wrong(number: int, what: str) -> BadInput:
    return BadInput(
        f"line {number}: {what}",
        hint='a line is {"messages": [{"role": "user", …}, {"role": "assistant", …}]}',
        param="file",
        line=number,
    )
