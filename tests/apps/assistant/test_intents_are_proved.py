"""The world of intents: people who tell a part of the truth; the same town for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ikkan.apps.assistant.learn import IntentLearnable
from ikkan.flywheel.proof import Plan, Provable, ReadsFiles
from ikkan.flywheel.proof.files import FOLDS, learn
from ikkan.ground.errors import BadFile
from ikkan.kit.intent.world import CONFIRMED, CORRECTED, MISTAKEN, IntentWorld, Remembering


def world(data: Path | None = None) -> IntentWorld:
    return IntentLearnable().world(data, quick=True)


def file(folder: Path, rows: int = 400) -> Path:
    path = folder / "labelled.csv"
    lines = [
        f"{('card', 'refund')[n % 2]} question number {n * 7919 % 10_007},{('card', 'refund')[n % 2]}"
        for n in range(rows)
    ]
    path.write_text("\n".join(["text,category", *lines]) + "\n")
    return path


def test_intents_can_be_proved_and_learned_from_files() -> None:
    assert isinstance(IntentLearnable(), Provable) and isinstance(IntentLearnable(), ReadsFiles)


def test_a_world_opens_its_file_at_the_first_visit_and_not_for_the_plan(tmp_path: Path) -> None:
    path = file(tmp_path)
    made = world(path)
    plan = Plan.of(made, seeds=2, rounds=3, data=path)
    path.unlink()
    assert plan.world["texts"] == "file" and plan.data is not None
    with pytest.raises(Exception, match="there is no file"):
        made.warm_up(0)


def test_visits_follow_the_warm_up_and_each_other(tmp_path: Path) -> None:
    town = world()
    warm_up, visits = town.warm_up(3), town.visits(3, 4)
    assert len({len(each) for each in visits}) == 1 and len(visits) == 4
    rng = np.random.default_rng(0)
    told = town.told(visits[0], np.zeros(len(visits[0])), rng)
    assert max(warm_up.known_at) < min(visits[0].occurred_at)
    assert max(told.known_at) < min(visits[1].occurred_at)
    ids = [id for each in (warm_up, *visits) for id in each.ids]
    assert len(set(ids)) == len(ids)
    assert world().visits(3, 4)[2].digest() == visits[2].digest() != world().visits(4, 4)[2].digest()


def test_people_correct_more_than_they_confirm_and_are_sometimes_wrong() -> None:
    town = world()
    visits = town.visits(0, 1)[0]
    rng = np.random.default_rng(5)
    draws = [
        (town.told(visits, np.zeros(len(visits)), rng), town.told(visits, np.ones(len(visits)), rng)) for _ in range(20)
    ]
    corrected = np.mean([len(wrong) for wrong, _ in draws]) / len(visits)
    confirmed = np.mean([len(right) for _, right in draws]) / len(visits)
    assert corrected == pytest.approx(CORRECTED, abs=0.02) and confirmed == pytest.approx(CONFIRMED, abs=0.02)
    right = dict(zip(visits.ids, visits.truths, strict=True))
    lies = np.mean([meant != right[id] for said, _ in draws for id, meant in zip(said.ids, said.truths, strict=True)])
    # A mistake may hit the right one by chance.
    assert 0.5 * MISTAKEN < lies <= 1.3 * MISTAKEN


def test_liars_are_the_same_people_every_time_and_all_that_they_say_is_wrong() -> None:
    town = world()
    visits = town.visits(0, 1)[0]
    lied = town.poisoned(visits, 0.2, np.random.default_rng(0))
    changed = {
        unit for unit, before, after in zip(visits.unit_ids, visits.truths, lied.truths, strict=True) if before != after
    }
    honest = {
        unit for unit, before, after in zip(visits.unit_ids, visits.truths, lied.truths, strict=True) if before == after
    }
    assert not changed & honest and 0.1 < len(changed) / (len(changed) + len(honest)) < 0.3


def test_self_training_takes_its_own_word() -> None:
    town = world()
    fitted = town.learnable.train(town.warm_up(0), town.budget, 0)
    visits = town.visits(0, 1)[0]
    own = town.self_labelled(fitted, visits)
    assert town.learnable.score(fitted, own).mean() == 1.0 > town.learnable.score(fitted, visits).mean()


def test_a_file_too_small_for_its_rounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="too few for 19 rounds"):
        world(file(tmp_path, 150)).visits(0, 20)


def test_each_text_is_embedded_once() -> None:
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        asked.extend(texts)
        return np.array([[float(len(text))] for text in texts], dtype=np.float32)

    remembering = Remembering(embed)
    assert remembering(["a", "bb", "a"]).ravel().tolist() == [1.0, 2.0, 1.0]
    assert remembering(["bb", "ccc"]).ravel().tolist() == [2.0, 3.0] and asked == ["a", "bb", "ccc"]


def test_a_file_is_learned_whole_and_scored_on_another_or_on_parts_of_itself(tmp_path: Path) -> None:
    path = file(tmp_path)
    (tmp_path / "test.csv").write_text("text,category\nwhat of my card,card\na refund please,refund\n")
    learned = learn(IntentLearnable(), path, tmp_path / "test.csv")
    assert learned.test is not None and learned.folds is None
    assert learned.test.keys() >= {"accuracy", "coverage_at_97"} and (learned.examples, learned.tested) == (400, 2)
    notes: list[str] = []
    alone = learn(IntentLearnable(), path, None, note=notes.append)
    assert alone.test is None and alone.folds is not None and alone.folds["accuracy"] > 0.9 and alone.tested == 400
    assert sum("no test file" in note for note in notes) == FOLDS


def test_a_bad_test_file_is_found_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("text,category\nhello,card\n,card\n")
    notes: list[str] = []
    with pytest.raises(BadFile, match="row 2 has no text"):
        learn(IntentLearnable(), file(tmp_path), tmp_path / "test.csv", note=notes.append)
    assert notes == []
