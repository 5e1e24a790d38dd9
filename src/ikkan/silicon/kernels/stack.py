"""A decoder's whole forward pass in one parallel region: the blocks, their cache, and the vocabulary at the end.

Entering a parallel region costs microseconds and a token of a small model has hundreds of steps, so the threads enter
once and share out every step's units (`team`). Who does which unit never changes a bit of the result, and neither does
what else is in the batch.

Begin at `_work`: it is the one definition of a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ikkan.silicon.kernels import adapters as low_rank
from ikkan.silicon.kernels import amx, attend, lanes, prompts, steps, team
from ikkan.silicon.kernels.adapters import LowRankPair, PackedAdapter
from ikkan.silicon.kernels.cache import rope_tables
from ikkan.silicon.kernels.compiled import addressed, compiled, inlined
from ikkan.silicon.kernels.formats import F16, GROUP, TILE_ROWS, record_bytes
from ikkan.silicon.kernels.memory import aligned, lasting
from ikkan.silicon.kernels.multiply import get_path, shapes
from ikkan.silicon.kernels.narrow import PAGE
from ikkan.silicon.kernels.packed import Float32, PackedMatrix
from ikkan.silicon.kernels.tiles import MOST_TOKENS, table
from ikkan.silicon.kernels.unpacked import LOOK_AHEAD_BYTES

Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]
Result = Literal["logits", "hidden", "likeliest"]
_RESULTS: Final = ("logits", "hidden", "likeliest")
_HIDDEN, _LIKELIEST = 1, 2

CHUNK: Final = 128
"""Tokens read together at most, so that their activations stay in the second-level cache."""
PROMPT_CHUNK: Final = 512
"""The same for tokens of prompts that are read in bfloat16 (`prompts`): unpacking weights pays with many."""

_ADDRESS, _ROWS, _COLS, _ENTRY = 8, 16, 24, 32
"""Where a matrix's address, rows and columns stand in its entry of the table, behind its format; an entry's bytes."""
_OUT, _GATE, _UP, _DOWN = 3 * _ENTRY, 4 * _ENTRY, 5 * _ENTRY, 6 * _ENTRY
"""Where a block's matrices stand in the table, behind q, k and v."""
_STEPS_OF_A_BLOCK, _STEPS_AROUND = 13, 3
_FEW_TOKENS: Final = 2
"""Up to so many tokens a matrix is multiplied faster than it is read."""


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
    q_norm: Float32 | None = None
    """(head_dim,) RMS norm of every head of q before it is turned (Qwen3)."""
    k_norm: Float32 | None = None

    @property
    def matrices(self) -> tuple[PackedMatrix, ...]:
        """In the order of the table."""
        return self.q, self.k, self.v, self.out, self.gate, self.up, self.down


class Cache:
    """Keys and values of all layers in pages; a page takes memory once tokens were written there.

    `tables[slot, position // page_tokens]` says which page holds a position; whoever schedules writes it. Without
    `pages` there are enough for every slot, and each has its own.
    """

    page_tokens: Final = PAGE

    def __init__(
        self,
        layers: int,
        slots: int,
        kv_heads: int,
        context_tokens: int,
        head_dim: int,
        pages: int | None = None,
        bits: Literal[8, 16] = 16,
    ) -> None:
        each = -(-context_tokens // PAGE)
        self.slots, self.context_tokens = slots, context_tokens
        self.pages = slots * each if pages is None else pages
        self.shape = (layers, self.pages, kv_heads, head_dim)
        self.eight = int(bits == 8)
        count = layers * self.pages * kv_heads * attend.bytes_of_head(head_dim, self.eight) // 2
        self.keys: NDArray[np.uint16] = aligned(count, np.uint16, zero=True)
        self.values: NDArray[np.uint16] = aligned(count, np.uint16, zero=True)
        own = np.arange(slots * each, dtype=np.int32) if pages is None else np.zeros(slots * each, np.int32)
        self.tables: Int32 = own.reshape(slots, each)
        self.layer_bytes, self.table_bytes = self.keys.nbytes // layers, self.tables.strides[0]
        self.addresses = tuple(int(array.ctypes.data) for array in (self.keys, self.values, self.tables))

    def copy_page(self, source: int, target: int) -> None:
        """Have one page hold what another holds, in every layer."""
        for held in (self.keys, self.values):
            by_page = held.reshape(self.shape[0], self.pages, -1)
            by_page[:, target] = by_page[:, source]

    @property
    def bytes(self) -> int:
        """What the cache takes when every page is full."""
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
        codes = {matrix.code for block in blocks for matrix in block.matrices}
        self._codes = codes | {output.code}
        sizes = (s.hidden, s.heads * s.head_dim, s.intermediate, s.head_dim)
        self._fits_prompts = codes <= prompts.FORMATS_READ and all(size % GROUP == 0 for size in sizes)
        self._ends = np.array([_entry(embedding), _entry(output)], np.int64)
        norms = [norm for block in blocks for norm in (block.attention_norm, block.ffn_norm)]
        self._norms = np.ascontiguousarray(np.stack([*norms, final_norm]), dtype=np.float32)
        self._width = (s.heads + 2 * s.kv_heads) * s.head_dim
        self._biased = any(block.qkv_bias is not None for block in blocks)
        none = np.zeros(self._width if self._biased else 0, np.float32)
        self._bias = np.stack([none if block.qkv_bias is None else block.qkv_bias for block in blocks])
        turned = [(block.q_norm, block.k_norm) for block in blocks]
        self._normed = any(q is not None for q, _ in turned)
        ones = np.ones(s.head_dim if self._normed else 0, np.float32)
        self._head_norms = np.stack([ones if one is None else one for pair in turned for one in pair])
        self._cos = self._sin = np.zeros((0, s.head_dim // 2), np.float32)
        self._scratch = self._panels = aligned(0)
        self._unpackers = 0
        lanes_of_best = lanes.BEST_BYTES // 4
        self._bests = aligned(self._threads * CHUNK * lanes_of_best, np.float32).reshape(
            self._threads, CHUNK, 3, lanes_of_best // 3
        )
        self._kept: tuple[int, ...] = ()
        self._eps_bits = int(np.float32(shape.rms_eps).view(np.int32))
        steps = self.layers * _STEPS_OF_A_BLOCK + _STEPS_AROUND
        self._counters = aligned(2 * steps * team.step_words(self._threads), np.int64, zero=True)
        self._turn = 0
        self._runs = np.empty(PROMPT_CHUNK + 1, np.int64)
        self._given = aligned(4 * PROMPT_CHUNK, np.int32).reshape(4, PROMPT_CHUNK)
        """Tokens, slots, positions and wanted rows of the call under way."""
        self._room = 0
        self._adapters: dict[int, PackedAdapter] = {}
        self._newest_adapter = 0
        self._batch = low_rank.Batch(self.layers, s.intermediate)

    def load_adapter(self, layers: Sequence[Sequence[LowRankPair | None]]) -> int:
        """Keep an adapter ready; the number, never given twice, under which rows ask for it.

        Args:
            layers: for each block what is added to its matrices, in the order of `Block.matrices`.

        Raises:
            NotFinite: a number is NaN or infinite; nothing is kept.
        """
        assert len(layers) == self.layers
        for block, pairs in zip(self._blocks, layers, strict=True):
            for matrix, pair in zip(block.matrices, pairs, strict=True):
                assert pair is None or (len(pair.b), pair.a.shape[1]) == (matrix.rows, matrix.cols)
        packed = low_rank.pack_adapter(layers)
        with team.LOCK:
            table(get_path(), low_rank.CODES)
            self._newest_adapter += 1
            self._adapters[self._newest_adapter] = packed
            return self._newest_adapter

    def unload_adapter(self, number: int) -> None:
        """Let go of an adapter that no row asks for any more. Waits for nobody."""
        del self._adapters[number]

    def new_cache(
        self, slots: int, context_tokens: int, pages: int | None = None, *, bits: Literal[8, 16] = 16
    ) -> Cache:
        """An empty cache for this stack: bfloat16, or eight bits and a scale for each position of a head."""
        return Cache(self.layers, slots, self.shape.kv_heads, context_tokens, self.shape.head_dim, pages, bits)

    @property
    def reads_prompts_apart(self) -> bool:
        """Whether tokens of prompts have results of their own here: in bfloat16, in the matrix registers."""
        return self._fits_prompts and shapes() != 0

    def forward(
        self,
        tokens: Int32,
        slots: Int32,
        positions: Int32,
        cache: Cache,
        logit_rows: Int32,
        adapters: Int32 | None = None,
        prompt: Bool | None = None,
        *,
        result: Result = "logits",
    ) -> NDArray[Any]:
        """Read tokens into their slots of the cache; what they lead to, for some of them.

        Args:
            tokens, slots, positions: (n,) int32, contiguous; tokens of one slot come in increasing position, each right
                behind what the slot already holds. Not checked here.
            logit_rows: (m,) which of the n tokens' logits are wanted, in any order.
            adapters: (n,) numbers that `load_adapter` gave, 0 for none; None for none at all.
            prompt: (n,) which tokens are read as part of a prompt; None for none. It makes a difference where
                `reads_prompts_apart`, and then for tokens without an adapter. In a slot they come before the others.
            result: "logits"; "hidden", what the last norm gives; or "likeliest", the place of the highest logit without
                writing the others, of equal ones the first, and -1 where a logit is no number.

        Returns:
            float32 (m, vocab) or (m, hidden), or int32 (m, 1). A row depends on its slot's tokens only, and on which of
            them are a prompt, bit for bit.
        """
        if prompt is not None and self.reads_prompts_apart:
            rough = prompt if adapters is None else prompt & (adapters == 0)
            if rough.all():
                return self._read(tokens, slots, positions, cache, logit_rows, adapters, result, rough=True)
            if rough.any():
                out = self._results(len(logit_rows), result)
                for part in (True, False):
                    picked = np.flatnonzero(rough == part)
                    places = np.cumsum(rough == part, dtype=np.int32) - np.int32(1)
                    mine = np.flatnonzero(rough[logit_rows] == part)
                    some = None if adapters is None else adapters[picked]
                    wanted = places[logit_rows[mine]]
                    out[mine] = self._read(
                        tokens[picked], slots[picked], positions[picked], cache, wanted, some, result, rough=part
                    )
                return out
        return self._read(tokens, slots, positions, cache, logit_rows, adapters, result, rough=False)

    def _read(
        self,
        tokens: Int32,
        slots: Int32,
        positions: Int32,
        cache: Cache,
        logit_rows: Int32,
        adapters: Int32 | None,
        result: Result,
        *,
        rough: bool,
    ) -> NDArray[Any]:
        """`forward` of tokens that are all read alike."""
        size = PROMPT_CHUNK if rough and len(logit_rows) <= CHUNK else CHUNK
        several = len(tokens) > size or len(logit_rows) > 1
        order = np.argsort(logit_rows, kind="stable") if several else None
        wanted = logit_rows if order is None else logit_rows[order]
        out = self._results(len(wanted), result)
        with team.LOCK:
            used = adapters is not None and bool(adapters.any())
            self._tiles = table(get_path(), self._codes | low_rank.CODES if used else self._codes)
            self._prepare(min(len(tokens), size), cache, rough)
            if order is None:
                self._run(tokens, slots, positions, cache, wanted, out, adapters if used else None, result, rough)
                return out
            for first in range(0, len(tokens), size):
                part = slice(first, first + size)
                begin, end = np.searchsorted(wanted, [first, first + size])
                rows = wanted[begin:end] - np.int32(first)
                some = adapters[part] if used and adapters is not None else None
                self._run(tokens[part], slots[part], positions[part], cache, rows, out[begin:end], some, result, rough)
        if np.array_equal(wanted, logit_rows):
            return out
        restored = np.empty_like(out)
        restored[order] = out
        return restored

    def _results(self, rows: int, result: Result) -> NDArray[Any]:
        if result == "likeliest":
            return np.empty((rows, 1), np.int32)
        return np.empty((rows, self.vocab if result == "logits" else self.shape.hidden), np.float32)

    def _prepare(self, tokens: int, cache: Cache, rough: bool) -> None:
        """Grow the work space and the table of rotations to what this call needs."""
        s = self.shape
        context_tokens = cache.context_tokens
        scratch = self._threads * attend.bytes_of_scratch(context_tokens, s.head_dim, cache.eight)
        panels = self._threads * prompts.bytes_of_room(PROMPT_CHUNK) if rough else 0
        tokens = max(tokens, 32) if rough else tokens
        enough = self._room >= tokens and self._panels.nbytes >= panels
        if enough and len(self._cos) >= context_tokens and self._scratch.nbytes >= scratch:
            return
        if self._panels.nbytes < panels:
            self._panels = aligned(panels)
            self._unpackers = prompts.unpackers(self._codes & prompts.FORMATS_READ)
        if len(self._cos) < context_tokens:
            freqs = s.rope_theta ** -(np.arange(0, s.head_dim, 2, dtype=np.float64) / s.head_dim)
            self._cos, self._sin = rope_tables(np.arange(context_tokens, dtype=np.int32), freqs)
        if self._scratch.nbytes < scratch:
            self._scratch = aligned(scratch)
        joined, widest = _padded(s.heads * s.head_dim), _padded(max(s.hidden, s.intermediate))
        record = record_bytes(max(widest, joined))
        if self._room < tokens:
            self._room = n = next(size for size in (MOST_TOKENS, CHUNK, PROMPT_CHUNK) if size >= tokens)
            fewer = min(n, CHUNK)  # in bfloat16 no floats are kept, but for the rows that are wanted
            self._x = lasting(4 * n * s.hidden).view(np.float32)
            self._qkv = lasting(4 * n * self._width).view(np.float32)
            self._mixed = lasting(4 * n * joined).view(np.float32)
            self._floats = lasting(4 * fewer * widest).view(np.float32)
            self._wide_floats = lasting(4 * fewer * widest).view(np.float32)
            self._records = lasting(n * record)
            self._wide_records = lasting(n * record)
        arrays = (
            self._table, self._ends, self._counters, self._norms, self._bias, self._cos, self._sin, self._x, self._qkv,
            self._mixed, self._floats, self._wide_floats, self._records, self._wide_records, self._scratch, self._runs,
            self._head_norms, self._panels, self._bests,
        )  # fmt: skip
        sizes = (
            self.layers, s.hidden, s.heads, s.kv_heads, s.head_dim, s.intermediate, self._biased, self._normed,
            4 * joined, 4 * widest, record, self._unpackers,
        )  # fmt: skip
        addresses = tuple(int(array.ctypes.data) for array in arrays)
        self._kept = (*sizes, *addresses, *(int(row.ctypes.data) for row in self._given))

    def _run(
        self,
        tokens: Int32,
        slots: Int32,
        positions: Int32,
        cache: Cache,
        rows: Int32,
        out: NDArray[Any],
        adapters: Int32 | None,
        result: Result,
        rough: bool,
    ) -> None:
        n, m, float_bytes = len(tokens), len(rows), self._kept[9]
        self._turn = 1 - self._turn
        given = self._given
        given[0, :n], given[1, :n], given[2, :n], given[3, :m] = tokens, slots, positions, rows
        batch = 0
        if adapters is not None and adapters.any():
            numbers, places = np.unique(adapters[adapters != 0]), adapters.copy()
            places[adapters != 0] = 1 + np.searchsorted(numbers, adapters[adapters != 0])
            loaded = [self._adapters[int(number)] for number in numbers]
            batch = int(self._batch.prepare(loaded, places, self._wide_floats.ctypes.data, float_bytes).ctypes.data)
        block = np.array(
            (
                0, self._tiles, n, 0, m, cache.context_tokens, cache.layer_bytes, cache.table_bytes,
                shapes(), batch, _RESULTS.index(result), self._eps_bits, self._turn, rough, cache.eight,
                *cache.addresses, out.ctypes.data, *self._kept,
            ),
            np.int64,
        )  # fmt: skip
        team.launch(_work, block, self._threads, _begin)
        if result == "likeliest":
            out[:, 0] = _places(self._bests[:, : len(rows)])
        elif result == "hidden":
            out[:] = self._floats.reshape(-1, float_bytes // 4)[: len(rows), : self.shape.hidden]


def _places(bests: Float32) -> Int32:
    """The place of the highest of all, from every thread's best of every lane: (threads, rows, 3, lanes)."""
    values, tiles, poison = bests[:, :, 0], bests[:, :, 1].view(np.int32), bests[:, :, 2]
    places = np.where(tiles < 0, np.iinfo(np.int32).max, TILE_ROWS * tiles + np.arange(TILE_ROWS, dtype=np.int32))
    values = np.where(tiles < 0, -np.inf, values)
    highest = values.max(axis=(0, 2), keepdims=True)
    found = np.where(values == highest, places, np.iinfo(np.int32).max).min(axis=(0, 2))
    sound = np.isfinite(poison).all(axis=(0, 2)) & np.isfinite(highest[0, :, 0])
    return np.where(sound, found, -1).astype(np.int32)


def _padded(size: int) -> int:
    return -(-size // 16) * 16


def _entry(matrix: PackedMatrix) -> tuple[int, int, int, int]:
    return matrix.code, matrix.address, matrix.rows, matrix.cols


# What one thread does.


@inlined
def _share(units: int, threads: int, parts: int) -> int:
    """Units to take at once so that each thread takes about `parts` times."""
    return max((units + threads * parts - 1) // (threads * parts), 1)


@inlined
def _tiles(matrix: int) -> int:
    tiles: int = (lanes.word(matrix + _ROWS) + TILE_ROWS - 1) // TILE_ROWS
    return tiles


@compiled
def _norm_step(
    step: int,
    step_bytes: int,
    threads: int,
    n: int,
    hidden: int,
    x: int,
    weight: int,
    eps: np.float32,
    records: int,
    record_stride: int,
    floats: int,
    float_bytes: int,
    matrices: int,
    count: int,
    batch: int,
    rough: int,
) -> None:
    """RMS norm of all rows, in each form that one of the `count` matrices behind it, or an adapter, multiplies with."""
    lanes.apart()
    for turn in range(2):
        needed = batch != 0 and turn == 1
        for m in range(count):
            needed = needed or (lanes.word(matrices + m * _ENTRY) >= F16) == (turn == 1)
        if rough != 0:
            needed = turn == 0
        if needed:
            form = 2 if rough != 0 else turn
            groups = steps.groups_of(hidden, form)
            target = floats if form == 1 else records
            stride = float_bytes if form == 1 else record_stride
            units = n * groups
            chunk = _share(units, threads, 1) if n < 4 * threads else groups * _share(n, threads, 4)
            this = step + turn * step_bytes
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
    thread: int,
    threads: int,
    tiles: int,
    matrix: int,
    n: int,
    records: int,
    record_stride: int,
    floats: int,
    float_bytes: int,
    out: int,
    out_bytes: int,
    bias: int,
    accumulate: int,
) -> None:
    """One matrix, in whatever form it multiplies; does not wait."""
    lanes.apart()
    code, data = lanes.word(matrix), lanes.word(matrix + _ADDRESS)
    rows, cols = lanes.word(matrix + _ROWS), lanes.word(matrix + _COLS)
    x = floats if code >= F16 else records
    stride = float_bytes if code >= F16 else record_stride
    units = _tiles(matrix)
    done = 0
    taken = team.own(step, thread, threads, units, 2, units)
    while taken >= 0:
        unit, last = team.first_of(taken), team.last_of(taken)
        steps.matmul(unit, last, tiles, code, data, rows, cols, n, x, stride, out, out_bytes, bias, accumulate)
        done += last - unit
        taken = team.own(step, thread, threads, units, 2, units)
    if done > 0:
        team.finish(step, done)


@compiled
def _best_step(
    step: int, thread: int, threads: int, tiles: int, matrix: int, n: int, x: int, x_stride: int, bests: int
) -> None:
    """Which output of the vocabulary's matrix is the largest, in this thread's part of it; does not wait."""
    lanes.apart()
    code, data = lanes.word(matrix), lanes.word(matrix + _ADDRESS)
    rows, cols = lanes.word(matrix + _ROWS), lanes.word(matrix + _COLS)
    units = _tiles(matrix)
    taken = team.own(step, thread, threads, units, 2, units)
    while taken >= 0:
        unit, last = team.first_of(taken), team.last_of(taken)
        steps.best(unit, last, tiles, code, data, rows, cols, n, x, x_stride, bests)
        taken = team.own(step, thread, threads, units, 2, units)


@inlined
def _units(matrix: int, rough: int) -> int:
    """Units of a multiplication: tiles, or panels of two."""
    tiles = _tiles(matrix)
    return (tiles + 1) // 2 if rough != 0 else tiles


@compiled
def _prompt_step(
    step: int,
    thread: int,
    threads: int,
    unpackers: int,
    matrix: int,
    n: int,
    x: int,
    x_stride: int,
    out: int,
    out_bytes: int,
    bias: int,
    accumulate: int,
    room: int,
    plain: int,
) -> None:
    """One matrix, multiplied in bfloat16; does not wait."""
    lanes.apart()
    amx.configure(plain)
    code, data = lanes.word(matrix), lanes.word(matrix + _ADDRESS)
    rows, cols = lanes.word(matrix + _ROWS), lanes.word(matrix + _COLS)
    units = _units(matrix, 1)
    most = prompts.panels_together(n, cols)
    done = 0
    taken = team.own(step, thread, threads, units, 1, most)
    while taken >= 0:
        unit, last = team.first_of(taken), team.last_of(taken)
        prompts.multiply(
            unit, last, unpackers, code, data, rows, cols, n, x, x_stride, out, out_bytes, bias, accumulate, room
        )
        done += last - unit
        taken = team.own(step, thread, threads, units, 1, most)
    if done > 0:
        team.finish(step, done)


@compiled
def _look_ahead(matrix: int, thread: int, threads: int, n: int, together: int) -> None:
    """Ask memory for the beginning of this thread's part of a matrix, while it would wait for the others anyway.

    A part begins at `together` tiles or a multiple of it. With many tokens there is no need.
    """
    lanes.apart()
    if n <= _FEW_TOKENS:
        code, cols = lanes.word(matrix), lanes.word(matrix + _COLS)
        units = (_tiles(matrix) + together - 1) // together
        begin = team.begin_of(thread, threads, units)
        if begin < units:
            at = lanes.word(matrix + _ADDRESS) + begin * together * steps.bytes_of(code, cols)
            for line in range(0, LOOK_AHEAD_BYTES, 64):
                lanes.look_ahead(at + line)


_RUNS, _KEPT, _ARRAYS = 24, 152, 96
"""Where a pass's control block has the number of runs, what stays from pass to pass, and in that the arrays."""


@addressed(1)
def _begin(shared: int) -> None:
    """What the caller does before the others may come."""
    arrays = shared + _KEPT + _ARRAYS
    runs = attend.find_runs(lanes.word(shared + 16), lanes.word(arrays + 160), lanes.word(arrays + 120))
    lanes.put_word(shared + _RUNS, runs)
    if lanes.word(shared + 80) == _LIKELIEST:
        for thread in range(lanes.word(shared)):
            for row in range(lanes.word(shared + 32)):
                lanes.start_best(lanes.word(arrays + 144) + (thread * CHUNK + row) * lanes.BEST_BYTES)


@addressed(2)
def _work(shared: int, thread: int) -> None:
    """What one thread does: embed, walk the blocks, and multiply its part of the vocabulary.

    A block (Llama, Qwen2): x += out(attention(rms_norm(x))); x += down(silu(gate) * up) of rms_norm(x).
    """
    word = lanes.word
    threads, tiles, n, runs = word(shared), word(shared + 8), word(shared + 16), word(shared + 24)
    wanted, context, layer_bytes = word(shared + 32), word(shared + 40), word(shared + 48)
    table_stride, shapes, batch = word(shared + 56), word(shared + 64), word(shared + 72)
    result, eps = word(shared + 80), lanes.read(shared + 88)
    turn, rough, eight = word(shared + 96), word(shared + 104), word(shared + 112)
    keys, values, tables, logits = word(shared + 120), word(shared + 128), word(shared + 136), word(shared + 144)
    kept = shared + _KEPT
    layers, hidden, heads, kv_heads = word(kept), word(kept + 8), word(kept + 16), word(kept + 24)
    dim, inter, biased, normed = word(kept + 32), word(kept + 40), word(kept + 48), word(kept + 56)
    mb, fb, rb, unpackers = word(kept + 64), word(kept + 72), word(kept + 80), word(kept + 88)
    arrays = kept + _ARRAYS
    table, ends, step, norms = word(arrays), word(arrays + 8), word(arrays + 16), word(arrays + 24)
    all_bias, cos, sin, x = word(arrays + 32), word(arrays + 40), word(arrays + 48), word(arrays + 56)
    qkv, mixed, floats, wide_floats = word(arrays + 64), word(arrays + 72), word(arrays + 80), word(arrays + 88)
    records, wide_records = word(arrays + 96), word(arrays + 104)
    scratch = word(arrays + 112) + thread * attend.scratch_bytes(context, dim, eight)
    run_starts, head_norms = word(arrays + 120), word(arrays + 128)
    room = word(arrays + 136) + thread * prompts.room_bytes(PROMPT_CHUNK)
    bests = word(arrays + 144) + thread * CHUNK * lanes.BEST_BYTES
    tokens, slots, positions, rows = word(arrays + 152), word(arrays + 160), word(arrays + 168), word(arrays + 176)
    if shapes != 0:
        amx.configure(shapes)
    # Two sets of counters take turns. Cleared between two passes they would be waited for: other cores wrote them last.
    step_bytes = 8 * team.step_words(threads)
    later = (_STEPS_AROUND + layers * _STEPS_OF_A_BLOCK) * step_bytes
    if turn != 0:
        step, later = step + later, -later
    if thread == 0:
        team.clear(step + later, step_bytes)
    hb = prompts.row_bytes(hidden) if rough != 0 else rb
    jb = prompts.row_bytes(heads * dim) if rough != 0 else rb
    ib = prompts.row_bytes(inter) if rough != 0 else rb
    plain = shapes + 64  # all tiles whole, as attention and prompts want them
    xb = 4 * hidden
    joined = heads * dim
    width = 4 * (heads + 2 * kv_heads) * dim
    k_at, v_at = 4 * joined, 4 * (heads + kv_heads) * dim
    scale = np.float32(np.float32(1.0) / np.sqrt(np.float32(dim)))

    chunk = _share(n, threads, 4)
    unit = team.take(step, chunk)
    while unit < n:
        last = min(unit + chunk, n)
        steps.embed(unit, last, word(ends), word(ends + _ADDRESS), hidden, tokens, x, xb)
        team.finish(step, last - unit)
        unit = team.take(step, chunk)
    team.wait(step, n)
    step += step_bytes

    for layer in range(layers):
        if thread == 0:
            team.clear(step + later, _STEPS_OF_A_BLOCK * step_bytes)
        block = table + layer * 7 * _ENTRY
        out, gate, up, down = block + _OUT, block + _GATE, block + _UP, block + _DOWN
        layer_keys, layer_values = keys + layer * layer_bytes, values + layer * layer_bytes
        norm = norms + 2 * layer * xb
        q_norm = head_norms + 8 * layer * dim if normed != 0 else 0
        k_norm = q_norm + 4 * dim if normed != 0 else 0

        _norm_step(step, step_bytes, threads, n, hidden, x, norm, eps, records, hb, floats, fb, block, 3, batch, rough)
        step += 2 * step_bytes
        if batch != 0:
            low_rank.shrink_step(batch, threads, tiles, layer, low_rank.Q, 3, floats, fb, hidden)
        for m in range(3):
            part = 0 if m == 0 else k_at if m == 1 else v_at
            bias = all_bias + layer * width + part if biased != 0 else 0
            this, matrix = step + m * step_bytes, block + m * _ENTRY
            if rough != 0:
                _prompt_step(
                    this, thread, threads, unpackers, matrix, n, records, hb, qkv + part, width, bias, 0, room, plain
                )
            else:
                _multiply_step(
                    this, thread, threads, tiles, matrix, n, records, rb, floats, fb, qkv + part, width, bias, 0
                )
        for m in range(3):
            team.wait(step + m * step_bytes, _units(block + m * _ENTRY, rough))
        step += 3 * step_bytes
        if batch != 0:
            low_rank.change_qkv(batch, threads, tiles, layer, joined, kv_heads * dim, qkv, width)

        units = n * (heads + 2 * kv_heads)
        chunk = _share(units, threads, 1) if n < 4 * threads else _share(units, threads, 4)
        unit = team.take(step, chunk)
        while unit < units:
            last = min(unit + chunk, units)
            attend.rope_and_store(
                unit, last, qkv, qkv + k_at, qkv + v_at, width, heads, kv_heads, dim, slots, positions, cos, sin,
                q_norm, k_norm, eps, layer_keys, layer_values, tables, table_stride, eight,
            )  # fmt: skip
            team.finish(step, last - unit)
            unit = team.take(step, chunk)
        team.wait(step, units)
        step += step_bytes

        _look_ahead(out, thread, threads, n, 1)
        # Attention rounds its own results where a head is whole groups; else rounding is a step of its own.
        rounding = word(out) < F16 or rough != 0
        target = wide_records if rounding and dim % GROUP == 0 else 0
        units = runs * heads
        chunk = attend.attend_chunk(units, heads, threads)
        unit = team.take(step, chunk)
        while unit < units:
            last = min(unit + chunk, units)
            attend.attend(
                unit, last, run_starts, qkv, width, heads, kv_heads, dim, layer_keys, layer_values, tables,
                table_stride, slots, positions, scale, scratch, shapes, mixed, mb, target, jb,
                2 if rough != 0 else 0, eight,
            )  # fmt: skip
            team.finish(step, last - unit)
            unit = team.take(step, chunk)
        team.wait(step, units)
        step += step_bytes
        if rounding and target == 0:
            units = n * (joined // GROUP)
            chunk = joined // GROUP
            unit = team.take(step, chunk)
            while unit < units:
                steps.quantize(unit, unit + chunk, joined, mixed, mb, wide_records, rb, 0)
                team.finish(step, chunk)
                unit = team.take(step, chunk)
            team.wait(step, units)
        step += step_bytes
        if batch != 0:
            low_rank.shrink_step(batch, threads, tiles, layer, low_rank.OUT, 1, mixed, mb, joined)
        if rough != 0:
            _prompt_step(step, thread, threads, unpackers, out, n, wide_records, jb, x, xb, 0, 1, room, plain)
        else:
            _multiply_step(step, thread, threads, tiles, out, n, wide_records, rb, mixed, mb, x, xb, 0, 1)
        _look_ahead(gate, thread, threads, n, 2)
        _look_ahead(up, thread, threads, n, 2)
        team.wait(step, _units(out, rough))
        step += step_bytes
        if batch != 0:
            low_rank.change_output(batch, threads, tiles, layer, low_rank.OUT, hidden, x, xb)

        _norm_step(
            step, step_bytes, threads, n, hidden, x, norm + xb, eps, records, hb, floats, fb, gate, 2, batch, rough
        )
        step += 2 * step_bytes
        if batch != 0:
            low_rank.shrink_step(batch, threads, tiles, layer, low_rank.GATE, 2, floats, fb, hidden)
            low_rank.change_gate_up(batch, threads, tiles, layer, inter)
        form = 1 if word(down) >= F16 else 0
        target = wide_floats if form == 1 else wide_records
        stride = fb if form == 1 else rb
        units = inter // TILE_ROWS if rough != 0 else (inter + GROUP - 1) // GROUP
        most = units
        if rough != 0:
            amx.configure(plain)
            most = prompts.panels_together(n, hidden)
        done = 0
        taken = team.own(step, thread, threads, units, 2, most)
        while taken >= 0:
            unit, last = team.first_of(taken), team.last_of(taken)
            if rough != 0:
                prompts.gate_up(
                    unit, last, unpackers, word(gate), word(gate + _ADDRESS), word(up), word(up + _ADDRESS), hidden, n,
                    records, hb, wide_records, ib, room,
                )  # fmt: skip
            else:
                steps.gate_up(
                    unit, last, tiles, word(gate), word(gate + _ADDRESS), word(up), word(up + _ADDRESS), inter, hidden,
                    n, records, floats, rb, fb, target, stride, form, batch,
                )  # fmt: skip
            done += last - unit
            taken = team.own(step, thread, threads, units, 2, most)
        if done > 0:
            team.finish(step, done)
        _look_ahead(down, thread, threads, n, 1)
        team.wait(step, units)
        step += step_bytes
        if batch != 0:
            low_rank.shrink_step(batch, threads, tiles, layer, low_rank.DOWN, 1, wide_floats, fb, inter)
        if rough != 0:
            _prompt_step(step, thread, threads, unpackers, down, n, wide_records, ib, x, xb, 0, 1, room, plain)
        else:
            _multiply_step(step, thread, threads, tiles, down, n, wide_records, rb, wide_floats, fb, x, xb, 0, 1)
        following = block + 7 * _ENTRY
        if layer + 1 < layers:
            for m in range(3):
                _look_ahead(following + m * _ENTRY, thread, threads, n, 1)
        elif wanted > 0 and result != _HIDDEN:
            _look_ahead(ends + _ENTRY, thread, threads, wanted, 1)
        team.wait(step, _units(down, rough))
        step += step_bytes
        if batch != 0:
            low_rank.change_output(batch, threads, tiles, layer, low_rank.DOWN, hidden, x, xb)

    if thread == 0:
        team.clear(step + later, (_STEPS_AROUND - 1) * step_bytes)
    if rough != 0:
        amx.configure(shapes)
    if wanted > 0:
        norm = norms + 2 * layers * xb
        output = ends + _ENTRY
        form = 1 if word(output) >= F16 or result == _HIDDEN else 0
        groups = steps.groups_of(hidden, form)
        unit = team.take(step, 1)
        while unit < wanted:
            row = x + lanes.read_int(rows + 4 * unit) * xb
            target = floats + unit * fb if form == 1 else records + unit * rb
            steps.norm(0, groups, hidden, row, xb, norm, eps, target, 0, form)
            team.finish(step, 1)
            unit = team.take(step, 1)
        team.wait(step, wanted)
        step += step_bytes
        stride = 4 * word(output + _ROWS)
        if result == _LIKELIEST:
            x_bytes = fb if form == 1 else rb
            _best_step(step, thread, threads, tiles, output, wanted, floats if form == 1 else records, x_bytes, bests)
        elif result != _HIDDEN:
            _multiply_step(step, thread, threads, tiles, output, wanted, records, rb, floats, fb, logits, stride, 0, 0)
    if shapes != 0:
        amx.release()
