"""Upstreams: whoever computes an answer. One file a vendor, one conformance suite for all.

Lives here: the `Upstream` protocol and those who keep it. May not enter: prices, keys of our clients, the database.
Begin at `Upstream`; `openai_wire.py` speaks to our engine, to vLLM, llama.cpp and most vendors; `fakes.py`
answers in tests. All of them pass `tests/cloud/test_upstreams_keep_their_word.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ikkan.cloud.values import ChatChunk, ChatRequest, CompletionRequest, Embeddings, EmbedRequest

__all__ = ["Health", "Upstream"]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether an upstream answers now."""

    ok: bool
    detail: str = ""
    """In words, where it does not."""


class Upstream(Protocol):
    """Answers requests; `request.model` is the upstream's own name for the model.

    Errors are of the tree in `ground.errors`; a stream that ends without having finished raises `UpstreamCutShort`
    and never just stops. Closing an iterator (`aclose`) cancels the work upstream and frees its slot.
    """

    def chat(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """The answer piece by piece. Also for a request that does not stream: there one whole piece may do."""
        ...

    def complete(self, request: CompletionRequest) -> AsyncIterator[ChatChunk]:
        """The same for the older endpoint."""
        ...

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """One vector for each input."""
        ...

    async def models(self) -> Sequence[str]:
        """The models it offers now, by its own names."""
        ...

    async def health(self) -> Health:
        """Whether it answers. Never raises an `UpstreamFailed`."""
        ...
