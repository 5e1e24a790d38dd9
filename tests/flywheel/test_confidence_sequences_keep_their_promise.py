"""The intervals cover the truth as often as they say, at every look; and they are what the papers say they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ikkan.flywheel.statistics import asymptotic, betting, by_unit, empirical_bernstein, paired_gain

Draw = Callable[[np.random.Generator, int], np.ndarray]

BOUNDED: dict[str, tuple[Draw, float]] = {
    "rare": (lambda rng, n: (rng.random(n) < 0.1).astype(float), 0.1),
    "even": (lambda rng, n: (rng.random(n) < 0.5).astype(float), 0.5),
    "skewed": (lambda rng, n: rng.beta(1, 9, n), 0.1),
    "narrow": (lambda rng, n: np.clip(0.5 + 0.05 * rng.standard_normal(n), 0, 1), 0.5),
    "three values": (lambda rng, n: rng.choice([0.0, 0.5, 1.0], n, p=[0.1, 0.7, 0.2]), 0.55),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_betting_misses_the_mean_at_most_as_often_as_promised(name: str) -> None:
    draw, mean = BOUNDED[name]
    rng = np.random.default_rng(20260601)
    missed = 0
    for _ in range(400):
        lower, upper = betting(draw(rng, 60), 0.1)
        missed += not lower <= mean <= upper
    # 10 % promised; more than 15 % of 400 would happen once in a thousand to one who just keeps the promise.
    assert missed <= 60


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("method", [empirical_bernstein, asymptotic])
def test_looking_after_every_value_does_not_break_the_promise(
    name: str, method: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> None:
    draw, mean = BOUNDED[name]
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(300):
        lower, upper = method(draw(rng, 400), 0.1)
        missed += bool(((lower > mean) | (upper < mean))[50:].any())
    assert missed <= 45


def test_a_gambler_who_looks_daily_is_not_fooled_where_a_fixed_test_is() -> None:
    rng = np.random.default_rng(3)
    fooled_fixed = fooled_betting = 0
    for _ in range(200):
        values = (rng.random(200) < 0.5).astype(float)
        t = np.arange(1, 201)
        mean = np.cumsum(values) / t
        fooled_fixed += bool((np.abs(mean - 0.5)[20:] > 1.96 * 0.5 / np.sqrt(t[20:])).any())
        # `betting` looks after each value by itself.
        lower, upper = betting(values, 0.05)
        fooled_betting += not lower <= 0.5 <= upper
    assert fooled_fixed > 40 and fooled_betting <= 16


def test_more_evidence_gives_narrower_intervals() -> None:
    rng = np.random.default_rng(0)
    values = rng.beta(6, 4, 2_000)
    widths = [np.subtract(*betting(values[:n])[::-1]) for n in (20, 80, 320, 1_280)]
    assert widths == sorted(widths, reverse=True) and widths[-1] < 0.05


def test_betting_is_narrower_than_the_closed_form_which_is_narrower_than_hoeffding() -> None:
    values = np.clip(0.6 + 0.1 * np.random.default_rng(1).standard_normal(200), 0, 1)
    bet = np.subtract(*betting(values)[::-1])
    closed_lower, closed_upper = empirical_bernstein(values)
    hoeffding = 2 * np.sqrt(np.log(2 / 0.05) / (2 * 200))
    assert bet < closed_upper[-1] - closed_lower[-1] < hoeffding


def test_the_asymptotic_formula_is_the_published_one() -> None:
    # Waudby-Smith et al. 2024, Theorem 2.2, written out for one sample.
    values, alpha, n = np.array([0.2, 0.9, 0.4, 0.7, 0.1]), 0.05, 5
    rho2 = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / 100
    variance = values.var()
    margin = np.sqrt((n * variance * rho2 + 1) / (n**2 * rho2) * np.log((n * variance * rho2 + 1) / alpha**2))
    lower, upper = asymptotic(values, alpha)
    assert lower[-1] == pytest.approx(values.mean() - margin) and upper[-1] == pytest.approx(values.mean() + margin)


def test_the_closed_form_is_the_published_one() -> None:
    # Waudby-Smith and Ramdas 2024, Theorem 2, by hand for the first two values.
    alpha, values = 0.05, np.array([0.9, 0.4])
    stake_1 = min(np.sqrt(2 * np.log(2 / alpha) / (0.25 * 1 * np.log(2))), 0.5)
    mean_1 = (0.5 + 0.9) / 2
    variance_1 = (0.25 + (0.9 - mean_1) ** 2) / 2
    stake_2 = min(np.sqrt(2 * np.log(2 / alpha) / (variance_1 * 2 * np.log(3))), 0.5)
    psi = [(-np.log(1 - stake) - stake) / 4 for stake in (stake_1, stake_2)]
    surprise = 4 * (0.9 - 0.5) ** 2 * psi[0] + 4 * (0.4 - mean_1) ** 2 * psi[1]
    centre = (stake_1 * 0.9 + stake_2 * 0.4) / (stake_1 + stake_2)
    margin = (np.log(2 / alpha) + surprise) / (stake_1 + stake_2)
    lower, upper = empirical_bernstein(values, alpha)
    assert lower[1] == pytest.approx(max(centre - margin, 0)) and upper[1] == pytest.approx(min(centre + margin, 1))


def test_one_zealous_person_counts_as_one() -> None:
    candidate = np.array([1.0] * 50 + [0.0] * 9)
    champion = np.array([0.0] * 50 + [1.0] * 9)
    units = ["zealot"] * 50 + [f"person-{number}" for number in range(9)]
    gain = paired_gain(candidate, champion, units)
    assert (gain.estimate, gain.n, gain.units) == (pytest.approx(-0.8), 59, 10)


def test_people_who_answer_alike_do_not_make_a_gain_look_surer_than_it_is() -> None:
    # Each person has one gain for all of their twenty questions; the mean over people is zero.
    rng = np.random.default_rng(11)
    fooled = 0
    for _ in range(200):
        gains = np.repeat(rng.choice([-0.5, 0.5], 20), 20)
        units = [f"p{number}" for number in np.repeat(np.arange(20), 20)]
        gain = paired_gain(np.clip(0.5 + gains / 2, 0, 1), np.clip(0.5 - gains / 2, 0, 1), units)
        fooled += not gain.lower <= 0 <= gain.upper
    assert fooled <= 16


def test_a_metric_where_less_is_better_gains_by_falling() -> None:
    errors, fewer = np.full(30, 8.0), np.full(30, 2.0)
    gain = paired_gain(fewer, errors, [f"d{n}" for n in range(30)], low=0, high=10, higher_is_better=False)
    assert gain.estimate == pytest.approx(6.0) and 0 < gain.lower < 6.0 < gain.upper <= 10


def test_without_examples_everything_is_possible() -> None:
    gain = paired_gain(np.zeros(0), np.zeros(0), [])
    assert (gain.lower, gain.upper, gain.n) == (-1.0, 1.0, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_interval_is_in_range_and_mirrors_itself(values: list[float], alpha: float) -> None:
    lower, upper = betting(np.array(values), alpha)
    mirrored_lower, mirrored_upper = betting(1 - np.array(values), alpha)
    assert 0 <= lower <= upper <= 1
    assert mirrored_lower == pytest.approx(1 - upper, abs=1e-3) and mirrored_upper == pytest.approx(1 - lower, abs=1e-3)


@given(st.lists(st.tuples(st.floats(-1, 1), st.sampled_from("abc")), min_size=1))
def test_averaging_by_unit_keeps_each_units_mean(rows: list[tuple[float, str]]) -> None:
    values, units = np.array([value for value, _ in rows]), [unit for _, unit in rows]
    means = by_unit(values, units)
    assert len(means) == len(set(units))
    assert means[0] == pytest.approx(np.mean([value for value, unit in rows if unit == units[0]]))
