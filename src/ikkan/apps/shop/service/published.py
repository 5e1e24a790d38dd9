"""What the published actions do to a retail database, edit by edit: an oracle that shares no code with our tools.

Written from the behaviour of the published tools and from the policy document; plain edits of plain JSON. An action
the published tools would refuse changes nothing. One thing there is a fault of the published code, not of the policy:
when several items of a pending order are modified at once, each of them gets the price and the options of the last
one. With `own_prices` each gets its own, as the policy says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]


class _Refused(Exception):
    """The published tool would raise here."""


def apply(database: Json, name: str, given: Json, *, own_prices: bool = False) -> bool:
    """Do one action to `database`, in place; False where it changes nothing: refused, or only reading."""
    edit = _EDITS.get(name)
    if edit is None:
        return False
    try:
        edit(database, given, own_prices)
    except _Refused:
        return False
    return True


def _check(fine: bool) -> None:
    if not fine:
        raise _Refused


def _order(database: Json, given: Json) -> Json:
    _check(given["order_id"] in database["orders"])
    order: Json = database["orders"][given["order_id"]]
    return order


def _way(database: Json, order: Json, way: str) -> Json:
    ways = database["users"][order["user_id"]]["payment_methods"]
    _check(way in ways)
    found: Json = ways[way]
    return found


def _add(way: Json, amount: float) -> None:
    if way["source"] == "gift_card":
        way["balance"] = round(way["balance"] + amount, 2)


def _cancel(database: Json, given: Json, own_prices: bool) -> None:
    order = _order(database, given)
    _check(order["status"] == "pending" and given["reason"] in ("no longer needed", "ordered by mistake"))
    refunds = []
    for paid in order["payment_history"]:
        refunds.append({**paid, "transaction_type": "refund"})
        _add(_way(database, order, paid["payment_method_id"]), paid["amount"])
    order["status"] = "cancelled"
    order["cancel_reason"] = given["reason"]
    order["payment_history"] += refunds


def _address(given: Json) -> Json:
    return {part: given[part] for part in ("address1", "address2", "city", "state", "country", "zip")}


def _move_order(database: Json, given: Json, own_prices: bool) -> None:
    order = _order(database, given)
    _check(order["status"] == "pending")  # the published code also takes changed ones; the policy does not
    order["address"] = _address(given)


def _move_user(database: Json, given: Json, own_prices: bool) -> None:
    _check(given["user_id"] in database["users"])
    database["users"][given["user_id"]]["address"] = _address(given)


def _pay_otherwise(database: Json, given: Json, own_prices: bool) -> None:
    order = _order(database, given)
    _check(order["status"] == "pending")
    way = _way(database, order, given["payment_method_id"])
    history = order["payment_history"]
    _check(len(history) == 1 and history[0]["transaction_type"] == "payment")
    amount, before = history[0]["amount"], history[0]["payment_method_id"]
    _check(before != given["payment_method_id"])
    _check(way["source"] != "gift_card" or way["balance"] >= amount)
    history += [
        {"transaction_type": "payment", "amount": amount, "payment_method_id": given["payment_method_id"]},
        {"transaction_type": "refund", "amount": amount, "payment_method_id": before},
    ]
    _add(way, -amount)
    _add(_way(database, order, before), amount)


def _difference(database: Json, order: Json, given: Json, *, other: bool) -> float:
    old, new = given["item_ids"], given["new_item_ids"]
    have = Counter(each["item_id"] for each in order["items"])
    _check(len(old) == len(new) and not Counter(old) - have)
    total = 0.0
    for leaves, comes in zip(old, new, strict=True):
        _check(not other or leaves != comes)
        line = next(each for each in order["items"] if each["item_id"] == leaves)
        variants = database["products"][line["product_id"]]["variants"]
        _check(comes in variants and variants[comes]["available"])
        total += variants[comes]["price"] - line["price"]
    way = _way(database, order, given["payment_method_id"])
    _check(way["source"] != "gift_card" or way["balance"] >= round(total, 2))
    return total


def _modify(database: Json, given: Json, own_prices: bool) -> None:
    order = _order(database, given)
    _check(order["status"] == "pending")
    total = _difference(database, order, given, other=True)
    last: Json = {}
    places: list[int] = []
    for leaves, comes in zip(given["item_ids"], given["new_item_ids"], strict=True):
        place = next(at for at, each in enumerate(order["items"]) if each["item_id"] == leaves and at not in places)
        places.append(place)
        line = order["items"][place]
        last = database["products"][line["product_id"]]["variants"][comes]
        line |= {"item_id": comes, "price": last["price"], "options": last["options"]}
    if not own_prices:
        for place in places:
            order["items"][place] |= {"price": last["price"], "options": last["options"]}
    order["payment_history"].append(
        {
            "transaction_type": "payment" if total > 0 else "refund",
            "amount": abs(total),
            "payment_method_id": given["payment_method_id"],
        }
    )
    _add(_way(database, order, given["payment_method_id"]), -total)
    order["status"] = "pending (item modified)"


def _return(database: Json, given: Json, own_prices: bool) -> None:
    order = _order(database, given)
    _check(order["status"] == "delivered")
    way = _way(database, order, given["payment_method_id"])
    paid_with = order["payment_history"][0]["payment_method_id"]
    _check(way["source"] == "gift_card" or given["payment_method_id"] == paid_with)
    _check(not Counter(given["item_ids"]) - Counter(each["item_id"] for each in order["items"]))
    order["status"] = "return requested"
    order["return_items"] = sorted(given["item_ids"])
    order["return_payment_method_id"] = given["payment_method_id"]


def _exchange(database: Json, given: Json, own_prices: bool) -> None:
    order = _order(database, given)
    _check(order["status"] == "delivered")
    total = _difference(database, order, given, other=False)
    order["status"] = "exchange requested"
    order["exchange_items"] = sorted(given["item_ids"])
    order["exchange_new_items"] = sorted(given["new_item_ids"])
    order["exchange_payment_method_id"] = given["payment_method_id"]
    order["exchange_price_difference"] = round(total, 2)


_EDITS: Mapping[str, Callable[[Json, Json, bool], None]] = {
    "cancel_pending_order": _cancel,
    "modify_pending_order_address": _move_order,
    "modify_pending_order_payment": _pay_otherwise,
    "modify_pending_order_items": _modify,
    "modify_user_address": _move_user,
    "return_delivered_order_items": _return,
    "exchange_delivered_order_items": _exchange,
}
