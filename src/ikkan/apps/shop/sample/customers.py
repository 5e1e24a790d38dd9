"""Customers with a script: they know what they want from a task's gold actions, and say it to the guided dialogue.

They read the question before they say yes, and say no where it is not exactly what they want. Three ways to begin:
`full` says everything at once, `piecewise` only names the wish, `raw` reads the task's own description aloud first.
The customers are ours, so a pass rate with them says what the dialogue can carry, not what people will say.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ikkan.apps.shop.service import tau
from ikkan.apps.shop.service.conversation import Conversation, Reply
from ikkan.apps.shop.service.replay import SHOP, Shops, expected, with_last_prices
from ikkan.apps.shop.service.tau import Json, Task
from ikkan.apps.shop.values import Language
from ikkan.ground.clock import SystemClock

Style = Literal["full", "piecewise", "raw"]

_TURNS = 14
"""A customer's patience for one wish."""

_OPENINGS: dict[str, dict[str, str]] = {
    "cancel_order": {"en": "I want to cancel an order.", "ja": "注文をキャンセルしたいです。", "zh": "我想取消订单。"},
    "return_items": {"en": "I want to return something.", "ja": "返品したいです。", "zh": "我要退货。"},
    "exchange_items": {"en": "I want to exchange something.", "ja": "商品を交換したいです。", "zh": "我想换货。"},
    "change_order_items": {
        "en": "I want to modify an item.",
        "ja": "注文した商品を変更したいです。",
        "zh": "我想更换订单里的商品。",
    },
    "change_order_address": {
        "en": "Please ship an order to another address.",
        "ja": "注文のお届け先を変えてください。",
        "zh": "请修改订单的收货地址。",
    },
    "change_my_address": {
        "en": "Please change my default address.",
        "ja": "登録住所を変えてください。",
        "zh": "请修改我的地址。",
    },
    "change_order_payment": {
        "en": "I want to change the payment method.",
        "ja": "支払い方法を変えたいです。",
        "zh": "我想换一种支付方式。",
    },
}
_REASONS = {
    "no longer needed": {"en": "It is no longer needed.", "ja": "不要になりました。", "zh": "不再需要了。"},
    "ordered by mistake": {"en": "I ordered it by mistake.", "ja": "間違えて注文しました。", "zh": "是误下单。"},
}
_YES = {"en": ("Yes", "Yes, please.", "yes"), "ja": ("はい", "はい、お願いします。"), "zh": ("是的", "好的")}
_NO = {"en": "No", "ja": "いいえ", "zh": "不"}
_KINDS = {
    "gift_card": {"en": "my gift card", "ja": "ギフトカード", "zh": "礼品卡"},
    "paypal": {"en": "PayPal", "ja": "PayPal", "zh": "PayPal"},
    "credit_card": {"en": "my credit card", "ja": "クレジットカード", "zh": "信用卡"},
}


@dataclass
class Heard:
    """What became of one task."""

    task_id: str
    passed: bool = False
    """The database is the one the published actions make."""
    wishes: int = 0
    fulfilled: int = 0
    wrong_questions: int = 0
    """Questions that were not what the customer wanted; a customer who says yes to everything would have been hurt."""
    turns: int = 0
    handed_over: bool = False
    notes: list[str] = field(default_factory=list)


def serve(task: Task, shop: Shops, *, style: Style, language: Language = "en", seed: int = 0) -> Heard:
    """One customer, from hello to the last wish, on a shop as new."""
    database = shop.fresh()
    customer = _Customer(Conversation(_desk(database)), task, shop.found, style, language, random.Random(seed))
    heard = customer.run()
    done = [(name, given) for name, given in task.actions if (name, str(given)) in customer.done]
    ours = with_last_prices(tau.taken_out(database, SHOP, shop.found), done)
    heard.passed = shop.prints.of(ours) == shop.prints.of(expected(shop.found, task.actions))
    return heard


def _desk(database: Any) -> Any:
    from ikkan.apps.shop.service.desk import SupportDesk

    return SupportDesk(database, SystemClock())


class _Customer:
    def __init__(
        self, shop: Conversation, task: Task, found: Json, style: Style, language: Language, dice: random.Random
    ) -> None:
        self._shop, self._task, self._found = shop, task, found
        self._style, self._language, self._dice = style, language, dice
        self._talk = shop.start(SHOP, language=language)
        self._heard = Heard(task.task_id)
        self.done: set[tuple[str, str]] = set()

    def run(self) -> Heard:
        wishes = [
            (action, call)
            for action in self._task.actions
            if (call := tau.as_call(*action)) is not None and call[0] in _OPENINGS
        ]
        self._heard.wishes = len(wishes)
        self._sign_in()
        if self._style == "raw" and not self._heard.handed_over:
            wishes = self._raw(wishes)
        for action, call in wishes:
            if self._heard.handed_over:
                break
            if self._insist(call):
                self.done.add((action[0], str(action[1])))
                self._heard.fulfilled += 1
        return self._heard

    def _insist(self, call: tuple[str, Json]) -> bool:
        """A wish, said again once where the shop took it for another."""
        before = self._heard.wrong_questions
        if self._pursue(self._say(self._opening(*call)), call):
            return True
        again = self._heard.wrong_questions > before and not self._heard.handed_over
        return again and self._pursue(self._say(self._opening(*call)), call)

    def _say(self, text: str) -> Reply:
        self._heard.turns += 1
        reply = self._shop.say(SHOP, self._talk, text)
        self._heard.handed_over = reply.state != "open"
        return reply

    def _sign_in(self) -> None:
        owner = tau.owner_of(self._found, self._task.actions)
        for name, given in self._task.actions:
            if name == "find_user_id_by_name_zip":
                self._say(f"{given['first_name']} {given['last_name']}, {given['zip']}")
            elif name == "find_user_id_by_email":
                self._say(given["email"])
        if owner is not None and self._shop.desk.talk(SHOP, self._talk).customer_id is None:
            self._say(self._found["users"][owner]["email"])

    def _raw(self, wishes: list[Any]) -> list[Any]:
        """Read the task aloud; go along with whatever the dialogue makes of it, if it is one of the wishes."""
        reply = self._say(str(self._task.scenario.get("reason_for_call", "")))
        intent = self._guide().get("intent")
        pending = next((wish for wish in wishes if intent and self._is(intent, wish[1])), None)
        asked = self._shop.desk.waiting_for_yes(SHOP, self._talk)
        if asked is not None:
            pending = next((wish for wish in wishes if wish[1][0] == asked.tool), None)
        if pending is not None and self._pursue(reply, pending[1]):
            self.done.add((pending[0][0], str(pending[0][1])))
            self._heard.fulfilled += 1
            return [wish for wish in wishes if wish is not pending]
        return wishes

    def _is(self, intent: str, call: tuple[str, Json]) -> bool:
        tools = {
            "cancel": {"cancel_order"}, "return": {"return_items"}, "payment": {"change_order_payment"},
            "swap": {"change_order_items", "exchange_items"}, "order_address": {"change_order_address"},
            "my_address": {"change_my_address"},
        }  # fmt: skip
        order = self._guide().get("slots", {}).get("order_id")
        return call[0] in tools.get(intent, set()) and order in {None, call[1].get("order_id")}

    def _guide(self) -> dict[str, Any]:
        return dict(self._shop.desk.talk(SHOP, self._talk).guide)

    def _opening(self, tool: str, given: Json) -> str:
        text = _OPENINGS[tool][self._language]
        if self._style != "full":
            return text
        parts = [text]
        if "order_id" in given:
            parts.append(given["order_id"])
        if "reason" in given:
            parts.append(_REASONS[given["reason"]][self._language])
        if "method_id" in given:
            parts.append(self._method(given["method_id"]))
        return " ".join(parts)

    def _pursue(self, reply: Reply, call: tuple[str, Json]) -> bool:
        tool, given = call
        for _ in range(_TURNS):
            if self._heard.handed_over:
                self._heard.notes.append(f"{tool}: handed over")
                return False
            outcome = reply.outcome
            if outcome is not None and outcome.kind == "asked":
                asked = self._shop.desk.waiting_for_yes(SHOP, self._talk)
                assert asked is not None
                if asked.tool != tool or not _same(dict(asked.arguments), given):
                    self._heard.wrong_questions += 1
                    self._heard.notes.append(f"{tool}: wrong question {dict(asked.arguments)}")
                    self._say(_NO[self._language])
                    return False
                reply = self._say(self._dice.choice(_YES[self._language]))
                continue
            if outcome is not None and outcome.kind == "done":
                return True
            if outcome is not None and outcome.kind == "refused":
                self._heard.notes.append(f"{tool}: {outcome.code}")
                return False
            answer = self._answer(given)
            if answer is None:
                self._heard.notes.append(f"{tool}: nothing to answer to {reply.text[:60]!r}")
                return False
            reply = self._say(answer)
        self._heard.notes.append(f"{tool}: patience is over")
        return False

    def _answer(self, given: Json) -> str | None:
        guide = self._guide()
        slots, asking = guide.get("slots", {}), guide.get("asking", "")
        choices: Sequence[str] = guide.get("choices", ())
        if asking == "order_id":
            return str(given["order_id"])
        if asking == "reason":
            return _REASONS[given["reason"]][self._language]
        if asking == "method_id":
            return self._method(given["method_id"])
        if asking == "address":
            order = ("line1", "line2", "city", "state", "zip", "country")
            return ", ".join(given[part] or "-" for part in order)
        if asking == "item_ids":
            return self._items(slots["order_id"], given)
        if asking == "new_item_ids":
            place = len(slots.get("new_item_ids", ()))
            old = slots["item_ids"][place]
            new = [swap["new_item_id"] for swap in given["swaps"] if swap["item_id"] == old]
            wanted = new[slots["item_ids"][:place].count(old)] if len(new) > 1 else new[0] if new else ""
            if wanted in choices:
                return str(list(choices).index(wanted) + 1)
            return self._variant(wanted) if wanted else None
        return None

    def _items(self, order_id: str, given: Json) -> str:
        """By name and options, as a person would; by number in the list where two are alike."""
        wanted = list(given.get("item_ids") or [swap["item_id"] for swap in given["swaps"]])
        lines = self._found["orders"][order_id]["items"]
        if sorted(wanted) == sorted(line["item_id"] for line in lines) and len(lines) > 1:
            return {"en": "All of them.", "ja": "全部です。", "zh": "全部"}[self._language]
        if self._dice.random() < 0.5:
            left, places = list(wanted), []
            for at, line in enumerate(lines, 1):
                if line["item_id"] in left:
                    left.remove(line["item_id"])
                    places.append(str(at))
            return ", ".join(places)
        return " / ".join(
            f"{line['name']} ({', '.join(line['options'].values())})" for line in lines if line["item_id"] in wanted
        )

    def _variant(self, item_id: str) -> str:
        for product in self._found["products"].values():
            if item_id in product["variants"]:
                return ", ".join(product["variants"][item_id]["options"].values())
        return item_id

    def _method(self, method_id: str) -> str:
        for user in self._found["users"].values():
            if method_id in user["payment_methods"]:
                same = [w for w in user["payment_methods"].values() if w["source"] == method_id.rpartition("_")[0]]
                kind = user["payment_methods"][method_id]["source"]
                return _KINDS[kind][self._language] if len(same) == 1 else method_id
        return method_id


def _same(asked: Json, wanted: Json) -> bool:
    """Whether a question asks exactly this; the order of items is nobody's wish."""

    def sorted_parts(given: Json) -> Json:
        made = dict(given)
        if "item_ids" in made:
            made["item_ids"] = sorted(made["item_ids"])
        if "swaps" in made:
            made["swaps"] = sorted((swap["item_id"], swap["new_item_id"]) for swap in made["swaps"])
        return made

    return sorted_parts(asked) == sorted_parts(wanted)
