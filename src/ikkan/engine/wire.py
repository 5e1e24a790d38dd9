"""The OpenAI wire, inwards: bodies are checked here once and become values. Unknown fields are ignored."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from ikkan.engine.values import Sampling
from ikkan.ground.errors import BadInput, IkkanError

MAX_CHOICES: Final = 32
MAX_STOPS: Final = 16
MAX_STOP_CHARS: Final = 500
MAX_TOP_LOGPROBS: Final = 20
MAX_BIASES: Final = 1024
MAX_INPUTS: Final = 2048

_ROLES: Final[Mapping[str, str]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}

Body = TypeVar("Body")


class Part(msgspec.Struct):
    type: str
    text: str | None = None


class CalledFunction(msgspec.Struct):
    name: str
    arguments: str | dict[str, Any] = "{}"


class ToolCall(msgspec.Struct):
    function: CalledFunction
    id: str | None = None
    type: str | None = None


class Message(msgspec.Struct):
    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: Any = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class JsonSchema(msgspec.Struct):
    schema: Any = msgspec.UNSET
    name: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct):
    type: str
    json_schema: JsonSchema | None = None
    schema: dict[str, Any] | None = None


class StructuredOutputs(msgspec.Struct):
    json: str | bool | dict[str, Any] | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    json_object: bool | None = None
    structural_tag: Any = None
    whitespace_pattern: str | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class Asked(msgspec.Struct):
    """What chats and completions have in common."""

    model: str
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    max_tokens: int | None = None
    min_tokens: int | None = None
    ignore_eos: bool | None = None
    cache_salt: str | None = None
    response_format: ResponseFormat | None = None
    guided_json: str | bool | dict[str, Any] | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None
    guided_whitespace_pattern: str | None = None
    structured_outputs: StructuredOutputs | None = None
    truncate_prompt_tokens: int | None = None
    prompt_logprobs: int | None = None
    priority: int | None = None
    deadline_s: float | None = None


class ChatBody(Asked, kw_only=True):
    messages: list[Message]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    functions: list[Any] | None = None
    function_call: Any = None
    modalities: list[str] | None = None
    audio: Any = None


class CompletionBody(Asked, kw_only=True):
    prompt: str | list[str | int | list[int]]
    logprobs: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None


class EmbeddingBody(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None
    truncate_prompt_tokens: int | None = None
    pooling: str | None = None


class TokenizeBody(msgspec.Struct):
    model: str | None = None
    prompt: str | None = None
    messages: list[Message] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    tools: list[Any] | None = None
    return_token_strs: bool | None = None


class DetokenizeBody(msgspec.Struct):
    tokens: list[int]
    model: str | None = None


def read(data: bytes, kind: type[Body]) -> Body:
    """A checked body.

    Raises:
        BadInput: it is not JSON, a field is missing or of the wrong type; `facts["param"]` says which.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as exc:
        _refuse_as(exc, "")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        refuse(None, "the body is not JSON as we read it")


def convert(value: Any, kind: type[Body], where: str) -> Body:
    """A checked part of a body that was kept as it came.

    Raises:
        BadInput: as `read`; `where` is the part's own place.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        _refuse_as(exc, where)


def _refuse_as(exc: msgspec.ValidationError, where: str) -> NoReturn:
    said, _, path = str(exc).partition(" - at `")
    param = (where + path.rstrip("`").removeprefix("$")).removeprefix(".")
    if missing := _MISSING.search(said):
        param = f"{param}.{missing[1]}" if param else missing[1]
    refuse(param or None, said[:200])


_MISSING: Final = re.compile(r"missing required field `([^`]*)`")


def refuse(param: str | None, why: str, *, hint: str = "") -> NoReturn:
    """Say which field cannot be used.

    Raises:
        BadInput: always.
    """
    raise BadInput(f"{param}: {why}" if param else why, hint=hint, param=param)


def sampling(body: ChatBody | CompletionBody, vocab: int) -> Sampling:
    """The sampling settings of a request, defaults filled in as the OpenAI wire has them.

    Raises:
        BadInput: a value is out of range.
    """
    top_logprobs: int | None
    if isinstance(body, ChatBody):
        top_logprobs = _within("top_logprobs", body.top_logprobs, 0, MAX_TOP_LOGPROBS, 0)
        if body.top_logprobs is not None and not body.logprobs:
            refuse("top_logprobs", "it needs `logprobs` to be true")
        top_logprobs = top_logprobs if body.logprobs else None
    else:
        top_logprobs = None if body.logprobs is None else _within("logprobs", body.logprobs, 0, MAX_TOP_LOGPROBS, 0)
    top_k = 0 if body.top_k == -1 else _within("top_k", body.top_k, 0, 2**31, 0)
    return Sampling(
        temperature=_within("temperature", body.temperature, 0.0, 2.0, 1.0),
        top_k=top_k,
        top_p=_within("top_p", body.top_p, 0.0, 1.0, 1.0),
        min_p=_within("min_p", body.min_p, 0.0, 1.0, 0.0),
        repetition_penalty=_within("repetition_penalty", body.repetition_penalty, 0.01, 10.0, 1.0),
        presence_penalty=_within("presence_penalty", body.presence_penalty, -2.0, 2.0, 0.0),
        frequency_penalty=_within("frequency_penalty", body.frequency_penalty, -2.0, 2.0, 0.0),
        bias=_bias(body.logit_bias or {}, vocab),
        seed=_within("seed", body.seed, -(2**63), 2**63 - 1, 0) if body.seed is not None else None,
        top_logprobs=top_logprobs,
    )


def stops(body: Asked) -> tuple[str, ...]:
    """The stop texts of a request.

    Raises:
        BadInput: too many, too long, or empty.
    """
    found = [body.stop] if isinstance(body.stop, str) else body.stop or []
    if len(found) > MAX_STOPS:
        refuse("stop", f"at most {MAX_STOPS} texts")
    if not all(found):
        refuse("stop", "an empty text would end every answer before it begins")
    if any(len(one) > MAX_STOP_CHARS for one in found):
        refuse("stop", f"at most {MAX_STOP_CHARS} characters each")
    return tuple(found)


def stop_token_ids(body: Asked, vocab: int) -> frozenset[int]:
    """The tokens besides the model's own that end an answer.

    Raises:
        BadInput: a token is outside the vocabulary.
    """
    return frozenset(tokens("stop_token_ids", body.stop_token_ids or [], vocab))


def choices(body: Asked) -> int:
    """How many answers are wanted for each prompt.

    Raises:
        BadInput: none, or too many.
    """
    return _within("n", body.n, 1, MAX_CHOICES, 1)


def max_tokens(body: ChatBody | CompletionBody) -> int | None:
    """The longest answer asked for, or None.

    Raises:
        BadInput: it is less than one, or two fields disagree.
    """
    limit = 2**31
    plain = None if body.max_tokens is None else _within("max_tokens", body.max_tokens, 1, limit, 1)
    if isinstance(body, CompletionBody) or body.max_completion_tokens is None:
        return plain
    newer = _within("max_completion_tokens", body.max_completion_tokens, 1, limit, 1)
    if plain is not None and plain != newer:
        refuse("max_tokens", "it contradicts `max_completion_tokens`; send one of them")
    return newer


def min_tokens(body: Asked, most: int) -> int:
    """The shortest answer asked for.

    Raises:
        BadInput: it is negative, or more than the answer may have.
    """
    return _within("min_tokens", body.min_tokens, 0, most, 0)


def check_stream_options(body: Asked) -> None:
    """Raises:
    BadInput: options of a stream where there is none.
    """
    if body.stream_options is not None and not body.stream:
        refuse("stream_options", "it needs `stream` to be true")


def messages(found: Sequence[Message]) -> list[dict[str, Any]]:
    """A conversation as chat templates read it: roles and texts, calls with their arguments as data.

    Raises:
        BadInput: an unknown role, a part that is no text, a call that cannot be read, or no message at all.
    """
    if not found:
        refuse("messages", "at least one is needed")
    called: dict[str, str] = {}
    read: list[dict[str, Any]] = []
    for number, one in enumerate(found):
        where = f"messages[{number}]"
        role = _role(where, one)
        message: dict[str, Any] = {"role": role, "content": _content(where, one)}
        if one.tool_calls:
            if role != "assistant":
                refuse(f"{where}.tool_calls", "only the assistant calls tools")
            message["tool_calls"] = [_call(f"{where}.tool_calls[{at}]", call) for at, call in enumerate(one.tool_calls)]
            called |= {call.id: call.function.name for call in one.tool_calls if call.id}
        thought = one.reasoning_content or one.reasoning
        if thought and role == "assistant":
            message["reasoning_content"] = thought
        if role == "tool":
            message["tool_call_id"] = one.tool_call_id or ""
            name = one.name or called.get(one.tool_call_id or "")
            message |= {"name": name} if name else {}
        read.append(message)
    return read


def refuse_what_this_engine_cannot(body: Asked) -> None:
    """Say so where a field asks for something we would silently leave out.

    Raises:
        BadInput: the fields that came before tools, anything but text, a prompt's log-probabilities.
    """
    if body.prompt_logprobs is not None:
        refuse("prompt_logprobs", "this engine reports log-probabilities of answers only")
    if not isinstance(body, ChatBody):
        return
    if body.functions:
        refuse("functions", "this is the older way to offer tools", hint="send them as `tools`")
    if body.function_call not in (None, "none", "auto"):
        refuse("function_call", "this is the older way to choose a tool", hint="send `tools` and `tool_choice`")
    if body.chat_template is not None:
        refuse("chat_template", "a conversation is written by the model's own template")
    if any(one != "text" for one in body.modalities or ()):
        refuse("modalities", "this engine answers in text only")
    if body.audio is not None:
        refuse("audio", "this engine answers in text only")


def deadline(body: Asked, now_s: float) -> float | None:
    """When the answer must be complete, on the clock that says `now_s`; None for no hurry.

    Raises:
        BadInput: it lies in the past, or weeks ahead.
    """
    wanted_s = body.deadline_s
    return None if wanted_s is None else now_s + _within("deadline_s", wanted_s, 0.001, 1e6, 1.0)


def shortened(body: Asked, prompt: list[int], context_tokens: int) -> list[int]:
    """The prompt's end, where the request allows its beginning to be left out.

    Raises:
        BadInput: not -1, and not a number of tokens.
    """
    if body.truncate_prompt_tokens is None:
        return prompt
    most = context_tokens - 1
    if body.truncate_prompt_tokens != -1:
        most = _within("truncate_prompt_tokens", body.truncate_prompt_tokens, 1, context_tokens, 1)
    return prompt[-most:]


_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh")
_OURS: Final = ("messages", "tools", "add_generation_prompt", "continue_final_message", "bos_token", "eos_token")


def template_settings(body: ChatBody | TokenizeBody) -> dict[str, Any]:
    """What the request tells the chat template besides the conversation.

    Raises:
        BadInput: a name that is not the request's to set, or an unknown effort.
    """
    settings = dict(body.chat_template_kwargs or {})
    for name in settings:
        if name in _OURS or not name.isidentifier():
            refuse(f"chat_template_kwargs.{name[:80]}", "this name is not for a request to set")
    effort = body.reasoning_effort if isinstance(body, ChatBody) else None
    if effort is not None:
        if effort not in _EFFORTS:
            refuse("reasoning_effort", f"one of {', '.join(_EFFORTS)}")
        settings.setdefault("reasoning_effort", effort)
        if effort == "none":
            settings.setdefault("enable_thinking", False)
    return settings


def check_turn(body: ChatBody | TokenizeBody) -> None:
    """Raises:
    BadInput: a last message that is both to be continued and to be answered, or that is not the assistant's.
    """
    if not body.continue_final_message:
        return
    if body.add_generation_prompt:
        refuse("continue_final_message", "it contradicts `add_generation_prompt`; send one of them")
    if not body.messages or body.messages[-1].role != "assistant" or not body.messages[-1].content:
        refuse("continue_final_message", "the last message must be the assistant's, with a text to continue")


def prompts(param: str, given: str | list[str | int | list[int]], vocab: int) -> list[str | list[int]]:
    """The texts or token lists of a field that takes one or many of either.

    Raises:
        BadInput: none, kinds mixed, or a token outside the vocabulary.
    """
    if isinstance(given, str):
        return [given]
    if not given:
        refuse(param, "it is empty")
    if len(given) > MAX_INPUTS and not isinstance(given[0], int):
        refuse(param, f"at most {MAX_INPUTS:,} in one request")
    texts = [one for one in given if isinstance(one, str)]
    if len(texts) == len(given):
        return list(texts)
    numbers = [one for one in given if isinstance(one, int)]
    if len(numbers) == len(given):
        return [tokens(param, numbers, vocab)]
    lists = [one for one in given if isinstance(one, list)]
    if len(lists) != len(given):
        refuse(param, "either texts, or tokens, or lists of tokens, not a mixture")
    if not all(lists):
        refuse(param, "a list of tokens is empty")
    return [tokens(param, one, vocab) for one in lists]


def tokens(param: str, given: list[int], vocab: int) -> list[int]:
    """Token ids, all of them in the vocabulary.

    Raises:
        BadInput: one is not.
    """
    for one in given:
        if not 0 <= one < vocab:
            refuse(param, f"token {one} is outside the vocabulary of {vocab:,}")
    return given


def error_body(error: IkkanError) -> dict[str, Any]:
    """An error as clients of the OpenAI wire read it."""
    kind = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    fallback = "api_error" if error.status >= 500 else "invalid_request_error"
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    fields = {"message": message, "type": kind.get(error.status, fallback)}
    return {"error": {**fields, "param": error.facts.get("param"), "code": error.code}}


def error_headers(error: IkkanError) -> dict[str, str]:
    """Whether asking again makes sense, and when."""
    headers = {"x-should-retry": "true" if error.retryable else "false"}
    if wait_s := error.facts.get("retry_after_s"):
        headers["retry-after-ms"] = str(max(1, int(wait_s * 1000)))
        headers["retry-after"] = str(max(1, math.ceil(wait_s)))
    return headers


Number = TypeVar("Number", int, float)


def _within(param: str, value: Number | None, least: Number, most: Number, default: Number) -> Number:
    if value is None:
        return default
    if not least <= value <= most:
        refuse(param, f"{value} is not between {least} and {most}")
    return value


def _bias(given: Mapping[str, float], vocab: int) -> dict[int, float]:
    if len(given) > MAX_BIASES:
        refuse("logit_bias", f"at most {MAX_BIASES} tokens")
    found: dict[int, float] = {}
    for name, value in given.items():
        if not (name.isascii() and name.isdecimal() and len(name) < 10 and int(name) < vocab):
            refuse("logit_bias", f"its keys are token ids below {vocab:,}")
        found[int(name)] = _within("logit_bias", value, -100.0, 100.0, 0.0)
    return found


def _role(where: str, message: Message) -> str:
    if message.role == "function" or message.function_call is not None:
        refuse(where, "this is the older way to call functions", hint="send `tools`, `tool_calls` and role `tool`")
    if message.role not in _ROLES:
        refuse(f"{where}.role", f"one of {', '.join(_ROLES)}")
    return _ROLES[message.role]


def _call(where: str, call: ToolCall) -> dict[str, Any]:
    arguments = call.function.arguments
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments or "{}", type=dict[str, Any])
        except (ValueError, RecursionError):
            refuse(f"{where}.function.arguments", "not an object in JSON")
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id or "", "type": "function", "function": function}


def _content(where: str, message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    if message.content is None:
        if message.role == "assistant" and (message.tool_calls or message.reasoning_content or message.reasoning):
            return ""
        refuse(f"{where}.content", "a message needs a text")
    texts: list[str] = []
    for place, part in enumerate(message.content):
        part_at = f"{where}.content[{place}]"
        if part.type != "text":
            refuse(f"{part_at}.type", "this model reads text only", hint="leave out images, audio and files")
        if part.text is None:
            refuse(f"{part_at}.text", "a text part needs a text")
        texts.append(part.text)
    return "\n".join(texts)
