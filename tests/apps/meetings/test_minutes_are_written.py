"""Minutes hold what was drawn out of a meeting, in its language and by a form, and go out in formats others read."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, date, datetime
from xml.etree import ElementTree

import pytest

from ikkan.apps.meetings.rules.exports import Row, calendar, table, word
from ikkan.apps.meetings.rules.items import itemised
from ikkan.apps.meetings.rules.minutes import FORMS, markdown, minutes
from ikkan.apps.meetings.rules.minutes.forms import WORDS
from ikkan.apps.meetings.values import LANGUAGES, Extraction, Item, Kind, Segment, Status, Transcript
from ikkan.ground.errors import BadInput
from ikkan.kit.word import word_text

SAID = Transcript(
    (
        Segment("s1", "佐藤", "予算の話をします。", 5.0),
        Segment("s2", "鈴木", "上限は百万円です。", 65.0),
        Segment("s3", "佐藤", "では百万円で決定します。", 70.0),
        Segment("s4", "鈴木", "見積もりを金曜までに送ります。", 3725.0),
    ),
    "ja",
    date(2026, 6, 1),
    "予算会議",
)
FOUND = (
    Extraction(Kind.TOPIC, "予算", ("s1", "s2", "s3"), "rule"),
    Extraction(Kind.KEY_POINT, "上限は百万円", ("s2",), "points@1"),
    Extraction(Kind.DECISION, "百万円で決定", ("s3",), "rule", 0.7),
    Extraction(Kind.ACTION, "見積もりを送る", ("s4",), "rule", 0.8, "鈴木", date(2026, 6, 5), "金曜まで"),
    Extraction(Kind.PROPOSAL, "支払い方法も決める", ("s3",), "rule"),
)
ITEMS = itemised(FOUND)


def as_status(status: Status) -> list[Item]:
    return [Item(item.id, item.extraction, status) for item in ITEMS]


def test_every_line_says_where_its_words_are() -> None:
    made = minutes(SAID, ITEMS)
    lines = [line for section in made.sections for top in section.lines for line in (top, *top.below)]
    assert {line.text: line.where for line in lines} == {
        "予算": "0:05", "上限は百万円": "1:05", "百万円で決定": "1:10", "支払い方法も決める": "1:10",
        "見積もりを送る": "1:02:05",
    }  # fmt: skip
    assert all(line.evidence for line in lines)


def test_what_nobody_looked_at_is_a_candidate_and_what_was_rejected_is_gone() -> None:
    assert markdown(minutes(SAID, ITEMS)).count("候補") == 2
    accepted = markdown(minutes(SAID, as_status(Status.ACCEPTED)))
    assert "候補" not in accepted and "| 見積もりを送る | 鈴木 | 2026-06-05 | 1:02:05 |" in accepted
    assert "発言にはない提案です" in accepted, "a suggestion stays one"
    rejected = markdown(minutes(SAID, as_status(Status.REJECTED)))
    assert not any(found.text in rejected for found in FOUND if found.kind is not Kind.TOPIC)


def test_only_the_surest_candidates_are_listed_and_the_rest_is_counted() -> None:
    many = itemised(Extraction(Kind.ACTION, f"a{n}", (f"s{n % 4 + 1}",), "rule", n / 100) for n in range(14))
    made = minutes(SAID, many)
    (section,) = [section for section in made.sections if section.layout == "table"]
    assert {line.text for line in section.lines} == {f"a{n}" for n in range(4, 14)}
    assert section.more == "ほかに候補4件"


def test_a_chapter_holds_its_surest_points_and_whatever_was_accepted() -> None:
    points = [Extraction(Kind.KEY_POINT, f"p{n}", ("s2",), f"m{n}", n / 10) for n in range(8)]
    items = list(itemised([FOUND[0], *points]))
    items[1] = Item(items[1].id, items[1].extraction, Status.ACCEPTED)
    (chapter,) = minutes(SAID, items).sections[0].lines
    assert [line.text for line in chapter.below] == ["p0", "p4", "p5", "p6", "p7"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_form_exists_in_every_language(form: str, language: str) -> None:
    spoken = Transcript(SAID.segments, language, SAID.held_on)
    made = minutes(spoken, ITEMS, form=form)
    assert made.title == FORMS[form].title[language] and made.sections
    assert "百万円で決定" in markdown(made)
    assert all(set(texts) == set(LANGUAGES) for texts in WORDS.values())


def test_a_form_nobody_knows_is_refused() -> None:
    with pytest.raises(BadInput, match="'poem'"):
        minutes(SAID, ITEMS, form="poem")


def test_what_people_say_is_never_markup() -> None:
    nasty = Transcript((Segment("s1", "<b>Eve</b>", "x"),), "en", None, "[a](javascript:x) | <script>")
    text = markdown(minutes(nasty, itemised([Extraction(Kind.ACTION, "| `rm` |\n# go", ("s1",), "rule")])))
    assert "<script>" not in text and "\n# go" not in text and "| \\| \\`rm\\` \\| \\# go *(candidate)* |" in text


@pytest.mark.parametrize("form", FORMS)
def test_the_word_document_reads_back(form: str) -> None:
    packed = word(minutes(SAID, ITEMS, form=form))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for name in archive.namelist():
            ElementTree.fromstring(archive.read(name))
    back = word_text(packed)
    assert "百万円で決定" in back and "見積もりを送る" in back
    assert packed == word(minutes(SAID, ITEMS, form=form))


def test_the_calendar_has_what_has_a_day_and_stays_within_its_lines() -> None:
    long = Extraction(Kind.ACTION, "とても長い作業を;する,こと" * 9, ("s4",), "rule", 0.9, "鈴木", date(2026, 12, 31))
    rows = [Row(SAID, item, "m1") for item in (*ITEMS, *itemised([long]))]
    lines = calendar(rows, now=datetime(2026, 6, 1, tzinfo=UTC)).split(b"\r\n")
    assert max(map(len, lines)) <= 75
    unfolded = b"\r\n".join(lines).replace(b"\r\n ", b"").decode()
    assert unfolded.count("BEGIN:VEVENT") == unfolded.count("END:VEVENT") == 2
    assert "DTEND;VALUE=DATE:20270101" in unfolded and "とても長い作業を\\;する\\,こと" in unfolded


def test_the_spreadsheet_holds_owner_day_and_words() -> None:
    (row,) = csv.DictReader(io.StringIO(table([Row(SAID, ITEMS[3])]).decode("utf-8-sig")))
    assert (row["owner"], row["due"], row["time"], row["said"]) == (
        "鈴木", "2026-06-05", "1:02:05", "見積もりを金曜までに送ります。",
    )  # fmt: skip


def test_reading_again_gives_the_same_ids() -> None:
    again = itemised(Extraction(f.kind, f"{f.text}!", f.evidence, "llm", 0.1) for f in FOUND)
    assert [item.id for item in again] == [item.id for item in ITEMS] and len({item.id for item in ITEMS}) == 5
