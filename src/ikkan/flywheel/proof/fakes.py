"""A world small enough to see through, for tests of the experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ikkan.flywheel.contract import Budget, Examples, Fitted, Recipe, Scores
from ikkan.flywheel.fakes import FakeLearnable

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


class FakeWorld:
    """People ask about topics, each of which has one right answer; the warm-up knows only the first of them.

    Args:
        same: every topic has the same right answer, so that feedback teaches also when it is permuted.
        forgets: what is learned after the warm-up is lost: feedback teaches nothing.
    """

    budget = Budget()

    def __init__(
        self,
        learnable: FakeLearnable | None = None,
        *,
        topics: int = 20,
        known: int = 8,
        size: int = 160,
        same: bool = False,
        forgets: bool = False,
    ) -> None:
        self.learnable = learnable or (_Forgetful() if forgets else _Learns())
        self.opened = 0
        """How often somebody asked for its data."""
        self._topics, self._known, self._size, self._same = topics, known, size, same
        self.facts: Mapping[str, Any] = {"topics": topics, "known": known, "size": size, "same": same}

    def warm_up(self, seed: int) -> Examples:
        """Questions about the topics that are known."""
        rng = np.random.default_rng([seed, 1])
        return self._asked(rng, rng.integers(0, self._known, 60), 0, f"{seed}-warm")

    def visits(self, seed: int, rounds: int) -> Sequence[Examples]:
        """Questions about any topic."""
        rng = np.random.default_rng([seed, 2])
        return [
            self._asked(rng, rng.integers(0, self._topics, self._size), number + 1, f"{seed}-{number}")
            for number in range(rounds)
        ]

    def told(self, visits: Examples, scores: Scores, rng: np.random.Generator) -> Examples:
        """Every other one who was shown something wrong says what is right; of the others, every fourth confirms."""
        speaks = rng.random(len(visits)) < np.where(scores > 0, 0.25, 0.5)
        later = tuple(moment + timedelta(seconds=30) for moment in visits.occurred_at)
        return replace(visits, known_at=later).take(speaks)

    def poisoned(self, said: Examples, share: float, rng: np.random.Generator) -> Examples:
        """They all say the same nonsense."""
        lies = {unit for unit in set(said.unit_ids) if int(unit.rpartition("-")[2]) < share * 40}
        truths = tuple(
            "nonsense" if unit in lies else truth for unit, truth in zip(said.unit_ids, said.truths, strict=True)
        )
        return replace(said, truths=truths)

    def self_labelled(self, fitted: Fitted, visits: Examples) -> Examples:
        """What the table says; nothing where it says nothing."""
        said = [shown.answer for shown in self.learnable.show(fitted, visits)]
        return replace(visits, truths=tuple(said), teaches=np.array([answer is not None for answer in said]))

    def at_random(self, visits: Examples, rng: np.random.Generator) -> Scores:
        """One topic's answer to another's question."""
        return np.asarray(rng.integers(0, self._topics, len(visits)) == 0, dtype=np.float64)

    def trivial(self) -> tuple[str, Recipe]:
        """The most frequent answer."""
        return "majority", FakeLearnable().baselines()["majority"]

    def _asked(self, rng: np.random.Generator, topics: np.ndarray, day: int, name: str) -> Examples:
        self.opened += 1
        n = len(topics)
        moments = tuple(_BEGAN + timedelta(days=day, minutes=minute) for minute in range(n))
        people = tuple(f"person-{number}" for number in rng.integers(0, 40, n).tolist())
        ids = tuple(f"{name}-{number}" for number in range(n))
        return Examples(
            ids=ids,
            unit_ids=people,
            occurred_at=moments,
            known_at=moments,
            slices=("all",) * n,
            keys=tuple("".join(rng.choice(_LETTERS, 24)) for _ in range(n)),
            inputs=tuple(f"topic-{topic}" for topic in topics.tolist()),
            truths=tuple("right" if self._same else f"right-{topic}" for topic in topics.tolist()),
            teaches=np.ones(n, dtype=np.bool_),
            own=np.zeros(n, dtype=np.bool_),
            evidence=tuple((id,) for id in ids),
        )


class _Learns(FakeLearnable):
    """Its only baseline knows nothing."""

    def baselines(self) -> Mapping[str, Recipe]:
        """Knowing nothing."""
        return {"nothing": lambda examples, budget, seed: FakeLearnable().train(examples.take([]), budget, seed)}


class _Forgetful(_Learns):
    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """Only the warm-up stays."""
        return super().train(examples.take(np.array(["-warm-" in id for id in examples.ids], dtype=bool)), budget, seed)
