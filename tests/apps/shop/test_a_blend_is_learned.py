"""How much each thing counts in a list is learned from what is clicked, proved on later lists, served, taken back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ikkan.apps.shop import store
from ikkan.apps.shop.learn import BlendLearnable
from ikkan.apps.shop.learn.blend.learnable import KIND, NAME
from ikkan.apps.shop.learn.blend.lists import WINDOW, Clicked, Listed
from ikkan.apps.shop.learn.next_item.events import HAPPENED, SHOWN
from ikkan.apps.shop.rules.suggest.ranker import FEATURES, Ranker
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.suggesting.serving import BLEND, Champion
from ikkan.apps.shop.values import Ask, Calibration, Happened, Suggestions
from ikkan.flywheel import Flywheel
from ikkan.flywheel.contract import Budget, Examples, Fitted
from ikkan.flywheel.erasure import Eraser, ReceiptKey
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadFile
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.events import Event
from ikkan.ground.ids import EventId
from ikkan.models.registry import Registry

from .conftest import LEAVES, Suggester, a_ware, pseudonym

BEGAN = datetime(2026, 6, 1, tzinfo=UTC)
PEOPLE, N = 140, 8
Chance = Callable[[int, str, int], float]
"""Of a click: by person, category of the ware, place from 0."""


def by_taste(person: int, category: str, place: int) -> float:
    """Everybody wants one category, whatever is popular; the further down, the less is looked at."""
    return (0.75 if category == LEAVES[person % 4] else 0.02) / math.sqrt(1 + place)


def by_luck(person: int, category: str, place: int) -> float:
    """Nobody looks at what it is."""
    return 0.25 / math.sqrt(1 + place)


@dataclass
class Town:
    """A shop, its people, and the wheel over both."""

    service: Suggester
    clock: FakeClock
    flywheel: Flywheel
    eraser: Eraser
    registry: Registry
    artifacts: ArtifactStore
    rng: np.random.Generator
    days: int = 0

    def live(self, days: int, chance: Chance) -> None:
        """Everybody comes once a day, is shown a list, and clicks."""
        clock = self.clock
        for _ in range(days):
            self.days += 1
            asks = [Ask(f"p{person}", n=N) for person in range(PEOPLE)]
            lists = self.service.suggest_many(SHOP, asks, reasons=False)
            self.service.flush()
            clock.advance(60)
            clicks = [
                Happened(f"{made.impression_id}-{place.position}", made.person, "viewed", clock.now(),
                         place.ware.product_id, impression_id=made.impression_id)
                for person, made in enumerate(lists) for place in made.places
                if self.rng.random() < chance(person, place.ware.category, place.position)
            ]  # fmt: skip
            self.service.tell(SHOP, [*clicks, *self._crowd()])
            self.service.flush()
            clock.advance(timedelta(days=1).total_seconds())

    def _crowd(self) -> list[Happened]:
        """Who comes for the same few things every day, and sees no list."""
        now = self.clock.now()
        return [
            Happened(f"crowd-{self.days}-{each}", f"c{self.days}-{each}", "bought", now, f"w{each % 12}")
            for each in range(60)
        ]

    def turn(self) -> Any:
        """Turn the wheel, and let the shop see what came of it."""
        decision = self.flywheel.run(NAME)
        self.look()
        return decision

    def look(self) -> None:
        self.service._ask_for_model(now=True)

    @property
    def ranker(self) -> Ranker:
        """What serves now."""
        return self.service._shops[SHOP].world.ranker

    def calibration(self, days: int) -> Calibration:
        found = self.service.report(SHOP, self.clock.now() - timedelta(days=days)).calibration
        assert found is not None
        return found


@pytest.fixture
def town(here: Database, clock: FakeClock, tmp_path: Path) -> Town:
    log = EventLog(here, clock, Keys.open(tmp_path / "keys"))
    registry, artifacts = Registry(here, clock), ArtifactStore(tmp_path / "artifacts")
    service = Suggester(here, clock, events=log, pseudonym=pseudonym, models=Champion(registry, artifacts))
    service.put_wares(SHOP, [a_ware(number) for number in range(160)])
    learnables = [BlendLearnable()]
    flywheel = Flywheel(here, log.reader(), registry, artifacts, learnables, clock, log=log)
    eraser = Eraser(
        here, log, flywheel.reads, registry, artifacts, learnables, clock, ReceiptKey.open(tmp_path / "keys"),
        forget=lambda connection, tenant_id, subject_id: {"shop": service.erase(connection, tenant_id, subject_id)},
        record=flywheel.record,
    )  # fmt: skip
    return Town(service, clock, flywheel, eraser, registry, artifacts, np.random.default_rng(5))


def test_what_is_clicked_is_learned_and_serves_until_it_is_taken_back(town: Town) -> None:
    town.service.shelf(SHOP)
    default = town.flywheel.ensure_champion(NAME)
    town.live(8, by_taste)
    before, asks = town.calibration(4), [Ask(f"p{person}", n=N, is_test=True) for person in range(PEOPLE)]
    lists = town.service.suggest_many(SHOP, asks, reasons=False)
    decision = town.turn()
    assert (decision.decision, decision.code) == ("promoted", "better")
    assert {name: each["lower"] > 0 for name, each in decision.numbers["baselines"].items()} == {
        "default": True, "place": True,
    }  # fmt: skip
    popular, facets = (1 + FEATURES.index(name) for name in ("popular", "facets"))
    learned, usual = town.ranker.weights[3], Ranker().weights[3]
    assert learned[popular] < usual[popular] and learned[facets] > usual[facets]
    assert town.ranker.fades[3] > 0.3, "the first place is looked at most"
    again = town.service.suggest_many(SHOP, asks, reasons=False)
    assert sum(ids(one) != ids(other) for one, other in zip(lists, again, strict=True)) > PEOPLE / 2
    assert wanted(again) > wanted(lists)
    town.live(4, by_taste)
    assert before.error > 0.15 and town.calibration(4).error < 0.05
    town.flywheel.rollback(NAME)
    town.look()
    assert town.registry.alias(NAME) == default
    assert (town.ranker.weights == Ranker().weights).all() and not town.ranker.fades.any()


def test_clicks_of_luck_promote_nothing_however_wrong_the_defaults_are(town: Town) -> None:
    town.service.shelf(SHOP)
    town.live(8, by_luck)
    decision = town.turn()
    assert (decision.decision, decision.code) == ("refused", "trivial_is_as_good")
    assert decision.gain > 0.1, "the defaults say the chance wrong, and that alone is no reason"
    assert (town.ranker.weights == Ranker().weights).all()


def test_shuffled_clicks_teach_nothing_and_an_erased_person_is_in_no_weight(town: Town) -> None:
    town.service.shelf(SHOP)
    town.live(8, by_taste)
    assert town.flywheel.run(NAME, shuffle=True).code == "trivial_is_as_good"
    assert town.turn().decision == "promoted"
    learnable = BlendLearnable()
    known, until = town.registry.alias(NAME), town.clock.now()
    everybody = learnable.examples(town.flywheel.reads(learnable), until)
    ada = pseudonym(SHOP, "p0")
    others = everybody.take(np.array([unit != ada for unit in everybody.unit_ids]))
    assert 0 < len(others) < len(everybody)
    town.eraser.run(town.eraser.begin(SHOP, ada).id)
    left = learnable.examples(town.flywheel.reads(learnable), until)
    assert left.ids == others.ids
    now = town.registry.alias(NAME)
    assert now is not None and now != known
    without = learnable.train(others, Budget(), 0)
    assert Fitted.read(town.artifacts.get(now)).files == without.files
    town.look()
    assert (town.ranker.weights == Ranker.from_files(without.files).weights).all()


def ids(made: Suggestions) -> list[str]:
    return [place.ware.product_id for place in made.places]


def wanted(lists: Sequence[Suggestions]) -> float:
    """Clicks a list, were these shown."""
    chances = [
        by_taste(at, place.ware.category, place.position) for at, made in enumerate(lists) for place in made.places
    ]
    return sum(chances) / len(lists)


# ---- parts -----------------------------------------------------------------------------------------------------------


class Reader:
    """Events as they were recorded."""

    def __init__(self, *told: Event) -> None:
        self._told = told

    def read(
        self, names: Sequence[str], *, since: datetime | None = None, until: datetime | None = None, **_: Any
    ) -> Iterator[Event]:
        assert since is not None and until is not None
        return (each for each in self._told if each.name in names and since <= each.recorded_at < until)


def event(name: str, who: str | None, at_s: float, payload: dict[str, Any]) -> Event:
    at, subject_id = BEGAN + timedelta(seconds=at_s), None if who is None else pseudonym(SHOP, who)
    return Event(EventId(f"{name}-{who}-{at_s}"), name, 1, SHOP, subject_id, at, at, "service", payload)


def shown(who: str | None, at_s: float, *items: str, **more: Any) -> Event:
    offers = [{"item": item, "features": {"popular": 0.5, "no such": 1.0}} for item in items]
    told = {"impression_id": f"list-{who}-{at_s}", "surface": "home", "bucket": 1, "offers": offers}
    return event(SHOWN, who, at_s, {**told, **more})


def deed(who: str, at_s: float, item: str, deed: str = "viewed", of: str | None = None) -> Event:
    return event(HAPPENED, who, at_s, {"deed": deed, "product_id": item, "impression_id": of})


def test_a_click_counts_for_whom_it_was_shown_to_within_half_an_hour() -> None:
    told = [
        shown("ada", 0, "tea", "cup", "pot", "jar"),
        deed("ada", 60, "cup"),
        deed("ada", 90, "pot", "bought", of="list-ada-0"),
        deed("ada", 95, "tea", "disliked", of="list-ada-0"),
        deed("ada", WINDOW.total_seconds() + 1, "jar", of="list-ada-0"),
        shown("bob", 0, "tea", "cup"),
        deed("bob", 60, "tea", of="list-ada-0"),
        shown("eve", 0, "tea", bucket=None),
        shown(None, 0, "tea"),
    ]
    learnable = BlendLearnable()
    found = learnable.examples(Reader(*told), BEGAN + 2 * WINDOW)
    assert dict(zip(found.unit_ids, found.truths, strict=True)) == {
        pseudonym(SHOP, "ada"): Clicked((1, 2)),
        pseudonym(SHOP, "bob"): Clicked(()),
    }
    assert found.known_at[0] == BEGAN + WINDOW and found.inputs[0].bucket == 1
    assert found.inputs[0].features[0].nonzero()[0].tolist() == [FEATURES.index("popular")]
    assert [len(each) for each in found.evidence] == [3, 1]
    (ada, bob) = learnable.show(learnable.train(found.take([]), Budget(), 0), found)
    assert (ada.question, ada.right, bob.right) == ("home: tea, cup, pot", "cup, pot", "–")
    assert len(learnable.examples(Reader(*told), BEGAN + WINDOW / 2)) == 0, "more may come of it"
    assert len(learnable.examples(Reader(*told), BEGAN + timedelta(days=61))) == 0, "too long ago"


def test_a_list_is_logged_with_the_history_it_was_made_from_and_what_was_expected(town: Town, clock: FakeClock) -> None:
    town.service.shelf(SHOP)
    town.service._shops[SHOP].world.ranker = Ranker(fades=np.ones(4))
    town.service.did("ada", "viewed", "w1", "w2", "w3")
    made = town.service.suggest(SHOP, Ask("ada", n=4))
    town.service.flush()
    clock.advance(3_600)
    learnable = BlendLearnable()
    found = learnable.examples(town.flywheel.reads(learnable), clock.now())
    assert found.inputs[0].bucket == 2 and list(found.inputs[0].product_ids) == ids(made)
    serves = Ranker(fades=np.ones(4))
    odds = serves.odds(found.inputs[0].features, 2)
    assert np.allclose(1 / (1 + np.exp(-odds)), [place.score for place in made.places], atol=1e-3), "as served"
    with town.service.database.read() as connection:
        (kept,) = store.behaviour.shown_between(connection, SHOP, made.made_at, clock.now(), 9)
    expected = [chance for _, _, chance, _ in kept.places]
    assert expected == pytest.approx(serves.expected([place.score for place in made.places], 2), abs=1e-6)


def listed(rng: np.random.Generator, count: int, places: int, weight: float, fade: float) -> Examples:
    """Lists that put what is wanted first, clicked as said."""
    features = rng.random((count, places, len(FEATURES))).astype(np.float32)
    features[:, :, 0] = -np.sort(-features[:, :, 0], axis=1)
    odds = -2.0 + weight * features[:, :, 0] - fade * np.log(1.0 + np.arange(places))
    clicked = rng.random((count, places)) < 1 / (1 + np.exp(-odds))
    names = tuple(f"e{at}" for at in range(count))
    moments = tuple(BEGAN + timedelta(minutes=at) for at in range(count))
    items = tuple(f"w{at}" for at in range(places))
    truths = tuple(Clicked(tuple(np.flatnonzero(each).tolist())) for each in clicked)
    return Examples(
        names, names, moments, moments, ("home",) * count, names,
        tuple(Listed("home", 3, each, items) for each in features), truths,
        np.ones(count, np.bool_), np.ones(count, np.bool_), tuple((name,) for name in names),
    )  # fmt: skip


def test_what_the_place_does_is_told_from_what_stands_there() -> None:
    learnable, found = BlendLearnable(), listed(np.random.default_rng(2), 1_500, 8, 1.5, 0.8)
    ranker = Ranker.from_files(learnable.train(found, Budget(), 0).files)
    assert ranker.weights[3, 1] == pytest.approx(1.5, abs=0.4)
    assert ranker.fades[3] == pytest.approx(0.8, abs=0.15)
    assert ranker.weights[3, 2:] == pytest.approx(0, abs=0.5), "what says nothing counts for nothing"
    assert (ranker.weights[:3] == Ranker().weights[:3]).all(), "of other histories nothing was seen"


def test_the_loss_is_least_for_the_truth_and_a_short_list_says_little() -> None:
    learnable, rng = BlendLearnable(), np.random.default_rng(3)
    found = listed(rng, 1_500, 8, 1.5, 0.8)
    true = Ranker()
    true.weights[3] = [-2.0, 1.5, *[0.0] * (len(FEATURES) - 1)]
    losses = {
        fade: learnable.score(Fitted(KIND, Ranker(true.weights, np.full(4, fade)).to_files()), found).mean()
        for fade in (0.0, 0.8, 1.6)
    }
    assert min(losses, key=losses.__getitem__) == 0.8
    short = listed(rng, 200, 1, 0.0, 0.0)
    sure = Ranker()
    sure.weights[3] = [-4.0, *[0.0] * len(FEATURES)]
    assert learnable.score(Fitted(KIND, sure.to_files()), short).max() == pytest.approx(4.02 / 10, abs=0.01)
    assert learnable.score(Fitted(KIND, sure.to_files()), short.take([])).tolist() == []


def test_the_same_lists_give_the_same_bytes() -> None:
    learnable, found = BlendLearnable(), listed(np.random.default_rng(4), 50, 8, 1.0, 0.5)
    assert learnable.train(found, Budget(), 0).files == learnable.train(found, Budget(), 1).files
    few = learnable.train(found, Budget(examples=20), 0)
    assert few.files == learnable.train(found.take(np.arange(30, 50)), Budget(), 0).files
    assert learnable.train(found.take([]), Budget(), 0).files == Ranker().to_files()


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"{",
        b"[]",
        b'{"features": [], "buckets": [0, 1, 3, 6], "weights": [[0]], "fades": [0]}',
        b'{"features": [], "buckets": [0, 1, 3, 6], "weights": [[0], [0], [0], [NaN]], "fades": [0, 0, 0, 0]}',
        b'{"features": [], "buckets": [0, 9], "weights": [[0], [0], [0], [0]], "fades": [0, 0, 0, 0]}',
    ],
)
def test_a_blend_that_cannot_be_read_changes_nothing(town: Town, content: bytes | None) -> None:
    files = {"other.json": b"{}"} if content is None else {"blend.json": content}
    with pytest.raises(BadFile):
        Ranker.from_files(files)
    town.service.shelf(SHOP)
    other = Ranker(fades=np.ones(4))
    serve(town, Fitted(KIND, other.to_files()))
    serve(town, Fitted(KIND, files))
    assert (town.ranker.fades == other.fades).all()


def test_a_blend_of_fewer_features_keeps_the_defaults_of_the_others() -> None:
    told = b'{"features": ["price", "gone"], "buckets": [0, 1, 3, 6], "fades": [0, 0, 0, 1], "weights": %s}'
    made = Ranker.from_files({"blend.json": told % str([[-1, 2, 9]] * 4).encode()})
    price = 1 + FEATURES.index("price")
    assert made.weights[:, price].tolist() == [2.0] * 4 and made.weights[:, 0].tolist() == [-1.0] * 4
    rest = np.delete(made.weights, [0, price], axis=1)
    assert (rest == np.delete(Ranker().weights, [0, price], axis=1)).all()


def test_another_blend_moves_no_vector(town: Town) -> None:
    town.service.shelf(SHOP)
    near = town.service._shops[SHOP].world.near
    serve(town, Fitted(KIND, Ranker(fades=np.ones(4)).to_files()))
    assert town.ranker.fades.any() and town.service._shops[SHOP].world.near is near


def serve(town: Town, fitted: Fitted) -> None:
    made = town.artifacts.put(fitted.files, kind=fitted.kind, source="test")
    with town.service.database.transaction() as connection:
        town.registry.register(connection, BLEND, made.id)
        town.registry.promote(connection, BLEND, made.id, "test")
    town.look()
