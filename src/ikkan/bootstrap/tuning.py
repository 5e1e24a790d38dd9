"""The cloud's fine-tuning joined to the flywheel's trainer, and to what the engine of this home serves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from ikkan.bootstrap.names import DEFAULTS
from ikkan.cloud.tuning.values import MAX_TOKENS, Base, Checkpoint, Example, Outcome, Progress, Recipe
from ikkan.flywheel.training import Lesson, Likelihood, Plan, Step, Turn, likelihoods, open_base, train
from ikkan.ground.errors import ChecksumMismatch, DeviceBusy
from ikkan.models.store import ModelStore
from ikkan.silicon.lease import DeviceLease

_RATES: Final = {"supervised": 2e-4, "dpo": 5e-5}
"""What a learning rate multiplier multiplies."""
_PATIENCE_S: Final = 1.0
_CHECKPOINT_STEPS: Final = 10


def home_bases(store: ModelStore) -> Callable[[str], Base | None]:
    """What this home's engine serves under a name, if it is its chat model."""

    def find(name: str) -> Base | None:
        chat = DEFAULTS[0][0]
        served = store.aliases().get(chat)
        if served is None or name not in {chat, served, Path(served).stem if "/" in served else served}:
            return None
        model = store.get(served)
        return Base(model.name, model.sha256)

    return find


class LeasedTrainer:
    """A `cloud.tuning.values.Trainer`: the flywheel's, in turns between people's answers.

    Args:
        lease: the file by which engine and trainers of this machine take turns.
    """

    def __init__(self, store: ModelStore, lease: Path) -> None:
        self._store = store
        self._lease = lease

    def __call__(
        self,
        base: Base,
        examples: Sequence[Example],
        validation: Sequence[Example],
        recipe: Recipe,
        *,
        folder: Path,
        tell: Callable[[Progress], None],
        keep: Callable[[Checkpoint], None],
        check: Callable[[], None],
    ) -> Outcome:
        """See `Trainer`."""
        plan = Plan(
            method="dpo" if recipe.method == "dpo" else "sft",
            epochs=recipe.epochs,
            batch=recipe.batch,
            max_tokens=MAX_TOKENS,
            learning_rate=_RATES[recipe.method] * recipe.learning_rate_multiplier,
            beta=recipe.beta,
            seed=recipe.seed,
            checkpoint_steps=_CHECKPOINT_STEPS,
        )
        held_back = [_lesson(example) for example in validation]
        valid: dict[int, float] = {}
        with ExitStack() as stack:
            stored = self._store.get(base.name)
            if stored.sha256 != base.sha256:
                raise ChecksumMismatch(f"{base.name} is another model than when this began", hint="begin again")
            opened = stack.enter_context(open_base(stored))
            turn = self._turn(stack, check)

            def judged(files: Mapping[str, bytes] | None) -> list[Likelihood]:
                return likelihoods(opened, files, held_back, max_tokens=MAX_TOKENS, breathe=turn.breathe)

            before = judged(None) if held_back and recipe.method == "dpo" else []

            def measure(step: int, files: Mapping[str, bytes]) -> float | None:
                if held_back:
                    valid[step] = _loss(judged(files), before, recipe.beta)
                return valid.get(step)

            def told(step: Step) -> None:
                tell(Progress(step.step, step.steps, step.loss, step.tokens, step.seconds / step.step))

            def kept(step: Step, files: Mapping[str, bytes]) -> None:
                keep(Checkpoint(step.step, files, step.loss, measure(step.step, files)))

            made = train(
                opened,
                [_lesson(example) for example in examples],
                plan,
                checkpoint=folder / "checkpoint",
                tell=told,
                keep=kept,
                breathe=turn.breathe,
            )
            measure(len(made.losses), made.files)
        return Outcome(made.files, made.losses, valid, int(made.facts["tokens"]), made.facts)

    def _turn(self, stack: ExitStack, check: Callable[[], None]) -> Any:
        """The processor, as soon as no other training has it. Asks again and again whether it is still wanted."""
        lease = DeviceLease(self._lease)
        while True:
            check()
            try:
                return stack.enter_context(lease.background(patience_s=_PATIENCE_S))
            except DeviceBusy:
                continue


def _lesson(example: Example) -> Lesson:
    return Lesson(tuple(Turn(one.role, one.content) for one in example.before), example.answer, example.rejected)


def _loss(found: Sequence[Likelihood], before: Sequence[Likelihood], beta: float) -> float:
    """Of what was held back, the loss that training lowers.

    >>> _loss([Likelihood(-4.0, 2), Likelihood(-2.0, 1)], [], 0.1)
    2.0
    """
    if not before:
        return -sum(one.logprob for one in found) / max(1, sum(one.tokens for one in found))
    apart = [
        (one.logprob - was.logprob) - ((one.rejected_logprob or 0.0) - (was.rejected_logprob or 0.0))
        for one, was in zip(found, before, strict=True)
    ]
    return sum(math.log1p(math.exp(-beta * margin)) for margin in apart) / len(apart)
