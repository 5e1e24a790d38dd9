"""The trainer as the fine-tuning API calls it: epochs are kept, what is held back measured, a kill changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ikkan.bootstrap.tuning import LeasedTrainer
from ikkan.cloud.tuning.values import Base, Checkpoint, Example, Outcome, Progress, Recipe, Said
from ikkan.ground.errors import ChecksumMismatch
from ikkan.models.store import StoredModel
from ikkan.silicon.lease import DeviceLease

EXAMPLES = [
    Example((Said("system", "Be short."), Said("user", f"Where do I {what}?")), "On the second floor.", "I forgot.")
    for what in ("return a badge", "report a leak", "sign")
]
BASE = Base("tiny", "a" * 64)


class Killed(Exception):
    pass


class Desk:
    """Everything a training was told, and a way to kill it."""

    def __init__(self, trainer: LeasedTrainer, folder: Path) -> None:
        self.trainer, self.folder = trainer, folder
        self.progress: list[Progress] = []
        self.kept: list[Checkpoint] = []
        self.kill_at = 0

    def tell(self, progress: Progress) -> None:
        self.progress.append(progress)
        self.folder.mkdir(exist_ok=True)
        if progress.step == self.kill_at:
            self.kill_at = 0
            raise Killed

    def train(self, recipe: Recipe, *, held_back: int = 2, check: Callable[[], None] = lambda: None) -> Outcome:
        return self.trainer(
            BASE,
            EXAMPLES,
            EXAMPLES[:held_back],
            recipe,
            folder=self.folder,
            tell=self.tell,
            keep=self.kept.append,
            check=check,
        )


@pytest.fixture
def trainer(tiny: Any, tmp_path: Path) -> LeasedTrainer:
    model = StoredModel("tiny", tiny("llama").path, "file:tiny", BASE.sha256, 1, "MIT")
    store: Any = SimpleNamespace(get=lambda name: model)
    return LeasedTrainer(store, tmp_path / "device.lease")


@pytest.fixture
def desk(trainer: LeasedTrainer, tmp_path: Path) -> Desk:
    return Desk(trainer, tmp_path / "work")


RECIPES = [Recipe("supervised", 2, 2, 20.0, 0.1, 4), Recipe("dpo", 2, 2, 40.0, 0.1, 4)]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.method)
def test_every_epoch_is_kept_and_measured_on_what_was_held_back(desk: Desk, recipe: Recipe) -> None:
    made = desk.train(recipe)
    assert [progress.step for progress in desk.progress] == [1, 2, 3, 4] and desk.progress[0].steps == 4
    assert [one.step for one in desk.kept] == [2]
    assert sorted(made.valid_losses) == [2, 4] and made.valid_losses[4] < made.valid_losses[2]
    assert [one.valid_loss for one in desk.kept] == [made.valid_losses[2]]
    assert len(made.losses) == 4 and made.losses[-1] < made.losses[0]
    assert made.tokens == desk.progress[-1].tokens > 0
    assert set(made.files) == set(desk.kept[0].files) == {"adapter_config.json", "adapter_model.safetensors"}
    assert len({one["adapter_model.safetensors"] for one in (made.files, *(kept.files for kept in desk.kept))}) == 2


def test_preferences_begin_where_neither_is_preferred(desk: Desk) -> None:
    first = desk.train(replace(RECIPES[1], epochs=1), held_back=0)
    assert first.valid_losses == {} and first.losses[0] == pytest.approx(math.log(2), abs=1e-3)


@pytest.mark.parametrize("kill_at", [2, 3])
def test_a_killed_training_keeps_the_same_epochs_and_ends_with_the_same_bytes(
    trainer: LeasedTrainer, tmp_path: Path, kill_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ikkan.bootstrap.tuning._CHECKPOINT_STEPS", 2)
    whole, broken = Desk(trainer, tmp_path / "whole"), Desk(trainer, tmp_path / "broken")
    expected = whole.train(RECIPES[0])
    broken.kill_at = kill_at
    with pytest.raises(Killed):
        broken.train(RECIPES[0])
    assert broken.train(RECIPES[0]).files == expected.files
    assert {one.step: dict(one.files) for one in broken.kept} == {one.step: dict(one.files) for one in whole.kept}


def test_who_waits_for_the_processor_asks_whether_it_is_still_wanted(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ikkan.bootstrap.tuning._PATIENCE_S", 0.05)
    asked = iter([None, None, Killed()])

    def check() -> None:
        reason = next(asked)
        assert reason is None or isinstance(reason, Killed)
        for one in filter(None, [reason]):
            raise one

    with DeviceLease(tmp_path / "device.lease").background(), pytest.raises(Killed):
        desk.train(RECIPES[0], check=check)
    assert desk.progress == [] and list(asked) == []


def test_a_base_that_was_replaced_meanwhile_is_not_trained(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Base("tiny", "b" * 64)
    with pytest.raises(ChecksumMismatch):
        desk.trainer(
            other,
            EXAMPLES,
            (),
            RECIPES[0],
            folder=desk.folder,
            tell=desk.tell,
            keep=desk.kept.append,
            check=lambda: None,
        )
