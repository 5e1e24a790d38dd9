"""The OpenAI wire: bodies in, objects and stream frames out. As the `openai` client 3.54 sends and reads them."""

from __future__ import annotations

import base64
import re
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import msgspec

from ikkan.cloud.events import Feedback
from ikkan.cloud.values import ChatChunk, ChatRequest, CompletionRequest, Embeddings, EmbedRequest, Principal, Usage
from ikkan.ground.errors import BadInput
from ikkan.ground.ids import SubjectId

T = TypeVar("T")

Pseudonym = Callable[[str], SubjectId]
"""What a client calls a person, to a pseudonym."""

DONE = b"data: [DONE]\n\n"
_Tokens = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
_Texts = str | list[str | int | list[int]]
"""One text or several, as text or as token ids; `_texts` sees to it that they are all of a kind."""
_Choices = Annotated[int, msgspec.Meta(ge=1, le=128)]
_OURS = frozenset({"model", "messages", "prompt", "input", "stream", "stream_options", "user", "safety_identifier"})
"""Fields that are read here; all others go on to the upstream as they came."""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Common(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    user: str | None = None
    safety_identifier: str | None = None


class _Generating(_Common):
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    n: _Choices | None = None


class _Message(msgspec.Struct):
    role: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    content: str | list[dict[str, Any]] | None = None


class _Chat(_Generating, kw_only=True):
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]


class _Completion(_Generating, kw_only=True):
    prompt: _Texts = ""
    best_of: _Choices | None = None


class _Embed(_Common, kw_only=True):
    input: _Texts
    encoding_format: str | None = None
    dimensions: _Tokens | None = None


class _FeedbackBody(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    kind: str
    value: float | None = None
    before: str | None = None
    after: str | None = None
    comment: str | None = None
    knowledge_id: str | None = None
    user: str | None = None


def read_chat(raw: bytes, principal: Principal, pseudonym: Pseudonym, deadline_s: float | None = None) -> ChatRequest:
    """A chat body.

    Raises:
        BadInput: not JSON, or a field is missing or of the wrong type; `facts["param"]` says which.
    """
    body = _object(raw)
    read = _convert(body, _Chat)
    principal, rest = _who(body, read, principal, pseudonym)
    return ChatRequest(
        model=read.model,
        messages=body["messages"],
        principal=principal,
        body=rest,
        stream=bool(read.stream),
        include_usage=bool(read.stream_options and read.stream_options.include_usage),
        deadline_s=deadline_s,
    )


def read_completion(
    raw: bytes, principal: Principal, pseudonym: Pseudonym, deadline_s: float | None = None
) -> CompletionRequest:
    """A body of the older endpoint. Raises as `read_chat`."""
    body = _object(raw)
    read = _convert(body, _Completion)
    principal, rest = _who(body, read, principal, pseudonym)
    return CompletionRequest(
        model=read.model,
        prompt=_texts(read.prompt, "prompt"),
        principal=principal,
        body=rest,
        stream=bool(read.stream),
        include_usage=bool(read.stream_options and read.stream_options.include_usage),
        deadline_s=deadline_s,
    )


def read_embed(
    raw: bytes, principal: Principal, pseudonym: Pseudonym, deadline_s: float | None = None
) -> tuple[EmbedRequest, bool]:
    """A body that wants vectors, and whether it wants them in base64. Raises as `read_chat`."""
    body = _object(raw)
    read = _convert(body, _Embed)
    if read.encoding_format not in (None, "float", "base64"):
        raise BadInput("encoding_format is float or base64", hint="leave it out for float", param="encoding_format")
    inputs = _inputs(read.input)
    if not inputs or any(len(item) == 0 for item in inputs):
        raise BadInput("there is nothing to embed in an empty input", hint="send some text", param="input")
    principal, rest = _who(body, read, principal, pseudonym)
    rest.pop("encoding_format", None)
    asked = EmbedRequest(read.model, inputs, principal, rest, deadline_s=deadline_s)
    return asked, read.encoding_format == "base64"


def read_feedback(raw: bytes) -> tuple[Feedback, str | None]:
    """What a person said about an answer, and what the client calls that person. Raises as `read_chat`."""
    read = _convert(_object(raw), _FeedbackBody)
    said = Feedback(read.id, read.kind, read.value, read.before, read.after, read.comment, read.knowledge_id)
    return said, read.user


def frame(data: Mapping[str, Any]) -> bytes:
    """One event of a stream.

    >>> frame({"a": 1})
    b'data: {"a":1}\\n\\n'
    """
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def whole(chunks: Sequence[ChatChunk]) -> Mapping[str, Any]:
    """One answer out of its pieces, for a client that does not stream.

    >>> said = [ChatChunk({"id": "a", "choices": [{"index": 0, "delta": {"content": word}}]}) for word in ("Hi", "!")]
    >>> whole(said)["choices"][0]["message"]["content"]
    'Hi!'
    """
    assert chunks, "an answer has at least one piece"
    last = chunks[-1].data
    if len(chunks) == 1 and last.get("object") in ("chat.completion", "text_completion"):
        return last
    answer = {name: value for chunk in chunks for name, value in chunk.data.items() if name != "choices"}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk.data.get("choices") or ():
            _join_choice(choices.setdefault(choice.get("index", 0), {"index": choice.get("index", 0)}), choice)
    is_text = any("text" in choice for choice in choices.values())
    answer["object"] = "text_completion" if is_text else "chat.completion"
    for choice in choices.values():
        choice.setdefault("finish_reason", None)
        if not is_text:
            choice.setdefault("message", {}).setdefault("role", "assistant")
            choice["message"].setdefault("content", None)
    answer["choices"] = [choices[index] for index in sorted(choices)]
    return answer


def embeddings(made: Embeddings, request: EmbedRequest, *, as_base64: bool) -> Mapping[str, Any]:
    """Vectors as the wire has them."""
    usage = made.usage or Usage()
    return {
        "object": "list",
        "model": request.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if as_base64 else list(vector)}
            for index, vector in enumerate(made.vectors)
        ],
        "usage": {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens},
        "id": request.request_id,
        "ikkan": dict(made.facts),
    }


def read_body(raw: bytes, kind: type[T]) -> T:
    """A JSON body of this kind. Raises `BadInput`; `facts["param"]` says which field is wrong."""
    return _convert(_object(raw), kind)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as exc:
        raise BadInput("the body is not JSON in UTF-8", hint=f"the parser says: {_short(exc)}") from exc
    if not isinstance(body, dict):
        raise BadInput("the body is not a JSON object", hint='{"model": …}')
    return body


def _convert(body: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as exc:
        said = str(exc)
        missing = re.search(r"missing required field `(\w+)`", said)
        place = re.search(r"`\$\.?([^`]*)`$", said)
        param = missing[1] if missing else (place[1] if place else None)
        raise BadInput(f"this body cannot be used: {said}", hint="see the OpenAI reference", param=param) from exc


def _who(
    body: dict[str, Any], read: _Common, principal: Principal, pseudonym: Pseudonym
) -> tuple[Principal, dict[str, Any]]:
    rest = {name: value for name, value in body.items() if name not in _OURS}
    person = read.safety_identifier or read.user
    if person:
        subject_id = pseudonym(person)
        principal = replace(principal, subject_id=subject_id)
        # A vendor may tell people apart, but does not learn who they are.
        rest["user"] = subject_id
    return principal, rest


def _texts(found: _Texts, param: str) -> str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]:
    if isinstance(found, list) and len({type(item) for item in found}) > 1:
        raise BadInput(f"{param} mixes texts and token ids", hint="send one kind", param=param)
    return found  # type: ignore[return-value]  # all of one type, as was just seen


def _inputs(found: _Texts) -> Sequence[str] | Sequence[Sequence[int]]:
    texts = _texts(found, "input")
    one_text = isinstance(texts, str) or bool(texts and isinstance(texts[0], int))
    return [texts] if one_text else texts  # type: ignore[return-value]  # as was just seen


def _join_choice(whole_choice: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for name, value in piece.items():
        if name in ("delta", "message") and isinstance(value, dict):
            _join_message(whole_choice.setdefault("message", {}), value)
        elif name == "text" and isinstance(value, str):
            whole_choice["text"] = whole_choice.get("text", "") + value
        elif name == "logprobs" and isinstance(value, dict):
            known = whole_choice.setdefault("logprobs", {})
            for part, found in value.items():
                known[part] = [*(known.get(part) or []), *found] if isinstance(found, list) else found
        elif value is not None and name != "index":
            whole_choice[name] = value


def _join_message(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls" and isinstance(value, list):
            calls = message.setdefault("tool_calls", [])
            for place, call in enumerate(value):
                if isinstance(call, dict):
                    _join_call(calls, call, call.get("index", place))
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
        elif value is not None:
            message[name] = value


def _join_call(calls: list[dict[str, Any]], piece: Mapping[str, Any], index: int) -> None:
    while len(calls) <= min(index, 127):
        calls.append({"function": {"name": "", "arguments": ""}})
    call = calls[min(index, 127)]
    for name, value in piece.items():
        if name == "function" and isinstance(value, dict):
            for part in ("name", "arguments"):
                if isinstance(value.get(part), str):
                    call["function"][part] += value[part]
        elif value is not None and name != "index":
            call[name] = value


def _packed(vector: Sequence[float]) -> str:
    numbers = vector if isinstance(vector, array) and vector.typecode == "f" else array("f", vector)
    if sys.byteorder == "big":
        numbers = array("f", numbers)
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def _short(exc: BaseException) -> str:
    return str(exc).splitlines()[0][:200]
