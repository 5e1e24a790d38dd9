"""One shop as its suggestions see it: everything that is counted, changed by each event and ware, rebuilt at will."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.suggest.exploring import Explorer
from ikkan.apps.shop.rules.suggest.hooks import Encodes
from ikkan.apps.shop.rules.suggest.merchant import Ready, made_ready
from ikkan.apps.shop.rules.suggest.nearest import Nearest
from ikkan.apps.shop.rules.suggest.pairs import Pairs, Together, by_row, strongest
from ikkan.apps.shop.rules.suggest.person import Digest, Person
from ikkan.apps.shop.rules.suggest.popularity import Popularity
from ikkan.apps.shop.rules.suggest.ranker import Ranker, bucket_of
from ikkan.apps.shop.rules.suggest.replenish import Gaps
from ikkan.apps.shop.rules.suggest.shelf import Shelf
from ikkan.apps.shop.values import DEEDS, Happened, MerchantRule, Surface, Ware

POSITIVE: Mapping[str, float] = {"viewed": 1.0, "carted": 2.5, "bought": 2.0}
"""Deeds that say "more like this", and how loudly."""
NEGATIVE = frozenset({"returned", "complained", "disliked"})
RECENT = 12
"""What goes together with so many of the latest wares is looked up."""
ENCODED = 50
"""A model reads so many of the latest events."""
_FADES = 0.85
"""Of an event's weight stays when one more has happened."""
_TRAIL = 4
"""So many wares before this one are counted as going with it."""
_TRAILS = 100_000
_TRAIL_S = 86_400.0
_BASKET_S = 3_600.0
_REMAKE_S = 300.0
_PLACED_MOST, _COMPARED, _BESIDE = 2_000, 20_000, 8
"""Wares that are placed beside others at once, how many of these are looked at, and beside how many."""


class World:
    """Shelf, counts, blend and rules of one shop. Not safe for two threads: whoever owns it holds a lock.

    Args:
        now: when counting begins.
        together: counts what is looked at together; None: our plain one.
    """

    def __init__(self, now: datetime, *, together: Together | None = None) -> None:
        began_s = now.timestamp()
        self.shelf = Shelf()
        self.popular = Popularity(began_s)
        self.visits: Together = together or Pairs(began_s)
        self.purchases = Pairs(began_s)
        self.gaps = Gaps()
        self.ranker = Ranker()
        self.explorer = Explorer()
        self.model: Encodes | None = None
        self.model_name = "none"
        self.near = Nearest(self.shelf.facets.shape[1])
        self._model_row: dict[str, int] = {}
        self._rows_of_model = np.zeros(0, np.int64)
        self._trails: OrderedDict[str, tuple[tuple[int, float], ...]] = OrderedDict()
        self._baskets: OrderedDict[str, tuple[tuple[int, float], ...]] = OrderedDict()
        self._rules: tuple[MerchantRule, ...] = ()
        self._ready: dict[Surface, tuple[datetime, Ready]] = {}
        self.changes = 0
        """Grows when digests of people are no longer true for another reason than their own events."""

    # ---- wares -------------------------------------------------------------------------------------------------------

    def put(self, wares: Sequence[Ware]) -> None:
        """Add or replace wares; the next list may have them."""
        if not wares:
            return
        before = self.shelf.n
        rows = self.shelf.put(wares)
        if self.model is not None:
            self._map_model()
        vectors = self._vectors(wares, rows)
        if len(rows) == self.shelf.n - before:
            self.near.put(before, vectors)
        else:
            for row, vector in zip(rows.tolist(), vectors, strict=True):
                self.near.put(row, vector[None])
        self._ready.clear()

    def remove(self, product_id: str) -> bool:
        """Take a ware away; False where it is not there."""
        self._ready.clear()
        return self.shelf.remove(product_id)

    def use(self, model: Encodes | None, name: str, ranker: Ranker | None = None) -> None:
        """Score with this model and this blend from now on; None: with facets alone, with the defaults."""
        self.ranker = ranker or Ranker()
        name = "none" if model is None else name
        if model is self.model and name == self.model_name:
            return  # only the blend is another: every vector stays where it is
        self.model, self.model_name = model, name
        self._model_row = {} if model is None else {each: row for row, each in enumerate(model.item_ids)}
        shelf = self.shelf
        self.near = Nearest(shelf.facets.shape[1] if model is None else model.vectors.shape[1])
        if model is None:
            self.near.put(0, shelf.facets[: shelf.n])
        else:
            self._rows_of_model = np.zeros(0, np.int64)
            self._map_model()
            known = self._rows_of_model
            vectors = np.zeros((shelf.n, model.vectors.shape[1]), np.float32)
            vectors[known >= 0] = model.vectors[known[known >= 0]]
            for row in np.flatnonzero(known < 0).tolist():
                ware = shelf.wares[row]
                if ware is not None:
                    vectors[row] = model.place(ware.facets)
            self._beside(vectors, np.arange(shelf.n))
            self.near.put(0, vectors)
        self.changes += 1

    # ---- events ------------------------------------------------------------------------------------------------------

    def happened(self, subject: str, event: Happened) -> int | None:
        """Count an event; returns the row it is about, if it is about one."""
        row = None if event.product_id is None else self.shelf.row_of.get(event.product_id)
        if row is None:
            return None
        at_s, deed = event.at.timestamp(), event.deed
        self.popular.add(row, deed, at_s)
        if deed == "bought":
            self.gaps.bought(subject, row, int(self.shelf.category[row]), at_s)
            self._together(self._baskets, self.purchases, subject, row, at_s, _BASKET_S)
        if deed in POSITIVE:
            self._together(self._trails, self.visits, subject, row, at_s, _TRAIL_S)
        return row

    def digest(self, person: Person, now_s: float) -> Digest:
        """What a person's events say; made again only when something changed."""
        known = person.digest
        stamp = (person.version, self.shelf.n, self.changes)
        if known.stamp == stamp and now_s - known.made_at_s < _REMAKE_S:
            return known
        row_of, rows, events, weights, rejected, touched = self.shelf.row_of, [], [], [], [], []
        for event in person.ring.events:
            row = None if event.product_id is None else row_of.get(event.product_id)
            if row is None:
                continue
            touched.append((row, event.deed, event.at.timestamp()))
            if event.deed in NEGATIVE:
                rejected.append(row)
            elif event.deed in POSITIVE:
                rows.append(row)
                events.append(event)
                weights.append(POSITIVE[event.deed])
        gone = set(rejected)
        kept = [at for at, row in enumerate(rows) if row not in gone]
        rows, events = [rows[at] for at in kept], [events[at] for at in kept]
        fade = np.array([weights[at] for at in kept], np.float32) * _FADES ** np.arange(len(rows))[::-1]
        together = by_row(self.visits.scores(rows[-RECENT:])) if rows else None
        made = Digest(
            tuple(rows),
            np.asarray(fade, np.float32),
            tuple(events),
            self.vector_of(rows, fade, events, now_s) if rows else None,
            self._profile(rows, fade),
            tuple(dict.fromkeys(rejected)),
            tuple(touched),
            float(np.median(self.shelf.log_price[rows])) if rows else None,
            bucket_of(len(touched)),
            together,
            np.zeros(0, np.int64) if together is None else strongest(together),
            now_s,
            stamp,
        )
        person.digest = made
        return made

    def vector_of(
        self, rows: Sequence[int], weights: NDArray[Any], events: Sequence[Happened], now_s: float
    ) -> NDArray[np.float32] | None:
        """A history as a vector of the space."""
        if self.model is None:
            return self._profile(rows, weights)
        latest = [(self._rows_of_model[row], event) for row, event in zip(rows, events, strict=True)]
        told = [(int(row), event) for row, event in latest[-ENCODED:] if row >= 0]
        if not told:
            # Only wares the model never saw: where they were placed says what it can say.
            vector = np.asarray(weights, np.float32) @ self.near.of(np.asarray(rows))
            return np.asarray(vector / max(float(np.asarray(weights).sum()), 1e-6), np.float32)
        return self.model.encode(
            np.array([row for row, _ in told], np.int32),
            np.array([1 + DEEDS.index(event.deed) for _, event in told], np.int8),  # 0 is any
            np.array([max(0.0, now_s - event.at.timestamp()) for _, event in told], np.float32),
        )

    def vectors_of(self, digest: Digest, keeps: NDArray[np.bool_], now_s: float) -> NDArray[np.float32]:
        """The history of a digest with some events left out, each variant as a vector, in one batch."""
        assert self.model is not None
        known = self._rows_of_model[list(digest.rows)]
        told = [known[keep & (known >= 0)][-ENCODED:].astype(np.int32) for keep in keeps]
        made = np.zeros((len(keeps), self.near.size), np.float32)
        some = [at for at, rows in enumerate(told) if len(rows)]
        if some:
            made[some] = self.model.encode_many([told[at] for at in some])
        return made

    # ---- rules -------------------------------------------------------------------------------------------------------

    @property
    def rules(self) -> tuple[MerchantRule, ...]:
        return self._rules

    def follow(self, rules: Sequence[MerchantRule]) -> None:
        """Keep to these rules from now on."""
        self._rules = tuple(rules)
        self._ready.clear()

    def ready(self, surface: Surface, now: datetime) -> Ready:
        """The rules of a surface, as rows; read anew every minute, for rules that end."""
        kept = self._ready.get(surface)
        if kept is None or not kept[0] <= now < kept[0] + timedelta(minutes=1):
            kept = now, made_ready(self._rules, self.shelf, surface, now)
            self._ready[surface] = kept
        return kept[1]

    # ---- private -----------------------------------------------------------------------------------------------------

    def _vectors(self, wares: Sequence[Ware], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        model = self.model
        if model is None:
            return self.shelf.facets[rows]
        made = np.zeros((len(wares), model.vectors.shape[1]), np.float32)
        for at, ware in enumerate(wares):
            known = self._model_row.get(ware.product_id)
            made[at] = model.vectors[known] if known is not None else model.place(ware.facets)
        self._beside(made, rows)
        return made

    def _beside(self, vectors: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        """Where a model says nothing of a ware, it lies among those the model knows that are likest by their facets."""
        silent = np.flatnonzero(~vectors.any(1))[:_PLACED_MOST]
        known = np.flatnonzero(self._rows_of_model >= 0)
        if not len(silent) or not len(known) or self.model is None:
            return
        some = known[:: 1 + len(known) // _COMPARED]
        facets = self.shelf.facets
        likeness = facets[rows[silent]] @ facets[some].T
        near = np.argpartition(-likeness, min(_BESIDE, len(some) - 1), axis=1)[:, :_BESIDE]
        weights = np.maximum(np.take_along_axis(likeness, near, 1), 1e-3) ** 4
        theirs = self.model.vectors[self._rows_of_model[some[near]]]
        vectors[silent] = (weights[..., None] * theirs).sum(1) / weights.sum(1, keepdims=True)

    def _map_model(self) -> None:
        known = len(self._rows_of_model)
        if known > self.shelf.n or not known:
            known = 0
        late = list(self.shelf.row_of)[known:] if known else list(self.shelf.row_of)
        rows = np.array([self._model_row.get(each, -1) for each in late], np.int64)
        self._rows_of_model = np.concatenate([self._rows_of_model[:known], rows])

    def _profile(self, rows: Sequence[int], weights: NDArray[Any]) -> NDArray[np.float32] | None:
        if not len(rows):
            return None
        vector = np.asarray(weights, np.float32) @ self.shelf.facets[np.asarray(rows)]
        norm = float(np.linalg.norm(vector))
        return None if norm < 1e-6 else np.asarray(vector / norm, np.float32)

    def _together(
        self,
        trails: OrderedDict[str, tuple[tuple[int, float], ...]],
        counts: Together,
        subject: str,
        row: int,
        at_s: float,
        within_s: float,
    ) -> None:
        trail = trails.get(subject, ())
        before = [other for other, when in trail if abs(at_s - when) <= within_s]
        if before:
            counts.see(before, row, at_s)
        trails[subject] = (*trail[1 - _TRAIL :], (row, at_s))
        trails.move_to_end(subject)
        if len(trails) > _TRAILS:
            trails.popitem(last=False)
