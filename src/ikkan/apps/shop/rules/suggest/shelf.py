"""The shelf as columns: a row a ware, so that a list is chosen by arithmetic on rows. No row is used twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.suggest.facets import SIZE, Facets
from ikkan.apps.shop.values import Ware

Rows = NDArray[np.int64]

ARRIVALS = 64
"""A put of at most so many wares is news; more at once is an import, and an import is not."""


class Shelf:
    """Wares by id and by row.

    >>> from datetime import UTC, datetime
    >>> shelf = Shelf(); ware = Ware("tea", "Tea", "Food > Tea", 4_000_000, "EUR", datetime(2026, 6, 1, tzinfo=UTC))
    >>> shelf.put([ware]).tolist(), shelf.ware("tea").name, shelf.remove("tea"), bool(shelf.can_be_had[0])
    ([0], 'Tea', True, False)
    """

    def __init__(self) -> None:
        self.n = 0
        self.row_of: dict[str, int] = {}
        self.wares: list[Ware | None] = []
        """None: it was deleted; its row stays empty."""
        self.arrived: deque[int] = deque(maxlen=10_000)
        """Rows of new wares that nobody was shown yet, the longest waiting first."""
        self._facets = Facets()
        self._codes: dict[str, int] = {}
        self._grow(1_024)

    def put(self, wares: Sequence[Ware]) -> Rows:
        """Add wares, or replace those of the same id; returns their rows."""
        is_news = bool(self.n) and len(wares) <= ARRIVALS
        rows = np.empty(len(wares), np.int64)
        for at, ware in enumerate(wares):
            row = self.row_of.get(ware.product_id)
            if row is None:
                row = self.n
                if row >= len(self.can_be_had):
                    self._grow(2 * row)
                self.row_of[ware.product_id] = row
                self.wares.append(None)
                self.n = row + 1
                if is_news and ware.can_be_had:
                    self.arrived.append(row)
            rows[at] = row
            self.wares[row] = ware
            self.category[row] = self._code("c:" + ware.category)
            self.seller[row] = self._code("s:" + ware.seller)
            self.added_s[row] = ware.added_at.timestamp()
            self.price[row] = ware.price_micros
            self.margin[row] = 0.0 if ware.margin_share is None else ware.margin_share
            self.stock[row] = -1 if ware.stock is None else ware.stock
            self.can_be_had[row] = ware.can_be_had
        if len(wares):
            self.facets[rows] = self._facets.vectors(wares)
            self.log_price[rows] = np.log(np.maximum(self.price[rows], 1.0))
        return rows

    def remove(self, product_id: str) -> bool:
        """Take a ware away; False where it is not there."""
        row = self.row_of.get(product_id)
        if row is None or self.wares[row] is None:
            return False
        self.can_be_had[row] = False
        self.wares[row] = None
        return True

    def ware(self, product_id: str) -> Ware | None:
        """A ware by its id."""
        row = self.row_of.get(product_id)
        return None if row is None else self.wares[row]

    def rows(self, product_ids: Sequence[str]) -> list[int]:
        """The rows of those that are known, in their order."""
        found = (self.row_of.get(each) for each in product_ids)
        return [row for row in found if row is not None]

    def in_category(self, category: str) -> Rows:
        """Rows of a category and all below it."""
        codes = [
            code for name, code in self._codes.items() if name == f"c:{category}" or name.startswith(f"c:{category} > ")
        ]
        return np.flatnonzero(np.isin(self.category[: self.n], codes))

    def of_seller(self, seller: str) -> Rows:
        """Rows of a seller."""
        return np.flatnonzero(self.seller[: self.n] == self._codes.get(f"s:{seller}", -1))

    def _code(self, name: str) -> int:
        return self._codes.setdefault(name, len(self._codes))

    def _grow(self, size: int) -> None:
        n = self.n
        kinds = {
            "category": np.int32, "seller": np.int32, "added_s": np.float64, "price": np.float64,
            "log_price": np.float32, "margin": np.float32, "stock": np.int32, "can_be_had": np.bool_,
            "exposures": np.int32,
        }  # fmt: skip
        for name, kind in kinds.items():
            column: NDArray[Any] = np.zeros(size, kind)
            if n:
                column[:n] = getattr(self, name)[:n]
            setattr(self, name, column)
        facets = np.zeros((size, SIZE), np.float32)
        if n:
            facets[:n] = self.facets[:n]
        self.facets = facets

    # What `_grow` makes; a reader takes a column once and uses that.
    category: NDArray[np.int32]
    seller: NDArray[np.int32]
    added_s: NDArray[np.float64]
    price: NDArray[np.float64]
    log_price: NDArray[np.float32]
    margin: NDArray[np.float32]
    stock: NDArray[np.int32]
    """-1: not counted."""
    can_be_had: NDArray[np.bool_]
    exposures: NDArray[np.int32]
    facets: NDArray[np.float32]
