"""When a parcel is late or lost: what is told, what is offered before anyone asks, and what a merchant wants of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias

from ikkan.apps.shop.values.support import Language

DELAYED = "shop.DeliveryDelayed"
"""Event: an order is late or lost, by the carrier's word or because its promised day has passed."""

Delay: TypeAlias = Literal["late", "lost"]
OfferState: TypeAlias = Literal["open", "taken", "declined", "over"]


@dataclass(frozen=True, slots=True)
class Care:
    """What a merchant wants when deliveries go wrong."""

    offers_help: bool = True
    """Whether customers are offered help before they ask."""
    grace_days: int = 0
    """So many days after the promised one an order is late."""
    utc_offset: str = "+09:00"
    """Where the shop's days end."""
    language: Language = "ja"
    """In which an offer is written down before anyone has read it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is known of an order's way."""

    order_id: str
    promised_on: date | None
    news: str
    said_at: datetime | None
    told: str
    """Of which delay the house knows: `late:2026-05-01`, `lost:`; empty: of none."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing a customer may do about it, judged by policy at the moment of asking."""

    intent: str
    label: Mapping[str, str]
    say: Mapping[str, str]
    """What the customer's side says in the conversation when it is chosen, by language."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Help that is offered before it is asked for. Once for each delay of an order; a no is remembered."""

    offer_id: str
    order_id: str
    kind: Delay
    customer_id: str
    subject_id: str
    talk_id: str
    """The conversation in which it waits."""
    state: OfferState
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a carrier's word."""

    order_id: str
    became: Literal["noted", "same", "stale", "unknown"]
    """`stale`: something newer had been said before; `unknown`: there is no such order."""
    delay: Delay | None = None
    """A delay the house did not know of before."""
