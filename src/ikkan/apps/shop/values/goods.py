"""What a shop sells, to whom, and what became of it. Amounts are integer micros of the order's currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

MethodKind: TypeAlias = Literal["gift_card", "paypal", "credit_card"]
PENDING, PENDING_CHANGED, PROCESSED, DELIVERED, CANCELLED = (
    "pending",
    "pending (item modified)",
    "processed",
    "delivered",
    "cancelled",
)
RETURN_REQUESTED, EXCHANGE_REQUESTED, REFUNDED = "return requested", "exchange requested", "refunded"
LATE, LOST = "late", "lost"
"""What the carrier says of a parcel that comes later than promised, and of one that will not come."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where something is sent."""

    line1: str
    line2: str
    city: str
    state: str
    country: str
    zip: str


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be ordered: a product in one choice of its options."""

    item_id: str
    product_id: str
    options: Mapping[str, str]
    price_micros: int
    is_available: bool


@dataclass(frozen=True, slots=True)
class Product:
    """A kind of thing, with the items it comes as."""

    product_id: str
    name: str
    items: Mapping[str, Item]


@dataclass(frozen=True, slots=True)
class Method:
    """A way a customer pays, and may be paid back."""

    method_id: str
    kind: MethodKind
    balance_micros: int | None = None
    """What is left on a gift card; None for the other kinds."""
    brand: str = ""
    last_four: str = ""


@dataclass(frozen=True, slots=True)
class Customer:
    """A person who buys here."""

    customer_id: str
    first_name: str
    last_name: str
    email: str
    address: Address
    methods: Mapping[str, Method]


@dataclass(frozen=True, slots=True)
class Line:
    """One piece of an order; two of a kind are two lines."""

    name: str
    product_id: str
    item_id: str
    price_micros: int
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that moved for an order, or back."""

    kind: Literal["payment", "refund"]
    amount_micros: int
    method_id: str


@dataclass(frozen=True, slots=True)
class Shipment:
    """A parcel and what is in it."""

    tracking_ids: tuple[str, ...]
    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Swap:
    """One piece for another of the same product."""

    item_id: str
    new_item_id: str


@dataclass(frozen=True, slots=True)
class Return:
    """What a customer asked to send back, and where the money goes."""

    item_ids: tuple[str, ...]
    method_id: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a customer asked to swap after delivery."""

    swaps: tuple[Swap, ...]
    method_id: str
    difference_micros: int
    """What the customer has still to pay; negative where money goes back."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody bought, and how it stands."""

    order_id: str
    customer_id: str
    status: str
    address: Address
    lines: tuple[Line, ...]
    payments: tuple[Payment, ...]
    shipments: tuple[Shipment, ...] = ()
    currency: str = "USD"
    carrier: str = ""
    """What the carrier last said: `late`, `lost`, `on the way`, `delivered`; empty before it said anything."""
    cancel_reason: str | None = None
    returned: Return | None = None
    exchanged: Exchange | None = None
    version: int = 0
    """Grows with each change, whoever makes it: the store, the carrier, the merchant."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a merchant allows. The rest is the same for every shop."""

    cancel_reasons: tuple[str, ...] = ("no longer needed", "ordered by mistake")
    confirm_within_s: float = 600.0
    """A question that is not answered by then is asked again: prices and stock move."""
    undo_within_s: float = 1_800.0
    sign_in_tries: int = 5
    """After so many wrong answers to "who are you" a person takes over."""
    model_tries: int = 3
    """So often a model may propose, after reading why it was refused, before a person takes over."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a decision may look at: one customer, their orders, the products these and the request name.

    Another person's order is not refused for being another's: it is not in here.
    """

    customer: Customer | None = None
    """None until the person has said who they are."""
    orders: Mapping[str, Order] = field(default_factory=dict)
    products: Mapping[str, Product] = field(default_factory=dict)
    policy: Policy = Policy()

    def item(self, item_id: str) -> Item | None:
        """An item of a product in this case."""
        return next((each.items[item_id] for each in self.products.values() if item_id in each.items), None)
