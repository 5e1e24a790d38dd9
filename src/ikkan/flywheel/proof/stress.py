"""What a proof must withstand besides: challengers that are no better, and people who are erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ikkan.flywheel.contract import Examples
from ikkan.flywheel.gate import PASSED, Terms, verdict
from ikkan.flywheel.nulls import null_challengers
from ikkan.flywheel.proof.contract import World, joined
from ikkan.flywheel.proof.journal import Journal
from ikkan.flywheel.proof.plan import Plan
from ikkan.flywheel.statistics import paired_gain


@dataclass(frozen=True, slots=True)
class Nulls:
    """Challengers that are no better by construction, and how many of them got through."""

    tried: int
    promoted: int
    where: str
    """`gate`: contests of this proof, with each person's two answers exchanged by the toss of a coin; `canary`:
    synthetic people, through screen, canary and spending."""

    @property
    def share(self) -> float:
        """Of those tried."""
        return self.promoted / self.tried if self.tried else 0.0


def nulls(contests: Sequence[Sequence[float]], plan: Plan) -> tuple[Nulls, ...]:
    """Let them try their luck at the gate and on people.

    Args:
        contests: by person, how much better some challenger of this proof did, as a share of the range.
    """
    tally = null_challengers(plan.nulls)
    found = [Nulls(tally.tried, tally.promoted, "canary")]
    told = [np.asarray(contest) for contest in contests if len(contest)]
    if told:
        passed = sum(_passes(told[each % len(told)], each, plan.terms) for each in range(plan.nulls))
        found.append(Nulls(plan.nulls, passed, "gate"))
    return tuple(found)


def _passes(contest: np.ndarray, each: int, terms: Terms) -> bool:
    """Whether the gate promotes, at its first attempt, someone who is better and worse by the toss of a coin."""
    signs = np.random.default_rng([each, 0x9011]).choice([-1.0, 1.0], len(contest))
    people = [str(number) for number in range(len(contest))]
    gain = paired_gain(contest * signs, np.zeros(len(contest)), people, alpha=terms.level(1))
    # No baselines, no slices, no refit: each of them could only refuse.
    return verdict(gain, (), (), margin=None)[0] in PASSED


@dataclass(frozen=True, slots=True)
class Erased:
    """Some people erased: what is trained afterwards, and what is trained where they never were."""

    people: int
    examples: int
    """Of theirs, that had taught."""
    with_them: str
    after: str
    without: str

    @property
    def exact(self) -> bool:
        """Whether nothing of them is left of what they had taught."""
        return self.examples > 0 and self.after == self.without

    @property
    def mattered(self) -> bool:
        """Whether one can tell from what was trained that they had been there."""
        return self.with_them != self.after


def erase(world: World, plan: Plan, seed: int, parts: Sequence[Examples], journal: Journal) -> Erased:
    """Train on everything, erase people, train again; and train where they never said anything.

    Args:
        parts: the warm-up, and what was said in each round.
    """
    taught = [part.take(part.teaches) for part in parts]
    people = sorted({unit for part in taught for unit in part.unit_ids})
    drawn = np.random.default_rng([seed, 0xE9A5]).permutation(len(people))
    gone = {people[at] for at in drawn[: max(1, round(plan.erased * len(people)))].tolist()}
    everything = joined(*taught)

    def trained(examples: Examples) -> str:
        return journal.keep(world.learnable.train(examples, plan.budget, seed))

    with_them = trained(everything)
    after = trained(_without(everything, gone))
    without = trained(joined(*(_without(part, gone) for part in taught)))
    return Erased(
        people=len(gone),
        examples=sum(unit in gone for unit in everything.unit_ids),
        with_them=with_them,
        after=after,
        without=without,
    )


def _without(examples: Examples, gone: set[str]) -> Examples:
    return examples.take(np.array([unit not in gone for unit in examples.unit_ids], dtype=np.bool_))
