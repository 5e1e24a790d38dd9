"""Which of many texts are near-duplicates, exactly, as arithmetic on whole blocks of texts.

`split.clusters` says what a near-duplicate is; here shingles are numbers and sets of them are sorted rows of one array.
Numpy only: the gateway's processes load no kernels. Timed in `benchmarks/events.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

UNSPACED = ((0x0E00, 0x0E7F), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
"""Thai, kana, ideographs: scripts without spaces."""
_END = ord("\n")
"""Between texts; no normalised text has it."""
_BLOCK = 64
"""Texts looked at in one go."""
_WORK = 1 << 19
"""Comparisons in one go: a few megabytes."""

_MATCHES = 3
"""Shared among the rarest shingles before two texts are compared whole: more look at more, and compare less."""

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]


def joined(plain: list[str], contained: float, fewest: int) -> Int64:
    """For different normalised texts, the index of the first of each one's cluster. Shape (n,).

    Args:
        contained: join two when this share of the shorter one's shingles is in the longer one.
        fewest: texts with fewer shingles are joined to nobody as the shorter one.
    """
    pieces = _Pieces(plain)
    sizes = pieces.sizes
    assert len(plain) * _BLOCK < 2**31, "texts are numbered in 32 bits"
    parent = np.arange(len(plain), dtype=np.int32)
    needed = np.ceil(contained * sizes).astype(np.int64)
    able = sizes >= fewest
    matches = int(min(_MATCHES, needed[able].min(initial=_MATCHES)))
    prefix = np.where(able, sizes - needed + matches, 0)
    marked = np.zeros((_BLOCK, pieces.kinds), dtype=np.bool_)
    looking = np.flatnonzero(prefix)
    # The shortest first: they join what holds them, which then is of one cluster and needs no second look.
    for block in _blocks(looking[np.argsort(sizes[looking], kind="stable")], pieces.work(prefix)):
        who, met = pieces.holders(block, prefix[block])
        fit = parent[met] != parent[block][who]
        pairs = who[fit] * np.int32(len(plain)) + met[fit]
        pairs.sort()
        often = pairs[matches - 1 :][pairs[matches - 1 :] == pairs[: len(pairs) - matches + 1]]
        if not len(often):
            continue
        who, met = np.divmod(often[np.append(True, often[1:] != often[:-1])], np.int32(len(plain)))
        owners, mine = pieces.of(block)
        marked[owners, mine] = True
        close = pieces.count(marked, who, met) >= needed[block[who]]
        marked[owners, mine] = False
        _unite(parent, block[who[close]], met[close])
    while not np.array_equal(parent, above := parent[parent]):
        parent = above
    return parent.astype(np.int64)


def _unite(parent: Int32, ones: Int64, others: Int32) -> None:
    while not np.array_equal(parent[ones], above := parent[parent[ones]]):
        parent[ones] = above
    while not np.array_equal(parent[others], above := parent[parent[others]]):
        parent[others] = above
    joins = _distinct(parent[ones].astype(np.int64) << 32 | parent[others])
    for one, other in zip((joins >> 32).tolist(), (joins & 0xFFFFFFFF).tolist(), strict=True):
        low, high = sorted((_root(parent, one), _root(parent, other)))
        parent[high] = low
    parent[:] = parent[parent]


def _root(parent: Int32, at: int) -> int:
    while parent[at] != at:
        at = int(parent[at])
    return at


def _blocks(texts: Int64, work: Int64) -> Iterator[Int64]:
    """Texts in blocks of bounded size and work; one that is too much by itself comes alone."""
    start, spent = 0, np.concatenate([[0], np.cumsum(work[texts])])
    while start < len(texts):
        stop = int(np.searchsorted(spent, spent[start] + _WORK, side="right")) - 1
        stop = min(max(stop, start + 1), start + _BLOCK, len(texts))
        yield texts[start:stop]
        start = stop


class _Pieces:
    """Every text's shingles as numbers, the rarest first, and which texts hold each."""

    def __init__(self, plain: list[str]) -> None:
        self.kinds, pairs = _shingled(plain)
        text, number = (part.astype(np.int32) for part in np.divmod(pairs, self.kinds))
        del pairs
        self._often = np.bincount(number, minlength=self.kinds)
        self.sizes: Int64 = np.bincount(text, minlength=len(plain))
        """How many shingles each text has."""
        self._starts = np.cumsum(self.sizes) - self.sizes
        # Of each shingle the holders with the fewest shingles first: a text then finds those that are longer at once.
        by_size = number * np.int64(self.sizes.max(initial=0) + 1) + self.sizes[text]
        order = np.argsort(by_size, kind="stable")
        self._holders = text[order]
        self._ends = np.cumsum(self._often)
        by_size = by_size[order]
        anew = np.append(True, by_size[1:] != by_size[:-1])[: len(by_size)]
        longer = np.empty(len(text), dtype=np.int32)
        longer[order] = np.flatnonzero(anew)[np.cumsum(anew, dtype=np.int32) - 1]
        del by_size, order, anew
        rarest = np.lexsort((number, self._often[number], text))
        self._numbers, self._longer = number[rarest], longer[rarest]

    def work(self, prefix: Int64) -> Int64:
        """For each text, how many holders its `prefix` rarest shingles have together."""
        rows, places = _ranges(self._starts, prefix)
        return np.bincount(rows, weights=self._often[self._numbers[places]], minlength=len(prefix)).astype(np.int64)

    def of(self, block: Int64) -> tuple[Int32, Int32]:
        """All shingles of these texts: place in the block, shingle."""
        rows, places = _ranges(self._starts[block], self.sizes[block])
        return rows, self._numbers[places]

    def holders(self, block: Int64, prefix: Int64) -> tuple[Int32, Int32]:
        """Who holds one of these texts' `prefix` rarest shingles and is no shorter: place in the block, text."""
        rows, places = _ranges(self._starts[block], prefix)
        begins = self._longer[places]
        shared, holding = _ranges(begins, self._ends[self._numbers[places]] - begins)
        return rows[shared], self._holders[holding]

    def count(self, marked: NDArray[np.bool_], rows: Int32, texts: Int32) -> Int64:
        """How many of each text's shingles are marked in its row."""
        counts = np.empty(len(texts), dtype=np.int64)
        flat, offsets = marked.reshape(-1), rows.astype(np.int64) * self.kinds
        step = max(1, _WORK // int(self.sizes[texts].max()))
        for start in range(0, len(texts), step):
            some = texts[start : start + step]
            sizes = self.sizes[some]
            pairs, places = _ranges(self._starts[some], sizes)
            hit = flat.take(offsets[start : start + step][pairs] + self._numbers[places])
            # No text here is without shingles: each shares some.
            counts[start : start + step] = np.add.reduceat(hit, np.cumsum(sizes) - sizes, dtype=np.int64)
        return counts


def _ranges(starts: Int64, sizes: Int64) -> tuple[Int32, Int32]:
    """Ranges laid end to end: which range each place is of, and the place."""
    rows = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    places = np.arange(len(rows), dtype=np.int32)
    places += (starts - (np.cumsum(sizes) - sizes)).astype(np.int32)[rows]
    return rows, places


def _shingled(plain: list[str]) -> tuple[int, Int64]:
    """How many different shingles there are, and each text's as `text * kinds + shingle`, sorted, each once."""
    letters = np.frombuffer("\n".join([*plain, ""]).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    whose = np.cumsum(letters == _END, dtype=np.int32)
    cut = _windows(letters)
    owners = np.concatenate([whose[: len(chosen)][chosen] for chosen, _ in cut])
    codes = np.concatenate([code for _, code in cut])
    del cut, whose, letters
    different = _distinct(codes.copy())
    kinds = max(1, len(different))
    pairs: Int64 = np.searchsorted(different, codes) + owners.astype(np.int64) * kinds
    del codes, owners
    return kinds, _distinct(pairs)


def _distinct(values: Int64) -> Int64:
    """Each value once, in order. Sorts what it is given."""
    values.sort()
    distinct: Int64 = values[np.append(True, values[1:] != values[:-1])[: len(values)]]
    return distinct


def _windows(letters: NDArray[np.uint32]) -> list[tuple[NDArray[np.bool_], Int64]]:
    """Pairs and triples as `split.shingles` cuts them: where they begin, and their letters as 21 bits each."""
    wide = np.zeros(len(letters), dtype=np.bool_)
    for low, high in UNSPACED:
        wide |= (letters >= low) & (letters <= high)
    inside = letters != _END
    number = letters.astype(np.int64)
    pair = inside[:-1] & inside[1:] & (wide[:-1] | wide[1:])
    triple = inside[:-2] & inside[1:-1] & inside[2:] & ~pair[: len(letters) - 2] & ~wide[2:]
    twos = number[:-1] << 21 | number[1:]
    threes = number[:-2] << 42 | number[1:-1] << 21 | number[2:]
    return [(pair, twos[pair]), (triple, threes[triple])]
