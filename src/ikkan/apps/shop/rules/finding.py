"""What a shopper searches for, found on the shelf: by words where they are parted, by pairs of signs where not."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from ikkan.apps.shop.values import Ware

_NAME, _REST = 3.0, 1.0
_ENOUGH = 0.6
"""So much of what was asked for must be there."""


def found(wares: Iterable[Ware], query: str, *, category: str = "", most: int = 200) -> list[Ware]:
    """Wares that can be seen and fit, the best first; all of a category where nothing was asked for.

    >>> from datetime import UTC, datetime
    >>> names = {"1": "Coffee mill", "2": "珈琲ミル", "3": "Lamp"}
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> wares = [Ware(id, name, "Kitchen", 1, "JPY", at) for id, name in names.items()]
    >>> [each.product_id for each in found(wares, "ミル")]
    ['2']
    """
    wanted = _pieces(query)
    fits: list[tuple[float, str, Ware]] = []
    for ware in wares:
        if not ware.is_listed or (category and not f"{ware.category} > ".startswith(f"{category} > ")):
            continue
        score = _score(wanted, ware)
        if not wanted or score > 0:
            fits.append((-score, ware.product_id, ware))
    return [ware for _, _, ware in sorted(fits, key=lambda each: each[:2])[:most]]


def _score(wanted: frozenset[str], ware: Ware) -> float:
    if not wanted:
        return 0.0
    name = _known(" ".join((ware.name, *ware.names.values())))
    rest = _known(" ".join((ware.category, ware.brand, ware.description, *ware.tags, *ware.attributes.values())))
    hits = wanted & (name | rest)
    if len(hits) < _ENOUGH * len(wanted):
        return 0.0
    return _NAME * len(wanted & name) + _REST * len(wanted & rest)


@lru_cache(maxsize=65_536)
def _known(text: str) -> frozenset[str]:
    return _pieces(text)


def _pieces(text: str) -> frozenset[str]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    pieces: set[str] = set()
    for word in "".join(sign if sign.isalnum() else " " for sign in folded).split():
        if word.isascii():
            # A plural is found by its singular and the other way round.
            pieces.add(word[:-1] if len(word) > 3 and word.endswith("s") else word)
        else:
            pieces.update(word[at : at + 2] for at in range(max(1, len(word) - 1)))
    return frozenset(pieces)
