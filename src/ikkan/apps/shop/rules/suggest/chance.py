"""The explored place of a list: a ware that just came, or a draw from what the blend left out, with its chance."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.mood.steering import exploration_share
from ikkan.apps.shop.rules.suggest import exploring
from ikkan.apps.shop.rules.suggest.merchant import Ready
from ikkan.apps.shop.rules.suggest.person import SITTING_S
from ikkan.apps.shop.rules.suggest.places import AT, Float32, Place, Rows, Wanted
from ikkan.apps.shop.rules.suggest.ranker import probability
from ikkan.apps.shop.rules.suggest.world import World
from ikkan.apps.shop.values import Mood, Surface

OWED_EXPOSURES = 20
"""A new ware is shown at least so often before it has to earn its place."""
_NEW = np.exp(-1.0)
EXPLORES: frozenset[Surface] = frozenset({"home", "similar"})


def with_chance(
    world: World, wanted: Wanted, rules: Ready, places: list[Place], rows: Rows, odds: Float32, features: Float32,
    now_s: float,
) -> list[Place]:  # fmt: skip
    """The list with its explored places: a ware that just came, or a draw from those the blend left out."""
    ask, shelf = wanted.ask, world.shelf
    if ask.is_test or ask.surface not in EXPLORES or len(places) < 4 or ask.n < 4:
        return places
    pinned = {place for place, _ in rules.pins}
    slots = [slot for slot in _slots(ask.n, wanted.mood) if slot < len(places) and slot not in pinned]
    taken = {place.row for place in places}
    left = np.array([row not in taken for row in rows.tolist()], np.bool_)
    owed = is_owed(world, rows, features)
    rng = np.random.Generator(np.random.SFC64(_seed(wanted, now_s)))
    weights = None
    for slot in slots:
        left &= _within_caps(world, rules, [place.row for at, place in enumerate(places) if at != slot], rows)
        arrived = _arrival(world, rows[left]) if shelf.arrived else None
        if arrived is not None:
            at = int(np.flatnonzero(rows == arrived)[0])
            ware = shelf.wares[arrived]
            assert ware is not None
            places[slot] = Place(arrived, ware, "new", float(probability(odds[at : at + 1])[0]), 1.0, features[at])
            left[at] = False
            continue
        free = np.flatnonzero(left)
        if not len(free):
            break
        by_odds = free[(-odds[free]).argsort()][: exploring.POOL // 2]
        pool = np.asarray(list(dict.fromkeys([*by_odds.tolist(), *free[owed[free]][: exploring.POOL // 2].tolist()])))
        x = np.empty((len(pool), exploring.SIZE))
        x[:, 0], x[:, 1:] = 1.0, features[pool]
        if weights is None:
            weights = world.explorer.of(ask.surface, wanted.digest.bucket).drawn(rng, exploring.DRAWS)
        drawn = exploring.drawn(rng, weights, x, owed[pool])
        at = int(pool[drawn.chosen])
        ware = shelf.wares[int(rows[at])]
        if ware is None:
            continue
        told = (x, rows[pool], drawn.propensities, int(odds[pool].argmax()))
        score, chance = float(probability(odds[at : at + 1])[0]), float(drawn.propensities[drawn.chosen])
        places[slot] = Place(int(rows[at]), ware, "explored", score, chance, features[at], told)
        left[at] = False
    shelf.exposures[[place.row for place in places]] += 1
    return places


def _slots(n: int, mood: Mood | None) -> tuple[int, ...]:
    """Which places of a list explore: as many as the mood wants, which has no say in what is drawn for them.

    >>> _slots(8, None), _slots(20, None)
    ((4,), (4, 10))
    """
    usual, order = (2, (4, 10, 7, 13)) if n > 12 else (1, (min(4, n - 1), 7, 10))
    return order[: int(exploration_share(usual / n, mood) * n + 0.5)]


def _arrival(world: World, allowed: Rows) -> int | None:
    """The ware that has waited longest to be shown for the first time, if it may be in this list."""
    arrived, shelf = world.shelf.arrived, world.shelf
    while arrived and (shelf.exposures[arrived[0]] > 0 or not shelf.can_be_had[arrived[0]]):
        arrived.popleft()
    for row in itertools.islice(arrived, 8):
        if row in allowed and shelf.exposures[row] == 0:
            return row
    return None


def is_owed(world: World, rows: Rows, features: Float32) -> NDArray[np.bool_]:
    is_new = features[:, AT["new"]] > _NEW
    return np.asarray(is_new & (world.shelf.exposures[rows] < OWED_EXPOSURES), np.bool_)


def _within_caps(world: World, rules: Ready, taken: list[int], rows: Rows) -> NDArray[np.bool_]:
    """Which rows a merchant's caps still let in beside those taken."""
    shelf, fine = world.shelf, np.ones(len(rows), np.bool_)
    if rules.category_cap is None and rules.seller_cap is None and not rules.caps:
        return fine
    for column, most in ((shelf.category, rules.category_cap), (shelf.seller, rules.seller_cap)):
        if most is not None:
            numbers, counts = np.unique(column[taken], return_counts=True)
            fine &= ~np.isin(column[rows], numbers[counts >= most])
    for some, most in rules.caps:
        if int(np.isin(taken, some).sum()) >= most:
            fine &= ~np.isin(rows, some)
    return fine


def _seed(wanted: Wanted, now_s: float) -> int:
    """The same for one person in one sitting while nothing happens: a page loaded again shows the same."""
    told = f"{wanted.person.subject_id}\0{wanted.ask.surface}\0{int(now_s // SITTING_S)}\0{wanted.person.version}"
    told += f"\0{','.join(wanted.ask.product_ids[:8])}\0{wanted.ask.cursor}"
    return int.from_bytes(hashlib.blake2b(told.encode(), digest_size=8).digest(), "big")
