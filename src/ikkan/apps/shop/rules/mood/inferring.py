"""A mood from the last half hour: what is looked at more than usual, how dear, how new, in which mode, how surely."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from ikkan.apps.shop.rules.mood.modes import Tables, at_this_hour, believe
from ikkan.apps.shop.rules.mood.sensitive import is_sensitive
from ikkan.apps.shop.rules.mood.signals import WareOf, facets_of, notice
from ikkan.apps.shop.rules.mood.telling import Showing, evidence
from ikkan.apps.shop.values import Happened, Mode, Mood

WINDOW_S, HALF_LIFE_S = 1_800.0, 1_200.0
MOST_FACETS, LEAST_WANT = 8, 0.1

_WEIGHT: Mapping[str, float] = {
    "viewed": 1.0,
    "carted": 2.0,
    "bought": 2.0,
    "searched": 0.0,
    "uncarted": -1.0,
    "disliked": -2.0,
    "returned": -1.5,
    "complained": -1.5,
}
_PRIOR_EVENTS, _FLOOR = 2.0, 0.02
"""A session counts like this many events of the usual kind less; no facet is rarer than the floor."""

Surely = tuple[float, float, float, float]
"""Intercept, and the weights of the session's concentration, of the logarithm of its length, and of how far it is from
the person's own history. Fitted by `benchmarks/shop_mood.py` on half of the people of ml-latest-small."""
SURELY: Surely = (-1.75, 2.89, 0.21, 4.62)


@dataclass(frozen=True, slots=True)
class Own:
    """What a person does usually, from everything before the window."""

    facets: Mapping[str, float] = field(default_factory=dict)
    """`name=value` → the share of what was touched that has it."""
    events: float = 0.0
    median_price_micros: int | None = None
    bought: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    """Categories touched."""
    coupon_share: float | None = None
    """Of purchases, those with a coupon; None before the first."""
    again_share: float | None = None
    """Of purchases, those of something bought before; None before the second."""


def own(history: Sequence[Happened], ware_of: WareOf) -> Own:
    """Summarise a person's history, newest last. Costs a pass over it; keep the result while the window is open."""
    counts: Counter[str] = Counter()
    prices: list[int] = []
    bought: set[str] = set()
    kinds: set[str] = set()
    total, coupons, purchases, again = 0.0, 0, 0, 0
    for event in history:
        ware = ware_of(event.product_id) if event.product_id is not None else None
        if event.deed == "bought":
            purchases += 1
            coupons += event.used_coupon
            if event.product_id is not None:
                again += event.product_id in bought
                bought.add(event.product_id)
        if ware is None or _WEIGHT[event.deed] <= 0:
            continue
        total += 1
        counts.update(facets_of(ware))
        prices.append(event.price_micros or ware.price_micros)
        kinds.add(ware.category)
    prices.sort()
    return Own(
        {facet: count / total for facet, count in counts.items()} if total else {},
        total,
        prices[len(prices) // 2] if len(prices) >= 3 else None,
        frozenset(bought),
        frozenset(kinds),
        (coupons + 0.5) / (purchases + 5.0) if purchases else None,
        (again + 0.5) / (purchases + 5.0) if purchases > 1 else None,
    )


def infer(
    recent: Sequence[Happened],
    ware_of: WareOf,
    at: datetime,
    *,
    usual: Own | None = None,
    shop: Mapping[str, float] | None = None,
    tables: Tables | None = None,
    surely: Surely = SURELY,
    hours_from_utc: float = 0.0,
) -> Mood | None:
    """The mood somebody seems to be in at `at`; None where the last half hour says nothing.

    Args:
        recent: what the person did, newest last. What is older than half an hour tells what is usual for them.
        ware_of: what a product is; what is not on the shelf is passed over.
        usual: what is usual for the person, where the caller has it already.
        shop: facet → its share of what everybody touches: what a person without a history is compared with.
        tables: the filter's numbers, if others were learned.
        surely: how signs become confidence, if others were learned.
        hours_from_utc: of the shop's clock on the wall.
    """
    begin = at - timedelta(seconds=WINDOW_S)
    cut = bisect_left(recent, begin, key=lambda event: event.at)
    window = [event for event in recent[cut:] if event.at <= at]
    if not window:
        return None
    usual = own(recent[:cut], ware_of) if usual is None else usual
    seen = look(window, ware_of, at, usual, shop or {})
    noticed = notice(
        window, ware_of, median_price_micros=usual.median_price_micros, bought=usual.bought, kinds=usual.kinds
    )
    habits = at_this_hour(
        at,
        hours_from_utc=hours_from_utc,
        deal=_than_others(usual.coupon_share, 0.1),
        replenish=_than_others(usual.again_share, 0.2),
    )
    modes = believe(noticed, at, habits=habits, tables=tables)
    if not seen.length:
        # Searches alone name no facet; the mode still does something, where it is sure enough.
        seen = Showing({}, 0.0, 0.0, 0.0, 0.0, 0.5)
    mode: Mode = max(modes, key=lambda each: modes[each])
    return Mood(
        mode=mode,
        facets=seen.wanted,
        price_bias=_within(seen.price - 0.5 * max(modes["deal"] - 0.3, 0.0), -1.0, 1.0),
        novelty=_within(0.5 + 0.5 * (seen.shift - 0.35) + 0.2 * (modes["explore"] - modes["replenish"]), 0.0, 1.0),
        energy=_within(seen.energy, 0.0, 1.0),
        confidence=confidence(seen, surely) if seen.length else 0.6 * modes[mode],
        expires_at=window[-1].at + timedelta(seconds=WINDOW_S),
        evidence=evidence(window, noticed, ware_of, seen),
        modes=modes,
    )


def confidence(seen: Showing, surely: Surely = SURELY) -> float:
    """How likely the next thing touched has one of the facets wanted most; what a reliability plot is drawn of."""
    said = surely[0] + surely[1] * seen.concentration + surely[2] * math.log1p(seen.length) + surely[3] * seen.shift
    return 1.0 / (1.0 + math.exp(-said))


def look(window: Sequence[Happened], ware_of: WareOf, at: datetime, usual: Own, shop: Mapping[str, float]) -> Showing:
    """The window's facets beside what is usual."""
    liked: Counter[str] = Counter()
    disliked: Counter[str] = Counter()
    length = price = weighed = 0.0
    gaps: list[float] = []
    kinds: list[str] = []
    for n, event in enumerate(window):
        weight = _WEIGHT[event.deed] * 0.5 ** ((at - event.at).total_seconds() / HALF_LIFE_S)
        if n:
            gaps.append((event.at - window[n - 1].at).total_seconds())
        ware = ware_of(event.product_id) if event.product_id is not None else None
        if ware is None or weight == 0:
            continue
        facets = facets_of(ware)
        if weight < 0:
            disliked.update(dict.fromkeys(facets, -weight))
            continue
        liked.update(dict.fromkeys(facets, weight))
        length += weight
        kinds.append(ware.category)
        paid = event.price_micros or ware.price_micros
        if paid and usual.median_price_micros:
            price += weight * math.log(paid / usual.median_price_micros)
            weighed += weight
    if not length:
        return Showing({}, 0.0, 0.0, 0.0, 0.0, 0.5)
    known = usual.events / (usual.events + 5.0)

    def expect(facet: str) -> float:
        return known * usual.facets.get(facet, 0.0) + (1 - known) * shop.get(facet, 0.0)

    wanted: dict[str, float] = {}
    top = 0.0
    for facet, weight in liked.items():
        before = expect(facet)
        share = (weight + _PRIOR_EVENTS * before) / (length + _PRIOR_EVENTS)
        lift = math.log((share + _FLOOR) / (before + _FLOOR))
        wanted[facet] = math.tanh(lift) * math.sqrt(share) - math.tanh(disliked.get(facet, 0.0) / 2)
        top = max(top, share)
    for facet, weight in disliked.items():
        if facet not in liked:
            wanted[facet] = -math.tanh(weight / 2)
    strongest = sorted(wanted.items(), key=lambda each: -abs(each[1]))[:MOST_FACETS]
    hops = sum(a != b for a, b in pairwise(kinds)) / max(len(kinds) - 1, 1)
    quick = sum(gap < 15.0 for gap in gaps) / len(gaps) if gaps else 0.5
    return Showing(
        wanted={facet: want for facet, want in strongest if abs(want) >= LEAST_WANT and not is_sensitive(facet)},
        length=length,
        concentration=top,
        # Shrunk: two clicks do not say what somebody can afford.
        price=math.tanh(price / (weighed + _PRIOR_EVENTS)) if weighed else 0.0,
        shift=_divergence(liked, length, expect) * length / (length + 1.0),
        energy=0.5 + 0.25 * (hops - 0.5) + 0.5 * (quick - 0.5) * len(gaps) / (len(gaps) + 3.0),
    )


def _divergence(liked: Mapping[str, float], length: float, expect: Callable[[str], float]) -> float:
    """Jensen-Shannon divergence (base 2, so 0 to 1) of the session's facets from the usual ones, each as a yes or no.

    Facets overlap, so they are no distribution together; each is one, and the mean over those of the session is taken.
    """
    total = 0.0
    for facet, weight in liked.items():
        p, q = min(weight / length, 1.0), expect(facet)
        m = (p + q) / 2
        total += weight * (_entropy(m) - (_entropy(p) + _entropy(q)) / 2)
    return total / sum(liked.values()) if liked else 0.0


def _entropy(p: float) -> float:
    return 0.0 if p <= 0 or p >= 1 else -(p * math.log2(p) + (1 - p) * math.log2(1 - p))


def _than_others(share: float | None, usual: float) -> float:
    return 1.0 if share is None else _within(share / usual, 0.25, 4.0)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
