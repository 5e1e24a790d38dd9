"""An ask with what is known of who asks, and the places of its list before they are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.suggest.person import Digest, Person
from ikkan.apps.shop.rules.suggest.ranker import FEATURES
from ikkan.apps.shop.values import Ask, Mood, Ware

Rows = NDArray[np.int64]
Float32 = NDArray[np.float32]

AT = {name: at for at, name in enumerate(FEATURES)}
"""Where each feature lies."""


class Place(NamedTuple):
    """One place of a list, before it is shown. A tuple, because hundreds are made a second."""

    row: int
    ware: Ware
    source: str
    score: float
    propensity: float
    features: Float32
    pool: tuple[NDArray[np.float64], Rows, NDArray[np.float64], int] | None = None
    """Of an explored place: features, rows and chances of the pool, and which of it the blend liked best."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An ask with everything that is known about who asks."""

    ask: Ask
    person: Person
    digest: Digest
    mood: Mood | None = None
    seeds: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows of what the page is about."""
    query: Float32 | None = None
