"""An engine that answers with an adapter of this house where it can, and without where it cannot.

Nobody goes without an answer for the sake of its manner: whatever fails before the first piece is asked again plainly,
and the adapter rests for a while.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from ikkan.cloud.tuning.values import TunedModel
from ikkan.cloud.upstreams import Health
from ikkan.cloud.upstreams.adapted import Loader
from ikkan.cloud.upstreams.openai_wire import OpenAIWire
from ikkan.cloud.values import LOCAL_TENANT, ChatChunk, ChatRequest, CompletionRequest, Embeddings, EmbedRequest, Manner
from ikkan.ground.errors import IkkanError, RateLimited, UpstreamCutShort, UpstreamTimeout, UpstreamUnreachable

log = logging.getLogger(__name__)

MANNER = "manner"
"""A fact of an answer: the artifact whose adapter wrote it."""
REST_S = 30.0
"""How long an adapter that could not be used is not asked for again."""


_PLAINLY_NO_BETTER = (UpstreamUnreachable, UpstreamTimeout, UpstreamCutShort, RateLimited)


class Failures:
    """Which adapters could not be used lately, and where."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until: dict[tuple[str, str], float] = {}

    def rests(self, upstream: str, manner: Manner) -> bool:
        """Whether it failed a moment ago."""
        return self._until.get((upstream, manner.artifact_id), 0.0) > self._monotonic()

    def note(self, upstream: str, manner: Manner) -> None:
        """It failed now."""
        self._until = {key: until for key, until in self._until.items() if until > self._monotonic()}
        self._until[upstream, manner.artifact_id] = self._monotonic() + REST_S


class Mannered:
    """An upstream that answers with one adapter if it can. See `Upstream`."""

    def __init__(self, loader: Loader, wire: OpenAIWire, model: str, manner: Manner, failures: Failures) -> None:
        self._wire = wire
        self._model = model
        self._manner = manner
        self._failures = failures
        made = TunedModel(
            name="the house's manner", checkpoint_id="", tenant_id=LOCAL_TENANT, job_id="",
            artifact_id=manner.artifact_id, upstream=wire.name, upstream_model=model, base=manner.base, step=0,
            train_loss=None, valid_loss=None, created_at=datetime.fromtimestamp(0, UTC),
        )  # fmt: skip
        self._adapter = made.adapter
        self._adapted = loader.around(wire, made)

    async def chat(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """See `Upstream.chat`; the facts of the pieces say whether the adapter wrote them."""
        failed: IkkanError | None = None
        if not self._failures.rests(self._wire.name, self._manner):
            begun = False
            try:
                asked = replace(request, model=self._adapter)
                async with aclosing(cast(AsyncGenerator[ChatChunk, None], self._adapted.chat(asked))) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield self._signed(chunk)
                return
            except _PLAINLY_NO_BETTER:
                raise
            except IkkanError as error:
                if begun:
                    raise
                failed = error
        async with aclosing(cast(AsyncGenerator[ChatChunk, None], self._wire.chat(request))) as chunks:
            async for chunk in chunks:
                if failed is not None:  # it was not the question's fault
                    self._failures.note(self._wire.name, self._manner)
                    facts = {"upstream": self._wire.name, "artifact": self._manner.artifact_id, "code": failed.code}
                    log.warning("answering without the house's adapter", extra=facts)
                    failed = None
                yield chunk

    def _signed(self, chunk: ChatChunk) -> ChatChunk:
        """A piece under the model's own name, by which it is priced and shown; who wrote it is a fact beside it."""
        data = {**chunk.data, "model": self._model} if "model" in chunk.data else chunk.data
        if not chunk.text and chunk.finish_reason is None:
            return replace(chunk, data=data)
        return replace(chunk, data=data, facts={**chunk.facts, MANNER: self._manner.artifact_id})

    def complete(self, request: CompletionRequest) -> AsyncIterator[ChatChunk]:
        """See `Upstream.complete`: without the adapter, which was taught to answer."""
        return self._wire.complete(request)

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """See `Upstream.embed`."""
        return await self._wire.embed(request)

    async def models(self) -> Sequence[str]:
        """See `Upstream.models`."""
        return await self._wire.models()

    async def health(self) -> Health:
        """See `Upstream.health`."""
        return await self._wire.health()
