"""An upstream in this process that answers as it is told, for tests and for trying things out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ikkan.cloud import estimate
from ikkan.cloud.upstreams import Health
from ikkan.cloud.values import ChatChunk, ChatRequest, CompletionRequest, Embeddings, EmbedRequest, Usage
from ikkan.ground.errors import IkkanError, UnknownModel, UpstreamCutShort


@dataclass
class FakeUpstream:
    """Says its `answer` word by word.

    >>> async def say() -> str:
    ...     return "".join([chunk.text async for chunk in FakeUpstream().chat(ChatRequest("fake", [], stream=True))])
    >>> asyncio.run(say())
    'The quick brown fox.'
    """

    name: str = "fake"
    answer: Sequence[str] = ("The", " quick", " brown", " fox.")
    offered: Sequence[str] = ("fake",)
    usage: Usage | None = field(default_factory=lambda: Usage(11, 0, 4))
    """What it says an answer took; None to say nothing."""
    pause_s: float = 0.0
    """Before each word."""
    cut_after: int | None = None
    """Break off after so many words."""
    failure: IkkanError | None = None
    """Raised before the first word."""
    stall: asyncio.Event | None = None
    """Waited for after the first word."""
    open_streams: int = 0
    """Answers being given now."""
    requests: list[ChatRequest | CompletionRequest | EmbedRequest] = field(default_factory=list)
    """Everything it was asked."""

    def chat(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """See `Upstream.chat`."""
        return self._generate(request, "chat.completion")

    def complete(self, request: CompletionRequest) -> AsyncIterator[ChatChunk]:
        """See `Upstream.complete`."""
        return self._generate(request, "text_completion")

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Vectors that depend on nothing but the length of each input."""
        self._begin(request)
        count = sum(len(item) for item in request.inputs)
        usage = None if self.usage is None else Usage(count, 0, 0)
        return Embeddings([[float(len(item)), 1.0, -0.5] for item in request.inputs], usage, request.model)

    async def models(self) -> Sequence[str]:
        """See `Upstream.models`."""
        return self.offered

    async def health(self) -> Health:
        """See `Upstream.health`."""
        return Health(self.failure is None, "" if self.failure is None else self.failure.message)

    def _begin(self, request: ChatRequest | CompletionRequest | EmbedRequest) -> None:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        if request.model not in self.offered:
            raise UnknownModel(f"{self.name} does not know {request.model!r}", upstream=self.name)

    async def _generate(self, request: ChatRequest | CompletionRequest, kind: str) -> AsyncIterator[ChatChunk]:
        self._begin(request)
        self.open_streams += 1
        try:
            if not request.stream:
                if self.stall is not None:
                    await self.stall.wait()
                if self.cut_after is not None:
                    raise UpstreamCutShort(f"{self.name} broke off", upstream=self.name)
                yield _whole(kind, request.model, "".join(self.answer), self.usage)
                return
            for number, word in enumerate(self.answer):
                if number == self.cut_after:
                    raise UpstreamCutShort(f"{self.name} broke off", upstream=self.name)
                await asyncio.sleep(self.pause_s)
                yield _word(kind, request.model, word, first=number == 0)
                if self.stall is not None and number == 0:
                    await self.stall.wait()
            if self.cut_after is not None and self.cut_after >= len(self.answer):
                raise UpstreamCutShort(f"{self.name} broke off", upstream=self.name)
            yield _end(kind, request.model)
            if self.usage is not None:
                yield ChatChunk(_data(kind, request.model, [], self.usage), usage=self.usage)
        finally:
            self.open_streams -= 1


def _word(kind: str, model: str, word: str, *, first: bool) -> ChatChunk:
    if kind == "text_completion":
        choice: dict[str, Any] = {"index": 0, "text": word, "finish_reason": None}
    else:
        delta = {"role": "assistant", "content": word} if first else {"content": word}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
    return ChatChunk(_data(kind, model, [choice], None), word, units=estimate.units(word))


def _end(kind: str, model: str) -> ChatChunk:
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    name, empty = ("text", "") if kind == "text_completion" else ("delta", {})
    choice[name] = empty
    return ChatChunk(_data(kind, model, [choice], None), finish_reason="stop")


def _whole(kind: str, model: str, text: str, usage: Usage | None) -> ChatChunk:
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    choice.update({"text": text} if kind == "text_completion" else {"message": {"role": "assistant", "content": text}})
    data = {**_data(kind, model, [choice], usage), "object": kind}
    return ChatChunk(data, text, "stop", usage, units=estimate.units(text))


def _data(kind: str, model: str, choices: list[dict[str, Any]], usage: Usage | None) -> dict[str, Any]:
    name = "chat.completion.chunk" if kind == "chat.completion" else kind
    data: dict[str, Any] = {"id": "fake-1", "object": name, "created": int(time.time()), "model": model}
    data["choices"] = choices
    if usage is not None:
        data["usage"] = {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        }
    return data
