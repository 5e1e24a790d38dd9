"""Keys and values of eight bits: half the memory of bfloat16, one scale for each position of a head.

They lie as the wide ones do (`attend`), a byte where those have two, and behind them the 32 positions' scales.
Attention widens what it needs once and then goes on as ever, so every path gives the same bits here as well.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ikkan.silicon.kernels import lanes
from ikkan.silicon.kernels.compiled import compiled, inlined

PAGE: Final = 32
"""Positions of a page."""
_ZERO, _ONE, _LARGEST = np.float32(0.0), np.float32(1.0), np.float32(127.0)


@inlined
def head_bytes(head_dim: int) -> int:
    """Bytes of one head's keys, or values, in one page.

    >>> head_bytes(64)
    2176
    """
    return PAGE * ((head_dim + 31) // 32 * 32) + 4 * PAGE


@inlined
def _scales(page: int, head_dim: int) -> int:
    return page + PAGE * ((head_dim + 31) // 32 * 32)


@compiled
def _scale(x: int, head_dim: int) -> np.float32:
    """What 1 stands for, so that the largest entry becomes 127."""
    lanes.apart()
    top = lanes.splat(_ZERO)
    for i in range(0, head_dim, 16):
        top = lanes.maximum(lanes.absolute(lanes.load_first(x + 4 * i, head_dim - i)), top)
    return np.float32(lanes.highest(top) / _LARGEST)


@inlined
def _inverse(scale: np.float32) -> np.float32:
    return _ONE / scale if scale > np.float32(1e-30) else _ZERO


@compiled
def store_key(key: int, head_dim: int, page: int, place: int) -> None:
    """Put one key into its page at one of 32 places; `page` is the address of the head's keys there."""
    lanes.apart()
    line = lanes.scratch_line()
    dims = (head_dim + 31) // 32 * 32
    scale = _scale(key, head_dim)
    inverse = lanes.splat(_inverse(scale))
    to = page + place // 16 * 16 * dims + place % 16 * 2
    for i in range(0, head_dim, 16):
        lanes.store_int8(line, lanes.mul(lanes.load_first(key + 4 * i, head_dim - i), inverse))
        for pair in range(8):
            lanes.copy_two(line + 2 * pair, to + 32 * (i // 2 + pair))
    lanes.write(_scales(page, head_dim) + 4 * place, scale)


@compiled
def store_value(value: int, head_dim: int, page: int, place: int) -> None:
    """Put one value into its page at one of 32 places; what is no number becomes zero (`attend.store_value`)."""
    lanes.apart()
    line = lanes.scratch_wide()
    for i in range(0, head_dim, 16):
        lanes.store(line + 4 * i, lanes.finite(lanes.load_first(value + 4 * i, head_dim - i)))
    scale = _scale(line, head_dim)
    inverse = lanes.splat(_inverse(scale))
    for i in range(0, head_dim, 16):
        v = lanes.mul(lanes.load_first(line + 4 * i, head_dim - i), inverse)
        lanes.store_every_other_int8(page + 32 * i + place // 2 * 32, v, place % 2)
    lanes.write(_scales(page, head_dim) + 4 * place, scale)


@compiled
def widen_keys(page: int, head_dim: int, to: int) -> None:
    """One head's keys of a page as bfloat16."""
    lanes.apart()
    dims = (head_dim + 31) // 32 * 32
    for half in range(2):
        scales = lanes.load(_scales(page, head_dim) + 64 * half)
        for pair in range(dims // 2):
            at = half * dims // 2 + pair
            lanes.widen_int8(page + 32 * at, scales, scales, to + 64 * at)


@compiled
def widen_values(page: int, head_dim: int, to: int) -> None:
    """One head's values of a page as bfloat16."""
    lanes.apart()
    dims = (head_dim + 31) // 32 * 32
    scales = _scales(page, head_dim)
    for pair in range(PAGE // 2):
        even, odd = lanes.splat_at(scales + 8 * pair), lanes.splat_at(scales + 8 * pair + 4)
        for tile in range(dims // 16):
            at = 16 * tile + pair
            lanes.widen_int8(page + 32 * at, even, odd, to + 64 * at)
