"""Wares as vectors before anything was learned: what is said of two wares alike makes their vectors alike.

Each facet (a category and those above it, a brand, an attribute, a tag, a word of the name) points into a direction
of its own; a ware is the sum of its facets at unit length, so the product of two tells what they share.

Source of the idea: feature hashing, Weinberger et al. 2009.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.values import Ware

SIZE = 64
_WEIGHTS = {"category": 1.0, "brand": 0.6, "seller": 0.15}
_ATTRIBUTE, _TAG, _WORD, _ABOVE = 0.5, 0.6, 0.3, 0.6
_MOST_FACETS = 40
_WORDS = re.compile(r"[a-z0-9]{2,}|[\u3040-\u30ff\u3400-\u9fff]{2}")
_KNOWN_MOST = 400_000


class Facets:
    """Directions of facets, remembered."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._table = np.zeros((1_024, SIZE), np.float32)

    def vectors(self, wares: Sequence[Ware]) -> NDArray[np.float32]:
        """A row of unit length for each ware; nearly opposite to nothing, alike where facets are.

        >>> from datetime import UTC, datetime
        >>> at = datetime(2026, 6, 1, tzinfo=UTC)
        >>> mug, cup = (Ware(name, name, "Kitchen > Cups", 1, "EUR", at, brand="Ito") for name in ("mug", "cup"))
        >>> saw = Ware("saw", "saw", "Tools > Saws", 1, "EUR", at, brand="Abe")
        >>> a, b, c = Facets().vectors([mug, cup, saw])
        >>> bool(a @ b > 0.6), bool(abs(a @ c) < 0.4)
        (True, True)
        """
        if len(self._places) >= _KNOWN_MOST:  # a shop with a word of its own for every ware
            self._places.clear()
        places: list[int] = []
        weights: list[float] = []
        starts: list[int] = []
        for ware in wares:
            starts.append(len(places))
            for facet, weight in facets_of(ware):
                places.append(self._place(facet))
                weights.append(weight)
        if not starts:
            return np.zeros((0, SIZE), np.float32)
        parts = self._table[places] * np.asarray(weights, np.float32)[:, None]
        made = np.add.reduceat(parts, starts, axis=0)
        norms = np.linalg.norm(made, axis=1, keepdims=True)
        return np.asarray(made / np.maximum(norms, 1e-6), np.float32)

    def _place(self, facet: str) -> int:
        at = self._places.get(facet)
        if at is None:
            at = self._places[facet] = len(self._places)
            if at >= len(self._table):
                self._table = np.concatenate([self._table, np.zeros_like(self._table)])
            self._table[at] = _direction(facet)
        return at


def facets_of(ware: Ware) -> list[tuple[str, float]]:
    """What is said of a ware, with how much it counts; never empty.

    >>> from datetime import UTC, datetime
    >>> tea = Ware("t", "Green tea", "Food > Tea", 1, "EUR", datetime(2026, 6, 1, tzinfo=UTC), tags=("calm",))
    >>> [facet for facet, _ in facets_of(tea)]
    ['category=Food', 'category=Food > Tea', 'tag=calm', 'word=green', 'word=tea']
    """
    found: list[tuple[str, float]] = []
    parts = ware.category.split(" > ") if ware.category else []
    for depth in range(1, len(parts) + 1):
        weight = _WEIGHTS["category"] if depth == len(parts) else _ABOVE
        found.append(("category=" + " > ".join(parts[:depth]), weight))
    for name in ("brand", "seller"):
        value = getattr(ware, name)
        if value:
            found.append((f"{name}={value}", _WEIGHTS[name]))
    found += [(f"{name}={value}", _ATTRIBUTE) for name, value in ware.attributes.items()]
    found += [(f"tag={tag}", _TAG) for tag in ware.tags]
    words = dict.fromkeys(_WORDS.findall(ware.name.lower()))
    found += [(f"word={word}", _WORD) for word in words]
    return found[:_MOST_FACETS] or [("category=", 1.0)]


def _direction(facet: str) -> NDArray[np.float32]:
    drawn = np.frombuffer(hashlib.blake2b(facet.encode(), digest_size=SIZE // 8).digest(), np.uint8)
    signs: NDArray[np.float32] = np.unpackbits(drawn).astype(np.float32) * 2.0 - 1.0
    return np.asarray(signs / np.sqrt(np.float32(SIZE)), np.float32)
