"""The multiplication agrees with its slow twin, and gives the same bits whoever shares the batch, path and threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ikkan.silicon import kernels, reference
from ikkan.silicon.kernels import FORMATS, dequantize, matmul, pack, pack_f32

from .weights import BATCHES, NUMBERS, SCALES, SEEDS, SHAPES, activations, blocks, inputs

ALL = sorted(FORMATS)
often = settings(
    deadline=None, derandomize=True, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("format", ALL)
@often
@given(shape=SHAPES, n=BATCHES, scales=SCALES, sizes=SCALES, seed=SEEDS)
def test_multiplying_agrees_with_its_slow_twin(
    path: str, format: str, shape: tuple[int, int], n: int, scales: str, sizes: str, seed: int
) -> None:
    rows, cols = shape[0], inputs(format, shape[1])
    w = pack(format, blocks(format, rows, cols, seed, scales), rows, cols)
    x = activations(n, cols, seed, sizes)
    weights = dequantize(w)
    found = matmul(x, w)
    expected = reference.matmul(x, weights, quantized=w.quantized)
    # A float32 sum of k terms is off by at most k roundings of the sum of their sizes.
    sizes_of_terms = np.abs(x).astype(np.float64) @ np.abs(weights.astype(np.float64)).T
    parts = sizes_of_terms + _largest_parts(format, x, w)
    assert found.shape == (n, rows) and found.dtype == np.float32
    assert (np.abs(found - expected) <= parts * (cols / 16 + 8) * 2.0**-24 + 1e-37).all()


def _largest_parts(format: str, x: np.ndarray, w: kernels.PackedMatrix) -> np.ndarray:  # type: ignore[type-arg]
    """Scales and minimums are summed apart and may cancel: what they would be if they did not."""
    largest = np.abs(dequantize(w).astype(np.float64)).reshape(w.rows, -1, 32).max(axis=2).repeat(32, axis=1)
    factor = {"Q4_1": 3.0, "Q5_1": 3.0, "Q4_K": 3.0, "Q5_K": 3.0}.get(format, 0.0)
    return np.asarray(factor * (np.abs(x).astype(np.float64) @ largest.T))


@often
@given(cols=st.integers(1, 70), rows=st.integers(1, 40), n=BATCHES, seed=SEEDS)
def test_floats_multiply_at_any_width(path: str, cols: int, rows: int, n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.standard_normal((rows, cols)).astype(np.float32)
    x = random.standard_normal((n, cols)).astype(np.float32)
    expected = reference.matmul(x, weights, quantized=False)
    np.testing.assert_allclose(matmul(x, pack_f32(weights)), expected, rtol=0, atol=3e-5)


@pytest.mark.parametrize("format", ALL)
@often
@given(shape=SHAPES, n=BATCHES, seed=SEEDS, data=st.data())
def test_a_row_gets_the_same_bits_whoever_shares_its_batch(
    path: str, format: str, shape: tuple[int, int], n: int, seed: int, data: st.DataObject
) -> None:
    rows, cols = shape[0], inputs(format, shape[1])
    w = pack(format, blocks(format, rows, cols, seed), rows, cols)
    x = activations(n, cols, seed)
    together = matmul(x, w)
    order = np.array(data.draw(st.permutations(range(n))))
    np.testing.assert_array_equal(matmul(x[order], w), together[order])
    alone = np.concatenate([matmul(x[row : row + 1], w) for row in range(n)])
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("format", ALL)
@settings(deadline=None, derandomize=True, max_examples=15)
@given(shape=SHAPES, n=BATCHES, scales=SCALES, seed=SEEDS)
def test_every_path_and_number_of_threads_gives_the_same_bits(
    format: str, shape: tuple[int, int], n: int, scales: str, seed: int
) -> None:
    rows, cols = shape[0], inputs(format, shape[1])
    w = pack(format, blocks(format, rows, cols, seed, scales), rows, cols)
    x = activations(n, cols, seed)
    threads = kernels.get_threads()
    found = []
    try:
        for path in kernels.available_paths():
            for count in (1, threads):
                kernels.set_path(path)
                kernels.set_threads(count)
                found.append(matmul(x, w))
    finally:
        kernels.set_path(None)
        kernels.set_threads(threads)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@pytest.mark.parametrize("format", ALL)
def test_rows_of_one_tile_and_of_the_padding_do_not_touch_each_other(path: str, format: str) -> None:
    cols = inputs(format, 2)
    whole = pack(format, blocks(format, 33, cols, seed=8), 33, cols)
    x = activations(3, cols, seed=8)
    out = np.full((3, 33), np.nan, dtype=np.float32)
    assert matmul(x, whole, out) is out
    np.testing.assert_array_equal(out, matmul(x, whole))
    row_bytes = FORMATS[format].raw_bytes(1, cols)
    last = pack(format, blocks(format, 33, cols, seed=8)[32 * row_bytes :], 1, cols)
    np.testing.assert_array_equal(matmul(x, last), out[:, 32:])


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5, 16, 31, 40])
def test_an_activation_that_is_not_finite_spoils_its_own_row_and_no_other(
    path: str, format: str, bad: float, place: int
) -> None:
    cols = inputs(format, 2)
    w = pack(format, blocks(format, 20, cols, seed=9), 20, cols)
    x = activations(9, cols, seed=9)
    clean = matmul(x, w)
    x[4, place] = bad
    spoiled = matmul(x, w)
    others = np.arange(9) != 4
    np.testing.assert_array_equal(spoiled[others], clean[others])
    assert not np.isfinite(spoiled[4]).any()


@pytest.mark.parametrize("format", sorted(NUMBERS))
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_numbers_there_are_stay_exact(path: str, format: str, sign: int) -> None:
    cols = inputs(format, 1)
    raw = np.full((16, FORMATS[format].raw_bytes(1, cols)), 255, dtype=np.uint8)
    raw[1::2, :] = 128
    first, last = NUMBERS[format]
    raw.reshape(-1, FORMATS[format].block_bytes)[:, first:last] = np.float16([1] * ((last - first) // 2)).view(np.uint8)
    w = pack(format, raw.reshape(-1), 16, cols)
    x = np.full((1, cols), sign * 127, dtype=np.float32)  # each becomes 127 x 16, the most there is
    expected = x.astype(np.float64) @ dequantize(w).astype(np.float64).T
    np.testing.assert_allclose(matmul(x, w), expected, rtol=1e-6)


def test_no_activations_give_no_results() -> None:
    assert matmul(np.empty((0, 32), dtype=np.float32), pack_f32(np.ones((3, 32), dtype=np.float32))).shape == (0, 3)
