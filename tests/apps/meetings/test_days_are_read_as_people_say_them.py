"""Days of Japanese, Chinese and English, from a table of our own: a meeting on Wednesday, 4 March 2026."""

from __future__ import annotations

import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ikkan.apps.meetings.rules.language import dates, understand

WEDNESDAY = date(2026, 3, 4)
LANGUAGES = ("ja", "zh", "en")

SAID = [
    ("ja", "今日中に出します", "今日中", "2026-03-04"),
    ("ja", "本日17時までに返します", "本日", "2026-03-04"),
    ("ja", "午後3時までに返します", "午後3時", "2026-03-04"),
    ("ja", "あした持っていきます", "あした", "2026-03-05"),
    ("ja", "明日中身を確認します", "明日", "2026-03-05"),
    ("ja", "あさってまでに", "あさって", "2026-03-06"),
    ("ja", "しあさってまでに", "しあさって", "2026-03-07"),
    ("ja", "水曜までに", "水曜", "2026-03-11"),
    ("ja", "(金)までに", "(金)", "2026-03-06"),
    ("ja", "今週の木曜までに", "今週の木曜", "2026-03-05"),
    ("ja", "来週火曜日までに", "来週火曜日", "2026-03-10"),
    ("ja", "再来週の月曜に", "再来週の月曜", "2026-03-16"),
    ("ja", "今週中に", "今週中", "2026-03-06"),
    ("ja", "来週には", "来週", "2026-03-13"),
    ("ja", "来週頭に", "来週頭", "2026-03-09"),
    ("ja", "週明けに", "週明け", "2026-03-09"),
    ("ja", "今月末までに", "今月末", "2026-03-31"),
    ("ja", "月末までに", "月末", "2026-03-31"),
    ("ja", "来月末日までに", "来月末日", "2026-04-30"),
    ("ja", "来月頭に", "来月頭", "2026-04-01"),
    ("ja", "来月中旬までに", "来月中旬", "2026-04-15"),
    ("ja", "再来月5日までに", "再来月5日", "2026-05-05"),
    ("ja", "１５日（日）までに", "１５日", "2026-03-15"),
    ("ja", "三日までに", "三日", "2026-04-03"),
    ("ja", "二月二十八日までに", "二月二十八日", "2027-02-28"),
    ("ja", "4月31日までに", "4月31日", "2026-04-30"),
    ("ja", "6/30までに", "6/30", "2026-06-30"),
    ("ja", "2027年1月8日までに", "2027年1月8日", "2027-01-08"),
    ("ja", "来年3月末までに", "来年3月末", "2027-03-31"),
    ("ja", "3日後に", "3日後", "2026-03-07"),
    ("ja", "十日以内に", "十日以内", "2026-03-14"),
    ("ja", "2週間以内に", "2週間以内", "2026-03-18"),
    ("ja", "48時間以内に", "48時間以内", "2026-03-06"),
    ("ja", "半年後に", "半年後", "2026-09-04"),
    ("ja", "年内に", "年内", "2026-12-31"),
    ("ja", "年度末までに", "年度末", "2026-03-31"),
    ("ja", "年明けの1月9日までに", "1月9日", "2027-01-09"),
    ("ja", "月曜の会議までに", "月曜", "2026-03-09"),
    ("ja", "水曜、じゃなくて木曜に", "木曜", "2026-03-05"),
    ("ja", "5月3日、いや4日までに", "4日", "2026-05-04"),
    ("zh", "今晚发给你", "今晚", "2026-03-04"),
    ("zh", "下班前给你", "下班", "2026-03-04"),
    ("zh", "明天下班之前", "明天", "2026-03-05"),
    ("zh", "大后天交", "大后天", "2026-03-07"),
    ("zh", "周三之前", "周三", "2026-03-11"),
    ("zh", "本周五前", "本周五", "2026-03-06"),
    ("zh", "下个星期天", "下个星期天", "2026-03-15"),
    ("zh", "下週二前", "下週二", "2026-03-10"),
    ("zh", "下下周一", "下下周一", "2026-03-16"),
    ("zh", "这周内", "这周内", "2026-03-06"),
    ("zh", "下周初", "下周初", "2026-03-09"),
    ("zh", "月底之前", "月底", "2026-03-31"),
    ("zh", "下月初", "下月初", "2026-04-01"),
    ("zh", "下个月10号", "下个月10号", "2026-04-10"),
    ("zh", "二十號前", "二十號", "2026-03-20"),
    ("zh", "三月三号", "三月三号", "2027-03-03"),
    ("zh", "五月中旬", "五月中旬", "2026-05-15"),
    ("zh", "两周内", "两周内", "2026-03-18"),
    ("zh", "三天后", "三天后", "2026-03-07"),
    ("zh", "半年之内", "半年之内", "2026-09-04"),
    ("zh", "年底前", "年底", "2026-12-31"),
    ("zh", "周四，不对，周五前", "周五", "2026-03-06"),
    ("en", "by EOD", "EOD", "2026-03-04"),
    ("en", "by noon tomorrow", "tomorrow", "2026-03-05"),
    ("en", "the day after tomorrow", "day after tomorrow", "2026-03-06"),
    ("en", "on Wednesday", "Wednesday", "2026-03-11"),
    ("en", "this Friday", "this Friday", "2026-03-06"),
    ("en", "this coming Friday", "this coming Friday", "2026-03-06"),
    ("en", "next Tues", "next Tues", "2026-03-10"),
    ("en", "Thursday of next week", "Thursday of next week", "2026-03-12"),
    ("en", "the Monday after next", "Monday after next", "2026-03-16"),
    ("en", "a week from Friday", "a week from Friday", "2026-03-13"),
    ("en", "by the end of the week", "end of the week", "2026-03-06"),
    ("en", "at the beginning of next week", "beginning of next week", "2026-03-09"),
    ("en", "by the end of next month", "end of next month", "2026-04-30"),
    ("en", "early next month", "early next month", "2026-04-01"),
    ("en", "by mid-April", "mid-April", "2026-04-15"),
    ("en", "by the 3rd", "3rd", "2026-04-03"),
    ("en", "before the twenty-first", "twenty-first", "2026-03-21"),
    ("en", "by the 5th of next month", "5th of next month", "2026-04-05"),
    ("en", "no later than Sept. 1", "Sept. 1", "2026-09-01"),
    ("en", "on the 2nd of March", "2nd of March", "2027-03-02"),
    ("en", "in a fortnight", "in a fortnight", "2026-03-18"),
    ("en", "within 48 hours", "within 48 hours", "2026-03-06"),
    ("en", "in two months", "in two months", "2026-05-04"),
    ("en", "before Monday's call", "Monday", "2026-03-09"),
    ("en", "by the end of July.", "end of July", "2026-07-31"),
    ("en", "the 10th, no, the 11th", "11th", "2026-03-11"),
    ("en", "next Tuesday, sorry, Thursday", "Thursday", "2026-03-12"),
]

NO_DAY = [
    ("ja", "来週から始めます"),
    ("ja", "4月1日から新価格です"),
    ("ja", "月曜の会議の資料を作ります"),
    ("ja", "先週の金曜に出しました"),
    ("ja", "第2回の議事録です"),
    ("ja", "3日間かかります"),
    ("ja", "5営業日以内に返します"),
    ("ja", "毎週月曜に集まります"),
    ("zh", "从下周开始执行"),
    ("zh", "周三会议的纪要"),
    ("zh", "上周五发过了"),
    ("zh", "3号会议室"),
    ("zh", "每周一开会"),
    ("zh", "尽快处理"),
    ("en", "starting Monday"),
    ("en", "from next week on"),
    ("en", "the agenda of Monday's call"),
    ("en", "last Friday"),
    ("en", "on the 2nd floor"),
    ("en", "every Friday"),
    ("en", "version 3.2"),
    ("en", "as soon as possible"),
    ("en", "it may march on"),
]


@pytest.mark.parametrize(("language", "text", "words", "day"), SAID)
def test_a_day_is_found_in_its_own_words(language: str, text: str, words: str, day: str) -> None:
    found = dates.foremost(dates.find(text, language, WEDNESDAY))
    assert found is not None
    assert (found.words, found.day and found.day.isoformat(), text[found.start : found.end]) == (words, day, words)


@pytest.mark.parametrize(("language", "text"), NO_DAY)
def test_beginnings_things_and_the_past_are_no_due_days(language: str, text: str) -> None:
    assert dates.find(text, language, WEDNESDAY) == ()


@pytest.mark.parametrize(
    ("held_on", "language", "text", "day"),
    [
        (date(2026, 3, 6), "en", "by Friday", date(2026, 3, 13)),
        (date(2028, 2, 28), "ja", "明後日までに", date(2028, 3, 1)),
        (date(2026, 1, 31), "zh", "一个月后", date(2026, 2, 28)),
        (date(2026, 1, 31), "en", "by the 30th", date(2026, 3, 30)),
        (date(2026, 12, 31), "ja", "年内に", date(2026, 12, 31)),
        (date(2026, 4, 1), "ja", "年度末までに", date(2027, 3, 31)),
        (date(2026, 3, 8), "ja", "来週の月曜に", date(2026, 3, 9)),
        (date(2026, 12, 15), "zh", "下个月5号", date(2027, 1, 5)),
    ],
)
def test_the_calendar_turns_at_its_edges(held_on: date, language: str, text: str, day: date) -> None:
    assert [due.day for due in dates.find(text, language, held_on)] == [day]


def test_words_are_found_where_nobody_knows_the_day_of_the_meeting() -> None:
    assert [(due.words, due.day) for due in dates.find("明日までに送ります", "ja", None)] == [("明日", None)]


def test_a_day_past_the_end_of_the_calendar_is_none() -> None:
    assert dates.find("in two weeks", "en", date(9999, 12, 30)) == ()


PIECES = st.lists(
    st.one_of(
        st.sampled_from([text for _, text, _, _ in SAID] + [text for _, text in NO_DAY]),
        st.text(max_size=12),
        st.from_regex(r"[0-9〇一二三十/月日号周個月後内前の、,. -]{1,12}", fullmatch=True),
    ),
    max_size=6,
).map("".join)


@settings(max_examples=100, deadline=None)
@given(PIECES, st.sampled_from((*LANGUAGES, "fr")), st.dates())
def test_any_text_is_read_and_nothing_is_due_before_the_meeting(text: str, language: str, held_on: date) -> None:
    for due in dates.find(text, language, held_on):
        assert due.day is not None
        assert due.day >= held_on
        assert text[due.start : due.end] == due.words != ""
    said = understand(text, language=language, speaker="佐藤", speakers=("佐藤", "Ann Lee", ""), held_on=held_on)
    assert (said.due is None) == (said.due_words is None)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "piece",
    [
        "1",
        "来週の",
        "月曜、いや",
        "下下",
        "the ",
        "next Monday, no, ",
        "end of ",
        "田中さんが",
        "〇",
        " ",
        "if you ",
        "我",
        "a. ",
    ],
)
def test_a_hundred_thousand_characters_are_read_within_a_second(language: str, piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    began = time.process_time()
    dates.find(text, language, WEDNESDAY)
    understand(text, language=language, speaker="佐藤", speakers=("佐藤", "Ann Lee"), held_on=WEDNESDAY)
    assert time.process_time() - began < 1.0
