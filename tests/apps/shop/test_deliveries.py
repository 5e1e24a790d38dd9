"""Parcels that are late or lost: told once, offered help with once, by policy, and a no is remembered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.importing.rows import News
from ikkan.apps.shop.rules.support import hearing
from ikkan.apps.shop.service import tau
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.service.conversation import Conversation
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.values.care import DELAYED, Care
from ikkan.bootstrap.platform import Platform, asgi
from ikkan.cloud.values import LOCAL_TENANT, USER
from ikkan.ground.clock import FakeClock
from ikkan.ground.errors import BadInput, NotFound
from ikkan.ground.ids import TenantId

from .conftest import FOUND, Desk, order_of

TODAY = date(2026, 6, 1)


@pytest.fixture
def carrier(desk: Desk) -> Carrier:
    return Carrier(desk.database, desk.clock)


@pytest.fixture
def late(desk: Desk, carrier: Carrier, me: str) -> str:
    """An order of mine on its way, promised for the day before yesterday."""
    order_id: str = order_of(me, "pending")["order_id"]
    with desk.database.transaction() as connection:
        order = store.books.some_orders(connection, SHOP, [order_id])[order_id]
        connection.execute(
            sa.update(store.metadata.tables["shop_orders"]).where(sa.column("order_id") == order_id)
            .values(status="processed")
        )  # fmt: skip
        carrier.promised(connection, SHOP, order.order_id, TODAY - timedelta(days=2))
    return order_id


def test_a_promised_day_that_passes_in_silence_is_noticed_once(carrier: Carrier, late: str, me: str) -> None:
    assert carrier.look(SHOP) == 1
    assert (carrier.look(SHOP), carrier.look()) == (0, 0)
    ((offer, words, choices),) = carrier.offers(SHOP, customer_id=me)
    assert (offer.kind, offer.order_id) == ("late", late)
    assert late in words["ja"] and "2026-05-30" in words["zh"] and "sorry" in words["en"]
    assert [choice.intent for choice in choices] == ["status", "person"]


def test_what_a_choice_says_is_understood(carrier: Carrier, late: str, me: str) -> None:
    carrier.said(SHOP, News(late, "lost", None, None))
    ((offer, words, choices),) = carrier.offers(SHOP, customer_id=me)
    assert offer.kind == "lost" and late in words["en"]
    assert [choice.intent for choice in choices] == ["status", "lost", "person"]
    for choice in choices:
        for said in choice.say.values():
            assert hearing.wants_person(said) if choice.intent == "person" else hearing.intent(said) == choice.intent


@pytest.mark.parametrize("language", ["ja", "en", "zh"])
def test_taking_the_offer_goes_on_in_a_conversation_that_knows_the_customer(
    desk: Desk, carrier: Carrier, late: str, me: str, language: str
) -> None:
    carrier.said(SHOP, News(late, "lost", None, None))
    ((offer, words, choices),) = carrier.offers(SHOP, customer_id=me)
    talk_id = carrier.take(SHOP, offer.offer_id, language)  # type: ignore[arg-type]
    assert carrier.take(SHOP, offer.offer_id, language) == talk_id  # type: ignore[arg-type]
    assert desk.history(SHOP, talk_id)[-1].text == words[language]
    talks = Conversation(desk)
    refund = next(choice for choice in choices if choice.intent == "lost")
    talks.say(SHOP, talk_id, refund.say[language])
    reply = talks.say(SHOP, talk_id, "1")
    assert reply.outcome is not None and (reply.outcome.kind, reply.outcome.tool) == ("asked", "refund_lost_order")
    done = desk.yes(talk_id, reply.outcome)
    assert done.kind == "done"
    assert carrier.offers(SHOP, customer_id=me) == []


def test_a_no_is_remembered_and_another_delay_is_another_offer(
    desk: Desk, carrier: Carrier, clock: FakeClock, late: str, me: str
) -> None:
    carrier.look(SHOP)
    ((offer, _, _),) = carrier.offers(SHOP, customer_id=me)
    assert carrier.decline(SHOP, offer.offer_id) and not carrier.decline(SHOP, offer.offer_id)
    carrier.said(SHOP, News(late, "late", TODAY + timedelta(days=1), clock.now()))
    clock.advance(5 * 86_400)
    assert carrier.look(SHOP) == 1
    assert carrier.offers(SHOP, customer_id=me) == []
    carrier.said(SHOP, News(late, "lost", None, clock.now()))
    assert [offer.kind for offer, _, _ in carrier.offers(SHOP, customer_id=me)] == ["lost"]


def test_what_arrives_needs_no_help_any_more(desk: Desk, carrier: Carrier, late: str, me: str) -> None:
    carrier.look(SHOP)
    assert carrier.said(SHOP, News(late, "delivered", None, None)).became == "noted"
    assert carrier.offers(SHOP, customer_id=me) == []
    with desk.database.read() as connection:
        order = store.books.some_orders(connection, SHOP, [late])[late]
    assert (order.status, order.carrier) == ("delivered", "delivered")
    assert carrier.said(SHOP, News(late, "delivered", None, None)).became == "same"


def test_older_news_do_not_overtake_newer_ones(carrier: Carrier, late: str) -> None:
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert carrier.said(SHOP, News(late, "on the way", None, noon)).became == "noted"
    assert carrier.said(SHOP, News(late, "lost", None, noon - timedelta(hours=1))).became == "stale"
    assert carrier.said(SHOP, News("#W0", "lost", None, noon)).became == "unknown"
    assert carrier.said(TenantId("another"), News(late, "lost", None, noon)).became == "unknown"


def test_a_promise_that_is_moved_back_is_a_delay_at_once(carrier: Carrier, late: str, clock: FakeClock) -> None:
    heard = carrier.said(SHOP, News(late, "", TODAY + timedelta(days=3), clock.now()))
    assert heard.delay == "late"
    assert carrier.look(SHOP) == 0


def test_a_merchant_may_not_want_offers_or_may_give_days_of_grace(carrier: Carrier, late: str, me: str) -> None:
    carrier.set_care(SHOP, Care(grace_days=5))
    assert carrier.look(SHOP) == 0
    carrier.set_care(SHOP, Care(offers_help=False))
    assert carrier.look(SHOP) == 1
    assert carrier.offers(SHOP, customer_id=me) == []
    carrier.set_care(SHOP, Care())
    assert carrier.offers(SHOP, customer_id=me) == []
    with pytest.raises(BadInput):
        carrier.set_care(SHOP, Care(utc_offset="Tokyo"))


def test_the_shop_s_day_ends_where_the_shop_is(desk: Desk, carrier: Carrier, clock: FakeClock, late: str) -> None:
    with desk.database.transaction() as connection:
        known = store.deliveries.get(connection, SHOP, late)
        assert known is not None
        store.deliveries.put(connection, SHOP, type(known)(late, TODAY, "", None, ""))
    clock.advance(7_200)  # 14:00 UTC: 23:00 in Tokyo, still the promised day
    assert carrier.look(SHOP) == 0
    clock.advance(3_660)
    assert carrier.look(SHOP) == 1


def test_an_erased_customer_leaves_no_delivery_and_no_offer(desk: Desk, carrier: Carrier, late: str, me: str) -> None:
    carrier.look(SHOP)
    ((offer, _, _),) = carrier.offers(SHOP, customer_id=me)
    with desk.database.transaction() as connection:
        subject = store.goods.subject_of(connection, SHOP, me)
        assert subject is not None
        store.forget(connection, SHOP, subject)
        assert store.deliveries.get(connection, SHOP, late) is None
    with pytest.raises(NotFound):
        carrier.offer(SHOP, offer.offer_id)


@pytest.fixture
def page(platform: Platform) -> Iterator[TestClient]:
    tau.bring_in(
        platform.database, LOCAL_TENANT, FOUND, lambda each: platform.cloud.subjects.pseudonym(LOCAL_TENANT, each)
    )
    with TestClient(asgi(platform), base_url="http://127.0.0.1:8700", client=("127.0.0.1", 5000)) as client:
        yield client


def test_a_delay_goes_from_the_carrier_to_the_event_log_and_to_the_customer(
    page: TestClient, platform: Platform, me: str
) -> None:
    order_id = order_of(me, "pending")["order_id"]
    api = "/a/shop/v1"
    news = {"news": [{"order_id": order_id, "news": "late", "promised_on": "2026-05-01"}, {"order_id": "#W0"}]}
    heard = page.post(f"{api}/carrier/news", json=news).json()["heard"]
    assert [(each["became"], each["delay"]) for each in heard] == [("noted", "late"), ("unknown", None)]
    (told,) = platform.events.reader().read([DELAYED])
    assert told.payload["order_id"] == order_id and told.payload["kind"] == "late" and told.payload["product_ids"]
    assert told.subject_id == platform.cloud.subjects.pseudonym(LOCAL_TENANT, me)
    (offer,) = page.get(f"{api}/offers", params={"customer": me}).json()["offers"]
    assert {choice["intent"] for choice in offer["choices"]} == {"status", "cancel", "person"}
    stranger = platform.cloud.service.create_key("stranger", scopes=(USER,)).secret
    other = TestClient(asgi(platform), headers={"authorization": f"Bearer {stranger}"})
    assert other.get(f"{api}/offers", params={"customer": me}).status_code == 403
    assert other.get(f"{api}/offers").json() == {"offers": []}
    assert other.post(f"{api}/offers/{offer['offer_id']}/take", json={}).status_code == 404
    assert other.post(f"{api}/carrier/look").status_code == 403
    taken = page.post(f"{api}/offers/{offer['offer_id']}/take", json={"language": "en"}).json()
    assert page.get(f"{api}/support/talks/{taken['talk_id']}").json()["turns"][-1]["text"] == offer["text"]["en"]
    assert page.put(f"{api}/care", json={"offers_help": False}).json()["offers_help"] is False
    assert page.get(f"{api}/care").json()["offers_help"] is False
    assert page.post(f"{api}/carrier/look").json() == {"noticed": 0}


def test_the_support_page_is_told_for_whom_to_look_by_the_shops_people_only(
    page: TestClient, platform: Platform
) -> None:
    assert 'data-customer="c0001"' in page.get("/shop/support", params={"customer": "c0001"}).text
    assert "<script>" not in page.get("/shop/support", params={"customer": '"><script>'}).text
    stranger = platform.cloud.service.create_key("stranger", scopes=(USER,)).secret
    other = TestClient(asgi(platform), headers={"authorization": f"Bearer {stranger}"})
    assert 'data-customer=""' in other.get("/shop/support", params={"customer": "c0001"}).text
