"""A training as somebody asks for it, and what is decided where they left it to us."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ikkan.cloud.tuning.values import Method, Recipe


@dataclass(frozen=True, slots=True)
class Asked:
    """A training as somebody asks for it."""

    model: str
    training_file: str
    validation_file: str | None = None
    suffix: str = ""
    seed: int | None = None
    method: Method = "supervised"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """`n_epochs`, `batch_size`, `learning_rate_multiplier` and `beta`: a number, or `auto`."""
    metadata: Mapping[str, str] | None = None


def decide(asked: Asked, examples: int) -> Recipe:
    """How to train, where that was left to us: fewer passes over more examples, and some ten steps a pass at least.

    >>> decide(Asked("default", "file-1", seed=7), 50)
    Recipe(method='supervised', epochs=3, batch=5, learning_rate_multiplier=1.0, beta=0.1, seed=7)
    """
    given = {name: value for name, value in asked.hyperparameters.items() if value not in (None, "auto")}
    return Recipe(
        method=asked.method,
        epochs=given.get("n_epochs", 3 if examples <= 500 else 2),
        batch=given.get("batch_size", max(1, min(8, examples // 10))),
        learning_rate_multiplier=float(given.get("learning_rate_multiplier", 1.0)),
        beta=float(given.get("beta", 0.1)),
        seed=secrets.randbelow(1 << 31) if asked.seed is None else asked.seed,
    )
