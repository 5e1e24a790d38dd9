"""Draws the next token from the model's scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ikkan.engine.values import Sampling, TokenLogprob
from ikkan.ground.errors import Internal
from ikkan.models.values import Float32, Int32

GREEDY_BELOW: Final = 1e-5
"""Temperatures so low that only the likeliest token could come; dividing by them would leave float32."""

_CUTS: Final = (0.02, 1e-4, 1e-7, 0.0)
"""Top-p sorts only tokens this likely beside the likeliest, if they hold enough: a vocabulary is long to sort."""
_BLOCK: Final = 512
_COLUMN: Final = 64


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

    def draw(self, scores: Float32, allowed: NDArray[np.uint32] | None = None) -> TokenLogprob:
        """The next token. `logprob` is 0 unless log-probabilities were asked for, and the model's own in any case.

        Args:
            scores: `(vocab,)` logits; left untouched.
            allowed: a bit for each token that may come, little-endian, `ceil(vocab / 32)` words; None for all.

        Raises:
            Internal: a score is no number, or no token may come.

        >>> scores = np.array([3, 2, 1], dtype=np.float32)
        >>> Sampler(Sampling(temperature=0)).draw(scores, np.array([0b110], dtype=np.uint32)).token_id
        1
        """
        held_back = bool(self._endings.size) and self._drawn < self._min_tokens
        settled = self._adjusted(scores, allowed, held_back)
        best = int(settled.argmax())
        if held_back and allowed is not None and not np.isfinite(settled[best]):
            # Nothing but the end may come: the shape of an answer counts for more than its length.
            settled = self._adjusted(scores, allowed, False)
            best = int(settled.argmax())
        if not np.isfinite(settled[best]):  # argmax finds a NaN before anything else
            raise no_numbers()
        token_id = (
            best if self._sampling.temperature < GREEDY_BELOW else self._drawn_from(settled, float(settled[best]))
        )
        self.note(token_id)
        return self._reported(token_id, scores)

    def draw_among(self, tokens: Int32, scores: Float32) -> int:
        """The next token, where these are the `top_k` likeliest and nothing changes the model's scores.

        Args:
            tokens: `(count,)`, likeliest first.
            scores: `(count,)` their logits, all finite.

        >>> Sampler(Sampling(top_k=2, min_p=0.5)).draw_among(np.array([7, 3]), np.array([2, 1], dtype=np.float32))
        7
        """
        in_order = np.argsort(tokens)
        token_id = int(tokens[in_order][self._place_among(scores[in_order], float(scores[0]))])
        self.note(token_id)
        return token_id

    def note(self, token_id: int) -> None:
        """Count a token of the answer, also one that nobody drew because it had to come."""
        self._drawn += 1
        self._counts[token_id] = self._counts.get(token_id, 0) + 1
        if self._sampling.repetition_penalty != 1.0:
            self._repeated[token_id] = None

    def _adjusted(self, scores: Float32, allowed: NDArray[np.uint32] | None, held_back: bool) -> Float32:
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
        if allowed is not None:
            changed = _only(changed, allowed)
        if held_back:
            changed = changed.copy() if changed is scores else changed
            changed[self._endings] = -np.inf
        return changed

    def _drawn_from(self, scores: Float32, highest: float) -> int:
        if not 0 < self._sampling.top_k < len(scores):
            return self._place_among(scores, highest)
        ids = _highest(scores, self._sampling.top_k)
        return int(ids[self._place_among(scores[ids], highest)])

    def _place_among(self, scores: Float32, highest: float) -> int:
        """Where among these scores, in order of token, the next is; all that `top_k` leaves."""
        sampling = self._sampling
        places: NDArray[np.intp] | None = None  # None: every one
        weights = scores - np.float32(highest)
        weights /= np.float32(sampling.temperature)
        np.exp(weights, out=weights)  # the likeliest token's is 1
        if sampling.min_p > 0:
            places = np.flatnonzero(weights >= np.float32(sampling.min_p))
            weights = weights[places]
        if sampling.top_p < 1:
            kept = _nucleus(weights, sampling.top_p)
            places, weights = kept if places is None else places[kept], weights[kept]
        place = _place(weights, self._random.random())
        return place if places is None else int(places[place])

    def _reported(self, token_id: int, scores: Float32) -> TokenLogprob:
        wanted = self._sampling.top_logprobs
        if wanted is None:
            return TokenLogprob(token_id, 0.0)
        highest = scores.max()
        total = float(highest) + float(np.log(np.exp(scores - highest).sum(dtype=np.float64)))
        likeliest = _highest(scores, wanted) if wanted else np.zeros(0, dtype=np.intp)
        likeliest = likeliest[np.lexsort((likeliest, -scores[likeliest]))]
        alternatives = tuple((int(one), float(scores[one]) - total) for one in likeliest)
        return TokenLogprob(token_id, float(scores[token_id]) - total, alternatives)


def no_numbers() -> Internal:
    """What to raise where a model's scores are infinite or no numbers."""
    return Internal("the model's scores are no numbers", hint="load the model again; its file may be damaged")


def _only(scores: Float32, allowed: NDArray[np.uint32]) -> Float32:
    """Scores with all but the allowed tokens out of reach.

    >>> _only(np.array([1, 2, 3], dtype=np.float32), np.array([0b101], dtype=np.uint32)).tolist()
    [1.0, -inf, 3.0]
    """
    octets = allowed.astype("<u4", copy=False).view(np.uint8)
    bits = np.unpackbits(octets, count=len(scores), bitorder="little").view(np.bool_)
    return np.where(bits, scores, np.float32(-np.inf))


def _highest(scores: Float32, count: int) -> NDArray[np.intp]:
    """Places of the highest scores in order of place; of equal ones the first.

    >>> _highest(np.array([1, 3, 2, 2], dtype=np.float32), 2).tolist()
    [1, 2]
    """
    if count >= len(scores):
        return np.arange(len(scores))
    ids = np.arange(len(scores))
    columns = len(scores) // _COLUMN
    if count < columns:
        # So many columns have a score at least this high: whatever is lower is none of the highest.
        peaks = scores[: columns * _COLUMN].reshape(_COLUMN, columns).max(axis=0)
        ids = np.flatnonzero(scores >= np.partition(peaks, -count)[-count])
    found = scores[ids]
    lowest = np.partition(found, -count)[-count]
    above = np.flatnonzero(found > lowest)
    level = np.flatnonzero(found == lowest)[: count - len(above)]
    return np.sort(ids[np.concatenate([above, level])])


def _nucleus(weights: Float32, top_p: float) -> NDArray[np.intp]:
    """Places of the fewest largest weights that hold `top_p` of all, in order of place. The largest weight is 1.

    >>> _nucleus(np.array([0.2, 1.0, 0.8], dtype=np.float32), 0.6).tolist()
    [1, 2]
    """
    wanted = top_p * float(weights.sum(dtype=np.float64))
    for cut in _CUTS:
        places = np.flatnonzero(weights >= np.float32(cut))
        if float(weights[places].sum(dtype=np.float64)) >= wanted:
            break
    places = places[np.lexsort((places, -weights[places]))]
    enough = int(np.searchsorted(np.cumsum(weights[places], dtype=np.float64), wanted, side="left")) + 1
    return np.sort(places[:enough])


def _place(weights: Float32, share: float) -> int:
    """The place where the sum of the weights before it and its own first exceeds this share of all.

    >>> weights = np.array([1, 0, 3], dtype=np.float32)
    >>> [_place(weights, share) for share in (0.0, 0.2, 0.3, 0.999)]
    [0, 0, 2, 2]
    """
    # By blocks first: a running sum over a whole vocabulary takes longer than everything else here.
    blocks = np.cumsum(np.add.reduceat(weights, np.arange(0, len(weights), _BLOCK), dtype=np.float64))
    target = share * blocks[-1]
    block = min(int(np.searchsorted(blocks, target, side="right")), len(blocks) - 1)
    inside = weights[block * _BLOCK : (block + 1) * _BLOCK]
    below = np.cumsum(inside, dtype=np.float64)
    place = int(np.searchsorted(below, target - (blocks[block - 1] if block else 0.0), side="right"))
    # Rounding may lead one past the end: then it is the last that can come at all.
    place = min(place, int(np.flatnonzero(inside)[-1]) if inside.any() else 0)
    return block * _BLOCK + place
