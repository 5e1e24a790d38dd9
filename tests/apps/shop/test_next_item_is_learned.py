"""What this person, rather than another, does next is learned from visits; what everybody does earns nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ikkan.apps.shop.learn import NextItemLearnable
from ikkan.apps.shop.learn.next_item.events import HAPPENED, SHOWN
from ikkan.apps.shop.learn.next_item.outcome import bought_within
from ikkan.apps.shop.learn.next_item.visits import MOST_NEW, STREAM, Did, read_visits
from ikkan.apps.shop.rules.factors import Factors, Stream, best, ndcg
from ikkan.flywheel.contract import Budget, Examples
from ikkan.ground.events import Event

BEGAN = datetime(2026, 6, 1, tzinfo=UTC)


def town(people: int, seed: int = 0) -> list[Did]:
    """Every second person walks through the even things, the others through the odd ones; all meet the same few."""
    rng, did = np.random.default_rng(seed), list[Did]()
    for person in range(people):
        mine = [2 * int(row) + person % 2 for row in rng.permutation(15)[:9]]
        for step, row in enumerate(mine):
            at = BEGAN + timedelta(minutes=37 * person + step)
            did.append(Did(f"p{person}", f"i{row}", at, f"{person}-{step}"))
    return sorted(did, key=lambda each: each.at)


def parted(people: int) -> tuple[Examples, Examples]:
    """Visits of the earlier two thirds of people, and of the others."""
    visits = read_visits(town(people))
    early = np.array([int(unit[1:]) < people * 2 // 3 for unit in visits.unit_ids])
    return visits.take(early), visits.take(~early)


def test_a_visit_asks_with_what_was_done_before_and_its_truth_is_new() -> None:
    at = [BEGAN + timedelta(minutes=minute) for minute in (0, 1, 2, 3, 4, 90)]
    did = [Did("ada", item, when, item) for item, when in zip(["a", "b", "c", "d", "a", "e"], at, strict=True)]
    visits = read_visits(did)
    assert [visit.history for visit in visits.inputs] == [(), ("a", "b", "c"), ("b", "c", "d", "a")]
    assert [then.product_ids for then in visits.truths] == [("a", "b", "c"), ("d",), ("e",)]
    assert len(visits.truths[0].product_ids) == MOST_NEW
    assert visits.known_at[0] == at[2]


def test_people_are_told_apart_by_what_they_did_and_better_than_by_popularity() -> None:
    learnable = NextItemLearnable()
    taught, later = parted(90)
    asked = later.take(np.array([bool(visit.history) for visit in later.inputs]))
    fitted = learnable.train(taught, Budget(), 0)
    popular = learnable.baselines()["popular"](taught, Budget(), 0)
    assert learnable.score(popular, asked).tolist() == [0.5] * len(asked)
    assert learnable.score(fitted, asked).mean() > 0.75
    assert learnable.measured(fitted, asked)["ndcg@10"] > learnable.measured(popular, asked)["ndcg@10"]


def test_shuffled_truths_teach_nothing() -> None:
    learnable = NextItemLearnable()
    taught, later = parted(90)
    asked = later.take(np.array([bool(visit.history) for visit in later.inputs]))
    assert learnable.score(learnable.train(taught.shuffled(1), Budget(), 0), asked).mean() < 0.55


def test_the_same_visits_give_the_same_bytes_whatever_else_happened() -> None:
    learnable = NextItemLearnable()
    taught, _ = parted(30)
    more = read_visits([*town(30), Did("eve", "zzz", BEGAN + timedelta(days=9), "e")])
    same = more.take([more.ids.index(id) for id in taught.ids])
    one, other = learnable.train(taught, Budget(), 0), learnable.train(same, Budget(), 0)
    assert dict(one.files) == dict(other.files)
    assert Factors.load(one.files).files() == dict(one.files)


def test_nothing_known_is_one_half_and_says_nothing() -> None:
    learnable = NextItemLearnable()
    taught, later = parted(12)
    base = learnable.train(taught.take([]), Budget(), 0)
    assert learnable.score(base, later).tolist() == [0.5] * len(later)
    assert {shown.answer for shown in learnable.show(base, later)} == {None}
    assert learnable.score(base, later.take([])).tolist() == []


def test_a_list_is_ranked_over_everything_and_leaves_out_what_was_seen() -> None:
    assert best(np.array([1.0, 5.0, 5.0, 2.0]), np.array([1]), 2) == [2, 3]
    assert ndcg([4, 2], {2, 9}) == pytest.approx(np.log(2) / np.log(3) / (1 + np.log(2) / np.log(3)))
    stream = Stream(("a", "b"), np.array([0, 1, 1]))
    assert Stream.load(stream.files()).meanwhile(3, np.array([0])).tolist() == [0.0, 2.0]
    assert read_visits(town(2)).background.keys() == {STREAM}


def shown(person: str, artifact: str, items: list[str], day: float) -> dict[str, Any]:
    payload = {"artifact": artifact, "impression_id": person, "offers": [{"item": item} for item in items]}
    return {"name": SHOWN, "subject_id": person, "occurred_at": BEGAN + timedelta(days=day), "payload": payload}


def deed(person: str, deed: str, item: str, day: float) -> dict[str, Any]:
    payload = {"deed": deed, "product_id": item}
    return {"name": HAPPENED, "subject_id": person, "occurred_at": BEGAN + timedelta(days=day), "payload": payload}


class Reader:
    """Events up to a moment."""

    def __init__(self, *told: dict[str, Any], until_day: float) -> None:
        self.until = BEGAN + timedelta(days=until_day)
        self._told = [
            Event(id=str(at), version=1, tenant_id="t", recorded_at=each["occurred_at"], purpose="service", **each)
            for at, each in enumerate(told)
        ]

    def read(self, names: Any, **_: Any) -> list[Event]:
        return [event for event in self._told if event.name in names and event.occurred_at < self.until]


def test_purchases_count_within_a_week_and_returns_within_thirty_days() -> None:
    told = [
        shown("ada", "A", ["tea", "cup"], 0), deed("ada", "bought", "cup", 3), deed("ada", "returned", "cup", 20),
        shown("bob", "A", ["tea"], 0), deed("bob", "bought", "tea", 8),
        shown("eve", "B", ["tea"], 0), deed("eve", "bought", "tea", 1),
        shown("fay", "A", ["tea"], 36),
    ]  # fmt: skip
    found = bought_within(Reader(*told, until_day=40), "A", None, declared=True)
    assert dict(zip(found.unit_ids, found.values.tolist(), strict=True)) == {"ada": 1.0, "bob": 0.0}
    assert found.guards["returns"].values[0] == 1.0
    assert np.isnan(found.guards["returns"].values[1])
    early = bought_within(Reader(*told, until_day=25), "A", None, declared=True)
    assert np.isnan(early.guards["returns"].values).all()
    assert bought_within(Reader(*told, until_day=6), "A", None, declared=True).unit_ids == ()


def test_it_is_proved_on_people_who_are_made() -> None:
    world = NextItemLearnable().world(None, quick=True)
    warm, rounds = world.warm_up(0), world.visits(0, 3)
    assert max(warm.known_at) <= min(rounds[0].occurred_at)
    assert max(rounds[0].known_at) < min(rounds[1].occurred_at)
    champion = world.learnable.train(warm, world.budget, 0)
    scores = world.learnable.score(champion, rounds[0])
    said = world.told(rounds[0], scores, np.random.default_rng(0))
    assert 0 < len(said) < len(rounds[0])
    pushed = world.poisoned(said, 1.0, np.random.default_rng(0))
    assert len({then.product_ids for then in pushed.truths}) == 1
    assert len(world.self_labelled(champion, rounds[0])) == len(rounds[0])
