"""From logits to a token: penalties, temperature, top-k, top-p, min-p, in that order.

Pure numpy on one row at a time, so a token never depends on who shares the batch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ikkan.engine.values import Logprob, Sampling

Float32 = NDArray[np.float32]


class Sampler:
    """Chooses the tokens of one answer.

    >>> sampler = Sampler(Sampling(temperature=0), prompt=[1, 2])
    >>> sampler.choose(np.array([0.1, 0.9, 0.3], dtype=np.float32))
    1
    """

    def __init__(self, sampling: Sampling, prompt: Sequence[int], *, index: int = 0) -> None:
        self._sampling = sampling
        self._rng = np.random.default_rng(None if sampling.seed is None else [sampling.seed & (2**63 - 1), index])
        self._said: Counter[int] = Counter()
        self._seen = set(prompt) if sampling.repetition_penalty != 1.0 else set()
        self._made = 0

    def choose(self, logits: Float32, *, forbidden: frozenset[int] = frozenset()) -> int:
        """The next token; `logits` `(vocab,)` is left untouched."""
        sampling = self._sampling
        scores = self._penalized(logits)
        if forbidden and self._made < sampling.min_tokens:
            scores = scores.copy() if scores is logits else scores
            scores[[token for token in forbidden if token < len(scores)]] = -np.inf
        token = int(scores.argmax()) if sampling.temperature == 0 else self._draw(scores)
        self._made += 1
        if sampling.repetition_penalty != 1.0:
            self._seen.add(token)
        if sampling.presence_penalty or sampling.frequency_penalty:
            self._said[token] += 1
        return token

    def _penalized(self, logits: Float32) -> Float32:
        sampling = self._sampling
        if not self._seen and not self._said:
            return logits
        scores = logits.copy()
        if self._seen:
            ids = np.fromiter((token for token in sorted(self._seen) if token < len(scores)), np.int64)
            seen, penalty = scores[ids], np.float32(sampling.repetition_penalty)
            scores[ids] = np.where(seen > 0, seen / penalty, seen * penalty)
        for token, times in self._said.items():
            scores[token] -= np.float32(sampling.presence_penalty + sampling.frequency_penalty * times)
        return scores

    def _draw(self, scores: Float32) -> int:
        sampling = self._sampling
        scaled = scores.astype(np.float64) / sampling.temperature
        if 0 < sampling.top_k < len(scaled):
            kept = np.argpartition(-scaled, sampling.top_k - 1)[: sampling.top_k]
        else:
            kept = np.arange(len(scaled))
        # Likeliest first, ties by id: a stable order makes a seed mean the same on every machine.
        kept = kept[np.lexsort((kept, -scaled[kept]))]
        odds = np.exp(scaled[kept] - scaled[kept[0]])
        odds /= odds.sum()
        if sampling.top_p < 1.0:
            enough = int(np.searchsorted(np.cumsum(odds), sampling.top_p)) + 1
            kept, odds = kept[:enough], odds[:enough]
        if sampling.min_p > 0.0:
            likely = odds >= sampling.min_p * odds[0]
            kept, odds = kept[likely], odds[likely]
        heap = np.cumsum(odds)
        place = int(np.searchsorted(heap, self._rng.random() * heap[-1], side="right"))
        return int(kept[min(place, len(kept) - 1)])


def logprobs(logits: Float32, token: int, top: int) -> tuple[float, tuple[Logprob, ...]]:
    """How likely the model thought `token`, and the `top` likeliest tokens.

    >>> likely, best = logprobs(np.array([0.0, 1.0, 0.0], dtype=np.float32), token=0, top=1)
    >>> round(likely, 3), best[0].token_id
    (-1.551, 1)
    """
    scores = logits.astype(np.float64)
    peak = float(scores.max())
    total = peak + math.log(float(np.exp(scores - peak).sum()))
    best: tuple[Logprob, ...] = ()
    if top:
        ids = np.argpartition(-scores, min(top, len(scores) - 1))[:top]
        ids = ids[np.lexsort((ids, -scores[ids]))]
        best = tuple(Logprob(int(i), float(scores[i]) - total) for i in ids)
    return float(scores[token]) - total, best
