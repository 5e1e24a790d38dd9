"""A shop with enough visits trains the encoder, the gate compares it, and lists are made by it from then on."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ikkan.apps.shop.learn.next_item import rung, training
from ikkan.apps.shop.learn.next_item.dial import Dial
from ikkan.apps.shop.learn.next_item.learnable import NextItemLearnable
from ikkan.apps.shop.learn.next_item.rung import EncoderRung
from ikkan.apps.shop.learn.next_item.visits import Did, read_visits
from ikkan.apps.shop.rules.factors import Factors
from ikkan.apps.shop.rules.next_item import NextItem
from ikkan.apps.shop.rules.next_item.kinds import likes, model_in
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.suggesting.serving import NEXT_ITEM, Champion
from ikkan.apps.shop.values import Ask, Happened
from ikkan.flywheel import Flywheel
from ikkan.flywheel.contract import Budget, Examples
from ikkan.flywheel.values import Decision
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.models.registry import Registry

from .conftest import Suggester, a_ware, suggester
from .test_next_item_is_learned import parted

BEGAN = datetime(2026, 6, 1, tzinfo=UTC)
ORDERS = list(itertools.permutations(range(3)))
WARES = 3 + 3 * len(ORDERS)
SMALL = EncoderRung(Dial(size=1), fewest=100, least_s=30.0)
LIGHT, LONG = Budget(seconds=20.0), Budget(seconds=900.0)


def walk(order: int) -> tuple[int, ...]:
    """Everybody looks at the same three things first; in which order decides which three they want then."""
    return (*ORDERS[order], *range(3 + 3 * order, 6 + 3 * order))


def walks(people: range) -> Iterator[tuple[int, int, int]]:
    for person in people:
        order = int(np.random.default_rng(person).integers(len(ORDERS)))
        yield from ((person, step, row) for step, row in enumerate(walk(order)))


def visits(people: int) -> Examples:
    return read_visits(
        Did(f"p{person}", f"w{row}", BEGAN + timedelta(minutes=20 * person + step), f"{person}-{step}")
        for person, step, row in walks(range(people))
    )


@dataclass(frozen=True)
class House:
    """A shop and its wheel."""

    shop: Suggester
    wheel: Flywheel
    artifacts: ArtifactStore
    clock: FakeClock

    def come(self, people: range) -> None:
        """These people walk through the shop, one after another."""
        began = self.clock.now()
        self.clock.advance(20 * 60 * len(people))
        self.shop.tell(SHOP, [
            Happened(f"{person}-{step}", f"p{person}", "viewed",
                     began + timedelta(minutes=20 * (person - people.start) + step), f"w{row}")
            for person, step, row in walks(people)
        ])  # fmt: skip
        self.shop.flush()
        self.clock.advance(1)

    def turned(self, *, thorough: bool = False) -> Decision:
        """What a turn came to; whoever was promoted makes the lists."""
        decision = self.wheel.run(NEXT_ITEM, thorough=thorough)
        self.shop._ask_for_model(now=True)  # as it does every two seconds, aside
        return decision

    def shown_after(self, person: str, *rows: int) -> list[str]:
        """What is shown to somebody who looked at these, the likeliest first."""
        self.shop.did(person, "viewed", *(f"w{row}" for row in rows))
        return self.shop.ids(person, n=3)


@pytest.fixture
def house(here: Database, clock: FakeClock, tmp_path: Path) -> Iterator[House]:
    registry, artifacts = Registry(here, clock), ArtifactStore(tmp_path / "artifacts")
    shop = suggester(here, clock, tmp_path, models=Champion(registry, artifacts))
    shop.put_wares(SHOP, [a_ware(number, category="All", brand="", seller="") for number in range(WARES)])
    learnable = NextItemLearnable(tenant_id=SHOP, above=SMALL)
    events = EventLog(here, clock, Keys.open(tmp_path / "keys")).reader()
    yield House(shop, Flywheel(here, events, registry, artifacts, [learnable], clock), artifacts, clock)
    shop.flush()


def test_the_encoder_is_trained_judged_and_serves(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.come(range(60))
    with monkeypatch.context() as without:
        without.setattr(rung, "find_spec", lambda name: None)
        light = house.turned(thorough=True)
    assert light.judged is not None and light.numbers["budget_s"] == LONG.seconds
    house.wheel.promote(NEXT_ITEM, light.judged, "the first of this shop", who="test")
    house.come(range(60, 260))
    decision = house.turned(thorough=True)
    assert (decision.decision, decision.code) == ("promoted", "better")
    assert decision.champion == light.judged and decision.candidate is not None
    made = house.artifacts.get(decision.candidate)
    assert {"next_item.json", "next_item.npz"} == set(made.manifest.files)
    assert made.manifest.facts["held"]["encoder"] > made.manifest.facts["held"]["light"]
    listed = [house.shown_after(f"guest {order}", *ORDERS[order]) for order in range(len(ORDERS))]
    wanted = [{f"w{row}" for row in walk(order)[3:]} for order in range(len(ORDERS))]
    assert sum(set(shown) == those for shown, those in zip(listed, wanted, strict=True)) >= 5
    assert house.shop.suggest(SHOP, Ask("guest 0")).model == decision.candidate


def test_a_turn_is_thorough_once_a_day_or_when_asked_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rung, "find_spec", lambda name: None)
    house.come(range(70))
    budgets = [house.turned().numbers["budget_s"]]
    house.come(range(70, 75))
    budgets.append(house.turned().numbers["budget_s"])
    house.come(range(75, 80))
    budgets.append(house.turned(thorough=True).numbers["budget_s"])
    house.come(range(80, 85))
    house.clock.advance(86_400)
    budgets.append(house.turned().numbers["budget_s"])
    light, long = NextItemLearnable.budget.seconds, LONG.seconds
    assert budgets == [long, light, long, long]


def test_one_seed_is_one_model_and_every_way_to_ask_it_agrees() -> None:
    learnable, examples = NextItemLearnable(above=SMALL), visits(120)
    one, other = (learnable.train(examples, LONG, 3) for _ in range(2))
    assert dict(one.files) == dict(other.files) and one.facts == other.facts
    model = model_in(one.files)
    assert isinstance(model, NextItem) and model.item_ids == tuple(sorted(f"w{row}" for row in range(WARES)))
    history = [f"w{row}" for row in ORDERS[2]]
    liked = next(likes(model, model.item_ids, [history]))
    own = model.vectors @ model.encode(np.array([model.item_ids.index(item) for item in history]))
    assert np.allclose(liked, own, atol=1e-5)
    asked = examples.take(np.array([bool(visit.history) for visit in examples.inputs]))
    assert learnable.score(one, asked).mean() > 0.8
    top = learnable.likeliest(one, asked.take([0]))[0]
    assert set(top) == set(asked.truths[0].product_ids)
    assert learnable.show(one, asked.take([0]))[0].answer == ", ".join(top)


def test_shuffled_truths_teach_the_encoder_nothing() -> None:
    taught, later = parted(150)
    found = [
        training.follow(rung.followed(each), settings=SMALL.settings, seed=0, longest=50, epochs=10).model
        for each in (taught, taught.shuffled(1))
    ]
    told = [rung.Exam(later)(model) for model in found]
    assert told[0] > 0.7 and told[1] < 0.56


@pytest.mark.parametrize(
    ("above", "budget", "has_torch"),
    [
        (SMALL, LONG, False),
        (SMALL, LIGHT, True),
        (EncoderRung(), LONG, True),
        (dataclasses.replace(SMALL, settings=Dial(size=60)), LONG, True),
    ],
    ids=["without torch", "in a light turn", "from few visits", "where there is no time for so large a model"],
)
def test_otherwise_the_light_model_is_what_it_was(
    above: EncoderRung, budget: Budget, has_torch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rung, "find_spec", lambda name: object() if has_torch else None)
    monkeypatch.setattr(training, "follow", None)  # whoever calls it fails
    found = NextItemLearnable(above=above).train(visits(120), budget, 0)
    plain = NextItemLearnable(above=EncoderRung(least_s=math.inf)).train(visits(120), budget, 0)
    assert dict(found.files) == dict(plain.files) and found.facts == plain.facts
    assert isinstance(model_in(found.files), Factors)


def test_the_light_model_stays_where_the_encoder_tells_people_apart_no_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rung.Exam, "__call__", lambda exam, model: 0.7)
    found = NextItemLearnable(above=SMALL).train(visits(120), LONG, 0)
    assert isinstance(model_in(found.files), Factors)


def test_what_is_learned_is_answers_and_never_what_came_within_a_history() -> None:
    data = rung.followed(visits(40))
    assert {data.ids[row] for each in data.answers or () for row in each.rows} == {f"w{row}" for row in range(3, WARES)}
    assert {len(each) for each in data.rows} == {3}


def test_where_there_is_less_time_the_latest_visits_teach() -> None:
    examples = visits(200)
    whole = SMALL.seconds(examples)
    tight = dataclasses.replace(SMALL, least_s=0.0)
    assert tight.in_time(examples, whole) is not None
    some = tight.in_time(examples, 0.6 * whole)
    assert some is not None and some.ids == examples.ids[-len(some) :] and len(some) == int(0.6 * len(examples))
    assert tight.in_time(examples, 0.1 * whole) is None
