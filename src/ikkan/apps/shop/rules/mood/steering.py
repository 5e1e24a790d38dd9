"""What a mood does to scores: a few documented terms, all of them zero below the threshold of confidence.

Scores come with any scale; each term is in units of their spread over the candidates, so that the same mood moves a
list as far whatever model scored it.

Source: the terms are those of `docs/decisions/0329`; the amounts were chosen by `benchmarks/shop_mood.py` on half of
the people and reported on the other half.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.mood.signals import facets_of
from ikkan.apps.shop.values import Mode, Mood, Ware

Floats = NDArray[np.float32]

THRESHOLD = 0.5
"""Below this confidence a mood changes nothing; at 1 it has its full strength."""


@dataclass(frozen=True, slots=True)
class Pulls:
    """How far each part of a mood moves a score, in spreads of the scores."""

    facets: float = 1.0
    price: float = 0.35
    novelty: float = 0.15
    energy: float = 0.3
    said: float = 1.5
    """A mood that was said moves so much more than one that was inferred."""


PULLS = Pulls()


def pulls_in(files: Mapping[str, bytes]) -> Pulls:
    """The pulls that were learned, out of an artifact's files; what it does not name is as it was.

    >>> pulls_in({"pulls.json": b'{"price": 0.7}'}).price, pulls_in({"pulls.json": b"{}"}) == PULLS
    (0.7, True)
    """
    return replace(PULLS, **json.loads(files["pulls.json"]))


EXPLORE_LEAN: Mapping[Mode, float] = {
    "goal": -0.5,
    "compare": -0.5,
    "gift": 0.3,
    "explore": 1.0,
    "deal": 0.0,
    "replenish": -0.8,
}
"""What each mode does to the share of places that explore: +1 doubles it, -1 takes it away."""

CALM = frozenset(
    {"calm", "quiet", "relaxing", "peaceful", "cozy", "atmospheric", "落ち着く", "静か", "癒し", "安静", "治愈"}
)
LIVELY = frozenset(
    {"lively", "fun", "party", "exciting", "action", "funny", "にぎやか", "楽しい", "元気", "热闹", "有趣"}
)


@dataclass(frozen=True, slots=True)
class Seen:
    """Candidates as steering sees them; every array has one value per candidate."""

    wanted: Floats
    """How much each is what is wanted, -1 to 1: `FacetTable.wanted`, or a direction in item space."""
    dearness: Floats | None = None
    """Logarithm of the price over what is usual for the person; None: not known."""
    newness: Floats | None = None
    """1 where the person never touched its kind, 0 where it is all they touch."""
    energy: Floats | None = None
    """-1 calm, 1 lively, 0 neither."""


class FacetTable:
    """Which ware has which facet, kept so that a mood is looked up for a million wares at once.

    >>> from datetime import UTC, datetime
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> table = FacetTable([Ware("a", "A", "Tea", 1, "JPY", now), Ware("b", "B", "Tea > Green", 1, "JPY", now)])
    >>> table.wanted({"category=Tea > Green": 1.0}).tolist()
    [0.0, 1.0]
    >>> table.wanted({"category=Tea": 0.5}, np.array([1])).tolist()
    [0.5]
    """

    def __init__(self, wares: Sequence[Ware]) -> None:
        self.columns: dict[str, int] = {}
        starts, flat = [0], []
        for ware in wares:
            flat += [self.columns.setdefault(facet, len(self.columns)) for facet in facets_of(ware)]
            starts.append(len(flat))
        self._starts = np.asarray(starts, np.int64)
        self._flat = np.asarray(flat, np.int32)
        self.energy = np.asarray([_energy(ware) for ware in wares], np.float32)

    def wanted(self, facets: Mapping[str, float], rows: NDArray[np.intp] | None = None) -> Floats:
        """How much each ware (or each of `rows`) is what is wanted: its facets' wants added up, kept within -1 to 1."""
        want = np.zeros(len(self.columns) + 1, np.float32)
        for facet, value in facets.items():
            column = self.columns.get(facet)
            if column is not None:
                want[column] = value
        if rows is None:
            sums = np.concatenate(([0.0], np.cumsum(want[self._flat], dtype=np.float64)))
            return np.asarray(np.clip(sums[self._starts[1:]] - sums[self._starts[:-1]], -1, 1), np.float32)
        lengths = self._starts[rows + 1] - self._starts[rows]
        owner = np.repeat(np.arange(len(rows)), lengths)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        columns = self._flat[self._starts[rows][owner] + within]
        return np.clip(np.bincount(owner, want[columns], len(rows)), -1, 1).astype(np.float32)

    def shares(self) -> dict[str, float]:
        """Facet → the share of wares that have it."""
        counts = np.bincount(self._flat, minlength=len(self.columns)) / max(len(self._starts) - 1, 1)
        return {facet: float(counts[column]) for facet, column in self.columns.items()}


def strength(mood: Mood | None, *, threshold: float = THRESHOLD) -> float:
    """0 below the threshold of confidence, growing to 1; what every term is multiplied with."""
    if mood is None or mood.confidence < threshold:
        return 0.0
    return 0.5 + 0.5 * (mood.confidence - threshold) / (1.0 - threshold)


def steer(scores: Floats, seen: Seen, mood: Mood | None, *, pulls: Pulls = PULLS) -> Floats:
    """The scores as the mood has them; the very same array where it has no effect.

    Args:
        scores: of the candidates, on any scale; higher is better.

    Returns:
        `scores + strength · spread · (facets + price + novelty + energy)`, spread being their standard deviation.
    """
    share = strength(mood)
    if mood is None or share == 0.0 or not len(scores):
        return scores
    spread = float(np.std(scores)) or 1.0
    share *= pulls.said if mood.is_said else 1.0
    moved: Floats = np.asarray(pulls.facets * seen.wanted, np.float32)
    if seen.dearness is not None and mood.price_bias:
        moved = moved + pulls.price * mood.price_bias * np.clip(seen.dearness, -2, 2)
    if seen.newness is not None:
        moved = moved + pulls.novelty * (2 * mood.novelty - 1) * (seen.newness - 0.5)
    if seen.energy is not None:
        moved = moved + pulls.energy * (2 * mood.energy - 1) * seen.energy
    return np.asarray(scores + share * spread * moved, dtype=scores.dtype)


def towards(
    scores: Floats,
    wares: Sequence[Ware],
    dearness: Floats | None,
    newness: Floats | None,
    mood: Mood | None,
    *,
    pulls: Pulls = PULLS,
) -> Floats:
    """`steer` for a few hundred candidates given as wares."""
    if not strength(mood) or mood is None:
        return scores
    wanted = _wants(wares, mood.facets)
    energy = np.asarray([_energy(ware) if ware.tags else 0.0 for ware in wares], np.float32)
    return steer(scores, Seen(wanted, dearness, newness, energy), mood, pulls=pulls)


def exploration_share(usual: float, mood: Mood | None) -> float:
    """The share of places that explore, never above one half; `usual` where the mood has no effect.

    >>> exploration_share(0.1, None)
    0.1
    """
    share = strength(mood)
    if mood is None or share == 0.0:
        return usual
    modes = mood.modes or {mood.mode: 1.0}
    lean = sum(EXPLORE_LEAN[mode] * likely for mode, likely in modes.items())
    return min(max(usual * (1.0 + share * lean), 0.0), 0.5)


def _wants(wares: Sequence[Ware], facets: Mapping[str, float]) -> Floats:
    """What `FacetTable.wanted` says, for few facets and a few hundred wares, without listing all facets of each."""
    categories: list[tuple[str, str, float]] = []
    attributes: list[tuple[str, str, float]] = []
    brands: dict[str, float] = {}
    tags: dict[str, float] = {}
    for facet, want in facets.items():
        name, _, value = facet.partition("=")
        if name == "category":
            categories.append((value, f"{value} >", want))
        elif name == "tag":
            tags[value] = want
        elif name == "brand":
            brands[value] = want
        else:
            attributes.append((name, value, want))
    by_category = {value: 0.0 for value, _, _ in categories}
    every = tuple(below for _, below, _ in categories)
    for category in {ware.category for ware in wares}:
        # Most lie in none of them, which one look tells.
        if category in by_category or category.startswith(every):
            by_category[category] = sum(
                want for value, below, want in categories if category == value or category.startswith(below)
            )
    made: list[float] = []
    for ware in wares:
        total = by_category.get(ware.category, 0.0)
        if brands:
            total += brands.get(ware.brand, 0.0)
        for name, value, want in attributes:
            if ware.attributes.get(name) == value:
                total += want
        if tags and ware.tags:
            total += sum(tags.get(tag, 0.0) for tag in set(ware.tags))
        made.append(total)
    return np.asarray(np.minimum(np.maximum(made, -1.0), 1.0), np.float32)


def _energy(ware: Ware) -> float:
    tags = {tag.casefold() for tag in ware.tags}
    return float(bool(tags & LIVELY)) - float(bool(tags & CALM))
