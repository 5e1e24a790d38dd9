"""What is drawn out of a meeting without a language model, in three languages, from dialogues of our own."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import pytest

from ikkan.apps.meetings.rules.level0 import extract
from ikkan.apps.meetings.values import Extraction, Kind, Segment, Transcript

EN = """
Ann: Good morning everybody, let's start. Today we look at the office move and at the new website.
Bob: The landlord answered, um, the the lease of the new office begins in March.
Ann: How many desks do we need in the new office?
Bob: Forty desks and two meeting rooms, the lease allows more later.
Cara: The old office furniture can be sold, the movers offered to take the desks.
Ann: Okay, so we decided to take the lease and move in March.
Bob: Yeah.
Ann: Now the website. Cara, how is the website doing?
Cara: The website design is finished, the shop pages still need pictures of the products.
Bob: The pictures on the old website were too small for the shop pages.
Ann: Right, so for the next meeting, Bob, you will ask the movers for a written offer.
Bob: Okay.
Ann: And Cara, you're going to work on the pictures for the website before the next meeting.
Cara: Sure, I'll send everybody the pictures by email.
Ann: Thank you, that's all for today.
"""
JA = """
田中：えーと、それでは定例会議を始めます。今日の議題は新製品の予算案と展示会の準備です。
佐藤：予算案ですが、広告費を二割増やしたいと考えています。
田中：広告費の内訳はどうなっていますか。
佐藤：動画広告が半分、残りは検索広告です。
田中：では広告費は検索広告を中心にするということで決定します。
佐藤：わかりました。来週金曜までに予算案を修正します。
田中：次に展示会の準備です。会場の手配はどうですか。
鈴木：会場は十月の東京で仮押さえしました。
鈴木：パンフレットの作成は私が担当します。月末までに初稿を送ります。
田中：以上です。
"""
ZH = """
王明：大家好，今天讨论预算和展会两个问题。
李娜：预算方面，广告费需要增加两成。
王明：为什么要增加广告费？
李娜：因为视频广告的价格上涨了。
王明：那就决定以搜索广告为主。
李娜：好的。我下周五之前把预算表发给大家。
王明：展会的场地怎么样了？
张伟：场地已经预订了十月的上海。
张伟：宣传册由我负责，月底之前完成初稿。
"""


def meeting(lines: str, language: str) -> Transcript:
    said = [re.split("[:：]", line, maxsplit=1) for line in lines.strip().splitlines()]
    return Transcript(tuple(Segment(f"s{at}", who, text.strip()) for at, (who, text) in enumerate(said, 1)), language)


def of(kind: Kind, found: tuple[Extraction, ...]) -> list[Extraction]:
    return [one for one in found if one.kind is kind]


def test_the_plainest_assignments_are_the_first_candidates() -> None:
    actions = of(Kind.ACTION, extract(meeting(EN, "en")))
    assert {one.evidence for one in actions[:3]} == {("s11",), ("s13",), ("s14",)}
    assert {one.made_by for one in actions} <= {"actions@1", "rule"}


@pytest.mark.parametrize(
    "text",
    [
        "I will send the new pictures by Friday.",
        "Bob, could you please book the room?",
        "You need to update the plan before the end of the month.",
        "Maria will draft the contract.",
    ],
)
def test_plain_words_of_assignment_come_first_wherever_they_stand(text: str) -> None:
    others = ["Good morning, let us look at the website.", "The colours are nice and warm.", "It was blue before."]
    said = [others[0], others[1], text, others[2]]
    segments = tuple(Segment(f"s{at}", "AB"[at % 2], words) for at, words in enumerate(said))
    assert of(Kind.ACTION, extract(Transcript(segments, "en")))[0].text == text


@pytest.mark.parametrize(("lines", "language", "expected"), [(JA, "ja", {"s6", "s9"}), (ZH, "zh", {"s6", "s9"})])
def test_cue_words_find_the_actions_of_japanese_and_chinese_and_say_they_are_rules(
    lines: str, language: str, expected: set[str]
) -> None:
    actions = of(Kind.ACTION, extract(meeting(lines, language)))
    assert {one.evidence[0] for one in actions[:2]} == expected
    assert {one.made_by for one in actions} == {"rule"}


@pytest.mark.parametrize(("lines", "language", "expected"), [(JA, "ja", "s5"), (ZH, "zh", "s5")])
def test_decisions_of_japanese_and_chinese_come_from_their_words(lines: str, language: str, expected: str) -> None:
    assert of(Kind.DECISION, extract(meeting(lines, language)))[0].evidence == (expected,)


def test_english_decisions_are_called_candidates_and_are_unsure() -> None:
    decisions = of(Kind.DECISION, extract(meeting(EN, "en")))
    assert {one.made_by for one in decisions} <= {"decision_candidates@1"}
    assert all(one.confidence < 0.9 for one in decisions)


@pytest.mark.parametrize(
    ("text", "language", "kind"),
    [
        ("Action item: Bob orders the paper.", "en", Kind.ACTION),
        ("宿題：見積もりを取る", "ja", Kind.ACTION),
        ("待办：更新合同", "zh", Kind.ACTION),
        ("Decision: the colour is blue.", "en", Kind.DECISION),
        ("決定事項：色は青", "ja", Kind.DECISION),
        ("决定：用蓝色", "zh", Kind.DECISION),
    ],
)
def test_what_a_speaker_names_outright_is_taken_at_his_word(text: str, language: str, kind: Kind) -> None:
    found = of(kind, extract(Transcript((Segment("s1", "", text),), language)))
    assert found[0].confidence > 0.8
    assert found[0].made_by == "rule"


@pytest.mark.parametrize(
    ("lines", "language", "expected"),
    [(EN, "en", {"s3", "s8"}), (JA, "ja", {"s3", "s7"}), (ZH, "zh", {"s3", "s7"})],
)
def test_questions_are_found(lines: str, language: str, expected: set[str]) -> None:
    assert {one.evidence[0] for one in of(Kind.QUESTION, extract(meeting(lines, language)))} == expected


@pytest.mark.parametrize(("lines", "language"), [(EN, "en"), (JA, "ja"), (ZH, "zh")])
def test_every_kind_is_ranked_and_rests_on_segments_that_exist(lines: str, language: str) -> None:
    transcript = meeting(lines, language)
    found = extract(transcript)
    known = {segment.id for segment in transcript}
    assert all(set(one.evidence) <= known and 0 <= one.confidence <= 1 for one in found)
    ranked = [[one.confidence for one in of(kind, found)] for kind in Kind]
    assert all(before >= after for confidences in ranked for before, after in pairwise(confidences))
    assert {Kind.TOPIC, Kind.KEY_POINT} <= {one.kind for one in found}


@pytest.mark.parametrize(("lines", "language"), [(EN, "en"), (JA, "ja"), (ZH, "zh")])
def test_every_speaker_has_key_points(lines: str, language: str) -> None:
    transcript = meeting(lines, language)
    who = {segment.id: segment.speaker for segment in transcript}
    assert {who[one.evidence[0]] for one in of(Kind.KEY_POINT, extract(transcript))} == set(transcript.speakers)


def test_a_chinese_chapter_is_named_by_words_and_not_by_pieces_of_them() -> None:
    said = [
        "仓库的搬迁从三月开始，供应商名单由采购部整理。",
        "搬迁的费用很高，供应商也有意见。",
        "我们先看仓库的搬迁计划，再问供应商。",
        "冷链的设备要换，仓库的温度不稳。",
        "冷链设备的报价已经收到了。",
        "如果冷链出了故障，供应商会派人来。",
    ]
    segments = tuple(Segment(f"s{at}", "王", text) for at, text in enumerate(said))
    named = of(Kind.TOPIC, extract(Transcript(segments, "zh")))[0].text.split(" · ")
    assert {"供应商", "搬迁", "冷链"} <= set(named)
    assert all("的" not in name for name in named)


def test_chapters_cover_the_meeting_in_order_and_carry_its_words() -> None:
    market = " ".join(["the market price of copper rose and copper miners sold copper at the market"] * 3)
    garden = " ".join(["roses in the garden need water so gardeners water roses in the garden"] * 3)
    segments = [Segment(f"s{at}", "A", text) for at, text in enumerate([market] * 45 + [garden] * 45)]
    chapters = of(Kind.TOPIC, extract(Transcript(tuple(segments), "en")))
    assert [one for chapter in chapters for one in chapter.evidence] == [segment.id for segment in segments]
    border = [int(chapter.evidence[0][1:]) for chapter in chapters[1:]]
    assert min(abs(at - 45) for at in border) <= 3
    assert "copper" in chapters[0].text
    assert "garden" in chapters[-1].text or "roses" in chapters[-1].text


def test_a_long_turn_is_cut_and_every_piece_rests_on_the_whole_turn() -> None:
    turn = "We looked at the numbers of the last quarter and they were good. " * 6 + "Action item: Bob orders paper."
    actions = of(Kind.ACTION, extract(Transcript((Segment("s1", "Ann", turn),), "en")))
    assert actions[0].evidence == ("s1",)
    assert len(actions[0].text.split()) < 40


def test_fillers_and_words_said_twice_are_left_out_of_lines() -> None:
    lines = {one.evidence[0]: one.text for one in of(Kind.KEY_POINT, extract(meeting(EN, "en")))}
    assert lines["s2"] == "The landlord answered, the lease of the new office begins in March."


@pytest.mark.parametrize(
    ("said", "glossary", "expected"),
    [
        ("Please open the eye can console for everybody.", {"eye can": "ikkan"}, "the ikkan console"),
        ("これは一巻の管理画面の説明です。", {"一巻": "一貫"}, "一貫の管理画面"),
    ],
)
def test_a_glossary_writes_words_as_the_firm_does(said: str, glossary: dict[str, str], expected: str) -> None:
    language = "en" if said.isascii() else "ja"
    found = extract(Transcript((Segment("s1", "A", said),), language), glossary=glossary)
    assert expected in of(Kind.KEY_POINT, found)[0].text


@pytest.mark.parametrize("text", ["", " ", "…", "?", "。", "\u200b"])
def test_a_meeting_of_nothing_gives_nothing(text: str) -> None:
    assert extract(Transcript((Segment("s1", "A", text),), "en")) == ()
    assert extract(Transcript((), "ja")) == ()


@pytest.mark.parametrize(
    ("text", "owner"), [("I'll send the offer to all of you by Friday.", "Ann"), ("Bob will send the offer.", "Bob")]
)
def test_who_says_i_will_or_whose_name_is_said_owns_the_action(text: str, owner: str) -> None:
    said = [Segment("s1", "Ann", f"Action item: {text}"), Segment("s2", "Bob", "Okay.")]
    assert of(Kind.ACTION, extract(Transcript(tuple(said), "en")))[0].owner == owner


def test_the_same_meeting_gives_the_same_lines() -> None:
    read: Callable[[], tuple[Extraction, ...]] = lambda: extract(meeting(EN, "en"))  # noqa: E731
    assert read() == read()
