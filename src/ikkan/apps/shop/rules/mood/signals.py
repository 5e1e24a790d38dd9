"""What an event tells: the few signals the filter knows, each with a name and a value, or left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from ikkan.apps.shop.rules.mood.modes import Noticed
from ikkan.apps.shop.rules.mood.sensitive import is_sensitive
from ikkan.apps.shop.values import Happened, Ware

WareOf: TypeAlias = Callable[[str], Ware | None]
"""What a product is; None where it is not on the shelf."""
QUICK_S, SLOW_S = 8.0, 60.0
GLANCE_S, STUDY_S = 5.0, 30.0
CHEAP, DEAR = 0.75, 1.33
"""Price beside the person's own median."""

SEARCH_WORDS: Mapping[str, tuple[str, ...]] = {
    "gift": ("gift", "present", "birthday", "ギフト", "プレゼント", "贈り", "お祝い", "礼物", "送礼", "生日"),
    "deal": (
        "sale", "cheap", "discount", "coupon", "deal", "bargain", "outlet", "clearance", "セール", "安い", "割引",
        "クーポン", "お得", "特価", "格安", "便宜", "折扣", "优惠", "特价", "打折",
    ),
    "compare": (" vs ", "versus", "compare", "review", "best ", "比較", "おすすめ", "ランキング", "違い", "对比",
    "比较", "评测", "区别"),
}  # fmt: skip


_READ: dict[int, tuple[Ware, tuple[str, ...]]] = {}
"""What was read last: some hundred wares are looked at for every list, most of them again and again."""
_READ_MOST = 50_000


def facets_of(ware: Ware) -> tuple[str, ...]:
    """What a ware is, as `name=value`: its category at each level, brand, attributes and tags; nothing sensitive.

    >>> from datetime import UTC, datetime
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> facets_of(Ware("p", "Grinder", "Kitchen > Coffee", 1, "JPY", now, brand="Mu", tags=("calm", "religion")))
    ('category=Kitchen', 'category=Kitchen > Coffee', 'brand=Mu', 'tag=calm')
    """
    known = _READ.get(id(ware))
    if known is not None and known[0] is ware:
        return known[1]
    levels = [level.strip() for level in ware.category.split(">")] if ware.category else []
    said = [f"category={' > '.join(levels[: n + 1])}" for n in range(len(levels))]
    said += [f"brand={ware.brand}"] if ware.brand else []
    said += [f"{name}={value}" for name, value in ware.attributes.items()]
    said += [f"tag={tag}" for tag in ware.tags]
    found = tuple(each for each in dict.fromkeys(said) if not is_sensitive(each))
    if len(_READ) >= _READ_MOST:
        _READ.clear()
    _READ[id(ware)] = ware, found  # the ware is kept with it, so its id is nobody else's
    return found


def top_of(category: str) -> str:
    """The most general level of a category."""
    return category.partition(">")[0].strip()


def notice(
    events: Sequence[Happened],
    ware_of: WareOf,
    *,
    median_price_micros: int | None = None,
    bought: frozenset[str] = frozenset(),
    kinds: frozenset[str] = frozenset(),
) -> list[Noticed]:
    """The events as signals, in order.

    Args:
        events: of the window, in order of time.
        median_price_micros: what this person usually pays for one thing; None: not known.
        bought: products the person bought before the window.
        kinds: categories the person touched before the window; empty: nothing is known, so nothing is new.
    """
    found: list[Noticed] = []
    seen: set[str] = set()
    last: Happened | None = None
    last_category = ""
    for event in events:
        ware = ware_of(event.product_id) if event.product_id is not None else None
        signals: dict[str, str] = {"deed": event.deed}
        if last is not None:
            signals["pace"] = _pace((event.at - last.at).total_seconds())
        if event.dwell_s is not None:
            signals["dwell"] = "glance" if event.dwell_s < GLANCE_S else "study" if event.dwell_s > STUDY_S else "look"
        # An event's price is what was paid or shown then; the shelf's is only today's.
        price = event.price_micros if event.price_micros is not None else ware.price_micros if ware else None
        if price and median_price_micros:
            ratio = price / median_price_micros
            signals["price"] = "cheap" if ratio < CHEAP else "dear" if ratio > DEAR else "usual"
        if event.used_coupon or event.deed == "bought":
            signals["saving"] = "coupon" if event.used_coupon else "paid full"
        if event.deed == "searched":
            signals["words"] = _words(event.query)
        if event.product_id is not None:
            category = ware.category if ware else ""
            if event.product_id in seen and event.deed == "viewed":
                signals["step"] = "again"
            elif last_category and category:
                signals["step"] = _step(last_category, category)
            if event.product_id in bought:
                signals["known"] = "bought before"
            elif kinds and category:
                signals["known"] = "known kind" if category in kinds else "new kind"
            seen.add(event.product_id)
            last_category = category or last_category
        found.append(Noticed(event.event_id, event.at, signals))
        last = event
    return found


def _pace(gap_s: float) -> str:
    return "quick" if gap_s < QUICK_S else "slow" if gap_s > SLOW_S else "steady"


def _step(before: str, after: str) -> str:
    return "same" if before == after else "near" if top_of(before) == top_of(after) else "far"


def _words(query: str) -> str:
    folded = f" {query.casefold()} "
    return next((kind for kind, words in SEARCH_WORDS.items() if any(word in folded for word in words)), "plain")
