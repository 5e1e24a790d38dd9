"""One dial for the size of the next-item model; everything else follows from it and from the data.

One turn doubles the width, about; the default serves shops of some hundred to some hundred thousand items on two cores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WHOLE_CATALOGUE = 50_000
"""Up to so many items the softmax is over all of them; above, over a sample."""


@dataclass(frozen=True, slots=True)
class Dial:
    """What a person may turn.

    >>> Dial(size=2).shape(items=12_000, longest=40).width
    128
    """

    size: int = 2
    """1 for a first look, 2 for daily work, 3 and 4 where there is much data and time."""

    def shape(self, items: int, longest: int) -> Shape:
        """The network for so many items and histories hardly ever longer than that."""
        return Shape(
            items=items,
            width=64 * self.size,
            blocks=max(1, min(self.size, 4)),
            heads=2 * self.size,
            inner=128 * self.size,
            # Room to the next power of two: a history may grow between two trainings.
            longest=int(min(200, max(16, 2 ** math.ceil(math.log2(max(longest, 2)))))),
        )

    def recipe(self, events: int, items: int) -> Recipe:
        """How to train on so many events."""
        return Recipe(
            # At least some hundred steps an epoch where there are few events, else as many as fill the processor.
            events_per_step=int(min(4096, max(256, events // 32))),
            rate=3e-3 * min(1.0, 2.0 / self.size),
            sampled=0 if items <= WHOLE_CATALOGUE else 8192,
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """What the network is made of."""

    items: int
    width: int = 128
    blocks: int = 2
    heads: int = 4
    inner: int = 256
    longest: int = 64
    dropout: float = 0.3
    id_dropout: float = 0.1
    spread: float = 0.02


@dataclass(frozen=True, slots=True)
class Recipe:
    """How it is trained."""

    events_per_step: int = 4096
    rate: float = 3e-3
    decay: float = 0.01
    looks: int = 12
    """Times the held-back questions are asked before the rate is at its lowest."""
    steps_per_look: int = 32
    """At least; else a look comes after each pass over the data."""
    patience: int = 2
    """Looks without a better answer after which training ends."""
    sampled: int = 0
    """Items drawn a step for the softmax; 0 for all."""
