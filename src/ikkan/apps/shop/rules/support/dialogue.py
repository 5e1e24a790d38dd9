"""The guided dialogue: asks for what a tool needs, one thing at a time, and then proposes the call. Pure.

It works without any language model, in Japanese, English and Chinese. It cannot confirm or write: what it proposes is
judged and asked by the desk like everybody's proposals. What it does not understand it asks again with a numbered
menu, and after a few times it gives the conversation to a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ikkan.apps.shop.rules.support import hearing, phrases, telling
from ikkan.apps.shop.rules.support.phrases import Texts
from ikkan.apps.shop.values import Case, Language, Line, Order
from ikkan.apps.shop.values.goods import DELIVERED, LATE, LOST, PENDING, PROCESSED

_FEWEST_LETTERS = 8
"""Shorter sentences that are no question are not looked up."""
CONFUSED_AT_MOST = 3
"""So many sentences in a row may be not understood before a person takes over."""

_NEEDED: Mapping[str, tuple[str, ...]] = {
    "status": ("order_id",),
    "cancel": ("order_id", "reason"),
    "return": ("order_id", "item_ids", "method_id"),
    "swap": ("order_id", "item_ids", "new_item_ids", "method_id"),
    "order_address": ("order_id", "address"),
    "my_address": ("address",),
    "payment": ("order_id", "method_id"),
    "product": ("product",),
    "lost": ("order_id", "method_id"),
}
"""What must be known for each intent, in the order in which it is asked."""

Choice = tuple[str, str]
"""A value and how it is shown."""


@dataclass(frozen=True, slots=True)
class Guide:
    """Where the dialogue stands."""

    intent: str = ""
    slots: Mapping[str, Any] = field(default_factory=dict)
    asking: str = ""
    choices: tuple[str, ...] = ()
    """The values of the numbered list that was shown, if one was."""
    confused: int = 0
    shown: str = ""
    """The question that stood last in the conversation: the only one a bare yes can be to."""

    @property
    def known(self) -> dict[str, Any]:
        """What has been filled in so far."""
        return dict(self.slots)


@dataclass(frozen=True, slots=True)
class Move:
    """What the dialogue does next."""

    text: str = ""
    """What it says."""
    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The call it proposes, where it has one."""
    person: str = ""
    """Why a person should take over, where one should."""


def step(
    guide: Guide,
    text: str,
    case: Case,
    language: Language,
    names: Mapping[str, str],
    hears: Callable[[str], str | None] = hearing.intent,
) -> tuple[Guide, Move]:
    """Hear one sentence and go on.

    Args:
        case: what this customer has; without a customer the dialogue only asks who they are.
        names: all products, name → id.
        hears: what a sentence wants, None where that is not sure; the plain rules, or what was learned above them.
    """
    if hearing.wants_person(text):
        return Guide(), Move(person="asked")
    if guide.asking == "person":
        # Whether a person should answer what the documents do not.
        said = hearing.yes_or_no(text)
        if said is not None:
            return Guide(), Move(person="not_found") if said else Move(phrases.ANYTHING_ELSE[language])
        guide = Guide()
    if case.customer is None:
        return _who(guide, text, language)
    strange = hearing.strange_order(text, case)
    if strange is not None:
        # Proposed all the same: the desk's refusal is the answer.
        return Guide(), Move(tool="order_status", arguments={"order_id": strange})
    heard = _menu_choice(guide, text) or (None if guide.asking and guide.asking != "intent" else hears(text))
    if guide.asking and guide.asking != "intent" and heard is None:
        if hearing.yes_or_no(text) is False:
            return Guide(), Move(f"{phrases.WITHDRAWN[language]} {phrases.ANYTHING_ELSE[language]}")
        filled = _answer(guide, text, case)
        if filled is None:
            # No answer, but perhaps another wish, or the same one said anew.
            wish = hears(text)
            if wish is None:
                return _confused(guide, language, case, names)
            filled = _overheard(Guide(wish, confused=guide.confused), text, case, names)
        return _go_on(filled, case, language, names)
    if heard is None:
        return _confused(replace(guide, intent="", slots={}, asking=""), language, case, names)
    if heard == "person":
        return Guide(), Move(person="asked")
    return _go_on(_overheard(Guide(heard), text, case, names), case, language, names)


def is_question(guide: Guide, text: str, hears: Callable[[str], str | None]) -> bool:
    """Whether a sentence may be answered from the merchant's documents: no form is being filled, and it asks how things
    are done here, or says something that no tool is for."""
    if guide.asking not in ("", "intent", "person") or _menu_choice(guide, text) is not None:
        return False
    plain = hearing.yes_or_no(text) is not None or hearing.wants_undo(text) or hearing.wants_person(text)
    if plain or hearing.email(text) or hearing.name_and_zip(text):
        return False
    return hearing.asks(text) or (hears(text) is None and len(text.strip()) >= _FEWEST_LETTERS)


def is_wish(guide: Guide, text: str, case: Case) -> bool:
    """Whether a known customer says in their own words what they want: no number of a menu, no answer to a question."""
    plain = hearing.yes_or_no(text) is not None or hearing.wants_undo(text) or hearing.wants_person(text)
    open_wish = case.customer is not None and not plain and guide.asking in ("", "intent")
    return open_wish and _menu_choice(guide, text) is None and hearing.strange_order(text, case) is None


def menu(language: Language) -> str:
    """Everything the dialogue can do, numbered."""
    rows = [f"{at}. {texts[language]}" for at, texts in enumerate(phrases.INTENTS.values(), 1)]
    return "\n".join([phrases.MENU[language], *rows])


def welcome(case: Case, language: Language) -> str:
    """The first words to a customer who is known now: what went wrong with their orders is said before they ask."""
    assert case.customer is not None
    news = [
        (phrases.LOST if order.carrier == LOST else phrases.LATE)[language].format(order=order.order_id)
        for order in case.orders.values()
        if order.carrier in {LATE, LOST} and order.status == PROCESSED
    ]
    return "\n".join([*news, phrases.WELCOME[language].format(name=case.customer.first_name)])


def told(tool: str, case: Case, facts: Mapping[str, Any], language: Language) -> str:
    """What a reading tool found, as a sentence."""
    if tool == "order_status":
        order = case.orders[facts["order_id"]]
        status = phrases.STATUSES.get(order.status, {}).get(language, order.status)
        return phrases.STATUS[language].format(
            order=order.order_id,
            status=status,
            carrier=f" ({order.carrier})" if order.carrier else "",
            lines="; ".join(_line(line) for line in order.lines),
        )
    prices = [item["price_micros"] for item in facts["items"].values() if item["is_available"]]
    return phrases.PRODUCT[language].format(
        name=facts["name"],
        count=len(facts["items"]),
        stock=len(prices),
        low=telling.money(min(prices, default=0), _currency(case)),
        high=telling.money(max(prices, default=0), _currency(case)),
    )


# ---- private ---------------------------------------------------------------------------------------------------------


def _who(guide: Guide, text: str, language: Language) -> tuple[Guide, Move]:
    address, name = hearing.email(text), hearing.name_and_zip(text)
    if address is not None:
        return guide, Move(tool="sign_in_by_email", arguments={"email": address})
    if name is not None:
        first, last, code = name
        return guide, Move(tool="sign_in_by_name", arguments={"first_name": first, "last_name": last, "zip": code})
    if guide.confused + 1 >= CONFUSED_AT_MOST:
        return Guide(), Move(person="not_understood")
    return replace(guide, confused=guide.confused + 1), Move(phrases.WHO[language])


def _menu_choice(guide: Guide, text: str) -> str | None:
    if guide.asking != "intent":
        return None
    found = hearing.numbers(text, len(phrases.INTENTS))
    return list(phrases.INTENTS)[found[0]] if len(found) == 1 else None


def _confused(guide: Guide, language: Language, case: Case, names: Mapping[str, str]) -> tuple[Guide, Move]:
    if guide.confused + 1 >= CONFUSED_AT_MOST:
        return Guide(), Move(person="not_understood")
    again = replace(guide, confused=guide.confused + 1)
    if not guide.intent:
        return replace(again, asking="intent"), Move(f"{phrases.NOT_HEARD[language]} {menu(language)}")
    asked, move = _go_on(replace(again, asking=""), case, language, names)
    return replace(asked, confused=again.confused), replace(move, text=f"{phrases.NOT_HEARD[language]} {move.text}")


def _overheard(guide: Guide, text: str, case: Case, names: Mapping[str, str]) -> Guide:
    """What the first sentence says besides the wish itself."""
    slots = guide.known
    pool = _eligible(guide.intent, case)
    named = hearing.orders(text, case)
    if len(named) == 1:
        slots["order_id"] = named[0]
    elif not named:
        fitting = hearing.with_items(text, case, pool)
        if len(fitting) == 1:
            slots["order_id"] = fitting[0].order_id
    if guide.intent == "cancel" and (why := hearing.reason(text)):
        slots["reason"] = why
    if guide.intent == "product" and (product := _product(text, names)):
        slots["product"] = product
    guide = replace(guide, slots=slots)
    if "order_id" in slots and "item_ids" in _NEEDED[guide.intent]:
        found = hearing.lines(text, case.orders[slots["order_id"]].lines)
        if found:
            slots["item_ids"] = [line.item_id for line in found]
        if guide.intent == "swap" and len(found) == 1 and found[0].product_id in case.products:
            become = hearing.variants(text, case.products[found[0].product_id], found[0])
            if len(become) == 1:
                slots["new_item_ids"] = [become[0].item_id]
    if "method_id" in _NEEDED[guide.intent] and "order_id" in slots and case.customer is not None:
        ways = hearing.methods(text, case.customer, _ways(replace(guide, slots=slots), case))
        if len(ways) == 1:
            slots["method_id"] = ways[0]
    return replace(guide, slots=slots)


def _go_on(guide: Guide, case: Case, language: Language, names: Mapping[str, str]) -> tuple[Guide, Move]:
    """Ask for the next thing that is missing, or propose the call."""
    slots = guide.known
    for slot in _NEEDED[guide.intent]:
        if slot in slots and (slot != "new_item_ids" or len(slots[slot]) == len(slots["item_ids"])):
            continue
        choices = _choices(slot, guide, case, language)
        if slot == "order_id" and not choices:
            return Guide(), Move(f"{phrases.NONE_FITS[language]} {phrases.ANYTHING_ELSE[language]}")
        if len(choices) == 1 and slot in {"order_id", "method_id", "item_ids"}:
            # There is only one: it is in the question that is confirmed.
            value: Any = choices[0][0]
            if slot == "item_ids":
                value = [case.orders[slots["order_id"]].lines[0].item_id]
            return _go_on(replace(guide, slots={**slots, slot: value}), case, language, names)
        asked = replace(guide, asking=slot, choices=tuple(value for value, _ in choices), confused=0)
        return asked, Move(_question(slot, guide, case, language, choices))
    tool, arguments = _call(guide, case)
    return Guide(), Move(tool=tool, arguments=arguments)


def _question(slot: str, guide: Guide, case: Case, language: Language, choices: Sequence[Choice]) -> str:
    if slot == "new_item_ids":
        line = _next_line(guide, case)
        text = phrases.ASK["new_item_id"][language].format(line=_line(line))
    else:
        text = phrases.ASK[slot][language]
    return "\n".join([text, *(f"{at}. {shown}" for at, (_, shown) in enumerate(choices, 1))])


def _choices(slot: str, guide: Guide, case: Case, language: Language) -> list[Choice]:
    slots = guide.known
    if slot == "order_id":
        return [(each.order_id, _order(each, language)) for each in _eligible(guide.intent, case)]
    if slot == "item_ids":
        return [(str(at), _line(line)) for at, line in enumerate(case.orders[slots["order_id"]].lines)]
    if slot == "method_id" and case.customer is not None:
        return [(way, telling.method(case.customer.methods[way], language)) for way in _ways(guide, case)]
    if slot == "reason":
        return [
            (name, telling.REASONS[name][language]) for name in case.policy.cancel_reasons if name in telling.REASONS
        ]
    if slot == "new_item_ids" and slots.get("maybe"):
        items = [case.item(item_id) for item_id in slots["maybe"]]
        money = _currency(case)
        return [
            (item.item_id, f"{telling.options(item.options)} ({telling.money(item.price_micros, money)})")
            for item in items
            if item is not None
        ]
    return []


def _answer(guide: Guide, text: str, case: Case) -> Guide | None:
    """The slot that was asked for, out of the answer; None where it is not in there."""
    slots, slot = guide.known, guide.asking
    picked = [guide.choices[at] for at in hearing.numbers(text, len(guide.choices))]
    value: Any = None
    if slot == "order_id":
        named = hearing.orders(text, case) or [
            order.order_id for order in hearing.with_items(text, case, _eligible(guide.intent, case))
        ]
        value = picked[0] if len(picked) == 1 else named[0] if len(named) == 1 else None
    elif slot == "item_ids":
        value = _items(guide, text, case, picked)
    elif slot == "new_item_ids":
        return _become(guide, text, case, picked)
    elif slot == "method_id" and case.customer is not None:
        ways = picked or hearing.methods(text, case.customer, guide.choices)
        value = ways[0] if len(ways) == 1 else None
    elif slot == "reason":
        value = picked[0] if len(picked) == 1 else hearing.reason(text)
    elif slot == "address":
        value = hearing.address(text, case)
    elif slot == "product":
        value = text.strip()
    return None if value is None else replace(guide, slots={**slots, slot: value}, asking="", choices=())


def _items(guide: Guide, text: str, case: Case, picked: Sequence[str]) -> list[str] | None:
    lines = case.orders[guide.known["order_id"]].lines
    if picked:
        return [lines[int(at)].item_id for at in dict.fromkeys(picked)]
    named = hearing.lines(text, lines)
    if named:
        return [line.item_id for line in named]
    return [line.item_id for line in lines] if hearing.says_all(text) else None


def _become(guide: Guide, text: str, case: Case, picked: Sequence[str]) -> Guide | None:
    slots, line = guide.known, _next_line(guide, case)
    done = list(slots.get("new_item_ids", ()))
    if len(picked) == 1:
        found = list(picked)
    else:
        product = case.products.get(line.product_id)
        found = [] if product is None else [item.item_id for item in hearing.variants(text, product, line)]
    if not found:
        return None
    slots["maybe"] = found if len(found) > 1 else []
    if len(found) == 1:
        slots["new_item_ids"] = [*done, found[0]]
    return replace(guide, slots=slots, asking="", choices=())


def _next_line(guide: Guide, case: Case) -> Line:
    slots = guide.known
    item_id = slots["item_ids"][len(slots.get("new_item_ids", ()))]
    return next(line for line in case.orders[slots["order_id"]].lines if line.item_id == item_id)


def _eligible(intent: str, case: Case) -> list[Order]:
    states = {
        "return": {DELIVERED},
        "swap": {PENDING, DELIVERED},
        "cancel": {PENDING},
        "order_address": {PENDING},
        "payment": {PENDING},
    }
    every = list(case.orders.values())
    if intent == "lost":
        return [order for order in every if order.carrier == LOST]
    return [order for order in every if order.status in states[intent]] if intent in states else every


def _ways(guide: Guide, case: Case) -> list[str]:
    """The customer's ways to pay that the policy allows here."""
    assert case.customer is not None
    ways, order = case.customer.methods, case.orders[guide.known["order_id"]]
    paid_with = order.payments[0].method_id if order.payments else ""
    if guide.intent in {"return", "lost"}:
        return [name for name, way in ways.items() if way.kind == "gift_card" or name == paid_with]
    return [name for name in ways if guide.intent != "payment" or name != paid_with]


def _call(guide: Guide, case: Case) -> tuple[str, dict[str, Any]]:
    slots = guide.known
    order = {"order_id": slots["order_id"]} if "order_id" in slots else {}
    match guide.intent:
        case "status":
            return "order_status", order
        case "cancel":
            return "cancel_order", {**order, "reason": slots["reason"]}
        case "return":
            return "return_items", {**order, "item_ids": list(slots["item_ids"]), "method_id": slots["method_id"]}
        case "swap":
            pairs = zip(slots["item_ids"], slots["new_item_ids"], strict=True)
            swaps = [{"item_id": old, "new_item_id": new} for old, new in pairs]
            pending = case.orders[slots["order_id"]].status == PENDING
            tool = "change_order_items" if pending else "exchange_items"
            return tool, {**order, "swaps": swaps, "method_id": slots["method_id"]}
        case "order_address":
            return "change_order_address", {**order, **_address(slots)}
        case "my_address":
            return "change_my_address", _address(slots)
        case "payment":
            return "change_order_payment", {**order, "method_id": slots["method_id"]}
        case "lost":
            return "refund_lost_order", {**order, "method_id": slots["method_id"]}
        case _:
            return "product_details", {"product_id": slots["product"]}


def _address(slots: Mapping[str, Any]) -> dict[str, str]:
    value = slots["address"]
    parts = ("line1", "line2", "city", "state", "country", "zip")
    return {part: value[part] if isinstance(value, Mapping) else getattr(value, part) for part in parts}


def _product(text: str, names: Mapping[str, str]) -> str | None:
    low = text.casefold()
    found = [product_id for name, product_id in names.items() if name.casefold() in low]
    return found[0] if found else None


def _order(order: Order, language: Language) -> str:
    status = phrases.STATUSES.get(order.status, {}).get(language, order.status)
    return f"{order.order_id} ({status}): {', '.join(line.name for line in order.lines)}"


def _line(line: Line) -> str:
    return telling.named(line)


def _currency(case: Case) -> str:
    return next((order.currency for order in case.orders.values()), "USD")


def summary(guide: Guide, case: Case, said: Sequence[str], texts: Texts, language: Language) -> str:
    """For the person who takes over: who it is, what was wanted, what was said last."""
    who = "-" if case.customer is None else f"{case.customer.first_name} {case.customer.last_name}"
    what = phrases.INTENTS[guide.intent][language] if guide.intent in phrases.INTENTS else "-"
    known = {name: value for name, value in guide.known.items() if name in {"order_id", "reason"}}
    facts = ", ".join(f"{name} {value}" for name, value in known.items())
    return texts[language].format(who=who, what=f"{what} {facts}".strip(), said=" / ".join(said[-4:]))
