"""The kernels' slow twins: the same arithmetic in plain numpy and float64, for tests and for reading.

A twin has its kernel's name and arguments, and says in a few lines what the kernel may spend hundreds on. Nothing that
serves imports this module, and it imports no numba. A twin rounds where its kernel's definition rounds (activations
to 12 bits, what attention multiplies to bfloat16) and nowhere else; what is left between the two is the width of the
kernel's sums (`tests/silicon` has the bounds).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Numbers = NDArray[np.floating[Any]]

GROUP = 32
LEVELS = 2032
"""Activations become whole numbers up to this: 127 * 16, what two signed bytes hold as 16 * high + low."""


def quantize(x: Float32) -> Float64:
    """What is left of rows of activations once every 32 of them share one scale and 12 bits each.

    >>> quantize(np.float32([[2032.4, 2.4, *[0] * 30]]))[0, :2].round(2).tolist()
    [2032.4, 2.0]
    """
    groups = x.reshape(x.shape[0], -1, GROUP)
    largest = np.abs(groups).max(axis=2, keepdims=True)
    present = largest > np.float32(1e-30)
    inverse = np.divide(np.float32(LEVELS), largest, where=present, out=np.zeros_like(largest))
    scale = np.where(present, largest / np.float32(LEVELS), np.float32(0))
    result: Float64 = np.rint(groups * inverse).astype(np.float64) * scale
    return result.reshape(x.shape)


def matmul(x: Float32, weights: Float32, *, quantized: bool) -> Float64:
    """`x (n, cols) @ weights (rows, cols).T`; with quantised weights the activations are rounded first."""
    rounded = quantize(x) if quantized else x.astype(np.float64)
    result: Float64 = rounded @ weights.astype(np.float64).T
    return result


def rms_norm(x: Numbers, weight: Numbers, eps: float) -> Float64:
    """Each row divided by its root mean square, times `weight`."""
    wide = x.astype(np.float64)
    result: Float64 = wide / np.sqrt((wide**2).mean(axis=1, keepdims=True) + eps) * weight
    return result


def layer_norm(x: Numbers, weight: Numbers, bias: Numbers, eps: float) -> Float64:
    """Each row moved to mean 0 and variance 1, times `weight`, plus `bias`."""
    wide = x.astype(np.float64)
    moved = wide - wide.mean(axis=1, keepdims=True)
    result: Float64 = moved / np.sqrt((moved**2).mean(axis=1, keepdims=True) + eps) * weight + bias
    return result


def swiglu(gate: Numbers, up: Numbers) -> Float64:
    """gate / (1 + e^-gate) * up."""
    wide = gate.astype(np.float64)
    result: Float64 = wide / (1 + np.exp(-np.clip(wide, -700, None))) * up
    return result


def gelu(x: Numbers) -> Float64:
    """x times the normal distribution's share below x."""
    shares = [0.5 * (1 + math.erf(float(v) / math.sqrt(2))) for v in x.reshape(-1)]
    result: Float64 = x.astype(np.float64) * np.array(shares).reshape(x.shape)
    return result


def softmax(x: Numbers) -> Float64:
    """Shares that sum to one along the last axis."""
    wide = x.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
    result: Float64 = powers / powers.sum(axis=-1, keepdims=True)
    return result


def bfloat16(x: Numbers) -> Float32:
    """What is left of numbers in bfloat16: eight bits, ties to even.

    >>> bfloat16(np.float32([1.00390625, 3.0])).tolist()
    [1.0, 3.0]
    """
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    kept = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return kept.view(np.float32)


def rope(
    x: Numbers, positions: NDArray[np.int32], freqs: Numbers, style: Literal["half", "interleaved"] = "half"
) -> Float64:
    """Each pair of entries, as a complex number, times e^(i position frequency)."""
    half = x.shape[2] // 2
    first, second = (x[..., :half], x[..., half:]) if style == "half" else (x[..., 0::2], x[..., 1::2])
    turn = np.exp(1j * np.outer(positions.astype(np.float64), freqs.astype(np.float64)))[:, None]
    turned = (first + 1j * second.astype(np.float64)) * turn
    if style == "half":
        return np.concatenate([turned.real, turned.imag], axis=-1)
    return np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape)


def attention(
    q: Numbers,
    keys: Numbers,
    values: Numbers,
    slots: NDArray[np.int32],
    positions: NDArray[np.int32],
    scale: float,
) -> Float64:
    """Each query `(n, heads, head_dim)` averages its slot's values at positions 0..its own, weighted by its keys.

    Queries, keys, values and the numerators of the softmax are bfloat16.

    Args:
        keys, values: (slots, kv_heads, context, head_dim), in plain order.
    """
    shared = q.shape[1] // keys.shape[1]
    out = np.empty(q.shape, dtype=np.float64)
    q, keys, values = (bfloat16(one).astype(np.float64) for one in (q, keys, values))
    for row, (slot, position) in enumerate(zip(slots, positions, strict=True)):
        for head in range(q.shape[1]):
            scores = keys[slot, head // shared, : position + 1] @ q[row, head] * scale
            powers = bfloat16(np.exp(scores - scores.max())).astype(np.float64)
            out[row, head] = powers @ values[slot, head // shared, : position + 1] / powers.sum()
    return out
