"""The best passages looked at once more: is what was asked said together, and in the same order?

Counting grams cannot tell a passage that says a thing from one that mentions its words apart. Measured in
`benchmarks/meetings_search.py`: R@1 on JSQuAD without this is .920.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping

from ikkan.apps.meetings.rules.search.passages import Passage
from ikkan.apps.meetings.rules.search.ranking import Hit

_SENTENCE = re.compile(r"(?<=[。！？!?\n])|(?<=\.)\s+")
_RUN = re.compile("[\u3005-\u3007\u3041-\u3096\u30a1-\u30fc\u3400-\u9fff\uac00-\ud7af]+|[^\\W_\u3000-\u9fff]+")
_TOGETHER, _IN_A_ROW = 0.5, 2.0
"""What saying it in one breath is worth, as a part of the grams' own worth; and each stretch in the same order."""


def nearer(
    question: str, worth: Mapping[str, float], found: Iterable[tuple[Hit, Passage]], *, limit: int
) -> list[tuple[Hit, Passage]]:
    """The same passages, those first that say together and in order what was asked.

    Args:
        worth: what each gram of the question is worth.

    >>> texts = ["Ads ran. Lunch was late. Limits apply.", "The ads limit is set."]
    >>> found = [(Hit(number, 0, 5.0), Passage(text, "", None, ("s1",))) for number, text in enumerate(texts)]
    >>> [hit.number for hit, _ in nearer("ads limit", {"ad": 2.0, "limit": 2.0}, found, limit=2)]
    [1, 0]
    """
    asked = _stretches(question)
    scored = []
    for hit, passage in found:
        together = _TOGETHER * _said_together(worth, passage.text)
        in_a_row = _IN_A_ROW * len(asked & _stretches(passage.text))
        scored.append((Hit(hit.number, hit.place, hit.score + together + in_a_row), passage))
    return sorted(scored, key=lambda pair: -pair[0].score)[:limit]


def _said_together(worth: Mapping[str, float], text: str) -> float:
    """What of the question is in one sentence, and in two that follow one another: the mean of the best of both."""
    sentences = [each for each in _SENTENCE.split(unicodedata.normalize("NFKC", text).lower()) if each.strip()]
    found = [{gram for gram in worth if _stands_in(gram, sentence)} for sentence in sentences]
    one = max((sum(worth[gram] for gram in each) for each in found), default=0.0)
    two = max((sum(worth[gram] for gram in a | b) for a, b in itertools.pairwise(found)), default=one)
    return (one + max(one, two)) / 2


def _stands_in(gram: str, sentence: str) -> bool:
    """Characters wherever they stand; a word from its beginning, so that `ad` is not found in `lead`."""
    at = sentence.find(gram)
    while at > 0 and gram[0] < "\u3000" and sentence[at - 1].isascii() and sentence[at - 1].isalnum():
        at = sentence.find(gram, at + 1)
    return at >= 0


def _stretches(text: str) -> set[str]:
    """Every three characters in a row, and every two words."""
    runs = _RUN.findall(unicodedata.normalize("NFKC", text).lower())
    wide = {run[at : at + 3] for run in runs if run[0] > "\u3000" for at in range(len(run) - 2)}
    words = itertools.pairwise(runs)
    return wide | {f"{first} {second}" for first, second in words if first[0] < "\u3000" and second[0] < "\u3000"}
