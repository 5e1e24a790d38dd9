"""Files that are not what they say: cut off, packed tight, binary, of a thousand columns; and what a cell may say."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from ikkan.apps.shop.rules.importing import cells, times
from ikkan.apps.shop.rules.importing.guess import guess, kind_of, mapping
from ikkan.apps.shop.rules.importing.rows import RowReader
from ikkan.apps.shop.service.importing import open_sheet, sheets
from ikkan.apps.shop.service.importing.complete_journey import as_tables
from ikkan.apps.shop.service.importing.rdata import data_frames
from ikkan.apps.shop.values import Happened
from ikkan.apps.shop.values.importing import Reading, Trouble
from ikkan.ground.errors import BadFile, HostileFile, TruncatedFile, UnsupportedFormat

TOKYO = times.offset("+09:00")


def parquet(path: Path, query: str) -> Path:
    duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT PARQUET)")
    return path


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    said = "'u' || i AS user_id, 1.5 AS price, TIMESTAMP '2026-05-01 09:30:00' AS at, NULL AS nothing"
    sheet = open_sheet(parquet(tmp_path / "a", f"SELECT {said} FROM range(3) r(i)"))
    assert sheet.headers == ("user_id", "price", "at", "nothing") and sheet.total == 3
    assert [cells for _, cells in sheet.rows()][2] == ["u2", "1.5", "2026-05-01 09:30:00", ""]


def test_a_parquet_file_that_unpacks_to_too_much_is_refused_unopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = parquet(tmp_path / "bomb", "SELECT repeat('a', 1000) AS x FROM range(100000)")
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(sheets, "MOST_ROWS", 10_000)
    with pytest.raises(HostileFile, match="100,000 rows"):
        open_sheet(path)


@pytest.mark.parametrize("cut", [5, 40, -1, -20])
def test_a_cut_parquet_file_is_said_to_be_cut(tmp_path: Path, cut: int) -> None:
    path = parquet(tmp_path / "a", "SELECT i FROM range(10) r(i)")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(TruncatedFile):
        open_sheet(path)


def test_a_parquet_file_damaged_inside_ends_in_a_clear_error(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a", "SELECT 'abc' || i AS x, i FROM range(10000) r(i)")
    whole = bytearray(path.read_bytes())
    whole[200:4000] = bytes(3800)
    path.write_bytes(whole)
    with pytest.raises(TruncatedFile):
        list(open_sheet(path).rows())


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", BadFile),
        (b"\n\n\n", BadFile),
        (b"\x00\x01\x02\xff" * 50, UnsupportedFormat),
        (gzip.compress(b"a,b\n1,2\n"), UnsupportedFormat),
        (b"%PDF-1.7 ...", UnsupportedFormat),
        (b'[{"a": 1}]', UnsupportedFormat),
        (b"<html>", UnsupportedFormat),
        (",".join(f"c{at}" for at in range(1_001)).encode(), HostileFile),
        (b"a,b\n" + b"x" * (1 << 20) + b",1\n", HostileFile),
    ],
    ids=["empty", "blank", "binary", "gzip", "pdf", "json", "html", "columns", "line"],
)
def test_what_is_no_table_is_refused_with_what_to_do(tmp_path: Path, content: bytes, error: type[BadFile]) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(error) as refused:
        list(open_sheet(path).rows())
    assert refused.value.hint


def test_an_excel_file_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(UnsupportedFormat, match="Excel"):
        open_sheet(path)


def test_two_hundred_columns_of_which_four_matter(tmp_path: Path) -> None:
    headers = [f"x{at}" for at in range(196)] + ["商品コード", "商品名", "価格", "商品名"]
    path = tmp_path / "wide.csv"
    path.write_text(",".join(headers) + "\n" + ",".join(["?"] * 196 + ["A1", "ミル", "100", "again"]) + "\n")
    sheet = open_sheet(path)
    assert sheet.headers[-1] == "商品名 (2)"
    assert mapping(guess("catalogue", sheet.headers, sheet.head(5))) == {
        "product_id": "商品コード", "name": "商品名", "price": "価格",
    }  # fmt: skip


def test_an_open_quotation_mark_costs_its_own_line_only(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,name\n1,"fine, with\nan end"\n2,"open\n3,c\n4,"d ""quoted"" "\n5,"open again\n')
    read = list(open_sheet(path).rows())
    assert [(row, each.code if isinstance(each, Trouble) else each) for row, each in read] == [
        (1, ["1", "fine, with\nan end"]),
        (2, "open_quote"),
        (3, ["3", "c"]),
        (4, ["4", 'd "quoted" ']),
        (5, "not_a_row"),
    ]


def test_a_file_of_nothing_but_open_quotation_marks_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,name\n" + '1,"x\n' * 3_000)
    with pytest.raises(BadFile, match="quotation"):
        list(open_sheet(path).rows())


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        ("商品コード\t価格\nA1\t100\n", "cp932", "cp932"),
        ("商品コード,価格\n半角カナ,100\n", "euc-jp", "euc-jp"),
        ("商品编码;价格\n咖啡磨豆机;100\n", "gb18030", "gb18030"),
        ("商品编码,价格\nA1,100\n", "utf-16-le", "utf-16-le"),
        ("id,price\nA1,100\n", "ascii", "utf-8"),
        ("id;prix\nA1;100\nété;5\n", "latin-1", "cp1252"),
    ],
)
def test_encodings_and_separators_are_found(tmp_path: Path, text: str, encoding: str, found: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    sheet = open_sheet(path)
    assert (sheet.encoding, len(sheet.headers)) == (found, 2)


def test_a_broken_byte_is_one_row_of_the_report(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id,商品名\n".encode() + "".join(f"{at},商品\n" for at in range(400)).encode() + b"x,\xff\n")
    read = list(open_sheet(path).rows())
    assert len(read) == 401 and [each.code for _, each in read if isinstance(each, Trouble)] == ["bad_bytes"]


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-05-01 09:30", "2026-05-01T00:30"),
        ("2026/5/1 9時30分", "2026-05-01T00:30"),
        ("令和８年５月１日（金） 午前9:30", "2026-05-01T00:30"),
        ("H31.4.30", "2019-04-30T03:00"),
        ("平成元年1月8日", "1989-01-08T03:00"),
        ("20260501093000", "2026-05-01T00:30"),
        ("05/13/2026", "2026-05-13T03:00"),
        ("13.05.2026 21:00", "2026-05-13T12:00"),
        ("May 13, 2026", "2026-05-13T03:00"),
        ("2026年5月1日 25:30", "2026-05-01T16:30"),
        ("1777595400", "2026-05-01T00:30"),
        ("1777595400000", "2026-05-01T00:30"),
        ("2026-05-01T00:30:00.5Z", "2026-05-01T00:30"),
        ("2026-05-01 09:30:00 JST", "2026-05-01T00:30"),
    ],
)
def test_times_are_read_as_people_write_them(text: str, iso: str) -> None:
    assert times.when(text, TOKYO).isoformat()[:16] == iso


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30", "令和8年", "99999999999999999", "2026-05-01 49:00", "5"])
def test_what_is_no_time_is_not_guessed(text: str) -> None:
    with pytest.raises(times.NoTime):
        times.when(text, TOKYO)


@pytest.mark.parametrize(
    ("text", "micros"),
    [("¥1,980", 1980), ("１，９８０円", 1980), ("\\1,980", 1980), ("1980 (税込)", 1980), ("$ 19.90", 19.9),
     ("1.234,50 €", 1234.5), ("CNY 88", 88), ("0", 0), ("1'234.50", 1234.5)],
)  # fmt: skip
def test_amounts_are_read_with_their_signs(text: str, micros: float) -> None:
    assert cells.money(text).micros == round(micros * 1_000_000)


@pytest.mark.parametrize("text", ["", "free", "-5", "1980円くらい", "1e400", "12 apples", "9" * 30, "¥"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(cells.NotRead):
        cells.money(text)


@pytest.mark.parametrize("text", ["4.90123E+12", "x" * 81, "a\x00b", "   "])
def test_an_id_that_a_spreadsheet_spoiled_is_not_taken(text: str) -> None:
    with pytest.raises(cells.NotRead):
        cells.key(text)


def test_the_days_of_a_column_agree_on_which_number_is_the_month() -> None:
    headers, now = ["person", "at", "product_id"], datetime(2026, 6, 1, tzinfo=UTC)
    chosen = {name: name for name in headers}
    reader = RowReader("events", headers, chosen, Reading(), now, day_first=frozenset({"at"}))
    read = reader.read(1, ["u", "03/04/2026", "p"])
    assert isinstance(read, Happened) and (read.at.month, read.at.day) == (4, 3)


@pytest.mark.parametrize(
    ("headers", "row", "kind"),
    [
        ("商品管理番号,商品名,販売価格,在庫数", "A1,ミル,100,1", "catalogue"),
        ("订单编号,会员编号,货号,单价,数量,订单状态", "1,u,A1,10,1,已完成", "orders"),
        ("用户id,商品id,行为类型,时间戳", "u,p,浏览,1777595400", "events"),
        ("伝票番号,配送状況,お届け予定日", "1,配達完了,2026/5/1", "carrier"),
        ("会員番号,メールアドレス,姓,名,郵便番号", "c,a@b.co,安部,葵,100-0001", "customers"),
    ],
)
def test_the_kind_of_a_file_is_seen_from_its_columns(headers: str, row: str, kind: str) -> None:
    assert kind_of(headers.split(","), [row.split(",")]) == kind


def test_a_column_is_found_by_meaning_where_names_do_not_help() -> None:
    import numpy as np

    def embed(texts: object) -> object:
        return np.array([[1.0, 0.0] if str(each) in ("what it costs", "Price") else [0.0, 1.0] for each in texts])  # type: ignore[attr-defined]

    found = guess("catalogue", ["id", "what it costs"], [["a", "100"]], embed=embed)  # type: ignore[arg-type]
    assert [(each.column, each.why) for each in found if each.field == "price"] == [("what it costs", "meaning")]


@pytest.mark.parametrize("cut", [0, 3, 50, 400])
def test_a_cut_file_of_r_is_refused(tmp_path: Path, journey: Path, cut: int) -> None:
    path = tmp_path / "a.rda"
    path.write_bytes((journey / "campaigns.rda").read_bytes()[:cut])
    with pytest.raises(BadFile):
        data_frames(path)


def test_the_complete_journey_becomes_two_tables(tmp_path: Path, journey: Path) -> None:
    made = as_tables(journey, tmp_path / "into")
    catalogue, events = open_sheet(made.catalogue), open_sheet(made.events)
    assert sum(1 for _ in events.rows()) == 75_000
    assert kind_of(events.headers, events.head(50)) == "events"
    assert {"product_id", "name", "price", "category", "brand", "attribute:size"} <= set(
        mapping(guess("catalogue", catalogue.headers, catalogue.head(50)))
    )
