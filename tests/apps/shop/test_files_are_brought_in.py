"""Files of merchants: guessed, tried, brought in once, reported row by row, taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.support.binding import sha256
from ikkan.apps.shop.service.carrier import Carrier
from ikkan.apps.shop.service.importing import Importing
from ikkan.apps.shop.service.listening import Hears
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.suggesting import Suggesting
from ikkan.apps.shop.values.importing import Counts, Import, Reading
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, Conflict, NotFound
from ikkan.ground.ids import SubjectId, TenantId

CATALOGUE = """商品コード,商品名,販売価格,在庫数,カテゴリー,属性:色
A1,手挽きコーヒーミル,"¥4,980",12,キッチン＞コーヒー,赤
A2,"折りたたみ傘
(軽量)",２，９８０円,0,雨具,
A3,急須,3500,,キッチン,青
"""
ORDERS = """注文番号,顧客番号,メールアドレス,商品コード,商品名,単価,数量,注文日時,ステータス,お届け予定日
1001,c1,aoi@example.com,A1,ミル,4980,1,令和8年5月1日 10:00,発送済み,2026/5/10
1002,c2,ben@example.com,A3,急須,3500,2,2026-05-02,お届け済み,2026/5/8
1001,c1,aoi@example.com,A2,傘,2980,1,令和8年5月1日 10:00,発送済み,2026/5/10
"""


@pytest.fixture
def heard() -> Hears:
    return Hears()


@pytest.fixture
def importing(database: Database, clock: FakeClock, tmp_path: Path, heard: Hears) -> Importing:
    return Importing(
        database,
        clock,
        heard,
        Carrier(database, clock),
        tmp_path / "kept",
        lambda tenant_id, customer: SubjectId(sha256([customer])[:32]),
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def made(text: str, encoding: str = "utf-8", name: str = "file.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return made


def bring(importing: Importing, path: Path, **how: object) -> Import:
    begun = importing.begin(SHOP, path, **how)  # type: ignore[arg-type]
    return importing.run(SHOP, begun.import_id)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_a_japanese_catalogue_is_read_without_being_told_anything(
    importing: Importing, write: Callable[..., Path], database: Database, encoding: str
) -> None:
    done = bring(importing, write(CATALOGUE, encoding))
    assert (done.kind, done.state, done.counts) == ("catalogue", "done", Counts(rows=3, added=3))
    with database.read() as connection:
        mill, umbrella, _ = store.shelf.wares(connection, SHOP)
        products = store.goods.products_by_id(connection, SHOP, ["A1"])
    assert (mill.name, mill.price_micros, mill.currency, mill.stock) == ("手挽きコーヒーミル", 4_980_000_000, "JPY", 12)
    assert (mill.category, mill.attributes) == ("キッチン > コーヒー", {"色": "赤"})
    assert (umbrella.name, umbrella.price_micros, umbrella.can_be_had) == ("折りたたみ傘\n(軽量)", 2_980_000_000, False)
    assert products["A1"].items["A1"].price_micros == mill.price_micros


def test_the_same_file_is_brought_in_once(importing: Importing, write: Callable[..., Path], database: Database) -> None:
    first = bring(importing, write(CATALOGUE))
    again = importing.begin(SHOP, write(CATALOGUE))
    assert again.is_repeat and again.import_id == first.import_id
    other = bring(importing, write(CATALOGUE + "\n"))
    assert other.counts == Counts(rows=3, same=3)
    with database.read() as connection:
        assert store.shelf.version(connection, SHOP) == 1


def test_a_dry_run_says_what_would_happen_and_does_nothing(
    importing: Importing, write: Callable[..., Path], database: Database
) -> None:
    bring(importing, write(CATALOGUE))
    newer = (
        CATALOGUE.replace("3500", "3200円") + "A4,皿,abc,1,キッチン,\nA5,鍋,9000,1,キッチン,\nA5,鍋,9000,1,キッチン,\n"
    )
    seen = importing.preview(SHOP, write(newer))
    assert seen.counts == Counts(rows=6, added=1, changed=1, same=2, repeated=1, refused=1)
    assert [(each.row, each.field, each.code) for each in seen.troubles] == [(4, "price", "not_an_amount")]
    with database.read() as connection:
        assert len(store.shelf.wares(connection, SHOP)) == 3
    assert bring(importing, write(newer)).counts == seen.counts


def test_one_row_in_ten_is_broken_and_the_rest_is_in(
    importing: Importing, write: Callable[..., Path], database: Database
) -> None:
    broken = ["", "x,,10\n", ",no id,10\n", "y,bad price,cheap\n", 'z,open "quote,"5\n', "w,w,1,2,3\n"]
    rows = [f"p{at},ware {at},{at}\n" if at % 10 else broken[at // 10 % 6] or f"v{at},way too dear,99999999999999\n"
            for at in range(240)]  # fmt: skip
    done = bring(importing, write("product id,name,price\n" + "".join(rows)))
    troubles = list(importing.troubles(SHOP, done.import_id))
    assert done.counts == Counts(rows=240, added=216, refused=24)
    assert {each.row for each in troubles} == {at + 1 for at in range(0, 240, 10)}
    assert {each.code for each in troubles} == {"not_an_amount", "missing", "open_quote", "too_many_cells"}
    assert all(each.hint and each.wrong for each in troubles)
    with database.read() as connection:
        assert len(store.shelf.wares(connection, SHOP)) == 216


def test_columns_a_file_does_not_have_stay_as_they_are(
    importing: Importing, write: Callable[..., Path], database: Database
) -> None:
    bring(importing, write(CATALOGUE))
    done = bring(importing, write("商品コード,商品名,価格\nA1,手挽きコーヒーミル,4500\n"))
    assert done.counts == Counts(rows=1, changed=1)
    with database.read() as connection:
        mill = store.shelf.ware(connection, SHOP, "A1")
    assert mill is not None
    assert (mill.price_micros, mill.stock, mill.attributes) == (4_500_000_000, 12, {"色": "赤"})


def test_an_import_is_taken_back(importing: Importing, write: Callable[..., Path], database: Database) -> None:
    bring(importing, write(CATALOGUE))
    with database.read() as connection:
        before = store.shelf.wares(connection, SHOP)
    second = bring(importing, write(CATALOGUE.replace("3500", "1") + "B1,皿,100,1,キッチン,\nB2,鉢,100,1,キッチン,\n"))
    with database.transaction() as connection:
        touched = store.shelf.ware(connection, SHOP, "B2")
        assert touched is not None
        store.shelf.put_wares(connection, SHOP, [replace(touched, stock=0)])
    undone = importing.undo(SHOP, second.import_id)
    assert (undone.removed, undone.restored, undone.kept) == (1, 1, 1)
    with database.read() as connection:
        listed = [each for each in store.shelf.wares(connection, SHOP) if each.is_listed]
    assert [each for each in listed if each.product_id != "B2"] == before
    assert importing.get(SHOP, second.import_id).state == "undone"
    assert importing.undo(SHOP, second.import_id) == replace(undone, removed=0, restored=0, kept=0)
    assert bring(importing, write(CATALOGUE.replace("3500", "1") + "B1,皿,100,1,キッチン,\n")).counts.changed == 2


def test_orders_come_with_their_buyers_and_are_told_as_events(
    importing: Importing, write: Callable[..., Path], database: Database, heard: Hears
) -> None:
    done = bring(importing, write(ORDERS, "cp932"))
    assert (done.kind, done.counts) == ("orders", Counts(rows=3, added=3))
    with database.read() as connection:
        orders = store.books.some_orders(connection, SHOP, ["1001", "1002"])
        assert store.goods.who_has_email(connection, SHOP, "aoi@example.com") == ["c1"]
        delivery = store.deliveries.get(connection, SHOP, "1001")
    assert [line.product_id for line in orders["1001"].lines] == ["A1", "A2"]
    assert [payment.amount_micros for payment in orders["1002"].payments] == [7_000_000_000]
    assert (orders["1001"].status, orders["1002"].status) == ("processed", "delivered")
    assert (
        delivery is not None and delivery.promised_on is not None and delivery.promised_on.isoformat() == "2026-05-10"
    )
    bought = [each for each in heard.heard.values() if each.person == "c1"]
    assert {each.product_id for each in bought} == {"A1", "A2"} and {each.at.isoformat() for each in bought} == {
        "2026-05-01T01:00:00+00:00"
    }
    undone = importing.undo(SHOP, done.import_id)
    assert (undone.removed, undone.restored, undone.kept) == (4, 0, 0)
    with database.read() as connection:
        assert store.books.some_orders(connection, SHOP, ["1001", "1002"]) == {}
        assert store.books.some_customers(connection, SHOP, ["c1", "c2"]) == {}


def test_what_support_did_is_not_undone_by_an_older_export(
    importing: Importing, write: Callable[..., Path], database: Database
) -> None:
    bring(importing, write(ORDERS))
    with database.transaction() as connection:
        order = store.books.some_orders(connection, SHOP, ["1002"])["1002"]
        store.goods.put_orders(connection, SHOP, [replace(order, status="return requested")])
    bring(importing, write(ORDERS + "1003,c3,chen@example.com,A1,ミル,4980,1,2026-05-03,受付済み,\n"))
    with database.read() as connection:
        assert store.books.some_orders(connection, SHOP, ["1002"])["1002"].status == "return requested"


def test_events_are_told_once_however_often_they_come(
    importing: Importing, write: Callable[..., Path], heard: Hears
) -> None:
    text = "user_id,action,timestamp,item_id\n" + "".join(
        f"u{at % 7},{('view', 'カート追加', '购买')[at % 3]},{1767225600 + at},p{at % 5}\n" for at in range(300)
    )
    done = bring(importing, write(text))
    assert done.counts == Counts(rows=300, added=300)
    more = bring(importing, write(text + "u1,view,2099-01-01,p1\nu1,dance,1767225600,p1\nu1,view,1767225600,\n"))
    assert more.counts == Counts(rows=303, repeated=300, refused=3)
    codes = [(each.field, each.code) for each in importing.troubles(SHOP, more.import_id)]
    assert codes == [("at", "in_the_future"), ("deed", "unknown_deed"), ("product_id", "missing")]
    assert len(heard.heard) == 300


def test_events_that_were_brought_in_by_mistake_leave_every_history(
    database: Database, clock: FakeClock, tmp_path: Path, write: Callable[..., Path]
) -> None:
    def pseudonym(tenant_id: TenantId, person: str) -> SubjectId:
        return SubjectId(sha256([person])[:32])

    suggesting = Suggesting(database, clock, pseudonym=pseudonym)
    importing = Importing(database, clock, suggesting, Carrier(database, clock), tmp_path / "kept", pseudonym)
    first = "user_id,timestamp,item_id\nu1,2026-05-01 10:00,p1\n"
    bring(importing, write(first))
    wrong = bring(importing, write(first + "u1,2026-05-02 10:00,p2\nu2,2026-05-02 10:00,p2\n"))
    assert wrong.counts == Counts(rows=3, added=2, repeated=1)
    assert [each.product_id for each in suggesting.history(SHOP, "u1")] == ["p1", "p2"]
    assert importing.preview(SHOP, write(first)).counts == Counts(rows=1, repeated=1)
    assert importing.undo(SHOP, wrong.import_id).removed == 2
    assert [each.product_id for each in suggesting.history(SHOP, "u1")] == ["p1"]
    assert suggesting.history(SHOP, "u2") == []
    news = bring(importing, write("order id,news\n1,late\n"))
    with pytest.raises(Conflict):
        importing.undo(SHOP, news.import_id)


def test_customers_are_merged_and_what_names_a_person_is_not_in_the_report(
    importing: Importing, write: Callable[..., Path], database: Database
) -> None:
    bring(importing, write("顧客番号,メールアドレス,姓,名,郵便番号\nc1,aoi@example.com,安部,葵,100-0001\n"))
    done = bring(importing, write("顧客番号,メールアドレス,姓\nc1,,阿部\nc2,no mail address,\n"))
    assert done.counts == Counts(rows=2, changed=1, refused=1)
    (wrong,) = importing.troubles(SHOP, done.import_id)
    assert (wrong.code, wrong.value) == ("bad_email", "…") and "no mail" not in wrong.wrong
    with database.read() as connection:
        known = store.books.some_customers(connection, SHOP, ["c1"])["c1"]
    assert (known.last_name, known.email, known.address.zip) == ("阿部", "aoi@example.com", "100-0001")


def test_an_interrupted_import_goes_on_where_it_was(
    importing: Importing, write: Callable[..., Path], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "product id,name,price\n" + "".join(f"p{at},ware,{at}\n" for at in range(900)) + "p1,,1\n"
    begun = importing.begin(SHOP, write(text))
    told: list[float] = []

    def break_down(done: float, said: str) -> None:
        told.append(done)
        assert len(told) < 3, "the power went out"

    with pytest.raises(AssertionError):
        importing.run(SHOP, begun.import_id, break_down)
    assert 0 < importing.get(SHOP, begun.import_id).position < 900
    done = importing.run(SHOP, begun.import_id)
    assert done.counts == Counts(rows=901, added=900, refused=1)
    assert importing.run(SHOP, begun.import_id) == done
    assert [each.row for each in importing.troubles(SHOP, begun.import_id)] == [901]


def test_a_needed_column_that_is_not_found_is_asked_for(importing: Importing, write: Callable[..., Path]) -> None:
    path = write("kode,商品名,価格\nA1,ミル,1000\n")
    with pytest.raises(BadInput, match="product_id") as refused:
        importing.begin(SHOP, path, kind="catalogue")
    assert "--map product_id=COLUMN" in refused.value.hint and "kode" in refused.value.hint
    done = bring(importing, path, kind="catalogue", said={"product_id": "kode"})
    assert done.counts.added == 1
    # What was said once is remembered for the next file of the kind.
    assert bring(importing, write("kode,商品名,価格\nA2,傘,1000\n"), kind="catalogue").counts.added == 1


@pytest.mark.parametrize(
    ("said", "reading", "hint"),
    [
        ({"colour": "色"}, Reading(), "product_id"),
        ({"name": "nowhere"}, Reading(), "商品名"),
        ({}, Reading(encoding="klingon"), "utf-8"),
        ({}, Reading(utc_offset="noon"), "+09:00"),
    ],
)
def test_a_wrong_wish_is_refused_with_what_would_do(
    importing: Importing, write: Callable[..., Path], said: dict[str, str], reading: Reading, hint: str
) -> None:
    path = write("商品コード,商品名,価格,登録日\nA1,ミル,1000,2026-05-01\n")
    with pytest.raises(BadInput) as refused:
        importing.preview(SHOP, path, "catalogue", said=said, reading=reading)
    assert hint in refused.value.hint


def test_another_shop_sees_no_import(importing: Importing, write: Callable[..., Path]) -> None:
    done = bring(importing, write(CATALOGUE))
    with pytest.raises(NotFound):
        importing.get(TenantId("another"), done.import_id)
    with pytest.raises(NotFound):
        list(importing.troubles(TenantId("another"), done.import_id))
    assert importing.imports(TenantId("another")) == []
    assert not importing.begin(TenantId("another"), write(CATALOGUE)).is_repeat
