"""The leak guard: nothing that was learned may come back, in other clothes, to be judged.

Two walls. Time: what judges happened after the cut-off, and what teaches was known by then. Sameness: texts that are
near-duplicates form clusters, and a cluster that teaches does not judge.

Near-duplicates are found exactly, without sampling, for any language: texts are normalised (width, case, punctuation,
spaces), cut into shingles (pairs of characters where the script has no spaces, triples elsewhere), and joined when
almost all shingles of the shorter are in the longer. So "How do I reset it?" meets "sorry - how do I reset it? thanks".
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ikkan.flywheel.contract import Examples, Mask
from ikkan.flywheel.likeness import UNSPACED, joined
from ikkan.ground.errors import LeakFound

CONTAINED = 0.8
"""Two texts are near-duplicates when this share of the shorter one's shingles is in the longer one."""
FEWEST_SHINGLES = 4
"""Texts with fewer are compared whole: two letters in common say nothing."""


def normalised(text: str) -> str:
    """The text without what does not change its meaning: width, case, punctuation, spaces between CJK.

    >>> normalised("ＶＰＮ　に、つながらない！"), normalised("  VPN won't CONNECT?! ")
    ('vpnにつながらない', 'vpn wont connect')
    """
    words = unicodedata.normalize("NFKC", text).casefold().translate(_KEPT).split()
    text = ""
    for word in words:
        glued = not text or unspaced(text[-1]) or unspaced(word[0])
        text += word if glued else " " + word
    return text


class _Kept(dict[int, str]):
    """What each letter becomes: itself, a space, or nothing. Found once for each."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        kind = unicodedata.category(letter)[0]
        self[code] = letter if kind in "LNM" else " " if kind == "Z" or letter.isspace() else ""
        return self[code]


_KEPT = _Kept()


def unspaced(letter: str) -> bool:
    """Whether a letter's script is written without spaces: kana, ideographs, Thai.

    >>> unspaced("語"), unspaced("e")
    (True, False)
    """
    code = ord(letter)
    return code >= UNSPACED[0][0] and any(low <= code <= high for low, high in UNSPACED)


def shingles(text: str) -> frozenset[str]:
    """Overlapping pieces of a normalised text: two characters where either is unspaced, else three."""
    pieces = set()
    for at in range(len(text)):
        pair = text[at : at + 2]
        if len(pair) == 2 and any(unspaced(letter) for letter in pair):
            pieces.add(pair)
        elif len(text) >= at + 3 and not unspaced(text[at + 2]):
            pieces.add(text[at : at + 3])
    return frozenset(pieces) or frozenset([text])


def clusters(texts: Sequence[str], *, contained: float = CONTAINED) -> NDArray[np.int64]:
    """Number texts so that near-duplicates share a number, directly or through others. Shape (n,).

    Exact: every pair that meets the rule is found, by looking only at the rarest shingles of the shorter text (if all
    but k of its shingles are in the longer one, then two of any k + 2 are). The number is the place of the first.
    Timed in `benchmarks/events.py`: what costs is how many *different* texts there are.

    Source: prefix filtering, Chaudhuri, Ganti and Kaushik, "A primitive operator for similarity joins", ICDE 2006;
    with more than one match in a longer prefix, Wang, Li and Feng, "Can we beat the prefix filtering?", SIGMOD 2012.

    >>> clusters(["VPNにつながらない", "すみません、VPNにつながらない。", "印刷できない"]).tolist()
    [0, 0, 2]
    """
    first: dict[str, int] = {}
    seen: dict[str, int] = {}
    at_first = np.empty(len(texts), dtype=np.int64)
    for at, text in enumerate(texts):
        known = seen.get(text)
        if known is None:
            known = seen[text] = first.setdefault(normalised(text), at)
        at_first[at] = known
    if not len(texts):
        return at_first
    places = np.fromiter(first.values(), dtype=np.int64, count=len(first))
    groups = joined(list(first), contained, FEWEST_SHINGLES)
    return places[groups][np.searchsorted(places, at_first)]


@dataclass(frozen=True, slots=True)
class Split:
    """Which examples teach and which judge."""

    cutoff: datetime
    teach: Mask
    judge: Mask
    too_similar: int
    """Later examples left out because their like was taught, to the candidate or to the champion."""
    in_between: int
    """Examples asked before the cut-off and understood only after it: neither side may have them."""
    groups: NDArray[np.int64] | None = None
    """Each example's cluster of near-duplicates."""


def split(
    examples: Examples,
    cutoff: datetime,
    groups: NDArray[np.int64],
    taught: Mask | None = None,
    sealed: Mask | None = None,
) -> Split:
    """Part examples at `cutoff`: what was known by then teaches; what was asked later, and is unlike it, judges.

    Args:
        groups: `clusters(examples.keys)`.
        taught: what the champion has learned from already; its likes do not judge either.
        sealed: examples of people who only judge, ever.

    Raises:
        LeakFound: if the walls do not hold (`check`).
    """
    known = np.array([moment <= cutoff for moment in examples.known_at], dtype=np.bool_)
    later = np.array([moment > cutoff for moment in examples.occurred_at], dtype=np.bool_)
    teach = known & examples.teaches
    if sealed is not None:
        teach &= ~sealed
    spent = teach if taught is None else teach | (taught & examples.teaches)
    similar = np.isin(groups, groups[spent])
    between = int((~known & ~later).sum())
    found = Split(cutoff, teach, later & ~similar, int((later & similar).sum()), between, groups)
    check(examples.take(found.teach), examples.take(found.judge), found.cutoff)
    if sealed is not None and bool((found.teach & sealed).any()):
        raise LeakFound("somebody who only judges would have taught", hint="nothing was trained; report this")
    return found


def check(teach: Examples, judge: Examples, cutoff: datetime) -> None:
    """Look again, from the texts themselves, whether anything stands on both sides of the wall.

    Raises:
        LeakFound: with the ids of the pairs in its facts, and why.
    """
    late = [id for id, moment in zip(teach.ids, teach.known_at, strict=True) if moment > cutoff]
    early = [id for id, moment in zip(judge.ids, judge.occurred_at, strict=True) if moment <= cutoff]
    both = sorted(set(teach.ids) & set(judge.ids))
    groups = clusters([*teach.keys, *judge.keys])
    shared = Counter(groups[: len(teach)].tolist()).keys() & set(groups[len(teach) :].tolist())
    alike = [id for id, group in zip(judge.ids, groups[len(teach) :].tolist(), strict=True) if group in shared]
    if late or early or both or alike:
        raise LeakFound(
            "the dataset has the same question, or the wrong time, on both sides: "
            f"{len(late)} late lessons, {len(early)} early judges, {len(both)} on both sides, {len(alike)} look-alikes",
            hint="nothing was trained; report this with the ids in the error's facts",
            late=late[:20],
            early=early[:20],
            both=both[:20],
            alike=alike[:20],
        )
