"""A decoder's whole forward pass in one parallel region: the blocks, their cache, and the vocabulary at the end.

Entering a parallel region costs microseconds and a token of a small model has hundreds of steps, so the threads enter
once and share out every step's units (`team`). Who does which unit never changes a bit of the result, and neither does
what else is in the batch.

What a thread does inside stands in `walk`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ikkan.silicon.kernels import adapters as low_rank
from ikkan.silicon.kernels import attend, prompts, steps, team, walk
from ikkan.silicon.kernels.adapters import LowRankPair, PackedAdapter
from ikkan.silicon.kernels.cache import rope_tables
from ikkan.silicon.kernels.formats import GROUP, record_bytes
from ikkan.silicon.kernels.memory import aligned, lasting
from ikkan.silicon.kernels.multiply import get_path, shapes
from ikkan.silicon.kernels.narrow import PAGE
from ikkan.silicon.kernels.packed import Float32, PackedMatrix
from ikkan.silicon.kernels.tiles import MOST_TOKENS, table
from ikkan.silicon.kernels.walk import CHUNK, HIDDEN, LOGITS, PROMPT_CHUNK, STEPS_AROUND, STEPS_OF_A_BLOCK

Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]
Result = Literal["logits", "hidden"] | int
"""What a pass gives of a row: its logits, what the last norm gives, or so many of its highest logits and no others."""
SCORED: Final = np.dtype([("token", np.int32), ("logit", np.float32)])


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
        self._highest = aligned(0)
        self._kept: tuple[int, ...] = ()
        self._eps_bits = int(np.float32(shape.rms_eps).view(np.int32))
        steps = self.layers * STEPS_OF_A_BLOCK + STEPS_AROUND
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
            result: what is wanted of each row; a number is at least 1 and at most the vocabulary.

        Returns:
            float32 (m, vocab) or (m, hidden), or `SCORED` (m, number): highest first, of equal ones the first token,
            and every token -1 where a logit is no finite number. A row depends on its slot's tokens only, and on which
            of them are a prompt, bit for bit.
        """
        if prompt is not None and self.reads_prompts_apart:
            rough = prompt if adapters is None else prompt & (adapters == 0)
            if rough.all():
                return self._read(tokens, slots, positions, cache, logit_rows, adapters, result, rough=True)
            if rough.any():
                out = self.results(len(logit_rows), result)
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
        out = self.results(len(wanted), result)
        with team.LOCK:
            used = adapters is not None and bool(adapters.any())
            self._tiles = table(get_path(), self._codes | low_rank.CODES if used else self._codes)
            self._prepare(min(len(tokens), size), cache, rough, result)
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

    def results(self, rows: int, result: Result) -> NDArray[Any]:
        """Room for what a pass gives of so many rows."""
        if isinstance(result, int):
            return np.empty((rows, result), SCORED)
        return np.empty((rows, self.vocab if result == "logits" else self.shape.hidden), np.float32)

    def _prepare(self, tokens: int, cache: Cache, rough: bool, result: Result) -> None:
        """Grow the work space and the table of rotations to what this call needs."""
        s = self.shape
        context_tokens = cache.context_tokens
        scratch = self._threads * attend.bytes_of_scratch(context_tokens, s.head_dim, cache.eight)
        panels = self._threads * prompts.bytes_of_room(PROMPT_CHUNK) if rough else 0
        highest = self._threads * CHUNK * _bytes_of_highest(result)
        tokens = max(tokens, 32) if rough else tokens
        enough = self._room >= tokens and self._panels.nbytes >= panels and self._highest.nbytes >= highest
        if enough and len(self._cos) >= context_tokens and self._scratch.nbytes >= scratch:
            return
        if self._panels.nbytes < panels:
            self._panels = aligned(panels)
            self._unpackers = prompts.unpackers(self._codes & prompts.FORMATS_READ)
        if self._highest.nbytes < highest:
            self._highest = aligned(highest)
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
            self._head_norms, self._panels, self._highest,
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
                shapes(), batch, _number_of(result), self._eps_bits, self._turn, rough, cache.eight,
                *cache.addresses, out.ctypes.data, *self._kept,
            ),
            np.int64,
        )  # fmt: skip
        team.launch(walk.work, block, self._threads, walk.begin)
        if isinstance(result, int):
            used = self._highest[: self._threads * CHUNK * _bytes_of_highest(result)]
            out[:] = _highest(used.reshape(self._threads, CHUNK, -1)[:, : len(rows)], result)
        elif result == "hidden":
            out[:] = self._floats.reshape(-1, float_bytes // 4)[: len(rows), : self.shape.hidden]


def _number_of(result: Result) -> int:
    """How a pass is told what is wanted."""
    if isinstance(result, int):
        return HIDDEN + result
    return LOGITS if result == "logits" else HIDDEN


def _bytes_of_highest(result: Result) -> int:
    return int(steps.bytes_of_highest(result)) if isinstance(result, int) else 0


def _highest(kept: NDArray[np.uint8], count: int) -> NDArray[Any]:
    """The highest of all, from what every thread kept of every row: (threads, rows, bytes)."""
    poison, found = kept[..., :64].view(np.float32), kept[..., 64 : 64 + 8 * count].swapaxes(0, 1)
    rows, threads, _ = found.shape
    logits = found[..., : 4 * count].reshape(rows, threads * 4 * count).view(np.float32)
    tokens = found[..., 4 * count :].reshape(rows, threads * 4 * count).view(np.int32)
    order = np.lexsort((tokens, -logits))[:, :count]
    best = np.empty((rows, count), SCORED)
    best["token"], best["logit"] = np.take_along_axis(tokens, order, 1), np.take_along_axis(logits, order, 1)
    best["token"][~np.isfinite(poison).all(axis=(0, 2))] = -1
    return best


def _padded(size: int) -> int:
    return -(-size // 16) * 16


def _entry(matrix: PackedMatrix) -> tuple[int, int, int, int]:
    return matrix.code, matrix.address, matrix.rows, matrix.cols
