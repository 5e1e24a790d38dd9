"""The arms: what becomes of one frozen champion under each way of learning, on the same visits.

Every round is measured before anything is learned from it. Where an arm has a gate, it is `gate.turn` on the terms that
serve people, with as many attempts counted against a champion as the service would count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from ikkan.flywheel.contract import Examples, Fitted, Scores
from ikkan.flywheel.figures import details
from ikkan.flywheel.gate import Champion, Turn, turn
from ikkan.flywheel.proof.contract import World, joined
from ikkan.flywheel.proof.journal import Journal, Step
from ikkan.flywheel.proof.plan import Plan
from ikkan.flywheel.statistics import by_unit
from ikkan.flywheel.stops import why
from ikkan.flywheel.words import reasons
from ikkan.ground.errors import NotFinite, NothingToLearn

GATED = ("flywheel", "placebo", "malicious")
LEARNING = (*GATED, "no_gate", "self_training", "oracle", "trivial")
_BREAKS_OFF = (ArithmeticError, NotFinite, NothingToLearn)
"""What a training may end with; then nobody new serves, as in the service. Anything else ends the experiment."""
_MOMENT = timedelta(microseconds=1)
_PEOPLE, _LIARS, _LUCK = 1, 2, 3

Tell = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Town:
    """One seed of the world: its visits, and the champion with which every arm begins."""

    world: World
    plan: Plan
    seed: int
    warm_up: Examples
    visits: tuple[Examples, ...]
    champion: Champion
    champion_id: str

    @classmethod
    def of(cls, world: World, plan: Plan, seed: int, journal: Journal) -> Town:
        """Open the world at this seed and train the champion."""
        warm_up = world.warm_up(seed)
        visits = tuple(world.visits(seed, plan.rounds + 1))
        assert len(visits) == plan.rounds + 1, "a world has as many rounds as it is asked for"
        fitted = world.learnable.train(warm_up, plan.budget, seed)
        champion = Champion(fitted, _after(warm_up))
        return cls(world, plan, seed, warm_up, visits, champion, journal.keep(fitted))

    def rng(self, number: int, purpose: int) -> np.random.Generator:
        """The same draws in every arm."""
        return np.random.default_rng([self.seed, number, purpose])


def live(town: Town, arm: str, journal: Journal, tell: Tell) -> None:
    """Let one arm live through all rounds, from where an earlier run left it."""
    known, serving, serving_id = [town.warm_up], town.champion, town.champion_id
    done = journal.steps(town.seed, arm)
    for number, visits in enumerate(town.visits):
        if number < len(done):
            step = done[number]
            scores = np.array(step.scores, dtype=np.float64)
            said = _said(town, arm, number, scores, serving.fitted, journal)
        else:
            began = time.perf_counter()
            scores = _scores(town, arm, number, serving.fitted, serving_id, journal)
            said = _said(town, arm, number, scores, serving.fitted, journal)
            learned, decision = None, None
            if arm in LEARNING and number < town.plan.rounds:
                learned, decision = _learn(town, arm, joined(*known, said), serving, journal.steps(town.seed, arm))
            step = Step(
                seed=town.seed,
                arm=arm,
                round=number,
                scores=tuple(scores.tolist()),
                serves=journal.keep(learned) if learned else None if arm == "random" else serving_id,
                said=len(said),
                decision=decision,
                seconds=round(time.perf_counter() - began, 3),
            )
            journal.add(step)
        known.append(said)
        if _moves(step, town.plan) and step.serves is not None:
            serving_id = step.serves
            serving = Champion(journal.load(serving_id), _after(joined(visits, said)))
        tell(step)


def feedback(town: Town, journal: Journal) -> list[Examples]:
    """What the flywheel was told in each round, read again from what it had shown."""
    steps = journal.steps(town.seed, "flywheel")
    return [
        town.world.told(visits, np.array(step.scores), town.rng(step.round, _PEOPLE))
        for visits, step in zip(town.visits, steps, strict=True)
    ][: town.plan.rounds]


def _scores(town: Town, arm: str, number: int, serving: Fitted, serving_id: str, journal: Journal) -> Scores:
    visits, learnable = town.visits[number], town.world.learnable
    if arm == "random":
        return town.world.at_random(visits, town.rng(number, _LUCK))
    if serving_id == town.champion_id and arm != "frozen":
        # The frozen champion has answered these very visits already, and answers are made in earnest only once.
        return np.array(journal.steps(town.seed, "frozen")[number].scores, dtype=np.float64)
    scores = np.asarray(learnable.score(serving, visits), dtype=np.float64)
    low, high = learnable.metric.low, learnable.metric.high
    assert scores.shape == (len(visits),) and ((scores >= low) & (scores <= high)).all(), "scores are in their range"
    return scores


def _said(town: Town, arm: str, number: int, scores: Scores, serving: Fitted, journal: Journal) -> Examples:
    """What this arm hears of a round."""
    world, visits = town.world, town.visits[number]
    if arm in ("frozen", "random") or number == town.plan.rounds:
        return visits.take([])
    if arm == "oracle":
        return replace(visits, teaches=np.ones(len(visits), dtype=np.bool_))
    if arm == "self_training":
        return world.self_labelled(serving, visits)
    if arm == "trivial":
        scores = np.array(journal.steps(town.seed, "flywheel")[number].scores, dtype=np.float64)
    said = world.told(visits, scores, town.rng(number, _PEOPLE))
    if arm == "placebo":
        return said.shuffled(town.seed * 1_000 + number)
    if arm == "malicious":
        return world.poisoned(said, town.plan.malicious, town.rng(number, _LIARS))
    return said


def _learn(
    town: Town, arm: str, known: Examples, serving: Champion, before: Sequence[Step]
) -> tuple[Fitted | None, Mapping[str, Any] | None]:
    """What serves from now on, or None; and what the gate said, if there is one."""
    world, plan, seed = town.world, town.plan, town.seed
    if arm not in GATED:
        recipe = world.trivial()[1] if arm == "trivial" else world.learnable.train
        try:
            return recipe(known.take(known.teaches), plan.budget, seed), None
        except _BREAKS_OFF:
            return None, None
    judged = _judged(before)
    digest = known.digest()
    came = Turn(False, "already_judged")
    if digest not in judged:
        try:
            came = turn(
                world.learnable,
                known,
                serving,
                seed=seed,
                terms=plan.terms,
                attempt=len(judged) + 1,
                budget=plan.budget,
            )
        except _BREAKS_OFF as error:
            came = Turn(False, *why(error))
    return came.refit if came.promoted else None, _decision(came, known, digest, world)


def _judged(steps: Sequence[Step]) -> list[str]:
    """On which evidence the champion of now was challenged already, as `store.judgements` tells the service."""
    found: list[str] = []
    for decision in (step.decision for step in steps):
        if decision is not None and decision["promoted"]:
            found = []
        elif decision is not None and decision["gain"] is not None:
            found.append(decision["digest"])
    return found


def _moves(step: Step, plan: Plan) -> bool:
    """Whether another artifact serves after this step."""
    if step.decision is not None:
        return bool(step.decision["promoted"])
    return step.arm in LEARNING and step.round < plan.rounds


def _decision(came: Turn, known: Examples, digest: str, world: World) -> dict[str, Any]:
    gain, contest = came.gain, list[float]()
    if gain is not None and came.split is not None:
        metric = world.learnable.metric
        better = came.scores["candidate"] - came.scores["champion"]
        better = better * (1.0 if metric.direction == "higher" else -1.0) / (metric.high - metric.low)
        contest = [round(float(value), 6) for value in by_unit(better, known.take(came.split.judge).unit_ids)]
    return {
        "promoted": came.promoted,
        "code": came.code,
        "reasons": reasons(came.code, details(came)),
        "digest": digest,
        "attempt": int(came.details.get("attempt", 1)),
        "n": gain.n if gain else int(came.details.get("n", 0)),
        "people": gain.units if gain else int(came.details.get("people", 0)),
        "gain": gain.estimate if gain else None,
        "lower": gain.lower if gain else None,
        "upper": gain.upper if gain else None,
        "teaching": int(came.split.teach.sum()) if came.split else 0,
        # By person, as a share of the range: what null challengers are made of.
        "contest": contest,
    }


def _after(examples: Examples) -> datetime:
    """The moment when all of this was known."""
    return max((*examples.occurred_at, *examples.known_at)) + _MOMENT
