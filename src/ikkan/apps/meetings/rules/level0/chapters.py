"""Chapters: where the words of a meeting change, and what each chapter is about.

Source: TextTiling, Hearst 1997, on words weighted by rarity; as many borders as the length of the meeting suggests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0.phrases import may_name, phrases, spoken
from ikkan.apps.meetings.rules.level0.units import Unit, contents, size

BLOCK_WORDS = 120
"""Units are gathered into blocks of about so many words, and borders lie between blocks."""
CHAPTER_WORDS = 1_500
"""About so many words make a chapter: ten minutes of talk."""
MOST_CHAPTERS = 40
_TITLE_WORDS = 4
LONGER = 1.15
"""A character more makes a Chinese word so many times as good a title."""
_WORDS_EN = """
a about actually all also am an and any are as at be because been but by can could did do does doing don down for
from get getting go going gonna good got had has have he her here him his how i if in into is isn it its just kind know
let like ll look lot m make maybe me mean more much my need no not now of off oh ok okay on one only or other our out
over people probably put quite re really right s said same say see she should so some something sort still stuff such t
take than that the their them then there these they thing things think this those though through time to too two um up
us use ve very wanna want was way we well were what when where which who why will with would yeah yep yes you your
"""
_PAIRS_ZH = "我们 们的 这个 那个 一个 就是 是的 可以 然后 如果 因为 所以 什么 怎么 没有 还是 但是 大家 他们 你们 不是"
_PAIRS_JA = "思い 思っ 今日 場合 状態 感じ 言っ 言う 願い 自分 以上"
_COMMON = frozenset(f"{_WORDS_EN} {_PAIRS_ZH} {_PAIRS_JA}".split())
"""Words that no chapter is about."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """Units `first` up to, not including, `end`."""

    first: int
    end: int
    title: str


def chapters(meeting: Sequence[Unit], chances: NDArray[np.float64]) -> list[Chapter]:
    """A meeting cut where its words change. `chances`, how likely each unit is important, weighs title words."""
    said = [_topical(unit.words) for unit in meeting]
    borders = _borders(meeting, said)
    said = _names(meeting, said)
    heard_in = Counter[str]()
    for first, end in pairwise(borders):
        heard_in.update({word for words in said[first:end] for word in words})
    return [
        Chapter(first, end, _title(meeting, said, first, end, chances, heard_in, len(borders) - 1))
        for first, end in pairwise(borders)
    ]


def is_common(word: str) -> bool:
    """Whether a word says nothing of what is talked about."""
    return word in _COMMON


def _topical(words: Sequence[str]) -> list[str]:
    return [word for word in contents(words) if len(word) > 1 and not is_common(word)]


def _names(meeting: Sequence[Unit], said: Sequence[list[str]]) -> Sequence[list[str]]:
    """What titles are made of: the words of each unit; in Chinese those that the meeting itself shows to be words."""
    texts = [unit.text for unit in meeting]
    if not _is_chinese(texts):
        return said
    known = phrases(texts)
    names = [
        [*spoken(text, known), *(word for word in words if word.isascii() and not word.isdigit())]
        for text, words in zip(texts, said, strict=True)
    ]
    if any(names):
        return names
    return [[word for word in words if may_name(word)] for words in said]  # too short to show anything


def _borders(meeting: Sequence[Unit], said: Sequence[Sequence[str]]) -> list[int]:
    blocks = _blocks(meeting)
    count = len(blocks) - 1
    total = sum(size(unit.words) for unit in meeting)
    wanted = min(MOST_CHAPTERS, count, round(total / CHAPTER_WORDS))
    if wanted < 2:
        return [0, len(meeting)] if meeting else [0]
    gains = _depths(_vectors(blocks, said))
    apart = max(1, count // wanted // 3)
    chosen: list[int] = []
    # Deepest valleys first, none next to another.
    for at in np.argsort(-gains, kind="stable").tolist():
        if len(chosen) == wanted - 1:
            break
        if gains[at] > 0 and all(abs(at - other) > apart for other in (*chosen, -1, count - 1)):
            chosen.append(at)
    return [0, *(blocks[at + 1] for at in sorted(chosen)), len(meeting)]


def _blocks(meeting: Sequence[Unit]) -> list[int]:
    starts, filled = [0], 0.0
    for at, unit in enumerate(meeting):
        if filled >= BLOCK_WORDS:
            starts.append(at)
            filled = 0.0
        filled += size(unit.words)
    return [*starts, len(meeting)]


def _vectors(blocks: Sequence[int], said: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    bags = [Counter(word for words in said[first:end] for word in words) for first, end in pairwise(blocks)]
    spread = Counter(word for bag in bags for word in bag)
    # A word of one block connects nothing.
    kept = {word: at for at, word in enumerate(word for word, times in spread.items() if times > 1)}
    table = np.zeros((len(bags), max(1, len(kept))), dtype=np.float64)
    for row, bag in enumerate(bags):
        for word, times in bag.items():
            if word in kept:
                table[row, kept[word]] = np.log1p(times) * np.log(len(bags) / spread[word])
    return table


def _depths(table: NDArray[np.float64], reach: int = 5) -> NDArray[np.float64]:
    # Likeness of the `reach` blocks before and after each border, then how deep a valley it lies in.
    sums = np.vstack([np.zeros(table.shape[1]), np.cumsum(table, axis=0)])
    n = len(table)
    likeness = np.empty(n - 1)
    for at in range(n - 1):
        before = sums[at + 1] - sums[max(0, at + 1 - reach)]
        after = sums[min(n, at + 1 + reach)] - sums[at + 1]
        likeness[at] = before @ after / (np.linalg.norm(before) * np.linalg.norm(after) + 1e-9)
    left = np.array([likeness[max(0, at - reach) : at + 1].max() for at in range(n - 1)])
    right = np.array([likeness[at : at + reach + 1].max() for at in range(n - 1)])
    return np.asarray(left + right - 2 * likeness)


def _title(
    meeting: Sequence[Unit],
    said: Sequence[Sequence[str]],
    first: int,
    end: int,
    chances: NDArray[np.float64],
    heard_in: Counter[str],
    count: int,
) -> str:
    """The words that are said much here and little elsewhere, as they are written, in order of weight."""
    weight: dict[str, float] = {}
    for at in range(first, end):
        for word in said[at]:
            weight[word] = weight.get(word, 0.0) + 0.1 + float(chances[at])
    rated = {
        word: much * np.log((count + 1) / (heard_in[word] + 0.5)) * (1 if word.isascii() else LONGER ** (len(word) - 2))
        for word, much in weight.items()
    }
    best = sorted(rated, key=lambda word: (-rated[word], word))
    here = " ".join(meeting[at].text for at in range(first, end))
    names: list[str] = []
    for word in best:
        name = _as_written(word, here)
        if not any(name in other or other in name for other in names):
            names.append(name)
        if len(names) == _TITLE_WORDS:
            break
    return " · ".join(names) or meeting[first].text[:40]


def _as_written(word: str, here: str) -> str:
    """A pair of characters grown to the run of kanji or katakana it most often stands in; other words as they are.

    >>> _as_written("算案", "来期の予算案を見ます。予算案は以上です。")
    '予算案'
    """
    if word.isascii() or len(word) > 2:
        return word
    runs = Counter[str]()
    at = here.find(word)
    while at >= 0:
        left, right = at, at + len(word)
        while left > 0 and right - left < 8 and _joins(here[left - 1]) == _joins(word[0]) != "":
            left -= 1
        while right < len(here) and right - left < 8 and _joins(here[right]) == _joins(word[-1]) != "":
            right += 1
        runs[here[left:right]] += 1
        at = here.find(word, at + 1)
    if not runs:
        return word
    most, times = max(runs.items(), key=lambda run: (run[1], len(run[0])))
    return most if times > 1 and len(most) <= 7 else word


def _is_chinese(texts: Sequence[str]) -> bool:
    """Whether it is written in Chinese characters and next to no kana."""
    kana = characters = 0
    for letter, times in Counter("".join(texts)).items():
        characters += times * (_joins(letter) == "ideograph")
        kana += times * ("\u3041" <= letter <= "\u30fc")
    return characters > 20 * kana


def _joins(letter: str) -> str:
    if "\u30a1" <= letter <= "\u30fc":
        return "katakana"
    if "\u3400" <= letter <= "\u9fff" or letter == "々":
        return "ideograph"
    return ""
