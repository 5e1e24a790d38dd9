"""Wares on the shelf: put, replaced, taken off, and seen by whoever looks for what changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.store import shelf
from ikkan.apps.shop.values import Ware
from ikkan.ground.db import Database
from ikkan.ground.ids import TenantId

MILL = Ware(
    "p-1",
    "Hand coffee mill",
    "Kitchen > Coffee > Grinders",
    4_980_000_000,
    "JPY",
    datetime(2026, 5, 1, 9, tzinfo=UTC),
    description="Grinds for one.",
    brand="Ishiusu",
    seller="north",
    margin_share=0.3,
    stock=4,
    attributes={"material": "steel"},
    tags=("calm", "gift"),
    image="https://shop.example/mill.jpg",
    names={"ja": "手挽きコーヒーミル"},
)
BARE = Ware("p-2", "傘", "Rain", 0, "JPY", datetime(2026, 5, 1, tzinfo=UTC))


def test_what_is_put_comes_back_the_same(database: Database) -> None:
    with database.transaction() as connection:
        assert shelf.put_wares(connection, SHOP, [MILL, BARE]) == 2
        assert shelf.put_wares(connection, SHOP, []) == 0
    with database.read() as connection:
        assert shelf.wares(connection, SHOP) == [MILL, BARE]
        assert shelf.ware(connection, SHOP, "p-1") == MILL
        assert shelf.ware(connection, SHOP, "p-9") is None
        assert shelf.some(connection, SHOP, ["p-2", "p-9"]) == {"p-2": BARE}


def test_a_ware_that_is_put_again_is_replaced_whole(database: Database) -> None:
    cheaper = replace(MILL, price_micros=3_980_000_000, tags=(), stock=None)
    with database.transaction() as connection:
        shelf.put_wares(connection, SHOP, [MILL])
        shelf.put_wares(connection, SHOP, [MILL, cheaper])
    with database.read() as connection:
        assert shelf.wares(connection, SHOP) == [cheaper]


def test_a_ware_taken_off_is_known_but_not_listed(database: Database) -> None:
    with database.transaction() as connection:
        shelf.put_wares(connection, SHOP, [MILL])
        assert shelf.remove_ware(connection, SHOP, "p-1")
        assert not shelf.remove_ware(connection, SHOP, "p-1")
        assert not shelf.remove_ware(connection, SHOP, "p-9")
    with database.read() as connection:
        assert shelf.ware(connection, SHOP, "p-1") == replace(MILL, is_listed=False)


def test_only_what_changed_is_brought(database: Database) -> None:
    with database.transaction() as connection:
        assert shelf.version(connection, SHOP) == 0
        shelf.put_wares(connection, SHOP, [MILL, BARE])
        seen = shelf.version(connection, SHOP)
        assert shelf.changed_since(connection, SHOP, 0) == [MILL, BARE]
        assert shelf.changed_since(connection, SHOP, seen) == []
        shelf.remove_ware(connection, SHOP, "p-2")
    with database.read() as connection:
        assert shelf.version(connection, SHOP) > seen
        assert shelf.changed_since(connection, SHOP, seen) == [replace(BARE, is_listed=False)]


def test_two_shops_have_two_shelves(database: Database) -> None:
    other = TenantId("another")
    with database.transaction() as connection:
        shelf.put_wares(connection, SHOP, [MILL])
        assert not shelf.remove_ware(connection, other, "p-1")
        assert shelf.wares(connection, other) == []


def test_a_shelf_larger_than_a_statement_holds(database: Database) -> None:
    many = [replace(BARE, product_id=f"p-{number:05}") for number in range(2_500)]
    with database.transaction() as connection:
        assert shelf.put_wares(connection, SHOP, many) == 2_500
        assert len(shelf.some(connection, SHOP, [each.product_id for each in many])) == 2_500


@pytest.mark.parametrize(("language", "name"), [("ja", "手挽きコーヒーミル"), ("en", "Hand coffee mill")])
def test_a_ware_has_its_name_in_the_language_of_the_reader(language: str, name: str) -> None:
    assert MILL.name_in(language) == name
