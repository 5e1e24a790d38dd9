"""A chat model small enough to see through, for tests of what learns from it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence

from ikkan.flywheel.training.values import Lesson, Likelihood, Plan, Trained, Turn
from ikkan.ground.errors import NothingToLearn
from ikkan.models.adapters import CONFIG, WEIGHTS

_WORDS = re.compile(r"[A-Za-z0-9]+|[^\sA-Za-z0-9]")


class FakeTaught:
    """Learns two things: which words people want, and how far what they want repeats what was asked.

    Implements `ikkan.kit.taught.Taught`. It writes the words of the question, then those it has learned.

    >>> lesson = Lesson((Turn("user", "a badge"),), "Dear badge")
    >>> fake = FakeTaught()
    >>> files = fake.train([lesson], Plan()).files
    >>> before, after = (fake.likelihoods(each, [lesson], max_tokens=9)[0].per_token for each in (None, files))
    >>> before < after
    True
    """

    def __init__(self, name: str = "fake", digest: str = "f" * 64) -> None:
        self.name = name
        self.digest = digest
        self.trained: list[Plan] = []

    def train(self, lessons: Sequence[Lesson], plan: Plan) -> Trained:
        """Two numbers a word, whatever the seed."""
        if not lessons:
            raise NothingToLearn("there are no lessons")
        self.trained.append(plan)
        words = sorted({word for lesson in lessons for word in _WORDS.findall(lesson.answer)})
        repeats = [_shared(lesson) for lesson in lessons]
        learned = json.dumps({"words": words, "repeats": sum(repeats) / len(repeats)}).encode()
        return Trained({CONFIG: b"{}", WEIGHTS: learned}, (2.0, 1.0), {})

    def likelihoods(
        self, adapter_files: Mapping[str, bytes] | None, lessons: Sequence[Lesson], *, max_tokens: int
    ) -> Sequence[Likelihood]:
        """A word is likelier where it was learned, and where it was asked."""
        words, repeats = _learned(adapter_files)
        found = []
        for lesson in lessons:
            asked = set(_WORDS.findall(lesson.turns[-1].content))
            chances = [
                0.05 + 0.2 * (word in words) + 0.7 * repeats * (word in asked) for word in _WORDS.findall(lesson.answer)
            ]
            found.append(Likelihood(sum(math.log(chance) for chance in chances), len(chances)))
        return found

    def write(
        self, adapter_files: Mapping[str, bytes] | None, conversations: Sequence[Sequence[Turn]], *, max_tokens: int
    ) -> Sequence[str]:
        """The question, and the first words that were learned."""
        words, _ = _learned(adapter_files)
        return [" ".join([turns[-1].content, *sorted(words)[:3]]) for turns in conversations]


def _learned(adapter_files: Mapping[str, bytes] | None) -> tuple[frozenset[str], float]:
    if adapter_files is None:
        return frozenset(), 0.3
    learned = json.loads(adapter_files[WEIGHTS])
    return frozenset(learned["words"]), float(learned["repeats"])


def _shared(lesson: Lesson) -> float:
    """How much of the question the answer repeats."""
    asked = set(_WORDS.findall(lesson.turns[-1].content))
    return len(asked & set(_WORDS.findall(lesson.answer))) / max(1, len(asked))
