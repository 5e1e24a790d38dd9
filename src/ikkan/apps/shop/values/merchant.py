"""What a merchant decides about suggestions, and what they are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from ikkan.apps.shop.values.suggestion import Surface

RuleKind: TypeAlias = Literal["pin", "bury", "cap", "margin", "stock_floor", "bought_window"]
RULE_KINDS: tuple[RuleKind, ...] = ("pin", "bury", "cap", "margin", "stock_floor", "bought_window")


@dataclass(frozen=True, slots=True)
class MerchantRule:
    """One rule. What it names narrows it; a rule that names nothing holds for every ware."""

    rule_id: str
    kind: RuleKind
    """`pin`: at the place `amount`, from 0. `bury`: never. `cap`: at most `amount` of one `of` in a list. `margin`: so
    much weight on what is left of the price. `stock_floor`: at least so many pieces. `bought_window`: what was bought
    is not suggested for so many days."""
    amount: float | None = None
    of: Literal["category", "seller"] = "category"
    """What a cap counts."""
    surface: Surface | None = None
    """None: everywhere."""
    product_id: str | None = None
    category: str | None = None
    """This category and all below it."""
    seller: str | None = None
    until: datetime | None = None
    """None: until it is dropped."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the bounds it lies between, 95 times of 100."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """What a way to fill the explored places would have earned, in clicks a place, from what was logged."""

    policy: str
    """`logged`, `uniform`, `blend` or `linear`."""
    ips: Interval
    """Inverse propensity scoring: needs no model, is noisy."""
    dr: Interval
    """Doubly robust: a model of clicks, corrected by what happened."""
    n: int


@dataclass(frozen=True, slots=True)
class Tenth:
    """A tenth of the places that were shown, by how likely a click on them was held to be."""

    expected: float
    """The mean of what was said when they were shown."""
    happened: Interval
    """The share that was clicked."""
    places: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether what is said to happen once in ten times does."""

    tenths: tuple[Tenth, ...]
    """The least likely first."""
    error: float
    """How far what was expected and what happened are apart, on average over places."""


@dataclass(frozen=True, slots=True)
class SurfaceReport:
    """What one surface showed and what became of it."""

    surface: Surface
    lists: int
    shown: int
    """Places filled."""
    clicks: int
    click_rate: Interval
    """Of places."""
    bought_after_click: int
    revenue_after_click_micros: Interval
    """Bought within the window after a click on the list; bounds by drawing people anew."""
    revenue_after_shown_micros: Interval
    """Bought within the window after it was shown, clicked or not: an upper bound of what the list did."""
    coverage: float
    """Share of the shelf that was shown."""
    distance: float
    """How unlike two wares of one list are, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Report:
    """What suggestions did since a moment."""

    since: datetime
    until: datetime
    window_days: float
    """A purchase counts for a list this long after it."""
    currency: str
    surfaces: tuple[SurfaceReport, ...]
    policies: tuple[PolicyValue, ...]
    """Of the explored places, all surfaces together."""
    model: str
    calibration: Calibration | None = None
    """Of all places; None while there are too few of them."""
    facts: Mapping[str, float] = field(default_factory=dict)
