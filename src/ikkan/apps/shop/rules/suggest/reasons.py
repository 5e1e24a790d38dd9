"""Why something is in a list: by whoever explains, else by where the candidate came from.

What an explainer needs is here too: the log-odds of the places were some events never told, many variants at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.suggest.hooks import Explains
from ikkan.apps.shop.rules.suggest.places import Place, Wanted
from ikkan.apps.shop.rules.suggest.replaying import replayed
from ikkan.apps.shop.rules.suggest.world import World
from ikkan.apps.shop.values import Because, Happened
from ikkan.apps.shop.values.suggestion import Why

_WORDS: Mapping[Why, Mapping[str, str]] = {
    "pinned": {"en": "Chosen by the shop", "ja": "お店のおすすめ", "zh": "本店推荐"},
    "new": {"en": "New here", "ja": "新着", "zh": "新品"},
    "popular": {"en": "Many want it just now", "ja": "いま人気です", "zh": "近期热门"},
    "search": {"en": "Found for your search", "ja": "検索結果から", "zh": "来自您的搜索"},
    "replenish": {"en": "You may be running out of it", "ja": "そろそろなくなる頃です", "zh": "可能快用完了"},
    "basket": {
        "en": "Often bought with what is in your basket", "ja": "カートの商品とよく一緒に買われます",
        "zh": "常与购物车中的商品一起购买",
    },
    "similar": {"en": "Like what you are looking at", "ja": "ご覧の商品に似ています", "zh": "与您正在看的商品相似"},
    "event": {"en": "Because you turned to {name}", "ja": "「{name}」をご覧になったので", "zh": "因为您看过“{name}”"},
}  # fmt: skip
_SAID: Mapping[str, Because] = {why: Because(why, words) for why, words in _WORDS.items()}
_EXPLAINED = 20
"""So many of the latest events are tried."""


def reasons_of(
    world: World, wanted: Wanted, places: Sequence[Place], explain: Explains | None, now: datetime
) -> list[Because | None]:
    """A reason for each place."""
    if explain is None:
        nearest = _nearest_events(world, wanted, [place.row for place in places])
        known: dict[str, Because] = {}
        return [_plain(world, wanted, place, event, known) for place, event in zip(places, nearest, strict=True)]
    events = wanted.digest.events[-_EXPLAINED:]

    def score(kept: NDArray[np.bool_]) -> NDArray[np.float32]:
        return replayed(world, wanted, places, kept, now)

    lifts = None
    if wanted.mood is not None and places:
        steered = np.array([place.score for place in places], np.float64).clip(1e-9, 1 - 1e-9)
        plain = world.ranker.odds(np.array([place.features for place in places]), wanted.digest.bucket)
        lifts = np.asarray(np.log(steered / (1 - steered)) - plain, np.float32)
    told = [(place.ware, place.source) for place in places]
    return list(explain(told, events, score, wanted.mood, ware_of=world.shelf.ware, lifts=lifts))


def _plain(world: World, wanted: Wanted, place: Place, event: Happened | None, known: dict[str, Because]) -> Because:
    """By source, or by the event whose ware is likest; `known` has what was said of an event in this list."""
    surface, source = wanted.ask.surface, place.source
    if source in ("pinned", "new", "popular"):
        return _SAID[source]
    if surface != "home":
        return _SAID[surface]
    ware = None if event is None or event.product_id is None else world.shelf.ware(event.product_id)
    if event is None or ware is None:
        return _SAID["popular"]
    if event.event_id not in known:
        words = {language: text.format(name=ware.name_in(language)) for language, text in _WORDS["event"].items()}
        known[event.event_id] = Because("event", words, ware.product_id, event.event_id)
    return known[event.event_id]


def _nearest_events(world: World, wanted: Wanted, places: Sequence[int]) -> Sequence[Happened | None]:
    """For each place the event whose ware is likest to it."""
    rows = wanted.digest.rows[-_EXPLAINED:]
    if not rows or not places:
        return [None] * len(places)
    facets = world.shelf.facets
    alike = facets[list(places)] @ facets[list(rows)].T
    near = world.near.of(np.asarray(places)) @ world.near.of(np.asarray(rows)).T
    worth = alike + near / max(float(np.abs(near).max()), 1e-6)
    events = wanted.digest.events[-_EXPLAINED:]
    return [events[at] for at in worth.argmax(1).tolist()]
