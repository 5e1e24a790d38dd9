"""What an assistant may ask of the shop: reading and proposing, as the person who asks; never a confirmation."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.apps.shop.service.tools import tools
from ikkan.apps.shop.values import Happened, Ware
from ikkan.cloud.values import Principal
from ikkan.ground.errors import BadInput, NotFound
from ikkan.ground.ids import SubjectId

from .conftest import FOUND, SHOP, Desk, order_of

ADMIN = Principal(SHOP, None, SubjectId("boss"), frozenset({"admin", "user"}))
USER = Principal(SHOP, None, SubjectId("someone"), frozenset({"user"}))
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def ask(desk: Desk) -> Any:
    shelf = [Ware(f"w{row}", f"Ware {row}", f"Kind {row % 2}", 1_000_000, "EUR", NOW) for row in range(8)]
    service = Suggesting(desk.database, desk.clock, pseudonym=lambda tenant, person: SubjectId(person))
    service.put_wares(SHOP, shelf)
    for number in range(6):
        deeds = [Happened(f"{number}-{row}", f"p{number}", "viewed", desk.clock.now(), f"w{row}") for row in (0, 2)]
        service.tell(SHOP, deeds)
    found = {tool.name: tool.handler for tool in tools(service, Conversation(desk))}
    return lambda name, who=ADMIN, **given: asyncio.run(found[name](who, **given))


def test_a_merchants_assistant_sees_what_somebody_would_be_shown_and_why(ask: Any) -> None:
    shown = ask("suggest_products", person="p1", n=3)
    assert 0 < len(shown["products"]) <= 20 and {"product", "name", "because"} <= shown["products"][0].keys()
    first = shown["products"][0]["product"]
    assert ask("explain_suggestion", person="p1", product=first)["position"] >= 1
    assert "why_not" in ask("explain_suggestion", person="p1", product="no such thing")


def test_other_peoples_lists_are_for_whoever_runs_the_shop(ask: Any) -> None:
    with pytest.raises(NotFound):
        ask("suggest_products", USER, person="p1")
    with pytest.raises(BadInput):
        ask("suggest_products", person="p1", surface="cellar")


def test_an_order_is_told_only_where_its_customer_said_who_they_are(ask: Any, desk: Desk, me: str) -> None:
    opened = ask("start_support", USER, language="en")
    order = order_of(me, "delivered")["order_id"]
    assert "refused" in ask("order_status", USER, talk=opened["talk_id"], order=order)
    desk.propose(SHOP, opened["talk_id"], "sign_in_by_email", {"email": FOUND["users"][me]["email"]})
    assert ask("order_status", USER, talk=opened["talk_id"], order=order)["order"]["order_id"] == order
    stranger = Principal(SHOP, None, SubjectId("else"), frozenset({"user"}))
    with pytest.raises(NotFound):
        ask("order_status", stranger, talk=opened["talk_id"], order=order)


def test_no_tool_can_confirm(ask: Any, desk: Desk) -> None:
    names = {"suggest_products", "explain_suggestion", "order_status", "start_support"}
    with pytest.raises(BadInput):
        ask("start_support", USER, language="fr")
    before = desk.shop()
    opened = ask("start_support", USER)
    assert opened["page"] == "/shop" and "confirm" not in names
    assert desk.shop() == before
