"""What one person, rather than another, does next: a light model of what follows what, in a few numbers an item.

What is *popular* is counted at every event and learned by nobody. What is learned is which things follow which, from
pairs of what people had done and what they did next. What follows for everybody says nothing of anybody, so the mean
over histories is taken away. Numpy only; no I/O.

Source: item-item cosine with shrinkage, Deshpande and Karypis 2004; factored by random projections, Halko, Martinsson
and Tropp 2011. The centring is ours; measured in `benchmarks/next_item_wheel.py`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ikkan.kit.arrays import pack

Floats: TypeAlias = NDArray[np.float64]
Float32: TypeAlias = NDArray[np.float32]
Index: TypeAlias = NDArray[np.int64]

WIDTH = 64
"""Numbers an item."""
LONGEST = 20
"""Of what somebody did, so many of the latest things are looked at."""
FADES = 0.95
"""Each thing further back counts so much less."""
SHRINK = 4.0
"""So many people in common count as none: two things that one person did are no pattern."""
MOST_ITEMS = 4_000
"""Of more items, those with the most people are learned; a house with so many has a larger model to train."""
MEANWHILE = 2_000
"""What other people did in so many events before is what a person's next thing is told apart from."""
LIST = 10
"""How long a shown list is."""
_TURNS = 2
_AVERAGED = 2_000
"""Over so many histories the mean is taken."""
_GAINS = 1.0 / np.log2(np.arange(2, LIST + 2))


@dataclass(frozen=True, slots=True)
class Stream:
    """Everything that happened in a shop, in order and without whose it was."""

    item_ids: tuple[str, ...]
    """Every ware there is."""
    rows: Index
    """The item of each event."""
    _place: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_place", {item_id: row for row, item_id in enumerate(self.item_ids)})

    def rows_of(self, item_ids: Sequence[str]) -> Index:
        """Rows of the items that are here."""
        return np.array([self._place[each] for each in item_ids if each in self._place], dtype=np.int64)

    def meanwhile(self, place: int, seen: Index) -> Floats:
        """How often each item was done in the events before a place, without those that somebody has seen. (items,)"""
        counts = np.bincount(self.rows[max(0, place - MEANWHILE) : place], minlength=len(self.item_ids))
        counts[seen] = 0
        return counts.astype(np.float64)

    def files(self) -> bytes:
        """As one file; the same stream gives the same bytes."""
        ids = np.frombuffer(json.dumps(self.item_ids, ensure_ascii=False).encode(), dtype=np.uint8)
        return pack({"ids": ids, "rows": self.rows.astype(np.int32)})

    @classmethod
    def load(cls, content: bytes) -> Stream:
        """The stream that `files` wrote."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls(tuple(json.loads(arrays["ids"].tobytes())), arrays["rows"].astype(np.int64))


@dataclass(frozen=True, slots=True)
class Factors:
    """What follows what: an item is one vector as what was done, and another as what is done next."""

    item_ids: tuple[str, ...]
    before: Float32
    """(items, width): as what was done."""
    vectors: Float32
    """(items, width): as what comes next."""
    everybody: Float32
    """(width,): the mean of all histories; taken away, so that only what is a person's own is left."""
    longest: int = LONGEST
    fades: float = FADES

    def encode(self, rows: Any, kinds: Any = None, ages_s: Any = None) -> Float32:
        """A history, rows of `item_ids` with the latest last, as a vector; nobody's history is the zero vector."""
        latest = np.asarray(rows, dtype=np.int64)[::-1][: self.longest]
        if not len(latest) or not len(self.before):
            return np.zeros(self.vectors.shape[1], dtype=np.float32)
        share = (self.fades ** np.arange(len(latest))).astype(np.float32)
        return np.asarray(share @ self.before[latest] / share.sum() - self.everybody, dtype=np.float32)

    def encode_many(self, histories: Sequence[Any]) -> Float32:
        """Each history as `encode` has it. Shape (n, width)."""
        width = self.vectors.shape[1]
        return np.array([self.encode(each) for each in histories], dtype=np.float32).reshape(len(histories), width)

    def place(self, attributes: Mapping[str, str]) -> Float32:
        """Where an item that was never seen lies: nowhere in particular. This model does not read attributes."""
        return np.zeros(self.vectors.shape[1], dtype=np.float32)

    def files(self) -> dict[str, bytes]:
        """As files: the same numbers give the same bytes. Nobody's history is in them."""
        arrays: dict[str, NDArray[Any]] = {
            "before": self.before.astype(np.float16),
            "vectors": self.vectors.astype(np.float16),
            "everybody": self.everybody,
            "fading": np.array([self.longest, self.fades]),
        }
        return {"factors.npz": pack(arrays), "items.json": json.dumps(self.item_ids, ensure_ascii=False).encode()}

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Factors:
        """The model that `files` wrote."""
        with np.load(io.BytesIO(files["factors.npz"]), allow_pickle=False) as arrays:
            longest, fades = arrays["fading"].tolist()
            before, vectors = arrays["before"].astype(np.float32), arrays["vectors"].astype(np.float32)
            ids = tuple(json.loads(files["items.json"]))
            return cls(ids, before, vectors, arrays["everybody"], int(longest), fades)

    @classmethod
    def nothing(cls) -> Factors:
        """Before anything was learned: nobody is told apart from anybody."""
        none = np.zeros((0, WIDTH), dtype=np.float32)
        return cls((), none, none, np.zeros(WIDTH, dtype=np.float32))


def learned(
    people: Index,
    befores: Sequence[Index],
    nexts: Sequence[Index],
    item_ids: tuple[str, ...],
    *,
    seed: int = 0,
    longest: int = LONGEST,
    centred: bool = True,
) -> Factors:
    """Which things follow which, from what people had done and did next. Each person counts once for each pair.

    Args:
        people: by example, who.
        befores: by example, rows of what they had done, newest last.
        nexts: by example, rows of what they did then.
        seed: of the random projections.
        centred: whether what follows for everybody is taken away.
    """
    latest = [before[-longest:] for before in befores]
    likeness, known = _likeness(people, latest, nexts, len(item_ids))
    if not len(known):
        return Factors.nothing()
    left, right = _factored(likeness, seed)
    # Half precision, as it is kept: the same numbers before and after it is stored.
    half = [each.astype(np.float16).astype(np.float32) for each in (left, right)]
    ids = tuple(item_ids[row] for row in known.tolist())
    found = Factors(ids, half[0], half[1], np.zeros(half[0].shape[1], dtype=np.float32), longest)
    if not centred:
        return found
    place = np.full(len(item_ids), -1)
    place[known] = np.arange(len(known))
    some = [place[each] for each in _spread(latest)]
    mean = found.encode_many([rows[rows >= 0] for rows in some if (rows >= 0).any()]).mean(axis=0)
    return Factors(ids, half[0], half[1], mean.astype(np.float32), longest)


def _likeness(people: Index, latest: Sequence[Index], nexts: Sequence[Index], size: int) -> tuple[Float32, Index]:
    """For the items with most people, how often one follows the other, beside how often each occurs; and which rows."""
    lengths = np.array([len(a) * len(b) for a, b in zip(latest, nexts, strict=True)], dtype=np.int64)
    if not size or not len(lengths) or not lengths.sum():
        return np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.int64)
    first = np.concatenate([np.repeat(a, len(b)) for a, b in zip(latest, nexts, strict=True)])
    then = np.concatenate([np.tile(b, len(a)) for a, b in zip(latest, nexts, strict=True)])
    who = np.repeat(people, lengths)
    once = np.unique((who[first != then] * size + first[first != then]) * size + then[first != then])
    pair, count = np.unique(once % (size * size), return_counts=True)
    row, item = pair // size, pair % size
    had, did = _people_each(people, latest, size), _people_each(people, nexts, size)
    known = np.sort(np.argsort(-(had + did), kind="stable")[:MOST_ITEMS])
    known = known[(had + did)[known] > 0]
    place = np.full(size, -1)
    place[known] = np.arange(len(known))
    here = (place[row] >= 0) & (place[item] >= 0)
    likeness = np.zeros((len(known), len(known)), dtype=np.float32)
    value = count / (np.sqrt(had[row] * did[item]) + SHRINK)
    likeness[place[row[here]], place[item[here]]] = value[here]
    return likeness, known


def _factored(likeness: Float32, seed: int) -> tuple[Float32, Float32]:
    """Two matrices whose product is as near as so few numbers allow."""
    rng = np.random.default_rng([seed, 0xFAC7])
    width = min(WIDTH, len(likeness))
    basis = rng.standard_normal((len(likeness), min(width + 8, len(likeness)))).astype(np.float32)
    for _ in range(_TURNS):
        basis = np.linalg.qr(likeness @ (likeness.T @ basis))[0]
    left, strength, right = np.linalg.svd(basis.T @ likeness, full_matrices=False)
    root = np.sqrt(strength[:width])
    return (basis @ left[:, :width]) * root, right[:width].T * root


def _spread(histories: Sequence[Index]) -> list[Index]:
    """Some of them, spread evenly over all."""
    some = [each for each in histories if len(each)]
    places = np.unique(np.linspace(0, len(some) - 1, min(len(some), _AVERAGED)).astype(np.int64)).tolist()
    return [some[at] for at in places]


def _people_each(people: Index, rows: Sequence[Index], size: int) -> Floats:
    """How many people each item has."""
    who = np.repeat(people, [len(each) for each in rows])
    once = np.unique(who * size + np.concatenate(rows)) if len(who) else np.zeros(0, dtype=np.int64)
    return np.bincount(once % size, minlength=size).astype(np.float64)


def told_apart(likes: Floats, others: Floats, mine: Index) -> float:
    """The share of what other people did that stands below what this person did; a tie counts half.

    One half for whatever says the same of everybody. Everything that anybody did is ranked, nothing is drawn.

    Args:
        likes: by item.
        others: by item, how often other people did it, this person's own things left out.
        mine: rows of what this person did next.

    >>> likes, others = np.array([3.0, 2.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0, 2.0])
    >>> told_apart(likes, others, np.array([0])), told_apart(likes, others, np.array([2]))
    (1.0, 0.375)
    """
    here = np.flatnonzero(others)
    if not len(here) or not len(mine):
        return 0.5
    order = here[np.argsort(likes[here], kind="stable")]
    levels = likes[order]
    below = np.concatenate([[0.0], np.cumsum(others[order])])
    left, right = np.searchsorted(levels, likes[mine], "left"), np.searchsorted(levels, likes[mine], "right")
    return float(((below[left] + below[right]) / 2 / below[-1]).mean())


def ndcg(top: Sequence[int], wanted: set[int]) -> float:
    """NDCG of a shown list: 1 where everything wanted stands first, 0 where none of it is in the list.

    >>> round(ndcg([7, 3, 5], {3}), 3), ndcg([3, 7], {3}), ndcg([1, 2], {3})
    (0.631, 1.0, 0.0)
    """
    hits = np.array([row in wanted for row in top[:LIST]], dtype=np.bool_)
    best = float(_GAINS[: min(len(wanted), LIST)].sum())
    return float(_GAINS[: len(hits)][hits].sum() / best) if wanted else 0.0


def best(scores: Floats, seen: Index, count: int = LIST) -> list[int]:
    """The rows with the best scores, without what was seen; at a tie the first row."""
    scores = scores.copy()
    scores[seen] = -np.inf
    some = min(count, len(scores))
    edge = np.partition(scores, len(scores) - some)[len(scores) - some] if some else np.inf
    pool = np.flatnonzero(scores >= edge)
    order = pool[np.lexsort((pool, -scores[pool]))][:some]
    return [int(row) for row in order if np.isfinite(scores[row])]
