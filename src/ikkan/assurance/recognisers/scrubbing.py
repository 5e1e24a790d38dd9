"""Find personal data, and put a word for what it was in its place."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ikkan.assurance.recognisers import chinese, english, honorifics, japanese
from ikkan.assurance.recognisers.folding import folded
from ikkan.assurance.recognisers.values import PLACEHOLDERS, Kind, Span

LEAST = 0.5
"""Spans of less confidence are left alone."""
_KANA = re.compile("[ぁ-ゖァ-ヺ]")
_IDEOGRAPH = re.compile("[一-鿿]")
_WORTH_A_LOOK = re.compile(
    r"[0-9０-９〇零@＠A-Z様氏殿君]|さん|サン|さま|くん|クン|ちゃん|チャン|先生|女士|小姐|老师|太太|经理|主任|医生"
    r"|我|姓名|名|申し|です|でございます|言い|といい|担当|義|長|主任|教授|選手|人|丁目|番地|客户|者|署"
)
"""Without any of these nothing can be found: most sentences are done after one look."""


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A text without what it said of people."""

    text: str
    spans: tuple[Span, ...]
    """What was found, at its place in the original text."""


def recognise(text: str, *, least: float = LEAST) -> tuple[Span, ...]:
    """Personal data in a text, in order, without overlaps.

    Args:
        text: any length and content; time grows with the length, whatever stands there.
        least: the least confidence that counts.

    >>> [(span.kind.value, span.text) for span in recognise("田中様（０９０ー１２３４ー５６７８）へ折り返し")]
    [('name', '田中'), ('phone', '０９０ー１２３４ー５６７８')]
    >>> recognise("お客様の注文番号は 090-1234-5678 です。仕様は同様です。")
    ()
    """
    if not _WORTH_A_LOOK.search(text):
        return ()
    plain = folded(text)
    has_kana = _KANA.search(text) is not None
    has_ideographs = _IDEOGRAPH.search(text) is not None
    found = [*english.find(text, plain), *japanese.find(text, plain)]
    if has_ideographs or has_kana:
        found += honorifics.find(text, plain)
    found += chinese.find(text, plain, is_chinese=has_ideographs and not has_kana)
    return _apart(span for span in found if span.confidence >= least)


def _apart(found: Iterable[Span]) -> tuple[Span, ...]:
    """The surest of each that overlap; of equals the longer. Addresses first: postcodes and numbers stand in them."""

    def rank(span: Span) -> tuple[int, float, int, int]:
        length = span.end - span.start
        return (-length if span.kind is Kind.ADDRESS else 0, -span.confidence, -length, span.start)

    spans = sorted(found, key=rank)
    starts: list[int] = []
    ends: list[int] = []
    kept: list[Span] = []
    for span in spans:
        at = bisect_left(starts, span.end)
        if at and ends[at - 1] > span.start:
            continue
        starts.insert(at, span.start)
        ends.insert(at, span.end)
        kept.append(span)
    return tuple(sorted(kept))


def scrub(text: str, *, least: float = LEAST, kinds: Collection[Kind] | None = None) -> Scrubbed:
    """The text with a typed placeholder in the place of each span.

    The same value has the same placeholder throughout a text; others of its kind are numbered from 2. What was
    scrubbed before stays as it is.

    Args:
        kinds: replace only these; None: all.

    >>> scrub("佐藤さんから鈴木さんへ。佐藤さんは sato@example.co.jp です").text
    '[氏名]さんから[氏名2]さんへ。[氏名]さんは [メール] です'
    >>> scrub("Call Ms. Grace Hopper at (212) 555-0123").text
    'Call Ms. [NAME] at [PHONE]'
    """
    spans = tuple(span for span in recognise(text, least=least) if kinds is None or span.kind in kinds)
    if not spans:
        return Scrubbed(text, ())
    language = "ja" if _KANA.search(text) else "zh" if _IDEOGRAPH.search(text) else "en"
    numbered: dict[Kind, dict[str, int]] = {}
    pieces, done = [], 0
    for span in spans:
        seen = numbered.setdefault(span.kind, {})
        # One person is one placeholder, however the number was typed.
        number = seen.setdefault(re.sub(r"[\s()・-]", "", folded(span.text)), len(seen) + 1)
        word = PLACEHOLDERS[span.kind][language]
        pieces += [text[done : span.start], f"[{word}{number if number > 1 else ''}]"]
        done = span.end
    return Scrubbed("".join([*pieces, text[done:]]), spans)
