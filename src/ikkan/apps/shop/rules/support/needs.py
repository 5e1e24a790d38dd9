"""Preconditions: each one small question about a case and a call, with the sentence that says what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ikkan.apps.shop.rules.support import arguments as args
from ikkan.apps.shop.values import Case, Item, Line, Method, Order
from ikkan.apps.shop.values.goods import DELIVERED, LOST, PENDING


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that must hold before a tool may do anything."""

    code: str
    holds: Callable[[Case, Any], bool]
    says: Mapping[str, str]
    """What is missing where it does not hold."""


def need(*, ja: str, en: str, zh: str) -> Callable[[Callable[[Case, Any], bool]], Need]:
    """A function as a precondition, named after itself."""

    def made(holds: Callable[[Case, Any], bool]) -> Need:
        return Need(holds.__name__, holds, {"ja": ja, "en": en, "zh": zh})

    return made


# ---- what needs look up; each is only called where the needs before it hold ------------------------------------------


def order_of(case: Case, call: Any) -> Order:
    """The order a call names."""
    return case.orders[call.order_id]


def method_of(case: Case, call: Any) -> Method:
    """The way to pay a call names."""
    assert case.customer is not None
    return case.customer.methods[call.method_id]


def pairs(case: Case, call: args.SwapItems) -> list[tuple[Line, Item]]:
    """For each swap the line that leaves and the item that comes; two swaps of one item take two lines."""
    left = list(order_of(case, call).lines)
    found = []
    for swap in call.swaps:
        line = next(line for line in left if line.item_id == swap.item_id)
        left.remove(line)
        found.append((line, case.products[line.product_id].items[swap.new_item_id]))
    return found


def difference_micros(case: Case, call: args.SwapItems) -> int:
    """What swaps cost more than what they replace."""
    return sum(item.price_micros - line.price_micros for line, item in pairs(case, call))


def paid_once(order: Order) -> bool:
    """Whether exactly one payment was made, and nothing was given back."""
    return [payment.kind for payment in order.payments] == ["payment"]


# ---- the needs -------------------------------------------------------------------------------------------------------


@need(
    ja="先にご本人の確認が必要です。メールアドレス、またはお名前と郵便番号をお知らせください。",
    en="First I need to know who you are: your email address, or your name and zip code.",
    zh="请先确认您的身份：请提供电子邮箱，或姓名和邮政编码。",
)
def signed_in(case: Case, call: Any) -> bool:
    return case.customer is not None


@need(
    ja="この会話ではすでに別のお客様として確認済みです。別の方のご用件は新しい会話でお願いします。",
    en="This conversation already belongs to one customer. Another person needs a conversation of their own.",
    zh="本次会话已确认为一位顾客。其他人的事项请另开会话。",
)
def nobody_signed_in_yet(case: Case, call: Any) -> bool:
    return case.customer is None


@need(
    ja="その番号のご注文は、お客様のご注文の中に見つかりません。",
    en="There is no order with that number among your orders.",
    zh="在您的订单中找不到这个订单号。",
)
def order_is_yours(case: Case, call: Any) -> bool:
    return call.order_id in case.orders


@need(
    ja="この手続きは、まだ発送準備に入っていない(pending の)ご注文にだけできます。",
    en="This can be done only while an order is pending, and not after its items were changed.",
    zh="只有处于待处理(pending)状态、且尚未修改过商品的订单才能办理。",
)
def order_is_pending(case: Case, call: Any) -> bool:
    return order_of(case, call).status == PENDING


@need(
    ja="返品と交換は、お届け済みのご注文に一度だけできます。",
    en="A return or an exchange is possible for a delivered order, once.",
    zh="退货或换货只适用于已送达的订单，且只能办理一次。",
)
def order_is_delivered(case: Case, call: Any) -> bool:
    return order_of(case, call).status == DELIVERED


@need(
    ja="キャンセルの理由は「不要になった」か「間違えて注文した」のどちらかに限ります。",
    en='An order can be cancelled because it is "no longer needed" or was "ordered by mistake"; for no other reason.',
    zh="取消原因只能是“不再需要”或“误下单”。",
)
def reason_is_allowed(case: Case, call: args.Cancel) -> bool:
    return call.reason in case.policy.cancel_reasons


@need(
    ja="そのお支払い方法は、お客様の登録にありません。",
    en="That payment method is not among yours.",
    zh="您的账户中没有这种支付方式。",
)
def method_is_yours(case: Case, call: Any) -> bool:
    return case.customer is not None and call.method_id in case.customer.methods


@need(
    ja="お支払いが一度だけのご注文でのみ、支払い方法を変えられます。",
    en="The payment method can be changed only where the order was paid once, in one way.",
    zh="只有一次性付款的订单才能更改支付方式。",
)
def order_was_paid_once(case: Case, call: Any) -> bool:
    return paid_once(order_of(case, call))


@need(
    ja="今のお支払い方法と同じです。別の方法をお選びください。",
    en="That is the payment method the order has already. Choose another one.",
    zh="这与当前支付方式相同，请选择另一种。",
)
def method_is_another(case: Case, call: Any) -> bool:
    return bool(order_of(case, call).payments[0].method_id != call.method_id)


@need(
    ja="ギフトカードの残高が足りません。",
    en="There is not enough left on the gift card.",
    zh="礼品卡余额不足。",
)
def card_covers_the_order(case: Case, call: Any) -> bool:
    balance = method_of(case, call).balance_micros
    return balance is None or balance >= order_of(case, call).payments[0].amount_micros


@need(
    ja="ギフトカードの残高が差額に足りません。",
    en="There is not enough left on the gift card for the difference in price.",
    zh="礼品卡余额不足以支付差价。",
)
def card_covers_the_difference(case: Case, call: args.SwapItems) -> bool:
    balance = method_of(case, call).balance_micros
    return balance is None or balance >= difference_micros(case, call)


@need(
    ja="返金先は、元のお支払い方法か、お持ちのギフトカードに限ります。",
    en="A refund goes to the payment method the order was paid with, or to a gift card of yours.",
    zh="退款只能退回原支付方式，或您已有的礼品卡。",
)
def refund_goes_where_it_may(case: Case, call: Any) -> bool:
    order = order_of(case, call)
    return method_of(case, call).kind == "gift_card" or bool(
        order.payments and order.payments[0].method_id == call.method_id
    )


@need(
    ja="その商品は、このご注文にその数だけ入っていません。",
    en="The order does not have these items, or not as many of them.",
    zh="该订单中没有这些商品，或数量不足。",
)
def items_are_in_the_order(case: Case, call: Any) -> bool:
    wanted = Counter(call.item_ids if hasattr(call, "item_ids") else (swap.item_id for swap in call.swaps))
    return wanted <= Counter(line.item_id for line in order_of(case, call).lines)


@need(
    ja="交換・変更は、同じ商品の別の仕様にだけできます。",
    en="An item can only become another variant of the same product.",
    zh="只能更换为同一商品的其他规格。",
)
def new_items_are_of_the_same_product(case: Case, call: args.SwapItems) -> bool:
    kinds = {line.item_id: line.product_id for line in order_of(case, call).lines}
    known = {swap: case.products.get(kinds[swap.item_id]) for swap in call.swaps}
    return all(product is not None and swap.new_item_id in product.items for swap, product in known.items())


@need(
    ja="新しい商品が今の商品と同じです。別の仕様をお選びください。",
    en="The new item is the same as the old one. Choose another variant.",
    zh="新商品与原商品相同，请选择其他规格。",
)
def new_items_are_others(case: Case, call: args.SwapItems) -> bool:
    return all(swap.item_id != swap.new_item_id for swap in call.swaps)


@need(
    ja="その仕様は在庫がありません。",
    en="That variant is not available.",
    zh="该规格目前没有库存。",
)
def new_items_are_available(case: Case, call: args.SwapItems) -> bool:
    return all(item.is_available for _, item in pairs(case, call))


@need(
    ja="配送会社が紛失と認めたご注文にだけ返金できます。",
    en="This refund is for an order that the carrier says is lost.",
    zh="此退款仅适用于承运商确认丢失的订单。",
)
def carrier_lost_it(case: Case, call: Any) -> bool:
    order = order_of(case, call)
    return order.carrier == LOST and order.status == "processed"


@need(ja="その商品は見つかりません。", en="There is no such product.", zh="找不到该商品。")
def product_exists(case: Case, call: args.OfProduct) -> bool:
    return call.product_id in case.products


@need(ja="その商品番号は見つかりません。", en="There is no such item.", zh="找不到该商品编号。")
def item_exists(case: Case, call: args.OfItem) -> bool:
    return case.item(call.item_id) is not None
