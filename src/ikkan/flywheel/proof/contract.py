"""The contract with a world: a place where the truth about every visit is known, and told only as people tell it.

The experiment asks a world for visits, scores whatever serves on them (nobody has learned from them yet), and then asks
what people would have said. The truth itself reaches nothing but the scores and the arm that is given everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ikkan.flywheel.contract import NO_EXAMPLES, Budget, Examples, Fitted, Learnable, Recipe, Scores


class World(Protocol):
    """Visits with their truths, and people who tell a part of it. Made without opening anything: see `facts`.

    Visits and everything said about them are `Examples` of the learnable, made for a seed: the same seed, the same
    visits; other seeds, other draws. Visits are in the order of time, each later than everything said in the rounds
    before it, so that the gate's holdout in time holds. `rng` is the same in every arm: people do not know which arm
    they are in, so draw equally often whatever was shown.
    """

    learnable: Learnable
    budget: Budget
    """Of every training in the experiment."""
    facts: Mapping[str, Any]
    """Every number by which visits and feedback are made, as JSON. Hashed with the protocol *before* data is opened:
    none of it may depend on what the data say."""

    def warm_up(self, seed: int) -> Examples:
        """What was known, truth included, before the first visit: the frozen champion has learned it, all arms have."""
        ...

    def visits(self, seed: int, rounds: int) -> Sequence[Examples]:
        """The visits of so many rounds, with the whole truth. Enough of them that a round's feedback can judge."""
        ...

    def told(self, visits: Examples, scores: Scores, rng: np.random.Generator) -> Examples:
        """What people say of these visits, having been shown answers that were worth these scores.

        Usually some of those who were shown something bad say what is right, a few of the others confirm, and a share
        of what is said is wrong. Only what was said is returned, with `known_at` when it was said.
        """
        ...

    def poisoned(self, said: Examples, share: float, rng: np.random.Generator) -> Examples:
        """The same, where the feedback of this share of people is a lie that would do the most harm."""
        ...

    def self_labelled(self, fitted: Fitted, visits: Examples) -> Examples:
        """The visits with what `fitted` itself says as their truth: learning from nobody."""
        ...

    def at_random(self, visits: Examples, rng: np.random.Generator) -> Scores:
        """What answers drawn at random score."""
        ...

    def trivial(self) -> tuple[str, Recipe]:
        """The strongest of the simple ways to do it, with its name: it learns from the flywheel's own feedback."""
        ...


@runtime_checkable
class Provable(Protocol):
    """A learnable that has a world to be proved in."""

    def world(self, data: Path | None, *, quick: bool = False) -> World:
        """A world of the file's examples, or without a file of such as the project makes; nothing is opened yet.

        Args:
            quick: as small as still shows that everything runs.
        """
        ...


@runtime_checkable
class Paced(Protocol):
    """A world whose trainings are so slow that it says itself how many rounds it is worth."""

    rounds: int
    """After which something is learned, unless somebody asks for another number."""


@runtime_checkable
class Seeded(Protocol):
    """A world of so few people that it says itself how many seeds it takes to see anything."""

    seeds: int
    """Towns of people, unless somebody asks for another number."""


@runtime_checkable
class ReadsFiles(Protocol):
    """A learnable that people may give a file of labelled examples."""

    def labelled(self, path: Path) -> Examples:
        """The file as examples, all of which teach.

        Raises:
            NotFound: there is no such file.
            BadFile: it is not such a file; the message says where, and what is wrong.
        """
        ...

    def measured(self, fitted: Fitted, examples: Examples) -> Mapping[str, float]:
        """What `fitted` is worth on examples it has not seen, by name of the figure."""
        ...


def joined(*parts: Examples) -> Examples:
    """All examples in one, in this order; the background is that of the last part that has one."""
    if not parts:
        return NO_EXAMPLES
    merged: dict[str, Any] = {}
    for each in fields(Examples):
        values = [getattr(part, each.name) for part in parts]
        if each.name == "background":
            merged[each.name] = next((value for value in reversed(values) if value), values[-1])
        elif isinstance(values[0], np.ndarray):
            merged[each.name] = np.concatenate(values)
        else:
            merged[each.name] = tuple(item for value in values for item in value)
    return replace(parts[0], **merged)
