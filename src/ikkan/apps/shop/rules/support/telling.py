"""The sentences a customer reads before a yes, and after it, in three languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ikkan.apps.shop.rules.support import arguments as args
from ikkan.apps.shop.rules.support.needs import difference_micros, order_of, pairs
from ikkan.apps.shop.rules.support.tools import Call
from ikkan.apps.shop.values import LANGUAGES, Case, Language, Line, Method

Texts = Mapping[Language, str]

REASONS: Mapping[str, Texts] = {
    "no longer needed": {"ja": "不要になった", "en": "no longer needed", "zh": "不再需要"},
    "ordered by mistake": {"ja": "間違えて注文した", "en": "ordered by mistake", "zh": "误下单"},
}

_ASK: Mapping[str, Texts] = {
    "cancel_order": {
        "ja": "ご注文 {order} をキャンセルします(理由: {reason})。お支払い済みの {paid} を {methods} へ返金します。",
        "en": "Cancel order {order} (reason: {reason}). {paid} goes back to {methods}.",
        "zh": "取消订单 {order}（原因：{reason}）。已付的 {paid} 退回到 {methods}。",
    },
    "change_order_address": {
        "ja": "ご注文 {order} のお届け先を次に変えます: {address}",
        "en": "Send order {order} to: {address}",
        "zh": "将订单 {order} 的收货地址改为：{address}",
    },
    "change_order_payment": {
        "ja": "ご注文 {order} のお支払い {paid} を {method} に変え、元の方法へ返金します。",
        "en": "Pay {paid} for order {order} with {method}; the method before gets it back.",
        "zh": "订单 {order} 的 {paid} 改用 {method} 支付，原支付方式将获退款。",
    },
    "change_order_items": {
        "ja": "ご注文 {order} の商品を変えます: {swaps}。{difference}。"
        "これは一度だけで、その後は変更もキャンセルもできません。ほかに変える商品はありませんか。",
        "en": "Change in order {order}: {swaps}. {difference}. This can be done once; "
        "afterwards the order can be neither changed nor cancelled. Is anything missing?",
        "zh": "修改订单 {order} 的商品：{swaps}。{difference}。只能修改一次，之后不能再修改或取消。是否还有遗漏？",
    },
    "return_items": {
        "ja": "ご注文 {order} の次の商品を返品します: {items}。返金先は {method} です。"
        "返送方法はメールでお知らせします。",
        "en": "Return from order {order}: {items}. The refund goes to {method}; how to send it back comes by email.",
        "zh": "退回订单 {order} 的商品：{items}。退款至 {method}，退货方式将通过邮件告知。",
    },
    "exchange_items": {
        "ja": "ご注文 {order} の商品を交換します: {swaps}。{difference}。"
        "交換は一度だけです。ほかに交換する商品はありませんか。",
        "en": "Exchange in order {order}: {swaps}. {difference}. An exchange is possible once. Is anything missing?",
        "zh": "更换订单 {order} 的商品：{swaps}。{difference}。只能更换一次。是否还有遗漏？",
    },
    "refund_lost_order": {
        "ja": "紛失したご注文 {order} の {paid} を {method} へ返金します。",
        "en": "Order {order} is lost: {paid} goes back to {method}.",
        "zh": "订单 {order} 已丢失：{paid} 退款至 {method}。",
    },
    "change_my_address": {
        "ja": "ご登録の住所を次に変えます: {address}",
        "en": "Change your default address to: {address}",
        "zh": "将您的默认地址改为：{address}",
    },
}

YES_NO: Texts = {
    "ja": "よろしければ「はい」、やめる場合は「いいえ」とお答えください。",
    "en": "Please answer yes or no.",
    "zh": "请回答“是”或“否”。",
}
DONE: Texts = {"ja": "手続きしました。", "en": "Done.", "zh": "已办理。"}
UNDO: Texts = {
    "ja": "{minutes} 分以内なら「元に戻す」で取り消せます。",
    "en": 'You can take it back within {minutes} minutes: say "undo".',
    "zh": "{minutes} 分钟内可回复“撤销”取消此操作。",
}
UNDONE: Texts = {"ja": "元に戻しました。", "en": "It is as it was before.", "zh": "已恢复原状。"}


def money(micros: int, currency: str) -> str:
    """An amount as people write it.

    >>> money(1_234_500_000, "USD"), money(980_000_000, "JPY")
    ('1,234.50 USD', '980 JPY')
    """
    sign, cents = ("-" if micros < 0 else ""), abs(micros) // 10_000
    whole = f"{cents // 100:,}"
    return f"{sign}{whole if currency == 'JPY' else f'{whole}.{cents % 100:02d}'} {currency}"


def named(line: Line) -> str:
    """A line of an order with what was chosen of it, if there was a choice."""
    return f"{line.name} ({options(line.options)})" if line.options else line.name


def options(chosen: Mapping[str, str]) -> str:
    """A choice of options in one breath."""
    return ", ".join(chosen.values())


def method(found: Method, language: Language) -> str:
    """A way to pay, so that its owner knows which is meant."""
    names = {
        "gift_card": {"ja": "ギフトカード", "en": "gift card", "zh": "礼品卡"},
        "paypal": {"ja": "PayPal", "en": "PayPal", "zh": "PayPal"},
        "credit_card": {"ja": "クレジットカード", "en": "credit card", "zh": "信用卡"},
    }
    tail = f" …{found.last_four}" if found.last_four else f" {found.method_id.rpartition('_')[2]}"
    return names[found.kind][language] + tail


def question(call: Call, case: Case) -> dict[str, str]:
    """What the customer is asked to confirm, with every detail, in each language."""
    return {language: _ASK[call.tool.name][language].format(**_facts(call, case, language)) for language in LANGUAGES}


def _facts(call: Call, case: Case, language: Language) -> dict[str, str]:
    given, facts = call.arguments, {}
    assert case.customer is not None
    if isinstance(given, args.ToAddress):
        at = given.address
        street = " ".join(part for part in (at.line1, at.line2) if part)
        facts["address"] = f"{street}, {at.city}, {at.state} {at.zip}, {at.country}"
    if hasattr(given, "order_id"):
        order = order_of(case, given)
        paid = sum(p.amount_micros if p.kind == "payment" else -p.amount_micros for p in order.payments)
        used = dict.fromkeys(payment.method_id for payment in order.payments)
        known = [case.customer.methods[each] for each in used if each in case.customer.methods]
        facts |= {"order": order.order_id, "paid": money(paid, order.currency)}
        facts["methods"] = ", ".join(method(each, language) for each in known) or "-"
    if hasattr(given, "method_id"):
        facts["method"] = method(case.customer.methods[given.method_id], language)
    if isinstance(given, args.Cancel):
        facts["reason"] = REASONS.get(given.reason, {}).get(language, given.reason)
    if isinstance(given, args.ReturnItems):
        left = list(order_of(case, given).lines)
        facts["items"] = "; ".join(_taken(left, item_id) for item_id in given.item_ids)
    if isinstance(given, args.SwapItems):
        arrow = [
            f"{line.name} ({options(line.options)}) → {options(item.options)}" for line, item in pairs(case, given)
        ]
        facts["swaps"] = "; ".join(arrow)
        facts["difference"] = _difference(difference_micros(case, given), order.currency, facts["method"], language)
    return facts


def _taken(left: list[Any], item_id: str) -> str:
    line = next(line for line in left if line.item_id == item_id)
    left.remove(line)
    return named(line)


def _difference(micros: int, currency: str, method: str, language: Language) -> str:
    amount = money(abs(micros), currency)
    if micros > 0:
        return {"ja": f"差額 {amount} を {method} でお支払いいただきます",
                "en": f"You pay the difference of {amount} with {method}",
                "zh": f"差价 {amount} 由 {method} 支付"}[language]  # fmt: skip
    if micros < 0:
        return {"ja": f"差額 {amount} を {method} へ返金します",
                "en": f"The difference of {amount} goes back to {method}",
                "zh": f"差价 {amount} 退至 {method}"}[language]  # fmt: skip
    return {"ja": "差額はありません", "en": "There is no difference in price", "zh": "没有差价"}[language]


def told(tell: Callable[[Language], str]) -> dict[str, str]:
    """A sentence in each language."""
    return {language: tell(language) for language in LANGUAGES}
