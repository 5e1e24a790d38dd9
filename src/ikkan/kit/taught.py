"""This home's models, to be taught. Handed to apps by `bootstrap`, so that none of them imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ikkan.flywheel.training.values import Lesson, Likelihood, Plan, Sorter, SortingPlan, Trained, Turn
from ikkan.models.values import EncoderPairs


class Embed(Protocol):
    """Texts to vectors of unit length, float32 (n, width). Handed in by `bootstrap`; everything works without."""

    def __call__(self, texts: Sequence[str], /) -> NDArray[np.float32]: ...


class Taught(Protocol):
    """A base model that learns adapters, judges texts and writes some.

    Whatever needs what is not installed, or a model that is not here, raises `SetupNeeded`, which says what to do.
    """

    @property
    def name(self) -> str:
        """What adapters say they were trained on: the model's name in the store."""
        ...

    @property
    def digest(self) -> str:
        """sha256 of its weights, in hexadecimal."""
        ...

    def train(self, lessons: Sequence[Lesson], plan: Plan) -> Trained:
        """See `flywheel.training.train`."""
        ...

    def likelihoods(
        self, adapter_files: Mapping[str, bytes] | None, lessons: Sequence[Lesson], *, max_tokens: int
    ) -> Sequence[Likelihood]:
        """See `flywheel.training.likelihoods`."""
        ...

    def write(
        self, adapter_files: Mapping[str, bytes] | None, conversations: Sequence[Sequence[Turn]], *, max_tokens: int
    ) -> Sequence[str]:
        """How it would go on, always taking the likeliest token."""
        ...


class Tunes(Protocol):
    """This home's embedding model, as something that can learn. It stays as it is; what was learned lies beside it."""

    @property
    def can_learn(self) -> bool:
        """Whether `ikkan[train]` is here."""
        ...

    def learn(self, texts: Sequence[str], classes: Sequence[int], count: int, plan: SortingPlan) -> Sorter:
        """See `flywheel.training.learn_to_sort`."""
        ...

    def adapted(self, pairs: EncoderPairs) -> Callable[[Sequence[str]], NDArray[np.float32]]:
        """Texts to vectors of unit length by the model with these pairs; made at the first text."""
        ...
