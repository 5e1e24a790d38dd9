"""Drift is found where there is some, not where there is none; it asks for a turn, and switches nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from ikkan.flywheel import Limits, Metric, Served
from ikkan.flywheel.drift import compare, psi, psi_by_chance, wasserstein, wasserstein_by_chance
from ikkan.flywheel.fakes import WAITED, FakeLearnable
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.events import NewEvent
from ikkan.ground.ids import SubjectId

from .conftest import NAME, TENANT, Wheel, make_wheel

DAY_S = 86_400.0
METRIC = Metric("share_right")


def serve(wheel: Wheel, days: int, seconds: float, score: float = 0.8, seed: int = 0) -> None:
    """A hundred and twenty answers a day."""
    rng = np.random.default_rng(seed)
    artifact = wheel.registry.alias(NAME)
    for number in range(120 * days):
        payload = {
            "artifact": artifact,
            "seconds": float(rng.gamma(4, seconds / 4)),
            "score": float(rng.random() < score),
        }
        who = SubjectId(f"person-{number % 60}")
        wheel.events.append(NewEvent(WAITED, 1, TENANT, who, wheel.clock.now(), "service", payload))
        wheel.clock.advance(DAY_S / 120)


@pytest.fixture
def serving(wheel: Wheel) -> Wheel:
    """A champion that has served for two days as it should."""
    wheel.flywheel.ensure_champion(NAME)
    serve(wheel, 2, 10.0)
    return wheel


def test_psi_is_the_published_formula() -> None:
    # Two bins split at the reference's median: 50/50 beside 80/20, half a count added to each bin.
    reference, current = np.array([0.0] * 50 + [1.0] * 50), np.array([0.0] * 80 + [1.0] * 20)
    p, q = np.array([50.5, 50.5]) / 101, np.array([80.5, 20.5]) / 101
    assert psi(reference, current, bins=2) == pytest.approx(float(((p - q) * np.log(p / q)).sum()))


def test_wasserstein_is_the_mean_distance_of_sorted_values() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=200), rng.normal(1.0, 2.0, size=200)
    assert wasserstein(one, other) == pytest.approx(float(np.abs(np.sort(one) - np.sort(other)).mean()))


@pytest.mark.parametrize(("n", "m"), [(60, 60), (60, 2_000), (5_000, 5_000)])
def test_nothing_is_found_where_nothing_changed_at_any_size(n: int, m: int) -> None:
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(60):
        one, other = rng.gamma(2, size=n), rng.gamma(2, size=m)
        found += psi(one, other) > psi_by_chance(n, m) or wasserstein(one, other) > wasserstein_by_chance(one, other)
    assert found <= 1


def test_many_rows_do_not_make_a_trifle_a_drift() -> None:
    rng = np.random.default_rng(2)
    before, now = Served({"x": rng.normal(size=200_000)}), Served({"x": rng.normal(0.02, size=200_000)})
    assert not any(finding.drifted for finding in compare(before, now, METRIC))


def test_missing_values_and_short_series_are_left_out() -> None:
    gaps = np.array([np.nan] * 100 + [1.0] * 20)
    assert compare(Served({"x": gaps}), Served({"x": gaps}), METRIC) == []


@pytest.mark.parametrize(("direction", "drifted"), [("higher", True), ("lower", False)])
def test_a_score_has_fallen_only_towards_its_bad_end(direction: str, drifted: bool) -> None:
    units = tuple(f"p{n}" for n in range(200))
    before, now = (Served({}, units, np.full(200, score)) for score in (0.9, 0.3))
    (finding,) = compare(before, now, Metric("m", direction=direction))  # type: ignore[arg-type]
    assert (finding.measure, finding.drifted) == ("live_score", drifted)


def test_no_drift_is_no_decision(serving: Wheel) -> None:
    serve(serving, 1, 10.0, seed=1)
    assert serving.flywheel.watch(NAME, span_s=DAY_S) is None
    assert not serving.flywheel.asks_for_turn(NAME)


def test_drift_is_a_decision_an_event_and_a_wish_and_changes_nothing(serving: Wheel) -> None:
    champion = serving.registry.alias(NAME)
    serve(serving, 1, 25.0, seed=1)
    decision = serving.flywheel.watch(NAME, span_s=DAY_S)
    assert decision is not None and (decision.decision, decision.numbers["drifted"]) == ("drifted", ["seconds"])
    assert "seconds" in decision.reasons["en"] and "seconds" in decision.reasons["ja"]
    assert [event.name for event in serving.told[-2:]] == ["flywheel.Decided", "flywheel.DriftFound"]
    assert serving.registry.alias(NAME) == champion
    assert serving.flywheel.asks_for_turn(NAME) and serving.flywheel.replay(decision.id).same


def test_a_drift_is_recorded_once_and_a_turn_answers_it(serving: Wheel) -> None:
    serve(serving, 1, 25.0, seed=1)
    first = serving.flywheel.watch(NAME, span_s=DAY_S)
    serve(serving, 1, 25.0, seed=2)
    assert serving.flywheel.watch(NAME, span_s=DAY_S) == first
    serving.clock.advance(1)
    serving.flywheel.run(NAME)
    assert not serving.flywheel.asks_for_turn(NAME)


def test_people_who_fare_worse_are_noticed(serving: Wheel) -> None:
    serve(serving, 1, 10.0, score=0.2, seed=1)
    decision = serving.flywheel.watch(NAME, span_s=DAY_S)
    assert decision is not None and decision.numbers["drifted"] == ["score"]


def test_a_champion_that_has_not_served_long_enough_is_not_judged(wheel: Wheel) -> None:
    assert wheel.flywheel.watch(NAME) is None
    wheel.flywheel.ensure_champion(NAME)
    serve(wheel, 1, 10.0)
    assert wheel.flywheel.watch(NAME, span_s=DAY_S) is None


def test_an_erased_person_is_missed_in_the_replay(serving: Wheel) -> None:
    serve(serving, 1, 25.0, seed=1)
    decision = serving.flywheel.watch(NAME, span_s=DAY_S)
    assert decision is not None
    serving.events.erase(TENANT, SubjectId("person-5"))
    replay = serving.flywheel.replay(decision.id)
    assert not replay.same and replay.missing > 0


def test_limits_are_the_callers(database: Database, clock: FakeClock, tmp_path: Path) -> None:
    wheel = make_wheel(database, clock, tmp_path, FakeLearnable(NAME))
    wheel.flywheel.ensure_champion(NAME)
    serve(wheel, 2, 10.0)
    serve(wheel, 1, 25.0, seed=1)
    patient = Limits(psi=50.0, moved=50.0)
    assert wheel.flywheel.watch(NAME, span_s=timedelta(days=1).total_seconds(), limits=patient) is None
