"""Explored places: their chances are true, estimates from them are unbiased, the report adds up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.suggest import exploring, off_policy
from ikkan.apps.shop.rules.suggest.exploring import SIZE, Segment
from ikkan.apps.shop.service.replay import SHOP
from ikkan.apps.shop.service.suggesting.showing import SHOWN
from ikkan.apps.shop.values import Ask, Mode, Mood
from ikkan.ground.clock import FakeClock

from .conftest import Suggester, a_ware, suggester

NOBODY = np.zeros(4, np.bool_)


def pool(rng: np.random.Generator, size: int = 4) -> np.ndarray:
    x = np.zeros((size, SIZE))
    x[:, 0], x[:, 1:4] = 1.0, rng.random((size, 3))
    return x


def test_everything_in_the_pool_has_a_chance_and_the_chances_are_those_of_the_draw() -> None:
    rng = np.random.default_rng(0)
    weights, x = Segment().drawn(rng, 16), pool(rng)
    counts, chances = np.zeros(4), np.zeros(4)
    for _ in range(4_000):
        drawn = exploring.drawn(rng, weights, x, NOBODY)
        counts[drawn.chosen] += 1
        chances = drawn.propensities
    assert chances.sum() == pytest.approx(1.0) and chances.min() >= exploring.EVEN / 4 - 1e-9
    assert np.abs(counts / 4_000 - chances).max() < 0.03


def test_what_is_clicked_is_drawn_more_and_what_is_owed_keeps_its_part() -> None:
    rng = np.random.default_rng(1)
    segment, x = Segment(), pool(rng)
    x[:, 1] = [1.0, 0.0, 0.0, 0.0]
    for _ in range(300):
        for at in range(4):
            segment.shown(x[at])
        segment.clicked(x[0])
    chances = exploring.propensities(segment.drawn(rng, 64), x, NOBODY)
    assert chances.argmax() == 0 and chances[0] > 0.8
    owed = np.array([False, False, True, False])
    assert exploring.propensities(segment.drawn(rng, 64), x, owed)[2] > exploring.OWED * (1 - exploring.EVEN)


def test_ips_and_doubly_robust_are_unbiased_on_a_log_whose_truth_is_known() -> None:
    truth = np.array([0.05, 0.4, 0.1, 0.0])
    ips, dr, spread = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        segment, log, true_value = Segment(), [], []
        wanted = off_policy.linear(np.array([0, 0.0, 1.0, 0, *np.zeros(SIZE - 4)]))
        for number in range(250):
            x = pool(rng)
            clicks = np.clip(x[:, :4] @ truth, 0, 1)
            drawn = exploring.drawn(rng, segment.drawn(rng, 16), x, NOBODY)
            reward = float(rng.random() < clicks[drawn.chosen])
            segment.shown(x[drawn.chosen])
            segment.clicked(x[drawn.chosen], reward)
            chance = float(drawn.propensities[drawn.chosen])
            log.append(off_policy.Logged(x, drawn.chosen, chance, reward, f"p{number % 40}"))
            true_value.append(float(wanted(log[-1]) @ clicks))
        by_ips, by_dr = off_policy.estimates(log, wanted)
        ips.append(by_ips.mean() - np.mean(true_value))
        dr.append(by_dr.mean() - np.mean(true_value))
        spread.append((by_ips.std(), by_dr.std()))
    for errors in (ips, dr):
        assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors)) + 0.003
    assert np.mean([b for _, b in spread]) < np.mean([a for a, _ in spread]), "the model of clicks takes noise away"


def test_the_bounds_of_an_estimate_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        bounds = off_policy.bootstrap(rng.random(200) < 0.3, [f"p{at % 50}" for at in range(200)], rng, rounds=300)
        held += bounds.low <= 0.3 <= bounds.high
    assert held >= 86


def test_a_list_is_logged_with_its_chances_and_features_as_served(shop: Suggester) -> None:
    shop.did("ada", "viewed", "w1")
    made = shop.suggest(SHOP, Ask("ada", n=14))
    explored = [place for place in made.places if place.source == "explored"]
    assert explored and all(0 < place.propensity < 1 for place in explored)
    shop.flush()
    with shop.database.read() as connection:
        (kept,) = store.behaviour.shown_between(connection, SHOP, made.made_at, made.made_at + timedelta(seconds=1), 9)
    assert [product for product, *_ in kept.places] == [place.ware.product_id for place in made.places]
    for pool in kept.pools:
        at = pool.chosen(kept)
        assert pool.chances[at] == pytest.approx(made.places[pool.place].propensity)
        assert sum(pool.chances) == pytest.approx(1.0) and len(pool.features[0]) == SIZE
    (event,) = shop._showing._events.reader().read([SHOWN], tenant_id=SHOP)  # type: ignore[union-attr]
    assert event.payload["impression_id"] == made.impression_id
    assert [offer["propensity"] for offer in event.payload["offers"]] == [each.propensity for each in made.places]
    with shop.database.transaction() as connection:
        assert store.behaviour.keep_exposures(connection, SHOP, [kept]) == [], "the same list again is no second list"


@pytest.mark.parametrize(("mode", "sure", "count"), [
    ("explore", 1.0, 2), ("explore", 0.4, 1), ("deal", 1.0, 1), ("goal", 1.0, 1), ("replenish", 1.0, 0),
])  # fmt: skip
def test_a_mood_says_how_many_places_explore_and_not_with_what_chance(
    shop: Suggester, mode: Mode, sure: float, count: int
) -> None:
    class Moods:
        def now(self, *_: Any, **__: Any) -> Mood:
            return Mood(mode, {}, 0.0, 0.5, 0.5, sure, shop.clock.now())

        def look(self, *_: Any) -> None:
            pass

    for number in range(3):
        shop.suggest(SHOP, Ask(f"before {number}", n=40))  # whatever just came was shown
    shop.moods = Moods()
    for number in range(5):
        made = shop.suggest(SHOP, Ask(f"p{number}", n=8))
        explored = [place for place in made.places if place.source == "explored"]
        assert len(explored) == count and all(0 < place.propensity < 1 for place in explored)
        assert all(place.propensity == 1.0 for place in made.places if place.source != "explored")
    shop.flush()
    with shop.database.read() as connection:
        kept = store.behaviour.shown_between(connection, SHOP, made.made_at, made.made_at + timedelta(seconds=1), 99)
    for each in (each for each in kept if len(each.places) == 8):
        assert [pool.chances[pool.chosen(each)] for pool in each.pools] == pytest.approx(
            [each.places[pool.place][1] for pool in each.pools]
        )
        assert len(each.pools) == count


def test_the_report_counts_clicks_and_what_was_bought_after_them(shop: Suggester, clock: FakeClock) -> None:
    since = clock.now() - timedelta(hours=1)
    for number in range(12):
        made = shop.suggest(SHOP, Ask(f"p{number}", n=8))
        first, second = (made.places[at].ware.product_id for at in (0, 1))
        clock.advance(60)
        shop.did(f"p{number}", "viewed", first, impression_id=made.impression_id)
        # Somebody else's list, and a ware that was not in it, are no click.
        shop.did(f"q{number}", "viewed", first, impression_id=made.impression_id)
        shop.did(f"p{number}", "disliked", "w39", impression_id=made.impression_id)
        clock.advance(3_600)
        shop.did(f"p{number}", "bought", first, second, price_micros=2_000_000)
    shop.did("p0", "returned", first, price_micros=2_000_000)
    clock.advance(8 * 86_400)
    shop.did("p1", "bought", first, price_micros=9_000_000)  # too late for any list
    report = shop.report(SHOP, since)
    (home,) = report.surfaces
    assert (home.lists, home.shown, home.clicks) == (12, 96, 12)
    assert home.click_rate.low <= home.click_rate.value == 0.125 <= home.click_rate.high
    after_click, after_shown = home.revenue_after_click_micros, home.revenue_after_shown_micros
    assert 22_000_000 <= after_click.value <= 24_000_000 and after_click.low <= after_click.value <= after_click.high
    assert after_shown.value >= after_click.value + 22_000_000
    assert 0 < home.coverage <= 1 and 0 < home.distance <= 1 and report.window_days == 7


def test_the_report_says_what_other_policies_would_have_earned(
    shop: Suggester, clock: FakeClock, tmp_path: Path
) -> None:
    since = clock.now() - timedelta(hours=1)
    shop.put_wares(SHOP, [a_ware(number) for number in range(40, 80)])
    for number in range(40):
        made = shop.suggest(SHOP, Ask(f"p{number}", n=6))
        for place in made.places:
            if place.source == "explored" and number % 2:
                shop.did(f"p{number}", "viewed", place.ware.product_id, impression_id=made.impression_id)
        clock.advance(1)
    policies = {each.policy: each for each in shop.report(SHOP, since).policies}
    assert set(policies) == {"logged", "uniform", "blend", "linear"}
    assert policies["logged"].ips.value == 0.5
    for each in policies.values():
        assert each.ips.low <= each.ips.value <= each.ips.high and each.dr.low <= each.dr.value <= each.dr.high
    segment = shop._shops[SHOP].world.explorer.of("home", 0)
    assert segment.told.any() and np.trace(segment.precision) > 40, "the explorer was told too"
    again = suggester(shop.database, clock, tmp_path)
    again.shelf(SHOP)
    learned = again._shops[SHOP].world.explorer.of("home", 0)
    assert np.allclose(learned.precision, segment.precision) and np.allclose(learned.told, segment.told)
