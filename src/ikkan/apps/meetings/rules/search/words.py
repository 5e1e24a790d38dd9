"""What a text is found by: whole words where words are written apart, pairs of characters where they are not."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

_RUN = re.compile("[\u3005-\u3007\u3041-\u3096\u30a1-\u30fc\u3400-\u9fff\uac00-\ud7af]+|[^\\W_]+(?:'[^\\W_]+)?")
_KANA = re.compile("[\u3041-\u3096\u30fc]+")
"""Endings and particles: in every passage, and thousands of rows to read."""
_ENGLISH = (
    "a an and are as at be been but by can did do doe for from had ha have he her his how i if in is it its me my no "
    "not of on or our she so that the their them then there they thi to was we were what when where which who whom "
    "whose why will with would you your"
)
_CHINESE = "的 了 是 我 们 我们 在 不 有 和 什么 什 么 怎么 怎 哪 谁 吗 呢 这 那 就 也 都 说"
_EVERYWHERE = frozenset(f"{_ENGLISH} {_CHINESE}".split())
_ENOUGH = 2
"""Telling grams that do without the others."""
_MOST_ASKED = 64
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


def asked_for(question: str, glossary: Mapping[str, str] = {}) -> dict[str, int]:
    """What a question is looked for by: its grams without those that are everywhere, unless little else is left.

    Args:
        glossary: as heard → as written. Who asks for a word in one spelling finds it in the other too.

    >>> sorted(asked_for("Who pays for the budget?")), asked_for("the") == {"the": 1}
    (['budget', 'pay'], True)
    >>> sorted(asked_for("Kyushu plan", {"queue shoe": "Kyushu"}))
    ['kyushu', 'plan', 'queue', 'shoe']
    """
    found = grams(question)
    for other in _spelled_otherwise(question, glossary):
        found.update(gram for gram in grams(other) if gram not in found)
    telling = {gram: count for gram, count in found.items() if not (_KANA.fullmatch(gram) or gram in _EVERYWHERE)}
    return dict(list((telling if len(telling) >= _ENOUGH else {**telling, **found}).items())[:_MOST_ASKED])


def _spelled_otherwise(question: str, glossary: Mapping[str, str]) -> list[str]:
    asked = unicodedata.normalize("NFKC", question).casefold()
    return [
        other
        for pair in glossary.items()
        for here, other in (pair, pair[::-1])
        if other != here and unicodedata.normalize("NFKC", here).casefold() in asked
    ]


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
