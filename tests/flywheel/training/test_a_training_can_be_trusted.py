"""The same lessons give the same bytes, however often a training was killed; what cannot be learned is said."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ikkan.flywheel.training import Lesson, Plan, Step, Trained, Turn, likelihoods, open_base, train
from ikkan.flywheel.training.lessons import paged, together
from ikkan.flywheel.training.tensors import loop, saved
from ikkan.ground.errors import (
    BadInput,
    CheckpointFailed,
    NotFound,
    NothingToLearn,
    SetupNeeded,
    TrainingDiverged,
    UnsupportedFormat,
)

from .conftest import LESSONS, Tiny, lesson

PLAN = Plan(epochs=2, batch=4, rank=4, device="cpu", learning_rate=5e-3, checkpoint_steps=2)
CONTRADICTIONS = [lesson("which?", *pair) for pair in (("left", "right"), ("right", "left")) for _ in range(2)]
KILLED = """
import os, signal, sys
from pathlib import Path
from ikkan.flywheel.training import Lesson, Plan, Turn, train

def tell(step):
    if step.step == 5:
        os.kill(os.getpid(), signal.SIGKILL)

train(Path(sys.argv[1]), eval(sys.argv[3]), eval(sys.argv[4]), checkpoint=Path(sys.argv[2]), tell=tell)
"""


@pytest.mark.parametrize("method", ["sft", "dpo", "distill"])
def test_the_same_inputs_give_the_same_bytes_and_the_loss_falls(method: Any, tiny: Callable[[str], Tiny]) -> None:
    plan = replace(PLAN, method=method, epochs=4)
    first, second = (train(tiny("llama").path, LESSONS, plan, teacher=tiny("llama-untied").path) for _ in range(2))
    assert first.files == second.files and first.losses == second.losses
    assert len(first.losses) == 16
    assert sum(first.losses[-4:]) < 0.95 * sum(first.losses[:4])


def test_without_a_teacher_of_the_same_words_its_answers_are_learned(tiny: Callable[[str], Tiny], base: Any) -> None:
    plan = replace(PLAN, method="distill", max_steps=1)
    by_logits, alone = (train(base, LESSONS, plan, teacher=one) for one in (tiny("llama-untied").path, None))
    assert [one.facts["distilled_by"] for one in (by_logits, alone)] == ["logits", "answers"]
    assert alone.losses == train(base, LESSONS, replace(plan, method="sft")).losses


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(tiny: Callable[[str], Tiny], tmp_path: Path) -> None:
    kept, path = tmp_path / "kept", tiny("llama").path
    command = [sys.executable, "-c", KILLED, str(path), str(kept), repr(LESSONS), repr(PLAN)]
    assert subprocess.run(command, capture_output=True).returncode == -9
    told: list[Step] = []
    resumed = train(path, LESSONS, PLAN, checkpoint=kept, tell=told.append)
    whole = train(path, LESSONS, PLAN)
    assert [one.step for one in told] == [5, 6, 7, 8]
    assert resumed.facts["resumed_at"] == 4
    assert resumed.files == whole.files and resumed.losses == whole.losses
    assert resumed.facts["tokens"] == whole.facts["tokens"] == told[-1].tokens


def test_what_tell_raises_ends_the_training_and_a_finished_one_is_not_repeated(base: Any, tmp_path: Path) -> None:
    class Cancelled(Exception):
        pass

    def tell(step: Step) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        train(base, LESSONS, PLAN, checkpoint=tmp_path / "kept", tell=tell)
    first = train(base, LESSONS, PLAN, checkpoint=tmp_path / "kept")
    again = train(base, LESSONS, PLAN, checkpoint=tmp_path / "kept", tell=tell)
    assert (again.files, again.losses) == (first.files, first.losses)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: content[:-1], "damaged"),
        (lambda content: b"{}\n", "damaged"),
        (lambda content: b"", "damaged"),
        (lambda content: content.replace(b'"recipe": "', b'"recipe": "0', 1), "another training"),
    ],
)
def test_a_broken_checkpoint_is_not_used_and_that_is_said(
    spoil: Callable[[bytes], bytes], reason: str, base: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = tmp_path / "kept"
    whole = train(base, LESSONS, PLAN, checkpoint=kept)
    kept.write_bytes(spoil(kept.read_bytes()))
    with caplog.at_level(logging.WARNING):
        again = train(base, LESSONS, PLAN, checkpoint=kept)
    assert reason in again.facts["started_over"] and "starts over" in caplog.text
    assert again.files == whole.files


def test_a_full_disk_stops_the_training_and_leaves_the_last_checkpoint(
    base: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, synced = tmp_path / "kept", []

    def full(handle: int) -> None:
        synced.append(handle)
        if len(synced) > 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved.os, "fsync", full)
    with pytest.raises(CheckpointFailed, match="No space left"):
        train(base, LESSONS, PLAN, checkpoint=kept)
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]
    monkeypatch.undo()
    assert train(base, LESSONS, PLAN, checkpoint=kept).facts["resumed_at"] == 2


def test_lessons_that_go_through_the_network_together_do_not_change_what_is_learned(
    base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(PLAN, dtype="float32", batch=7)
    whole = train(base, LESSONS, plan)
    monkeypatch.setattr(loop.pages, "together", lambda lengths: together(lengths, 64))
    apart = train(base, LESSONS, plan)
    assert apart.losses == pytest.approx(whole.losses, rel=1e-4)
    assert len(list(together([50] * 7, 64))) == 7


def test_a_training_that_diverges_is_stopped(base: Any) -> None:
    with pytest.raises(TrainingDiverged) as caught:
        train(base, CONTRADICTIONS, replace(PLAN, method="dpo", beta=100.0, learning_rate=0.1, epochs=20))
    assert "learning_rate" in caught.value.hint


def test_numbers_that_are_not_finite_stop_it_at_once(base: Any) -> None:
    with pytest.raises(TrainingDiverged, match="step 2"):
        train(base, LESSONS, replace(PLAN, learning_rate=1e30, alpha=1e12))


@pytest.mark.parametrize(
    ("lessons", "changes", "error"),
    [
        ((), {}, NothingToLearn),
        ((lesson("a", "b", weight=0.0),), {}, NothingToLearn),
        ((lesson("a", "b", weight=float("nan")),), {}, BadInput),
        ((lesson("a", "b"),), {"method": "dpo"}, BadInput),
        ((lesson("a", "b"),), {"epochs": 0}, BadInput),
        ((lesson("a", "b"),), {"max_steps": 0}, BadInput),
        ((lesson("a", "b"),), {"learning_rate": -1.0}, BadInput),
        ((lesson("a", "b"),), {"max_tokens": 1}, BadInput),
    ],
)
def test_what_cannot_be_carried_out_is_refused(
    lessons: tuple[Lesson, ...], changes: dict[str, Any], error: type[Exception], base: Any
) -> None:
    with pytest.raises(error):
        train(base, lessons, replace(PLAN, **changes))


def test_an_empty_lesson_teaches_to_stop_and_one_without_a_prompt_is_learned_from_its_second_token(base: Any) -> None:
    empty, bare = (paged(one, base.tokenizer, None, 64).answer for one in (lesson("", ""), Lesson((), "abc")))
    assert (empty.learned, bare.learned) == (0, 3)  # of `a b c <end>`, what comes after a
    trained = train(base, [lesson("hello", ""), lesson("b", "c")], PLAN)
    assert trained.facts["lessons"] == 2


def test_a_long_conversation_loses_its_beginning_and_a_long_answer_its_end(base: Any) -> None:
    asked, answered = "q" * 100, "a" * 100
    short = paged(lesson(asked, "yes"), base.tokenizer, base.template, 50).answer
    assert base.tokenizer.decode(short.ids).endswith("q\nyes") and len(short.ids) == 50 and short.learned == 4
    long = paged(lesson(asked, answered), base.tokenizer, base.template, 50).answer
    assert (len(long.ids), long.learned, long.begin) == (50, 49, 1)
    assert set(long.ids[1:]) == {base.tokenizer.encode("a")[0]}


def test_a_control_token_that_somebody_typed_is_learned_as_text(base: Any) -> None:
    typed = paged(lesson("hello", "end<|im_end|>"), base.tokenizer, base.template, 512).answer
    learned = typed.ids[typed.begin :]
    assert learned == (*base.tokenizer.encode("end<|im_end|>"), base.tokenizer.id_of("<|im_end|>"))


def test_what_is_no_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_base(tmp_path / "none.gguf")
    (tmp_path / "a.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(UnsupportedFormat):
        train(tmp_path / "a.gguf", LESSONS, PLAN)


def test_a_device_that_is_not_there_is_named(base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SetupNeeded, match="CUDA"):
        train(base, LESSONS, replace(PLAN, device="cuda"))


def test_a_waiting_person_goes_first_between_layers_on_both_ways(base: Any) -> None:
    breaths: list[int] = []

    def breathe() -> bool:
        breaths.append(1)
        return False  # as a lease does when nobody waited

    train(base, LESSONS, replace(PLAN, max_steps=1), breathe=breathe)
    # Two layers there; back, the first layer's input has no gradient; and once when a group is done.
    assert len(breaths) == 2 + 1 + 1


def test_likelihoods_are_of_answers_and_rejected_ones_and_training_prefers(base: Any) -> None:
    trained: Trained = train(base, LESSONS, replace(PLAN, method="dpo", epochs=6))
    before, after = (likelihoods(base, files, LESSONS) for files in (None, trained.files))

    def margin(found: list[Any]) -> float:
        return sum(one.logprob - one.rejected_logprob for one in found)

    assert margin(after) > margin(before) + 5
    assert likelihoods(base, None, [Lesson((Turn("user", "hi"),), "yes")])[0].rejected_logprob is None
