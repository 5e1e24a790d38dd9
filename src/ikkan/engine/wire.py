"""The OpenAI wire, read strictly and written exactly: bodies to values, values to bodies.

Unknown fields are ignored, as OpenAI's own clients expect; a known field with a wrong value is a 400 that names it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from ikkan.engine.values import Sampling
from ikkan.ground.errors import BadInput, IkkanError
from ikkan.models.values import Float32

ROLES = ("system", "developer", "user", "assistant", "tool")
MAX_CHOICES = 16


class Body:
    """One JSON body, read field by field; complains about the field by its name."""

    def __init__(self, raw: bytes) -> None:
        try:
            fields = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise BadInput("the body is no valid JSON", hint="send UTF-8 JSON", param=None) from exc
        if not isinstance(fields, dict):
            raise BadInput("the body is no JSON object", hint="send an object of fields", param=None)
        self.fields: dict[str, Any] = fields

    def get(self, name: str) -> Any:
        return self.fields.get(name)

    def wrong(self, name: str, told: str) -> BadInput:
        return BadInput(f"{name} {told}", hint=f"correct or leave out {name}", param=name)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        value = self.fields.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.wrong(name, f"must be a number from {low:g} to {high:g}")
        return float(value)

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        value = self.fields.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(name, f"must be a whole number from {low} to {high}")
        return value

    def flag(self, name: str) -> bool:
        value = self.fields.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return bool(value)

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, "must be a text")
        return value

    def refuse(self, *names: str) -> None:
        for name in names:
            if self.fields.get(name) not in (None, [], {}, False, ""):
                raise self.wrong(name, "is not supported by this engine yet")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a chat or completion request asks for, after the door."""

    model: str
    sampling: Sampling
    choices: int
    stream: bool
    include_usage: bool


def read_asked(body: Body, *, room: int, chat: bool) -> Asked:
    """The common fields of both endpoints. `room`: the context's tokens, for the default of `max_tokens`."""
    body.refuse("audio", "modalities") if chat else body.refuse("suffix")
    stop = body.get("stop") or []
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or len(stops) > 16 or not all(isinstance(text, str) for text in stops):
        raise body.wrong("stop", "must be a text or a list of up to 16 texts")
    stop_ids = body.get("stop_token_ids") or []
    if not isinstance(stop_ids, list) or not all(isinstance(token, int) for token in stop_ids):
        raise body.wrong("stop_token_ids", "must be a list of token ids")
    seed = body.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise body.wrong("seed", "must be a whole number")
    limit = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    sampling = Sampling(
        temperature=body.number("temperature", 1.0, 0.0, 2.0),
        top_k=max(0, body.integer("top_k", 0, -1, 1_000_000)),
        top_p=body.number("top_p", 1.0, 0.0, 1.0),
        min_p=body.number("min_p", 0.0, 0.0, 1.0),
        repetition_penalty=body.number("repetition_penalty", 1.0, 0.01, 10.0),
        presence_penalty=body.number("presence_penalty", 0.0, -2.0, 2.0),
        frequency_penalty=body.number("frequency_penalty", 0.0, -2.0, 2.0),
        seed=seed,
        max_tokens=body.integer(limit, room if chat else 16, 1, 1_000_000),
        min_tokens=body.integer("min_tokens", 0, 0, 1_000_000),
        stop=tuple(stops),
        stop_ids=frozenset(stop_ids),
        ignore_eos=body.flag("ignore_eos"),
        top_logprobs=_asked_logprobs(body, chat),
    )
    stream = body.flag("stream")
    options = body.get("stream_options")
    if options is not None and (not isinstance(options, dict) or not stream):
        raise body.wrong("stream_options", "goes with stream: true, as an object")
    return Asked(
        body.text("model"),
        sampling,
        body.integer("n", 1, 1, MAX_CHOICES),
        stream,
        bool(options and options.get("include_usage")),
    )


def read_messages(body: Body) -> list[dict[str, Any]]:
    """The conversation, with contents in parts joined to plain text."""
    body.refuse("tools", "functions")
    shape = body.get("response_format")
    if shape is not None and (not isinstance(shape, dict) or shape.get("type") != "text"):
        raise body.wrong("response_format", "other than {\"type\": \"text\"} is not supported by this engine yet")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise body.wrong("messages", "must be a list with at least one message")
    return [_message(body, place, message) for place, message in enumerate(messages)]


def _message(body: Body, place: int, message: Any) -> dict[str, Any]:
    name = f"messages[{place}]"
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise body.wrong(f"{name}.role", f"must be one of {', '.join(ROLES)}")
    content = message.get("content")
    if isinstance(content, list):
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            raise body.wrong(f"{name}.content", "has parts that are no text; this model reads text only")
        content = "".join(str(part.get("text", "")) for part in content)
    if content is not None and not isinstance(content, str):
        raise body.wrong(f"{name}.content", "must be a text or a list of text parts")
    return {**message, "role": "system" if message["role"] == "developer" else message["role"], "content": content or ""}


def _asked_logprobs(body: Body, chat: bool) -> int | None:
    if chat:
        top = body.integer("top_logprobs", 0, 0, 20)
        asked = body.flag("logprobs")
        if top and not asked:
            raise body.wrong("top_logprobs", "goes with logprobs: true")
        return top if asked else None
    wanted = body.get("logprobs")
    return None if wanted is None else body.integer("logprobs", 0, 0, 20)


def token_lists(body: Body, name: str) -> list[str | list[int]]:
    """A field that is one text, several, one list of token ids, or several."""
    value = body.get(name)
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value:
        if all(isinstance(item, str) for item in value):
            return list(value)
        if all(_is_id(item) for item in value):
            return [value]
        if all(isinstance(item, list) and item and all(_is_id(token) for token in item) for item in value):
            return list(value)
    raise body.wrong(name, "must be a text, a list of texts, a list of token ids or a list of such lists")


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


# ---- what goes out ----------------------------------------------------------------------------------------------------


def usage_of(prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }


def frame(value: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def error_body(error: IkkanError) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    return {"error": {"message": message, "type": kind, "param": error.facts.get("param"), "code": error.code}}


def embedding(vector: Float32, base64_wanted: bool) -> str | Sequence[float]:
    """Little-endian float32 in base64, or a list."""
    if base64_wanted:
        return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode()
    return [float(value) for value in vector]


def head(identity: str, kind: str, model: str) -> dict[str, Any]:
    """The fields every answer begins with."""
    return {"id": identity, "object": kind, "created": int(time.time()), "model": model}
