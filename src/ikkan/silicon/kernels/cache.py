"""The cache of keys and values, rotation by position, and attention, each on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ikkan.silicon.kernels import amx, attend, lanes, team
from ikkan.silicon.kernels.compiled import addressed, compiled
from ikkan.silicon.kernels.memory import aligned
from ikkan.silicon.kernels.multiply import shapes
from ikkan.silicon.kernels.narrow import PAGE
from ikkan.silicon.kernels.packed import Float32

RopeStyle = Literal["half", "interleaved"]
Bfloat16 = NDArray[np.uint16]
"""bfloat16 as numpy holds it: its bits."""


@dataclass(frozen=True, slots=True, eq=False)
class KeyValues:
    """Keys and values of one layer as bfloat16, in pages of 32 positions. Pages cost memory once they are written."""

    keys: Bfloat16
    """(pages, kv_heads, 2, dims / 2, 16, 2): twice 16 positions side by side, two dimensions each; dims are padded."""
    values: Bfloat16
    """(pages, kv_heads, dims / 16, 16, 16, 2): 16 dimensions side by side, two positions each."""
    tables: NDArray[np.int32]
    """(slots, pages of a slot): which page holds which 32 positions."""
    head_dim: int

    @property
    def context(self) -> int:
        """Positions a slot has room for, a multiple of 32."""
        return int(self.tables.shape[1]) * PAGE

    @property
    def kv_heads(self) -> int:
        """Heads of keys."""
        return int(self.keys.shape[1])

    @property
    def nbytes(self) -> int:
        """What it takes when every position is written."""
        return int(self.keys.nbytes + self.values.nbytes)


def new_cache(slots: int, kv_heads: int, context: int, head_dim: int) -> KeyValues:
    """An empty cache in which each slot has its own pages; `context` is rounded up to whole pages of 32 positions."""
    assert min(slots, kv_heads, context, head_dim) >= 1
    each, dims = -(-context // PAGE), -(-head_dim // 32) * 32
    pages = slots * each
    count = pages * kv_heads * PAGE * dims
    return KeyValues(
        keys=aligned(count, np.uint16, zero=True).reshape(pages, kv_heads, 2, dims // 2, 16, 2),
        values=aligned(count, np.uint16, zero=True).reshape(pages, kv_heads, dims // 16, 16, 16, 2),
        tables=np.arange(pages, dtype=np.int32).reshape(slots, each),
        head_dim=head_dim,
    )


@compiled
def _store(
    k: int,
    v: int,
    n: int,
    kv_heads: int,
    head_dim: int,
    keys: int,
    values: int,
    tables: Any,
    slots: Any,
    positions: Any,
) -> None:
    width = 4 * head_dim
    size = attend.head_bytes(head_dim, 0)
    for row in range(n):
        position = lanes.whole(positions[row])
        page = lanes.whole(tables[slots[row], position // PAGE])
        for head in range(kv_heads):
            here = (row * kv_heads + head) * width
            there = (page * kv_heads + head) * size
            attend.store_key(k + here, head_dim, keys + there, position % PAGE)
            attend.store_value(v + here, head_dim, values + there, position % PAGE)


def store_keys_values(
    k: Float32, v: Float32, cache: KeyValues, slots: NDArray[np.int32], positions: NDArray[np.int32]
) -> None:
    """Put keys and values `(n, kv_heads, head_dim)` at (slot, position)."""
    n, kv_heads, head_dim = k.shape
    slots, positions = _checked(cache, slots, positions, n)
    assert v.shape == k.shape and cache.kv_heads == kv_heads and cache.head_dim == head_dim
    k, v = (np.ascontiguousarray(one, dtype=np.float32) for one in (k, v))
    where = (cache.keys.ctypes.data, cache.values.ctypes.data, cache.tables, slots, positions)
    _store(k.ctypes.data, v.ctypes.data, n, kv_heads, head_dim, *where)


@addressed(2)
def _attend(block: int, thread: int) -> None:
    threads, step, units = lanes.word(block), lanes.word(block + 8), lanes.word(block + 16)
    heads, kv_heads, head_dim = lanes.word(block + 24), lanes.word(block + 32), lanes.word(block + 40)
    context, keys, values = lanes.word(block + 48), lanes.word(block + 56), lanes.word(block + 64)
    slots, positions, runs = lanes.word(block + 72), lanes.word(block + 80), lanes.word(block + 88)
    q, out, scale = lanes.word(block + 96), lanes.word(block + 104), lanes.read(block + 112)
    scratch = lanes.word(block + 120) + thread * attend.scratch_bytes(context, head_dim, 0)
    tables, table_stride, shapes = lanes.word(block + 128), lanes.word(block + 136), lanes.word(block + 144)
    stride = 4 * heads * head_dim
    chunk = attend.attend_chunk(units, heads, threads)
    unit = team.take(step, chunk)
    while unit < units:
        last = min(unit + chunk, units)
        attend.attend(
            unit, last, runs, q, stride, heads, kv_heads, head_dim, keys, values, tables, table_stride, slots,
            positions, scale, scratch, shapes, out, stride, 0, 0, 0, 0,
        )  # fmt: skip
        unit = team.take(step, chunk)
    if shapes != 0:
        amx.release()


def attention(
    q: Float32, cache: KeyValues, slots: NDArray[np.int32], positions: NDArray[np.int32], scale: float
) -> Float32:
    """Each query `(n, heads, head_dim)` attends to positions 0..its own of its slot.

    Queries and the softmax's numerators are rounded to bfloat16, as keys and values are. `heads` is a multiple of the
    cache's heads; neighbours share. A row's result depends, bit for bit, on that row and its slot only.
    """
    n, heads, head_dim = q.shape
    slots, positions = _checked(cache, slots, positions, n)
    kv_heads = cache.kv_heads
    assert heads % kv_heads == 0 and cache.head_dim == head_dim and head_dim % 2 == 0
    q = np.ascontiguousarray(q, dtype=np.float32)
    out = np.empty_like(q)
    threads = team.get_threads()
    step = aligned(team.STEP_WORDS, np.int64, zero=True)
    scratch = aligned(threads * attend.scratch_bytes(cache.context, head_dim, 0))
    runs = np.empty(n + 1, dtype=np.int64)
    units = heads * attend.find_runs(n, slots.ctypes.data, runs.ctypes.data)
    of_cache = (cache.context, cache.keys.ctypes.data, cache.values.ctypes.data)
    of_rows = (slots.ctypes.data, positions.ctypes.data, runs.ctypes.data, q.ctypes.data, out.ctypes.data)
    of_tables = (cache.tables.ctypes.data, cache.tables.strides[0], shapes())
    words = (0, step.ctypes.data, units, heads, kv_heads, head_dim, *of_cache, *of_rows, 0, scratch.ctypes.data)
    block = np.array((*words, *of_tables), dtype=np.int64)
    block.view(np.float32)[28] = scale
    team.launch(_attend, block, threads)
    return out


def _checked(
    cache: KeyValues, slots: NDArray[np.int32], positions: NDArray[np.int32], n: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    slots, positions = (np.ascontiguousarray(one, dtype=np.int32) for one in (slots, positions))
    assert slots.shape == positions.shape == (n,)
    assert n == 0 or (slots.min() >= 0 and slots.max() < len(cache.tables))
    assert n == 0 or (positions.min() >= 0 and positions.max() < cache.context)
    return slots, positions


def rope(x: Float32, positions: NDArray[np.int32], freqs: Float32, style: RopeStyle = "half") -> Float32:
    """Turn each pair of entries of `x (n, heads, head_dim)` by position x frequency; returns a new array.

    Args:
        positions: (n,)
        freqs: (head_dim / 2,) radians per position.
        style: "half": entry i and i + head_dim / 2 are partners (Qwen, Hugging Face); "interleaved": 2i and 2i + 1
            (llama weights in GGUF files).

    >>> rope(np.float32([[[1, 0]]]), np.int32([0]), np.float32([1])).tolist()
    [[[1.0, 0.0]]]
    """
    assert x.ndim == 3 and x.shape[2] == 2 * len(freqs) and len(positions) == x.shape[0]
    cos, sin = rope_tables(positions, freqs)
    cos, sin = cos[:, None], sin[:, None]
    pairs = (x[..., : len(freqs)], x[..., len(freqs) :]) if style == "half" else (x[..., 0::2], x[..., 1::2])
    turned = (pairs[0] * cos - pairs[1] * sin, pairs[1] * cos + pairs[0] * sin)
    joined = np.concatenate(turned, axis=-1) if style == "half" else np.stack(turned, axis=-1).reshape(x.shape)
    return joined.astype(np.float32, copy=False)


def rope_tables(positions: NDArray[np.int32], freqs: NDArray[np.floating[Any]]) -> tuple[Float32, Float32]:
    """cos and sin of position x frequency, each `(positions, head_dim / 2)`, worked out in float64."""
    angles = np.outer(np.asarray(positions, dtype=np.float64), np.asarray(freqs, dtype=np.float64))
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
