"""What a text is found by: whole words where words are written apart, pairs of characters where they are not."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_RUN = re.compile("[\u3005-\u3007\u3041-\u3096\u30a1-\u30fc\u3400-\u9fff\uac00-\ud7af]+|[^\\W_]+(?:'[^\\W_]+)?")
_MOST = 40
"""Characters of a word that count."""


def grams(text: str) -> Counter[str]:
    """How often each piece stands in a text.

    >>> sorted(grams("API予算、The Budgets").items())
    [('api', 1), ('budget', 1), ('the', 1), ('予', 1), ('予算', 1), ('算', 1)]
    """
    found: Counter[str] = Counter()
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).lower()):
        if run[0] < "\u3000":
            # A run of letters may go on into kana or hanzi; those are cut out below.
            found.update(_mixed(run))
        else:
            found.update(_pairs(run))
    return found


def _mixed(run: str) -> list[str]:
    pieces = re.findall("[^\u3005-\u9fff]+|[\u3005-\u9fff]+", run)
    return [gram for piece in pieces for gram in ([_stem(piece)] if piece[0] < "\u3000" else _pairs(piece))]


def _pairs(run: str) -> list[str]:
    # Hanzi alone are found too: a name of one, an abbreviation of a word of two.
    alone = [character for character in run if character >= "\u3400"]
    return [run[place : place + 2] for place in range(len(run) - 1)] + alone if len(run) > 1 else [run]


def _stem(word: str) -> str:
    """A word without the ending of its plural or its owner: enough that `budgets` finds `budget`."""
    word = word.removesuffix("'s")[:_MOST]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
