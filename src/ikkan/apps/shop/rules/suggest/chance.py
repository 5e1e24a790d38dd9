"""The explored place of a list: a ware that just came, or a draw from what the blend left out, with its chance."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.mood.steering import exploration_share
from ikkan.apps.shop.rules.suggest import exploring
from ikkan.apps.shop.rules.suggest.merchant import Ready
from ikkan.apps.shop.rules.suggest.person import SITTING_S
from ikkan.apps.shop.rules.suggest.places import AT, Float32, Place, Rows, Wanted
from ikkan.apps.shop.rules.suggest.world import World
from ikkan.apps.shop.values import Mood, Surface

OWED_EXPOSURES = 20
"""A new ware is shown at least so often before it has to earn its place."""
_NEW = np.exp(-1.0)
EXPLORES: frozenset[Surface] = frozenset({"home", "similar"})


def with_chance(
    world: World, wanted: Wanted, rules: Ready, places: list[Place], rows: Rows, odds: Float32, features: Float32,
    owed: NDArray[np.bool_], picked: Rows, now_s: float,
) -> list[Place]:  # fmt: skip
    """The list with its explored places: a ware that just came, or a draw from those the blend left out.

    Args:
        rows, odds, features: of the candidates, the list's own among them.
        owed: which of them `is_owed` names.
        picked: where among them the list's own are.
    """
    ask, shelf = wanted.ask, world.shelf
    if ask.is_test or ask.surface not in EXPLORES or len(places) < 4 or ask.n < 4:
        return places
    pinned = {place for place, _ in rules.pins}
    slots = [slot for slot in _slots(ask.n, wanted.mood) if slot < len(places) and slot not in pinned]
    left = np.ones(len(rows), np.bool_)
    left[picked] = False
    owes = bool(owed.any())
    weights = dice = None
    for slot in slots:
        if rules.has_caps:
            left &= _within_caps(world, rules, [place.row for at, place in enumerate(places) if at != slot], rows)
        arrived = _arrival(world, rows[left]) if shelf.arrived else None
        if arrived is not None:
            at = int((rows == arrived).argmax())
            ware = shelf.wares[arrived]
            assert ware is not None
            places[slot] = Place(arrived, ware, "new", _chance(odds[at]), 1.0, features[at])
            left[at] = False
            continue
        free = left.nonzero()[0]
        if not len(free):
            break
        pool = free[(-odds[free]).argsort()[: exploring.POOL // 2]]
        if owes:
            claims = free[owed[free]][: exploring.POOL // 2]
            pool = np.array(list(dict.fromkeys([*pool.tolist(), *claims.tolist()])))
        x = np.empty((len(pool), exploring.SIZE))
        x[:, 0], x[:, 1:] = 1.0, features[pool]
        if dice is None or weights is None:
            dice = world.explorer.dice(_seed(wanted, now_s))
            weights = world.explorer.of(ask.surface, wanted.digest.bucket).drawn(dice, exploring.DRAWS)
        drawn = exploring.drawn(dice, weights, x, owed[pool] if owes else None)
        at = int(pool[drawn.chosen])
        row = int(rows[at])
        ware = shelf.wares[row]
        if ware is None:
            continue
        # The first of the pool is the one the blend likes best.
        told = (x, rows[pool], drawn.propensities, 0)
        chance = float(drawn.propensities[drawn.chosen])
        places[slot] = Place(row, ware, "explored", _chance(odds[at]), chance, features[at], told)
        left[at] = False
    shelf.exposures[[place.row for place in places]] += 1
    return places


def _chance(odds: np.float32) -> float:
    """`ranker.probability` of one."""
    return 1.0 / (1.0 + math.exp(min(-float(odds), 30.0)))


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
    for column, most in ((shelf.category, rules.category_cap), (shelf.seller, rules.seller_cap)):
        if most is not None:
            numbers, counts = np.unique(column[taken], return_counts=True)
            fine &= ~np.isin(column[rows], numbers[counts >= most])
    for some, most in rules.caps:
        if int(np.isin(taken, some).sum()) >= most:
            fine &= ~np.isin(rows, some)
    return fine


def _seed(wanted: Wanted, now_s: float) -> str:
    """The same for one person in one sitting while nothing happens: a page loaded again shows the same."""
    ask, person = wanted.ask, wanted.person
    told = f"{person.subject_id}\0{ask.surface}\0{int(now_s // SITTING_S)}\0{person.version}"
    return f"{told}\0{','.join(ask.product_ids[:8])}\0{ask.cursor}"
