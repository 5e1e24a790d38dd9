"""From the events of a person to one vector, as they are at this moment: the network's forward pass in numpy.

The last block asks only for the state of the last event, which is all that is wanted of it; and events beyond the
`longest` the network knows are left out, the oldest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Float32Matrix = npt.NDArray[np.float32]
Int32Array = npt.NDArray[np.int32]
Int8Array = npt.NDArray[np.int8]

KINDS = 8
"""Kinds of event that are told apart; 0 is any."""
GAPS = 28
"""Steps of time between an event and the question after it; 0 is unknown, then powers of two of seconds."""
TOGETHER = 256
"""Histories that are encoded in one batch."""
NORM_EPSILON = 1e-5
DAMAGED = (KeyError, ValueError, TypeError, OSError, EOFError, BadZipFile)
"""What reading arrays or a manifest from bytes of any kind may raise."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """The network's weights, by name, and what cannot be seen from them."""

    weights: Mapping[str, Float32Array]
    heads: int
    blocks: int
    longest: int
    timed: bool
    """Whether it was trained with times; else they are not looked at."""
    kinded: bool

    def states(
        self,
        vectors: Float32Matrix,
        histories: Sequence[npt.NDArray[np.integer]],
        kinds: Sequence[npt.NDArray[np.integer]] | None = None,
        ages_s: Sequence[npt.NDArray[np.floating]] | None = None,
    ) -> Float32Matrix:
        """One vector a history: `(histories, width)`. A history without events has the vector zero."""
        made = np.zeros((len(histories), vectors.shape[1]), dtype=np.float32)
        lengths = np.array([min(len(each), self.longest) for each in histories], dtype=np.int64)
        # Like lengths go together, so that little is padded.
        order = np.argsort(lengths, kind="stable")
        order = order[lengths[order] > 0]
        for start in range(0, len(order), TOGETHER):
            which = order[start : start + TOGETHER]
            made[which] = self._batch(vectors, which, lengths[which], histories, kinds, ages_s)
        return made

    def _batch(
        self,
        vectors: Float32Matrix,
        which: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
        histories: Sequence[npt.NDArray[np.integer]],
        kinds: Sequence[npt.NDArray[np.integer]] | None,
        ages_s: Sequence[npt.NDArray[np.floating]] | None,
    ) -> Float32Matrix:
        width, longest = vectors.shape[1], int(lengths.max())
        rows, gaps, sorts = (np.zeros((len(which), longest), dtype=np.int64) for _ in range(3))
        for at, (one, length) in enumerate(zip(which, lengths, strict=True)):
            rows[at, :length] = histories[one][-length:]
            if ages_s is not None and self.timed:
                gaps[at, :length] = gap_steps(ages_s[one][-length:])
            if kinds is not None and self.kinded:
                sorts[at, :length] = kinds[one][-length:]
        states = (
            vectors[rows] * np.float32(width**0.5)
            + self.weights["gaps"][gaps]
            + self.weights["kinds"][np.clip(sorts, 0, KINDS - 1)]
        )
        last = lengths - 1
        for block in range(self.blocks):
            states = self._block(f"blocks.{block}.", states, last, only_last=block == self.blocks - 1)
        return self._norm("last_norm", states[:, -1])

    def _block(self, name: str, states: Float32Array, last: npt.NDArray[np.int64], *, only_last: bool) -> Float32Array:
        count, longest, width = states.shape
        per_head, who = width // self.heads, np.arange(count)
        normed = self._norm(name + "attention_norm", states)
        matrix, bias = self.weights[name + "qkv.weight"], self.weights[name + "qkv.bias"]
        at = np.broadcast_to(np.arange(longest), (count, longest))
        if only_last:
            asking, states, at = normed[who, last][:, None], states[who, last][:, None], last[:, None]
        else:
            asking = normed
        query = (asking @ matrix[:width].T + bias[:width]).reshape(count, -1, self.heads, per_head)
        both = (normed @ matrix[width:].T + bias[width:]).reshape(count, longest, 2, self.heads, per_head)
        apart = at[:, :, None] - np.arange(longest)
        toward = self.weights[name + "distance"][:, np.clip(apart, 0, None)].transpose(1, 0, 2, 3)
        scores = query.transpose(0, 2, 1, 3) @ both[:, :, 0].transpose(0, 2, 3, 1) * np.float32(per_head**-0.5) + toward
        scores[np.broadcast_to((apart < 0)[:, None], scores.shape)] = -np.inf
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = (scores @ both[:, :, 1].transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3).reshape(count, -1, width)
        states = states + _sigmoid(self._linear(name + "attention_gate", states)) * self._linear(name + "out", mixed)
        one, other = np.split(self._linear(name + "up", self._norm(name + "forward_norm", states)), 2, axis=-1)
        fed = self._linear(name + "down", one * _sigmoid(one) * other)
        return states + _sigmoid(self._linear(name + "forward_gate", states)) * fed

    def _linear(self, name: str, states: Float32Array) -> Float32Array:
        made: Float32Array = states @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]
        return made

    def _norm(self, name: str, states: Float32Array) -> Float32Array:
        centred = states - states.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(NORM_EPSILON))
        made: Float32Array = centred / spread * self.weights[name + ".weight"] + self.weights[name + ".bias"]
        return made


def gap_steps(ages_s: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """How long after each event the next one came; after the last, how long ago it was.

    >>> gap_steps(np.array([100.0, 36.0, 0.0])).tolist()
    [7, 6, 1]
    """
    gaps = ages_s - np.append(ages_s[1:], 0.0)
    steps = np.log2(1.0 + np.maximum(gaps, 0.0)).astype(np.int64)
    made: npt.NDArray[np.int64] = 1 + np.clip(steps, 0, GAPS - 2)
    return made


def _sigmoid(values: Float32Array) -> Float32Array:
    made: Float32Array = np.reciprocal(1 + np.exp(-np.clip(values, -60, 60)), dtype=np.float32)
    return made
