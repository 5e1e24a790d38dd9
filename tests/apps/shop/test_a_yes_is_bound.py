"""A yes carries out exactly what was asked, once, in time, and can be taken back while nothing else has moved."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ikkan.apps.shop import store
from ikkan.apps.shop.service.replay import SHOP, expected
from ikkan.apps.shop.service.tau import Fingerprints
from ikkan.apps.shop.store.tables import proposals
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database

from .conftest import FOUND, Desk, order_of, way_of

SAME = Fingerprints(FOUND)


def same(shop: dict[str, Any], *actions: tuple[str, dict[str, Any]]) -> bool:
    """Whether a shop is as the published actions leave it."""
    return SAME.of(shop) == SAME.of(expected(FOUND, actions))


def cancelling(user: str, *, at: int = 0) -> dict[str, Any]:
    return {"order_id": order_of(user, "pending", at=at)["order_id"], "reason": "no longer needed"}


def test_nothing_is_written_before_the_yes_and_exactly_that_after_it(desk: Desk, me: str) -> None:
    talk = desk.come_in(me)
    asked = desk.ask(talk, "cancel_pending_order", **cancelling(me))
    assert (asked.kind, same(desk.shop())) == ("asked", True)
    assert desk.yes(talk, asked).kind == "done"
    assert same(desk.shop(), ("cancel_pending_order", cancelling(me)))


def test_the_question_tells_every_detail_in_three_languages(desk: Desk, me: str) -> None:
    asked = desk.ask(desk.come_in(me), "cancel_pending_order", **cancelling(me))
    amount = f"{order_of(me, 'pending')['payment_history'][0]['amount']:,.2f}"
    for language in ("ja", "en", "zh"):
        assert cancelling(me)["order_id"] in asked.says[language] and amount in asked.says[language]


def test_a_second_yes_does_nothing(desk: Desk, me: str) -> None:
    talk = desk.come_in(me)
    asked = desk.ask(talk, "cancel_pending_order", **cancelling(me))
    assert [desk.yes(talk, asked).code for _ in range(3)] == ["", "already_done", "already_done"]
    assert same(desk.shop(), ("cancel_pending_order", cancelling(me)))


@pytest.mark.parametrize("digest", ["", "0" * 64, "é"])
def test_a_yes_to_something_else_does_nothing(desk: Desk, me: str, digest: str) -> None:
    talk = desk.come_in(me)
    asked = desk.ask(talk, "cancel_pending_order", **cancelling(me))
    assert desk.confirm(SHOP, talk, asked.proposal_id, digest).code == "other_arguments"
    assert same(desk.shop())


def test_a_row_that_was_changed_is_not_what_was_asked(desk: Desk, me: str) -> None:
    talk = desk.come_in(me)
    asked = desk.ask(talk, "cancel_pending_order", **cancelling(me))
    with desk.database.transaction() as connection:
        connection.execute(proposals.update().values(arguments=cancelling(me, at=1)))
    assert desk.yes(talk, asked).code == "other_arguments"
    assert same(desk.shop())


def test_a_newer_question_makes_the_older_one_void(desk: Desk, me: str) -> None:
    talk = desk.come_in(me)
    first = desk.ask(talk, "cancel_pending_order", **cancelling(me))
    desk.ask(talk, "cancel_pending_order", **cancelling(me, at=1))
    assert desk.yes(talk, first).code == "question_is_gone"
    assert same(desk.shop())


def test_a_late_yes_does_nothing(desk: Desk, me: str, clock: FakeClock) -> None:
    talk = desk.come_in(me)
    asked = desk.ask(talk, "cancel_pending_order", **cancelling(me))
    clock.advance(desk.policy.confirm_within_s + 0.001)
    assert [desk.yes(talk, asked).code for _ in range(2)] == ["question_expired", "question_is_gone"]
    assert same(desk.shop())


def test_a_yes_to_a_world_that_has_moved_does_nothing(desk: Desk, me: str) -> None:
    talk = desk.come_in(me)
    asked = desk.ask(talk, "cancel_pending_order", **cancelling(me))
    with desk.database.transaction() as connection:
        assert store.goods.carrier_said(connection, SHOP, cancelling(me)["order_id"], "late")
    assert desk.yes(talk, asked).code == "state_changed"
    assert same(desk.shop())


def test_a_question_belongs_to_one_conversation_of_one_customer(desk: Desk, me: str, other: str) -> None:
    asked = desk.ask(desk.come_in(me), "cancel_pending_order", **cancelling(me))
    for talk in (desk.come_in(me), desk.come_in(other), desk.start(SHOP)):
        assert desk.yes(talk, asked).code == "no_such_question"
    assert same(desk.shop())


def test_of_many_yeses_at_once_one_counts(desk: Desk, me: str) -> None:
    talk = desk.come_in(me)
    asked = desk.ask(talk, "cancel_pending_order", **cancelling(me))
    kinds: list[str] = []
    threads = [threading.Thread(target=lambda: kinds.append(desk.yes(talk, asked).kind)) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(kinds) == ["done", "refused", "refused", "refused"]
    assert same(desk.shop(), ("cancel_pending_order", cancelling(me)))


def test_two_processes_at_once_do_it_once(desk: Desk, me: str, clock: FakeClock) -> None:
    talk = desk.come_in(me)
    asked = desk.ask(talk, "cancel_pending_order", **cancelling(me))
    beside = Desk(Database(desk.database.url), clock)
    kinds: list[str] = []
    threads = [
        threading.Thread(target=lambda each=each: kinds.append(each.yes(talk, asked).kind))  # type: ignore[misc]
        for each in (desk, beside, desk, beside)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    beside.database.close()
    assert sorted(kinds) == ["done", "refused", "refused", "refused"]
    assert same(desk.shop(), ("cancel_pending_order", cancelling(me)))


def test_one_gift_card_does_not_pay_twice_at_once(desk: Desk, me: str) -> None:
    card = way_of(me, "gift_card")
    wishes = [{"order_id": order_of(me, "pending", at=at)["order_id"], "payment_method_id": card} for at in (0, 1)]
    rooms = [desk.come_in(me), desk.come_in(me)]
    asked = [desk.ask(room, "modify_pending_order_payment", **wish) for room, wish in zip(rooms, wishes, strict=True)]
    assert [each.kind for each in asked] == ["asked", "asked"]
    threads = [threading.Thread(target=desk.yes, args=pair) for pair in zip(rooms, asked, strict=True)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    after = SAME.of(desk.shop())
    assert after in {SAME.of(expected(FOUND, [("modify_pending_order_payment", wish)])) for wish in wishes}


def every_deed(user: str) -> list[tuple[str, dict[str, Any]]]:
    delivered = order_of(user, "delivered")
    address = {**FOUND["users"][user]["address"], "address1": "1 New Street"}
    return [
        ("cancel_pending_order", cancelling(user)),
        ("modify_pending_order_payment", {"order_id": cancelling(user)["order_id"],
            "payment_method_id": way_of(user, "gift_card")}),
        ("modify_pending_order_address", {"order_id": cancelling(user)["order_id"], **address}),
        ("modify_user_address", {"user_id": user, **address}),
        ("return_delivered_order_items", {"order_id": delivered["order_id"],
            "item_ids": [delivered["items"][0]["item_id"]], "payment_method_id": way_of(user, "gift_card")}),
    ]  # fmt: skip


@pytest.mark.parametrize("which", range(5))
def test_what_was_done_can_be_taken_back_whole_and_once(desk: Desk, me: str, which: int) -> None:
    name, given = every_deed(me)[which]
    talk = desk.come_in(me)
    asked = desk.ask(talk, name, **given)
    assert (desk.yes(talk, asked).kind, same(desk.shop(), (name, given))) == ("done", True)
    assert [desk.undo(SHOP, talk).kind for _ in range(2)] == ["undone", "refused"]
    assert same(desk.shop())
    assert desk.yes(talk, asked).code == "question_is_gone"


def test_it_is_not_taken_back_after_its_time(desk: Desk, me: str, clock: FakeClock) -> None:
    talk = desk.come_in(me)
    desk.yes(talk, desk.ask(talk, "cancel_pending_order", **cancelling(me)))
    clock.advance(desk.policy.undo_within_s + 1)
    assert desk.undo(SHOP, talk).code == "undo_is_over"
    assert same(desk.shop(), ("cancel_pending_order", cancelling(me)))


def test_it_is_not_taken_back_once_the_carrier_has_acted(desk: Desk, me: str) -> None:
    talk = desk.come_in(me)
    name, given = every_deed(me)[4]
    desk.yes(talk, desk.ask(talk, name, **given))
    with desk.database.transaction() as connection:
        store.goods.carrier_said(connection, SHOP, given["order_id"], "on the way back")
    assert desk.undo(SHOP, talk).code == "cannot_undo"
    assert same(desk.shop(), (name, given))


def test_money_that_was_spent_since_is_not_taken_back(desk: Desk, me: str) -> None:
    """A cancelled order's money came to the card and left it again for another order."""
    card, (first, second) = way_of(me, "gift_card"), (order_of(me, "pending", at=at) for at in (0, 1))
    cheaper, dearer = sorted((first, second), key=lambda order: order["payment_history"][0]["amount"])
    talk = desk.come_in(me)
    paid = {"order_id": cheaper["order_id"], "payment_method_id": card}
    desk.yes(talk, desk.ask(talk, "modify_pending_order_payment", **paid))
    gone = {"order_id": cheaper["order_id"], "reason": "ordered by mistake"}
    done = desk.yes(talk, desk.ask(talk, "cancel_pending_order", **gone))
    spent = {"order_id": dearer["order_id"], "payment_method_id": card}
    assert desk.yes(talk, desk.ask(talk, "modify_pending_order_payment", **spent)).kind == "done"
    assert desk.undo(SHOP, talk, done.proposal_id).code == "cannot_undo"
    methods = desk.case(SHOP, talk).customer
    assert methods is not None and methods.methods[card].balance_micros == 0
