"""The rung above the bottom ones: this home's embedder learns the intents themselves, with low-rank pairs and a head.

It learns with torch, through what `bootstrap` hands over, and is read with numpy, as the embedder is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ikkan.flywheel.training.values import SortingPlan
from ikkan.kit.intent.ladder import Asked, Index, Tuned
from ikkan.kit.taught import Tunes

TEXTS_A_SECOND = 25
"""Learned from, one judgement included: what one core of a busy machine did (`benchmarks/intent.py --ladder`)."""
FEWEST = 2_000
"""Of fewer texts a third, of which lower rungs leave an eighth, is too little to say when this rung is right."""


class TunedRecipe:
    """Implements `fit.Recipe`.

    Args:
        tunes: this home's embedder, as something that can learn.
    """

    name = "tuned"
    judged_folds = 1

    def __init__(self, tunes: Tunes, *, plan: SortingPlan | None = None, fewest: int = FEWEST) -> None:
        self._tunes = tunes
        self._plan = plan or SortingPlan()
        self._fewest = fewest

    def seconds(self, n: int) -> float:
        """See `Recipe.seconds`. Never, where torch is missing."""
        return n / TEXTS_A_SECOND if self._tunes.can_learn and n >= self._fewest else math.inf

    def fit(self, asked: Asked, means: Index, intents: int, seed: int) -> Tuned:
        """See `Recipe.fit`."""
        found = self._tunes.learn(asked.texts, means.tolist(), intents, replace(self._plan, seed=seed))
        # Half precision, as it is kept: the same numbers before and after it is stored.
        head = found.head.astype(np.float16).astype(np.float32)
        return Tuned(self._tunes.adapted(found.pairs), found.pairs, head)

    def load(self, files: Mapping[str, bytes]) -> Tuned:
        """The rung that `Rung.files` wrote. It needs no torch."""
        return Tuned.load(files, self._tunes.adapted)
