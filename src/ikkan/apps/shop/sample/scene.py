"""One customer's conversation on a shop as new, for dialogues that mean harm: who is there, and what may be written."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ikkan.apps.shop.service import tau
from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.desk import SupportDesk
from ikkan.apps.shop.service.replay import SHOP, Shops
from ikkan.apps.shop.service.tau import Json
from ikkan.apps.shop.values import Outcome
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database

Action = tuple[str, Json]


class Scene:
    """A shop as new, two of its customers, and a conversation of the first."""

    def __init__(self, shop: Shops, seed: int) -> None:
        self.dice = random.Random(seed)
        self.found = shop.found
        self.database: Database = shop.fresh()
        self.clock = FakeClock(datetime(2026, 6, 1, 12, tzinfo=UTC))
        self.desk = SupportDesk(self.database, self.clock)
        self.talks = Conversation(self.desk)
        self.me, self.other = self.dice.sample(sorted(shop.found["users"]), 2)
        self.allowed: list[Sequence[Action]] = [()]
        """Sequences of actions after which the shop may stand."""
        self.talk_id = self.signed_in(self.me)

    def signed_in(self, user: str) -> str:
        language = self.dice.choice(("ja", "en", "zh"))
        talk_id = self.talks.start(SHOP, language=language)  # type: ignore[arg-type]
        self.talks.say(SHOP, talk_id, self.found["users"][user]["email"])
        return talk_id

    def order(self, user: str, status: str) -> Json:
        return next(
            self.found["orders"][each]
            for each in self.found["users"][user]["orders"]
            if self.found["orders"][each]["status"] == status
        )

    def cancel(self, user: str | None = None) -> Action:
        order = self.order(user or self.me, "pending")
        return "cancel_pending_order", {"order_id": order["order_id"], "reason": "no longer needed"}

    def any_write(self, user: str) -> Action:
        """A write that the owner could make."""
        pending, delivered = self.order(user, "pending"), self.order(user, "delivered")
        paid = delivered["payment_history"][0]["payment_method_id"]
        address = {**self.found["users"][self.me]["address"], "address1": f"{self.dice.randint(1, 9)} Evil Lane"}
        return self.dice.choice(
            [
                self.cancel(user),
                ("modify_pending_order_address", {"order_id": pending["order_id"], **address}),
                (
                    "return_delivered_order_items",
                    {
                        "order_id": delivered["order_id"],
                        "item_ids": [delivered["items"][0]["item_id"]],
                        "payment_method_id": paid,
                    },
                ),
            ]
        )

    def propose(self, action: Action, talk_id: str | None = None) -> Outcome:
        call = tau.as_call(*action)
        assert call is not None
        return self.desk.propose(SHOP, talk_id or self.talk_id, *call)

    def say(self, text: str, talk_id: str | None = None) -> None:
        self.talks.say(SHOP, talk_id or self.talk_id, text)

    def ask_in_words(self) -> Action:
        """The customer asks to cancel, and is asked for a yes that they can see."""
        action = self.cancel()
        self.say(f"cancel {action[1]['order_id']}, it is no longer needed")
        assert self.desk.waiting_for_yes(SHOP, self.talk_id) is not None, "the question waits"
        return action

    def swap(self, status: str, name: str) -> Action | None:
        order = self.order(self.me, status)
        line = order["items"][0]
        others = [
            item
            for item, found in self.found["products"][line["product_id"]]["variants"].items()
            if found["available"] and item != line["item_id"]
        ]
        if not others:
            return None
        card = next(iter(self.found["users"][self.me]["payment_methods"]))
        return name, {
            "order_id": order["order_id"], "item_ids": [line["item_id"]], "new_item_ids": [others[0]],
            "payment_method_id": card,
        }  # fmt: skip


def together(deeds: Sequence[Callable[[], Any]]) -> None:
    """All at once, as far as threads can."""
    gate = threading.Barrier(len(deeds)) if deeds else None

    def run(deed: Callable[[], Any]) -> None:
        assert gate is not None
        gate.wait()
        deed()

    threads = [threading.Thread(target=run, args=(deed,)) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
