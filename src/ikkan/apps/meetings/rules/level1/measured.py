"""Which models write better minutes than none: measured, and kept as data.

A model that is not in this table, or is and was worse than Level 0 on any measure, is used only where somebody asks.
A row is added by running `benchmarks/meetings_level1.py --model NAME` and copying what it prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Measured:
    """One model's minutes beside Level 0's, on the same meetings and the same measures."""

    on: date
    meetings: int
    rouge1: tuple[float, float]
    """Level 0, Level 1."""
    action_f1: tuple[float, float]
    actions_in_top_20: tuple[float, float]

    @property
    def is_no_worse(self) -> bool:
        """Whether Level 1 reached Level 0 on every measure."""
        return all(new >= old for old, new in (self.rouge1, self.action_f1, self.actions_in_top_20))


MEASURED: Mapping[str, Measured] = {
    "smollm2-135m-instruct": Measured(date(2026, 11, 30), 12, (0.4296, 0.4132), (0.3590, 0.3111), (0.8148, 0.8148)),
}
"""By the model's name, without the upstream's and without a file's ending."""


def level_of(model: str | None) -> int:
    """The level a meeting is drawn out at where nobody chose one: 1 only for a model that was measured to be no worse.

    >>> level_of(None), level_of("never-measured"), level_of("engine/smollm2-135m-instruct")
    (0, 0, 0)
    """
    found = MEASURED.get(plain_name(model)) if model else None
    return 1 if found is not None and found.is_no_worse else 0


def plain_name(model: str) -> str:
    """A model's name as the table has it.

    >>> plain_name("engine/SmolLM2-135M-Instruct.Q4_1.gguf")
    'smollm2-135m-instruct.q4_1'
    """
    return model.rpartition("/")[2].casefold().removesuffix(".gguf")
