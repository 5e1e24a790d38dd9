"""BERT encoders (MiniLM): absolute positions, norms after each part, erf GELU; the mean of all tokens, length one.

Plain numpy in float32. Tokens of several texts lie one after another in one matrix, so that weights are read once for
all of them. Each text looks only at itself and nothing is padded: an embedding depends on its batch by rounding alone,
and with the matrix kernels of some processors not even by that. The same texts give the same bits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ikkan.ground.errors import BadInput, HostileFile, PromptTooLong
from ikkan.models.adapters import LowRank
from ikkan.models.families.weights import HasTensors, Weights
from ikkan.models.values import ENCODER_MODULES, EncoderConfig, EncoderPairs, Float32

Ids: TypeAlias = NDArray[np.int64]

STACKED_TOKENS: Final = 256
"""Tokens that go through the network together: enough to read the weights seldom, few enough to stay in the caches."""
GELU_ROWS: Final = 32
"""Rows whose dozen intermediate arrays stay in a core's own cache."""


@dataclass(frozen=True, slots=True)
class _Linear:
    weight: Float32
    """(in, out)"""
    bias: Float32

    def __call__(self, x: Float32) -> Float32:
        return x @ self.weight + self.bias


def _added(linear: _Linear, pair: LowRank) -> _Linear:
    return _Linear(linear.weight + (pair.b @ pair.a).T * np.float32(pair.scaling), linear.bias)


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

    def adapted(self, pairs: EncoderPairs) -> BertEncoder:
        """See `Encoder.adapted`."""
        layers = list(self._layers)
        for (number, module), pair in pairs.items():
            fits = 0 <= number < len(layers) and module in ENCODER_MODULES
            rows, cols = self.config.shape(module) if fits else (0, 0)
            if not fits or pair.a.shape != (pair.rank, cols) or pair.b.shape != (rows, pair.rank):
                raise HostileFile(
                    f"a low-rank pair for {module} of layer {number} does not fit this encoder",
                    hint="was it trained on another model?",
                )
            changed: dict[str, Any] = {module: _added(getattr(layers[number], module), pair)}
            layers[number] = replace(layers[number], **changed)
        other = copy.copy(self)
        other._layers = layers
        return other

    def embed(self, ids: Sequence[Sequence[int]]) -> Float32:
        """One vector a text; see `Encoder.embed`."""
        vectors = np.empty((len(ids), self.config.hidden), np.float32)
        texts = [self._checked(text) for text in ids]
        order = sorted(range(len(ids)), key=lambda row: len(texts[row]))
        while order:
            rows = [order.pop()]
            while order and sum(len(texts[row]) for row in rows) + len(texts[order[-1]]) <= STACKED_TOKENS:
                rows.append(order.pop())
            vectors[rows] = self._embed([texts[row] for row in rows])
        return vectors

    def _checked(self, text: Sequence[int]) -> Ids:
        ids = np.asarray(text, np.int64)
        if len(ids) > self.config.context:
            raise PromptTooLong(
                f"a text has {len(ids):,} tokens; this model reads {self.config.context:,}",
                hint="cut the text into parts",
                limit=self.config.context,
            )
        if len(ids) == 0 or ids.min() < 0 or ids.max() >= self.config.vocab:
            raise BadInput(f"a text is empty or has a token outside the vocabulary of {self.config.vocab:,}")
        return ids

    def _embed(self, texts: Sequence[Ids]) -> Float32:
        """Vectors of a few texts, longest first."""
        config = self.config
        heads, dim = config.heads, config.hidden // config.heads
        runs = _runs([len(text) for text in texts])
        x = self._norm(
            self._words[np.concatenate(texts)] + np.concatenate([self._positions[: len(text)] for text in texts])
        )
        for layer in self._layers:
            qkv, seen = layer.qkv(x), np.empty_like(x)
            for run in runs:
                q, k, v = qkv[run.tokens].reshape(run.texts, run.length, 3, heads, dim).transpose(2, 0, 3, 1, 4)
                shares = _softmax(q @ k.swapaxes(2, 3) / np.float32(dim**0.5))
                seen[run.tokens] = (shares @ v).swapaxes(1, 2).reshape(-1, config.hidden)
            x = layer.attention_norm(x + layer.out(seen))
            up = layer.up(x)
            for row in range(0, len(up), GELU_ROWS):
                up[row : row + GELU_ROWS] = gelu(up[row : row + GELU_ROWS])
            x = layer.norm(x + layer.down(up))
        means = [x[run.tokens].reshape(run.texts, run.length, -1).mean(axis=1) for run in runs]
        mean: Float32 = np.concatenate(means)
        lengths: Float32 = np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), np.float32(1e-12))
        return mean / lengths


@dataclass(frozen=True, slots=True)
class _Run:
    """Texts of one length, side by side."""

    tokens: slice
    texts: int
    length: int


def _runs(lengths: Sequence[int]) -> list[_Run]:
    """Neighbours of equal length, so that one product serves them all.

    >>> [(run.tokens, run.texts) for run in _runs([3, 2, 2])]
    [(slice(0, 3, None), 1), (slice(3, 7, None), 2)]
    """
    runs, start = [], 0
    for length, same in groupby(lengths):
        texts = len(list(same))
        runs.append(_Run(slice(start, start + texts * length), texts, length))
        start += texts * length
    return runs


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
