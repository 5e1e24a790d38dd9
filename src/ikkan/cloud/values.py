"""What travels through the cloud: who asks, what they ask, and the pieces of an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from ikkan.ground.ids import ArtifactId, KeyId, RequestId, SubjectId, TenantId, new_id

USER = "user"
"""May ask for answers and give feedback."""
ADMIN = "admin"
"""May also change keys, upstreams, aliases and prices, and see everyone's usage."""
SCOPES = frozenset({USER, ADMIN})

LOCAL_TENANT = TenantId("local")
"""The tenant of this machine's own people: keyless callers, and keys made without naming a tenant."""

CURRENCY = "JPY"
"""What the ledger is kept in. Every row names it, so that a second currency can join without guessing."""

Endpoint = Literal["chat", "completions", "embeddings"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as far as anyone below needs to know.

    >>> Principal(TenantId("acme"), KeyId("k1"), None, frozenset({USER})).is_admin
    False
    """

    tenant_id: TenantId
    key_id: KeyId | None
    """None for a keyless caller on this machine."""
    subject_id: SubjectId | None
    """The pseudonymous person behind the request, where one is known."""
    scopes: frozenset[str]

    @property
    def is_admin(self) -> bool:
        """Whether this caller may administer."""
        return ADMIN in self.scopes


LOCAL = Principal(LOCAL_TENANT, None, None, SCOPES)
"""The keyless person at this machine's own keyboard."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer took.

    >>> Usage(input_tokens=12, cached_tokens=4, output_tokens=3).total_tokens
    15
    """

    input_tokens: int = 0
    """All input tokens, the cached ones included."""
    cached_tokens: int = 0
    """Those of them that were read from a prefix cache."""
    output_tokens: int = 0
    reasoning_tokens: int = 0
    """Those of the output that were reasoning, where the upstream says so."""
    estimated: bool = False
    """True where the upstream gave no counts and we estimated from the text."""

    def __post_init__(self) -> None:
        assert 0 <= self.cached_tokens <= self.input_tokens and self.output_tokens >= 0, "token counts contradict"

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


def new_request_id(endpoint: Endpoint = "chat") -> RequestId:
    """A request's id. It is also the OpenAI `id` of its answer, so feedback can name it.

    >>> new_request_id()[:9], new_request_id("embeddings")[:5]
    ('chatcmpl-', 'embd-')
    """
    return RequestId(new_id({"chat": "chatcmpl", "completions": "cmpl", "embeddings": "embd"}[endpoint]))


@dataclass(frozen=True, slots=True)
class Manner:
    """An adapter that an answer is wanted with, where whoever answers can load it; else it is answered without."""

    artifact_id: ArtifactId
    base: str
    """The model it was trained on, by its name in the model store."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation that wants its next turn."""

    model: str
    """An alias, a registered model, or `upstream/model`; an upstream receives its own name for the model."""
    messages: Sequence[Mapping[str, Any]]
    """OpenAI messages."""
    principal: Principal = LOCAL
    """Who asks. The pipeline overwrites it with the principal it was called with."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """The other fields of the OpenAI body, passed on as they came."""
    stream: bool = False
    include_usage: bool = False
    """Whether the client wants a usage chunk at the end of a stream."""
    request_id: RequestId = field(default_factory=new_request_id)
    deadline_s: float | None = None
    """How long the client is willing to wait: for all of an answer, or for a stream's first piece."""
    manner: Manner | None = None
    """Set by this house alone, never by a client."""

    @property
    def endpoint(self) -> Endpoint:
        """Which of our endpoints this is."""
        return "chat"

    @property
    def question(self) -> str:
        """The text of the last user message; of a message in parts, its text parts.

        >>> ChatRequest("m", [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]).question
        'Hi'
        """
        for message in reversed(self.messages):
            if message.get("role") == "user":
                return text_of(message.get("content"))
        return ""

    @property
    def prompt_texts(self) -> Sequence[str]:
        """All text the model will read, for guards and for estimates."""
        texts = [text for message in self.messages for text in _texts_of(message)]
        tools = self.body.get("tools")
        return [*texts, msgspec.json.encode(tools).decode()] if tools else texts


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A text that wants to be continued (the older endpoint)."""

    model: str
    prompt: str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]
    """A text, several, or the same as token ids."""
    principal: Principal = LOCAL
    body: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False
    include_usage: bool = False
    request_id: RequestId = field(default_factory=lambda: new_request_id("completions"))
    deadline_s: float | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Which of our endpoints this is."""
        return "completions"

    @property
    def question(self) -> str:
        """The prompt, where it is one text."""
        return self.prompt if isinstance(self.prompt, str) else ""

    @property
    def prompt_texts(self) -> Sequence[str]:
        """All text the model will read. Prompts in token ids have none."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        return [item for item in self.prompt if isinstance(item, str)]


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts that want to become vectors."""

    model: str
    inputs: Sequence[str] | Sequence[Sequence[int]]
    """Texts, or each text as token ids."""
    principal: Principal = LOCAL
    body: Mapping[str, Any] = field(default_factory=dict)
    request_id: RequestId = field(default_factory=lambda: new_request_id("embeddings"))
    deadline_s: float | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Which of our endpoints this is."""
        return "embeddings"

    @property
    def question(self) -> str:
        """Empty: a bulk of texts to embed is nobody's question, and the event log is not a place for it."""
        return ""

    @property
    def prompt_texts(self) -> Sequence[str]:
        """All texts to embed. Those given in token ids are left out."""
        return [item for item in self.inputs if isinstance(item, str)]


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """One piece of an answer, or the whole of it.

    An upstream may answer any request with a stream of `chat.completion.chunk` objects; a request that does not
    stream may also be answered with one `chat.completion`. (`text_completion` for the older endpoint.)
    """

    data: Mapping[str, Any]
    """The OpenAI object as the upstream gave it. The pipeline puts our `id` and `model` in."""
    text: str = ""
    """The text this piece adds to the first choice."""
    finish_reason: str | None = None
    """Why the first choice ended, on the piece that ends it."""
    usage: Usage | None = None
    """Counts so far. The last one of an answer is the answer's; they are never summed."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else to tell the client and the event: `{"source": "knowledge", "confidence": 0.93}`."""
    aside: str = ""
    """What else this piece says: reasoning, calls and their arguments, other choices. Guards see it."""
    units: int = 0
    """The size of everything generated in this piece (all choices, reasoning and tool calls), see `estimate.units`;
    0 lets the pipeline measure `text`."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors, one for each input, in their order."""

    vectors: Sequence[Sequence[float]]
    usage: Usage | None = None
    model: str = ""
    """What the upstream calls the model that made them."""
    facts: Mapping[str, Any] = field(default_factory=dict)


def text_chunk(
    text: str,
    *,
    finish_reason: str | None = None,
    usage: Usage | None = None,
    facts: Mapping[str, Any] = _NOTHING,
    first: bool = False,
) -> ChatChunk:
    """A piece of an answer made in this process, as an upstream of our own yields it.

    >>> text_chunk("Hello", first=True).data["choices"][0]["delta"]
    {'role': 'assistant', 'content': 'Hello'}
    """
    delta: dict[str, Any] = {"role": "assistant"} if first else {}
    if text or first:
        delta["content"] = text
    data = {
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }
    return ChatChunk(data, text=text, finish_reason=finish_reason, usage=usage, facts=facts)


def _texts_of(message: Mapping[str, Any]) -> Iterator[str]:
    """The content of a message, always, and whatever else of it a model reads."""
    yield text_of(message.get("content"))
    yield from said_aside(message)


def said_aside(message: Mapping[str, Any]) -> Iterator[str]:
    """What a message, or a piece of one, says besides its content: reasoning, and calls with their arguments.

    >>> [*said_aside({"content": None, "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]})]
    ['look', '{}']
    """
    for name in ("reasoning_content", "reasoning", "refusal"):
        if isinstance(message.get(name), str) and message[name]:
            yield message[name]
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        for name in ("name", "arguments"):
            if isinstance(function, Mapping) and isinstance(function.get(name), str) and function[name]:
                yield function[name]


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or the text parts of a list.

    >>> text_of("a"), text_of([{"type": "text", "text": "b"}, {"type": "image_url"}]), text_of(None)
    ('a', 'b', '')
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""
