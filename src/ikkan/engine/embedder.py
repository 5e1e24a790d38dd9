"""Turns texts into vectors, between the steps of the engine that shares its compute thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

import numpy as np

from ikkan.engine.engine import Engine
from ikkan.engine.exchange import ClientLeft
from ikkan.engine.scoring import HasLeft, Pooling, Scorer
from ikkan.engine.wire import refuse
from ikkan.ground.errors import PromptTooLong
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import Encoder, Float32

TURN_TOKENS: Final = 512
"""Tokens embedded at once; running answers wait for them."""


class Embeds(Protocol):
    """Whatever turns texts into vectors."""

    @property
    def vocab(self) -> int: ...

    @property
    def dimensions(self) -> int: ...

    @property
    def context_tokens(self) -> int: ...

    def ids(self, text: str | list[int], *, limit: int | None) -> list[int]:
        """The tokens that are read for a text; see `Embedder.ids`."""
        ...

    def pooled(self, pooling: str | None) -> Embeds:
        """The same with another way to make one vector of many; None for its own.

        Raises:
            BadInput: it has no such way.
        """
        ...

    async def embed(self, engine: Engine, ids: Sequence[Sequence[int]], has_left: HasLeft) -> Float32:
        """Vectors `(n, dimensions)` of length one; see `Embedder.embed`."""
        ...


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
        return _ids(self.tokenizer, text, self.context_tokens, limit)

    def pooled(self, pooling: str | None) -> Embedder:
        """See `Embeds.pooled`: an encoder has the one way it was trained with."""
        if pooling not in (None, "mean"):
            refuse("pooling", "this model was trained with mean, no other way")
        return self

    async def embed(self, engine: Engine, ids: Sequence[Sequence[int]], has_left: HasLeft) -> Float32:
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


class DecoderEmbedder:
    """A decoder whose states are vectors: after the last token, or the mean over all of them.

    Args:
        tokenizer: the decoder's.
        pooling: which of the two unless a request says otherwise.
    """

    def __init__(self, scorer: Scorer, tokenizer: Tokenizer, vocab: int, pooling: Pooling) -> None:
        self.tokenizer = tokenizer
        self.vocab = vocab
        self.dimensions = scorer.hidden
        self.context_tokens = scorer.context_tokens
        self.pooling: Final = pooling
        self._scorer = scorer

    def ids(self, text: str | list[int], *, limit: int | None) -> list[int]:
        """The tokens that are read for a text, with those its tokenizer puts around one; see `Embedder.ids`."""
        bos = self.tokenizer.bos_id if self.tokenizer.adds_bos else None
        ids = _ids(self.tokenizer, text, self.context_tokens, limit)
        return (
            ids if bos is None or ids[:1] == [bos] or not isinstance(text, str) else [bos, *ids[: limit and limit - 1]]
        )

    def pooled(self, pooling: str | None) -> DecoderEmbedder:
        """See `Embeds.pooled`."""
        if pooling in (None, self.pooling):
            return self
        if pooling not in POOLINGS:
            refuse("pooling", f"one of {', '.join(POOLINGS)}")
        return DecoderEmbedder(self._scorer, self.tokenizer, self.vocab, POOLINGS[POOLINGS.index(pooling)])

    async def embed(self, engine: Engine, ids: Sequence[Sequence[int]], has_left: HasLeft) -> Float32:
        """Vectors `(n, dimensions)` in the order asked for; see `Scorer.vectors`."""
        return await self._scorer.vectors(ids, self.pooling, has_left)


POOLINGS: Final[tuple[Pooling, ...]] = ("last", "mean")


def _ids(tokenizer: Tokenizer, text: str | list[int], most: int, limit: int | None) -> list[int]:
    if not text:
        refuse("input", "an empty text has no meaning to embed")
    if isinstance(text, str):
        # One more than fits, to see whether something would be lost.
        ids = tokenizer.encode_for_embedding(text, min(limit, most) if limit else most + 1)
    else:
        ids = text[:limit]
    if len(ids) > most:
        raise PromptTooLong(
            f"this embedding model reads at most {most:,} tokens a text",
            hint='split the text, or send "truncate_prompt_tokens": -1 to embed its beginning',
            param="input",
        )
    return ids
