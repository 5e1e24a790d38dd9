"""A decoder without weights, for tests: what it says depends only on what lies in its cache."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ikkan.ground.errors import BadInput, PromptTooLong
from ikkan.models.template import ChatTemplate
from ikkan.models.tokenizer import Tokenizer, example_tokenizer
from ikkan.models.values import Bool, DecoderConfig, EncoderConfig, EncoderPairs, Float32, Int32

END: Final = 256
"""The one control token of the fake's tokenizer, `<|im_end|>`."""
VOCAB: Final = 260
"""Rows beyond the tokenizer's 257 tokens, as real models have them."""


def fake_template() -> ChatTemplate:
    """Writes each turn's content, each followed by `<|im_end|>`."""
    return ChatTemplate("{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}")


def fake_tokenizer() -> Tokenizer:
    """One token a byte, and `<|im_end|>`."""
    return example_tokenizer()


def repeat_last_turn(turn: str) -> bytes:
    """Answers with what was asked.

    >>> repeat_last_turn("user: hello")
    b'hello'
    """
    return turn.split(": ", 1)[-1].encode()


@dataclass
class FakeCache:
    """Remembers tokens where a real cache has keys and values."""

    slots: int
    context_tokens: int
    page_tokens: int
    pages: int
    tokens: NDArray[np.int64] = field(init=False)
    """`(pages, page_tokens)`; who read a token, as its adapter's number, counts as part of it."""
    tables: Int32 = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = np.full((self.pages, self.page_tokens), -1, dtype=np.int64)
        width = -(-self.context_tokens // self.page_tokens)
        own = np.arange(self.slots * width, dtype=np.int32).reshape(self.slots, width)
        self.tables = np.where(own < self.pages, own, 0).astype(np.int32)

    @property
    def bytes(self) -> int:
        return int(self.tokens.nbytes)

    def copy_page(self, source: int, target: int) -> None:
        self.tokens[target] = self.tokens[source]

    def text(self, slot: int, length: int) -> NDArray[np.int64]:
        """What lies at a slot's first positions."""
        pages = self.tables[slot, : -(-length // self.page_tokens)]
        return self.tokens[pages].reshape(-1)[:length]


@dataclass
class FakeDecoder:
    """A `Decoder` that reads conversations of `fake_template` and answers each with `answer(last turn)`.

    The next token of the answer stands high above all others (`certainty`), which have scores that depend on the whole
    text before, so that every sampling setting has something to choose from. A text without `<|im_end|>` goes on with
    those alone, in printable letters.
    """

    answer: Callable[[str], bytes] = repeat_last_turn
    context: int = 512
    certainty: float = 12.0
    page_tokens: int = 4
    pace: threading.Semaphore | None = None
    """Acquired before each call: a test can let the engine take one step at a time."""
    fail_when: Callable[[Sequence[int]], bool] | None = None
    """Raises where this is true of a text in the call."""
    calls: list[list[tuple[int, int, int]]] = field(default_factory=list)
    """Each call's (token, slot, position)s."""
    loaded: dict[int, object] = field(default_factory=dict)
    """Adapters by number; scores depend on which one reads."""
    remember_calls: bool = True

    @property
    def config(self) -> DecoderConfig:
        return DecoderConfig("llama", 1, 8, 1, 1, 8, 8, VOCAB, self.context, 10_000.0, 1e-5, True, False)

    @property
    def reads_prompts_apart(self) -> bool:
        return False

    def new_cache(self, slots: int, context_tokens: int, pages: int | None = None) -> FakeCache:
        if context_tokens > self.context:
            raise PromptTooLong(f"{context_tokens} tokens are more than {self.context}")
        enough = slots * -(-context_tokens // self.page_tokens)
        return FakeCache(slots, context_tokens, self.page_tokens, enough if pages is None else pages)

    def forward(
        self,
        tokens: Int32,
        slots: Int32,
        positions: Int32,
        cache: Any,
        logit_rows: Int32,
        adapters: Int32 | None = None,
        prompt: Bool | None = None,
    ) -> Float32:
        texts = self._read(tokens, slots, positions, cache, logit_rows, adapters)
        return np.stack([self._scores(text) for text in texts]) if texts else np.zeros((0, VOCAB), dtype=np.float32)

    def hidden(
        self,
        tokens: Int32,
        slots: Int32,
        positions: Int32,
        cache: Any,
        rows: Int32,
        adapters: Int32 | None = None,
        prompt: Bool | None = None,
    ) -> Float32:
        texts = self._read(tokens, slots, positions, cache, rows, adapters)
        width = self.config.hidden
        found = [np.bincount(text % width, minlength=width).astype(np.float32) for text in texts]
        return np.stack(found) if found else np.zeros((0, width), dtype=np.float32)

    def highest(
        self,
        tokens: Int32,
        slots: Int32,
        positions: Int32,
        cache: Any,
        rows: Int32,
        count: int,
        adapters: Int32 | None = None,
        prompt: Bool | None = None,
    ) -> tuple[Int32, Float32]:
        scores = self.forward(tokens, slots, positions, cache, rows, adapters, prompt)
        found = np.argsort(-scores, axis=1, kind="stable")[:, :count].astype(np.int32)
        highest = np.take_along_axis(scores, found, axis=1)
        found[~np.isfinite(scores).all(axis=1)] = -1
        return found, highest

    def load_adapter(self, adapter: object) -> int:
        number = max(self.loaded, default=0) + 1
        self.loaded[number] = adapter
        return number

    def unload_adapter(self, number: int) -> None:
        del self.loaded[number]

    def _read(
        self, tokens: Int32, slots: Int32, positions: Int32, cache: Any, rows: Int32, adapters: Int32 | None
    ) -> list[NDArray[np.int64]]:
        if self.pace is not None:
            self.pace.acquire()
        if np.any((tokens < 0) | (tokens >= VOCAB)):
            raise BadInput("a token is outside the vocabulary")
        if np.any(positions >= cache.context_tokens):
            raise PromptTooLong("a position is outside the cache")
        if self.remember_calls:
            self.calls.append(list(zip(tokens.tolist(), slots.tolist(), positions.tolist(), strict=True)))
        pages = cache.tables[slots, positions // self.page_tokens]
        read_by = 0 if adapters is None else adapters.astype(np.int64)
        cache.tokens[pages, positions % self.page_tokens] = tokens + VOCAB * read_by
        texts = [cache.text(int(slots[row]), int(positions[row]) + 1) for row in rows]
        if self.fail_when is not None and any(self.fail_when((text % VOCAB).tolist()) for text in texts):
            raise ArithmeticError("the fake was told to fail")
        return texts

    def _scores(self, text: NDArray[np.int64]) -> Float32:
        assert text.min() >= 0, "a text was read with a hole in it"
        scores = np.random.default_rng(crc32(text.tobytes())).random(VOCAB, dtype=np.float32)
        turns = "".join(map(chr, (text % VOCAB).tolist())).split(chr(END))
        if len(turns) == 1:
            scores[ord(" ") : ord("~")] += 4.0
            return scores
        said = self.answer(bytes(map(ord, turns[-2])).decode("utf-8", "replace"))
        written = len(turns[-1])
        scores[said[written] if written < len(said) else END] += self.certainty
        return scores


@dataclass
class FakeEncoder:
    """An `Encoder` whose vectors count letters."""

    context: int = 64
    calls: int = 0

    @property
    def config(self) -> EncoderConfig:
        return EncoderConfig("bert", 1, 8, 1, 8, VOCAB, self.context, 1, 1e-12)

    def embed(self, ids: Sequence[Sequence[int]]) -> Float32:
        self.calls += 1
        counts = np.array([np.bincount(np.array(text) % 8, minlength=8) for text in ids], dtype=np.float32)
        return np.asarray(counts / np.linalg.norm(counts, axis=1, keepdims=True), dtype=np.float32)

    def adapted(self, pairs: EncoderPairs) -> FakeEncoder:
        """Letters are letters, whatever was learned."""
        return self
