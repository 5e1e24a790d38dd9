"""Facts of the shop: goods, customers, orders (`goods.py`), and what is said and asked in support (`support.py`)."""

from ikkan.apps.shop.values.goods import (
    Address,
    Case,
    Customer,
    Exchange,
    Item,
    Line,
    Method,
    Order,
    Payment,
    Policy,
    Product,
    Return,
    Shipment,
    Swap,
)
from ikkan.apps.shop.values.support import LANGUAGES, Effect, Language, Outcome, Refusal

__all__ = [
    "LANGUAGES",
    "Address",
    "Case",
    "Customer",
    "Effect",
    "Exchange",
    "Item",
    "Language",
    "Line",
    "Method",
    "Order",
    "Outcome",
    "Payment",
    "Policy",
    "Product",
    "Refusal",
    "Return",
    "Shipment",
    "Swap",
]
