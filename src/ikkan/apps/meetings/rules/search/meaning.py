"""Passages by what they mean: vectors of one byte a number, and their order fused with that of the words.

Words find, meaning only orders what they found: so a search reads some dozen vectors instead of all. Source: reciprocal
rank fusion, Cormack, Clarke and Buettcher, SIGIR 2009. Measured in `benchmarks/meetings_search.py --part meaning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.search.passages import Passage
from ikkan.apps.meetings.rules.search.ranking import Hit

WEIGHED = 100
"""So many passages that words found are put in order by meaning too."""
_SOON, _MEANING = 10.0, 0.3
"""Where reciprocal ranks start, and what a rank in meaning counts beside one in words."""
_FULL = 127.0


def packed(vectors: NDArray[np.float32]) -> list[bytes]:
    """Unit vectors `(n, width)` as one byte a number.

    >>> packed(np.array([[1.0, -0.5]], dtype=np.float32))
    [b'\\x7f\\xc0']
    """
    return [row.tobytes() for row in np.rint(np.clip(vectors, -1, 1) * _FULL).astype(np.int8)]


def is_wide(text: str) -> bool:
    """Whether a text is in a script whose pairs of characters find better than an English model understands."""
    return any(character > "\u3000" for character in text)


def fused(
    found: Sequence[tuple[Hit, Passage]],
    question: NDArray[np.float32],
    vectors: Mapping[tuple[int, int], bytes],
    *,
    limit: int,
) -> list[tuple[Hit, Passage]]:
    """The same passages, by the weighted sum of their reciprocal ranks in words and in meaning.

    Args:
        found: in the order of words.
        question: its vector, of unit length.
        vectors: by meeting and place; a passage without one counts as the least alike.

    >>> found = [(Hit(1, place, 1.0), Passage(str(place), "", None, ("s1",))) for place in range(4)]
    >>> vectors = {(1, place): row for place, row in enumerate(packed(np.eye(4, dtype=np.float32)))}
    >>> [hit.place for hit, _ in fused(found, np.eye(4, dtype=np.float32)[3], vectors, limit=4)]
    [0, 1, 3, 2]
    """
    alike = np.full(len(found), -2.0)
    for at, (hit, _) in enumerate(found):
        vector = np.frombuffer(vectors.get((hit.number, hit.place), b""), dtype=np.int8)
        if len(vector) == len(question):
            alike[at] = float(vector.astype(np.float32) @ question) / _FULL
    place = np.empty(len(found))
    place[np.argsort(-alike, kind="stable")] = np.arange(len(found))
    worth = 1 / (_SOON + np.arange(len(found))) + _MEANING / (_SOON + place)
    return [found[at] for at in np.argsort(-worth, kind="stable")[:limit].tolist()]
