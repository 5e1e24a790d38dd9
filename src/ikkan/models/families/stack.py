"""A whole forward pass in one parallel region: every thread walks all blocks, meeting the others at barriers.

Entering a parallel region costs some 7 microseconds and a token of a small model has some 200 steps, so the threads enter
once and meet by spinning on a counter. Between two meetings each thread has its own rows, tokens or heads; which thread
has which never changes a bit of the result.

Begin at `_work`; it is the one definition of a block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numba
import numpy as np

from ikkan.models.families.tiles import (
    Q4,
    Q8,
    QUERIES,
    TOKENS,
    TiledMatrix,
    aligned,
    arrive,
    arrived,
    attend,
    embed_row,
    give_way,
    jit,
    quantise,
    relax,
    scale_by,
    sum_of_squares,
    swiglu,
    tile_1,
    tile_bytes,
    tile_n,
)
from ikkan.models.values import Float32, Int32

CHUNK: Final = 128
"""Tokens read together at most; their activations stay in the second-level cache."""
_SPINS: Final = 4096
"""Turns of a waiting loop, some 100 microseconds, before the core is offered to others."""

# One matrix of a block: what a row of the int64 table says.
_CODE, _ADDRESS, _ROWS, _COLS, _FIRST = range(5)
_Q, _K, _V, _OUT, _GATE, _UP, _DOWN = range(7)


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
    q: TiledMatrix
    k: TiledMatrix
    v: TiledMatrix
    qkv_bias: Float32 | None
    """Of q, k and v, one after the other."""
    out: TiledMatrix
    ffn_norm: Float32
    gate: TiledMatrix
    up: TiledMatrix
    down: TiledMatrix


class Cache:
    """Keys and values in float32. Memory is taken from the system only where tokens were written.

    Keys stand as (block of 16 positions, head_dim, position in the block), values as (position, head_dim); head_dim and
    positions are rounded up to 16.
    """

    def __init__(self, layers: int, slots: int, kv_heads: int, context_tokens: int, head_dim: int) -> None:
        self.slots = slots
        self.context_tokens = context_tokens
        shape = (layers, slots, kv_heads, _padded(context_tokens, 16), _padded(head_dim, 16))
        self.keys: Float32 = aligned(shape, np.float32)
        self.values: Float32 = aligned(shape, np.float32)

    @property
    def bytes(self) -> int:
        """What the cache takes when every slot is full."""
        return int(self.keys.nbytes + self.values.nbytes)


class Stack:
    """Blocks, their embedding and their output matrix, ready to run on `threads` cores. One call at a time.

    Args:
        path: index of the kernel path (`tiles.best_path`).
    """

    def __init__(
        self,
        shape: Shape,
        blocks: Sequence[Block],
        embedding: TiledMatrix,
        final_norm: Float32,
        output: TiledMatrix,
        *,
        threads: int,
        path: int,
    ) -> None:
        self.shape = shape
        self.vocab = output.rows
        self.layers = len(blocks)
        self._kept = (tuple(blocks), embedding, output)  # the tables below hold bare addresses
        self._path = path
        self._lock = threading.Lock()
        self._threads = team(threads)
        s = shape
        self._hidden = _padded(s.hidden, 32)
        self._inner = _padded(s.intermediate, 32)
        self._joined = _padded(s.heads * s.head_dim, 32)
        self._dim = _padded(s.head_dim, 16)
        self._qkv = (s.heads + 2 * s.kv_heads) * s.head_dim
        self._matrices = np.zeros((self.layers, 7, 5), np.int64)
        self._norms: Float32 = aligned((2 * self.layers + 1, self._hidden), np.float32)
        self._bias: Float32 = np.zeros((self.layers, self._qkv), np.float32)
        for table, norms, bias, block in zip(
            self._matrices, self._norms[:-1].reshape(-1, 2, self._hidden), self._bias, blocks, strict=True
        ):
            matrices = (block.q, block.k, block.v, block.out, block.gate, block.up, block.down)
            # q, k and v share one row of work space; gate and up too, a padded width apart.
            places = (0, block.q.rows, block.q.rows + block.k.rows, 0, 0, self._inner, 0)
            table[:] = [_entry(matrix, first) for matrix, first in zip(matrices, places, strict=True)]
            norms[0, : s.hidden], norms[1, : s.hidden] = block.attention_norm, block.ffn_norm
            if block.qkv_bias is not None:
                bias[:] = block.qkv_bias
        self._norms[-1, : s.hidden] = final_norm
        self._ends = np.array([_entry(embedding), _entry(output)], np.int64)
        self._turns = np.zeros((0, 2, s.head_dim // 2), np.float32)
        self._size = 0
        self._sync = aligned((8,), np.int64)

    def new_cache(self, slots: int, context_tokens: int) -> Cache:
        """An empty cache for this stack."""
        shape = self.shape
        return Cache(self.layers, slots, shape.kv_heads, context_tokens, shape.head_dim)

    def forward(self, tokens: Int32, slots: Int32, positions: Int32, cache: Cache, logit_rows: Int32) -> Float32:
        """The logits of the rows asked for; arguments were checked by the caller."""
        order = np.argsort(logit_rows, kind="stable")
        wanted = logit_rows[order]
        logits = np.empty((len(wanted), self.vocab), np.float32)
        with self._lock:
            self._prepare(min(len(tokens), CHUNK), cache.context_tokens)
            numba.set_num_threads(self._threads)
            for first in range(0, len(tokens), CHUNK):
                last = min(first + CHUNK, len(tokens))
                begin, end = np.searchsorted(wanted, [first, last])
                part = slice(first, last)
                rows = (wanted[begin:end] - first).astype(np.int32)
                self._chunk(tokens[part], slots[part], positions[part], cache, rows, logits[begin:end])
        if np.array_equal(wanted, logit_rows):
            return logits
        restored = np.empty_like(logits)
        restored[order] = logits
        return restored

    def _prepare(self, tokens: int, context_tokens: int) -> None:
        """Grow the work space and the table of rotations to what this call needs."""
        shape = self.shape
        if len(self._turns) < context_tokens:
            powers = np.arange(0, shape.head_dim, 2, dtype=np.float64) / shape.head_dim
            angles = np.outer(np.arange(context_tokens, dtype=np.float64), shape.rope_theta**-powers)
            self._turns = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        if self._size < tokens:
            self._size = tokens if tokens == 1 else CHUNK
            n, widest = self._size, max(self._hidden, self._inner, self._joined)
            self._x: Float32 = aligned((n, self._hidden), np.float32)
            self._floats: Float32 = aligned((n, widest), np.float32)
            self._bytes = aligned((n, 2 * widest), np.int8)
            self._facts: Float32 = aligned((n, widest // 32 * 4), np.float32)
            self._wide: Float32 = aligned((n, max(self._qkv, 2 * self._inner)), np.float32)
            self._queries: Float32 = aligned((n, shape.heads, self._dim), np.float32)
            self._mixed: Float32 = aligned((n, shape.heads, self._dim), np.float32)
            self._scores: Float32 = aligned((0,), np.float32)
        need = self._threads * QUERIES * _padded(context_tokens, 16)
        if self._scores.size < need:
            self._scores = aligned((need,), np.float32)

    def _chunk(
        self, tokens: Int32, slots: Int32, positions: Int32, cache: Cache, rows: Int32, logits: Float32
    ) -> None:
        shape = self.shape
        self._sync[:] = 0
        sizes = np.array(
            [
                len(tokens), self.layers, shape.hidden, shape.heads, shape.kv_heads, shape.head_dim, shape.intermediate,
                self._hidden, self._inner, self._joined, self._dim, self._qkv, self._path,
            ],
            np.int64,
        )  # fmt: skip
        _run(
            self._threads, sizes, np.float32(shape.rms_eps), self._matrices, self._ends, self._norms, self._bias,
            self._turns, self._x, self._floats, self._bytes, self._facts, self._wide, self._queries, self._mixed,
            self._scores, cache.keys, cache.values, tokens, slots, positions, rows, logits, self._sync,
        )  # fmt: skip


def _padded(size: int, to: int) -> int:
    return -(-size // to) * to


def _entry(matrix: TiledMatrix, first: int = 0) -> tuple[int, int, int, int, int]:
    return matrix.code, matrix.address, matrix.rows, matrix.cols, first


# --- steps of a block -------------------------------------------------------------------------------------------------


@jit
def _meet(counter: int, goal: int, threads: int) -> int:
    """Wait until every thread is here; returns the next goal's base."""
    goal += threads
    arrive(counter)
    spins = 0
    while arrived(counter) < goal:
        relax()
        spins += 1
        if spins > _SPINS:
            give_way()
    return goal


@jit
def _multiply(
    thread: int,
    threads: int,
    path: int,
    matrix: Any,
    tokens: int,
    floats: Float32,
    rounded: Any,
    facts: Float32,
    out: Float32,
    add: int,
) -> None:
    """This thread's tiles of `out[:, first : first + rows] (+)= inputs @ matrix.T`."""
    code, rows, cols, first = matrix[_CODE], matrix[_ROWS], matrix[_COLS], matrix[_FIRST]
    tiles = (rows + 15) // 16
    stride = tile_bytes(code, cols)
    x, xs = floats.ctypes.data, floats.shape[1] * 4
    q, qs = rounded.ctypes.data, rounded.shape[1]
    s, ss = facts.ctypes.data, facts.shape[1] * 4
    os = out.shape[1] * 4
    ragged = np.empty(16, np.float32)
    for tile in range(tiles * thread // threads, tiles * (thread + 1) // threads):
        w = matrix[_ADDRESS] + tile * stride
        at = first + tile * 16
        left = rows - tile * 16
        t = 0
        if left >= 16:
            o = out.ctypes.data + at * 4
            while t + TOKENS <= tokens:
                tile_n(path, code, w, cols, x + t * xs, xs, q + t * qs, qs, s + t * ss, ss, o + t * os, os, add)
                t += TOKENS
            while t < tokens:
                tile_1(path, code, w, cols, x + t * xs, xs, q + t * qs, qs, s + t * ss, ss, o + t * os, os, add)
                t += 1
        else:
            for t in range(tokens):
                tile_1(path, code, w, cols, x + t * xs, xs, q + t * qs, qs, s + t * ss, ss, ragged.ctypes.data, 64, 0)
                for r in range(left):
                    if add:
                        out[t, at + r] += ragged[r]
                    else:
                        out[t, at + r] = ragged[r]


@jit
def _needs_rounding(matrices: Any) -> bool:
    found = False
    for m in range(matrices.shape[0]):
        if matrices[m, _CODE] == Q4 or matrices[m, _CODE] == Q8:
            found = True
    return found


@jit
def _round_rows(first: int, last: int, width: int, floats: Float32, rounded: Any, facts: Float32) -> None:
    for t in range(first, last):
        quantise(
            floats.ctypes.data + t * floats.shape[1] * 4,
            width // 32,
            rounded.ctypes.data + t * rounded.shape[1],
            facts.ctypes.data + t * facts.shape[1] * 4,
        )


@jit
def _normalise(
    first: int,
    last: int,
    hidden: int,
    eps: float,
    x: Float32,
    picked: Int32,
    norm: Float32,
    floats: Float32,
    rounded: Any,
    facts: Float32,
    rounding: bool,
) -> None:
    """RMSNorm of rows `first` to `last`, of `x[picked]` when rows are picked, rounded if a quantised matrix follows."""
    width = x.shape[1]
    for t in range(first, last):
        row = picked[t] if picked.size else t
        at = x.ctypes.data + row * width * 4
        mean = np.float32(sum_of_squares(at, width // 16)) / np.float32(hidden)
        factor = np.float32(1.0) / np.sqrt(mean + eps)
        scale_by(at, norm.ctypes.data, np.float32(factor), floats.ctypes.data + t * floats.shape[1] * 4, width // 16)
    if rounding:
        _round_rows(first, last, width, floats, rounded, facts)


@jit
def _turn(
    unit: int,
    sizes: Any,
    wide: Float32,
    bias: Float32,
    turns: Float32,
    keys: Float32,
    values: Float32,
    queries: Float32,
    slot: int,
    position: int,
    token: int,
) -> None:
    """Add the bias of one head of q, k or v, rotate it if it is q or k, and put it where attention looks for it."""
    heads, kv_heads, dim = sizes[3], sizes[4], sizes[5]
    at = unit * dim
    if unit >= heads + kv_heads:
        h = unit - heads - kv_heads
        for i in range(dim):
            values[slot, h, position, i] = wide[token, at + i] + bias[at + i]
        return
    half = dim // 2
    head_keys = keys[slot, unit - heads if unit >= heads else 0].reshape(-1)
    block = position // 16 * 16 * keys.shape[3] + position % 16
    for i in range(half):
        a = wide[token, at + i] + bias[at + i]
        b = wide[token, at + half + i] + bias[at + half + i]
        c, s = turns[position, 0, i], turns[position, 1, i]
        low, high = a * c - b * s, b * c + a * s
        if unit < heads:
            queries[token, unit, i] = low
            queries[token, unit, half + i] = high
        else:
            head_keys[block + i * 16] = low
            head_keys[block + (half + i) * 16] = high


@jit
def _attend(
    unit: int,
    share: int,
    sizes: Any,
    keys: Float32,
    values: Float32,
    queries: Float32,
    scores: Float32,
    mixed: Float32,
    thread: int,
    token: int,
    slot: int,
    position: int,
) -> None:
    """`share` query heads from `unit * share` on, which all look at one head of keys."""
    heads, kv_heads, dim, wide = sizes[3], sizes[4], sizes[5], sizes[10]
    first = unit * share
    kv = first // (heads // kv_heads)
    room = keys.shape[2] * 4
    work = scores.ctypes.data + thread * QUERIES * room
    head = (slot * kv_heads + kv) * keys.shape[2] * wide * 4
    scale = np.float32(1.0) / np.sqrt(np.float32(dim))
    done = 0
    while done < share:
        count = min(share - done, QUERIES)
        at = (token * heads + first + done) * wide * 4
        attend(
            count,
            queries.ctypes.data + at,
            wide * 4,
            keys.ctypes.data + head,
            values.ctypes.data + head,
            wide,
            position + 1,
            np.float32(scale),
            work,
            room,
            mixed.ctypes.data + at,
            wide * 4,
        )
        done += count


@jit
def _work(
    thread: int,
    threads: int,
    sizes: Any,
    eps: float,
    matrices: Any,
    ends: Any,
    norms: Float32,
    all_bias: Float32,
    turns: Float32,
    x: Float32,
    floats: Float32,
    rounded: Any,
    facts: Float32,
    wide: Float32,
    queries: Float32,
    mixed: Float32,
    scores: Float32,
    all_keys: Any,
    all_values: Any,
    tokens: Int32,
    slots: Int32,
    positions: Int32,
    rows: Int32,
    logits: Float32,
    sync: Any,
) -> None:
    """What one thread does: embed, walk the blocks, and multiply its part of the vocabulary.

    A block (Llama, Qwen2): x += attention(rms_norm(x)); x += down(silu(gate) * up) of rms_norm(x).
    """
    n, layers, hidden, heads, kv_heads, dim = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    inner, joined, path = sizes[8], sizes[9], sizes[12]
    counter = sync.ctypes.data
    goal = 0
    mine, after = n * thread // threads, n * (thread + 1) // threads
    nobody = rows[:0]
    # A head a unit while there are few: heads that share keys then read them twice, but no thread stands idle.
    share = heads // kv_heads if n * kv_heads >= 4 * threads else 1

    for t in range(mine, after):
        embed_row(ends[0, _CODE], ends[0, _ADDRESS], hidden, tokens[t], x[t], 0)
    for layer in range(layers):
        table, keys, values, bias = matrices[layer], all_keys[layer], all_values[layer], all_bias[layer]
        goal = _meet(counter, goal, threads)

        rounding = _needs_rounding(table[_Q : _V + 1])
        _normalise(mine, after, hidden, eps, x, nobody, norms[2 * layer], floats, rounded, facts, rounding)
        goal = _meet(counter, goal, threads)
        for m in range(_Q, _V + 1):
            _multiply(thread, threads, path, table[m], n, floats, rounded, facts, wide, 0)
        goal = _meet(counter, goal, threads)

        units = heads + 2 * kv_heads
        for u in range(n * units * thread // threads, n * units * (thread + 1) // threads):
            t = u // units
            _turn(u - t * units, sizes, wide, bias, turns, keys, values, queries, slots[t], positions[t], t)
        goal = _meet(counter, goal, threads)
        units = heads // share
        for u in range(thread, n * units, threads):  # dealt out in turn: later tokens have more to look at
            t = u // units
            _attend(
                u - t * units, share, sizes, keys, values, queries, scores, mixed, thread, t, slots[t], positions[t]
            )
        goal = _meet(counter, goal, threads)

        for t in range(mine, after):
            for h in range(heads):
                for i in range(dim):
                    floats[t, h * dim + i] = mixed[t, h, i]
            for i in range(heads * dim, joined):
                floats[t, i] = np.float32(0.0)
        if _needs_rounding(table[_OUT : _OUT + 1]):
            _round_rows(mine, after, joined, floats, rounded, facts)
        goal = _meet(counter, goal, threads)
        _multiply(thread, threads, path, table[_OUT], n, floats, rounded, facts, x, 1)
        goal = _meet(counter, goal, threads)

        rounding = _needs_rounding(table[_GATE : _UP + 1])
        _normalise(mine, after, hidden, eps, x, nobody, norms[2 * layer + 1], floats, rounded, facts, rounding)
        goal = _meet(counter, goal, threads)
        for m in range(_GATE, _UP + 1):
            _multiply(thread, threads, path, table[m], n, floats, rounded, facts, wide, 0)
        goal = _meet(counter, goal, threads)

        for t in range(mine, after):
            at = wide.ctypes.data + t * wide.shape[1] * 4
            swiglu(at, at + inner * 4, floats.ctypes.data + t * floats.shape[1] * 4, inner // 16)
        if _needs_rounding(table[_DOWN : _DOWN + 1]):
            _round_rows(mine, after, inner, floats, rounded, facts)
        goal = _meet(counter, goal, threads)
        _multiply(thread, threads, path, table[_DOWN], n, floats, rounded, facts, x, 1)

    m = rows.size
    if m:
        goal = _meet(counter, goal, threads)
        _normalise(
            m * thread // threads, m * (thread + 1) // threads, hidden, eps, x, rows, norms[2 * layers], floats, rounded,
            facts, _needs_rounding(ends[1:]),
        )  # fmt: skip
        goal = _meet(counter, goal, threads)
        _multiply(thread, threads, path, ends[1], m, floats, rounded, facts, logits, 0)


def _parallel(function: Callable[..., Any]) -> Callable[..., Any]:
    return cast(Callable[..., Any], numba.njit(parallel=True, cache=True, nogil=True)(function))


@_parallel
def _run(
    threads: int, sizes: Any, eps: Any, matrices: Any, ends: Any, norms: Any, bias: Any, turns: Any, x: Any, floats: Any,
    rounded: Any, facts: Any, wide: Any, queries: Any, mixed: Any, scores: Any, keys: Any, values: Any, tokens: Any,
    slots: Any, positions: Any, rows: Any, logits: Any, sync: Any,
) -> None:  # fmt: skip
    for thread in numba.prange(threads):
        _work(
            thread, threads, sizes, eps, matrices, ends, norms, bias, turns, x, floats, rounded, facts, wide, queries,
            mixed, scores, keys, values, tokens, slots, positions, rows, logits, sync,
        )  # fmt: skip


@_parallel
def _roll_call(threads: int, patience: int, sync: Any) -> None:
    for _ in numba.prange(threads):
        counter = sync.ctypes.data
        arrive(counter)
        spins = 0
        while arrived(counter) < threads and spins < patience:
            relax()
            spins += 1
        if arrived(counter) >= threads:
            arrive(counter + 64)


def team(threads: int) -> int:
    """How many of `threads` threads really run at the same time: barriers among fewer would wait for ever.

    A system may grant fewer than asked for (`OMP_THREAD_LIMIT`, a wrapped thread pool); then everything runs on one.
    """
    threads = max(1, min(threads, int(numba.config.NUMBA_NUM_THREADS)))
    numba.set_num_threads(threads)
    sync = aligned((16,), np.int64)
    _roll_call(threads, 100_000_000, sync)
    return threads if sync[8] == threads else 1
