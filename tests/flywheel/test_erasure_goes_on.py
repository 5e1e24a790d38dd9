"""Whatever stops an erasure, wherever: said again it goes on, and nothing is done twice. Trials, too, go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ikkan.flywheel import REGULATED, REVERSIBLE
from ikkan.flywheel.fakes import FakeLearnable
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import Conflict
from ikkan.ground.ids import SubjectId

from .houses import ADA, NAME, TENANT, House, make_house
from .test_erasure import broken

STEPS = ("find 0", "rebuild 0.0", "rebuild 0.1", "swap 0", "destroy", "sign")


class PowerCut(BaseException):
    """Nothing in the house may catch it."""


def learned(database: Database, clock: FakeClock, folder: Path) -> House:
    """Champion and previous have both learned from ada."""
    house = make_house(database, clock, folder)
    house.happen(300)
    house.flywheel.run(NAME)
    house.happen(300, seed=1, topics=30)
    house.flywheel.run(NAME)
    return house


def facts(house: House) -> dict[str, Any]:
    """All that an erasure changes, without moments and ids that are drawn."""
    (erasure,) = house.eraser.erasures()
    assert erasure.receipt is not None
    drawn = (
        "id",
        "finished_at",
        "erased_at",
        "key",
        "signature",
        "artifacts",
        "person",
        "events",
        "datasets",
        "destroyed",
    )
    receipt = {key: value for key, value in erasure.receipt.items() if key not in drawn}
    made = [{key: one[key] for key in one if key != "decision"} for one in erasure.receipt["artifacts"]]
    return {
        "aliases": house.aliases(),
        "models": sorted(one.id for one in house.artifacts.list("fake-table")),
        "datasets": len(list(house.artifacts.list("flywheel-dataset"))),
        "decisions": [(one.decision, one.code, one.candidate) for one in house.flywheel.history(NAME)],
        "told": house.log.count("flywheel.Decided"),
        "changes": [(change.deed, change.alias) for change in house.registry.history(NAME)],
        "receipt": receipt,
        "made": made,
        "destroyed": len(erasure.receipt["destroyed"]),
    }


@pytest.fixture(scope="module")
def undisturbed(_fresh_sqlite: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes of an erasure that nothing stops."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with _fresh_sqlite(folder) as url:
        database = Database(url)
        house = learned(database, FakeClock(datetime(2026, 6, 1, 12, tzinfo=UTC)), folder)
        house.erase()
        found = facts(house)
        database.close()
    return found


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("stage", STEPS)
def test_a_power_cut_in_any_stage_changes_nothing_in_the_end(
    sqlite: Database, clock: FakeClock, tmp_path: Path, undisturbed: dict[str, Any], stage: str, moment: str
) -> None:
    house = learned(sqlite, clock, tmp_path)
    erasure = house.eraser.begin(TENANT, ADA)
    seen: list[str] = []

    def step(name: str, fn: Callable[[], Any]) -> Any:
        seen.append(name)
        done = fn() if name != stage or moment == "after" else None
        if name == stage:
            raise PowerCut
        return done

    with pytest.raises(PowerCut):
        house.eraser.run(erasure.id, step=step)
    assert seen == list(STEPS[: STEPS.index(stage) + 1])
    assert house.flywheel.champion(NAME).files, "somebody serves at every moment"
    trained = house.learnables[0].trained  # type: ignore[attr-defined]
    house.eraser.run(house.eraser.begin(TENANT, ADA).id)
    assert facts(house) == undisturbed
    still_to_train = (
        2
        - sum(name.startswith("rebuild") for name in seen)
        + (stage, moment).count("before") * (stage.startswith("rebuild"))
    )
    assert house.learnables[0].trained - trained == still_to_train  # type: ignore[attr-defined]


def test_a_power_cut_within_the_swap_leaves_everything_as_it_was(
    sqlite: Database, clock: FakeClock, tmp_path: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = learned(sqlite, clock, tmp_path)
    before, history = house.aliases(), house.flywheel.history(NAME)
    erasure = house.eraser.begin(TENANT, ADA)
    real, calls = house.eraser._swapper._carry_trial, []

    def cut(*args: Any) -> None:
        calls.append(args)
        if len(calls) == 2:  # one model is swapped, the other is not
            raise PowerCut
        real(*args)

    monkeypatch.setattr(house.eraser._swapper, "_carry_trial", cut)
    with pytest.raises(PowerCut):
        house.eraser.run(erasure.id)
    assert (house.aliases(), house.flywheel.history(NAME)) == (before, history)
    monkeypatch.undo()
    house.eraser.run(erasure.id)
    assert facts(house) == undisturbed


def test_a_power_cut_between_tombstone_and_transaction_errs_on_the_side_of_forgetting(
    sqlite: Database, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = learned(sqlite, clock, tmp_path)

    def cut(*_: Any) -> None:
        raise PowerCut

    monkeypatch.setattr("ikkan.flywheel.erasure.store.add", cut)
    with pytest.raises(PowerCut):
        house.eraser.begin(TENANT, ADA)
    monkeypatch.undo()
    assert house.eraser.erasures() == []
    (again,) = house.eraser.begin_again()
    assert (again.cause, again.state) == ("returned", "begun")
    house.eraser.run(again.id)
    assert not any(house.knows_ada(artifact) for artifact in house.aliases().values())
    assert house.eraser.begin_again() == []


def test_a_tainted_model_that_a_person_promotes_meanwhile_is_made_again_too(
    sqlite: Database, clock: FakeClock, tmp_path: Path
) -> None:
    house = learned(sqlite, clock, tmp_path)
    before = house.aliases()["champion"]
    erasure = house.eraser.begin(TENANT, ADA)

    def step(name: str, fn: Callable[[], Any]) -> Any:
        done = fn()
        if name == "swap 0":
            with house.database.transaction() as connection:
                house.registry.register(connection, NAME, before)
                house.registry.promote(connection, NAME, before, "by hand, in the very moment")
        return done

    with pytest.raises(Conflict, match="promoted meanwhile"):
        house.eraser.run(erasure.id, step=step)
    assert before in house.files(), "what serves is not destroyed"
    house.eraser.run(erasure.id)
    assert not any(house.knows_ada(artifact) for artifact in house.aliases().values())
    assert before not in house.files()


KILLED = """
import sys, time
from pathlib import Path
from ikkan.ground.clock import SystemClock
from ikkan.ground.db import Database
from ikkan.ground.errors import Conflict
from ikkan.ground.ids import SubjectId
from tests.flywheel.houses import make_house

folder, erasure, stage = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
house = make_house(Database("sqlite:///" + str(folder / "ikkan.db")), SystemClock(), folder)

def step(name, fn):
    done = fn()
    if name == stage:
        print("there", flush=True)
        time.sleep(60)
    return done

house.eraser.run(erasure, step=step)
"""


def test_kill_minus_nine_after_every_stage_in_turn(
    sqlite: Database, clock: FakeClock, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    house = learned(sqlite, clock, tmp_path)
    erasure = house.eraser.begin(TENANT, ADA)
    root = Path(__file__).parents[2]
    paths = [str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")]
    for stage in ("find 0", "rebuild 0.1", "swap 0", "destroy"):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), erasure.id, stage],
            cwd=root, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.readline() == "there\n", stage
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        assert house.flywheel.champion(NAME).files, "somebody serves at every moment"
    house.eraser.run(erasure.id)
    assert facts(house) == undisturbed


# ---- trials on people -----------------------------------------------------------------------------------------------


def tried(database: Database, clock: FakeClock, folder: Path) -> House:
    """A candidate that learned from ada is being given to a few people."""
    quick = replace(REVERSIBLE, shadow_people=5, stage_people=1_000)
    house = make_house(database, clock, folder, [FakeLearnable(NAME, live=True)], quick)
    house.happen(300)
    assert house.flywheel.run(NAME).decision == "trying"
    trial = house.flywheel.status(NAME).trial
    assert trial is not None
    house.fare(range(10), lambda who: f"shadow:{trial.candidate}")
    moved = house.flywheel.look(NAME)
    assert moved is not None and moved.code == "shadow_passed"
    house.fare(range(10, 40), lambda who: house.flywheel.serves(NAME, who))
    assert house.flywheel.look(NAME) is not None
    return house


def test_a_trial_goes_on_with_the_candidate_made_again_and_what_was_counted_stays(
    sqlite: Database, clock: FakeClock, tmp_path: Path
) -> None:
    house = tried(sqlite, clock, tmp_path)
    before = house.flywheel.status(NAME).trial
    assert before is not None and house.knows_ada(before.candidate)
    counted = house.flywheel.history(NAME)[0].numbers["counted"]
    house.erase()
    after = house.flywheel.status(NAME).trial
    assert after is not None and after.ended_at is None
    assert (after.state, after.share, after.champion) == (before.state, before.share, before.champion)
    assert not house.knows_ada(after.candidate) and house.aliases()["challenger"] == after.candidate
    assert {house.flywheel.serves(NAME, f"visitor-{n}") for n in range(200)} == {after.candidate, after.champion}
    house.fare(range(40, 60), lambda who: house.flywheel.serves(NAME, who))
    looked = house.flywheel.look(NAME)
    assert looked is not None and looked.numbers["counted"] == counted + 20
    assert house.flywheel.replay(looked.id).same


def test_a_candidate_that_cannot_be_made_again_leaves_the_trial(
    sqlite: Database, clock: FakeClock, tmp_path: Path
) -> None:
    house = tried(sqlite, clock, tmp_path)
    champion = house.aliases()["champion"]
    house.learnables[0].train = broken(house.learnables[0].train)  # type: ignore[method-assign]
    house.erase()
    assert house.flywheel.status(NAME).trial is None and house.aliases() == {"champion": champion}
    assert {house.flywheel.serves(NAME, f"visitor-{n}") for n in range(50)} == {champion}


def test_a_candidate_that_waits_for_a_signature_is_made_again_and_can_be_signed(
    sqlite: Database, clock: FakeClock, tmp_path: Path
) -> None:
    house = make_house(sqlite, clock, tmp_path, policy=REGULATED)
    house.happen(300)
    assert house.flywheel.run(NAME).decision == "awaiting"
    house.erase()
    signed = house.flywheel.sign(NAME, "k-1")
    assert signed.decision == "promoted" and not house.knows_ada(house.aliases()["champion"])
    known_until = house.flywheel.status(NAME).known_until
    assert known_until is not None and known_until == signed.until


def test_the_erased_persons_own_outcome_is_taken_out_of_the_evidence(
    sqlite: Database, clock: FakeClock, tmp_path: Path
) -> None:
    house = tried(sqlite, clock, tmp_path)
    receipt = house.erase(SubjectId("visitor-12"))
    assert receipt["evidence"] == 1 and receipt["nothing_to_rebuild"]
