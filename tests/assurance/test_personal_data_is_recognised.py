"""Personal data is found where it stands, and nothing else is taken for it."""

from __future__ import annotations

from collections import Counter

import pytest

from ikkan.assurance import Kind, recognise, scrub
from ikkan.assurance.recognisers.checks import my_number

from . import snippets

ALL = [*snippets.POSITIVE, *snippets.NEGATIVE, *snippets.made(2_024, 400), *snippets.harmless(2_025, 400)]
CHECKED = {"my_number", "national_id", "card", "bank_account", "email", "phone", "postal_code"}


def found(text: str) -> set[tuple[str, int, int]]:
    return {(span.kind.value, span.start, span.end) for span in recognise(text)}


def table() -> dict[str, tuple[int, float, float]]:
    """By kind: how many are marked, the share of findings that is right, the share of marked that is found."""
    right, extra, missed = Counter[str](), Counter[str](), Counter[str]()
    for snippet in ALL:
        got, marked = found(snippet.text), set(snippet.marked)
        right.update(kind for kind, *_ in got & marked)
        extra.update(kind for kind, *_ in got - marked)
        missed.update(kind for kind, *_ in marked - got)
    kinds = sorted(right.keys() | extra.keys() | missed.keys())
    return {
        kind: (
            right[kind] + missed[kind],
            right[kind] / max(1, right[kind] + extra[kind]),
            right[kind] / max(1, right[kind] + missed[kind]),
        )
        for kind in kinds
    }


def test_there_are_enough_of_both_sides() -> None:
    assert len(snippets.POSITIVE) >= 145 and len(snippets.NEGATIVE) >= 150
    assert {kind for snippet in ALL for kind, *_ in snippet.marked} == {kind.value for kind in Kind}


def test_precision_and_recall_reach_what_is_promised() -> None:
    measured = table()
    lines = [f"{kind:13} n={n:4} precision {p:.3f} recall {r:.3f}" for kind, (n, p, r) in measured.items()]
    least = {kind: 0.99 if kind in CHECKED else 0.95 for kind in measured}
    short = [kind for kind, (_, p, r) in measured.items() if min(p, r) < least[kind]]
    assert short == [], "\n".join(lines)


def test_harmless_text_stays_as_it_is() -> None:
    wrong = [s.text for s in (*snippets.NEGATIVE, *snippets.harmless(7, 200)) if scrub(s.text).text != s.text]
    assert wrong == []


def test_scrubbing_twice_changes_nothing() -> None:
    once = [scrub(snippet.text).text for snippet in ALL]
    assert [scrub(text).text for text in once] == once


def test_nothing_that_was_marked_is_left_in_the_scrubbed_text() -> None:
    left = [
        (snippet.text, snippet.text[start:end])
        for snippet in snippets.POSITIVE
        for _, start, end in snippet.marked
        if snippet.text[start:end] in scrub(snippet.text).text
    ]
    assert left == []


def test_a_right_check_digit_alone_is_no_my_number() -> None:
    assert my_number("123456789018")
    assert recognise("123456789018") == recognise("荷物の番号は123456789018です") == ()
    assert [span.kind for span in recognise("マイナンバーは123456789018です")] == [Kind.MY_NUMBER]
    assert recognise("マイナンバーは123456789012です") == ()


def test_a_companys_number_is_public() -> None:
    assert recognise("法人番号7000012050002（株式会社の登記）") == ()


def test_kana_beside_a_number_is_no_part_of_it() -> None:
    assert [span.text for span in recognise("電話は03-1234-5678まで")] == ["03-1234-5678"]
    assert [span.text for span in recognise("ケータイ０９０ー１２３４ー５６７８デス")] == ["０９０ー１２３４ー５６７８"]


def test_one_person_has_one_placeholder_throughout() -> None:
    text = "佐藤さんと鈴木さん。佐藤さんの電話は03-1234-5678、鈴木さんも03(1234)5678。佐藤は休み。"
    assert scrub(text).text == "[氏名]さんと[氏名2]さん。[氏名]さんの電話は[電話]、[氏名2]さんも[電話]。[氏名]は休み。"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ask Ms. Hopper, (212) 555-0123", "Ask Ms. [NAME], [PHONE]"),
        ("王先生的手机是13812345678", "[姓名]先生的手机是[电话]"),
        ("田中様 03-1234-5678 の件", "[氏名]様 [電話] の件"),
    ],
)
def test_placeholders_speak_the_language_of_the_text(text: str, expected: str) -> None:
    assert scrub(text).text == expected


def test_spans_point_into_the_original_text() -> None:
    assert all(snippet.text[span.start : span.end] == span.text for snippet in ALL for span in recognise(snippet.text))
