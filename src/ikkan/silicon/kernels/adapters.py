"""Low-rank changes of a stack's matrices, each row of a call with its own, or none.

What an adapter adds to `W @ x` is `scaling * B @ (A @ x)`, computed in float32 from the input before it is rounded. A
and B lie in the tiles of ordinary float matrices, as halves where halves hold them exactly. `shrink` makes the short
rows `scaling * A @ x`, `expand` turns them into what is added. Sums run in the tiles' one order, and a row is computed
from nothing but itself and its adapter, so its bits do not depend on who shares the call. Rows without an adapter are
never touched, and a call in which no row has one does not come here.

Begin at `Batch`: what one call needs. `shrink_step` and `expand_step` are what its threads call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ikkan.silicon.kernels import lanes, steps, team
from ikkan.silicon.kernels.compiled import compiled, inlined
from ikkan.silicon.kernels.formats import FORMATS, TILE_ROWS
from ikkan.silicon.kernels.memory import aligned
from ikkan.silicon.kernels.packed import Float32, PackedMatrix, pack, pack_f32
from ikkan.silicon.kernels.tiles import tile

Int32 = NDArray[np.int32]

MODULES: Final = 7
"""A block's matrices in the order of `Block.matrices`."""
Q, OUT, GATE, DOWN = 0, 3, 4, 6
"""Where a group of matrices with one input begins."""

_HALVES: Final = tuple(name for name in ("F16", "BF16") if name in FORMATS)
CODES: Final = frozenset(FORMATS[name].code for name in (*_HALVES, "F32"))
"""Formats of the tiles that adapters need."""

_TOGETHER: Final = 4
"""Rows that one tile of floats takes at once."""
_ENTRY: Final = 64
_A_CODE, _A, _B_CODE, _B, _RANK, _SCALE = 0, 8, 16, 24, 32, 40
"""Where the words of one matrix's entry stand: formats, addresses (0: unchanged), the padded rank, the scaling."""
_STEPS: Final = 11
"""Steps of one layer: four times `shrink`, seven times `expand`."""
_STEP: Final = 8 * team.STEP_WORDS


class LowRankPair(Protocol):
    """What an adapter adds to one matrix: `scaling * b @ a @ x`."""

    @property
    def a(self) -> Float32: ...

    @property
    def b(self) -> Float32: ...

    @property
    def scaling(self) -> float: ...


@dataclass(frozen=True, slots=True, eq=False)
class PackedAdapter:
    """An adapter as the tiles read it. Made by `pack_adapter`; never changed."""

    table: NDArray[np.int64]
    """(layers, 7, 8) words; holds bare addresses into `matrices`."""
    matrices: tuple[PackedMatrix, ...]
    rank: int
    """The largest, padded to whole tiles."""

    @property
    def nbytes(self) -> int:
        """What it holds in memory."""
        return sum(one.nbytes for one in self.matrices) + int(self.table.nbytes)


def pack_adapter(layers: Sequence[Sequence[LowRankPair | None]]) -> PackedAdapter:
    """Reorder an adapter's matrices; they are copied.

    Args:
        layers: for each layer seven pairs or None, in the order of `Block.matrices`; `a` (rank, in), `b` (out, rank).

    Raises:
        NotFinite: a number is NaN or infinite.
    """
    table = np.zeros((len(layers), MODULES, _ENTRY // 8), np.int64)
    matrices: list[PackedMatrix] = []
    widest = TILE_ROWS
    for layer, pairs in enumerate(layers):
        assert len(pairs) == MODULES
        for module, pair in enumerate(pairs):
            if pair is None:
                continue
            assert pair.a.shape[0] == pair.b.shape[1] >= 1
            a, b = _packed(pair.a), _packed(pair.b)
            rank = -(-pair.a.shape[0] // TILE_ROWS) * TILE_ROWS
            words = table[layer, module]
            words[:5] = a.code, a.address, b.code, b.address, rank
            words.view(np.float32)[_SCALE // 4] = pair.scaling
            matrices += [a, b]
            widest = max(widest, rank)
    return PackedAdapter(table, tuple(matrices), widest)


def _packed(matrix: Float32) -> PackedMatrix:
    matrix = np.ascontiguousarray(matrix, np.float32)
    for format in _HALVES:
        if _fits(format, matrix[:1]) and _fits(format, matrix):  # most often the first row says no
            return pack(format, _narrow(format, matrix).reshape(-1).view(np.uint8), *matrix.shape)
    return pack_f32(matrix)


def _narrow(format: str, matrix: Float32) -> NDArray[np.float16] | NDArray[np.uint16]:
    if format == "BF16":  # the upper half of a float32
        return (matrix.view(np.uint32) >> 16).astype(np.uint16)
    with np.errstate(over="ignore"):
        return matrix.astype(np.float16)


def _fits(format: str, matrix: Float32) -> bool:
    """Whether nothing is lost."""
    if format == "BF16":
        return not (matrix.view(np.uint32) & 0xFFFF).any()
    return np.array_equal(_narrow(format, matrix).astype(np.float32), matrix)


# A call's own control block: which rows have which adapter, and where their short rows and changes are kept.
_ADAPTERS, _CHANGES, _CHANGE_BYTES = steps.BATCH_ADAPTERS, steps.BATCH_CHANGES, steps.BATCH_CHANGE_BYTES
_RUNS, _RUN_STARTS, _TABLES, _SHORT, _SHORT_BYTES, _MODULE_BYTES, _COUNTERS = 40, 48, 56, 64, 72, 80, 88
_GROUPS: Final = 3


class Batch:
    """The adapters of one call's rows, and the memory they need; kept and used again for the next.

    Args:
        intermediate: outputs of a block's gate and up.
    """

    def __init__(self, layers: int, intermediate: int) -> None:
        self._layers = layers
        self._change_bytes = 2 * 4 * (-(-intermediate // 32) * 32)
        self._counters = aligned(layers * _STEPS * team.STEP_WORDS, np.int64)
        self._block = aligned(16, np.int64, zero=True)
        self._short = self._changes = aligned(0)
        self._tables = np.zeros(0, np.int64)
        self._numbers = np.zeros(0, np.int32)
        self._runs = np.zeros(0, np.int64)

    def prepare(
        self, loaded: Sequence[PackedAdapter], numbers: Int32, floats: int, float_bytes: int
    ) -> NDArray[np.int64]:
        """What the threads of a call read: the address of the result goes to `shrink_step` and the others.

        Args:
            loaded: the adapters of this call.
            numbers: (n,) for each row 0, or one more than its adapter's place in `loaded`.
            floats: where rows of a block's product of gate and up are kept before they are rounded.
            float_bytes: from one of those rows to the next.
        """
        n = len(numbers)
        self._numbers = np.ascontiguousarray(numbers, np.int32)
        self._tables = np.array([0, *(int(one.table.ctypes.data) for one in loaded)], np.int64)
        self._runs = _runs_of(self._numbers)
        runs = len(self._runs) - 1
        module_bytes = 4 * max(one.rank for one in loaded)
        if self._short.nbytes < n * _GROUPS * module_bytes:
            self._short = aligned(n * _GROUPS * module_bytes)
        if self._changes.nbytes < n * self._change_bytes:
            self._changes = aligned(n * self._change_bytes)
        self._counters[:] = 0
        self._block[:12] = (
            self._numbers.ctypes.data, self._changes.ctypes.data, self._change_bytes, floats, float_bytes,
            runs, self._runs.ctypes.data, self._tables.ctypes.data,
            self._short.ctypes.data, _GROUPS * module_bytes, module_bytes, self._counters.ctypes.data,
        )  # fmt: skip
        return self._block


def _runs_of(numbers: Int32) -> NDArray[np.int64]:
    """Where neighbours with one adapter begin, at most as many as share a walk over it; and the end.

    >>> _runs_of(np.array([1, 1, 1, 1, 1, 0, 2], np.int32)).tolist()
    [0, 4, 5, 6, 7]
    """
    bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    starts = [start for first, after in pairwise(bounds) for start in range(first, after, _TOGETHER)]
    return np.array([*starts, len(numbers)], np.int64)


# What one thread does. `batch` is the address of a prepared block.


@inlined
def _entry_of(batch: int, row: int, layer: int, module: int) -> int:
    """The entry of a row's matrix; 0 where the row has no adapter."""
    which = lanes.read_int(lanes.word(batch + _ADAPTERS) + 4 * row)
    if which == 0:
        return 0
    entry: int = lanes.word(lanes.word(batch + _TABLES) + 8 * which) + (layer * MODULES + module) * _ENTRY
    return entry


@inlined
def _step_of(batch: int, layer: int, place: int) -> int:
    step: int = lanes.word(batch + _COUNTERS) + (layer * _STEPS + place) * _STEP
    return step


@inlined
def _shrink_place(module: int) -> int:
    return 0 if module < OUT else 1 if module < GATE else 2 if module < DOWN else 3


@compiled
def shrink(
    first: int, last: int, batch: int, tiles: int, layer: int, module: int, count: int, x: int, x_stride: int, cols: int
) -> None:
    """A unit is one matrix for one run of rows that share an adapter: `scaling * A @ x`."""
    lanes.apart()
    starts = lanes.word(batch + _RUN_STARTS)
    results = lanes.scratch_tile()
    padded = (cols + 15) // 16 * 16
    for unit in range(first, last):
        run = unit // count
        place = unit - run * count
        row = lanes.word(starts + 8 * run)
        rows = lanes.word(starts + 8 * run + 8) - row
        entry = _entry_of(batch, row, layer, module + place)
        if entry != 0 and lanes.word(entry + _A) != 0:
            code, a = lanes.word(entry + _A_CODE), lanes.word(entry + _A)
            scale = lanes.splat_at(entry + _SCALE)
            tile_bytes = steps.bytes_of(code, cols)
            for number in range(lanes.word(entry + _RANK) // TILE_ROWS):
                done = 0
                while done < rows:
                    here = x + (row + done) * x_stride
                    took = tile(tiles, code, rows - done, a + number * tile_bytes, padded, here, x_stride, results)
                    for one in range(took):
                        there = lanes.word(batch + _SHORT) + (row + done + one) * lanes.word(batch + _SHORT_BYTES)
                        there += place * lanes.word(batch + _MODULE_BYTES) + 64 * number
                        lanes.store(there, lanes.mul(lanes.load(results + 64 * one), scale))
                    done += took


@compiled
def expand(
    first: int,
    last: int,
    batch: int,
    tiles: int,
    layer: int,
    module: int,
    place: int,
    rows: int,
    out: int,
    out_stride: int,
    accumulate: int,
) -> None:
    """A unit is 16 outputs of one matrix: `B @ short`, for every row that has an adapter.

    With `accumulate` it is added to `out`; else it is written there, nothings included, in whole tiles.
    """
    lanes.apart()
    starts, runs = lanes.word(batch + _RUN_STARTS), lanes.word(batch + _RUNS)
    short_bytes = lanes.word(batch + _SHORT_BYTES)
    short = lanes.word(batch + _SHORT) + place * lanes.word(batch + _MODULE_BYTES)
    results = lanes.scratch_tile()
    for number in range(first, last):
        left = rows - TILE_ROWS * number
        for run in range(runs):
            row = lanes.word(starts + 8 * run)
            count = lanes.word(starts + 8 * run + 8) - row
            entry = _entry_of(batch, row, layer, module)
            if entry != 0:
                code, b, rank = lanes.word(entry + _B_CODE), lanes.word(entry + _B), lanes.word(entry + _RANK)
                done = 0
                while done < count:
                    took = 1
                    if b != 0:
                        data, here = b + number * steps.bytes_of(code, rank), short + (row + done) * short_bytes
                        took = tile(tiles, code, count - done, data, rank, here, short_bytes, results)
                    else:
                        lanes.store(results, lanes.splat(np.float32(0.0)))
                    for one in range(took):
                        value = lanes.load(results + 64 * one)
                        there = out + (row + done + one) * out_stride + 64 * number
                        if accumulate == 0:
                            lanes.store(there, value)
                        elif b != 0:
                            held = lanes.load_first(there, left)
                            lanes.store_first(there, lanes.add(held, value), left)
                    done += took


@compiled
def shrink_step(
    batch: int, threads: int, tiles: int, layer: int, module: int, count: int, x: int, x_stride: int, cols: int
) -> None:
    """The short rows of `count` matrices, from `module` on, that read the floats `x`. Does not wait."""
    lanes.apart()
    step = _step_of(batch, layer, _shrink_place(module))
    units = lanes.word(batch + _RUNS) * count
    chunk = max((units + 4 * threads - 1) // (4 * threads), 1)
    unit = team.take(step, chunk)
    while unit < units:
        last = min(unit + chunk, units)
        shrink(unit, last, batch, tiles, layer, module, count, x, x_stride, cols)
        team.finish(step, last - unit)
        unit = team.take(step, chunk)


@compiled
def _expand_part(
    batch: int,
    threads: int,
    tiles: int,
    layer: int,
    module: int,
    place: int,
    rows: int,
    out: int,
    out_stride: int,
    accumulate: int,
) -> None:
    lanes.apart()
    step = _step_of(batch, layer, 4 + module)
    units = (rows + TILE_ROWS - 1) // TILE_ROWS
    chunk = max((units + 4 * threads - 1) // (4 * threads), 1)
    unit = team.take(step, chunk)
    while unit < units:
        last = min(unit + chunk, units)
        expand(unit, last, batch, tiles, layer, module, place, rows, out, out_stride, accumulate)
        team.finish(step, last - unit)
        unit = team.take(step, chunk)


@compiled
def _wait_for_shrink(batch: int, layer: int, module: int, count: int) -> None:
    lanes.apart()
    team.wait(_step_of(batch, layer, _shrink_place(module)), lanes.word(batch + _RUNS) * count)


@compiled
def _wait_for_expand(batch: int, layer: int, module: int, rows: int) -> None:
    lanes.apart()
    team.wait(_step_of(batch, layer, 4 + module), (rows + TILE_ROWS - 1) // TILE_ROWS)


@compiled
def change_qkv(
    batch: int, threads: int, tiles: int, layer: int, joined: int, narrow: int, qkv: int, qkv_stride: int
) -> None:
    """Add to q, k and v, which stand one after the other: `joined` and twice `narrow` outputs. Waits."""
    lanes.apart()
    _wait_for_shrink(batch, layer, Q, 3)
    _expand_part(batch, threads, tiles, layer, 0, 0, joined, qkv, qkv_stride, 1)
    _expand_part(batch, threads, tiles, layer, 1, 1, narrow, qkv + 4 * joined, qkv_stride, 1)
    _expand_part(batch, threads, tiles, layer, 2, 2, narrow, qkv + 4 * (joined + narrow), qkv_stride, 1)
    _wait_for_expand(batch, layer, 0, joined)
    _wait_for_expand(batch, layer, 1, narrow)
    _wait_for_expand(batch, layer, 2, narrow)


@compiled
def change_gate_up(batch: int, threads: int, tiles: int, layer: int, inter: int) -> None:
    """Keep what is added to gate and up for `steps.gate_up`. Waits."""
    lanes.apart()
    to, stride = lanes.word(batch + _CHANGES), lanes.word(batch + _CHANGE_BYTES)
    _wait_for_shrink(batch, layer, GATE, 2)
    _expand_part(batch, threads, tiles, layer, GATE, 0, inter, to, stride, 0)
    _expand_part(batch, threads, tiles, layer, GATE + 1, 1, inter, to + stride // 2, stride, 0)
    _wait_for_expand(batch, layer, GATE, inter)
    _wait_for_expand(batch, layer, GATE + 1, inter)


@compiled
def change_output(
    batch: int, threads: int, tiles: int, layer: int, module: int, hidden: int, x: int, x_stride: int
) -> None:
    """Add to what the attention's output matrix (`OUT`) or `DOWN` gave the stream `x`. Waits."""
    lanes.apart()
    _wait_for_shrink(batch, layer, module, 1)
    _expand_part(batch, threads, tiles, layer, module, 0, hidden, x, x_stride, 1)
    _wait_for_expand(batch, layer, module, hidden)
