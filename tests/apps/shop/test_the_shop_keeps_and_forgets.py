"""Tables and their migration, one shop beside another, and a person who is erased."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from ikkan.apps.shop import store
from ikkan.apps.shop.service import SupportDesk, tau
from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.replay import SHOP
from ikkan.ground.errors import NotFound
from ikkan.ground.ids import SubjectId, TenantId

from .conftest import FOUND, Desk, order_of


def test_the_store_and_its_migration_agree(differences: Callable[[sa.MetaData], list[Any]]) -> None:
    assert differences(store.metadata) == []


def test_what_was_brought_in_comes_out_the_same(desk: Desk) -> None:
    assert tau.Fingerprints(FOUND).of(desk.shop()) == tau.Fingerprints(FOUND).of(FOUND)
    tau.bring_in(desk.database, SHOP, FOUND)
    assert tau.Fingerprints(FOUND).of(desk.shop()) == tau.Fingerprints(FOUND).of(FOUND)


def test_an_order_that_is_brought_in_again_makes_what_waits_stale(desk: Desk, me: str) -> None:
    talk = desk.come_in(me)
    order_id = order_of(me, "pending")["order_id"]
    asked = desk.ask(talk, "cancel_pending_order", order_id=order_id, reason="no longer needed")
    tau.bring_in(desk.database, SHOP, FOUND)
    assert desk.yes(talk, asked).code == "state_changed"


def test_another_shop_sees_nothing(desk: Desk, me: str) -> None:
    elsewhere, talk = TenantId("another"), desk.come_in(me)
    with pytest.raises(NotFound):
        desk.talk(elsewhere, talk)
    theirs = desk.start(elsewhere)
    email = FOUND["users"][me]["email"]
    assert desk.propose(elsewhere, theirs, "sign_in_by_email", {"email": email}).code == "customer_not_found"
    assert desk.inbox(elsewhere) == []


def test_an_erased_customer_is_in_no_table(desk: Desk, me: str, other: str) -> None:
    talks = Conversation(desk)
    talk = desk.come_in(me)
    desk.ask(talk, "cancel_pending_order", order_id=order_of(me, "pending")["order_id"], reason="no longer needed")
    talks.say(SHOP, talk, "a human, please")
    kept = desk.come_in(other)
    with desk.database.transaction() as connection:
        subject = store.goods.subject_of(connection, SHOP, me)
        assert subject is not None
        assert store.forget(connection, SHOP, subject) > 10
        assert store.forget(connection, SHOP, subject) == 0
    with desk.database.read() as connection:
        for table in store.metadata.tables.values():
            told = repr(connection.execute(sa.select(table)).all())
            assert me not in told and FOUND["users"][me]["email"] not in told, table.name
        assert store.goods.who_has_email(connection, SHOP, FOUND["users"][other]["email"]) == [other]
    assert desk.talk(SHOP, kept).customer_id == other


def test_whoever_signed_in_and_spoke_is_forgotten_too(desk: SupportDesk) -> None:
    talk = desk.start(SHOP, subject_id=SubjectId("staff"))
    with desk.database.transaction() as connection:
        assert store.forget(connection, SHOP, SubjectId("staff")) == 1
    with pytest.raises(NotFound):
        desk.talk(SHOP, talk)
