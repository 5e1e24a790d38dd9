"""What is asked, answered and agreed in a conversation of support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from ikkan.apps.shop.values.goods import Address, Order

Language: TypeAlias = Literal["ja", "en", "zh"]
LANGUAGES: tuple[Language, ...] = ("ja", "en", "zh")

CONFIRMED, UNDONE, HANDED_OVER = "SupportConfirmed", "SupportUndone", "SupportHandedOver"
"""Events: a customer's yes was carried out; taken back in time; a person was asked to take over."""
HEARD, SORTED = "SupportHeard", "SupportSorted"
"""Events: a known customer said in their own words what they want, and how it was read; a person of the shop said what
a conversation had been about."""
INTENT_LEARNABLE = "shop.support_intent"
TOOL_INTENTS: Mapping[str, str] = {
    "order_status": "status",
    "cancel_order": "cancel",
    "return_items": "return",
    "change_order_items": "swap",
    "exchange_items": "swap",
    "change_order_address": "order_address",
    "change_my_address": "my_address",
    "change_order_payment": "payment",
    "refund_lost_order": "lost",
    "product_details": "product",
}
"""What a customer wanted for whom this tool was carried out."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something was not done. `code` names the precondition that does not hold."""

    code: str
    says: Mapping[str, str]
    """The reason, in each language."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a tool would change. Nothing else is written."""

    order: Order | None = None
    """The order as it will be."""
    address: Address | None = None
    """The customer's new default address."""
    balances: Mapping[str, int] = field(default_factory=dict)
    """Micros added to each gift card; negative where it pays."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a proposed call, a yes or a wish to undo."""

    kind: Literal["told", "asked", "done", "undone", "refused", "handed_over"]
    tool: str = ""
    says: Mapping[str, str] = field(default_factory=dict)
    """In each language: the question to confirm, what was done, or why not."""
    code: str = ""
    """Of a refusal."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What a reading tool found."""
    proposal_id: str = ""
    digest: str = ""
    """What a yes to this question must carry."""
    until: datetime | None = None
    """Until when it may be confirmed, or undone."""

    @property
    def is_done(self) -> bool:
        """Whether something was written."""
        return self.kind in {"done", "undone"}


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation as it stands."""

    talk_id: str
    subject_id: str | None
    """The session that opened it, as a pseudonym."""
    customer_id: str | None
    language: Language
    state: Literal["open", "human", "closed"]
    guide: Mapping[str, Any]
    """Where the guided dialogue stands."""
    tries: int
    """Wrong answers to "who are you" so far."""


@dataclass(frozen=True, slots=True)
class Said:
    """One turn of a conversation."""

    who: Literal["customer", "shop", "person"]
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Proposal:
    """A question that waits for a yes, or what became of it."""

    proposal_id: str
    talk_id: str
    customer_id: str
    tool: str
    arguments: Mapping[str, Any]
    state_sha256: str
    digest: str
    state: Literal["asked", "done", "undone", "superseded", "stale"]
    asked_at: datetime
    expires_at: datetime
    undo_until: datetime | None
    undo: Mapping[str, Any]
    """What was there before."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A conversation that waits for a person."""

    entry_id: str
    talk_id: str
    customer_id: str | None
    reason: str
    summary: str
    state: Literal["open", "closed"]
    created_at: datetime
