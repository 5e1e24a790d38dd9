"""The tools of support: what each is told, what it needs, whether it writes. A call is judged here, never carried out.

A proposed call - by a model, the guided dialogue or a program - is only words until `judge` has read it. What comes
out is a refusal with its reason, an answer, or an effect that waits for the customer's yes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ikkan.apps.shop.rules.support import arguments as args
from ikkan.apps.shop.rules.support import effects, needs
from ikkan.apps.shop.rules.support.needs import Need
from ikkan.apps.shop.values import Case, Effect, Refusal


@dataclass(frozen=True, slots=True)
class Tool:
    """One thing support can do."""

    name: str
    about: str
    """For a model: what it does, in one sentence."""
    takes: type
    needs: tuple[Need, ...]
    """In the order in which they are asked; each may rely on those before it."""
    effect: Callable[[Case, Any], Effect] | None = None
    """None where it only reads, signs in or hands over."""

    @property
    def writes(self) -> bool:
        """Whether it changes the shop. Whatever writes is confirmed first."""
        return self.effect is not None


_ORDER = (needs.signed_in, needs.order_is_yours)
_PENDING = (*_ORDER, needs.order_is_pending)
_DELIVERED = (*_ORDER, needs.order_is_delivered)
_SWAPS = (
    needs.method_is_yours,
    needs.items_are_in_the_order,
    needs.new_items_are_of_the_same_product,
    needs.new_items_are_others,
    needs.new_items_are_available,
    needs.card_covers_the_difference,
)

SIGN_IN_BY_EMAIL, SIGN_IN_BY_NAME, HAND_OVER = "sign_in_by_email", "sign_in_by_name", "hand_over"

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            SIGN_IN_BY_EMAIL, "Find out who the customer is by their email address.",
            args.ByEmail, (needs.nobody_signed_in_yet,),
        ),
        Tool(
            SIGN_IN_BY_NAME, "Find out who the customer is by first name, last name and zip code.",
            args.ByName, (needs.nobody_signed_in_yet,),
        ),
        Tool("my_details", "The customer's profile, payment methods and orders.", args.Nothing, (needs.signed_in,)),
        Tool("order_status", "One of the customer's orders, as it stands.", args.OfOrder, _ORDER),
        Tool("list_products", "All products by name.", args.Nothing, (needs.signed_in,)),
        Tool(
            "product_details", "A product with all its items, options, prices and stock.",
            args.OfProduct, (needs.signed_in, needs.product_exists),
        ),
        Tool(
            "item_details", "One item: options, price, stock.",
            args.OfItem, (needs.signed_in, needs.item_exists),
        ),
        Tool(
            "cancel_order", "Cancel a pending order; everything paid goes back.",
            args.Cancel, (*_PENDING, needs.reason_is_allowed), effects.cancel,
        ),
        Tool(
            "change_order_address", "Send a pending order to another address.",
            args.OrderToAddress, _PENDING, effects.change_address,
        ),
        Tool(
            "change_order_payment", "Pay a pending order in another way.",
            args.OrderToMethod,
            (*_PENDING, needs.order_was_paid_once, needs.method_is_yours, needs.method_is_another,
             needs.card_covers_the_order),
            effects.change_payment,
        ),
        Tool(
            "change_order_items", "Replace items of a pending order by other variants; once, all of them together.",
            args.SwapItems, (*_PENDING, *_SWAPS), effects.change_items,
        ),
        Tool(
            "return_items", "Ask to send back items of a delivered order; once, all of them together.",
            args.ReturnItems,
            (*_DELIVERED, needs.method_is_yours, needs.items_are_in_the_order, needs.refund_goes_where_it_may),
            effects.return_items,
        ),
        Tool(
            "exchange_items", "Ask to exchange items of a delivered order; once, all of them together.",
            args.SwapItems, (*_DELIVERED, *_SWAPS), effects.exchange_items,
        ),
        Tool(
            "refund_lost_order", "Pay back an order that the carrier says is lost.",
            args.OrderToMethod,
            (*_ORDER, needs.carrier_lost_it, needs.method_is_yours, needs.refund_goes_where_it_may),
            effects.refund_lost,
        ),
        Tool(
            "change_my_address", "Change the customer's default address.",
            args.ToAddress, (needs.signed_in,), effects.change_my_address,
        ),
        Tool(HAND_OVER, "Let a person take over, with a summary.", args.ToPerson, ()),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """A tool with arguments of its own type."""

    tool: Tool
    arguments: Any


def read(name: str, given: object) -> Call | Refusal:
    """A proposed call, as far as words go; a refusal where no such tool is or its arguments do not fit."""
    tool = TOOLS.get(name)
    if tool is None:
        return Refusal(
            "no_such_tool",
            {
                "ja": f"{name} という手続きはありません。",
                "en": f"There is no tool called {name}; there is: {', '.join(TOOLS)}.",
                "zh": f"没有名为 {name} 的操作。",
            },
        )
    try:
        return Call(tool, args.read(tool.takes, given))
    except ValueError as exc:
        return Refusal(
            "arguments_do_not_fit",
            {
                "ja": f"手続きの内容が足りないか、形が違います({exc})。",
                "en": f"The arguments of {name} do not fit: {exc}.",
                "zh": f"操作 {name} 的参数不符：{exc}。",
            },
        )


def missing(call: Call, case: Case) -> Refusal | None:
    """The first thing the call needs and the case has not; None when it may be done."""
    for each in call.tool.needs:
        if not each.holds(case, call.arguments):
            return Refusal(each.code, each.says)
    return None


def judge(call: Call, case: Case) -> Effect | Refusal:
    """What a writing call would change, or why it may not. The same case and call always give the same."""
    assert call.tool.effect is not None, "only what writes has an effect"
    return missing(call, case) or call.tool.effect(case, call.arguments)


def schema() -> dict[str, Any]:
    """What a model may propose, as JSON Schema: one of the tools with its arguments.

    >>> len(schema()["anyOf"]) == len(TOOLS)
    True
    """
    choices = []
    for tool in TOOLS.values():
        (found,), parts = msgspec.json.schema_components([tool.takes], ref_template="#/$defs/{name}")
        inside = parts[found["$ref"].rpartition("/")[2]] if "$ref" in found else found
        swap = parts.get("Swap")
        if "swaps" in inside.get("properties", {}) and swap is not None:
            inside["properties"]["swaps"]["items"] = swap
        choices.append(
            {
                "type": "object",
                "properties": {
                    "tool": {"const": tool.name},
                    "arguments": {**inside, "additionalProperties": False},
                },
                "required": ["tool", "arguments"],
                "additionalProperties": False,
            }
        )
    return {"anyOf": choices}
