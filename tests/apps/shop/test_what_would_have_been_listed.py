"""What places would have been worth without some events, all variants at once: as when each is reckoned alone."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ikkan.apps.shop.rules.suggest.choose import chosen
from ikkan.apps.shop.rules.suggest.pairs import Pairs
from ikkan.apps.shop.rules.suggest.person import Person
from ikkan.apps.shop.rules.suggest.places import AT, Place, Wanted
from ikkan.apps.shop.rules.suggest.replaying import replayed
from ikkan.apps.shop.rules.suggest.world import RECENT, World
from ikkan.apps.shop.values import Ask, Happened, Ware

NOW = datetime(2026, 5, 6, 20, 0, tzinfo=UTC)
WARES, PEOPLE, TRIED = 120, 60, 20


class Means:
    """A model to which a history is the mean of its wares."""

    def __init__(self) -> None:
        self.item_ids = [f"w{row}" for row in range(WARES)]
        self.vectors = np.random.default_rng(2).normal(size=(WARES, 16)).astype(np.float32)

    def encode(self, rows: Any, kinds: Any = None, ages_s: Any = None) -> np.ndarray:
        return np.asarray(self.vectors[rows].mean(0), np.float32)

    def encode_many(self, histories: Sequence[Any]) -> np.ndarray:
        return np.stack([self.encode(rows) for rows in histories])

    def place(self, attributes: Mapping[str, str]) -> np.ndarray:
        return np.zeros(16, np.float32)


def a_shop(model: Means | None) -> tuple[World, list[Person]]:
    """Somewhat alike wares and people who looked at some of a kind, 1 to 30 each."""
    world, draw = World(NOW - timedelta(days=1)), random.Random(4)
    world.put([
        Ware(f"w{n}", f"thing {n % 17}", f"aisle {n % 5} > shelf {n % 12}", 100 + n, "EUR", NOW - timedelta(days=30),
             brand=f"brand {n % 7}") for n in range(WARES)
    ])  # fmt: skip
    world.use(model, "means")
    people = [Person(f"s{number}") for number in range(PEOPLE)]
    for number, person in enumerate(people):
        for step in range(1 + number // 2):
            row = (number % 12 + 12 * draw.randrange(10)) % WARES if draw.random() < 0.7 else draw.randrange(WARES)
            at = NOW - timedelta(minutes=600 - 10 * step)
            event = Happened(f"e{number}-{step}", "p", "viewed", at, f"w{row}")
            person.happened(event, world.happened(person.subject_id, event))
    return world, people


def plainly(world: World, wanted: Wanted, places: Sequence[Place], kept: np.ndarray) -> np.ndarray:
    """The same by its definition: the features of one variant after another."""
    digest, rows = wanted.digest, [place.row for place in places]
    base = np.array([place.features for place in places])
    near, facets = world.near.of(np.array(rows)), world.shelf.facets.astype(np.float32)
    inside = (base[:, AT["space"]] > 0) & (base[:, AT["space"]] < 1)
    slope = np.polyfit((near @ digest.vector)[inside], base[inside, AT["space"]], 1)[0]
    assert digest.together is not None
    most = max(digest.together[1].max(initial=0.0), 1e-9)

    def together(keep: np.ndarray) -> np.ndarray:
        left = [row for row, is_kept in zip(digest.rows, keep, strict=True) if is_kept]
        counts = dict(zip(*world.visits.scores(left[-RECENT:]), strict=True))
        return np.sqrt(np.minimum([counts.get(row, 0.0) / most for row in rows], 1.0))

    is_of_page = base[:, AT["together"]] > together(np.ones(len(digest.rows), np.bool_)) + 1e-3
    found = []
    for some in kept:
        keep = np.concatenate([np.ones(len(digest.rows) - len(some), np.bool_), some])
        part, weights = base.copy(), digest.weights * keep
        profile = weights @ facets[list(digest.rows)]
        profile /= max(np.linalg.norm(profile), 1e-6)
        vector = profile if world.model is None else world.vectors_of(digest, keep[None], NOW.timestamp())[0]
        part[:, AT["facets"]] = facets[rows] @ profile
        part[:, AT["space"]] += slope * (near @ (vector - digest.vector))
        part[:, AT["together"]] = np.where(is_of_page, base[:, AT["together"]], together(keep))
        found.append(world.ranker.odds(part, digest.bucket))
    return np.array(found)


@pytest.mark.parametrize("model", [None, Means()], ids=["facets", "model"])
@pytest.mark.parametrize("ask", [Ask("p"), Ask("p", surface="similar", product_ids=("w7",))], ids=["home", "similar"])
def test_all_variants_at_once_are_each_variant_alone(model: Means | None, ask: Ask) -> None:
    world, people = a_shop(model)
    draw, moved = np.random.default_rng(3), 0.0
    for person in people[4:]:
        ((wanted, places),) = chosen(world, [(ask, person, None)], NOW)
        count = min(len(wanted.digest.events), TRIED)
        kept = np.vstack([np.ones((1, count), np.bool_), ~np.eye(count, dtype=np.bool_), draw.random((4, count)) < 0.8])
        odds = replayed(world, wanted, places, kept, NOW)
        again = replayed(world, wanted, places, kept, NOW)
        assert odds == pytest.approx(plainly(world, wanted, places, kept), abs=1e-3)
        assert (odds == again).all()
        assert odds[0] == pytest.approx(
            world.ranker.odds(np.array([each.features for each in places]), wanted.digest.bucket), abs=1e-3
        )
        moved = max(moved, float(np.abs(odds - odds[0]).max()))
    assert moved > 0.5


def test_what_goes_with_many_rows_is_what_goes_with_each() -> None:
    pairs, draw = Pairs(0.0), random.Random(6)
    for second in range(9_000):
        pairs.see([int(150 * draw.random() ** 2) for _ in range(4)], int(150 * draw.random() ** 2), float(second))
    rows, others = [draw.randrange(155) for _ in range(24)], [draw.randrange(155) for _ in range(10)]
    alone = [dict(zip(*(part.tolist() for part in pairs.scores([row])), strict=True)) for row in rows]
    among = pairs.among(rows, others)
    assert among == pytest.approx(np.array([[near.get(other, 0.0) for other in others] for near in alone]))
    assert 0 < np.count_nonzero(among) < among.size
    assert pairs.among([], others).shape == (0, 10) and pairs.among(rows, []).shape == (24, 0)
