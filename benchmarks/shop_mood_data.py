"""What `shop_mood.py` measures on: two public sets as people with sessions, and a plain recommender of our own.

ml-latest-small: ratings as visits, a session ends after half an hour without one; facets are genres. Complete Journey
(5 % sample): baskets as sessions; things are product types, facets are departments and categories. The recommender is
EASE (Steck 2019), a linear item-to-item model, so that a session and a long term are two sums over the same rows.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.values import Happened, Ware

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GAP_S = 1_800
LONG, DECAY = 100, 0.97
"""So many events of the past count, each less than the next."""


@dataclass
class People:
    """A data set: what there is, and what each person did, in order of time."""

    name: str
    wares: list[Ware]
    events: dict[str, list[Happened]]
    sessions: dict[str, list[tuple[int, int]]]
    """Person → where each session begins and ends among their events."""
    rows: dict[str, int] = field(default_factory=dict)
    repeats: bool = False
    """Whether what was taken may be taken again."""

    def __post_init__(self) -> None:
        self.rows = {ware.product_id: n for n, ware in enumerate(self.wares)}
        self.shelf = {ware.product_id: ware for ware in self.wares}

    def row(self, event: Happened) -> int:
        assert event.product_id is not None
        return self.rows[event.product_id]


@dataclass
class Point:
    """One moment at which something would be suggested, and what was taken next."""

    person: str
    begin: int
    """Of the session, among the person's events."""
    now: int
    """So many events have happened."""
    target: int
    session: Sequence[Happened]
    past: Sequence[Happened]
    at: datetime
    shift: float
    """How far the categories of the whole session are from the person's history."""
    known_shift: float
    """The same of what had happened by then."""
    fold: int = 0


def films(folder: Path, *, least: int = 10) -> People:
    """ml-latest-small: films rated by at least `least` people."""
    with (folder / "movies.csv").open(encoding="utf-8") as file:
        movies = {row["movieId"]: row for row in csv.DictReader(file)}
    with (folder / "ratings.csv").open(encoding="utf-8") as file:
        ratings = [
            (row["userId"], row["movieId"], float(row["rating"]), int(row["timestamp"])) for row in csv.DictReader(file)
        ]
    often = Counter(movie for _, movie, _, _ in ratings)
    wares = [
        Ware(
            movie,
            row["title"],
            row["genres"].replace("|", ", "),
            0,
            "USD",
            EPOCH,
            attributes=_decade(row["title"]),
            tags=tuple(row["genres"].split("|")),
        )
        for movie, row in movies.items()
        if often[movie] >= least
    ]
    kept = {ware.product_id for ware in wares}
    events: dict[str, list[Happened]] = defaultdict(list)
    for user, movie, rating, at in sorted(ratings, key=lambda row: (row[0], row[3])):
        if movie in kept:
            when = datetime.fromtimestamp(at, UTC)
            events[user].append(Happened(f"{user}-{movie}", user, "viewed", when, movie, rating=rating))
    sessions = {user: list(_by_gap(did)) for user, did in events.items()}
    return People("ml-latest-small", wares, dict(events), sessions)


def groceries(folder: Path, *, least: int = 5) -> People:
    """Complete Journey: product types taken at least `least` times; a basket's things in an order drawn once."""
    frame = _rda(folder / "transactions_sample.rda").merge(_rda(folder / "products.rda"), on="product_id", how="inner")
    frame = frame.dropna(subset=["product_type", "product_category", "department"])
    frame["kind"] = frame["product_category"] + " / " + frame["product_type"]
    frame["unit"] = frame["sales_value"] / frame["quantity"].clip(lower=1)
    often = frame["kind"].value_counts()
    frame = frame[frame["kind"].isin(often[often >= least].index)]
    wares = []
    for kind, some in frame.groupby("kind"):
        first = some.iloc[0]
        price = int(some["unit"].median() * 1e6)
        category = f"{first['department']} > {first['product_category']}"
        wares.append(Ware(str(kind), str(kind), category, price, "USD", EPOCH))
    draw = np.random.default_rng(5)
    frame = frame.assign(order=draw.random(len(frame))).sort_values(
        ["household_id", "transaction_timestamp", "basket_id", "order"]
    )
    events: dict[str, list[Happened]] = defaultdict(list)
    sessions: dict[str, list[tuple[int, int]]] = defaultdict(list)
    last = None
    for n, row in enumerate(frame.itertuples()):
        person = str(row.household_id)
        at = row.transaction_timestamp.to_pydatetime().replace(tzinfo=UTC)
        cents = int(max(row.unit, 0.01) * 1e6)
        coupon = bool(row.coupon_disc > 0 or row.coupon_match_disc > 0 or row.retail_disc > 0)
        events[person].append(
            Happened(f"e{n}", person, "bought", at, str(row.kind), price_micros=cents, used_coupon=coupon)
        )
        if last != (person, row.basket_id):
            sessions[person].append((len(events[person]) - 1, len(events[person])))
        else:
            sessions[person][-1] = (sessions[person][-1][0], len(events[person]))
        last = (person, row.basket_id)
    return People("completejourney", wares, dict(events), dict(sessions), repeats=True)


def _rda(path: Path) -> Any:
    try:
        import pyreadr
    except ImportError:
        sys.exit("reading .rda needs pyreadr (pip install pyreadr narwhals, into an environment of its own)")
    return next(iter(pyreadr.read_r(str(path)).values()))


def _decade(title: str) -> dict[str, str]:
    found = re.search(r"\((\d{3})\d\)\s*$", title)
    return {"decade": f"{found[1]}0s"} if found else {}


def _by_gap(did: Sequence[Happened]) -> Iterator[tuple[int, int]]:
    begin = 0
    for n in range(1, len(did) + 1):
        if n == len(did) or (did[n].at - did[n - 1].at).total_seconds() > GAP_S:
            yield begin, n
            begin = n


def ease(rows: Sequence[Sequence[int]], n: int, *, ridge: float) -> NDArray[np.float32]:
    """Item-to-item weights of EASE from sets of rows taken by one person or in one basket."""
    gram = np.zeros((n, n), np.float32)
    taken = np.zeros((len(rows), n), np.float32)
    for at, some in enumerate(rows):
        taken[at, list(some)] = 1.0
    gram = taken.T @ taken
    gram[np.diag_indices(n)] += ridge
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights, np.float32)


def shift_of(people: People, session: Sequence[Happened], past: Sequence[Happened]) -> float:
    """Jensen-Shannon divergence (base 2) of the session's categories or genres from the person's own history."""
    sides = []
    for some in (session, past):
        counts: Counter[str] = Counter()
        for event in some:
            ware = people.shelf[event.product_id or ""]
            counts.update(ware.tags or [ware.category.partition(">")[2] or ware.category])
        sides.append(counts)
    names = sorted(set(sides[0]) | set(sides[1]))
    p, q = (np.asarray([side[name] for name in names], float) / max(sum(side.values()), 1) for side in sides)
    m = (p + q) / 2
    return float((_kl(p, m) + _kl(q, m)) / 2)


def _kl(p: NDArray[np.float64], m: NDArray[np.float64]) -> float:
    some = p > 0
    return float((p[some] * np.log2(p[some] / m[some])).sum())


def half_of(person: str) -> int:
    """0: settings are chosen on this person; 1: results are reported on them."""
    return int(np.random.default_rng(abs(hash_of(person))).integers(2))


def hash_of(text: str) -> int:
    """The same in every process."""
    value = 2_166_136_261
    for byte in text.encode():
        value = (value ^ byte) * 16_777_619 % 2**32
    return value


def points(people: People, *, least_past: int, per_session: int, per_person: int) -> list[Point]:
    """Moments inside sessions, after the first thing of each; so many a session and a person at most, drawn once."""
    found: list[Point] = []
    for person, did in people.events.items():
        draw = np.random.default_rng(hash_of(person))
        mine: list[Point] = []
        for begin, end in people.sessions[person]:
            if begin < least_past or end - begin < 2:
                continue
            session, past = did[begin:end], did[max(0, begin - LONG) : begin]
            shift = shift_of(people, session, past)
            for now in sorted(begin + 1 + draw.permutation(end - begin - 1)[:per_session]):
                target = people.row(did[now])
                if target not in {people.row(event) for event in did[begin:now]}:
                    known = shift_of(people, did[begin:now], past)
                    mine.append(Point(person, begin, now, target, did[begin:now], past, did[now].at, shift, known))
        found += [mine[n] for n in sorted(draw.permutation(len(mine))[:per_person])]
    return found


@dataclass
class Scored:
    """Points with what the recommender says of them: one row a point."""

    points: list[Point]
    long: NDArray[np.float32]
    session: NDArray[np.float32]
    own: NDArray[np.float32]
    """How often each thing was taken before, each time less the longer ago."""
    hidden: list[NDArray[np.intp]]
    """Rows that may not be suggested: seen already."""


def scored(people: People, chosen: list[Point], models: Mapping[int, NDArray[np.float32]]) -> Scored:
    """Score every point by its fold's model: the session's rows, and the past's."""
    n = len(people.wares)
    long, session, own = (np.zeros((len(chosen), n), np.float32) for _ in range(3))
    hidden = []
    for at, point in enumerate(chosen):
        weights = models[point.fold]
        past = [people.row(event) for event in point.past]
        decay = DECAY ** np.arange(len(past))[::-1]
        if past:
            long[at] = decay @ weights[past]
            np.add.at(own[at], past, decay)
        now = [people.row(event) for event in point.session[-20:]]
        decay = 0.9 ** np.arange(len(now))[::-1]
        session[at] = decay @ weights[now]
        every = people.events[point.person][: point.now] if not people.repeats else point.session
        hidden.append(np.unique([people.row(event) for event in every]))
    for matrix in (long, session):
        matrix /= np.maximum(matrix.std(axis=1, keepdims=True), 1e-6)
    return Scored(chosen, long, session, own, hidden)
