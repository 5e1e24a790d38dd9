"""An engine that answers with an adapter: loaded when the engine says it has none of that name, then asked again.

The engine forgets its adapters when it starts again, and holds only so many; nobody here keeps a list of what it has.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import cast

from ikkan.cloud.tuning.values import PREFIX, Base, TunedModel
from ikkan.cloud.upstreams import Health
from ikkan.cloud.upstreams.openai_wire import OpenAIWire
from ikkan.cloud.values import ChatChunk, ChatRequest, CompletionRequest, Embeddings, EmbedRequest
from ikkan.ground.errors import BadInput, SetupNeeded, UnknownModel, UpstreamRejected
from ikkan.ground.ids import ArtifactId

log = logging.getLogger(__name__)


class Loader:
    """Loads tenants' adapters into engines, each once however many ask for it.

    Args:
        folder_of: where an artifact's files lie.
        base_of: what the engine serves under a name now; None where nothing is.
    """

    def __init__(self, folder_of: Callable[[ArtifactId], Path], base_of: Callable[[str], Base | None]) -> None:
        self._folder_of = folder_of
        self._base_of = base_of
        self._locks: dict[str, asyncio.Lock] = {}
        self._loads: dict[str, int] = {}
        self._used: dict[str, float] = {}

    def around(self, wire: OpenAIWire, model: TunedModel) -> Adapted:
        """The upstream for one model."""
        return Adapted(self, wire, model)

    def begin(self, model: TunedModel) -> int:
        """Somebody asks for it now; returns how often it was loaded before."""
        self._used[model.adapter] = time.monotonic()
        return self._loads.get(model.adapter, 0)

    async def load(self, wire: OpenAIWire, model: TunedModel, known: int) -> None:
        """Load it, unless somebody else did since it had been loaded `known` times.

        Raises:
            SetupNeeded: the engine serves another model than the one it was trained for.
            BadInput: the engine refuses it.
        """
        async with self._locks.setdefault(model.adapter, asyncio.Lock()):
            if self._loads.get(model.adapter, 0) != known:
                return
            base = await asyncio.to_thread(self._base_of, model.upstream_model)
            if base is None or base.name != model.base:
                raise SetupNeeded(
                    f"{model.name} was trained on {model.base}; the engine serves {base.name if base else 'nothing'}",
                    hint=f"let it serve {model.base} again, or train on what it serves",
                )
            folder = str(await asyncio.to_thread(self._folder_of, model.artifact_id))
            try:
                await wire.load_adapter(model.adapter, folder)
            except UpstreamRejected as error:
                if error.facts.get("status") != 409:
                    raise
                await self._make_room(wire)
                await wire.load_adapter(model.adapter, folder)
            self._loads[model.adapter] = known + 1
            log.info("an adapter was loaded", extra={"upstream": wire.name, "job": model.job_id})

    async def _make_room(self, wire: OpenAIWire) -> None:
        """Unload the adapter that was asked for longest ago. Whoever asks for it again has it loaded again."""
        loaded = [name for name in await wire.models() if name.startswith(PREFIX)]
        if loaded:
            await wire.unload_adapter(min(loaded, key=lambda name: self._used.get(name, 0.0)))


class Adapted:
    """An upstream that answers with one adapter. See `Upstream`."""

    def __init__(self, loader: Loader, wire: OpenAIWire, model: TunedModel) -> None:
        self._loader = loader
        self._wire = wire
        self._model = model

    def chat(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """See `Upstream.chat`."""
        return self._answered(lambda: self._wire.chat(request))

    def complete(self, request: CompletionRequest) -> AsyncIterator[ChatChunk]:
        """See `Upstream.complete`."""
        return self._answered(lambda: self._wire.complete(request))

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """A tuned model talks; it does not embed."""
        raise BadInput("a fine-tuned model makes no vectors", hint="use an embedding model", param="model")

    async def models(self) -> Sequence[str]:
        """See `Upstream.models`."""
        return [self._model.adapter]

    async def health(self) -> Health:
        """See `Upstream.health`."""
        return await self._wire.health()

    async def _answered(self, ask: Callable[[], AsyncIterator[ChatChunk]]) -> AsyncIterator[ChatChunk]:
        known = self._loader.begin(self._model)
        for is_last in (False, True):
            begun = False
            try:
                async with aclosing(cast(AsyncGenerator[ChatChunk, None], ask())) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except UnknownModel:
                if begun or is_last:
                    raise
            await self._loader.load(self._wire, self._model, known)
