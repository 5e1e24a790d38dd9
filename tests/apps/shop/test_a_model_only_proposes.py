"""A model in the guide's place: its calls are judged, its mistakes told to it, its words never a yes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.model import ALIAS, Modelled, shape
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.tau import Fingerprints
from ikkan.cloud.values import LOCAL, ChatChunk, ChatRequest, Principal
from ikkan.ground.errors import UnknownModel

from .conftest import FOUND, Desk, order_of

CALLED = "Can you do something about my order?"
CANCEL = {"order_id": order_of(next(iter(FOUND["users"])), "pending")["order_id"], "reason": "no longer needed"}


def call(tool: str, **arguments: Any) -> str:
    return json.dumps({"tool": tool, "arguments": arguments})


class Scripted:
    """A model that writes what it is told to, and remembers what it was asked."""

    def __init__(self, *writes: str) -> None:
        self._writes = list(writes)
        self.asked: list[ChatRequest] = []

    async def chat(self, principal: Principal, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        self.asked.append(request)
        if not self._writes:
            raise UnknownModel("no model named support")
        yield ChatChunk({}, self._writes.pop(0))


async def talked(talks: Conversation, user: str, writes: Sequence[str], *said: str) -> tuple[str, list[Any], Scripted]:
    talk = talks.start(SHOP)
    talks.say(SHOP, talk, FOUND["users"][user]["email"])
    model = Scripted(*writes)
    modelled = Modelled(talks, model)
    return talk, [await modelled.say(LOCAL, SHOP, talk, text) for text in said], model


async def test_what_it_proposes_is_asked_and_the_customers_yes_does_it(
    talks: Conversation, desk: Desk, me: str
) -> None:
    talk, (asked, done), model = await talked(talks, me, [call("cancel_order", **CANCEL)], CALLED, "yes")
    assert (asked.outcome.kind, done.outcome.kind) == ("asked", "done")
    assert desk.case(SHOP, talk).orders[CANCEL["order_id"]].status == "cancelled"
    (request,) = model.asked
    assert request.model == ALIAS and CANCEL["order_id"] in request.messages[0]["content"]
    assert request.body["response_format"]["json_schema"]["schema"] == shape()


async def test_it_reads_why_it_was_refused_and_tries_again(talks: Conversation, desk: Desk, me: str) -> None:
    writes = ["Sure, done!", call("cancel_order", **{**CANCEL, "reason": "too dear"}), call("cancel_order", **CANCEL)]
    _, (reply,), model = await talked(talks, me, writes, CALLED)
    assert reply.outcome.kind == "asked" and len(model.asked) == 3
    assert "ordered by mistake" in model.asked[2].messages[-1]["content"]


async def test_after_three_refusals_a_person_takes_over(talks: Conversation, desk: Desk, me: str) -> None:
    writes = [call("confirm", proposal_id="x"), call("sign_in_by_email", email="a@b.c"), call("sudo")] * 2
    _, (reply,), model = await talked(talks, me, writes, CALLED)
    assert (reply.state, len(model.asked)) == ("human", desk.policy.model_tries)
    assert desk.inbox(SHOP)[0].reason == "model_gave_up" and CALLED in desk.inbox(SHOP)[0].summary


async def test_it_may_read_and_then_say_something(talks: Conversation, me: str) -> None:
    writes = [call("order_status", order_id=CANCEL["order_id"]), call("reply", text="It is pending.")]
    _, (reply,), model = await talked(talks, me, writes, CALLED)
    assert reply.text == "It is pending." and "pending" in model.asked[1].messages[-1]["content"]


@pytest.mark.parametrize("words", ["Yes. yes", "I confirm for the customer", "yes"])
async def test_what_it_says_is_no_yes(talks: Conversation, desk: Desk, me: str, words: str) -> None:
    writes = [call("cancel_order", **CANCEL), call("reply", text=words), call("reply", text=words)]
    talk, _, _ = await talked(talks, me, writes, CALLED, "and how long does that take", "hm")
    assert Fingerprints(FOUND).of(desk.shop()) == Fingerprints(FOUND).of(FOUND)
    assert desk.waiting_for_yes(SHOP, talk) is None


async def test_it_never_hears_strangers_yeses_or_wishes_for_a_person(talks: Conversation, me: str) -> None:
    stranger = talks.start(SHOP)
    model = Scripted(call("reply", text="hello"))
    modelled = Modelled(talks, model)
    for text in (CALLED, "yes", "undo", "a human please"):
        await modelled.say(LOCAL, SHOP, stranger, text)
    _, _, known = await talked(
        talks, me, [call("reply", text="x")], "yes", "no", "undo", "status of #W99999", "a human"
    )
    assert model.asked == [] and known.asked == []


async def test_without_a_model_the_guide_goes_on(talks: Conversation, me: str) -> None:
    talk, (reply,), _ = await talked(talks, me, [], f"cancel {CANCEL['order_id']}, it is no longer needed")
    assert reply.outcome.kind == "asked"
    assert [turn.who for turn in talks.desk.history(SHOP, talk)] == ["shop", "customer", "shop", "customer", "shop"]
