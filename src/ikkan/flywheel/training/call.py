"""The door to training: what others call. torch is imported by the call, not by the import of this module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ikkan.flywheel.training.values import Keep, Lesson, Likelihood, Plan, Sorter, SortingPlan, Tell, Trained
from ikkan.ground.errors import MissingPackage
from ikkan.models.store import StoredModel

if TYPE_CHECKING:
    from ikkan.flywheel.training.tensors.base import Base

AnyBase: TypeAlias = "Base | StoredModel | Path"
"""A model by its file or folder, by what the model store says of it, or one that `open_base` holds in memory."""


def open_base(model: StoredModel | Path, *, name: str = "") -> Base:
    """A base that stays in memory between calls of `train` and `likelihoods`; close it, or use it in a `with`.

    Args:
        name: what adapters will say they were trained on; the model's own name if empty.

    Raises:
        MissingPackage: torch is not installed.
        NotFound, BadFile: as `models.checkpoint.open_checkpoint`; UnsupportedFormat also for a model that does not
            continue text.
    """
    _need_torch()
    from ikkan.flywheel.training.tensors.base import Base

    if isinstance(model, StoredModel):
        return Base(model.path, name or model.name)
    return Base(Path(model), name)


def train(
    base: AnyBase,
    lessons: Sequence[Lesson],
    plan: Plan,
    *,
    teacher: AnyBase | None = None,
    checkpoint: Path | None = None,
    tell: Tell | None = None,
    keep: Keep | None = None,
    breathe: Callable[[], object] | None = None,
) -> Trained:
    """Teach a low-rank adapter these lessons. The base stays as it is.

    Lessons without a token to learn are left out; `facts["skipped"]` counts them.

    Args:
        teacher: for `distill`: its expectations are learned where it has the base's vocabulary. Otherwise, or without
            one, `distill` learns the answers as they stand, which the teacher should have written.
        checkpoint: a file in which the training is written down every `plan.checkpoint_steps` steps, and from which it
            goes on if it was interrupted, with the same bytes in the end. A damaged one, or one of other lessons, is
            not used: `facts["started_over"]` says why. It holds what was learned: delete it when the result is kept.
        tell: called after every step; whatever it raises ends the training.
        keep: called with the adapter as it is at the end of every epoch but the last; after an interruption perhaps
            again. Whatever it raises ends the training.
        breathe: called every few milliseconds, between layers, so that a waiting person can go first
            (`silicon.lease.Turn.breathe`).

    Raises:
        NothingToLearn: no lessons, or none with a token to learn.
        BadInput: the plan cannot be carried out, or `dpo` meets a lesson without a rejected answer.
        TrainingDiverged: the loss is not finite, or stayed far above where it began.
        CheckpointFailed: the disk is full; the last checkpoint is still there.
        BadTemplate: the model's chat template refuses a conversation.
        SetupNeeded: torch or the device is missing.
    """
    _need_torch()
    from ikkan.flywheel.training.tensors import loop
    from ikkan.flywheel.training.tensors.base import opened

    with opened(base) as learner, opened(teacher) as master:
        assert learner is not None
        return loop.train(
            learner, lessons, plan, teacher=master, checkpoint=checkpoint, tell=tell, keep=keep, breathe=breathe
        )


def likelihoods(
    base: AnyBase,
    adapter_files: Mapping[str, bytes] | None,
    lessons: Sequence[Lesson],
    *,
    max_tokens: int = 512,
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    device: str = "auto",
    breathe: Callable[[], object] | None = None,
) -> list[Likelihood]:
    """How much a model, with an adapter or without, expects the answer of each lesson, and the rejected one.

    Raises:
        BadFile: the adapter is not one for this base (see `models.adapters.read_adapter`).
        BadTemplate: the model's chat template refuses a conversation.
        SetupNeeded: torch or the device is missing.
    """
    _need_torch()
    from ikkan.flywheel.training.tensors import loop
    from ikkan.flywheel.training.tensors.base import opened

    with opened(base) as judge:
        assert judge is not None
        return loop.likelihoods(
            judge, adapter_files, lessons, max_tokens=max_tokens, dtype=dtype, device=device, breathe=breathe
        )


def learn_to_sort(
    path: Path,
    texts: Sequence[str],
    classes: Sequence[int],
    count: int,
    plan: SortingPlan,
    *,
    breathe: Callable[[], object] | None = None,
) -> Sorter:
    """Teach low-rank pairs and a head to an encoder, so that it sorts texts into classes. The encoder stays as it is.

    Args:
        path: the encoder's file or folder.
        classes: of each text, from 0.
        count: how many classes there are.
        breathe: called between optimiser steps, so that a waiting person can go first.

    Raises:
        NothingToLearn: no texts.
        TrainingDiverged: the loss is not finite.
        UnsupportedFormat: the model does not embed texts.
        SetupNeeded: torch or the device is missing.
    """
    _need_torch()
    from ikkan.flywheel.training.tensors import sorting

    return sorting.learn(Path(path), texts, classes, count, plan, breathe)


def can_train() -> bool:
    """Whether torch is here; nothing is loaded to find out."""
    return find_spec("torch") is not None


def _need_torch() -> None:
    if not can_train():
        raise MissingPackage("training a language model needs torch", hint="pip install 'ikkan[train]'")
