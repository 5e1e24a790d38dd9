"""Lists that were shown, as examples: what the blend was told of each place, and which places were clicked.

| within half an hour after the list was shown, the same person | the place |
|---|---|
| looked at the ware, put it into the basket or bought it, and the list was named | clicked |
| the same, and no list was named | clicked |
| did nothing of it, or named another list | not clicked |

A list is an example when its half hour is over. One list is one example: its places were seen together.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.learn.next_item.events import SHOWN, WANTED
from ikkan.apps.shop.rules.suggest.places import AT
from ikkan.apps.shop.rules.suggest.ranker import BUCKETS
from ikkan.flywheel.contract import Examples
from ikkan.ground.events import Event

WINDOW = timedelta(minutes=30)
"""Later than this, looking at a ware was not because of the list."""
KEPT = timedelta(days=60)
"""Older lists were made by other models, of another shelf."""
MOST_LISTS = 100_000
"""The latest of them: some 100 MB."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list as the blend saw it."""

    surface: str
    bucket: int
    """Of the person's history, as the ranker has it."""
    features: NDArray[np.float32]
    """`(places, features)` as served."""
    product_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clicked:
    """What became of it."""

    places: tuple[int, ...]
    """Those that were clicked, from 0."""


@dataclass(frozen=True, slots=True)
class _Deed:
    at: datetime
    impression_id: str | None
    event_id: str


def read_lists(events: Iterable[Event], until: datetime) -> Examples:
    """The lists in these events whose time for clicks is over by `until`, in the order in which they were shown."""
    shown: deque[Event] = deque(maxlen=MOST_LISTS)
    deeds: dict[tuple[str, str], list[_Deed]] = defaultdict(list)
    for event in events:
        if not event.subject_id:
            continue
        if event.name == SHOWN:
            if event.occurred_at + WINDOW <= until:
                shown.append(event)
        elif event.payload.get("deed") in WANTED and event.payload.get("product_id"):
            deed = _Deed(event.occurred_at, event.payload.get("impression_id"), event.id)
            deeds[str(event.subject_id), str(event.payload["product_id"])].append(deed)
    rows = [(event, listed) for event in shown if (listed := _listed(event.payload)) is not None]
    rows.sort(key=lambda row: (row[0].occurred_at, row[0].id))
    hits = [_clicks(event, listed, deeds) for event, listed in rows]
    return Examples(
        ids=tuple(event.id for event, _ in rows),
        unit_ids=tuple(str(event.subject_id) for event, _ in rows),
        occurred_at=tuple(event.occurred_at for event, _ in rows),
        known_at=tuple(event.occurred_at + WINDOW for event, _ in rows),
        slices=tuple(listed.surface for _, listed in rows),
        keys=tuple(_key(event.id) for event, _ in rows),
        inputs=tuple(listed for _, listed in rows),
        truths=tuple(Clicked(tuple(each)) for each in hits),
        teaches=np.ones(len(rows), dtype=np.bool_),
        own=np.ones(len(rows), dtype=np.bool_),
        evidence=tuple((event.id, *each.values()) for (event, _), each in zip(rows, hits, strict=True)),
    )


def _listed(payload: Mapping[str, Any]) -> Listed | None:
    """None where it was written down without what the blend needs."""
    offers: Sequence[Mapping[str, Any]] = payload.get("offers") or ()
    bucket = payload.get("bucket")
    if not offers or not isinstance(bucket, int) or not 0 <= bucket < len(BUCKETS):
        return None
    features = np.zeros((len(offers), len(AT)), np.float32)
    for at, offer in enumerate(offers):
        for name, value in (offer.get("features") or {}).items():
            if name in AT:
                features[at, AT[name]] = value
    items = tuple(str(offer.get("item")) for offer in offers)
    return Listed(str(payload.get("surface")), bucket, features, items)


def _clicks(event: Event, listed: Listed, deeds: Mapping[tuple[str, str], Sequence[_Deed]]) -> dict[int, str]:
    """Places that were clicked, each with the event that says so."""
    found: dict[int, str] = {}
    for place, product_id in enumerate(listed.product_ids):
        for deed in deeds.get((str(event.subject_id), product_id), ()):
            is_this = deed.impression_id in (None, event.payload.get("impression_id"))
            if is_this and timedelta(0) <= deed.at - event.occurred_at <= WINDOW:
                found[place] = deed.event_id
                break
    return found


def _key(event_id: str) -> str:
    """Two lists are alike by chance only, and then left out."""
    number = int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest(), "big") % 36**5
    return np.base_repr(number, 36).lower()
