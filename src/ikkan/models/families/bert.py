"""BERT encoders (MiniLM): absolute positions, norms after each part, erf GELU; the mean of all tokens, length one.

Plain numpy in float32. Each text is computed by itself, so an embedding does not depend on its batch and nothing is
padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ikkan.ground.errors import BadInput, PromptTooLong
from ikkan.models.families.weights import HasTensors, Weights
from ikkan.models.values import EncoderConfig, Float32


@dataclass(frozen=True, slots=True)
class _Linear:
    weight: Float32
    """(in, out)"""
    bias: Float32

    def __call__(self, x: Float32) -> Float32:
        return x @ self.weight + self.bias


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Float32
    bias: Float32
    eps: float

    def __call__(self, x: Float32) -> Float32:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.mean(centred * centred, axis=-1, keepdims=True)
        normal: Float32 = centred / np.sqrt(variance + np.float32(self.eps))
        return normal * self.weight + self.bias


@dataclass(frozen=True, slots=True)
class _Layer:
    qkv: _Linear
    out: _Linear
    attention_norm: _Norm
    up: _Linear
    down: _Linear
    norm: _Norm


class BertEncoder:
    """An `Encoder` (see `models/values.py`). Safe to use from several threads."""

    def __init__(self, checkpoint: HasTensors, config: EncoderConfig) -> None:
        self.config = config
        weights, hidden = Weights(checkpoint), config.hidden

        def linear(name: str, rows: int, cols: int) -> _Linear:
            weight = weights.plain(f"{name}.weight", (rows, cols))
            return _Linear(np.ascontiguousarray(weight.T), weights.vector(f"{name}.bias", rows))

        def norm(name: str) -> _Norm:
            return _Norm(
                weights.vector(f"{name}.weight", hidden), weights.vector(f"{name}.bias", hidden), config.norm_eps
            )

        def layer(at: str) -> _Layer:
            parts = [linear(f"{at}.attention.self.{part}", hidden, hidden) for part in ("query", "key", "value")]
            qkv = _Linear(
                np.concatenate([part.weight for part in parts], axis=1), np.concatenate([part.bias for part in parts])
            )
            return _Layer(
                qkv,
                linear(f"{at}.attention.output.dense", hidden, hidden),
                norm(f"{at}.attention.output.LayerNorm"),
                linear(f"{at}.intermediate.dense", config.intermediate, hidden),
                linear(f"{at}.output.dense", hidden, config.intermediate),
                norm(f"{at}.output.LayerNorm"),
            )

        self._layers = [layer(f"encoder.layer.{number}") for number in reversed(range(config.layers))][::-1]
        self._words = weights.plain("embeddings.word_embeddings.weight", (config.vocab, hidden))
        # One text has one type, the first; its vector belongs to every position.
        types = weights.plain("embeddings.token_type_embeddings.weight", (config.types, hidden))
        self._positions = weights.plain("embeddings.position_embeddings.weight", (config.context, hidden)) + types[0]
        self._norm = norm("embeddings.LayerNorm")

    @property
    def context(self) -> int:
        """The most tokens a text may have."""
        return self.config.context

    def embed(self, ids: Sequence[Sequence[int]]) -> Float32:
        """One vector a text; see `Encoder.embed`."""
        vectors = np.empty((len(ids), self.config.hidden), np.float32)
        for row, text in enumerate(ids):
            vectors[row] = self._embed(np.asarray(text, np.int64))
        return vectors

    def _embed(self, ids: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Float32:
        config, n = self.config, len(ids)
        if n > config.context:
            raise PromptTooLong(
                f"a text has {n:,} tokens; this model reads {config.context:,}",
                hint="cut the text into parts",
                limit=config.context,
            )
        if n == 0 or ids.min() < 0 or ids.max() >= config.vocab:
            raise BadInput(f"a text is empty or has a token outside the vocabulary of {config.vocab:,}")
        x = self._norm(self._words[ids] + self._positions[:n])
        heads, dim = config.heads, config.hidden // config.heads
        for layer in self._layers:
            q, k, v = layer.qkv(x).reshape(n, 3, heads, dim).transpose(1, 2, 0, 3)
            shares = _softmax(q @ k.swapaxes(1, 2) / np.float32(dim**0.5))
            seen = (shares @ v).swapaxes(0, 1).reshape(n, config.hidden)
            x = layer.attention_norm(x + layer.out(seen))
            x = layer.norm(x + layer.down(gelu(layer.up(x))))
        mean: Float32 = x.mean(axis=0)
        return mean / max(np.float32(np.linalg.norm(mean)), np.float32(1e-12))


def _softmax(scores: Float32) -> Float32:
    powers: Float32 = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Float32 = powers / powers.sum(axis=-1, keepdims=True)
    return shares


_ERF: Final = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


def gelu(x: Float32) -> Float32:
    """`x * Phi(x)` with the error function, within 2e-7 * |x|.

    Source: Abramowitz and Stegun 7.1.26.

    >>> [round(float(y), 4) for y in gelu(np.array([-1.0, 0.0, 2.0], np.float32))]
    [-0.1587, 0.0, 1.9545]
    """
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.zeros_like(t)
    for factor in reversed(_ERF):
        series = (series + np.float32(factor)) * t
    tail = series * np.exp(-z * z) * np.float32(0.5)  # the share beyond |x|
    result: Float32 = np.where(x >= 0, x * (1 - tail), x * tail)
    return result
