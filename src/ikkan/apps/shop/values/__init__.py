"""Facts of the shop.

Goods, customers and orders (`goods.py`), what is said and asked in support (`support.py`), what is on the shelf
(`catalogue.py`), what people do (`behaviour.py`), what they seem to want (`mood.py`), what is suggested
(`suggestion.py`).
"""

from ikkan.apps.shop.values.behaviour import DEEDS, Deed, Happened, Told
from ikkan.apps.shop.values.catalogue import Ware
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
from ikkan.apps.shop.values.merchant import (
    RULE_KINDS,
    Calibration,
    Interval,
    MerchantRule,
    PolicyValue,
    Report,
    RuleKind,
    SurfaceReport,
    Tenth,
)
from ikkan.apps.shop.values.mood import MODES, Evidence, Mode, Mood
from ikkan.apps.shop.values.suggestion import SURFACES, Ask, Because, Suggested, Suggestions, Surface
from ikkan.apps.shop.values.support import LANGUAGES, Effect, Language, Outcome, Refusal

__all__ = [
    "DEEDS",
    "LANGUAGES",
    "MODES",
    "RULE_KINDS",
    "SURFACES",
    "Address",
    "Ask",
    "Because",
    "Calibration",
    "Case",
    "Customer",
    "Deed",
    "Effect",
    "Evidence",
    "Exchange",
    "Happened",
    "Interval",
    "Item",
    "Language",
    "Line",
    "MerchantRule",
    "Method",
    "Mode",
    "Mood",
    "Order",
    "Outcome",
    "Payment",
    "Policy",
    "PolicyValue",
    "Product",
    "Refusal",
    "Report",
    "Return",
    "RuleKind",
    "Shipment",
    "Suggested",
    "Suggestions",
    "Surface",
    "SurfaceReport",
    "Swap",
    "Tenth",
    "Told",
    "Ware",
]
