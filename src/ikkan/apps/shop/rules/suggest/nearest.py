"""The rows of a matrix whose product with a query is largest: exactly, or above 200,000 rows in the likeliest cells.

Cells: k-means centres part the rows; a query looks into the cells whose centres suit it best, and there exactly. Rows
that came after the parting are always looked at, so that a new ware is found at once.

Source of the idea: the inverted file of Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search",
2011, without the quantisation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Rows = NDArray[np.int64]

EXACT_MOST = 200_000
_ROWS_A_CELL = 250
_PROBED_ROWS = 24_000
"""How many rows a query looks at. Measured in `benchmarks/shop_suggest.py`."""
_SAMPLE = 64_000
_ROUNDS = 6
_BLOCK = 16_384


def largest(values: Float32, k: int) -> Rows:
    """Where the `k` largest values are, in no order.

    >>> sorted(largest(np.array([3, 1, 2, 9], np.float32), 2).tolist())
    [0, 3]
    """
    n = len(values)
    if k >= n:
        return np.arange(n)
    if n > 4_096:
        # A sample tells above which value there are a few more than k; only those are looked at closely.
        sample = values[:: n // 1_024]
        keep = int(2.0 * k * len(sample) / n) + 8
        if keep < len(sample):
            some = np.flatnonzero(values > np.partition(sample, -keep)[-keep])
            if len(some) >= k:
                return some[values[some].argpartition(-k)[-k:]] if len(some) > k else some
    return np.asarray(np.argpartition(values, -k)[-k:])


class Nearest:
    """Vectors by row of the shelf, and the best of them for queries. Grows; `settle` parts it into cells.

    >>> near = Nearest(2); near.put(0, np.array([[1, 0], [0, 1], [0.9, 0.1]], np.float32))
    >>> sorted(near.top(np.array([[1, 0]], np.float32), 2)[0].tolist())
    [0, 2]
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.n = 0
        self.version = 0
        """Grows whenever `top` may say something else."""
        self._vectors = np.zeros((1_024, size), np.float32)
        self._cells: _Cells | None = None
        self._settled = 0
        """Rows that are in cells, or being parted just now."""
        self._moved: set[int] = set()
        """Rows whose vector changed since the cells were made."""

    def put(self, row: int, vectors: Float32) -> None:
        """Set the vectors from `row` on."""
        self.version += 1
        until = row + len(vectors)
        if until > len(self._vectors):
            grown = np.zeros((max(until, 2 * len(self._vectors)), self.size), np.float32)
            grown[: self.n] = self._vectors[: self.n]
            self._vectors = grown
        self._vectors[row:until] = vectors
        if self._settled:
            self._moved.update(range(row, min(until, self._settled)))
        self.n = max(self.n, until)

    def of(self, rows: Rows) -> Float32:
        """The vectors of these rows."""
        return self._vectors[rows]

    @property
    def is_quick(self) -> bool:
        """Whether a query takes about a millisecond: the rows are few, or in cells."""
        return self.n <= EXACT_MOST or self._cells is not None

    @property
    def needs_settling(self) -> bool:
        """Whether so much came since that cells would help."""
        return self.n > EXACT_MOST and self.n - self._settled + len(self._moved) > max(EXACT_MOST, self._settled) // 10

    def settle(self) -> None:
        """Part the rows there are into cells: half a minute a million rows. Queries and puts may go on meanwhile."""
        before, self._moved = self._moved, set()
        self._settled = self.n
        try:
            cells = _Cells.made(self._vectors[: self._settled])
        except BaseException:
            self._settled = 0 if self._cells is None else self._cells.n
            self._moved |= before
            raise
        self._cells = cells
        self.version += 1

    def top(self, queries: Float32, k: int) -> list[Rows]:
        """For each query, the rows with the largest products, in no order."""
        n, cells = self.n, self._cells
        if n == 0:
            return [np.zeros(0, np.int64) for _ in queries]
        if cells is None:
            products = _products(queries, self._vectors[:n])
            return [largest(products[at], k) for at in range(len(queries))]
        moved = list(self._moved)
        late = np.concatenate([np.arange(cells.n, n), np.asarray(moved, np.int64)]).astype(np.int64)
        late_products = _products(queries, self._vectors[late]) if len(late) else None
        found = cells.top(queries, k)
        if late_products is None:
            return found
        return [
            np.unique(np.concatenate([found[at], late[largest(late_products[at], k)]])) for at in range(len(queries))
        ]


class _Cells:
    """Rows, packed by cell."""

    def __init__(self, centres: Float32, packed: Float32, rows: Rows, starts: Rows) -> None:
        self.n = len(rows)
        self._centres, self._packed, self._rows, self._starts = centres, packed, rows, starts
        self._probes = max(1, round(_PROBED_ROWS / max(1.0, self.n / len(centres))))

    @classmethod
    def made(cls, vectors: Float32, seed: int = 0) -> _Cells:
        rng = np.random.default_rng(seed)
        count = max(1, len(vectors) // _ROWS_A_CELL)
        sample = vectors[rng.choice(len(vectors), min(len(vectors), max(_SAMPLE, 16 * count)), replace=False)]
        centres = sample[rng.choice(len(sample), count, replace=False)].copy()
        for _ in range(_ROUNDS):
            cell = _nearest_centre(sample, centres)
            sums = np.zeros_like(centres)
            np.add.at(sums, cell, sample)
            counts = np.bincount(cell, minlength=count)
            filled = counts > 0
            centres[filled] = sums[filled] / counts[filled, None]
            centres[~filled] = sample[rng.choice(len(sample), int((~filled).sum()))]
        cell = _nearest_centre(vectors, centres)
        rows = np.argsort(cell, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=count))])
        return cls(centres, vectors[rows], rows, starts)

    def top(self, queries: Float32, k: int) -> list[Rows]:
        near = _products(queries, self._centres)
        found = []
        for query, likely in zip(queries, near, strict=True):
            chosen = np.sort(largest(likely, self._probes))
            starts, ends = self._starts[chosen], self._starts[chosen + 1]
            products = np.concatenate(
                [self._packed[a:b] @ query for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
            )
            places = largest(products, k)
            # From the place among the probed rows back to the packed row.
            lengths = ends - starts
            offsets = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
            found.append(self._rows[places + offsets[places]])
        return found


def _products(queries: Float32, vectors: Float32) -> Float32:
    """`queries @ vectors.T`, the other way round: for few queries BLAS is two to four times as fast that way."""
    return np.ascontiguousarray((vectors @ queries.T).T)


def _nearest_centre(vectors: Float32, centres: Float32) -> Rows:
    half = (centres * centres).sum(1) / 2
    cell = np.empty(len(vectors), np.int64)
    for at in range(0, len(vectors), _BLOCK):
        cell[at : at + _BLOCK] = (vectors[at : at + _BLOCK] @ centres.T - half).argmax(1)
    return cell
