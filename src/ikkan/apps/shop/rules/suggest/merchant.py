"""Merchants' rules, made ready for rows of the shelf."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.suggest.shelf import Shelf
from ikkan.apps.shop.values import MerchantRule, Surface

BOUGHT_WINDOW_S = 90 * 86_400.0
"""What was bought is not suggested for so long, unless the merchant says otherwise."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The rules of one surface."""

    pins: tuple[tuple[int, int], ...] = ()
    """Place and row, by place."""
    buried: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    category_cap: int | None = None
    seller_cap: int | None = None
    caps: tuple[tuple[NDArray[np.int64], int], ...] = ()
    """Rows of which a list holds at most so many."""
    margin: float = 0.0
    stock_floor: int = 1
    bought_window_s: float = BOUGHT_WINDOW_S
    bought_windows: tuple[tuple[NDArray[np.int64], float], ...] = ()
    """Rows with a window of their own; the last that holds a row counts."""

    @property
    def has_caps(self) -> bool:
        """Whether a list may hold only so many of something."""
        return self.category_cap is not None or self.seller_cap is not None or bool(self.caps)


def made_ready(rules: Sequence[MerchantRule], shelf: Shelf, surface: Surface, now: datetime) -> Ready:
    """What the rules that hold now say of this surface."""
    pins: dict[int, int] = {}
    buried: list[NDArray[np.int64]] = []
    caps: list[tuple[NDArray[np.int64], int]] = []
    windows: list[tuple[NDArray[np.int64], float]] = []
    ready = {"category_cap": None, "seller_cap": None, "margin": 0.0, "stock_floor": 1, "bought": BOUGHT_WINDOW_S}
    for rule in rules:
        if rule.surface not in (None, surface) or (rule.until is not None and rule.until <= now):
            continue
        amount = 0.0 if rule.amount is None else rule.amount
        rows = _rows_of(rule, shelf)
        if rule.kind == "pin" and rows is not None and len(rows):
            pins[int(amount)] = int(rows[0])
        elif rule.kind == "bury" and rows is not None:
            buried.append(rows)
        elif rule.kind == "cap":
            if rows is None:
                ready[f"{rule.of}_cap"] = int(amount)
            else:
                caps.append((rows, int(amount)))
        elif rule.kind == "margin":
            ready["margin"] = amount
        elif rule.kind == "stock_floor":
            ready["stock_floor"] = max(1, int(amount))
        elif rule.kind == "bought_window":
            if rows is None:
                ready["bought"] = amount * 86_400.0
            else:
                windows.append((rows, amount * 86_400.0))
    return Ready(
        tuple(sorted(pins.items())),
        np.unique(np.concatenate(buried)) if buried else np.zeros(0, np.int64),
        _whole(ready["category_cap"]),
        _whole(ready["seller_cap"]),
        tuple(caps),
        float(ready["margin"] or 0.0),
        int(ready["stock_floor"] or 1),
        float(ready["bought"] or 0.0),
        tuple(windows),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _rows_of(rule: MerchantRule, shelf: Shelf) -> NDArray[np.int64] | None:
    """The rows a rule names; None where it names nothing."""
    if rule.product_id is not None:
        return np.asarray(shelf.rows([rule.product_id]), np.int64)
    if rule.category is not None:
        return shelf.in_category(rule.category)
    if rule.seller is not None:
        return shelf.of_seller(rule.seller)
    return None
