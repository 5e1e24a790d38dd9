"""Turns texts into vectors with an encoder, between the steps of the engine that shares its compute thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

from ikkan.engine.engine import Engine
from ikkan.engine.exchange import ClientLeft
from ikkan.engine.wire import refuse
from ikkan.ground.errors import PromptTooLong
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import Encoder, Float32

TURN_TOKENS: Final = 512
"""Tokens embedded at once; running answers wait for them."""


class Embedder:
    """An encoder and its tokenizer."""

    def __init__(self, encoder: Encoder, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.vocab = encoder.config.vocab
        self.dimensions = encoder.config.hidden
        self.context_tokens = encoder.context
        self._encoder = encoder

    def ids(self, text: str | list[int], *, limit: int | None) -> list[int]:
        """The tokens the encoder reads for a text.

        Args:
            limit: cut the text to so many; None refuses one that is too long.

        Raises:
            PromptTooLong: the text has more tokens than the encoder can read.
            BadInput: the text is empty.
        """
        if not text:
            refuse("input", "an empty text has no meaning to embed")
        most = self.context_tokens
        if isinstance(text, str):
            # One more than fits, to see whether something would be lost.
            ids = self.tokenizer.encode_for_embedding(text, min(limit, most) if limit else most + 1)
        else:
            ids = text[:limit]
        if len(ids) > most:
            raise PromptTooLong(
                f"this embedding model reads at most {most:,} tokens a text",
                hint='split the text, or send "truncate_prompt_tokens": -1 to embed its beginning',
                param="input",
            )
        return ids

    async def embed(
        self, engine: Engine, ids: Sequence[Sequence[int]], has_left: Callable[[], Awaitable[bool]]
    ) -> Float32:
        """Vectors `(n, dimensions)` in the order asked for, computed on the engine's thread a few at a time.

        Raises:
            ClientLeft: nobody waits for them any more.
        """
        order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
        vectors = np.empty((len(ids), self.dimensions), dtype=np.float32)
        while order:
            turn = [order.pop()]
            # The first is the longest: texts of one turn are padded to it.
            while order and len(ids[turn[0]]) * (len(turn) + 1) <= TURN_TOKENS:
                turn.append(order.pop())
            chosen = [ids[number] for number in turn]
            if len(chosen) < len(ids) and await has_left():
                raise ClientLeft
            vectors[turn] = await asyncio.wrap_future(engine.call(partial(self._encoder.embed, chosen)))
        return vectors

    def warm_up(self, engine: Engine) -> None:
        """Embed a little, so that the first text need not wait for kernels to compile."""
        for text in ("warm", "warm up " * 40):
            ids = self.tokenizer.encode_for_embedding(text, self.context_tokens)
            engine.call(partial(self._encoder.embed, [ids])).result()
