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
from ikkan.models.values import DecoderConfig, EncoderConfig, Float32, Int32

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
    tokens: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = np.full((self.slots, self.context_tokens), -1, dtype=np.int32)

    @property
    def bytes(self) -> int:
        return int(self.tokens.nbytes)


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
    pace: threading.Semaphore | None = None
    """Acquired before each call: a test can let the engine take one step at a time."""
    fail_when: Callable[[Sequence[int]], bool] | None = None
    """Raises where this is true of a text in the call."""
    calls: list[list[tuple[int, int, int]]] = field(default_factory=list)
    """Each call's (token, slot, position)s."""

    @property
    def config(self) -> DecoderConfig:
        return DecoderConfig("llama", 1, 8, 1, 1, 8, 8, VOCAB, self.context, 10_000.0, 1e-5, True, False)

    def new_cache(self, slots: int, context_tokens: int) -> FakeCache:
        if context_tokens > self.context:
            raise PromptTooLong(f"{context_tokens} tokens are more than {self.context}")
        return FakeCache(slots, context_tokens)

    def forward(self, tokens: Int32, slots: Int32, positions: Int32, cache: Any, logit_rows: Int32) -> Float32:
        if self.pace is not None:
            self.pace.acquire()
        if np.any((tokens < 0) | (tokens >= VOCAB)):
            raise BadInput("a token is outside the vocabulary")
        if np.any(positions >= cache.context_tokens):
            raise PromptTooLong("a position is outside the cache")
        self.calls.append(list(zip(tokens.tolist(), slots.tolist(), positions.tolist(), strict=True)))
        cache.tokens[slots, positions] = tokens
        texts = [cache.tokens[slots[row], : positions[row] + 1].tolist() for row in logit_rows.tolist()]
        if self.fail_when is not None and any(map(self.fail_when, texts)):
            raise ArithmeticError("the fake was told to fail")
        return np.stack([self._scores(text) for text in texts]) if texts else np.zeros((0, VOCAB), dtype=np.float32)

    def _scores(self, text: list[int]) -> Float32:
        assert -1 not in text, "a text was read with a hole in it"
        seed = crc32(np.array(text, dtype=np.int32).tobytes())
        scores = np.random.default_rng(seed).random(VOCAB, dtype=np.float32)
        turns = "".join(map(chr, text)).split(chr(END))
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
