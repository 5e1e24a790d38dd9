"""Norms, activations and softmax on rows of float32. Serial: they are small beside the multiplications around them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ikkan.silicon.kernels import lanes, steps
from ikkan.silicon.kernels.compiled import compiled
from ikkan.silicon.kernels.packed import Float32


@compiled
def _rms_norm(x: int, weight: int, n: int, cols: int, eps: np.float32, out: int) -> None:
    for row in range(n):
        here = 4 * row * cols
        factor = lanes.splat(steps.inverse_rms(x + here, cols, eps))
        for i in range(0, cols, 16):
            v = lanes.mul(lanes.load_first(x + here + 4 * i, cols - i), factor)
            lanes.store_first(out + here + 4 * i, lanes.mul(v, lanes.load_first(weight + 4 * i, cols - i)), cols - i)


def rms_norm(x: Float32, weight: Float32, eps: float) -> Float32:
    """Each row of `x (n, cols)` divided by its root mean square, times `weight (cols,)`.

    >>> rms_norm(np.float32([[3, 3]]), np.float32([1, 2]), 0.0).round(3).tolist()
    [[1.0, 2.0]]
    """
    x, weight = _rows(x), _row(weight, x)
    out = np.empty_like(x)
    _rms_norm(x.ctypes.data, weight.ctypes.data, x.shape[0], x.shape[1], np.float32(eps), out.ctypes.data)
    return out


@compiled
def _layer_norm(x: int, weight: int, bias: int, n: int, cols: int, eps: np.float32, out: int) -> None:
    for row in range(n):
        here = 4 * row * cols
        sums = lanes.splat(np.float32(0.0))
        for i in range(0, cols, 16):
            sums = lanes.add(sums, lanes.load_first(x + here + 4 * i, cols - i))
        mean = lanes.splat(np.float32(lanes.total(sums) / np.float32(cols)))
        squares = lanes.splat(np.float32(0.0))
        nothing = squares
        for i in range(0, cols, 16):
            v = lanes.sub(lanes.load_first(x + here + 4 * i, cols - i), mean)
            v = lanes.first(v, nothing, cols - i)
            squares = lanes.fma(v, v, squares)
        spread = np.float32(lanes.total(squares) / np.float32(cols))
        factor = lanes.splat(np.float32(np.float32(1.0) / np.sqrt(spread + eps)))
        for i in range(0, cols, 16):
            v = lanes.mul(lanes.sub(lanes.load_first(x + here + 4 * i, cols - i), mean), factor)
            w, b = lanes.load_first(weight + 4 * i, cols - i), lanes.load_first(bias + 4 * i, cols - i)
            lanes.store_first(out + here + 4 * i, lanes.fma(v, w, b), cols - i)


def layer_norm(x: Float32, weight: Float32, bias: Float32, eps: float) -> Float32:
    """Each row of `x (n, cols)` moved to mean 0 and variance 1, times `weight`, plus `bias`."""
    x = _rows(x)
    weight, bias = _row(weight, x), _row(bias, x)
    out = np.empty_like(x)
    n, cols = x.shape
    _layer_norm(x.ctypes.data, weight.ctypes.data, bias.ctypes.data, n, cols, np.float32(eps), out.ctypes.data)
    return out


@compiled
def _swiglu(gate: int, up: int, count: int, out: int) -> None:
    for i in range(0, count, 16):
        left = count - i
        v = steps.silu_times(lanes.load_first(gate + 4 * i, left), lanes.load_first(up + 4 * i, left))
        lanes.store_first(out + 4 * i, v, left)


def swiglu(gate: Float32, up: Float32) -> Float32:
    """gate / (1 + e^-gate) * up, entry by entry.

    >>> swiglu(np.float32([0, 20]), np.float32([5, 2])).tolist()
    [0.0, 40.0]
    """
    assert gate.shape == up.shape
    gate, up = (np.ascontiguousarray(one, dtype=np.float32) for one in (gate, up))
    out = np.empty_like(gate)
    _swiglu(gate.ctypes.data, up.ctypes.data, gate.size, out.ctypes.data)
    return out


@compiled
def _gelu(x: Any, out: Any) -> None:
    for i in range(x.size):
        v = np.float64(x[i])
        out[i] = np.float32(0.5 * v * (1.0 + math.erf(v * 0.7071067811865476)))


def gelu(x: Float32) -> Float32:
    """x times the normal distribution's share below x, by erf (not the tanh approximation)."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    out = np.empty_like(x)
    _gelu(x.reshape(-1), out.reshape(-1))
    return out


@compiled
def _softmax(x: int, n: int, cols: int, out: int) -> None:
    masked, nothing = lanes.splat(np.float32(-3.0e38)), lanes.splat(np.float32(0.0))
    for row in range(n):
        here = 4 * row * cols
        top = masked
        for i in range(0, cols, 16):
            v = lanes.first(lanes.load_first(x + here + 4 * i, cols - i), masked, cols - i)
            top = lanes.maximum(top, v)
        largest = lanes.splat(lanes.highest(top))
        sums = nothing
        for i in range(0, cols, 16):
            e = lanes.exp(lanes.sub(lanes.load_first(x + here + 4 * i, cols - i), largest))
            e = lanes.first(e, nothing, cols - i)
            lanes.store_first(out + here + 4 * i, e, cols - i)
            sums = lanes.add(sums, e)
        inverse = lanes.splat(np.float32(np.float32(1.0) / lanes.total(sums)))
        for i in range(0, cols, 16):
            v = lanes.mul(lanes.load_first(out + here + 4 * i, cols - i), inverse)
            lanes.store_first(out + here + 4 * i, v, cols - i)


def softmax(x: Float32) -> Float32:
    """Shares that sum to one along the last axis.

    >>> softmax(np.float32([[1, 1], [0, -200]])).round(6).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    x = np.ascontiguousarray(x, dtype=np.float32)
    assert x.ndim >= 1 and x.shape[-1] >= 1
    out = np.empty_like(x)
    _softmax(x.ctypes.data, x.size // x.shape[-1], x.shape[-1], out.ctypes.data)
    return out


def _rows(x: Float32) -> Float32:
    assert x.ndim == 2
    return np.ascontiguousarray(x, dtype=np.float32)


def _row(vector: Float32, x: Float32) -> Float32:
    assert vector.shape == (x.shape[1],)
    return np.ascontiguousarray(vector, dtype=np.float32)
