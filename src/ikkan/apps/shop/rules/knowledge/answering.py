"""The sentences of the documents that answer a question, with where they stand; or nothing, which is an answer too.

Extractive: every word of an answer stands in a document. Whether it is given depends on how much of the question, by
how telling each piece is, the passage covers; the bound is measured (`benchmarks/shop_knowledge.py`), on questions
whose answer was taken out of the documents.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from ikkan.apps.shop.rules.knowledge.index import Hit, Index
from ikkan.apps.shop.rules.knowledge.words import grams

SURE = 0.55
"""From this part of the question on, what was found is given as an answer."""
_LOOKED_AT = 8
_LONGEST = 400
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)|(?<=[。！？])|\n+")


@dataclass(frozen=True, slots=True)
class Cited:
    """Where an answer stands."""

    document_id: str
    title: str
    heading: str
    """The headings above it, from the widest on; empty where there are none."""
    place: int
    """Of the passage, from 0."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer in the document's own words."""

    text: str
    cited: Cited
    confidence: float
    """The part of the question it covers, 0 to 1."""


def answer(index: Index, question: str, hits: list[Hit] | None = None, *, sure: float = SURE) -> Answered | None:
    """What the documents say to a question; None where that is not sure.

    Args:
        hits: passages in an order of one's own; None: the index's.
    """
    worth = index.worth(question)
    total = sum(worth.values())
    looked_at = (hits if hits is not None else index.search(question, _LOOKED_AT))[:_LOOKED_AT]
    if not looked_at or not total:
        return None
    best, text, value = looked_at[0], "", -1.0
    for rank, hit in enumerate(looked_at):
        around = set(grams(" ".join((hit.title, *hit.passage.headings))))
        said, held = _sentences(hit, worth, around)
        # A sentence counts most, its passage breaks ties, and an earlier passage is believed before a later one.
        now = held / total + 0.5 * hit.covered - 0.02 * rank
        if said and now > value:
            best, text, value = hit, said, now
    if not text or best.covered < sure:
        return None
    cited = Cited(best.document_id, best.title, " > ".join(best.passage.headings), best.place)
    return Answered(text, cited, round(best.covered, 3))


def _sentences(hit: Hit, worth: dict[str, float], around: set[str]) -> tuple[str, float]:
    """The best sentence, or two that follow one another where the second adds something; and what they hold."""
    sentences = [each.strip() for each in _SENTENCE.split(hit.passage.text) if each.strip()]
    if not sentences:
        return "", 0.0
    found = [{gram for gram in grams(each) if gram in worth} for each in sentences]
    above = sum(worth[gram] for gram in around if gram in worth)

    def held(pieces: set[str]) -> float:
        # What the headings say already is worth half in the sentence itself.
        return sum(worth[gram] * (0.5 if gram in around else 1.0) for gram in pieces)

    one = max(range(len(sentences)), key=lambda at: (held(found[at]), -at))
    best, chosen = held(found[one]), (one, one + 1)
    for first, second in itertools.pairwise(range(len(sentences))):
        both = held(found[first] | found[second])
        if both > 1.25 * best:
            best, chosen = both, (first, second + 1)
    if not best and not above:
        return "", 0.0
    text = " ".join(sentences[chosen[0] : chosen[1]])
    return _cut(text), best + 0.5 * above


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"
