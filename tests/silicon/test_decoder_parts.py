"""Norms, activations, rotation and attention agree with their slow twins at any shape and size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ikkan.silicon import kernels, reference

from .weights import SEEDS

often = settings(deadline=None, derandomize=True, max_examples=40)
ROWS = st.integers(1, 5)
COLS = st.sampled_from([1, 2, 15, 16, 17, 63, 64, 65, 128, 200])
SIZES = st.sampled_from([0.0, 1e-20, 1e-3, 1.0, 1e4, 1e15])


def normal(seed: int, *shape: int, size: float = 1.0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal(shape) * size).astype(np.float32)


@often
@given(n=ROWS, cols=COLS, size=SIZES, seed=SEEDS)
def test_rms_norm(n: int, cols: int, size: float, seed: int) -> None:
    x, weight = normal(seed, n, cols, size=size), normal(seed + 1, cols)
    found, expected = kernels.rms_norm(x, weight, 1e-6), reference.rms_norm(x, weight, 1e-6)
    np.testing.assert_allclose(found, expected, rtol=3e-6, atol=1e-30)


@often
@given(n=ROWS, cols=COLS, size=SIZES, seed=SEEDS)
def test_layer_norm(n: int, cols: int, size: float, seed: int) -> None:
    x, weight, bias = normal(seed, n, cols, size=size), normal(seed + 1, cols), normal(seed + 2, cols)
    found = kernels.layer_norm(x, weight, bias, 1e-5)
    np.testing.assert_allclose(found, reference.layer_norm(x, weight, bias, 1e-5), rtol=1e-5, atol=3e-5)


def test_layer_norm_of_equal_entries_is_the_bias() -> None:
    bias = normal(1, 33)
    found = kernels.layer_norm(np.full((2, 33), 7, dtype=np.float32), normal(2, 33), bias, 1e-5)
    np.testing.assert_allclose(found, np.stack([bias, bias]), atol=1e-3)


@often
@given(n=ROWS, cols=COLS, size=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 80.0, 200.0]), seed=SEEDS)
def test_swiglu(n: int, cols: int, size: float, seed: int) -> None:
    gate, up = normal(seed, n, cols, size=size), normal(seed + 1, n, cols)
    np.testing.assert_allclose(kernels.swiglu(gate, up), reference.swiglu(gate, up), rtol=3e-6, atol=1e-30)


@often
@given(n=ROWS, cols=COLS, size=st.sampled_from([0.0, 1e-3, 1.0, 30.0]), seed=SEEDS)
def test_gelu(n: int, cols: int, size: float, seed: int) -> None:
    x = normal(seed, n, cols, size=size)
    np.testing.assert_allclose(kernels.gelu(x), reference.gelu(x), rtol=1e-6, atol=1e-12)


@often
@given(n=ROWS, cols=COLS, size=st.sampled_from([0.0, 1.0, 30.0, 1e4, 1e30]), seed=SEEDS)
def test_softmax(n: int, cols: int, size: float, seed: int) -> None:
    x = normal(seed, n, cols, size=size)
    found = kernels.softmax(x)
    np.testing.assert_allclose(found, reference.softmax(x), rtol=2e-5, atol=1e-30)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("style", ["half", "interleaved"])
@often
@given(n=ROWS, heads=st.integers(1, 3), half=st.sampled_from([1, 8, 16, 20, 32, 64]), seed=SEEDS)
def test_rope(style: kernels.RopeStyle, n: int, heads: int, half: int, seed: int) -> None:
    x, random = normal(seed, n, heads, 2 * half), np.random.default_rng(seed)
    positions = random.integers(0, 32_768, n).astype(np.int32)
    freqs = (10_000.0 ** (-np.arange(half) / half)).astype(np.float32)
    before = x.copy()
    found, expected = kernels.rope(x, positions, freqs, style), reference.rope(x, positions, freqs, style)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(x, before)


SHAPES = st.tuples(
    st.sampled_from([1, 2, 3]),  # heads of the cache
    st.sampled_from([1, 2, 3]),  # query heads that share one
    st.sampled_from([2, 16, 48, 64, 80, 128]),  # head_dim
)


def filled(
    seed: int, slots: int, kv_heads: int, context: int, head_dim: int, size: float
) -> tuple[kernels.KeyValues, NDArray[np.float32], NDArray[np.float32]]:
    """A cache whose every position is written, and the same in plain order."""
    keys = normal(seed, slots, kv_heads, context, head_dim, size=size)
    values = normal(seed + 1, slots, kv_heads, context, head_dim)
    cache = kernels.new_cache(slots, kv_heads, context, head_dim)
    where = np.arange(context, dtype=np.int32)
    for slot in range(slots):
        these = np.full(context, slot, dtype=np.int32)
        k, v = keys[slot].transpose(1, 0, 2), values[slot].transpose(1, 0, 2)
        kernels.store_keys_values(k, v, cache, these, where)
    return cache, keys, values


@often
@given(
    shape=SHAPES,
    context=st.sampled_from([1, 5, 16, 17, 40]),
    n=st.integers(1, 9),
    size=st.sampled_from([0.0, 1.0, 30.0]),
    seed=SEEDS,
)
def test_attention(shape: tuple[int, int, int], context: int, n: int, size: float, seed: int) -> None:
    kv_heads, shared, head_dim = shape
    cache, keys, values = filled(seed, 3, kv_heads, context, head_dim, size)
    random = np.random.default_rng(seed)
    slots, positions = random.integers(0, 3, n).astype(np.int32), random.integers(0, context, n).astype(np.int32)
    q = normal(seed + 2, n, kv_heads * shared, head_dim)
    found = kernels.attention(q, cache, slots, positions, head_dim**-0.5)
    expected = reference.attention(q, keys, values, slots, positions, head_dim**-0.5)
    # A numerator so near the middle of two bfloat16 that float32 and float64 round it apart changes by 1/256 of itself.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2**-8 * np.abs(values).max())
    assert np.median(np.abs(found - expected)) <= 1e-5 * max(1.0, size / 3)


@often
@given(shape=SHAPES, context=st.sampled_from([1, 33, 70]), n=st.integers(1, 40), seed=SEEDS)
def test_attention_has_the_same_bits_on_every_path(
    shape: tuple[int, int, int], context: int, n: int, seed: int
) -> None:
    kv_heads, shared, head_dim = shape
    cache, _, _ = filled(seed, 2, kv_heads, context, head_dim, 1.0)
    random = np.random.default_rng(seed)
    slots = np.sort(random.integers(0, 2, n)).astype(np.int32)
    positions = random.integers(0, context, n).astype(np.int32)
    q = normal(seed + 2, n, kv_heads * shared, head_dim)
    found = []
    for path in kernels.available_paths():
        kernels.set_path(path)
        found.append(kernels.attention(q, cache, slots, positions, head_dim**-0.5))
    kernels.set_path(None)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@often
@given(shape=SHAPES, n=st.integers(2, 12), seed=SEEDS, data=st.data())
def test_attention_of_a_row_has_the_same_bits_whoever_shares_its_batch(
    shape: tuple[int, int, int], n: int, seed: int, data: st.DataObject
) -> None:
    kv_heads, shared, head_dim = shape
    cache, _, _ = filled(seed, 2, kv_heads, 40, head_dim, 1.0)
    slots = np.sort(np.random.default_rng(seed).integers(0, 2, n)).astype(np.int32)
    positions = np.arange(40 - n, 40, dtype=np.int32)  # neighbours of one slot, as in a prompt
    q = normal(seed + 2, n, kv_heads * shared, head_dim)
    together = kernels.attention(q, cache, slots, positions, 0.125)
    order = np.array(data.draw(st.permutations(range(n))))
    np.testing.assert_array_equal(
        kernels.attention(q[order], cache, slots[order], positions[order], 0.125), together[order]
    )
    rows = [slice(row, row + 1) for row in range(n)]
    alone = [kernels.attention(q[row], cache, slots[row], positions[row], 0.125) for row in rows]
    np.testing.assert_array_equal(np.concatenate(alone), together)


@pytest.mark.parametrize("rising", [0.0, 0.02, -0.02], ids=["level", "rising", "falling"])
@pytest.mark.parametrize("eight_dims", [8, 16])
def test_attention_over_several_stretches_is_one_softmax(rising: float, eight_dims: int) -> None:
    context, head_dim = 2_200, 8 * eight_dims
    cache, keys, values = filled(3, 1, 2, context, head_dim, 1.0)
    q = normal(4, 24, 4, head_dim)
    # Every later key is a little more, or less, like all queries, so that the largest score moves from page to page.
    every = np.arange(context, dtype=np.int32)
    q[..., 0], keys[..., 0] = 4.0, rising * every
    each = (keys[0].transpose(1, 0, 2), values[0].transpose(1, 0, 2))
    kernels.store_keys_values(*each, cache, np.zeros_like(every), every)
    positions = np.array([0, 5, *range(1_015, 1_035), 2_047, 2_199], dtype=np.int32)
    slots = np.zeros_like(positions)
    found = []
    for path in kernels.available_paths():
        kernels.set_path(path)
        found.append(kernels.attention(q, cache, slots, positions, head_dim**-0.5))
        alone = [kernels.attention(q[row : row + 1], cache, slots[:1], positions[row : row + 1], head_dim**-0.5)
                 for row in range(len(q))]  # fmt: skip
        found.append(np.concatenate(alone))
    kernels.set_path(None)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    expected = reference.attention(q, keys, values, slots, positions, head_dim**-0.5)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=2**-8 * np.abs(values).max())


@pytest.mark.parametrize("position", [0, 1, 15, 16, 31])
def test_attention_does_not_look_behind_its_position(position: int) -> None:
    cache, keys, values = filled(7, 1, 2, 32, 64, 1.0)
    slots, positions = np.zeros(1, dtype=np.int32), np.array([position], dtype=np.int32)
    q = normal(8, 1, 4, 64)
    before = kernels.attention(q, cache, slots, positions, 0.125)
    later = np.arange(position + 1, cache.context, dtype=np.int32)
    nonsense = np.full((len(later), 2, 64), np.nan, dtype=np.float32)
    kernels.store_keys_values(nonsense, nonsense, cache, np.zeros_like(later), later)
    np.testing.assert_array_equal(kernels.attention(q, cache, slots, positions, 0.125), before)
    assert keys.shape == values.shape
