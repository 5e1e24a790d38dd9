"""Use makes it better, or the proof says that it does not; and it says so the same way after it was killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ikkan.flywheel import Budget, Examples, Fitted, Terms
from ikkan.flywheel.fakes import FakeLearnable
from ikkan.flywheel.proof import ARMS, Journal, Plan, prove
from ikkan.flywheel.proof.fakes import FakeWorld
from ikkan.flywheel.proof.journal import Step
from ikkan.flywheel.proof.stress import Nulls, erase, nulls
from ikkan.flywheel.proof.verdict import Measured, gain
from ikkan.ground.errors import Conflict


def planned(world: FakeWorld, seeds: int = 2, rounds: int = 3) -> Plan:
    return replace(Plan.of(world, seeds=seeds, rounds=rounds), nulls=40)


def proved(folder: Path, world: FakeWorld, **facts: int) -> dict[str, Any]:
    plan = planned(world, **facts)
    return prove(world, plan, Journal(folder / "proof.json.journal", plan))


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return proved(tmp_path_factory.mktemp("proof"), FakeWorld(), rounds=4, seeds=3)


def test_where_people_teach_the_verdict_is_a_pass(proof: dict[str, Any]) -> None:
    assert proof["checks"] == dict.fromkeys(proof["checks"], True)
    assert proof["verdict"] == "pass" and 0 < proof["lower"] <= proof["gain"] <= proof["upper"]
    assert (proof["test"], proof["null_tried"]) == (None, 40) and proof["null_promoted"] <= 2


def test_every_arm_is_measured_before_it_learns_on_the_same_visits(proof: dict[str, Any]) -> None:
    assert tuple(proof["arms"]) == ARMS
    first = {arm: found["rounds"][0]["mean"] for arm, found in proof["arms"].items()}
    assert {value for arm, value in first.items() if arm != "random"} == {first["frozen"]}
    assert {len(found["rounds"]) for found in proof["arms"].values()} == {5}
    second = {arm: found["rounds"][1]["mean"] for arm, found in proof["arms"].items()}
    # The oracle knows every topic after one round; nobody does better.
    assert max(second.values()) == second["oracle"] > second["frozen"]


def test_placebo_and_self_training_stay_where_they_were(proof: dict[str, Any]) -> None:
    assert proof["placebo"]["lower"] <= 0 and proof["self_training"]["lower"] <= 0
    assert {each["promoted"] for each in proof["decisions"] if each["arm"] == "placebo"} == {False}


def test_every_refusal_is_there_with_its_words(proof: dict[str, Any]) -> None:
    assert len(proof["decisions"]) == 3 * 3 * 4
    refused = [each for each in proof["decisions"] if not each["promoted"]]
    assert refused and all(each["reasons"]["en"] and each["reasons"]["ja"] for each in refused)


def test_an_interval_is_as_wide_as_the_wider_of_people_and_seeds(proof: dict[str, Any]) -> None:
    ends = [proof["by_person"], proof["by_seed"]]
    assert proof["lower"] == min(each["lower"] for each in ends)
    assert proof["upper"] == max(each["upper"] for each in ends)
    assert (proof["by_seed"]["units"], proof["by_person"]["units"]) == (3, 120)


def test_who_was_erased_is_in_no_bit_of_what_is_trained_then(proof: dict[str, Any]) -> None:
    erased = proof["erased"]
    assert erased["exact"] and erased["people"] >= 2 and erased["examples"] > 0


def test_a_trainer_that_remembers_whom_it_once_saw_is_found_out(tmp_path: Path) -> None:
    world, plan = FakeWorld(Remembers()), planned(FakeWorld())
    journal = Journal(tmp_path / "journal", plan)
    parts = [world.warm_up(0), *world.visits(0, 2)]
    assert not erase(world, plan, 0, parts, journal).exact
    assert erase(FakeWorld(), plan, 0, parts, journal).exact


class Remembers(FakeLearnable):
    """Each training knows the one before."""

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        fitted = super().train(examples, budget, seed)
        return replace(fitted, files={**fitted.files, "trained": str(self.trained).encode()})


def test_where_nothing_is_learned_the_verdict_is_a_fail(tmp_path: Path) -> None:
    proof = proved(tmp_path, FakeWorld(forgets=True), rounds=2)
    assert proof["verdict"] == "fail" and not proof["checks"]["better_than_frozen"]
    assert proof["gain"] == 0.0 and not any(each["promoted"] for each in proof["decisions"])


def test_a_training_that_runs_away_is_refused_in_words_and_the_champion_serves_on(tmp_path: Path) -> None:
    proof = proved(tmp_path, FakeWorld(RunsAway()), seeds=1, rounds=2)
    first, refused = [each for each in proof["decisions"] if each["arm"] == "flywheel"]
    assert (first["code"], refused["code"], refused["promoted"]) == ("too_few_judges", "diverged", False)
    assert refused["reasons"]["ja"] and proof["arms"]["flywheel"]["over_frozen"][2]["mean"] == 0.0


class RunsAway(FakeLearnable):
    """Its second training, the flywheel's first, comes to nothing."""

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        fitted = super().train(examples, budget, seed)
        return self._burst() if self.trained == 2 else fitted

    def _burst(self) -> Fitted:
        raise FloatingPointError("a loss is not a number")


def test_where_permuted_feedback_teaches_as_well_the_verdict_is_a_fail(tmp_path: Path) -> None:
    proof = proved(tmp_path, FakeWorld(same=True), rounds=2)
    assert proof["lower"] > 0 and proof["placebo"]["lower"] > 0
    assert (proof["verdict"], proof["checks"]["placebo_not_above_frozen"]) == ("fail", False)


def test_one_seed_proves_nothing(tmp_path: Path) -> None:
    proof = proved(tmp_path, FakeWorld(), seeds=1, rounds=2)
    assert proof["by_seed"] is None and not proof["checks"]["more_than_one_seed"] and proof["verdict"] == "fail"


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_a_plan_is_hashed_before_data_is_opened(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text,category\n")
    world = FakeWorld()
    plan = Plan.of(world, seeds=5, rounds=6, data=tmp_path / "data.csv")
    later = Plan.of(world, seeds=5, rounds=6, first_seed=5, data=tmp_path / "data.csv")
    assert later.seeds == (5, 6, 7, 8, 9) and later.digest() != plan.digest()
    assert len(plan.digest()) == 64 and world.opened == 0
    assert plan.as_json()["data"] == plan.data and plan.as_json()["arms"] == list(ARMS)


CHANGES: list[dict[str, Any]] = [
    {"learnable": "fake.other"},
    {"seeds": (0, 1, 2)},
    {"rounds": 4},
    {"world": {"topics": 21}},
    {"budget": Budget(seconds=21.0)},
    {"data": "0" * 64},
    {"test": "0" * 64},
    {"code": "other"},
    {"terms": Terms(alpha=0.04)},
    {"alpha": 0.1},
    {"fallen": 0.02},
    {"nulls": 999},
    {"null_share": 0.06},
    {"malicious": 0.1},
    {"erased": 0.06},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_changes_in_a_plan_changes_its_hash(change: dict[str, Any]) -> None:
    plan = planned(FakeWorld())
    assert replace(plan, **change).digest() != plan.digest()


def test_every_part_of_a_plan_was_changed_above() -> None:
    assert {next(iter(change)) for change in CHANGES} == set(Plan.__slots__)


# --- going on after a kill -----------------------------------------------------------------------------------------


class Killed(Exception):
    """The power went out."""


def dies_at(step: int) -> Callable[[int, int, str], None]:
    def tell(done: int, total: int, message: str) -> None:
        raise_if(done >= step and "round" in message)

    return tell


def raise_if(dead: bool) -> None:
    if dead:
        raise Killed


@pytest.mark.parametrize("step", [5, 12, 25])
def test_a_killed_run_goes_on_where_it_was_and_ends_the_same(tmp_path: Path, step: int) -> None:
    whole = proved(tmp_path / "whole", FakeWorld(), seeds=1, rounds=2)
    world, path = FakeWorld(), tmp_path / "proof.json.journal"
    plan = planned(world, seeds=1, rounds=2)
    with pytest.raises(Killed):
        prove(world, plan, Journal(path, plan), dies_at(step))
    with path.open("a") as file:
        file.write('{"seed": 0, "arm": "half of a li')
    journal = Journal(path, plan)
    again = prove(FakeWorld(), plan, journal)
    assert journal.resumed > 0
    untimed = ("seconds", "step_seconds", "resumed_steps")
    assert {k: v for k, v in again.items() if k not in untimed} == {k: v for k, v in whole.items() if k not in untimed}


def test_another_plans_journal_is_refused(tmp_path: Path) -> None:
    plan = planned(FakeWorld())
    Journal(tmp_path / "journal", plan)
    with pytest.raises(Conflict, match="another protocol"):
        Journal(tmp_path / "journal", replace(plan, rounds=9))


def test_a_closed_journal_leaves_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", planned(FakeWorld()))
    journal.add(Step(0, "frozen", 0, (1.0,), None, 0, None, 0.1))
    journal.keep(FakeWorld().learnable.train(FakeWorld().warm_up(0), Budget(), 0))
    journal.close()
    assert list(tmp_path.iterdir()) == []


# --- what the verdict rests on ----------------------------------------------------------------------------------------


def test_contests_between_equals_are_seldom_won() -> None:
    rng = np.random.default_rng(0)
    contests = [rng.choice([-1.0, 0.0, 0.5, 1.0], 60).tolist() for _ in range(5)]
    canary, gate = nulls(contests, replace(planned(FakeWorld()), nulls=200))
    assert (canary.where, gate.where, gate.tried) == ("canary", "gate", 200)
    assert gate.share <= 0.05 and Nulls(0, 0, "gate").share == 0.0


def test_lower_is_better_where_the_metric_says_so() -> None:
    metric = replace(FakeWorld().learnable.metric, direction="lower")
    scores = {"frozen": np.full(40, 0.8), "flywheel": np.full(40, 0.3)}
    people = tuple(f"{at % 2}:{at // 2}" for at in range(40))
    measured = Measured(np.arange(40) % 2, np.zeros(40, dtype=np.int64), people, scores)
    assert gain(measured, "flywheel", metric, 0.05).lower > 0
