"""What a list would have been worth had some events never happened: all variants at once.

What a place owes to others' deeds, the shelf or the page stays as it was; what it owes to the person's own events is
reckoned again without those that are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.suggest.places import Place, Wanted
from ikkan.apps.shop.rules.suggest.ranker import FEATURES
from ikkan.apps.shop.rules.suggest.world import RECENT, World

Float32 = NDArray[np.float32]
_AT = {name: at for at, name in enumerate(FEATURES)}


def replayed(world: World, wanted: Wanted, places: Sequence[Place], kept: NDArray[np.bool_], now: datetime) -> Float32:
    """The log-odds of each place were only some of the latest events told: `(variants, events)` → `(variants, places)`.

    Events before those are always kept.
    """
    digest = wanted.digest
    if not places or not digest.rows:
        return np.zeros((len(kept), len(places)), np.float32)
    rows = np.array([place.row for place in places], np.int64)
    base = np.array([place.features for place in places])
    early = len(digest.rows) - kept.shape[1]
    keeps = np.concatenate([np.ones((len(kept), early), np.bool_), kept], axis=1)
    weights = keeps * digest.weights
    part = np.repeat(base[None], len(kept), axis=0)
    facets = world.shelf.facets
    profiles = _unit(weights @ facets[list(digest.rows)].astype(np.float32))
    part[:, :, _AT["facets"]] = profiles @ facets[rows].astype(np.float32).T
    if digest.vector is not None:
        vectors = profiles if world.model is None else _encoded(world, wanted, keeps, now)
        own = world.near.of(rows)
        was = own @ digest.vector
        part[:, :, _AT["space"]] += (vectors @ own.T - was) * _slope(was, base[:, _AT["space"]])
    if digest.together is not None and len(digest.together[1]):
        found = _together(world, digest.rows, rows, keeps) / max(float(digest.together[1].max()), 1e-9)
        alone = np.sqrt(np.minimum(found, 1.0))
        # On other pages the page itself may say more than the person's events.
        by_page = base[:, _AT["together"]] > alone[keeps.all(1).argmax()] + 1e-3
        part[:, :, _AT["together"]] = np.where(by_page, base[:, _AT["together"]], alone)
    return np.asarray(world.ranker.odds(part, wanted.digest.bucket), np.float32)


def _encoded(world: World, wanted: Wanted, keeps: NDArray[np.bool_], now: datetime) -> Float32:
    """Each variant as a vector; the model is asked once for those it was not asked for since the last event."""
    digest = wanted.digest
    missing = [row for row in keeps if row.tobytes() not in digest.memo]
    if missing:
        made = world.vectors_of(digest, np.array(missing), now.timestamp())
        for row, vector in zip(missing, made, strict=True):
            digest.memo[row.tobytes()] = vector
    return np.stack([digest.memo[row.tobytes()] for row in keeps])


def _together(world: World, events: Sequence[int], rows: NDArray[np.int64], keeps: NDArray[np.bool_]) -> Float32:
    """What goes with the kept events: each variant's latest `RECENT`, the latest counting most."""
    latest = list(events[-2 * RECENT :])
    keeps = keeps[:, -len(latest) :]
    rank = keeps[:, ::-1].cumsum(1)[:, ::-1]  # 1 for the latest that is kept
    counts = keeps & (rank <= RECENT)
    weights = np.where(counts, world.visits.fade ** (rank - 1.0), 0.0).astype(np.float32)
    return np.asarray(weights @ world.visits.among(latest, rows.tolist()), np.float32)


def _slope(products: Float32, features: Float32) -> float:
    """By how much the feature grows with the product, read from the list itself."""
    inside = (features > 0.0) & (features < 1.0)
    if int(inside.sum()) >= 2 and float(products[inside].max() - products[inside].min()) > 1e-6:
        x, y = products[inside] - products[inside].mean(), features[inside] - features[inside].mean()
        return float(x @ y / (x @ x))
    return 1.0 / max(4.0 * float(products.std()), 1e-3)


def _unit(vectors: Float32) -> Float32:
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    return np.asarray(vectors / np.maximum(norms, 1e-6), np.float32)
