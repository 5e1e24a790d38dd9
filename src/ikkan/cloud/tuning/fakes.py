"""A trainer that learns nothing, one step at a time, for tests and for trying things out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ikkan.cloud.tuning.values import Base, Checkpoint, Example, Outcome, Progress, Recipe
from ikkan.ground.errors import IkkanError

TOKENS_A_STEP = 10


@dataclass
class FakeTrainer:
    """Goes on from the step it was at in `folder`, as a trainer should."""

    pause_s: float = 0.0
    """For each step."""
    keep_every: int = 1
    """Steps after which it writes down where it is; those since are taken again after a crash."""
    failure: IkkanError | None = None
    """Raised after the first step."""
    after_step: Callable[[int], None] = lambda step: None
    """Called when a step has been told and kept."""
    trained: list[tuple[Base, Sequence[Example], Sequence[Example], Recipe]] = field(default_factory=list)
    """Everything it was asked to train."""
    steps: list[int] = field(default_factory=list)
    """Every step it took."""

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
        check()
        self.trained.append((base, examples, validation, recipe))
        kept = folder / "step"
        done = int(kept.read_text()) if kept.exists() else 0
        an_epoch = math.ceil(len(examples) / recipe.batch)
        steps = an_epoch * recipe.epochs
        losses = [2.0 / step for step in range(1, steps + 1)]
        valid = {step: losses[step - 1] + 0.5 for step in range(an_epoch, steps + 1, an_epoch) if validation}
        for step in range(done + 1, steps + 1):
            time.sleep(self.pause_s)
            self.steps.append(step)
            tell(Progress(step, steps, losses[step - 1], step * TOKENS_A_STEP, self.pause_s))
            if self.failure is not None:
                raise self.failure
            if step % an_epoch == 0 and step < steps:
                keep(Checkpoint(step, _adapter(base, recipe, step), losses[step - 1], valid.get(step)))
            if step % self.keep_every == 0:
                kept.write_text(str(step))
            self.after_step(step)
        return Outcome(_adapter(base, recipe, steps), losses, valid, steps * TOKENS_A_STEP)


def _adapter(base: Base, recipe: Recipe, step: int) -> dict[str, bytes]:
    told = f"{base.name} {recipe} after {step}".encode()
    return {"adapter_config.json": b"{}", "adapter_model.safetensors": told}
