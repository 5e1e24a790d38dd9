"""What is offered to a customer whose parcel is late or lost, before they ask. Pure.

Nothing is promised here that the tools would refuse: each choice is judged by the same preconditions as if the
customer had asked for it, at the moment the offer is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from ikkan.apps.shop.rules.support import phrases, tools
from ikkan.apps.shop.rules.support.phrases import Texts
from ikkan.apps.shop.values import LANGUAGES, Case, Language, Order, Refusal
from ikkan.apps.shop.values.care import Choice, Delay

_LATE: Texts = {
    "ja": "ご注文 {order}({what})のお届けが{day}遅れています。申し訳ありません。お手伝いできることがあります。",
    "en": "Your order {order} ({what}) is late{day}. I am sorry. I can help now, if you like.",
    "zh": "您的订单 {order}（{what}）{day}延误了，非常抱歉。如有需要，我现在就可以协助您。",
}
_LOST: Texts = {
    "ja": "ご注文 {order}({what})は、配送会社から紛失の知らせがありました。申し訳ありません。すぐに手続きできます。",
    "en": "The carrier says your order {order} ({what}) is lost. I am sorry. I can settle it now, if you like.",
    "zh": "承运商表示您的订单 {order}（{what}）已丢失，非常抱歉。我现在就可以为您处理。",
}
_PROMISED: Texts = {
    "ja": "予定日({day})より",
    "en": " (it was promised for {day})",
    "zh": "未能在预计日期（{day}）送达，",
}
_SAY: Mapping[str, Texts] = {
    "status": {"ja": "注文 {order} の状況", "en": "Where is order {order}?", "zh": "订单 {order} 的状态"},
    "cancel": {"ja": "注文 {order} をキャンセル", "en": "Cancel order {order}", "zh": "取消订单 {order}"},
    "lost": {"ja": "注文 {order} の紛失の返金", "en": "Refund the lost order {order}", "zh": "订单 {order} 丢失退款"},
    "person": {"ja": "担当者と話したい", "en": "I want to talk to a person", "zh": "我要人工客服"},
}
_CALLS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "status": ("order_status", {}),
    "lost": ("refund_lost_order", {"method_id": ""}),
    "cancel": ("cancel_order", {"reason": "no longer needed"}),
}
_SHOWN = 2


def says(kind: Delay, order: Order, promised_on: date | None, language: Language) -> str:
    """The offer in words."""
    named = ", ".join(line.name for line in order.lines[:_SHOWN]) + (" …" if len(order.lines) > _SHOWN else "")
    day = "" if promised_on is None else _PROMISED[language].format(day=promised_on.isoformat())
    # Names of products are the merchant's text: whatever they say, they are only shown.
    return (_LOST if kind == "lost" else _LATE)[language].format(order=order.order_id, what=named, day=day)


def choices(order: Order, case: Case) -> tuple[Choice, ...]:
    """What may be done about it now, by policy; a person always."""
    found = [name for name in _CALLS if _may(name, order, case)]
    return tuple(
        Choice(
            name,
            {str(language): phrases.INTENTS[name][language] for language in LANGUAGES},
            {str(language): _SAY[name][language].format(order=order.order_id) for language in LANGUAGES},
        )
        for name in (*found, "person")
    )


def _may(name: str, order: Order, case: Case) -> bool:
    tool, given = _CALLS[name]
    filled = {key: value or (order.payments[0].method_id if order.payments else "") for key, value in given.items()}
    call = tools.read(tool, {"order_id": order.order_id, **filled})
    return not isinstance(call, Refusal) and tools.missing(call, case) is None
