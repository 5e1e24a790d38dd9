"""How often a word of a meeting will stand in a summary of it: learned from meetings and the summaries people wrote."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0.features import Float64

WORD_COLUMNS = 1 << 16
TRAITS = 10


@dataclass(frozen=True, slots=True)
class Heard:
    """The words of one meeting, each once."""

    words: tuple[str, ...]
    times: Float64
    """How often each was said."""
    weighted: Float64
    """The same, each time counted by the chance that what was said is important."""
    best: Float64
    """The highest such chance."""


def heard(said: Sequence[Sequence[str]], chances: Float64) -> Heard:
    """Count the words of units, given the chance that each unit is important."""
    times, weighted, best = Counter[str](), dict[str, float](), dict[str, float]()
    for words, chance in zip(said, chances.tolist(), strict=True):
        for word in words:
            times[word] += 1
            weighted[word] = weighted.get(word, 0.0) + chance
            best[word] = max(best.get(word, 0.0), chance)
    return Heard(
        tuple(times),
        np.array(list(times.values()), dtype=np.float64),
        np.array([weighted[word] for word in times]),
        np.array([best[word] for word in times]),
    )


@dataclass(frozen=True, slots=True)
class Told:
    """What became of words in the meetings that were learned from; each array has `WORD_COLUMNS` entries."""

    meetings: float
    summary_words: float
    meetings_with: Float64
    """In how many meetings a word was said."""
    said: Float64
    """How often in all of them."""
    summed: Float64
    """How often it stands in their summaries."""
    summaries_with: Float64
    """In how many summaries."""

    def without(self, places: NDArray[np.int64], times: Float64, stood: Float64) -> Told:
        """As if one of the meetings had not been there: how a meeting is to be learned from fairly."""
        copies = [self.meetings_with.copy(), self.said.copy(), self.summed.copy(), self.summaries_with.copy()]
        for copy, less in zip(copies, (np.ones(len(times)), times, stood, (stood > 0) * 1.0), strict=True):
            np.subtract.at(copy, places, less)
            np.maximum(copy, 0, out=copy)
        return Told(self.meetings - 1, self.summary_words - float(stood.sum()), *copies)


def places(words: Sequence[str]) -> NDArray[np.int64]:
    """Where each word's counts are kept."""
    return np.array([zlib.crc32(word.encode()) & (WORD_COLUMNS - 1) for word in words], dtype=np.int64)


def traits(words: Heard, told: Told) -> Float64:
    """What the rate of a word is guessed from, shape `(words, TRAITS)`."""
    at = places(words.words)
    meetings_with, summed = told.meetings_with[at], told.summed[at]
    base = (summed + 0.3) / (told.summary_words * (meetings_with + 1.5) / (told.meetings + 1.5))
    usual = (told.said[at] + 0.5) / told.said.sum()
    total, weight = words.times.sum(), words.weighted.sum() + 1e-9
    return np.column_stack(
        [
            np.log(base),
            np.log(words.times),
            np.log(words.weighted + 1e-3),
            np.log((meetings_with + 0.5) / told.meetings),
            words.best,
            np.log(words.times / total / usual),
            np.minimum([len(word) for word in words.words], 12),
            [float(word.isdigit()) for word in words.words],
            np.log(words.weighted / weight + 1e-6),
            (told.summaries_with[at] + 0.1) / (meetings_with + 1),
        ]
    )


def expanded(table: Float64, middle: Float64, width: Float64) -> Float64:
    """Traits, their squares and their products, with a one in front."""
    z = np.clip((table - middle) / width, -4, 4)
    left, right = np.triu_indices(z.shape[1])
    return np.hstack([np.ones((len(z), 1)), z, z[:, left] * z[:, right]])


@dataclass(frozen=True, slots=True)
class Rates:
    """The learned guess: log-linear in traits and their products."""

    told: Told
    middle: Float64
    width: Float64
    weights: Float64

    def of_english(self, words: Heard) -> Float64:
        """For each word, how often it is expected in a summary, per word of summary."""
        table = expanded(traits(words, self.told), self.middle, self.width)
        return np.asarray(np.exp(np.clip(table @ self.weights, -20, 0)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As they are kept in a file."""
        return {
            "rates_meetings_with": self.told.meetings_with.astype(np.uint16),
            "rates_said": self.told.said.astype(np.uint32),
            "rates_summed": self.told.summed.astype(np.uint16),
            "rates_summaries_with": self.told.summaries_with.astype(np.uint16),
            "rates_totals": np.array([self.told.meetings, self.told.summary_words]),
            "rates_middle": self.middle,
            "rates_width": self.width,
            "rates_weights": self.weights,
        }

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Rates:
        """What `arrays` gave."""
        told = [
            arrays[f"rates_{name}"].astype(np.float64) for name in ("meetings_with", "said", "summed", "summaries_with")
        ]
        meetings, summary_words = arrays["rates_totals"].tolist()
        return cls(
            Told(meetings, summary_words, *told),
            arrays["rates_middle"],
            arrays["rates_width"],
            arrays["rates_weights"],
        )


def of_any_language(words: Heard) -> Float64:
    """The same guess where no summaries were learned from: what is said often in what is important, above its share."""
    share = words.weighted / (words.weighted.sum() + 1e-9)
    return np.asarray(0.8 * share)
