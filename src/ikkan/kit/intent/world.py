"""A world in which it is known what every text wants, and people say so as people do: some of them, sometimes wrongly.

Implements `ikkan.flywheel.proof.World`. Texts come from a labelled file or from the app. Who says nothing says
nothing here: silence is no example, as long as no page shows an intent that people could let pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ikkan.flywheel.contract import Budget, Examples, Fitted, Recipe, Scores
from ikkan.ground.errors import BadFile
from ikkan.kit.intent.labels import Labelled, Meant, as_examples, read_labelled
from ikkan.kit.intent.ladder import Float32
from ikkan.kit.taught import Embed

if TYPE_CHECKING:
    from ikkan.kit.intent.learnable import IntentLearnable

CORRECTED = 0.4
"""Of those who are shown a wrong intent, this share says the right one."""
CONFIRMED = 0.2
"""Of those who are shown the right one, this share says so."""
MISTAKEN = 0.05
"""Of what is said, this share is wrong."""
VISITS_EACH = 3
"""So often the average person comes."""
FEWEST = 20
"""Visits of a round, in the smallest file that can be used."""


class Remembering:
    """An embedder that reads every text once: all arms and seeds ask the same."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._known: dict[str, Float32] = {}

    def __call__(self, texts: Sequence[str]) -> Float32:
        """See `Embed`."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._embed(new), strict=True))
        return np.stack([self._known[text] for text in texts])


class IntentWorld:
    """Texts, one a minute, from a town of people.

    Args:
        learnable: with an embedder that remembers, or without any.
        data: a labelled file; None: texts that are made.
        made: makes them.
    """

    budget = Budget()

    def __init__(
        self,
        learnable: IntentLearnable,
        data: Path | None,
        made: Callable[[], Sequence[Labelled]],
        *,
        quick: bool = False,
    ) -> None:
        self.learnable = learnable
        self._data = data
        self._made = made
        self._warm, self._most = (100, 400) if quick else (200, 600)
        self.facts: Mapping[str, Any] = {
            "texts": "file" if data else "made",
            "warm_up": self._warm,
            "most_visits": self._most,
            "visits_each": VISITS_EACH,
            "corrected": CORRECTED,
            "confirmed": CONFIRMED,
            "mistaken": MISTAKEN,
            "embeddings": learnable.has_embedder,
            "rungs": list(learnable.rungs),
        }

    def warm_up(self, seed: int) -> Examples:
        """The first texts, each with its intent."""
        return self._town(seed).take(np.arange(self._warm))

    def visits(self, seed: int, rounds: int) -> Sequence[Examples]:
        """The texts after those, in rounds of one size.

        Raises:
            BadFile: it holds too few for so many rounds.
        """
        town = self._town(seed)
        size = min(self._most, (len(town) - self._warm) // rounds)
        if size < FEWEST:
            raise BadFile(
                f"{len(town):,} texts are too few for {rounds - 1} rounds: it takes"
                f" {self._warm + rounds * FEWEST:,}, and thousands to show anything",
                hint="give a larger file, or fewer --rounds",
            )
        return [town.take(np.arange(self._warm + at * size, self._warm + (at + 1) * size)) for at in range(rounds)]

    def told(self, visits: Examples, scores: Scores, rng: np.random.Generator) -> Examples:
        """Labels of some of them, half a minute later."""
        speaks = rng.random(len(visits)) < np.where(scores > 0, CONFIRMED, CORRECTED)
        mistaken = rng.random(len(visits)) < MISTAKEN
        others = rng.integers(0, len(self._intents), len(visits)).tolist()
        truths = tuple(
            Meant(self._intents[other]) if is_mistaken else meant
            for meant, is_mistaken, other in zip(visits.truths, mistaken.tolist(), others, strict=True)
        )
        later = tuple(moment + timedelta(seconds=30) for moment in visits.occurred_at)
        return replace(visits, truths=truths, known_at=later).take(speaks)

    def poisoned(self, said: Examples, share: float, rng: np.random.Generator) -> Examples:
        """Liars agree among themselves: each of them, always, names the intent that comes after the right one."""
        following = dict(zip(self._intents, (*self._intents[1:], self._intents[0]), strict=True))
        truths = tuple(
            Meant(following[meant.intent]) if _lies(unit, share) else meant
            for unit, meant in zip(said.unit_ids, said.truths, strict=True)
        )
        return replace(said, truths=truths)

    def self_labelled(self, fitted: Fitted, visits: Examples) -> Examples:
        """Every visit, meant as it was read."""
        truths = tuple(Meant(intent) for intent in self.learnable.likeliest(fitted, visits.inputs))
        return replace(visits, truths=truths, teaches=np.array([bool(meant.intent) for meant in truths]))

    def at_random(self, visits: Examples, rng: np.random.Generator) -> Scores:
        """Any intent there is."""
        drawn = rng.integers(0, len(self._intents), len(visits)).tolist()
        right = [self._intents[at] == meant.intent for at, meant in zip(drawn, visits.truths, strict=True)]
        return np.array(right, dtype=np.float64)

    def trivial(self) -> tuple[str, Recipe]:
        """Say what the most alike examples meant."""
        return "nearest", self.learnable.nearest

    @cached_property
    def _rows(self) -> tuple[Labelled, ...]:
        return read_labelled(self._data) if self._data else tuple(self._made())

    @cached_property
    def _intents(self) -> tuple[str, ...]:
        return tuple(sorted({row.intent for row in self._rows}))

    def _town(self, seed: int) -> Examples:
        examples = as_examples(self._rows, seed)
        people = np.random.default_rng([seed, 0x70E]).integers(0, max(1, len(examples) // VISITS_EACH), len(examples))
        return replace(examples, unit_ids=tuple(f"person-{number}" for number in people.tolist()))


def _lies(unit: str, share: float) -> bool:
    """The same people lie in every round."""
    return int.from_bytes(hashlib.sha256(f"lies {unit}".encode()).digest()[:8], "big") < share * 2**64
