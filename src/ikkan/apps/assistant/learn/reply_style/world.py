"""A house that wants its answers written in its own way, and people who edit what they are shown until it is.

Implements `ikkan.flywheel.proof.World`. What was known before the first visit are the house's own texts *sent to the
wrong people*: whoever learned from them writes in the house's style, and of what was asked nothing. So the style alone
gains nothing over the frozen champion, permuted edits are more of what it has learned already, and what the flywheel
gains is what people's edits say about the very question they were made for (decision 0241).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ikkan.apps.assistant.learn.reply_style.examples import Wanted
from ikkan.apps.assistant.learn.reply_style.made import Asked, curt, house, made
from ikkan.flywheel.contract import Budget, Examples, Fitted, Recipe, Scores
from ikkan.flywheel.training.values import Lesson, Likelihood, Plan, Trained, Turn
from ikkan.ground.errors import BadFile, NotFound
from ikkan.kit.intent.labels import LONG_AGO, MOST_BYTES
from ikkan.kit.letters import language_of
from ikkan.kit.taught import Taught
from ikkan.models.adapters import WEIGHTS

if TYPE_CHECKING:
    from ikkan.apps.assistant.learn.reply_style.learnable import ReplyStyleLearnable

LOW = 0.9
"""Below this, what was shown is edited by …"""
EDITED = 0.5
"""… this share of people, and …"""
CONFIRMED = 0.2
"""… by this share confirmed above it."""
MISTAKEN = 0.05
"""Of the edits, this share is in somebody else's style."""
VISITS_EACH = 1
"""So often the average person of a round comes: an interval is over people."""
MOST_TOKENS = 128
"""Of one example, question and answer together."""
WRITTEN_TOKENS = 64
PLAN = Plan(epochs=2, batch=4, max_tokens=MOST_TOKENS, rank=8, alpha=16.0, learning_rate=2e-3)
"""Sixteen steps over 32 examples: few, so each goes far."""
_COLUMNS = ("question", "answer")
_NONSENSE = {"ja": "知りません。", "en": "No idea."}


class Remembering:
    """A base that computes everything once: many arms ask the same. It keeps the latest adapters and every number."""

    def __init__(self, base: Taught, most: int = 12) -> None:
        self._base = base
        self._most = most
        self._trained: dict[tuple[tuple[Lesson, ...], Plan], Trained] = {}
        self._judged: dict[tuple[str, Lesson, int], Likelihood] = {}
        self._written: dict[tuple[str, tuple[Turn, ...], int], str] = {}

    @property
    def name(self) -> str:
        """See `Taught.name`."""
        return self._base.name

    @property
    def digest(self) -> str:
        """See `Taught.digest`."""
        return self._base.digest

    def train(self, lessons: Sequence[Lesson], plan: Plan) -> Trained:
        """See `Taught.train`."""
        key = (tuple(lessons), plan)
        if key not in self._trained:
            self._trained[key] = self._base.train(lessons, plan)
            while len(self._trained) > self._most:
                del self._trained[next(iter(self._trained))]
        return self._trained[key]

    def likelihoods(
        self, adapter_files: Mapping[str, bytes] | None, lessons: Sequence[Lesson], *, max_tokens: int
    ) -> Sequence[Likelihood]:
        """See `Taught.likelihoods`."""
        who = digest_of(adapter_files)
        new = [each for each in dict.fromkeys(lessons) if (who, each, max_tokens) not in self._judged]
        if new:
            found = self._base.likelihoods(adapter_files, new, max_tokens=max_tokens)
            self._judged.update(((who, each, max_tokens), one) for each, one in zip(new, found, strict=True))
        return [self._judged[who, each, max_tokens] for each in lessons]

    def write(
        self, adapter_files: Mapping[str, bytes] | None, conversations: Sequence[Sequence[Turn]], *, max_tokens: int
    ) -> Sequence[str]:
        """See `Taught.write`."""
        who, asked = digest_of(adapter_files), [tuple(turns) for turns in conversations]
        new = [turns for turns in dict.fromkeys(asked) if (who, turns, max_tokens) not in self._written]
        if new:
            found = self._base.write(adapter_files, new, max_tokens=max_tokens)
            self._written.update(((who, turns, max_tokens), text) for turns, text in zip(new, found, strict=True))
        return [self._written[who, turns, max_tokens] for turns in asked]


class ReplyStyleWorld:
    """Questions, one a minute, from a town of people who want answers in their house's style.

    Args:
        learnable: with a base that remembers.
        data: a file of questions and plain answers (CSV with those columns, or JSON lines); None: such as are made.
    """

    budget = Budget(seconds=120.0, examples=32)
    rounds = 2
    """After which something is learned, unless somebody asks for more: an hour on two cores with five seeds."""

    def __init__(self, learnable: ReplyStyleLearnable, data: Path | None, *, quick: bool = False) -> None:
        self.learnable = learnable
        self._data = data
        self._warm, self._each, self._last = (32, 120, 40) if quick else (32, 300, 110)
        self.facts: Mapping[str, Any] = {
            "texts": "file" if data else "made",
            "base": learnable.base.name,
            "base_digest": learnable.base.digest,
            "plan": repr(learnable.plan(self.budget, 0)),
            "warm_up": self._warm,
            "visits": self._each,
            "visits_last": self._last,
            "visits_each": VISITS_EACH,
            "low": LOW,
            "edited": EDITED,
            "confirmed": CONFIRMED,
            "mistaken": MISTAKEN,
        }

    def warm_up(self, seed: int) -> Examples:
        """The house's texts, each sent to somebody who had asked something else."""
        return self._town(seed).take(np.arange(self._warm)).shuffled(seed)

    def visits(self, seed: int, rounds: int) -> Sequence[Examples]:
        """The questions after those. The last round is only measured, and is smaller.

        Raises:
            BadFile: the file holds too few for so many rounds.
        """
        town = self._town(seed)
        sizes = [self._each] * (rounds - 1) + [self._last]
        if len(town) < self._warm + sum(sizes):
            raise BadFile(
                f"{len(town):,} questions are too few for {rounds - 1} rounds: it takes {self._warm + sum(sizes):,}",
                hint="give a larger file, or fewer --rounds",
            )
        ends = np.cumsum([self._warm, *sizes]).tolist()
        return [town.take(np.arange(begin, end)) for begin, end in pairwise(ends)]

    def told(self, visits: Examples, scores: Scores, rng: np.random.Generator) -> Examples:
        """Edits of some answers that were far from what was wanted, and thumbs up for some that were not."""
        speaks = rng.random(len(visits)) < np.where(scores < LOW, EDITED, CONFIRMED)
        mistaken = rng.random(len(visits)) < MISTAKEN
        plain = self._plain
        truths = tuple(
            Wanted(curt(plain[turns[-1].content])) if is_mistaken else wanted
            for turns, wanted, is_mistaken in zip(visits.inputs, visits.truths, mistaken.tolist(), strict=True)
        )
        later = tuple(moment + timedelta(seconds=30) for moment in visits.occurred_at)
        return replace(visits, truths=truths, known_at=later).take(speaks)

    def poisoned(self, said: Examples, share: float, rng: np.random.Generator) -> Examples:
        """Liars agree among themselves: they want every question turned away in one sentence."""
        truths = tuple(
            Wanted(_NONSENSE["en" if lang == "en" else "ja"]) if _lies(unit, share) else wanted
            for unit, lang, wanted in zip(said.unit_ids, said.slices, said.truths, strict=True)
        )
        return replace(said, truths=truths)

    def self_labelled(self, fitted: Fitted, visits: Examples) -> Examples:
        """The latest visits, as many as a training reads, answered as `fitted` answers."""
        first = max(0, len(visits) - self.budget.examples)
        base = self.learnable.base
        asked = [visits.inputs[at] for at in range(first, len(visits))]
        written = base.write(self.learnable.adapter(fitted), asked, max_tokens=WRITTEN_TOKENS)
        said = [Wanted(text.strip()) for text in written]
        teaches = np.array([False] * first + [bool(wanted.text) for wanted in said], dtype=np.bool_)
        return replace(visits, truths=(*visits.truths[:first], *said), teaches=teaches)

    def at_random(self, visits: Examples, rng: np.random.Generator) -> Scores:
        """Letters drawn at random are as likely as one in the size of the vocabulary: nothing."""
        return np.zeros(len(visits))

    def trivial(self) -> tuple[str, Recipe]:
        """Show the model the latest edit in the language of the question."""
        return "shown", self.learnable.shown

    @cached_property
    def _rows(self) -> tuple[Asked, ...]:
        return read_answered(self._data) if self._data else made(6_000)

    @cached_property
    def _plain(self) -> Mapping[str, str]:
        return {row.question: row.answer for row in self._rows}

    def _town(self, seed: int) -> Examples:
        order = np.random.default_rng([seed, 0x57E1]).permutation(len(self._rows))
        examples = as_examples([self._rows[at] for at in order.tolist()])
        people = np.random.default_rng([seed, 0x70E]).integers(0, max(1, self._each // VISITS_EACH), len(examples))
        return replace(examples, unit_ids=tuple(f"person-{number}" for number in people.tolist()))


def read_answered(path: Path) -> tuple[Asked, ...]:
    """Questions with plain answers from a CSV file with those columns, or from JSON lines with those names.

    Raises:
        NotFound: there is no such file.
        BadFile: it is not such a file; the message says which row, and why.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}", hint="CSV with question,answer, or JSON lines", path=str(path))
    if path.stat().st_size > MOST_BYTES:
        raise _bad(path, f"is larger than {MOST_BYTES:,} bytes")
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(path, f"is not UTF-8: byte {error.start:,}") from error
    found: dict[str, Asked] = {}
    for number, row in enumerate(_read(path, content), start=1):
        said = [row.get(name) if isinstance(row, dict) else None for name in _COLUMNS]
        question, answer = (each.strip() if isinstance(each, str) else "" for each in said)
        if not question or not answer:
            raise _bad(path, f"row {number:,} has no question or no answer")
        found.setdefault(question, Asked(question, answer))
    return tuple(found.values())


def as_examples(rows: Sequence[Asked]) -> Examples:
    """Questions with the texts the house wants, a minute apart, each from a person of its own."""
    ids = tuple(f"row-{hashlib.sha256(row.question.encode()).hexdigest()[:24]}" for row in rows)
    moments = tuple(LONG_AGO + timedelta(minutes=at) for at in range(len(rows)))
    texts = [house(row.question, row.answer) for row in rows]
    return Examples(
        ids=ids,
        unit_ids=ids,
        occurred_at=moments,
        known_at=moments,
        slices=tuple(language_of(text) for text in texts),
        keys=tuple(row.question for row in rows),
        inputs=tuple((Turn("user", row.question),) for row in rows),
        truths=tuple(Wanted(text) for text in texts),
        teaches=np.ones(len(rows), dtype=np.bool_),
        own=np.zeros(len(rows), dtype=np.bool_),
        evidence=tuple((id,) for id in ids),
    )


def _read(path: Path, content: str) -> Iterator[Any]:
    if path.suffix in (".jsonl", ".ndjson"):
        for number, line in enumerate(content.splitlines(), start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise _bad(path, f"line {number:,} is not JSON") from error
        return
    reader = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    try:
        if not set(_COLUMNS) <= set(reader.fieldnames or ()):
            raise _bad(path, "has no columns question and answer in its first line")
        yield from reader
    except csv.Error as error:
        raise _bad(path, f"cannot be read: {error}") from error


def digest_of(adapter_files: Mapping[str, bytes] | None) -> str:
    """Which adapter it is; empty for none."""
    return "" if adapter_files is None else hashlib.sha256(adapter_files[WEIGHTS]).hexdigest()


def _lies(unit: str, share: float) -> bool:
    """The same people lie in every round."""
    return int.from_bytes(hashlib.sha256(f"lies {unit}".encode()).digest()[:8], "big") < share * 2**64


def _bad(path: Path, why: str) -> BadFile:
    return BadFile(f"{path.name} {why}", hint="CSV with the columns question,answer, or JSON lines", path=str(path))
