"""The experiment: every seed, every arm, every round; then the stress and the verdict, as one JSON object."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ikkan.flywheel.proof.contract import World
from ikkan.flywheel.proof.journal import Journal, Step
from ikkan.flywheel.proof.lives import LEARNING, Town, feedback, live
from ikkan.flywheel.proof.plan import ARMS, Plan
from ikkan.flywheel.proof.stress import erase, nulls
from ikkan.flywheel.proof.verdict import Measured, curve, differences, gain, judge

Progress = Callable[[int, int, str], None]
"""Steps done, steps in all, and what comes next."""


def prove(
    world: World, plan: Plan, journal: Journal, progress: Progress = lambda done, total, message: None
) -> dict[str, Any]:
    """Carry the plan out. What an earlier run measured is not measured again.

    Returns:
        The proof as JSON: `gain`, `lower`, `upper`, `placebo`, `self_training`, `null_promoted`, `null_tried`, `test`
        (null: nobody has been asked for it here), `verdict`, and everything they rest on.
    """
    began, metric = time.perf_counter(), world.learnable.metric
    total, done = len(plan.seeds) * (len(ARMS) * (plan.rounds + 1) + 1), 0
    parts: dict[str, list[Any]] = {name: [] for name in ("seeds", "rounds", "people")}
    scores: dict[str, list[Any]] = {arm: [] for arm in ARMS}
    erased = None
    for seed in plan.seeds:
        progress(done, total, f"seed {seed}: opening")
        town = Town.of(world, plan, seed, journal)
        done += 1
        for arm in ARMS:
            progress(done, total, f"seed {seed}: {arm}")

            def tell(step: Step, arm: str = arm, seed: int = seed) -> None:
                nonlocal done
                done += 1
                progress(done, total, f"seed {seed}: {arm}, round {step.round}")

            live(town, arm, journal, tell)
            scores[arm] += [score for step in journal.steps(seed, arm) for score in step.scores]
        for number, visits in enumerate(town.visits):
            parts["seeds"] += [seed] * len(visits)
            parts["rounds"] += [number] * len(visits)
            parts["people"] += [f"{seed}:{unit}" for unit in visits.unit_ids]
        if erased is None:
            erased = erase(world, plan, seed, [town.warm_up, *feedback(town, journal)], journal)
    assert erased is not None, "a plan has a seed"
    measured = Measured(
        seeds=np.array(parts["seeds"]),
        rounds=np.array(parts["rounds"]),
        people=tuple(parts["people"]),
        scores={arm: np.array(values, dtype=np.float64) for arm, values in scores.items()},
    )
    progress(done, total, "null challengers")
    steps = [step for seed in plan.seeds for arm in ARMS for step in journal.steps(seed, arm)]
    challengers = nulls([step.decision["contest"] for step in steps if step.decision], plan)
    worst = max(challengers, key=lambda each: (each.share, each.where))
    gains = {arm: gain(measured, arm, metric, plan.alpha) for arm in ARMS}
    by_round = {arm: differences(measured, arm, metric) for arm in ARMS}
    checks = judge(plan, metric, gains, by_round, challengers, erased)
    return {
        **gains["flywheel"].as_json(),
        "placebo": gains["placebo"].as_json(),
        "self_training": gains["self_training"].as_json(),
        "null_promoted": worst.promoted,
        "null_tried": worst.tried,
        "test": None,
        "verdict": "pass" if all(checks.values()) else "fail",
        "checks": checks,
        "arms": {
            arm: {**gains[arm].as_json(), "rounds": curve(measured, arm, plan.alpha), "over_frozen": by_round[arm]}
            for arm in ARMS
        },
        "nulls": [asdict(each) for each in challengers],
        "erased": {**asdict(erased), "exact": erased.exact, "mattered": erased.mattered},
        "decisions": [_decided(step) for step in steps if step.decision],
        "metric": {"name": metric.name, "low": metric.low, "high": metric.high, "direction": metric.direction,
                   "title": dict(metric.title)},
        "trivial": world.trivial()[0],
        "learned": {arm: sum(step.said for step in steps if step.arm == arm) for arm in LEARNING},
        "protocol": plan.as_json(),
        "protocol_hash": plan.digest(),
        "resumed_steps": journal.resumed,
        "seconds": round(time.perf_counter() - began, 1),
        "step_seconds": round(sum(step.seconds for step in steps), 1),
    }  # fmt: skip


def _decided(step: Step) -> Mapping[str, Any]:
    assert step.decision is not None, "the gate was asked"
    decision = {key: value for key, value in step.decision.items() if key != "contest"}
    return {"seed": step.seed, "arm": step.arm, "round": step.round, "said": step.said, **decision}
