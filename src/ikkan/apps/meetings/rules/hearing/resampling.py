"""Sound of any rate to 16,000 samples a second, in pieces, with nothing above the new half rate folded back."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.hearing.voice import RATE, Samples

_CROSSINGS = 12
"""Zero crossings of the filter on either side: enough for speech, cheap enough for a day of it."""
_MOST_PHASES = 2_000


class Resampler:
    """Changes the rate of sound that comes in pieces; the pieces may be of any size.

    Source: windowed sinc, one filter a phase, as in Smith's "Digital Audio Resampling" (1984).

    >>> long = np.sin(np.arange(44_100) * 2 * np.pi * 440 / 44_100).astype(np.float32)
    >>> resampler = Resampler(44_100)
    >>> made = np.concatenate([resampler.feed(long[:10_000]), resampler.feed(long[10_000:]), resampler.end()])
    >>> right = np.sin(np.arange(16_000) * 2 * np.pi * 440 / RATE)
    >>> len(made), bool(np.abs(made - right)[500:-500].max() < 1e-2)
    (16000, True)
    """

    def __init__(self, rate: int) -> None:
        divisor = math.gcd(rate, RATE)
        self._up, self._down = RATE // divisor, rate // divisor
        if self._up > _MOST_PHASES:  # a rate nobody records at: near enough is inaudible
            self._up, self._down = 1_000, round(1_000 * rate / RATE)
        self._is_same = rate == RATE
        cutoff = min(1.0, self._up / self._down)
        self._half = math.ceil(_CROSSINGS / cutoff)
        self._filters = self._made(cutoff)
        self._held: NDArray[np.float32] = np.zeros(self._half, dtype=np.float32)
        self._seen = 0
        self._given = 0
        self._dropped = 0
        """Samples that were let go of, counted as `_held` counts: from half a filter before the first."""

    def feed(self, samples: Samples) -> Samples:
        """Change what came; what its end needs of the next piece waits."""
        if self._is_same:
            return samples
        self._seen += len(samples)
        self._held = np.concatenate([self._held, samples])
        return self._ready(self._seen - self._half)

    def end(self) -> Samples:
        """Say that no more comes; gives what waited."""
        if self._is_same:
            return np.zeros(0, dtype=np.float32)
        self._held = np.concatenate([self._held, np.zeros(self._half + 1, dtype=np.float32)])
        return self._ready(self._seen)

    def _ready(self, until: int) -> Samples:
        """Everything whose filter lies before input sample `until`."""
        last = max(self._given, -(-until * self._up // self._down))
        made = []
        for start in range(self._given, last, 16_384):
            numbers = np.arange(start, min(last, start + 16_384), dtype=np.int64)
            at = numbers * self._down
            base, phase = at // self._up, at % self._up
            first = int(base[0])
            piece = self._held[first - self._dropped : int(base[-1]) - self._dropped + 2 * self._half + 1]
            views = np.lib.stride_tricks.sliding_window_view(piece, 2 * self._half + 1)
            made.append(np.einsum("nk,nk->n", views[base - first], self._filters[phase]))
        self._given = last
        self._drop(last * self._down // self._up)
        return np.concatenate(made) if made else np.zeros(0, dtype=np.float32)

    def _drop(self, before: int) -> None:
        gone = max(0, before - self._dropped)
        self._held = self._held[gone:]
        self._dropped += gone

    def _made(self, cutoff: float) -> NDArray[np.float32]:
        places = np.arange(-self._half, self._half + 1)[None, :] - np.arange(self._up)[:, None] / self._up
        shape = np.sinc(places * cutoff) * cutoff
        fade = np.cos(np.clip(places / (self._half + 1), -1, 1) * np.pi / 2) ** 2
        filters = shape * fade
        whole: NDArray[np.float32] = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
        return whole
