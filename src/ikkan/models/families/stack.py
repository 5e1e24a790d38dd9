"""A whole forward pass in one parallel region: every thread walks all blocks and meets the others at barriers.

Entering a parallel region costs microseconds and a token of a small model has some 300 steps, so the threads enter
once. Between two meetings each thread has its share of rows, tokens or heads; which thread has which never changes a
bit of the result. The steps themselves are silicon's (`ikkan.silicon.kernels.phases`).

Begin at `_work`: it is the one definition of a block.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import prange
from numpy.typing import NDArray

from ikkan.models.values import Float32, Int32
from ikkan.silicon import kernels
from ikkan.silicon.kernels import PackedMatrix, phases, team
from ikkan.silicon.kernels.compiled import compiled, parallel
from ikkan.silicon.kernels.formats import F16, RECORD_BYTES

CHUNK: Final = 128
"""Tokens read together at most; their activations stay in the second-level cache."""

_CODE, _ADDRESS, _ROWS, _COLS = range(4)
"""Columns of the table of matrices."""
_Q, _K, _V, _OUT, _GATE, _UP, _DOWN = range(7)
"""Matrices of a block."""
_RECORDS, _FLOATS = 1, 2
"""Forms of activations: rounded records for quantised matrices, float rows for the others. A step may write both."""


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


@dataclass(frozen=True, slots=True)
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
    """Keys and values in float32. Memory is taken from the system only where tokens were written.

    Keys stand as (block of 16 positions, head_dim, position in the block), values as (position, head_dim); the number
    of positions is rounded up to a multiple of 16.
    """

    def __init__(self, layers: int, slots: int, kv_heads: int, context_tokens: int, head_dim: int) -> None:
        self.slots = slots
        self.context_tokens = context_tokens
        self.shape = (layers, slots, kv_heads, _padded(context_tokens), head_dim)
        numbers = int(np.prod(self.shape, dtype=np.int64))
        self.keys: Float32 = kernels.aligned(numbers, np.float32, zero=True)
        self.values: Float32 = kernels.aligned(numbers, np.float32, zero=True)

    @property
    def bytes(self) -> int:
        """What the cache takes when every slot is full."""
        return int(self.keys.nbytes + self.values.nbytes)


class Stack:
    """Blocks, their embedding and their output matrix, ready to run on `threads` cores. One call at a time."""

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
        self.layers, self.vocab = len(blocks), output.rows
        self._threads = max(1, min(threads, team.MOST_THREADS))
        self._lock = threading.Lock()
        self._embedding, self._output = embedding, output
        self._blocks = tuple(blocks)  # the table holds bare addresses
        self._table = np.array([[_entry(matrix) for matrix in block.matrices] for block in blocks], np.int64)
        norms = [norm for block in blocks for norm in (block.attention_norm, block.ffn_norm)]
        self._norms = np.stack([*norms, final_norm])
        self._width = (s.heads + 2 * s.kv_heads) * s.head_dim
        self._bias = np.stack(
            [np.zeros(self._width, np.float32) if block.qkv_bias is None else block.qkv_bias for block in blocks]
        )
        self._biased = any(block.qkv_bias is not None for block in blocks)
        self._cos = self._sin = np.zeros((0, s.head_dim // 2), np.float32)
        self._scratch = np.zeros(0, np.uint8)
        self._room = 0

    def new_cache(self, slots: int, context_tokens: int) -> Cache:
        """An empty cache for this stack."""
        return Cache(self.layers, slots, self.shape.kv_heads, context_tokens, self.shape.head_dim)

    def forward(self, tokens: Int32, slots: Int32, positions: Int32, cache: Cache, logit_rows: Int32) -> Float32:
        """The logits of the rows asked for; arguments were checked by the caller."""
        order = np.argsort(logit_rows, kind="stable")
        wanted = logit_rows[order]
        logits = np.empty((len(wanted), self.vocab), np.float32)
        with self._lock:
            self._prepare(min(len(tokens), CHUNK), cache.context_tokens)
            for first in range(0, len(tokens), CHUNK):
                part = slice(first, first + CHUNK)
                begin, end = np.searchsorted(wanted, [first, first + CHUNK])
                rows = wanted[begin:end] - np.int32(first)
                self._chunk(tokens[part], slots[part], positions[part], cache, rows, logits[begin:end])
        if np.array_equal(wanted, logit_rows):
            return logits
        restored = np.empty_like(logits)
        restored[order] = logits
        return restored

    def _prepare(self, tokens: int, context_tokens: int) -> None:
        """Grow the work space and the table of rotations to what this call needs."""
        s = self.shape
        if len(self._cos) < context_tokens:
            powers = np.arange(0, s.head_dim, 2, dtype=np.float64) / s.head_dim
            angles = np.outer(np.arange(context_tokens, dtype=np.float64), s.rope_theta**-powers)
            self._cos, self._sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        scratch = self._threads * phases.scratch_bytes(_padded(context_tokens))
        if self._scratch.nbytes < scratch:
            self._scratch = kernels.aligned(scratch)
        if self._room < tokens:
            self._room = n = 1 if tokens == 1 else CHUNK
            widest = _padded(max(s.hidden, s.heads * s.head_dim, s.intermediate))
            self._x: Float32 = kernels.aligned(n * s.hidden, np.float32).reshape(n, -1)
            self._wide: Float32 = kernels.aligned(n * max(self._width, 2 * s.intermediate), np.float32)
            self._mixed: Float32 = kernels.aligned(n * _padded(s.heads * s.head_dim), np.float32, zero=True)
            self._floats: Float32 = kernels.aligned(n * widest, np.float32, zero=True).reshape(n, -1)
            self._records = kernels.aligned(n * (widest // 32 + 1) * RECORD_BYTES).reshape(n, -1)

    def _chunk(self, tokens: Int32, slots: Int32, positions: Int32, cache: Cache, rows: Int32, logits: Float32) -> None:
        s = self.shape
        self._x[: len(tokens)] = kernels.rows(self._embedding, tokens)
        counter = np.zeros(16, np.int64)
        sizes = np.array(
            [len(tokens), self.layers, s.hidden, s.heads, s.kv_heads, s.head_dim, s.intermediate, cache.shape[3]],
            np.int64,
        )
        places = np.array(
            [
                _address(array)
                for array in (
                    counter[8:], self._norms, self._bias, self._cos, self._sin, self._x, self._wide, self._mixed,
                    self._floats, self._records, self._scratch, cache.keys, cache.values, logits,
                )
            ],
            np.int64,
        )  # fmt: skip
        strides = np.array(
            [self._floats.strides[0], self._records.strides[0], cache.keys.nbytes // self.layers, self._biased],
            np.int64,
        )
        with team.LOCK, team.of(self._threads) as threads:
            _run(
                threads, kernels.path_code(), sizes, np.float32(s.rms_eps), self._table,
                np.array(_entry(self._output), np.int64), places, strides, slots, positions, rows,
            )  # fmt: skip


def _padded(size: int) -> int:
    return -(-size // 16) * 16


def _entry(matrix: PackedMatrix) -> tuple[int, int, int, int]:
    return matrix.code, matrix.address, matrix.rows, matrix.cols


def _address(array: NDArray[np.generic]) -> int:
    assert array.flags.c_contiguous
    return int(array.ctypes.data)


Table = NDArray[np.int64]


@compiled
def _forms(matrices: Table) -> int:
    """Which forms of activations these matrices multiply."""
    forms = 0
    for m in range(matrices.shape[0]):
        forms |= _FLOATS if matrices[m, _CODE] >= F16 else _RECORDS
    return forms


@compiled
def _multiply(
    path: int,
    thread: int,
    threads: int,
    matrix: Table,
    n: int,
    floats: int,
    float_bytes: int,
    records: int,
    record_bytes: int,
    out: int,
    out_bytes: int,
    bias: int,
    accumulate: int,
) -> None:
    """This thread's rows of one matrix times activations in the form that it wants."""
    x, stride = (floats, float_bytes) if matrix[_CODE] >= F16 else (records, record_bytes)
    code, address, rows, cols = matrix[_CODE], matrix[_ADDRESS], matrix[_ROWS], matrix[_COLS]
    phases.matmul(
        path, thread, threads, code, address, rows, cols, n, x, stride, out, out_bytes, bias, accumulate
    )  # fmt: skip


@compiled
def _work(
    thread: int,
    threads: int,
    path: int,
    sizes: Table,
    eps: np.float32,
    table: Table,
    output: Table,
    places: Table,
    strides: Table,
    slots: Int32,
    positions: Int32,
    rows: Int32,
) -> None:
    """What one thread does: walk the blocks, then multiply its part of the vocabulary.

    A block (Llama, Qwen2): x += out(attention(rms_norm(x))); x += down(silu(gate) * up) of rms_norm(x).
    """
    n, layers, hidden, heads = sizes[0], sizes[1], sizes[2], sizes[3]
    kv_heads, dim, inter, context = sizes[4], sizes[5], sizes[6], sizes[7]
    counter, norms, bias, cos, sin, x, wide = (
        places[0], places[1], places[2], places[3], places[4], places[5], places[6],
    )  # fmt: skip
    mixed, floats, records, scratch = places[7], places[8], places[9], places[10]
    keys, values, logits = places[11], places[12], places[13]
    fb, rb, layer_bytes, biased = strides[0], strides[1], strides[2], strides[3]
    xb, joined = 4 * hidden, heads * dim
    mb = (joined + 15) // 16 * 64
    qkv, k_at, v_at = 4 * (heads + 2 * kv_heads) * dim, 4 * joined, 4 * (heads + kv_heads) * dim
    scale = np.float32(np.float32(1.0) / np.sqrt(np.float32(dim)))
    goal = 0

    for layer in range(layers):
        block = table[layer]
        forms = _forms(block[_Q : _V + 1])
        norm = norms + 2 * layer * xb
        if forms & _RECORDS:
            phases.norm(thread, threads, n, hidden, x, xb, norm, eps, records, rb, 0)
        if forms & _FLOATS:
            phases.norm(thread, threads, n, hidden, x, xb, norm, eps, floats, fb, 1)
        goal = team.barrier(counter, goal, threads)
        for m in range(_Q, _V + 1):
            part = 0 if m == _Q else k_at if m == _K else v_at
            plus = bias + layer * qkv + part if biased else 0
            _multiply(path, thread, threads, block[m], n, floats, fb, records, rb, wide + part, qkv, plus, 0)
        goal = team.barrier(counter, goal, threads)

        layer_keys, layer_values = keys + layer * layer_bytes, values + layer * layer_bytes
        phases.rope_and_store(
            thread, threads, n, wide, wide + k_at, wide + v_at, qkv, heads, kv_heads, dim, slots, positions, cos, sin,
            layer_keys, layer_values, context,
        )  # fmt: skip
        goal = team.barrier(counter, goal, threads)
        forms = _forms(block[_OUT : _OUT + 1])
        whole = dim % 32 == 0  # then attention rounds its own results
        phases.attend(
            thread, threads, n, wide, qkv, heads, kv_heads, dim, layer_keys, layer_values, context, slots, positions,
            scale, scratch, mixed, mb, records if forms & _RECORDS and whole else 0, rb,
        )  # fmt: skip
        goal = team.barrier(counter, goal, threads)
        if forms & _RECORDS and not whole:
            phases.quantize(thread, threads, n, joined, mixed, mb, records, rb, 0)
            goal = team.barrier(counter, goal, threads)
        _multiply(path, thread, threads, block[_OUT], n, mixed, mb, records, rb, x, xb, 0, 1)
        goal = team.barrier(counter, goal, threads)

        forms = _forms(block[_GATE : _UP + 1])
        if forms & _RECORDS:
            phases.norm(thread, threads, n, hidden, x, xb, norm + xb, eps, records, rb, 0)
        if forms & _FLOATS:
            phases.norm(thread, threads, n, hidden, x, xb, norm + xb, eps, floats, fb, 1)
        goal = team.barrier(counter, goal, threads)
        _multiply(path, thread, threads, block[_GATE], n, floats, fb, records, rb, wide, 8 * inter, 0, 0)
        _multiply(path, thread, threads, block[_UP], n, floats, fb, records, rb, wide + 4 * inter, 8 * inter, 0, 0)
        goal = team.barrier(counter, goal, threads)
        if _forms(block[_DOWN : _DOWN + 1]) & _RECORDS:
            phases.swiglu(thread, threads, n, inter, wide, wide + 4 * inter, 8 * inter, records, rb, 0)
        else:
            phases.swiglu(thread, threads, n, inter, wide, wide + 4 * inter, 8 * inter, floats, fb, 1)
        goal = team.barrier(counter, goal, threads)
        _multiply(path, thread, threads, block[_DOWN], n, floats, fb, records, rb, x, xb, 0, 1)
        goal = team.barrier(counter, goal, threads)

    m = rows.size
    if m > 0:
        norm = norms + 2 * layers * xb
        for r in range(m * thread // threads, m * (thread + 1) // threads):
            row = x + rows[r] * xb
            if output[_CODE] >= F16:
                phases.norm(0, 1, 1, hidden, row, xb, norm, eps, floats + r * fb, fb, 1)
            else:
                phases.norm(0, 1, 1, hidden, row, xb, norm, eps, records + r * rb, rb, 0)
        goal = team.barrier(counter, goal, threads)
        _multiply(path, thread, threads, output, m, floats, fb, records, rb, logits, 4 * output[_ROWS], 0, 0)


@parallel
def _run(
    threads: int,
    path: int,
    sizes: Table,
    eps: np.float32,
    table: Table,
    output: Table,
    places: Table,
    strides: Table,
    slots: Int32,
    positions: Int32,
    rows: Int32,
) -> None:
    for thread in prange(threads):
        _work(thread, threads, path, sizes, eps, table, output, places, strides, slots, positions, rows)
