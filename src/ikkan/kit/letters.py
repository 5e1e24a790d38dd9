"""Texts as every app compares them: width, case and spaces evened out; the language told; pieces hashed."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_KANA = re.compile(r"[\u3040-\u30ff]")


def plain(text: str) -> str:
    """Width, case and spaces evened out.

    >>> plain("ＶＰＮ　にツナガラナイ")
    'vpn にツナガラナイ'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def same_text(text: str) -> str:
    """What two texts have in common when only punctuation, width, case and spaces differ.

    >>> same_text("はい、そうです。") == same_text("はい そうです")
    True
    """
    return "".join(letter for letter in plain(text) if unicodedata.category(letter)[0] in "LNM")


def language_of(text: str) -> str:
    """`ja` where there is kana, `zh` where there are ideographs without kana, else `en`.

    >>> [language_of(text) for text in ("VPNは?", "如何重置密码", "Where is it?")]
    ['ja', 'zh', 'en']
    """
    if _KANA.search(text):
        return "ja"
    return "zh" if _CJK.search(text) else "en"


@lru_cache(maxsize=200_000)
def hashed(piece: str) -> int:
    """A piece as 64 bits, the same on every machine and in every process."""
    return int.from_bytes(hashlib.blake2b(piece.encode(), digest_size=8).digest(), "little")
