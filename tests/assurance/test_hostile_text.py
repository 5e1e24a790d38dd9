"""A text made to keep a recogniser busy keeps it no longer than any other of its length."""

from __future__ import annotations

import pytest

from ikkan.assurance import recognise, scrub

MEGABYTE = 1_000_000
HOSTILE = {
    "digits": "1",
    "zeros": "0",
    "digits and spaces": "1 ",
    "beginnings of phones": "090-",
    "opened brackets": "(03",
    "cards": "4111 ",
    "dots": "1.1.",
    "colons": "a:1",
    "letters": "a",
    "at signs": "a@",
    "capitals": "Aa ",
    "streets": "1 Aa Bb ",
    "pluses": "+1 1",
    "honorifics": "様",
    "names": "東様",
    "kanji": "東",
    "katakana": "アー",
    "prefectures": "東京都",
    "towns": "東市区町",
    "houses": "1丁目",
    "kanji digits": "一二",
    "labels": "氏名:",
    "chinese titles": "王先生",
}


# A pattern that explores every way to read these would need years; the bound only has to tell that from a second.
@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_quarter_of_a_megabyte_of_anything_ends(piece: str) -> None:
    text = piece * (MEGABYTE // 4 // len(piece.encode()))
    assert all(text[span.start : span.end] == span.text for span in recognise(text))


def test_what_hides_in_a_long_row_is_still_found() -> None:
    text = "1 " * 5_000 + "電話 090-1234-5678 " + "2 " * 5_000
    assert [span.text for span in recognise(text)] == ["090-1234-5678"]
    assert "090-1234-5678" not in scrub(text).text


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "〒", "様", "様さん氏", "\ud800 田中様", "０", "@", "〈〉", "+81", "丁目"]
)
def test_odd_texts_are_read_without_complaint(text: str) -> None:
    assert len(scrub(text).text) >= len(text) - 2
