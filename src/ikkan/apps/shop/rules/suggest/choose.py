"""A list for somebody, now: candidates from every source, one blend, merchants' rules, unlikeness, a place for chance.

`chosen` takes several asks at once, so that the one large product is read from memory once for all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.suggest import diversity, exploring
from ikkan.apps.shop.rules.suggest.chance import is_owed, with_chance
from ikkan.apps.shop.rules.suggest.hooks import Steers
from ikkan.apps.shop.rules.suggest.merchant import Ready
from ikkan.apps.shop.rules.suggest.pairs import by_row, strongest
from ikkan.apps.shop.rules.suggest.person import IGNORED_MOST, Digest, Person
from ikkan.apps.shop.rules.suggest.places import AT, Float32, Place, Rows, Wanted
from ikkan.apps.shop.rules.suggest.ranker import FEATURES, probability
from ikkan.apps.shop.rules.suggest.replenish import due
from ikkan.apps.shop.rules.suggest.world import World
from ikkan.apps.shop.values import Ask, Mood

NEAREST, POPULAR, FINALISTS = 150, 60, 64
"""How many candidates each source gives, and how many are looked at for unlikeness."""
STEERED = 160
"""So many of the best a mood may move."""
TOUCHED_S = 7 * 86_400.0
"""What was looked at or put into the cart is not news on the home page for so long."""
REJECTED_S = 365 * 86_400.0
NEW_S = 14 * 86_400.0
_CATEGORY_SHARE = 0.4
"""A list has at most this share of one category, unless the page is about one or the merchant says otherwise."""


def chosen(
    world: World, asks: Sequence[tuple[Ask, Person, Mood | None]], now: datetime, *, steer: Steers | None = None
) -> list[tuple[Wanted, list[Place]]]:
    """A list for each ask. Changes only what was counted of new wares; whoever shows a list notes it."""
    now_s = now.timestamp()
    wanted = [_wanted(world, ask, person, mood, now_s) for ask, person, mood in asks]
    near = _near(world, wanted)
    return [(each, _list(world, each, found, now, now_s, steer)) for each, found in zip(wanted, near, strict=True)]


def _near(world: World, wanted: Sequence[Wanted]) -> list[Rows | None]:
    """The nearest rows of each; what is near to somebody stays so until something happens."""
    version = world.near.version
    found: list[Rows | None] = [None] * len(wanted)
    searched: list[int] = []
    queries: list[Float32] = []
    for at, each in enumerate(wanted):
        if each.query is None or each.ask.surface == "search":
            continue
        kept = each.digest.near
        if each.query is each.digest.vector and kept is not None and kept[0] == version:
            found[at] = kept[1]
        else:
            searched.append(at)
            queries.append(each.query)
    if searched:
        for at, rows in zip(searched, world.near.top(np.stack(queries), NEAREST), strict=True):
            found[at], each = rows, wanted[at]
            if each.query is each.digest.vector:
                each.person.digest = replace(each.digest, near=(version, rows))
    return found


def _wanted(world: World, ask: Ask, person: Person, mood: Mood | None, now_s: float) -> Wanted:
    digest = world.digest(person, now_s)
    seeds = np.asarray(world.shelf.rows(ask.product_ids), np.int64)
    query = digest.vector
    if ask.surface in ("similar", "basket") and len(seeds):
        query = world.near.of(seeds).mean(0)
        if digest.vector is not None:
            # Mostly what the page is about, a little who looks at it.
            own, its = np.linalg.norm(digest.vector), np.linalg.norm(query)
            query = query + 0.25 * digest.vector * (its / max(float(own), 1e-6))
        query = np.asarray(query, np.float32)
    return Wanted(ask, person, digest, mood, seeds, query)


def _list(
    world: World, wanted: Wanted, near: Rows | None, now: datetime, now_s: float, steer: Steers | None
) -> list[Place]:
    ask, shelf = wanted.ask, world.shelf
    rules = world.ready(ask.surface, now)
    rows, sources, due_of = _candidates(world, wanted, near, rules, now_s)
    if not len(rows):
        return []
    ignored = wanted.person.ignored(ask.surface, now_s)
    rows = rows[_allowed(world, wanted, rows, rules, ignored, now_s)]
    if not len(rows):
        return []
    facets = shelf.facets[rows]
    features = _features(world, wanted, rows, facets, due_of, ignored, now_s)
    odds = world.ranker.odds(features, wanted.digest.bucket)
    if ask.surface == "search":
        order = np.argsort(-odds, kind="stable")
        return _places(world, rows[order], odds[order], features[order], ["search"] * len(rows))
    if wanted.mood is not None and steer is not None:
        best = (-odds).argsort()[:STEERED]
        odds[best] = _steered(world, wanted, rows[best], features[best], odds[best], steer)
    worth = odds if not rules.margin else odds + np.float32(rules.margin) * shelf.margin[rows]
    owed = is_owed(world, rows, features)
    if len(rows) > FINALISTS:
        best = _finalists(world, rules, rows, worth, owed)
        rows, facets, features = rows[best], facets[best], features[best]
        odds, worth, owed = odds[best], worth[best], owed[best]
    picked = _picked(world, wanted, rules, rows, worth, facets)
    names = _sources(features[picked])
    for name, some in reversed(sources.items()):
        if some:
            names = [name if row in some else by for row, by in zip(rows[picked].tolist(), names, strict=True)]
    places = _places(world, rows[picked], odds[picked], features[picked], names)
    return with_chance(world, wanted, rules, places, rows, odds, features, owed, picked, now_s)


def _finalists(world: World, rules: Ready, rows: Rows, worth: Float32, owed: NDArray[np.bool_]) -> Rows:
    """Which candidates are looked at closely: the best, and those that have a claim whatever they are worth."""
    is_kept = np.zeros(len(rows), np.bool_)
    is_kept[worth.argpartition(-FINALISTS)[-FINALISTS:]] = True
    some = [*(row for _, row in rules.pins), *_first(world.shelf.arrived, 8)]
    if some:
        is_kept |= _is_among(rows, some)
    claims = owed.nonzero()[0]
    if len(claims):
        is_kept[claims[(-worth[claims]).argsort()[: exploring.POOL]]] = True
    return is_kept.nonzero()[0]


# ---- who may be in it ------------------------------------------------------------------------------------------------


def _candidates(
    world: World, wanted: Wanted, near: Rows | None, rules: Ready, now_s: float
) -> tuple[Rows, dict[str, frozenset[int]], dict[int, float]]:
    surface, digest, shelf = wanted.ask.surface, wanted.digest, world.shelf
    if surface == "search":
        return wanted.seeds, {}, {}
    if not shelf.n:
        return np.zeros(0, np.int64), {}, {}
    due_of = _due(world, digest, now_s)
    if surface == "replenish":
        return np.array(sorted(due_of), np.int64), {"replenish": frozenset(due_of)}, due_of
    parts: list[Rows] = [np.asarray([row for _, row in rules.pins], np.int64)]
    sources: dict[str, frozenset[int]] = {"pinned": frozenset(row for _, row in rules.pins)}
    if near is not None:
        parts.append(near)
    seeds = wanted.seeds.tolist()
    if surface == "basket" and seeds:
        parts.append(strongest(world.purchases.scores(seeds)))
        parts.append(strongest(world.visits.scores(seeds)))
    elif surface == "similar" and seeds:
        parts.append(strongest(world.visits.scores(seeds)))
    elif digest.together is not None:
        parts.append(digest.together_most)
    if surface != "similar" or not seeds:
        parts.append(world.popular.top(POPULAR, now_s))
    if shelf.arrived:
        parts.append(np.asarray(_first(shelf.arrived, 8), np.int64))
    parts.append(np.arange(max(0, shelf.n - 24), shelf.n))
    if sum(map(len, parts)) < 3 * FINALISTS:
        # A shop where little happened yet: some of everything, others each day.
        parts.append(
            (np.linspace(0, shelf.n, FINALISTS, endpoint=False).astype(np.int64) + int(now_s // 86_400)) % shelf.n
        )
    return _each_once(np.concatenate(parts)), sources, due_of


def _each_once(rows: Rows) -> Rows:
    """What `np.unique` says, in a tenth of its time for some hundred rows."""
    rows = np.sort(rows)
    is_first = np.ones(len(rows), np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=is_first[1:])
    return rows[is_first]


def _allowed(
    world: World, wanted: Wanted, rows: Rows, rules: Ready, ignored: dict[int, int], now_s: float
) -> NDArray[np.bool_]:
    shelf, surface = world.shelf, wanted.ask.surface
    if surface == "search":
        # A search keeps what it found; only what is gone is gone.
        return np.array([shelf.wares[row] is not None for row in rows.tolist()], np.bool_)
    allowed = shelf.can_be_had[rows] & ((shelf.stock[rows] < 0) | (shelf.stock[rows] >= rules.stock_floor))
    out: set[int] = set(wanted.seeds.tolist())
    for row, deed, at_s in wanted.digest.touched:
        age_s = now_s - at_s
        if deed == "bought":
            if surface != "replenish" and age_s < _bought_window_s(rules, row):
                out.add(row)
        elif deed in ("viewed", "carted"):
            if surface == "home" and age_s < TOUCHED_S:
                out.add(row)
        elif deed in ("returned", "complained", "disliked") and age_s < REJECTED_S:
            out.add(row)
    out.update(row for row, sittings in ignored.items() if sittings >= IGNORED_MOST)
    if wanted.ask.cursor:
        out |= wanted.person.shown_since(wanted.ask.cursor)
    if len(rules.buried):
        allowed &= ~_is_among(rows, rules.buried)
    if out:
        allowed &= ~_is_among(rows, list(out))
    return allowed


def _is_among(rows: Rows, some: Sequence[int] | Rows) -> NDArray[np.bool_]:
    """What `np.isin` says, in a third of its time for a few rows."""
    known = np.sort(np.asarray(some, np.int64))
    at = np.minimum(known.searchsorted(rows), len(known) - 1)
    return np.asarray(known[at] == rows, np.bool_)


def _bought_window_s(rules: Ready, row: int) -> float:
    for rows, window_s in reversed(rules.bought_windows):
        if row in rows:
            return window_s
    return rules.bought_window_s


def _due(world: World, digest: Digest, now_s: float) -> dict[int, float]:
    bought: dict[int, list[float]] = {}
    for row, deed, at_s in digest.touched:
        if deed == "bought":
            bought.setdefault(row, []).append(at_s)
    found = {}
    for row, times in bought.items():
        gap_s = world.gaps.gap_s(row, int(world.shelf.category[row]), times)
        if gap_s is not None:
            how = due(now_s - times[-1], gap_s)
            if how >= 0.3:
                found[row] = how
    return found


# ---- how much it is wanted -------------------------------------------------------------------------------------------


def _features(
    world: World, wanted: Wanted, rows: Rows, facets: Float32, due_of: dict[int, float], ignored: dict[int, int],
    now_s: float,
) -> Float32:  # fmt: skip
    shelf, digest, ask = world.shelf, wanted.digest, wanted.ask
    made = np.zeros((len(rows), len(FEATURES)), np.float32)
    if digest.vector is not None:
        # Without a model, facets are the space.
        vectors = facets if world.model is None else world.near.of(rows)
        made[:, AT["space"]] = _spread(vectors @ digest.vector)
    if digest.together is not None:
        made[:, AT["together"]] = _looked_up(digest.together, rows)
    if len(wanted.seeds) and ask.surface in ("basket", "similar"):
        seeds = wanted.seeds.tolist()
        if ask.surface == "basket":
            made[:, AT["bought_with"]] = _looked_up(by_row(world.purchases.scores(seeds)), rows)
        with_seeds = _looked_up(by_row(world.visits.scores(seeds)), rows)
        made[:, AT["together"]] = np.maximum(made[:, AT["together"]], with_seeds)
        about = shelf.facets[wanted.seeds].mean(0)
        alike = facets @ about
        # What goes with a basket is seldom one more of the same.
        made[:, AT["query"]] = alike if ask.surface == "similar" else np.where(alike > 0.8, -1.0, 0.3 * alike)
    made[:, AT["popular"]] = world.popular.of(rows, now_s)
    if digest.profile is not None:
        made[:, AT["facets"]] = facets @ digest.profile
    age_s = np.maximum(now_s - shelf.added_s[rows], 0.0)
    made[:, AT["new"]] = np.exp(-age_s / NEW_S)
    if digest.log_price is not None:
        made[:, AT["price"]] = np.exp(-np.abs(shelf.log_price[rows] - digest.log_price))
    if due_of:
        made[:, AT["due"]] = [due_of.get(row, 0.0) for row in rows.tolist()]
    if ask.surface == "search":
        place = {row: at for at, row in enumerate(wanted.seeds.tolist())}
        made[:, AT["rank"]] = [1.0 / (1.0 + 0.25 * place[row]) for row in rows.tolist()]
    if ignored:
        made[:, AT["ignored"]] = [ignored.get(row, 0) for row in rows.tolist()]
    if digest.rejected:
        against = shelf.facets[np.asarray(digest.rejected[-20:])]
        made[:, AT["unlike"]] = np.maximum((facets @ against.T).max(1) - 0.35, 0.0) / 0.65
    return made


def _spread(products: Float32) -> Float32:
    """Products of any model as about 0 to 1: the best of the candidates is 1, two spreads below it 0."""
    centred = products - np.add.reduce(products) / max(len(products), 1)
    spread = float(np.sqrt(centred @ centred / max(len(products), 1)))
    if spread < 1e-9:
        return np.zeros(len(products), np.float32)
    return np.asarray(np.maximum(1.0 + (products - products.max()) / np.float32(4.0 * spread), 0.0), np.float32)


def _looked_up(found: tuple[Rows, Float32], rows: Rows) -> Float32:
    """Counts of the rows we ask for, 0 to 1; `found` is sorted by row."""
    others, values = found
    made = np.zeros(len(rows), np.float32)
    if len(others):
        at = np.minimum(others.searchsorted(rows), len(others) - 1)
        hit = others[at] == rows
        made[hit] = np.sqrt(values[at[hit]] / max(float(values.max()), 1e-9))
    return made


def _steered(world: World, wanted: Wanted, rows: Rows, features: Float32, odds: Float32, steer: Steers) -> Float32:
    assert wanted.mood is not None
    kept = world.shelf.wares
    wares = [ware for row in rows.tolist() if (ware := kept[row]) is not None]  # all of them: the others cannot be had
    usual = wanted.digest.log_price
    dear = None if usual is None else world.shelf.log_price[rows] - np.float32(usual)
    newness = np.minimum(np.maximum(1.0 - features[:, AT["facets"]], 0.0), 1.0)
    return steer(odds, wares, dear, newness, wanted.mood)


# ---- the list --------------------------------------------------------------------------------------------------------


def _picked(world: World, wanted: Wanted, rules: Ready, rows: Rows, worth: Float32, facets: Float32) -> Rows:
    """Where among the candidates the places of the list are, in order."""
    shelf, n = world.shelf, wanted.ask.n
    groups: list[tuple[NDArray[np.int32], int]] = []
    if rules.category_cap is not None:
        groups.append((shelf.category[rows], rules.category_cap))
    if rules.seller_cap is not None:
        groups.append((shelf.seller[rows], rules.seller_cap))
    groups += [(np.where(np.isin(rows, some), 0, -1).astype(np.int32), most) for some, most in rules.caps]
    mild = list(groups)
    if wanted.ask.surface == "home" and rules.category_cap is None and n >= 5:
        mild.append((shelf.category[rows], max(2, round(n * _CATEGORY_SHARE))))
    pinned: list[tuple[int, int]] = []
    if rules.pins:
        where = {row: at for at, row in enumerate(rows.tolist())}
        pinned = [(place, where[row]) for place, row in rules.pins if row in where]
    first = [at for _, at in pinned]
    order = diversity.unlike(worth, facets, n, groups=mild, first=first)
    if len(order) < min(n, len(rows)) and len(mild) > len(groups):
        more = diversity.unlike(worth, facets, n, groups=groups, first=first)
        order += [at for at in more if at not in set(order)][: n - len(order)]
    if pinned:
        order = [at for at in order if at not in set(first)]
        for place, at in pinned:
            order.insert(min(place, len(order)), at)
        order = order[:n]
    return np.asarray(order, np.int64)


def _places(world: World, rows: Rows, odds: Float32, features: Float32, names: Sequence[str]) -> list[Place]:
    made = []
    for row, score, part, name in zip(rows.tolist(), probability(odds).tolist(), features, names, strict=True):
        ware = world.shelf.wares[row]
        if ware is not None:  # deleted meanwhile
            made.append(Place(row, ware, name, score, 1.0, part))
    return made


_LOUD: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("popular", {"popular": 0.7}),
    ("covisits", {"together": 1.0, "bought_with": 1.0}),
    ("encoder", {"space": 0.9}),
    ("attributes", {"facets": 0.8}),
    ("attributes", {"query": 0.8}),
    ("new", {"new": 0.3}),
)
"""How loudly each feature says that a place came from there."""
_LOUDNESS = np.array([[loud.get(name, 0.0) for _, loud in _LOUD] for name in FEATURES], np.float32)


def _sources(features: Float32) -> list[str]:
    """Where places came from: what is known of each that speaks loudest."""
    return [_LOUD[at][0] for at in (features @ _LOUDNESS).argmax(1).tolist()]


def _first(rows: Iterable[int], count: int) -> list[int]:
    return list(itertools.islice(rows, count))
