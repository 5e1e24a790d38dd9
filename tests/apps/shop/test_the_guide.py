"""The guided dialogue, without any model: three languages, one question at a time, a person whenever wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings as how
from hypothesis import strategies as st

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.support import dialogue, hearing, phrases
from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.store import tables
from ikkan.apps.shop.values import LANGUAGES, Case, Language

from .conftest import FOUND, Desk, order_of, variant, way_of

RETURN = {"en": "I want to return something", "ja": "返品したいです", "zh": "我要退货"}
YES = {"en": "Yes, please.", "ja": "はい、お願いします。", "zh": "是的。"}
NO = {"en": "No", "ja": "いいえ", "zh": "不"}
PERSON = {"en": "Can I talk to a human?", "ja": "担当者と話したいです", "zh": "转人工"}
CARD = {"en": "to my gift card", "ja": "ギフトカードへ", "zh": "退到礼品卡"}


BUYER = next(
    user
    for user in FOUND["users"]
    if len(order_of(user, "delivered")["items"]) > 1
    and order_of(user, "delivered")["payment_history"][0]["payment_method_id"] != way_of(user, "gift_card")
)
"""Somebody who may choose among several items and two ways to be paid back."""


def come_in(talks: Conversation, user: str, language: Language) -> str:
    talk = talks.start(SHOP, language=language)
    name = FOUND["users"][user]["name"]
    first, last = name["first_name"], name["last_name"]
    said = f"{first} {last}" if language == "en" else f"{last} {first}"
    talks.say(SHOP, talk, f"{said}, {FOUND['users'][user]['address']['zip']}")
    assert talks.desk.talk(SHOP, talk).customer_id == user
    return talk


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_return_from_hello_to_done(talks: Conversation, desk: Desk, language: Language) -> None:
    order = order_of(BUYER, "delivered")
    talk = come_in(talks, BUYER, language)
    replies = [
        talks.say(SHOP, talk, text)
        for text in (f"{RETURN[language]} {order['order_id']}", "1", CARD[language], YES[language])
    ]
    assert replies[-1].outcome is not None and replies[-1].outcome.kind == "done"
    returned = desk.case(SHOP, talk).orders[order["order_id"]].returned
    assert returned is not None and returned.method_id == way_of(BUYER, "gift_card")
    assert returned.item_ids == (order["items"][0]["item_id"],)
    # And back again, in their own words.
    undone = talks.say(SHOP, talk, {"en": "undo", "ja": "元に戻してください", "zh": "撤销"}[language])
    assert undone.outcome is not None and undone.outcome.kind == "undone"
    assert desk.case(SHOP, talk).orders[order["order_id"]].returned is None


def test_an_exchange_by_its_options(talks: Conversation, desk: Desk, me: str) -> None:
    order = order_of(me, "delivered")
    item, new = order["items"][0], variant(order["items"][0]["item_id"])
    options = next(p["variants"][new]["options"] for p in FOUND["products"].values() if new in p["variants"])
    talk = come_in(talks, me, "en")
    for text in (f"exchange something of {order['order_id']}", "1", ", ".join(options.values()), "credit card"):
        reply = talks.say(SHOP, talk, text)
    asked = desk.waiting_for_yes(SHOP, talk)
    assert asked is not None and asked.tool == "exchange_items", reply.text
    assert asked.arguments["swaps"] == [{"item_id": item["item_id"], "new_item_id": new}]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lost_parcel_is_spoken_of_before_the_customer_asks(
    talks: Conversation, desk: Desk, language: Language
) -> None:
    order = order_of(BUYER, "delivered")["order_id"]
    with desk.database.transaction() as connection:
        connection.execute(tables.orders.update().where(tables.orders.c.order_id == order).values(status="processed"))
        store.goods.carrier_said(connection, SHOP, order, "lost")
    talk = talks.start(SHOP, language=language)
    told = talks.say(SHOP, talk, FOUND["users"][BUYER]["email"]).text
    assert phrases.LOST[language].format(order=order) in told
    wish = {"ja": "紛失の返金", "en": "refund the lost parcel", "zh": "丢失退款"}[language]
    talks.say(SHOP, talk, wish)
    asked = talks.say(SHOP, talk, CARD[language]).outcome
    assert asked is not None and asked.tool == "refund_lost_order"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_means_no(talks: Conversation, desk: Desk, me: str, language: Language) -> None:
    talk = come_in(talks, me, language)
    talks.say(SHOP, talk, f"cancel {order_of(me, 'pending')['order_id']}, ordered by mistake")
    assert desk.waiting_for_yes(SHOP, talk) is not None
    assert phrases.WITHDRAWN[language] in talks.say(SHOP, talk, NO[language]).text
    assert desk.waiting_for_yes(SHOP, talk) is None


def test_a_yes_is_only_to_the_question_that_was_shown(talks: Conversation, desk: Desk, me: str) -> None:
    talk = come_in(talks, me, "en")
    shown = talks.say(SHOP, talk, f"cancel {order_of(me, 'pending')['order_id']}, ordered by mistake").outcome
    assert shown is not None
    address = dict.fromkeys(("line1", "line2", "city", "state", "country", "zip"), "x")
    slipped = desk.propose(SHOP, talk, "change_my_address", address)
    assert talks.say(SHOP, talk, "yes").outcome is None
    assert [desk.confirm(SHOP, talk, each.proposal_id, each.digest).code for each in (shown, slipped)] == [
        "question_is_gone"
    ] * 2
    again = talks.say(SHOP, talk, f"cancel {order_of(me, 'pending')['order_id']}, ordered by mistake").outcome
    assert again is not None and talks.say(SHOP, talk, "yes", answers=shown.proposal_id).outcome is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_person_may_be_chosen_first(talks: Conversation, desk: Desk, language: Language) -> None:
    talk = talks.start(SHOP, language=language)
    reply = talks.say(SHOP, talk, PERSON[language])
    (entry,) = desk.inbox(SHOP)
    assert (reply.state, reply.text, entry.reason) == ("human", phrases.PERSON[language], "asked")
    assert PERSON[language] in entry.summary
    desk.answer(SHOP, talk, "Hello, this is Mori.")
    assert [turn.who for turn in desk.history(SHOP, talk)][-1] == "person"
    assert talks.say(SHOP, talk, "thank you").state == "human"
    assert desk.close(SHOP, talk) and desk.inbox(SHOP) == []


def test_what_is_not_understood_gets_a_menu_and_then_a_person(talks: Conversation, desk: Desk, me: str) -> None:
    talk = come_in(talks, me, "ja")
    first = talks.say(SHOP, talk, "ほげほげ")
    assert all(texts["ja"] in first.text for texts in phrases.INTENTS.values())
    assert talks.say(SHOP, talk, "2").text.startswith(phrases.ASK["order_id"]["ja"])
    talks.say(SHOP, talk, "いいえ")
    states = [talks.say(SHOP, talk, "ぴよ").state for _ in range(dialogue.CONFUSED_AT_MOST)]
    assert states == ["open"] * (dialogue.CONFUSED_AT_MOST - 1) + ["human"]
    assert desk.inbox(SHOP)[0].reason == "not_understood"


def test_the_summary_says_who_it_is_and_what_they_want(talks: Conversation, desk: Desk, me: str) -> None:
    talk, order = come_in(talks, me, "en"), order_of(me, "delivered")["order_id"]
    talks.say(SHOP, talk, f"I want to return something of {order}")
    talks.say(SHOP, talk, "let me talk to a representative")
    (entry,) = desk.inbox(SHOP)
    assert FOUND["users"][me]["name"]["last_name"] in entry.summary
    assert phrases.INTENTS["return"]["en"] in entry.summary and order in entry.summary


def test_somebody_elses_order_is_not_talked_about(talks: Conversation, me: str, other: str) -> None:
    talk = come_in(talks, me, "en")
    for said in (order_of(other, "pending")["order_id"], order_of(other, "pending")["order_id"].lstrip("#")):
        outcome = talks.say(SHOP, talk, f"status of {said}").outcome
        assert outcome is not None and outcome.code == "order_is_yours"


def test_status_and_stock_are_told(talks: Conversation, me: str) -> None:
    talk, order = come_in(talks, me, "zh"), order_of(me, "pending")
    assert order["items"][0]["name"] in talks.say(SHOP, talk, f"{order['order_id']} 到哪了").text
    assert "Backpack" in talks.say(SHOP, talk, "Backpack 多少钱").text


@pytest.mark.parametrize(
    "text",
    [
        "yes but not today",
        "yes?",
        "he said yes",
        "yes, to the other one",
        "はいと言われました",
        "是的，但是换一个",
        "y e s",
        "ok?",
        "",
    ],
)
def test_only_a_plain_yes_is_a_yes(text: str) -> None:
    assert hearing.yes_or_no(text) is None


@how(max_examples=150, deadline=None)
@drawn(texts=st.lists(st.one_of(st.text(max_size=60), st.sampled_from([*RETURN.values(), *PERSON.values(), "1", "99",
       "1, 1", "cancel", "all", "exchange", "change my address", "a, b, c, d, e, f", "no", "#", "#W0"])), max_size=6),
       language=st.sampled_from(LANGUAGES))  # fmt: skip
def test_no_sentence_breaks_the_dialogue(texts: list[str], language: Language) -> None:
    case, guide = known_case(), dialogue.Guide()
    for text in texts:
        guide, move = dialogue.step(guide, text, case, language, {"Desk Lamp": "9000000"})
        assert move.text or move.tool or move.person


def known_case() -> Case:
    from ikkan.apps.shop.service import tau

    user = next(iter(FOUND["users"].values()))
    orders: dict[str, Any] = {each: tau._order(FOUND["orders"][each]) for each in user["orders"]}
    products = {name: tau._product(found) for name, found in FOUND["products"].items()}
    return replace(Case(), customer=tau._customer(user), orders=orders, products=products)
