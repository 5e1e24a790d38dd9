"""What a decoder thinks of texts that are there already: how likely they are, and where they lie.

Everything is read in one conversation of a cache of its own, on the engine's compute thread, a few tokens at a time
between the steps of running answers. What two texts of a request have in common at their beginning is read once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias, TypeVar

import numpy as np

from ikkan.engine.engine import Engine
from ikkan.engine.exchange import ClientLeft
from ikkan.engine.values import HeldAdapter, TokenLogprob
from ikkan.ground.errors import Internal, PromptTooLong, RateLimited
from ikkan.models.values import Decoder, Float32, KVCache

ALONE_TOKENS: Final = 256
"""Tokens read at once when nobody waits for an answer."""
SHARED_TOKENS: Final = 64
"""Tokens read at once while answers go on: they wait for it."""
SCORED_ROWS: Final = 32
"""Rows of logits that exist at the same time: of a vocabulary of 150,000 they take 19 MB."""
MOST_WAITING: Final = 64

Pooling: TypeAlias = Literal["last", "mean"]
HasLeft: TypeAlias = Callable[[], Awaitable[bool]]
Judged = TypeVar("Judged")


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a model finds a text after another."""

    logprobs: tuple[float, ...]
    """Of each of its tokens, natural logarithms."""
    is_greedy: bool
    """Whether each token is the likeliest at its place: what the model itself would have written."""

    @property
    def total(self) -> float:
        """The logarithm of the probability of the whole."""
        return sum(self.logprobs)

    @property
    def mean(self) -> float:
        """The same for each token, so that long texts can be compared with short ones."""
        return self.total / len(self.logprobs)


class Scorer:
    """Reads texts for their likelihood or their vectors. One request at a time; others wait in order.

    Args:
        engine: started; lends its compute thread.
        decoder: the engine's.
    """

    def __init__(self, engine: Engine, decoder: Decoder) -> None:
        self.context_tokens = engine.context_tokens
        self.hidden = decoder.config.hidden
        self._engine = engine
        self._decoder = decoder
        self._cache: KVCache | None = None
        self._there: list[int] = []
        """Tokens whose keys and values lie in the cache; of the current request only."""
        self._adapter = 0
        self._waiting = 0
        self._turn = asyncio.Lock()

    async def continuations(
        self,
        prompt: Sequence[int],
        continuations: Sequence[Sequence[int]],
        has_left: HasLeft,
        *,
        adapter: HeldAdapter | None = None,
    ) -> list[Likelihood]:
        """How likely each text is after the prompt, in their order. None of them is empty, nor is the prompt.

        Raises:
            PromptTooLong: prompt and continuation do not fit the context.
            RateLimited: too many requests wait.
            ClientLeft: nobody waits any more.
        """
        for one in continuations:
            self._check(len(prompt) + len(one))
        async with self._alone(adapter):
            first = (await self._rows(prompt, len(prompt) - 1, has_left))[0]
            found = []
            for one in continuations:
                said = [_judged(first, one[0])]
                if len(one) > 1:
                    said += await self._judge([*prompt, *one], len(prompt), has_left)
                found.append(Likelihood(tuple(logprob for logprob, _ in said), all(greedy for _, greedy in said)))
            return found

    async def given(
        self, ids: Sequence[int], alternatives: int, has_left: HasLeft, *, adapter: HeldAdapter | None = None
    ) -> list[TokenLogprob]:
        """How likely each token of a text but the first is after those before it.

        Args:
            alternatives: how many of the likeliest to report at each place.

        Raises:
            PromptTooLong, RateLimited, ClientLeft: as for `continuations`.
        """
        self._check(len(ids))
        async with self._alone(adapter):
            said: list[TokenLogprob] = []
            for first in range(0, len(ids) - 1, SCORED_ROWS):
                last = min(first + SCORED_ROWS, len(ids) - 1)
                rows = await self._rows(ids[:last], first, has_left)
                report = partial(_reported, alternatives=alternatives)
                said += await asyncio.to_thread(_each, report, rows, ids[first + 1 : last + 1])
            return said

    async def ends(
        self, texts: Sequence[Sequence[int]], wanted: Sequence[int], has_left: HasLeft
    ) -> list[tuple[float, ...]]:
        """After each text, the log-probabilities of some tokens.

        Raises:
            PromptTooLong, RateLimited, ClientLeft: as for `continuations`.
        """
        for text in texts:
            self._check(len(text))
        async with self._alone(None):
            found = []
            for text in texts:
                row = (await self._rows(text, len(text) - 1, has_left))[0]
                total = _log_total(row)
                found.append(tuple(float(row[one]) - total for one in wanted))
            return found

    async def vectors(
        self,
        texts: Sequence[Sequence[int]],
        pooling: Pooling,
        has_left: HasLeft,
        *,
        adapter: HeldAdapter | None = None,
    ) -> Float32:
        """Hidden states `(n, hidden)` of length one: after each text's last token, or the mean over all of them.

        Raises:
            PromptTooLong, RateLimited, ClientLeft: as for `continuations`.
        """
        for text in texts:
            self._check(len(text))
        vectors = np.empty((len(texts), self.hidden), np.float32)
        async with self._alone(adapter):
            for number, text in enumerate(texts):
                self._there = []  # a mean needs every token's state
                summed = np.zeros(self.hidden, np.float64)
                done = 0
                while done < len(text):
                    take = min(len(text) - done, self._most())
                    is_wanted = pooling == "mean" or done + take == len(text)
                    first = done if pooling == "mean" else len(text) - 1
                    rows = range(first, done + take) if is_wanted else range(0)
                    states = await self._errand(text[done : done + take], rows, has_left, is_hidden=True)
                    for state in states:  # one by one: how the text was cut must not show in the last bit
                        summed += state
                    done += take
                length = float(np.linalg.norm(summed))
                if not np.isfinite(length):
                    raise Internal("the model's states are no numbers", hint="load the model again")
                vectors[number] = summed / max(length, 1e-12)
        return vectors

    # --- on the event loop -------------------------------------------------------------------------------------------

    def _check(self, tokens: int) -> None:
        if tokens > self.context_tokens:
            raise PromptTooLong(
                f"this model's context is {self.context_tokens:,} tokens; a text has {tokens:,}",
                hint="shorten it",
                context_tokens=self.context_tokens,
                prompt_tokens=tokens,
            )

    @asynccontextmanager
    async def _alone(self, adapter: HeldAdapter | None) -> AsyncIterator[None]:
        """One request's time. Nothing it read is known to the next: time would tell what it was."""
        if self._waiting >= MOST_WAITING:
            raise RateLimited(
                f"{MOST_WAITING} requests wait to be scored already", hint="try again in a moment", retry_after_s=1.0
            )
        self._waiting += 1
        try:
            async with self._turn:
                self._there, self._adapter = [], adapter.number if adapter else 0
                yield
        finally:
            self._waiting -= 1

    def _most(self) -> int:
        return SHARED_TOKENS if self._engine.status().slots_in_use else ALONE_TOKENS

    async def _judge(self, ids: Sequence[int], first: int, has_left: HasLeft) -> list[tuple[float, bool]]:
        """Of the tokens behind `first`, whose own place was judged already."""
        said: list[tuple[float, bool]] = []
        while first < len(ids) - 1:
            last = min(first + SCORED_ROWS, len(ids) - 1)
            rows = await self._rows(ids[:last], first, has_left)
            said += await asyncio.to_thread(_each, _judged, rows, ids[first + 1 : last + 1])
            first = last
        return said

    async def _rows(self, ids: Sequence[int], first: int, has_left: HasLeft) -> Float32:
        """Logits after each of the last tokens, from place `first` on: few enough to hold at once."""
        common = 0
        while common < min(len(self._there), first) and self._there[common] == ids[common]:
            common += 1
        del self._there[common:]
        while len(ids) - len(self._there) > self._most() and len(self._there) < first:
            done = len(self._there)
            await self._errand(ids[done : min(first, done + self._most())], range(0), has_left)
        return await self._errand(ids[len(self._there) :], range(first, len(ids)), has_left)

    async def _errand(
        self, tokens: Sequence[int], places: range, has_left: HasLeft, *, is_hidden: bool = False
    ) -> Float32:
        """Read tokens behind those that are there; results after those at `places`."""
        if await has_left():
            raise ClientLeft
        read = partial(self._read, tokens, len(self._there), places, self._adapter, is_hidden)
        found = await asyncio.wrap_future(self._engine.call(read))
        self._there.extend(tokens)
        return found

    # --- on the compute thread ---------------------------------------------------------------------------------------

    def _read(self, tokens: Sequence[int], start: int, places: range, adapter: int, is_hidden: bool) -> Float32:
        if self._cache is None:
            self._cache = self._decoder.new_cache(1, self.context_tokens)
        n = len(tokens)
        compute = self._decoder.hidden if is_hidden else self._decoder.forward
        return compute(
            np.array(tokens, np.int32),
            np.zeros(n, np.int32),
            np.arange(start, start + n, dtype=np.int32),
            self._cache,
            np.array([place - start for place in places], np.int32),
            np.full(n, adapter, np.int32) if adapter else None,
            np.ones(n, np.bool_),  # a text that is there already is read like a prompt
        )


def _each(judge: Callable[[Float32, int], Judged], rows: Float32, token_ids: Sequence[int]) -> list[Judged]:
    return [judge(row, token_id) for row, token_id in zip(rows, token_ids, strict=True)]


def _log_total(scores: Float32) -> float:
    """The logarithm of the sum of the exponentials.

    >>> round(_log_total(np.log(np.array([1, 2, 5], np.float32))), 4) == round(float(np.log(8)), 4)
    True
    """
    highest = float(scores.max())
    if not np.isfinite(highest):  # max finds a NaN before anything else
        raise Internal("the model's scores are no numbers", hint="load the model again; its file may be damaged")
    return highest + float(np.log(np.exp(scores - np.float32(highest)).sum(dtype=np.float64)))


def _judged(scores: Float32, token_id: int) -> tuple[float, bool]:
    return float(scores[token_id]) - _log_total(scores), bool(scores[token_id] >= scores.max())


def _reported(scores: Float32, token_id: int, alternatives: int) -> TokenLogprob:
    total = _log_total(scores)
    count = min(alternatives, len(scores))
    likeliest = np.argpartition(scores, -count)[-count:] if count else np.zeros(0, np.intp)
    likeliest = likeliest[np.lexsort((likeliest, -scores[likeliest]))]
    return TokenLogprob(
        token_id, float(scores[token_id]) - total, tuple((int(one), float(scores[one]) - total) for one in likeliest)
    )
