"""Two arms, one interval: it covers the truth at every look, while shares grow and weeks differ; and it is powerful."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ikkan.flywheel.arms import BELIEFS, clustered_mean, live_gain, student, two_arms
from ikkan.flywheel.spending import spend, spent
from ikkan.flywheel.statistics import Interval

RAMP = np.repeat([0.05, 0.25, 0.5], [60, 60, 120])
EVEN = np.full(240, 0.5)


def drifting(rng: np.random.Generator, shares: np.ndarray, effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes of people who come in better and in worse weeks, some of them given the candidate."""
    treated = rng.random(len(shares)) < shares
    week = 0.45 + 0.25 * np.sin(np.arange(len(shares)) / 30)
    return (rng.random(len(shares)) < week + effect * treated).astype(float), treated, shares


@pytest.mark.parametrize("shares", [RAMP, EVEN], ids=["growing share", "half and half"])
@pytest.mark.parametrize("effect", [0.0, 0.2])
def test_it_misses_the_truth_at_any_look_at_most_as_often_as_promised(shares: np.ndarray, effect: float) -> None:
    rng = np.random.default_rng(20260601)
    missed = 0
    for _ in range(300):
        # The interval at the end excludes what any earlier look excluded: one call is every look.
        gain = live_gain(*drifting(rng, shares, effect), below=0.05, above=0.05)
        missed += not gain.lower <= effect <= gain.upper
    # 10 % promised; more than 16 % of 300 would happen less than once in a thousand.
    assert missed <= 48


def test_weeks_that_differ_fool_whoever_compares_two_means_while_the_share_grows() -> None:
    # Good weeks first, with few on the candidate; bad weeks later, with half on it: plain means see harm in a null.
    rng = np.random.default_rng(5)
    shares = np.repeat([0.05, 0.5], [400, 400])
    fooled_plain = fooled = 0
    for _ in range(40):
        treated = rng.random(800) < shares
        values = (rng.random(800) < np.repeat([0.9, 0.3], 400)).astype(float)
        fooled_plain += two_arms(values[treated], values[~treated], alpha=0.05).upper < 0
        fooled += not live_gain(values, treated, shares).lower <= 0 <= live_gain(values, treated, shares).upper
    assert fooled_plain >= 36 and fooled <= 4


def test_the_capital_is_the_product_of_the_bets() -> None:
    # Three people by hand: guesses 0.5, then the running mean with one imagined half; half of them treated.
    values, treated = np.array([1.0, 0.0, 1.0]), np.array([True, False, True])
    told = [(1.0 - 0.5) / 0.5, -(0.0 - 0.75) / 0.5, (1.0 - 0.5) / 0.5]
    spread = [0.25 * 4, (0.25 + 1.0**2 / 4) / 2 * 4, (0.25 + 1.0**2 / 4 + 1.5**2 / 4) / 3 * 4]
    lowest = [-1.0, -1.5, -1.0]

    def capital(gain: float) -> float:
        each = [
            math.prod(1 + min(belief / spread[at], 0.75 / (gain - lowest[at])) * (told[at] - gain) for at in range(3))
            for belief in BELIEFS
        ]
        return sum(each) / len(each)

    # All three told of more than zero, so capital only grew: the end is where the last of it is 1 / below.
    lower = live_gain(values, treated, np.full(3, 0.5), below=0.5, above=0.5).lower
    assert -1 < lower < 0 and capital(lower) == pytest.approx(2.0, rel=1e-3)


def test_it_finds_a_real_gain_and_is_narrower_than_the_plain_way() -> None:
    rng = np.random.default_rng(2)
    found, widths = 0, []
    for _ in range(30):
        values, treated, shares = drifting(rng, np.full(800, 0.5), 0.15)
        one, plain = live_gain(values, treated, shares), two_arms(values[treated], values[~treated])
        found += one.lower > 0
        widths.append((one.upper - one.lower, plain.upper - plain.lower))
    assert found >= 24 and np.mean([one for one, _ in widths]) < 0.9 * np.mean([plain for _, plain in widths])


def test_a_mirror_gives_the_mirrored_interval() -> None:
    values, treated, shares = drifting(np.random.default_rng(3), EVEN, 0.1)
    gain, mirrored = live_gain(values, treated, shares), live_gain(1 - values, treated, shares)
    assert mirrored.lower == pytest.approx(-gain.upper, abs=1e-5)
    assert mirrored.estimate == pytest.approx(-gain.estimate)


def test_each_end_has_a_chance_of_its_own() -> None:
    arms = drifting(np.random.default_rng(3), EVEN, 0.1)
    plain, surer_below = live_gain(*arms), live_gain(*arms, below=0.001)
    assert surer_below.lower < plain.lower and surer_below.upper == plain.upper


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from([0.05, 0.5, 0.95])), max_size=30))
def test_any_outcomes_give_an_interval_in_range(rows: list[tuple[float, bool, float]]) -> None:
    values = np.array([value for value, _, _ in rows], dtype=float)
    treated = np.array([arm for _, arm, _ in rows], dtype=np.bool_)
    gain = live_gain(values, treated, np.array([share for _, _, share in rows], dtype=float))
    assert -1 <= gain.lower <= gain.upper <= 1


def test_the_plain_way_covers_two_arms() -> None:
    rng = np.random.default_rng(9)
    missed = 0
    for _ in range(150):
        gain = two_arms(rng.beta(2, 3, 60), rng.beta(3, 2, 60), alpha=0.1)
        missed += not gain.lower <= -0.2 <= gain.upper
    assert missed <= 25


@pytest.mark.parametrize(
    ("level", "degrees", "published"),
    # Abramowitz and Stegun, Table 26.10.
    [(0.975, 5, 2.571), (0.975, 10, 2.228), (0.95, 20, 1.725), (0.995, 30, 2.750), (0.975, 120, 1.980)],
)
def test_students_quantiles_are_the_published_ones(level: float, degrees: int, published: float) -> None:
    assert student(level, degrees) == pytest.approx(published, abs=0.005)


def test_without_clusters_it_is_the_textbooks_interval() -> None:
    values = np.array([0.3, 0.1, 0.9, 0.4, 0.8, 0.2])
    margin = student(0.975, 5) * values.std(ddof=1) / math.sqrt(6)
    found = clustered_mean(values, list("abcdef"))
    assert (found.lower, found.upper) == (
        pytest.approx(values.mean() - margin),
        pytest.approx(values.mean() + margin),
    )


def test_cluster_robust_variance_is_the_published_formula() -> None:
    # Cameron and Miller 2015, § II.C, for a mean: G / (G - 1) times the sum of squared cluster sums, over n squared.
    values, units = np.array([1.0, 0.5, 0.0, 0.0, 1.0, 0.75, 0.25]), ["a", "a", "b", "b", "c", "c", "d"]
    mean = values.mean()
    sums = [1.5 - 2 * mean, 0.0 - 2 * mean, 1.75 - 2 * mean, 0.25 - mean]
    error = math.sqrt(4 / 3 * sum(each**2 for each in sums)) / 7
    assert clustered_mean(values, units).upper == pytest.approx(mean + student(0.975, 3) * error)


def test_ignoring_who_belongs_together_would_miss_three_times_as_often() -> None:
    rng = np.random.default_rng(4)
    units, alone = [f"p{n}" for n in np.repeat(np.arange(25), 8)], [str(n) for n in range(200)]
    missed = missed_alone = 0
    for _ in range(300):
        values = np.repeat(rng.standard_normal(25), 8) + 0.5 * rng.standard_normal(200)
        missed += not _covers(clustered_mean(values, units), 0.0)
        missed_alone += not _covers(clustered_mean(values, alone), 0.0)
    assert missed <= 30 and missed_alone > 3 * missed


def test_one_unit_says_nothing() -> None:
    assert clustered_mean(np.array([0.5, 0.7]), ["ada", "ada"]).upper == math.inf


@pytest.mark.parametrize("rounds", [1, 2, 10, 1_000])
def test_all_rounds_together_never_spend_more_than_the_allowance(rounds: int) -> None:
    levels = [spend(0.03, number) for number in range(1, rounds + 1)]
    assert sum(levels) == pytest.approx(spent(0.03, rounds)) and sum(levels) < 0.03
    assert levels == sorted(levels, reverse=True)


def _covers(interval: Interval, truth: float) -> bool:
    return interval.lower <= truth <= interval.upper
