"""How a token is drawn, against the slow and obvious way of each rule."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ikkan.engine.sampling import Sampler, _highest, _nucleus, _place
from ikkan.engine.values import Sampling
from ikkan.ground.errors import Internal
from ikkan.models.values import Float32

LIKELIHOODS = [0.4, 0.3, 0.2, 0.08, 0.02]


def scores(likelihoods: list[float]) -> Float32:
    return np.log(np.array(likelihoods, dtype=np.float32))


def drawn(sampling: Sampling, times: int = 2_000, likelihoods: list[float] = LIKELIHOODS) -> Counter[int]:
    """How often each token comes first."""
    settings = (replace(sampling, seed=number) for number in range(times))
    return Counter(Sampler(one).draw(scores(likelihoods)).token_id for one in settings)


def test_tokens_come_as_often_as_they_are_likely() -> None:
    found = drawn(Sampling())
    assert [found[token] / 2_000 for token in range(5)] == pytest.approx(LIKELIHOODS, abs=0.04)


@pytest.mark.parametrize(
    ("sampling", "possible"),
    [
        (Sampling(temperature=0), {0}),
        (Sampling(temperature=1e-300), {0}),
        (Sampling(top_k=1), {0}),
        (Sampling(top_k=3), {0, 1, 2}),
        (Sampling(top_k=99), {0, 1, 2, 3, 4}),
        (Sampling(top_p=0.0), {0}),
        (Sampling(top_p=0.4), {0}),
        (Sampling(top_p=0.69), {0, 1}),
        (Sampling(top_p=0.75), {0, 1, 2}),
        (Sampling(min_p=0.45), {0, 1, 2}),
        (Sampling(min_p=1.0), {0}),
        (Sampling(top_k=4, top_p=0.95), {0, 1, 2, 3}),
        (Sampling(top_k=3, top_p=0.77), {0, 1}),  # 0.7 of the 0.9 that top_k leaves
        (Sampling(bias={0: -100, 1: -100}), {2, 3, 4}),
        (Sampling(bias={4: 100}), {4}),
    ],
)
def test_only_these_tokens_can_come(sampling: Sampling, possible: set[int]) -> None:
    assert set(drawn(sampling, 600)) == possible


def test_a_higher_temperature_evens_out_and_a_lower_one_sharpens() -> None:
    low, high = (drawn(Sampling(temperature=temperature))[0] for temperature in (0.5, 2.0))
    squares, roots = np.array(LIKELIHOODS) ** 2, np.sqrt(LIKELIHOODS)
    assert low / 2_000 == pytest.approx(squares[0] / squares.sum(), abs=0.04)
    assert high / 2_000 == pytest.approx(roots[0] / roots.sum(), abs=0.04)


def sequence(sampling: Sampling, count: int, prompt: tuple[int, ...] = (), **more: Any) -> list[int]:
    sampler = Sampler(sampling, prompt, **more)
    return [sampler.draw(scores(LIKELIHOODS)).token_id for _ in range(count)]


def test_frequency_counts_every_time_and_presence_once() -> None:
    greedy = Sampling(temperature=0)
    assert sequence(greedy, 3) == [0, 0, 0]
    assert sequence(replace(greedy, frequency_penalty=0.3), 6) == [0, 1, 0, 1, 0, 2]
    assert sequence(replace(greedy, presence_penalty=0.3), 6) == [0, 1, 0, 0, 0, 0]
    assert sequence(replace(greedy, presence_penalty=-1.0), 3) == [0, 0, 0]


def test_repetition_counts_the_prompt_and_punishes_good_scores_and_bad_ones() -> None:
    greedy = Sampling(temperature=0, repetition_penalty=2.0)
    assert sequence(greedy, 3, prompt=(0,)) == [1, 2, 0]  # log-likelihoods are negative: doubled
    positive = np.array([3.0, 2.0, 1.0], dtype=np.float32)
    assert Sampler(greedy, (0,)).draw(positive).token_id == 1


def test_endings_cannot_come_before_they_may() -> None:
    assert sequence(Sampling(temperature=0), 4, endings=[0, 1], min_tokens=2) == [2, 2, 0, 0]


def test_scores_are_left_as_they_were() -> None:
    given = scores(LIKELIHOODS)
    settings = Sampling(
        repetition_penalty=1.5, presence_penalty=1, frequency_penalty=1, bias={1: 2.0}, top_k=3, top_p=0.9, min_p=0.1
    )
    sampler = Sampler(settings, (0, 1), endings=[4], min_tokens=9)
    for _ in range(3):
        sampler.draw(given)
    assert given.tolist() == scores(LIKELIHOODS).tolist()


def test_a_seed_repeats_and_choices_of_one_seed_differ() -> None:
    settings = Sampling(temperature=1.5, seed=-7)
    assert sequence(settings, 50) == sequence(settings, 50)
    assert sequence(settings, 50) != sequence(replace(settings, choice=1), 50)
    assert sequence(replace(settings, seed=None), 50) != sequence(replace(settings, seed=None), 50)


def test_logprobs_are_the_models_own_whatever_the_settings() -> None:
    settings = Sampling(temperature=0, top_logprobs=3, bias={2: 50.0}, repetition_penalty=3.0)
    found = Sampler(settings, (0,)).draw(scores(LIKELIHOODS))
    assert found.token_id == 2
    assert np.exp(found.logprob) == pytest.approx(0.2, rel=1e-5)
    assert [token for token, _ in found.alternatives] == [0, 1, 2]
    assert [np.exp(value) for _, value in found.alternatives] == pytest.approx([0.4, 0.3, 0.2], rel=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_that_are_no_numbers_are_a_fault_of_ours(bad: float, temperature: float) -> None:
    with pytest.raises(Internal):
        Sampler(Sampling(temperature=temperature)).draw(np.array([0.0, bad, 1.0], dtype=np.float32))


def test_scores_of_minus_infinity_are_never_drawn_and_say_so() -> None:
    likely = np.array([0.0, -np.inf, -np.inf], dtype=np.float32)
    found = Sampler(Sampling(seed=1, top_logprobs=2)).draw(likely)
    assert (found.token_id, found.logprob, found.alternatives[1][1]) == (0, 0.0, -np.inf)


WEIGHTS = arrays(np.float32, st.integers(1, 3_000), elements=st.floats(0, 1, width=32))


@given(WEIGHTS, st.floats(0.0, 0.999))
def test_the_nucleus_is_the_fewest_largest_that_hold_enough(weights: Float32, top_p: float) -> None:
    weights[len(weights) // 2] = 1.0
    kept = _nucleus(weights, top_p)
    exact = weights.astype(np.float64)
    held, wanted = exact[kept].sum(), top_p * exact.sum()
    left_out = np.delete(exact, kept)
    assert held >= wanted * (1 - 1e-12)
    assert held - exact[kept].min() <= wanted * (1 + 1e-12)
    assert left_out.size == 0 or left_out.max() <= exact[kept].min()


@given(WEIGHTS, st.floats(0.0, 1.0, exclude_max=True))
def test_a_place_is_found_as_by_a_running_sum_and_has_a_weight(weights: Float32, share: float) -> None:
    weights[len(weights) // 2] = 1.0
    place = _place(weights, share)
    below = np.concatenate([[0.0], np.cumsum(weights, dtype=np.float64)])
    assert weights[place] > 0
    assert below[place] <= share * below[-1] * (1 + 1e-12)
    assert below[place + 1] >= share * below[-1] * (1 - 1e-12)


@given(arrays(np.float32, st.integers(1, 2_000), elements=st.integers(-5, 5)), st.integers(1, 60))
def test_the_highest_are_the_first_of_a_stable_sort(scores: Float32, count: int) -> None:
    scores[: len(scores) // 3] = -np.inf
    assert _highest(scores, count).tolist() == sorted(np.argsort(-scores, kind="stable")[:count].tolist())
