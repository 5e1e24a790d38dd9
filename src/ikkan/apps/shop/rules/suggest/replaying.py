"""What a list would have been worth had some events never happened: all variants at once.

What a place owes to others' deeds, the shelf or the page stays as it was; what it owes to the person's own events is
reckoned again without those that are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.rules.suggest.person import Digest
from ikkan.apps.shop.rules.suggest.places import AT, Place, Wanted
from ikkan.apps.shop.rules.suggest.world import RECENT, World

Float32 = NDArray[np.float32]


def replayed(world: World, wanted: Wanted, places: Sequence[Place], kept: NDArray[np.bool_], now: datetime) -> Float32:
    """The log-odds of each place were only some of the latest events told: `(variants, events)` → `(variants, places)`.

    Events before those are always kept. Log-odds are linear in the features, so only what a variant changes is added.
    """
    digest, model = wanted.digest, world.model
    if not places or not digest.rows:
        return np.zeros((len(kept), len(places)), np.float32)
    rows = [place.row for place in places]
    features = np.array([place.features for place in places])
    worth = world.ranker.weights[digest.bucket, 1:].tolist()
    early = len(digest.rows) - kept.shape[1]
    keeps = np.concatenate([np.ones((len(kept), early), np.bool_), kept], axis=1) if early else kept
    near = world.near.of(np.array(rows))
    facets = near if model is None else world.shelf.facets[rows]
    alike = _profiles(world, digest, keeps) @ facets.T
    by_facets, by_space = worth[AT["facets"]], 0.0
    same = world.ranker.odds(features, digest.bucket) - by_facets * features[:, AT["facets"]]
    if digest.vector is not None:
        was = near @ digest.vector
        by_space = worth[AT["space"]] * _slope(was, features[:, AT["space"]])
        same -= by_space * was
    if model is None:  # the space is that of facets
        odds = alike * (by_facets + by_space)
    elif digest.vector is None:
        odds = alike * by_facets
    else:
        odds = alike * by_facets + by_space * (_encoded(world, wanted, keeps, now) @ near.T)
    if digest.together is not None and len(digest.together[1]):
        most = max(float(digest.together[1].max()), 1e-9)
        alone = np.sqrt(np.minimum(_together(world, digest.rows, rows, keeps) / most, 1.0))
        told = features[:, AT["together"]]
        # On other pages the page itself may say more than the person's events.
        by_together = worth[AT["together"]] * (told <= alone[keeps.all(1).argmax()] + 1e-3)
        same -= by_together * told
        odds += by_together * alone
    return np.asarray(odds + same, np.float32)


def _profiles(world: World, digest: Digest, keeps: NDArray[np.bool_]) -> Float32:
    """Each variant in the space of facets; made once an event, for a page is often loaded again."""
    key = b"facets" + keeps.tobytes()
    made = digest.memo.get(key)
    if made is None:
        vectors = (keeps * digest.weights) @ world.shelf.facets[list(digest.rows)]
        norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
        made = digest.memo[key] = np.asarray(vectors / np.maximum(norms, 1e-6), np.float32)
    return made


def _encoded(world: World, wanted: Wanted, keeps: NDArray[np.bool_], now: datetime) -> Float32:
    """Each variant as a vector; the model is asked once for those it was not asked for since the last event."""
    digest = wanted.digest
    missing = [row for row in keeps if row.tobytes() not in digest.memo]
    if missing:
        made = world.vectors_of(digest, np.array(missing), now.timestamp())
        for row, vector in zip(missing, made, strict=True):
            digest.memo[row.tobytes()] = vector
    return np.stack([digest.memo[row.tobytes()] for row in keeps])


def _together(world: World, events: Sequence[int], rows: Sequence[int], keeps: NDArray[np.bool_]) -> Float32:
    """What goes with the kept events: each variant's latest `RECENT`, the latest counting most."""
    weights = _weights(keeps[:, -2 * RECENT :].tobytes(), len(keeps), world.visits.fade)
    latest = events[len(events) - weights.shape[1] :]
    return np.asarray(weights @ world.visits.among(latest, rows), np.float32)


@lru_cache(maxsize=128)
def _weights(kept: bytes, variants: int, fade: float) -> Float32:
    """What each event counts in each variant, without those that count in none; one of a few for all people."""
    keeps = np.frombuffer(kept, np.bool_).reshape(variants, -1)
    rank = keeps[:, ::-1].cumsum(1)[:, ::-1]  # 1 for the latest that is kept
    weights = np.where(keeps & (rank <= RECENT), fade ** (rank - 1.0), 0.0).astype(np.float32)
    return weights[:, int(weights.any(0).argmax()) :]


def _slope(products: Float32, features: Float32) -> float:
    """By how much the feature grows with the product, read from the list itself: between 0 and 1 it is a line."""
    inside = [each for each in zip(products.tolist(), features.tolist(), strict=True) if 0.0 < each[1] < 1.0]
    if inside:
        (least, low), (most, high) = min(inside), max(inside)
        if most - least > 1e-6:
            return float((high - low) / (most - least))
    return 1.0 / max(4.0 * float(products.std()), 1e-3)
