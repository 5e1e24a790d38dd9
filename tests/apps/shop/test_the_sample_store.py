"""The sample store: the same from a seed, one shop for suggestions and support, with tastes that can be learned."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.support.binding import sha256
from ikkan.apps.shop.sample.documents import documents
from ikkan.apps.shop.sample.loading import load_store
from ikkan.apps.shop.sample.store import Store, sample_store
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.service.listening import Hears
from ikkan.apps.shop.service.replay import SHOP
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.ids import SubjectId

END = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def made() -> Store:
    return sample_store(1, end=END)


def test_the_same_seed_makes_the_same_store(made: Store) -> None:
    assert made == sample_store(1, end=END)
    assert made.events != sample_store(2, end=END).events


def test_it_is_as_large_as_it_says(made: Store) -> None:
    assert 380 <= len(made.wares) <= 420 and len(made.customers) == 300
    assert 7_000 <= len(made.events) <= 10_000
    assert len({ware.category for ware in made.wares}) == 12
    assert {"calm", "lively", "gift"} <= {tag for ware in made.wares for tag in ware.tags}
    assert all(ware.name_in("ja") != ware.name_in("en") for ware in made.wares)
    assert set(Counter(each.deed for each in made.events)) == {"viewed", "carted", "bought", "returned"}


def test_suggestions_and_support_speak_of_the_same_things(made: Store) -> None:
    products = {each.product_id: each for each in made.products}
    assert set(products) == {ware.product_id for ware in made.wares}
    assert {each.product_id for each in made.events} <= set(products)
    assert {each.person for each in made.events} <= {each.customer_id for each in made.customers}
    for order in made.orders:
        assert sum(line.price_micros for line in order.lines) == order.payments[0].amount_micros
        assert all(line.item_id in products[line.product_id].items for line in order.lines)
    assert len({each.event_id for each in made.events}) == len(made.events)
    assert all(END - timedelta(days=57) < each.at <= END for each in made.events)


def test_some_orders_are_on_their_way_and_one_is_late(made: Store) -> None:
    states = Counter(each.status for each in made.orders)
    assert states["processed"] >= 10 and states["pending"] >= 5
    late = {order_id: day for order_id, day in made.promised if day < END.date()}
    assert set(late) == {made.late}


def test_what_people_did_first_says_what_they_do_later(made: Store) -> None:
    aisles = {ware.product_id: ware.category for ware in made.wares}
    hits = chance = seen = 0.0
    overall = Counter(aisles[str(each.product_id)] for each in made.events)
    for person in {each.person for each in made.events}:
        theirs = [aisles[str(each.product_id)] for each in made.events if each.person == person]
        early, later = theirs[: len(theirs) // 2], theirs[len(theirs) // 2 :]
        favourite = Counter(early).most_common(1)[0][0] if early else ""
        hits += sum(each == favourite for each in later)
        chance += len(later) * overall.most_common(1)[0][1] / len(made.events)
        seen += len(later)
    assert hits / seen > 2.5 * chance / seen


@pytest.mark.parametrize("hours", [0, 9])
def test_it_loads_twice_into_the_same_and_the_late_order_is_noticed(
    database: Database, clock: FakeClock, hours: int
) -> None:
    clock.advance(hours * 3_600)
    small, heard, carrier = sample_store(1, end=clock.now(), people=40), Hears(), Carrier(database, clock)

    def load() -> dict[str, int]:
        return load_store(
            database, SHOP, small, heard, carrier, lambda tenant, person: SubjectId(sha256([person])[:32])
        )

    first, again = load(), load()
    assert (first["events"], again["events"]) == (len(small.events), 0)
    assert (first["late"], again["late"]) == (1, 0)
    with database.read() as connection:
        assert store.shelf.wares(connection, SHOP) == sorted(small.wares, key=lambda each: each.product_id)
        buyer = store.books.some_orders(connection, SHOP, [small.late])[small.late].customer_id
    ((offer, _, _),) = carrier.offers(SHOP, customer_id=buyer)
    assert offer.order_id == small.late


def test_every_document_is_there_in_three_languages() -> None:
    found = documents()
    assert Counter(each.language for each in found) == {"ja": 5, "en": 5, "zh": 5}
    assert all(each.text.startswith(f"# {each.title}\n") and len(each.text) > 100 for each in found)
