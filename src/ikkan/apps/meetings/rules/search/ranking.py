"""An inverted index in pieces of one meeting each, and BM25+ over whatever pieces a viewer may see.

Source: Lv and Zhai, "Lower-Bounding Term Frequency Normalization" (2011), on Robertson's BM25. Measured in
`benchmarks/meetings_search.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ikkan.apps.meetings.rules.search.passages import Passage
from ikkan.apps.meetings.rules.search.words import grams

_K1, _B, _ONCE = 0.8, 0.5, 2.0
"""How soon repeating a gram stops counting, how much long passages are held back, what being there at all is worth."""
_ENTRY = np.dtype([("place", "<u2"), ("count", "<u2"), ("length", "<u2")])
_LARGEST = 65_535


class Posting(NamedTuple):
    """Where one gram stands in one meeting: in which passages, how often, and how long those are.

    A tuple, because a question reads thousands of them.
    """

    gram: str
    number: int
    """The meeting's."""
    packed: bytes


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found."""

    number: int
    place: int
    score: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best passages, and what each gram of the question was worth."""

    hits: list[Hit]
    worth: dict[str, float]


def postings(number: int, found: Sequence[Passage]) -> tuple[list[Posting], int]:
    """The index of one meeting, and how many grams its passages have together."""
    entries: dict[str, list[tuple[int, int, int]]] = {}
    total = 0
    for place, passage in enumerate(found):
        counts = grams(passage.text)
        length = counts.total()
        total += length
        for gram, count in counts.items():
            entries.setdefault(gram, []).append((place, min(count, _LARGEST), min(length, _LARGEST)))
    packed = [Posting(gram, number, np.array(rows, dtype=_ENTRY).tobytes()) for gram, rows in sorted(entries.items())]
    return packed, total


def rank(
    query: Mapping[str, int], found: Iterable[Posting], *, passages_count: int, grams_count: int, limit: int
) -> Ranked:
    """The best passages for a query.

    Args:
        query: grams and how often each is asked for.
        found: the postings of those grams in every meeting that may be seen.
        passages_count: passages in those meetings, found or not.
        grams_count: grams in those passages together.
        limit: how many are wanted.

    >>> said = [Passage("the budget is set", "", None, ("s1",)), Passage("lunch is set", "", None, ("s2",))]
    >>> index, total = postings(7, said)
    >>> ranked = rank(grams("budgets"), index, passages_count=2, grams_count=total, limit=5)
    >>> [(hit.number, hit.place) for hit in ranked.hits]
    [(7, 0)]
    """
    # Only numbers and bytes are kept of thousands of rows: anything more wakes the garbage collector, which costs more
    # than the search itself.
    by_gram: dict[str, tuple[list[int], list[bytes]]] = {gram: ([], []) for gram in query}
    for gram, number, packed in found:
        if gram in by_gram:
            by_gram[gram][0].append(number)
            by_gram[gram][1].append(packed)
    mean = max(1.0, grams_count / max(1, passages_count))
    keys, scores, worths = [], [], {}
    for gram, (meetings, rows) in by_gram.items():
        if not rows:
            continue
        entries = np.frombuffer(b"".join(rows), dtype=_ENTRY)
        sizes = np.array([len(packed) // _ENTRY.itemsize for packed in rows])
        numbers = np.repeat(np.array(meetings, dtype=np.int64), sizes)
        frequency = min(len(entries), passages_count)
        worth = np.log1p((passages_count - frequency + 0.5) / (frequency + 0.5)) * query[gram]
        worths[gram] = float(worth)
        counts = entries["count"].astype(np.float32)
        spread = _K1 * (1 - _B + _B * entries["length"].astype(np.float32) / mean)
        keys.append(numbers << 16 | entries["place"])
        scores.append(worth * (counts * (_K1 + 1) / (counts + spread) + _ONCE))
    if not keys:
        return Ranked([], {})
    unique, where = np.unique(np.concatenate(keys), return_inverse=True)
    totals = np.bincount(where, weights=np.concatenate(scores))
    best = np.lexsort((unique, -totals))[:limit]
    hits = [Hit(int(unique[each]) >> 16, int(unique[each]) & 0xFFFF, float(totals[each])) for each in best]
    return Ranked(hits, worths)
