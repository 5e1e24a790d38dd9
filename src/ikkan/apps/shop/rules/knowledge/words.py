"""What a text is found by: stems of words where words are written apart, pairs of characters where they are not."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_WIDE = "\u3005-\u3007\u3041-\u3096\u30a1-\u30fc\u3400-\u9fff\uac00-\ud7af"
_RUN = re.compile(f"[{_WIDE}]+|[^\\W_{_WIDE}]+")
_KANA = re.compile("[\u3041-\u3096\u30fc]+")
"""Endings and particles."""
_ASKING = re.compile("请问|多久|多少|什么|怎么样?|如何|哪些|哪里|哪个|是否|能否|可以|[吗呢]")
"""Chinese that only asks."""
_ENGLISH = (
    "a an and are as at be been but by can could did do does for from had has have he her his how i if in is it its me "
    "my no not of on or our please she so that the their them then there they this to was we were what when where "
    "which who whom whose why will with would you your i'm am any get got need want like tell know about should"
)
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ed", "es", "s", "ly")


def _stem(word: str) -> str:
    """A word without its commonest endings: `delivered`, `delivery` and `deliveries` are one.

    >>> [_stem(word) for word in ("returns", "returned", "policies", "policy", "gas")]
    ['return', 'return', 'polic', 'polic', 'gas']
    """
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4 and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 4 and word[-1] in "eyi" else word


_EVERYWHERE = frozenset(_stem(word) for word in _ENGLISH.split())


def grams(text: str) -> Counter[str]:
    """How often each piece stands in a text.

    >>> sorted(grams("返品は30日以内。Free shipping!"))
    ['30', 'free', 'shipp', '以内', '品は', '日以', '返品']
    """
    found: Counter[str] = Counter()
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).lower()):
        if run[0] < "\u3000":
            found[_stem(run[:40])] += 1
        elif len(run) == 1:
            found[run] += 1
        else:
            found.update(run[place : place + 2] for place in range(len(run) - 1))
    return found


def asked_for(question: str) -> dict[str, int]:
    """What a question is looked for by: its pieces without those that are everywhere, unless nothing else is left.

    >>> sorted(asked_for("How do I return it?")), sorted(asked_for("送料はいくらですか"))
    (['return'], ['料は', '送料'])
    >>> sorted(asked_for("电池保修多久？"))
    ['保修', '池保', '电池']
    """
    found = grams(_ASKING.sub(" ", question))
    telling = {gram: n for gram, n in found.items() if gram not in _EVERYWHERE and not _KANA.fullmatch(gram)}
    return telling or dict(found)
