"""What each tool does to the shop, once everything it needs holds. New values out of old ones; nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from ikkan.apps.shop.rules.support import arguments as args
from ikkan.apps.shop.rules.support.needs import difference_micros, method_of, order_of, pairs
from ikkan.apps.shop.values import Case, Effect, Exchange, Order, Payment, Return
from ikkan.apps.shop.values.goods import (
    CANCELLED,
    EXCHANGE_REQUESTED,
    PENDING_CHANGED,
    REFUNDED,
    RETURN_REQUESTED,
)


def cancel(case: Case, call: args.Cancel) -> Effect:
    """Everything that was paid goes back the way it came; a gift card has it at once."""
    order = order_of(case, call)
    back = paid_by_method(order)
    refunds = tuple(Payment("refund", amount, method) for method, amount in back.items())
    after = replace(order, status=CANCELLED, cancel_reason=call.reason, payments=order.payments + refunds)
    return Effect(after, balances=_on_cards(case, back))


def change_address(case: Case, call: args.OrderToAddress) -> Effect:
    return Effect(replace(order_of(case, call), address=call.address))


def change_payment(case: Case, call: args.OrderToMethod) -> Effect:
    """The new method pays the whole, the old one gets it back."""
    order = order_of(case, call)
    (first,) = order.payments
    moved = (
        Payment("payment", first.amount_micros, call.method_id),
        Payment("refund", first.amount_micros, first.method_id),
    )
    after = replace(order, payments=order.payments + moved)
    return Effect(
        after,
        balances=_on_cards(case, {call.method_id: -first.amount_micros, first.method_id: first.amount_micros}),
    )


def change_items(case: Case, call: args.SwapItems) -> Effect:
    """The pieces are replaced where they stood; the difference is paid or given back now."""
    order, difference = order_of(case, call), difference_micros(case, call)
    lines = list(order.lines)
    for old, new in pairs(case, call):
        at = next(place for place, line in enumerate(lines) if line is old)
        lines[at] = replace(old, item_id=new.item_id, price_micros=new.price_micros, options=new.options)
    payment = Payment("payment" if difference > 0 else "refund", abs(difference), call.method_id)
    after = replace(order, status=PENDING_CHANGED, lines=tuple(lines), payments=(*order.payments, payment))
    return Effect(after, balances=_on_cards(case, {call.method_id: -difference}))


def return_items(case: Case, call: args.ReturnItems) -> Effect:
    """The return is asked for; money moves when the parcel is back."""
    asked = Return(call.item_ids, call.method_id)
    return Effect(replace(order_of(case, call), status=RETURN_REQUESTED, returned=asked))


def exchange_items(case: Case, call: args.SwapItems) -> Effect:
    """The exchange is asked for; money moves when the parcel is back."""
    asked = Exchange(call.swaps, call.method_id, difference_micros(case, call))
    return Effect(replace(order_of(case, call), status=EXCHANGE_REQUESTED, exchanged=asked))


def refund_lost(case: Case, call: args.OrderToMethod) -> Effect:
    """What was paid for a lost parcel goes back, to one method."""
    order = order_of(case, call)
    amount = sum(paid_by_method(order).values())
    after = replace(order, status=REFUNDED, payments=(*order.payments, Payment("refund", amount, call.method_id)))
    balance = {call.method_id: amount} if method_of(case, call).kind == "gift_card" else {}
    return Effect(after, balances=balance)


def change_my_address(case: Case, call: args.ToAddress) -> Effect:
    return Effect(address=call.address)


def paid_by_method(order: Order) -> dict[str, int]:
    """What each method has paid and not had back, in the order of the payments.

    >>> from ikkan.apps.shop.values import Address
    >>> home = Address("1 Main St", "", "Denver", "CO", "USA", "80201")
    >>> paid = (Payment("payment", 5, "a"), Payment("payment", 5, "b"), Payment("refund", 5, "a"))
    >>> paid_by_method(Order("#1", "c", "pending", home, (), paid))
    {'b': 5}
    """
    sums: Counter[str] = Counter()
    for payment in order.payments:
        sums[payment.method_id] += payment.amount_micros if payment.kind == "payment" else -payment.amount_micros
    return {method: amount for method, amount in sums.items() if amount > 0}


def _on_cards(case: Case, moved: Mapping[str, int]) -> dict[str, int]:
    """Only gift cards keep a balance with us."""
    assert case.customer is not None
    methods = case.customer.methods
    return {name: by for name, by in moved.items() if by and name in methods and methods[name].kind == "gift_card"}
