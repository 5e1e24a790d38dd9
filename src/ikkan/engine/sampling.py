"""Draws the next token from the model's scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ikkan.engine.values import Sampling, TokenLogprob
from ikkan.ground.errors import Internal
from ikkan.models.values import Float32

_SHORTLIST = 1024
"""Top-p first looks at so many of the likeliest tokens; sorting a whole vocabulary takes milliseconds."""


class Sampler:
    """Draws the tokens of one answer. Depends on nothing but the scores it is shown and its own seed.

    Args:
        sampling: the settings.
        prompt: tokens that `repetition_penalty` counts as said.
        endings: tokens that may not be drawn before the answer has `min_tokens`.
        min_tokens: see `endings`.

    >>> sampler = Sampler(Sampling(temperature=0, top_logprobs=1), prompt=[0])
    >>> sampler.draw(np.log(np.array([0.25, 0.5, 0.25], dtype=np.float32)))
    TokenLogprob(token_id=1, logprob=-0.69..., alternatives=((1, -0.69...),))
    """

    def __init__(
        self, sampling: Sampling, prompt: Sequence[int] = (), endings: Sequence[int] = (), min_tokens: int = 0
    ) -> None:
        self._sampling = sampling
        self._counts: dict[int, int] = {}
        self._endings = np.array(sorted(endings), dtype=np.int64)
        self._min_tokens = min_tokens
        self._drawn = 0
        self._repeated: dict[int, None] = dict.fromkeys(prompt) if sampling.repetition_penalty != 1.0 else {}
        seed = None if sampling.seed is None else [sampling.seed % 2**64, sampling.choice]
        self._random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))

    def draw(self, scores: Float32) -> TokenLogprob:
        """The next token. `logprob` is 0 unless log-probabilities were asked for.

        Args:
            scores: `(vocab,)` logits; left untouched.

        Raises:
            Internal: a score is no number.
        """
        settled = self._adjusted(scores)
        best = int(settled.argmax())
        if not np.isfinite(settled[best]):  # argmax finds a NaN before anything else
            raise Internal("the model's scores are no numbers", hint="load the model again; its file may be damaged")
        token_id = best if self._sampling.temperature == 0 else self._drawn_from(settled, float(settled[best]))
        self._note(token_id)
        return self._reported(token_id, scores)

    def _adjusted(self, scores: Float32) -> Float32:
        """Scores after penalties, bias and what may not end yet; the same array when nothing changes."""
        sampling = self._sampling
        changed = scores
        if self._repeated:
            changed = scores.copy()
            said = np.fromiter(self._repeated, dtype=np.int64, count=len(self._repeated))
            penalty = np.float32(sampling.repetition_penalty)
            changed[said] = np.where(changed[said] > 0, changed[said] / penalty, changed[said] * penalty)
        if self._counts and (sampling.presence_penalty or sampling.frequency_penalty):
            changed = changed.copy() if changed is scores else changed
            said = np.fromiter(self._counts, dtype=np.int64, count=len(self._counts))
            times = np.fromiter(self._counts.values(), dtype=np.float32, count=len(self._counts))
            changed[said] -= (sampling.presence_penalty + sampling.frequency_penalty * times).astype(np.float32)
        if sampling.bias:
            changed = changed.copy() if changed is scores else changed
            for token_id, bias in sampling.bias.items():
                changed[token_id] += bias
        if self._drawn < self._min_tokens and self._endings.size:
            changed = changed.copy() if changed is scores else changed
            changed[self._endings] = -np.inf
        return changed

    def _drawn_from(self, scores: Float32, highest: float) -> int:
        sampling = self._sampling
        ids: NDArray[np.int64] | None = None  # None: every token, in order
        if 0 < sampling.top_k < len(scores):
            ids = np.sort(np.argpartition(scores, -sampling.top_k)[-sampling.top_k :])
        # Differences first: a tiny temperature then gives zeros, not infinity minus infinity.
        chosen = (scores if ids is None else scores[ids]).astype(np.float64) - highest
        with np.errstate(over="ignore"):
            weights = np.exp(chosen / sampling.temperature)
        if sampling.min_p > 0:
            kept = np.flatnonzero(weights >= sampling.min_p)
            ids, weights = kept if ids is None else ids[kept], weights[kept]
        if sampling.top_p < 1:
            kept = _nucleus(weights, sampling.top_p)
            ids, weights = kept if ids is None else ids[kept], weights[kept]
        below = np.cumsum(weights)
        place = int(np.searchsorted(below, self._random.random() * below[-1], side="right"))
        place = min(place, len(below) - 1)
        return place if ids is None else int(ids[place])

    def _note(self, token_id: int) -> None:
        self._drawn += 1
        self._counts[token_id] = self._counts.get(token_id, 0) + 1
        if self._sampling.repetition_penalty != 1.0:
            self._repeated[token_id] = None

    def _reported(self, token_id: int, scores: Float32) -> TokenLogprob:
        wanted = self._sampling.top_logprobs
        if wanted is None:
            return TokenLogprob(token_id, 0.0)
        precise = scores.astype(np.float64)
        highest = precise.max()
        total = highest + np.log(np.exp(precise - highest).sum())
        likeliest: list[int] = []
        if wanted:
            first = np.argpartition(precise, -min(wanted, len(precise)))[-min(wanted, len(precise)) :]
            likeliest = [int(one) for one in first[np.lexsort((first, -precise[first]))]]
        alternatives = tuple((one, float(precise[one] - total)) for one in likeliest)
        return TokenLogprob(token_id, float(precise[token_id] - total), alternatives)


def _nucleus(weights: NDArray[np.float64], top_p: float) -> NDArray[np.int64]:
    """Places of the fewest largest weights that hold `top_p` of all, in order of place.

    >>> _nucleus(np.array([0.1, 0.5, 0.4]), 0.6).tolist()
    [1, 2]
    """
    wanted = top_p * weights.sum()
    count = min(_SHORTLIST, len(weights))
    while True:
        first = np.argpartition(weights, -count)[-count:] if count < len(weights) else np.arange(len(weights))
        first = first[np.lexsort((first, -weights[first]))]
        held = np.cumsum(weights[first])
        if held[-1] >= wanted or count == len(weights):
            enough = int(np.searchsorted(held, wanted, side="left")) + 1
            return np.sort(first[:enough])
        count = min(count * 8, len(weights))
