"""The leak guard: nothing that was learned may come back, in other clothes, to be judged.

Two walls. Time: what judges happened after the cut-off, and what teaches was known by then. Sameness: texts that are
near-duplicates form clusters, and a cluster that teaches does not judge.

Near-duplicates are found exactly, without sampling, for any language: texts are normalised (width, case, punctuation,
spaces), cut into shingles (pairs of characters where the script has no spaces, triples elsewhere), and joined when
almost all shingles of the shorter are in the longer. So "How do I reset it?" meets "sorry - how do I reset it? thanks".
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ikkan.flywheel.contract import Examples, Mask
from ikkan.ground.errors import LeakFound

CONTAINED = 0.8
"""Two texts are near-duplicates when this share of the shorter one's shingles is in the longer one."""
_UNSPACED = ((0x0E00, 0x0E7F), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
"""Thai, kana, ideographs: scripts without spaces."""
FEWEST_SHINGLES = 4
"""Texts with fewer are compared whole: two letters in common say nothing."""


def normalised(text: str) -> str:
    """The text without what does not change its meaning: width, case, punctuation, spaces between CJK.

    >>> normalised("ＶＰＮ　に、つながらない！"), normalised("  VPN won't CONNECT?! ")
    ('vpnにつながらない', 'vpn wont connect')
    """
    letters = []
    for letter in unicodedata.normalize("NFKC", text).casefold():
        kind = unicodedata.category(letter)[0]
        if kind in "LNM":
            letters.append(letter)
        elif kind == "Z" or letter.isspace():
            letters.append(" ")
    words = "".join(letters).split()
    text = ""
    for word in words:
        glued = not text or unspaced(text[-1]) or unspaced(word[0])
        text += word if glued else " " + word
    return text


def unspaced(letter: str) -> bool:
    """Whether a letter's script is written without spaces: kana, ideographs, Thai.

    >>> unspaced("語"), unspaced("e")
    (True, False)
    """
    code = ord(letter)
    return code >= _UNSPACED[0][0] and any(low <= code <= high for low, high in _UNSPACED)


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
    groups = _joined(list(first), contained)
    return places[groups][np.searchsorted(places, at_first)]


def _joined(plain: list[str], contained: float) -> NDArray[np.int64]:
    """For different normalised texts, the index of the first of each one's cluster."""
    pieces = _Pieces(plain)
    parent = np.arange(len(plain), dtype=np.int64)

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = int(parent[at])
        return at

    marked = np.zeros(pieces.kinds, dtype=np.bool_)
    done = 0
    for at in np.flatnonzero(pieces.sizes >= FEWEST_SHINGLES).tolist():
        mine = pieces.of(at)
        needed = math.ceil(contained * len(mine))
        matches = min(2, needed)
        met = pieces.holders(mine[: len(mine) - needed + matches])
        # Who is of the same cluster already needs no second look: that is what keeps large clusters cheap.
        met = met[(parent[met] != parent[at]) & (pieces.sizes[met] >= len(mine))]
        if len(met) and matches > 1:
            met.sort()
            met = met[1:][met[1:] == met[:-1]]
        if not len(met):
            continue
        marked[mine] = True
        shared = pieces.count(marked, met)
        marked[mine] = False
        for other in met[shared >= needed].tolist():
            one, two = root(at), root(other)
            parent[max(one, two)] = min(one, two)
        done += 1
        if done % _FLATTENED == 0:
            parent[:] = parent[parent]
    while not np.array_equal(parent, above := parent[parent]):
        parent[:] = above
    return parent


class _Pieces:
    """Every text's shingles as numbers, the rarest first, and which texts hold each: `shingles`, for many at once."""

    def __init__(self, plain: list[str]) -> None:
        letters = np.frombuffer("\n".join([*plain, ""]).encode("utf-32-le", "surrogatepass"), dtype="<u4")
        whose = np.cumsum(letters == _END) - (letters == _END)
        codes, owners = [], []
        for chosen, code in _windows(letters):
            codes.append(code)
            owners.append(whose[: len(chosen)][chosen])
        kinds, numbers = np.unique(np.concatenate(codes), return_inverse=True)
        pairs = np.unique(np.concatenate(owners) * np.int64(max(1, len(kinds))) + numbers)
        text, number = np.divmod(pairs, max(1, len(kinds)))
        often = np.bincount(number, minlength=len(kinds))
        order = np.lexsort((number, often[number], text))
        self.kinds = len(kinds)
        self.sizes = np.bincount(text, minlength=len(plain))
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self._numbers = number[order].astype(np.int32)
        by_number = np.argsort(number, kind="stable")
        self._holders = text[by_number].astype(np.int32)
        self._places = np.concatenate([[0], np.cumsum(often)])

    def of(self, at: int) -> NDArray[np.int32]:
        """A text's shingles, the rarest first."""
        return self._numbers[self._starts[at] : self._starts[at + 1]]

    def holders(self, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """The texts that hold each of these shingles, one after the other."""
        return np.concatenate([self._holders[self._places[n] : self._places[n + 1]] for n in numbers.tolist()])

    def count(self, marked: Mask, texts: NDArray[np.int32]) -> NDArray[np.int64]:
        """How many of each text's shingles are marked."""
        sizes = self.sizes[texts]
        ends = np.cumsum(sizes)
        places = np.arange(int(ends[-1])) + np.repeat(self._starts[texts] - (ends - sizes), sizes)
        return np.add.reduceat(marked[self._numbers[places]].astype(np.int64), ends - sizes)


_FLATTENED = 64
"""After so many joins the way to every text's cluster is made short again."""
_END = ord("\n")
"""Between texts; no normalised text has it."""


def _windows(letters: NDArray[np.uint32]) -> list[tuple[Mask, NDArray[np.int64]]]:
    """Pairs and triples as `shingles` cuts them: where they begin, and their letters in one number (21 bits each)."""
    wide = np.zeros(len(letters), dtype=np.bool_)
    for low, high in _UNSPACED:
        wide |= (letters >= low) & (letters <= high)
    inside = letters != _END
    number = letters.astype(np.int64)
    pair = inside[:-1] & inside[1:] & (wide[:-1] | wide[1:])
    triple = inside[:-2] & inside[1:-1] & inside[2:] & ~pair[: len(letters) - 2] & ~wide[2:]
    twos = number[:-1] << 21 | number[1:]
    threes = number[:-2] << 42 | number[1:-1] << 21 | number[2:]
    return [(pair, twos[pair]), (triple, threes[triple])]


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


def split(examples: Examples, cutoff: datetime, groups: NDArray[np.int64], taught: Mask | None = None) -> Split:
    """Part examples at `cutoff`: what was known by then teaches; what was asked later, and is unlike it, judges.

    Args:
        groups: `clusters(examples.keys)`.
        taught: what the champion has learned from already; its likes do not judge either.

    Raises:
        LeakFound: by `check`, if the walls do not hold.
    """
    known = np.array([moment <= cutoff for moment in examples.known_at], dtype=np.bool_)
    later = np.array([moment > cutoff for moment in examples.occurred_at], dtype=np.bool_)
    teach = known & examples.teaches
    spent = teach if taught is None else teach | (taught & examples.teaches)
    similar = np.isin(groups, groups[spent])
    between = int((~known & ~later).sum())
    found = Split(cutoff, teach, later & ~similar, int((later & similar).sum()), between, groups)
    check(examples.take(found.teach), examples.take(found.judge), found.cutoff)
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
