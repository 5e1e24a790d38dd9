"""What people do in a shop, as it is told: by the shop's pages, by its server, by an import."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

Deed: TypeAlias = Literal["viewed", "carted", "uncarted", "bought", "returned", "complained", "disliked", "searched"]
DEEDS: tuple[Deed, ...] = ("viewed", "carted", "uncarted", "bought", "returned", "complained", "disliked", "searched")
"""Their order is their number wherever deeds are numbers."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing one person did. The same `event_id` twice is the same event: the second changes nothing."""

    event_id: str
    """Chosen by whoever tells it."""
    person: str
    """A visitor's or customer's id as the shop knows it; it becomes a pseudonym at the door."""
    deed: Deed
    at: datetime
    """By the teller's clock; the door does not believe what lies in the future."""
    product_id: str | None = None
    """None for a search."""
    session_id: str | None = None
    impression_id: str | None = None
    """The list it was answered from, so that what was shown can be learned from."""
    price_micros: int | None = None
    quantity: int = 1
    rating: float | None = None
    used_coupon: bool = False
    dwell_s: float | None = None
    query: str = ""
    """What was searched for."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a batch of events."""

    accepted: int
    repeated: int
    """Known already, by their id."""
    refused: tuple[tuple[int, str], ...] = ()
    """Place in the batch → what is wrong with it."""
