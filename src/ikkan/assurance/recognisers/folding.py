"""One letter for one letter: full-width forms become plain ones without moving a single position.

Recognisers read the folded text and report places in the original, so folding never changes how long a text is.
"""

from __future__ import annotations

import re
from types import MappingProxyType

_PLAIN = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x3000: 0x20,
    0xA0: 0x20,
    0x2003: 0x20,
    0x3007: 0x30,
}
_DASHES = "‐‑‒–—―−－ｰ⁃﹣"
_TABLE = _PLAIN | {ord(dash): ord("-") for dash in _DASHES}
_BETWEEN = re.compile(r"(?<=[0-9])[ー一](?=[0-9])")
"""A long-vowel mark or a kanji one that somebody typed for a hyphen."""
_SPOKEN = MappingProxyType(
    {ord(kanji): str(value) for value, kanji in enumerate("〇一二三四五六七八九")} | {ord("零"): "0"}
)
_A_ROW = re.compile(r"[〇零一二三四五六七八九]{2}")


_ENDLESS = re.compile(r"[0-9]{24,}")
"""Longer than any number of a person: nothing in it is looked at."""


def _blank(found: re.Match[str]) -> str:
    return "#" * len(found[0])


def folded(text: str) -> str:
    """The text with plain digits, letters, spaces and hyphens; as long as before.

    >>> folded("０３−１２３４ー５６７８"), folded("センター〇")
    ('03-1234-5678', 'センター0')
    """
    return _ENDLESS.sub(_blank, _BETWEEN.sub("-", text.translate(_TABLE)))


def spoken(text: str) -> str | None:
    """The folded text with kanji digits as digits too; None where no two stand together.

    >>> spoken("〇九〇ー一二三四ー五六七八"), spoken("三丁目")
    ('090-1234-5678', None)
    """
    if not _A_ROW.search(text):
        return None
    return _BETWEEN.sub("-", text.replace("ー", "-").translate(_TABLE | _SPOKEN))


def digits(text: str) -> str:
    """Only the digits.

    >>> digits("03-12")
    '0312'
    """
    return "".join(letter for letter in text if letter in "0123456789")


def near(text: str, start: int, end: int, before: int, after: int = 0) -> str:
    """What stands around a place."""
    return text[max(0, start - before) : start] + "\n" + text[end : end + after]
