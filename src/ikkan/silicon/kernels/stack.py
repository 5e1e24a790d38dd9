"""A decoder's whole forward pass in one parallel region: the blocks, their cache, and the vocabulary at the end.

Entering a parallel region costs microseconds and a token of a small model has hundreds of steps, so the threads enter
once and share out every step's units (`team`). Who does which unit never changes a bit of the result, and neither does
what else is in the batch.

Begin at `_work`: it is the one definition of a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ikkan.silicon.kernels import lanes, steps, team
from ikkan.silicon.kernels.cache import BLOCK, rope_tables
from ikkan.silicon.kernels.compiled import compiled, inlined, parallel
from ikkan.silicon.kernels.formats import F16, GROUP, RECORD_BYTES, TILE_ROWS
from ikkan.silicon.kernels.multiply import path_code
from ikkan.silicon.kernels.packed import Float32, PackedMatrix, aligned

Int32 = NDArray[np.int32]

CHUNK: Final = 128
"""Tokens read together at most, so that their activations stay in the second-level cache."""

_CODE, _ADDRESS, _ROWS, _COLS = range(4)
"""Columns of the table of matrices."""
_Q, _K, _V, _OUT, _GATE, _UP, _DOWN = range(7)
"""Matrices of a block."""
_STEPS_OF_A_BLOCK, _STEPS_AROUND = 13, 3


@dataclass(frozen=True, slots=True)
class Shape:
    """The measurements of every block of a stack."""

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    rms_eps: float
    rope_theta: float


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One block's weights. Rows of q and k have their rotation partners half a head apart."""

    attention_norm: Float32
    q: PackedMatrix
    k: PackedMatrix
    v: PackedMatrix
    qkv_bias: Float32 | None
    """Of q, k and v, one after the other."""
    out: PackedMatrix
    ffn_norm: Float32
    gate: PackedMatrix
    up: PackedMatrix
    down: PackedMatrix

    @property
    def matrices(self) -> tuple[PackedMatrix, ...]:
        """In the order of the table."""
        return self.q, self.k, self.v, self.out, self.gate, self.up, self.down


class Cache:
    """Keys and values of all layers in float32. Memory is taken from the system only where tokens were written.

    Keys stand as (block of 16 positions, head_dim, position in the block), values as (position, head_dim).
    """

    def __init__(self, layers: int, slots: int, kv_heads: int, context_tokens: int, head_dim: int) -> None:
        self.slots = slots
        self.context_tokens = context_tokens
        self.shape = (layers, slots, kv_heads, _padded(context_tokens), head_dim)
        count = int(np.prod(self.shape, dtype=np.int64))
        self.keys: Float32 = aligned(count, np.float32, zero=True)
        self.values: Float32 = aligned(count, np.float32, zero=True)

    @property
    def bytes(self) -> int:
        """What the cache takes when every slot is full."""
        return int(self.keys.nbytes + self.values.nbytes)


class Stack:
    """Blocks, their embedding and their output matrix, ready to run on `threads` cores. One call at a time.

    Args:
        blocks: first to last; a matrix may be of any format, also within a block.
        threads: how many threads share the work; at most as many as numba started with.
    """

    def __init__(
        self,
        shape: Shape,
        blocks: Sequence[Block],
        embedding: PackedMatrix,
        final_norm: Float32,
        output: PackedMatrix,
        *,
        threads: int,
    ) -> None:
        s = self.shape = shape
        assert s.heads % s.kv_heads == 0 and s.head_dim % 2 == 0
        self.layers, self.vocab = len(blocks), output.rows
        self._threads = max(1, min(threads, team.MOST_THREADS))
        self._blocks, self._embedding, self._output = tuple(blocks), embedding, output  # tables hold bare addresses
        self._table = np.array([[_entry(matrix) for matrix in block.matrices] for block in blocks], np.int64)
        self._ends = np.array([_entry(embedding), _entry(output)], np.int64)
        norms = [norm for block in blocks for norm in (block.attention_norm, block.ffn_norm)]
        self._norms = np.ascontiguousarray(np.stack([*norms, final_norm]), dtype=np.float32)
        self._width = (s.heads + 2 * s.kv_heads) * s.head_dim
        self._biased = any(block.qkv_bias is not None for block in blocks)
        none = np.zeros(self._width if self._biased else 0, np.float32)
        self._bias = np.stack([none if block.qkv_bias is None else block.qkv_bias for block in blocks])
        self._cos = self._sin = np.zeros((0, s.head_dim // 2), np.float32)
        self._scratch = aligned(0)
        self._counters = aligned((self.layers * _STEPS_OF_A_BLOCK + _STEPS_AROUND) * team.STEP_WORDS, np.int64)
        self._room = 0

    def new_cache(self, slots: int, context_tokens: int) -> Cache:
        """An empty cache for this stack."""
        return Cache(self.layers, slots, self.shape.kv_heads, context_tokens, self.shape.head_dim)

    def forward(self, tokens: Int32, slots: Int32, positions: Int32, cache: Cache, logit_rows: Int32) -> Float32:
        """Read tokens into their slots of the cache; the logits of some of them.

        Args:
            tokens, slots, positions: (n,) int32, contiguous; tokens of one slot come in increasing position, each right
                behind what the slot already holds. Not checked here.
            logit_rows: (m,) which of the n tokens' logits are wanted, in any order.

        Returns:
            float32 (m, vocab). A row depends on its slot's tokens only, bit for bit.
        """
        order = np.argsort(logit_rows, kind="stable")
        wanted = logit_rows[order]
        logits = np.empty((len(wanted), self.vocab), np.float32)
        with team.LOCK, team.of(self._threads) as threads:
            self._prepare(min(len(tokens), CHUNK), cache.context_tokens)
            for first in range(0, len(tokens), CHUNK):
                part = slice(first, first + CHUNK)
                begin, end = np.searchsorted(wanted, [first, first + CHUNK])
                rows = wanted[begin:end] - np.int32(first)
                self._run(threads, tokens[part], slots[part], positions[part], cache, rows, logits[begin:end])
        if np.array_equal(wanted, logit_rows):
            return logits
        restored = np.empty_like(logits)
        restored[order] = logits
        return restored

    def _prepare(self, tokens: int, context_tokens: int) -> None:
        """Grow the work space and the table of rotations to what this call needs."""
        s = self.shape
        if len(self._cos) < context_tokens:
            freqs = s.rope_theta ** -(np.arange(0, s.head_dim, 2, dtype=np.float64) / s.head_dim)
            self._cos, self._sin = rope_tables(np.arange(context_tokens, dtype=np.int32), freqs)
        scratch = self._threads * steps.scratch_bytes(_padded(context_tokens))
        if self._scratch.nbytes < scratch:
            self._scratch = aligned(scratch)
        if self._room < tokens:
            self._room = n = 1 if tokens == 1 else CHUNK
            joined = _padded(s.heads * s.head_dim)
            widest = _padded(max(s.hidden, s.intermediate))
            self._x = aligned(n * s.hidden, np.float32)
            self._qkv = aligned(n * self._width, np.float32)
            self._mixed = aligned(n * joined, np.float32, zero=True)
            self._floats = aligned(n * widest, np.float32, zero=True)
            self._wide_floats = aligned(n * widest, np.float32, zero=True)
            self._records = aligned(n * _record_stride(max(widest, joined)))
            self._wide_records = aligned(n * _record_stride(max(widest, joined)))

    def _run(
        self,
        threads: int,
        tokens: Int32,
        slots: Int32,
        positions: Int32,
        cache: Cache,
        rows: Int32,
        logits: Float32,
    ) -> None:
        s = self.shape
        joined, widest = _padded(s.heads * s.head_dim), _padded(max(s.hidden, s.intermediate))
        context = cache.shape[3]
        sizes = np.array(
            [self.layers, s.hidden, s.heads, s.kv_heads, s.head_dim, s.intermediate, context, self._biased], np.int64
        )
        strides = np.array(
            [4 * joined, 4 * widest, _record_stride(max(widest, joined)), cache.keys.nbytes // self.layers], np.int64
        )
        arrays = (
            self._norms, self._bias, self._cos, self._sin, self._x, self._qkv, self._mixed, self._floats,
            self._wide_floats, self._records, self._wide_records, self._scratch, cache.keys, cache.values, logits,
        )  # fmt: skip
        places = np.array([array.ctypes.data for array in arrays], np.int64)
        _forward(
            threads, path_code(), np.float32(s.rms_eps), sizes, strides, places, self._table, self._ends,
            self._counters, tokens, slots, positions, rows,
        )  # fmt: skip


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _record_stride(cols: int) -> int:
    return -(-cols // GROUP) * RECORD_BYTES


def _entry(matrix: PackedMatrix) -> tuple[int, int, int, int]:
    return matrix.code, matrix.address, matrix.rows, matrix.cols


# What one thread does.


@inlined
def _share(units: int, threads: int, parts: int) -> int:
    """Units to take at once so that each thread takes about `parts` times."""
    return max((units + threads * parts - 1) // (threads * parts), 1)


@compiled
def _norm_step(
    step: int,
    threads: int,
    n: int,
    hidden: int,
    x: int,
    weight: int,
    eps: np.float32,
    records: int,
    record_bytes: int,
    floats: int,
    float_bytes: int,
    matrices: Any,
) -> None:
    """RMS norm of all rows, in each form that one of the matrices behind it multiplies with."""
    lanes.apart()
    for form in range(2):
        needed = False
        for m in range(matrices.shape[0]):
            needed = needed or (matrices[m, _CODE] >= F16) == (form == 1)
        if needed:
            groups = steps.groups_of(hidden, form)
            target, stride = (floats, float_bytes) if form == 1 else (records, record_bytes)
            units = n * groups
            chunk = _share(units, threads, 1) if n < 4 * threads else groups * _share(n, threads, 4)
            this = step + form * 8 * team.STEP_WORDS
            unit = team.take(this, chunk)
            while unit < units:
                last = min(unit + chunk, units)
                steps.norm(unit, last, hidden, x, 4 * hidden, weight, eps, target, stride, form)
                team.finish(this, last - unit)
                unit = team.take(this, chunk)
            team.wait(this, units)


@compiled
def _multiply_step(
    step: int,
    threads: int,
    path: int,
    matrix: Any,
    n: int,
    records: int,
    record_bytes: int,
    floats: int,
    float_bytes: int,
    out: int,
    out_bytes: int,
    bias: int,
    accumulate: int,
) -> None:
    """One matrix, in whatever form it multiplies; does not wait."""
    lanes.apart()
    code, data, rows, cols = matrix[_CODE], matrix[_ADDRESS], matrix[_ROWS], matrix[_COLS]
    x, stride = (floats, float_bytes) if code >= F16 else (records, record_bytes)
    units = _tiles(matrix)
    chunk = _share(units, threads, 8)
    unit = team.take(step, chunk)
    while unit < units:
        last = min(unit + chunk, units)
        steps.matmul(unit, last, path, code, data, rows, cols, n, x, stride, out, out_bytes, bias, accumulate)
        team.finish(step, last - unit)
        unit = team.take(step, chunk)


@inlined
def _tiles(matrix: Any) -> int:
    tiles: int = (matrix[_ROWS] + TILE_ROWS - 1) // TILE_ROWS
    return tiles


@compiled
def _work(
    thread: int,
    threads: int,
    path: int,
    eps: np.float32,
    sizes: Any,
    strides: Any,
    places: Any,
    table: Any,
    ends: Any,
    counters: int,
    runs: Any,
    run_count: int,
    tokens: Any,
    slots: Any,
    positions: Any,
    rows: Any,
) -> None:
    """What one thread does: embed, walk the blocks, and multiply its part of the vocabulary.

    A block (Llama, Qwen2): x += out(attention(rms_norm(x))); x += down(silu(gate) * up) of rms_norm(x).
    """
    lanes.apart()
    layers, hidden, heads, kv_heads, dim = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    inter, context, biased = sizes[5], sizes[6], sizes[7]
    mb, fb, rb, layer_bytes = strides[0], strides[1], strides[2], strides[3]
    norms, all_bias, cos, sin, x = places[0], places[1], places[2], places[3], places[4]
    qkv, mixed, floats, wide_floats = places[5], places[6], places[7], places[8]
    records, wide_records, keys, values, logits = places[9], places[10], places[12], places[13], places[14]
    scratch = places[11] + thread * steps.scratch_bytes(context)
    n = tokens.size
    xb = 4 * hidden
    joined = heads * dim
    width = 4 * (heads + 2 * kv_heads) * dim
    k_at, v_at = 4 * joined, 4 * (heads + kv_heads) * dim
    scale = np.float32(np.float32(1.0) / np.sqrt(np.float32(dim)))
    bytes_of_a_step = 8 * team.STEP_WORDS
    step = counters

    chunk = _share(n, threads, 4)
    unit = team.take(step, chunk)
    while unit < n:
        last = min(unit + chunk, n)
        steps.embed(unit, last, ends[0, _CODE], ends[0, _ADDRESS], hidden, tokens, x, xb)
        team.finish(step, last - unit)
        unit = team.take(step, chunk)
    team.wait(step, n)
    step += bytes_of_a_step

    for layer in range(layers):
        block = table[layer]
        layer_keys, layer_values = keys + layer * layer_bytes, values + layer * layer_bytes
        norm = norms + 2 * layer * xb

        _norm_step(step, threads, n, hidden, x, norm, eps, records, rb, floats, fb, block[_Q : _V + 1])
        step += 2 * bytes_of_a_step
        for m in range(_Q, _V + 1):
            part = 0 if m == _Q else k_at if m == _K else v_at
            bias = all_bias + layer * width + part if biased != 0 else 0
            this = step + (m - _Q) * bytes_of_a_step
            _multiply_step(this, threads, path, block[m], n, records, rb, floats, fb, qkv + part, width, bias, 0)
        for m in range(_Q, _V + 1):
            team.wait(step + (m - _Q) * bytes_of_a_step, _tiles(block[m]))
        step += 3 * bytes_of_a_step

        units = n * (heads + 2 * kv_heads)
        chunk = _share(units, threads, 1) if n < 4 * threads else _share(units, threads, 4)
        unit = team.take(step, chunk)
        while unit < units:
            last = min(unit + chunk, units)
            steps.rope_and_store(
                unit, last, qkv, qkv + k_at, qkv + v_at, width, heads, kv_heads, dim, slots, positions, cos, sin,
                layer_keys, layer_values, context,
            )  # fmt: skip
            team.finish(step, last - unit)
            unit = team.take(step, chunk)
        team.wait(step, units)
        step += bytes_of_a_step

        # Records are written by attention itself where a head is whole groups; quantised rows are.
        target = 0
        if block[_OUT, _CODE] < F16 and dim % GROUP == 0:
            target = wide_records
        units = run_count * heads
        chunk = steps.attend_chunk(units, heads, threads)
        unit = team.take(step, chunk)
        while unit < units:
            last = min(unit + chunk, units)
            steps.attend(
                unit, last, runs, qkv, width, heads, kv_heads, dim, layer_keys, layer_values, context, slots, positions,
                scale, scratch, mixed, mb, target, rb,
            )  # fmt: skip
            team.finish(step, last - unit)
            unit = team.take(step, chunk)
        team.wait(step, units)
        step += bytes_of_a_step
        if block[_OUT, _CODE] < F16 and target == 0:
            units = n * (joined // GROUP)
            unit = team.take(step, joined // GROUP)
            while unit < units:
                steps.quantize(unit, unit + joined // GROUP, joined, mixed, mb, wide_records, rb, 0)
                team.finish(step, joined // GROUP)
                unit = team.take(step, joined // GROUP)
            team.wait(step, units)
        step += bytes_of_a_step
        _multiply_step(step, threads, path, block[_OUT], n, wide_records, rb, mixed, mb, x, xb, 0, 1)
        team.wait(step, _tiles(block[_OUT]))
        step += bytes_of_a_step

        _norm_step(step, threads, n, hidden, x, norm + xb, eps, records, rb, floats, fb, block[_GATE : _UP + 1])
        step += 2 * bytes_of_a_step
        form = 1 if block[_DOWN, _CODE] >= F16 else 0
        target, stride = (wide_floats, fb) if form == 1 else (wide_records, rb)
        units = (inter + GROUP - 1) // GROUP
        chunk = _share(units, threads, 8)
        unit = team.take(step, chunk)
        while unit < units:
            last = min(unit + chunk, units)
            steps.gate_up(
                unit, last, path, block[_GATE, _CODE], block[_GATE, _ADDRESS], block[_UP, _CODE], block[_UP, _ADDRESS],
                inter, hidden, n, records, floats, rb, fb, target, stride, form,
            )  # fmt: skip
            team.finish(step, last - unit)
            unit = team.take(step, chunk)
        team.wait(step, units)
        step += bytes_of_a_step
        _multiply_step(step, threads, path, block[_DOWN], n, wide_records, rb, wide_floats, fb, x, xb, 0, 1)
        team.wait(step, _tiles(block[_DOWN]))
        step += bytes_of_a_step

    m = rows.size
    if m > 0:
        norm = norms + 2 * layers * xb
        form = 1 if ends[1, _CODE] >= F16 else 0
        groups = steps.groups_of(hidden, form)
        unit = team.take(step, 1)
        while unit < m:
            row = x + lanes.whole(rows[unit]) * xb
            if form == 1:
                steps.norm(0, groups, hidden, row, xb, norm, eps, floats + unit * fb, fb, 1)
            else:
                steps.norm(0, groups, hidden, row, xb, norm, eps, records + unit * rb, rb, 0)
            team.finish(step, 1)
            unit = team.take(step, 1)
        team.wait(step, m)
        step += bytes_of_a_step
        _multiply_step(step, threads, path, ends[1], m, records, rb, floats, fb, logits, 4 * ends[1, _ROWS], 0, 0)


@parallel
def _forward(
    threads: int,
    path: int,
    eps: np.float32,
    sizes: Any,
    strides: Any,
    places: Any,
    table: Any,
    ends: Any,
    counters: Any,
    tokens: Any,
    slots: Any,
    positions: Any,
    rows: Any,
) -> None:
    counters[:] = 0
    runs = np.empty(tokens.size + 1, dtype=np.int64)
    run_count = steps.find_runs(tokens.size, slots, runs)
    for thread in prange(threads):
        _work(
            lanes.whole(thread), threads, path, eps, sizes, strides, places, table, ends, counters.ctypes.data, runs, run_count,
            tokens, slots, positions, rows,
        )  # fmt: skip
