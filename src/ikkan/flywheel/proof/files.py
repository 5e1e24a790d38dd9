"""A labelled file of somebody's own: learned from whole, and scored once on another, or on parts of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ikkan.flywheel.contract import Budget, Examples, Fitted, Learnable
from ikkan.flywheel.proof.contract import ReadsFiles
from ikkan.flywheel.split import normalised
from ikkan.ground.errors import BadInput

BUDGET = Budget(seconds=120.0)
"""A file is learned from whole, where a turn of the wheel hurries. What is dear to learn takes more."""
FOLDS = 3

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of a file."""

    fitted: Fitted
    """Learned from all of it."""
    examples: int
    test: Mapping[str, float] | None
    """On the file kept for that; None where there was none."""
    folds: Mapping[str, float] | None
    """Without such a file: on parts of this one, each judged by what learned from the others."""
    tested: int
    train_s: float

    def as_json(self) -> dict[str, Any]:
        """As it is printed, without what was learned."""
        told = {"examples": self.examples, "test": dict(self.test) if self.test else None, "tested": self.tested}
        return {**told, "folds": dict(self.folds) if self.folds else None, "train_s": self.train_s}


def reads_files(learnable: Learnable) -> ReadsFiles:
    """The learnable, as one that people may give a file.

    Raises:
        BadInput: it learns from events alone.
    """
    if not isinstance(learnable, ReadsFiles):
        raise BadInput(f"{learnable.name} learns from events, not from files", hint="leave --data and --test out")
    return learnable


def learn(
    learnable: Learnable,
    data: Path,
    test: Path | None,
    *,
    seed: int = 0,
    budget: Budget = BUDGET,
    note: Note = lambda text: None,
) -> Learned:
    """Learn everything a file says. Both files are read before anything is trained; the test is scored once, last.

    Args:
        budget: for each training; without a test file there are more than one.

    Raises:
        NotFound: there is no such file.
        BadFile: it says where in a file, and what is wrong.
        BadInput: this learnable learns from events alone.
    """
    able = reads_files(learnable)
    examples = able.labelled(data)
    judges = able.labelled(test) if test else None
    note(f"learning from {len(examples):,} examples")
    began = time.perf_counter()
    fitted = learnable.train(examples, budget, seed)
    train_s = round(time.perf_counter() - began, 1)
    if judges is not None:
        note(f"scoring {len(judges):,} examples, once")
        return Learned(fitted, len(examples), able.measured(fitted, judges), None, len(judges), train_s)
    found: list[Mapping[str, float]] = []
    sizes: list[int] = []
    for number, (taught, held) in enumerate(_parts(examples, seed), start=1):
        note(f"no test file: part {number} of {FOLDS} judges what was learned from the others")
        found.append(able.measured(learnable.train(taught, budget, seed), held))
        sizes.append(len(held))
    names = [name for name in found[0] if all(name in each for each in found)]
    means = {name: float(np.average([each[name] for each in found], weights=sizes)) for name in names}
    return Learned(fitted, len(examples), None, means, sum(sizes), train_s)


def _parts(examples: Examples, seed: int) -> Iterator[tuple[Examples, Examples]]:
    """What teaches and what judges; the same text is always on one side."""
    texts = [normalised(key) for key in examples.keys]
    distinct = sorted(set(texts))
    drawn = np.random.default_rng([seed, 0xF01E]).permutation(len(distinct)) % FOLDS
    part = dict(zip(distinct, drawn.tolist(), strict=True))
    here = np.array([part[text] for text in texts], dtype=np.int64)
    for number in range(FOLDS):
        yield examples.take(here != number), examples.take(here == number)
