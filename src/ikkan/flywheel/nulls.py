"""Candidates that are no better, by construction: how many does the loop promote? Three in a hundred, by design.

Each lives in a world of its own: people with habits of their own, outcomes in [0, 1] that do not depend on who
answers. It goes through the very screen, canary and spending that serve people (`paired_gain`, `weigh`), looked at
after every few people, so that looking often is part of the test.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from ikkan.flywheel.canary import REVERSIBLE, Evidence, Policy, Trial, weigh
from ikkan.flywheel.gate import Terms, verdict
from ikkan.flywheel.statistics import Floats, by_unit, paired_gain
from ikkan.ground.ids import ArtifactId, DecisionId

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class World:
    """How people are in a synthetic world."""

    judges: int = 60
    """People whose later questions the gate replays."""
    questions: int = 4
    """Of each of them."""
    disagreement: float = 0.2
    """How often the candidate's answer differs from the champion's."""
    people: int = 300
    """Who come during the canary."""
    looks: int = 10
    """How often one looks while they come."""
    effect: float = 0.0
    """How much better people really fare with the candidate: 0 for a null, more to see that a good one passes."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the candidates."""

    tried: int
    promoted: int
    ends: dict[str, int] = field(default_factory=dict)
    """By the code of the last decision."""

    @property
    def share(self) -> float:
        """Of candidates that were promoted."""
        return self.promoted / self.tried if self.tried else 0.0


def null_challengers(
    tried: int = 1_000,
    *,
    seed: int = 0,
    policy: Policy = REVERSIBLE,
    terms: Terms | None = None,
    world: World | None = None,
    live: bool = True,
    per_champion: int = 1,
) -> Tally:
    """Let candidates that are no better try their luck, and count the promotions.

    Args:
        live: through screen and canary; else through the gate alone, as in apps without live outcomes.
        per_champion: that many challenge one champion in turn, each surer than the one before. One is the loop's
            weakest moment: every candidate has the largest share of the allowance there is.

    >>> null_challengers(20, seed=1).promoted
    0
    """
    terms, world = terms or Terms(), world or World()
    ends: dict[str, int] = {}
    promoted = 0
    for each in range(tried):
        rng = np.random.default_rng([seed, each])
        turn = each % per_champion + 1
        code = _screened(rng, world, terms, live, turn)
        if live and code == "fit_to_try":
            code = _tried(rng, world, replace(_trial(policy, each), round=turn))
        promoted += code in ("better", "live_better")
        ends[code] = ends.get(code, 0) + 1
    return Tally(tried, promoted, dict(sorted(ends.items())))


def _screened(rng: np.random.Generator, world: World, terms: Terms, live: bool, attempt: int) -> str:
    """What the gate says of replayed questions on which both are right equally often."""
    n = world.judges * world.questions
    units = [f"p{number}" for number in np.repeat(np.arange(world.judges), world.questions)]
    habits = np.repeat(rng.beta(4, 2, world.judges), world.questions)
    champion = (rng.random(n) < habits).astype(np.float64)
    other = (rng.random(n) < np.clip(habits + world.effect, 0, 1)).astype(np.float64)
    candidate = np.where(rng.random(n) < world.disagreement, other, champion)
    gain = paired_gain(candidate, champion, units, alpha=terms.alpha if live else terms.level(attempt))
    return verdict(gain, (), (), margin=terms.margin if live else None)[0]


def _tried(rng: np.random.Generator, world: World, trial: Trial) -> str:
    """The canary, looked at after every few people, until it ends or nobody comes any more."""
    values: list[Floats] = []
    treated: list[np.ndarray] = []
    shares: list[Floats] = []
    code = "collecting"
    for batch in np.array_split(np.arange(world.people), world.looks):
        given = rng.random(len(batch)) < trial.share
        values.append(_fared(rng, batch, given, world))
        treated.append(given)
        shares.append(np.full(len(batch), trial.share))
        found = weigh(trial, Evidence(np.concatenate(values), np.concatenate(treated), np.concatenate(shares)))
        code = found.code
        if found.state != "canary":
            break
        trial = replace(trial, share=found.share)
    return code


def _fared(rng: np.random.Generator, batch: np.ndarray, given: np.ndarray, world: World) -> Floats:
    """Each person's mean over their cases; better weeks and worse weeks come and go for both arms alike."""
    season = 0.6 + 0.2 * np.sin(batch / 40)
    habits = np.clip(season + 0.15 * rng.standard_normal(len(batch)) + world.effect * given, 0, 1)
    cases = rng.integers(1, 6, len(batch))
    whose = np.repeat(np.arange(len(batch)), cases)
    right = (rng.random(len(whose)) < habits[whose]).astype(np.float64)
    return by_unit(right, [str(number) for number in whose])


def _trial(policy: Policy, number: int) -> Trial:
    nobody = ArtifactId("sha256:null")
    return Trial(
        id=DecisionId(f"null-{number}"),
        learnable="null",
        round=1,
        candidate=nobody,
        champion=nobody,
        policy=policy,
        salt="",
        state="canary",
        share=policy.stages[0],
        began_at=_BEGAN,
        phase_at=_BEGAN,
        ended_at=None,
        until=_BEGAN,
        last=DecisionId(""),
    )
