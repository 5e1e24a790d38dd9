"""Tiles: sixteen rows of a packed weight matrix times one or four tokens, in the processor's own words.

Here stand the layout of packed weights, the rounding of activations, and the vector instructions that numba does not find
by itself; each is a numba intrinsic that writes LLVM IR. `stack.py` strings them together.

Layout. Sixteen output rows stand together, so that a row is a lane and no horizontal sum is needed. For quantised formats a
group of 32 inputs is one step:

- 4 bits (`Q4_0`, `Q4_1`): 4 vectors of 64 bytes, low nibbles inputs 8j..8j+3 and high nibbles 8j+4..8j+7 of sixteen rows,
  then 16 half-precision scales and 16 minimums; 320 bytes a group. Q4_0 is Q4_1 whose minimum is -8 scales.
- `Q8_0`: 8 vectors of 64 bytes, weights plus 128; the scales of all groups follow the weights of all groups.
- `F16`, `F32`: sixteen numbers an input.

Activations of a quantised matrix are rounded to 15 bits, a scale for every 32: x = scale * (128 * high + low), two signed
bytes. Eight bits, the usual choice, cost 5 % of first choices on SmolLM2 (docs/decisions/0035); the second byte costs no
memory traffic. All integer arithmetic is exact, and float sums have one order, so the three paths
(`avx512vnni`, `avx2`, `plain`) and every batch size give the same bits.

Source: `vpdpbusd` through LLVM IR and the row-interleaved layout after llama.cpp's repacked Q4 formats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from ikkan.ground.errors import NotFinite, UnknownSetting, UnsupportedFormat
from ikkan.models.values import Bytes, Float32

Function = TypeVar("Function", bound=Callable[..., Any])

LANES: Final = 16
GROUP: Final = 32
TOKENS: Final = 4
"""Tokens that share one load of the weights when there are as many."""
PATHS: Final = ("avx512vnni", "avx2", "plain")
Q4, Q8, F16, F32 = 0, 1, 2, 3
CODES: Final = {"Q4_0": Q4, "Q4_1": Q4, "Q8_0": Q8, "F16": F16, "F32": F32}
"""How a format is multiplied."""

_NEEDS: Final = {"avx512vnni": ("avx512f", "avx512bw", "avx512vnni"), "avx2": ("avx2", "fma", "f16c"), "plain": ()}
_PACK_ROWS: Final = 4096  # rows repacked at a time: bounds the temporary copies


def jit(function: Function) -> Function:
    """Compile with numba on the first call, keep the result on disk, release the interpreter lock while running."""
    return cast(Function, numba.njit(cache=True, nogil=True)(function))


def best_path(asked: str | None = None) -> int:
    """The fastest path this processor can run, or the one asked for, as its index in `PATHS`.

    Raises:
        UnknownSetting: there is no such path, or this processor lacks it.
    """
    features = llvmlite.binding.get_host_cpu_features()
    able = [name for name in PATHS if all(features.get(need, False) for need in _NEEDS[name])]
    if asked is not None and asked not in able:
        raise UnknownSetting(f"this processor has no kernel path {asked!r}", hint=f"one of: {', '.join(able)}")
    return PATHS.index(asked or able[0])


# --- packing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TiledMatrix:
    """A weight matrix in the order in which tiles read it."""

    format: str
    rows: int
    cols: int
    data: Bytes
    """64-byte aligned."""

    @property
    def code(self) -> int:
        """`Q4`, `Q8`, `F16` or `F32`."""
        return CODES[self.format]

    @property
    def address(self) -> int:
        return int(self.data.ctypes.data)


def tile_bytes(code: int, cols: int) -> int:
    """Bytes of one tile: sixteen rows of `cols` weights."""
    groups = cols // GROUP
    padded = -(-cols // 4) * 4
    return (320 * groups, -(-544 * groups // 64) * 64, 32 * padded, 64 * padded)[code]


def aligned(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Zeros at a 64-byte boundary; large arrays take memory only where they are written."""
    nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    raw = np.zeros(nbytes + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + nbytes].view(dtype).reshape(shape)


def pack(kind: str, raw: Bytes, rows: int, cols: int) -> TiledMatrix:
    """Reorder a matrix from its rows in a file to tiles; `raw` is not kept.

    Raises:
        UnsupportedFormat: not one of `CODES`, or quantised with rows that are no whole groups of 32.
        NotFinite: a scale or weight is NaN or infinite; `facts["row"]` is the first such row.

    >>> packed = pack("F32", np.arange(6, dtype=np.float32).view(np.uint8), 2, 3)
    >>> packed.data.view(np.float32).reshape(4, 16)[:3, :2].tolist()
    [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    """
    if kind not in CODES or (CODES[kind] in (Q4, Q8) and cols % GROUP):
        raise UnsupportedFormat(f"no kernel multiplies {kind} rows of {cols}", hint=f"formats: {', '.join(CODES)}")
    code = CODES[kind]
    tiles = -(-rows // LANES)
    data = aligned((tiles, tile_bytes(code, cols)), np.uint8)
    row_bytes = len(raw) // rows
    assert len(raw) == rows * row_bytes
    for first in range(0, rows, _PACK_ROWS):
        last = min(first + _PACK_ROWS, rows)
        part = raw[first * row_bytes : last * row_bytes].reshape(last - first, row_bytes)
        whole = -(-len(part) // LANES) * LANES
        if whole != len(part):
            part = np.concatenate([part, np.zeros((whole - len(part), row_bytes), np.uint8)])
        into = data[first // LANES : first // LANES + whole // LANES]
        bad = _PACKERS[kind](part.reshape(-1, LANES, row_bytes), into, cols)
        if bad >= 0:
            raise NotFinite(f"row {first + bad} holds a number that is not finite", row=first + bad)
    return TiledMatrix(kind, rows, cols, data.reshape(-1))


def _first_bad(halves_or_floats: NDArray[Any]) -> int:
    """The first row (of `(tiles, 16, ...)`) with a number that is not finite, or -1."""
    fine = np.isfinite(halves_or_floats).reshape(halves_or_floats.shape[0] * LANES, -1).all(axis=1)
    return -1 if fine.all() else int(np.argmin(fine))


def _pack_q4(raw: Bytes, into: Bytes, cols: int, *, minimum: bool) -> int:
    tiles, groups = len(raw), cols // GROUP
    blocks = raw.reshape(tiles, LANES, groups, -1)
    head = 4 if minimum else 2
    scales = blocks[..., :2].copy().view(np.float16)[..., 0]
    with np.errstate(over="ignore"):
        minimums = blocks[..., 2:4].copy().view(np.float16)[..., 0] if minimum else scales * np.float16(-8)
    bad = max(_first_bad(scales), _first_bad(minimums))
    packed = blocks[..., head:]
    # A block's low nibbles are inputs 0..15, its high ones 16..31; -> (tile, group, row, j, half, 4 inputs)
    nibbles = np.concatenate([packed & 15, packed >> 4], axis=-1).swapaxes(1, 2).reshape(tiles, groups, LANES, 4, 2, 4)
    out = into.reshape(tiles, groups, 320)
    joined = nibbles[..., 0, :] | (nibbles[..., 1, :] << 4)
    out[..., :256] = joined.swapaxes(2, 3).reshape(tiles, groups, 256)
    out[..., 256:288] = np.ascontiguousarray(scales.swapaxes(1, 2)).view(np.uint8).reshape(tiles, groups, 32)
    out[..., 288:] = np.ascontiguousarray(minimums.swapaxes(1, 2)).view(np.uint8).reshape(tiles, groups, 32)
    return bad


def _pack_q8(raw: Bytes, into: Bytes, cols: int) -> int:
    tiles, groups = len(raw), cols // GROUP
    blocks = raw.reshape(tiles, LANES, groups, 34)
    scales = blocks[..., :2].copy().view(np.float16)[..., 0]
    weights = blocks[..., 2:].swapaxes(1, 2).reshape(tiles, groups, LANES, 8, 4).swapaxes(2, 3)
    into[:, : 512 * groups] = weights.reshape(tiles, 512 * groups)
    into[:, : 512 * groups] ^= 128
    into[:, 512 * groups : 544 * groups] = np.ascontiguousarray(scales.swapaxes(1, 2)).view(np.uint8).reshape(tiles, -1)
    return _first_bad(scales)


def _pack_plain(raw: Bytes, into: Bytes, cols: int, *, kind: str) -> int:
    numbers = raw.view(kind)
    out = into.view(kind).reshape(len(raw), -1, LANES)
    out[:, :cols] = numbers.swapaxes(1, 2)
    return _first_bad(numbers)


_PACKERS: Final[dict[str, Callable[[Bytes, Bytes, int], int]]] = {
    "Q4_0": lambda raw, into, cols: _pack_q4(raw, into, cols, minimum=False),
    "Q4_1": lambda raw, into, cols: _pack_q4(raw, into, cols, minimum=True),
    "Q8_0": _pack_q8,
    "F16": lambda raw, into, cols: _pack_plain(raw, into, cols, kind="<f2"),
    "F32": lambda raw, into, cols: _pack_plain(raw, into, cols, kind="<f4"),
}


def unpack_row(matrix: TiledMatrix, row: int) -> Float32:
    """One row in float32: the slow, plain twin of what the tiles read."""
    out = np.zeros(matrix.cols, np.float32)
    embed_row(matrix.code, matrix.address, matrix.cols, row, out, 0)
    return out


# --- IR: words --------------------------------------------------------------------------------------------------------

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_F = ir.FloatType()
_BYTES64 = ir.VectorType(_I8, 64)
_INTS = ir.VectorType(_I32, LANES)
_FLOATS = ir.VectorType(_F, LANES)
_HALVES = ir.VectorType(ir.HalfType(), LANES)
Value = Any
Builder = Any


def _ints(value: int) -> Value:
    return ir.Constant(_INTS, [value] * LANES)


def _floats(value: float) -> Value:
    return ir.Constant(_FLOATS, [value] * LANES)


def _long(value: int) -> Value:
    return ir.Constant(_I64, value)


def _splat(b: Builder, value: Value, vector: Any) -> Value:
    undefined = ir.Constant(vector, ir.Undefined)
    first = b.insert_element(undefined, value, ir.Constant(_I32, 0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count))


def _at(b: Builder, address: Value, offset: int, kind: Any) -> Value:
    where = b.add(address, _long(offset)) if offset else address
    return b.inttoptr(where, kind.as_pointer())


def _load(b: Builder, address: Value, offset: int, kind: Any, align: int) -> Value:
    return b.load(_at(b, address, offset, kind), align=align)


def _call(b: Builder, name: str, result: Any, arguments: Sequence[Value]) -> Value:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), list(arguments))


def _fma(b: Builder, x: Value, y: Value, z: Value) -> Value:
    return _call(b, "llvm.fma.v16f32", _FLOATS, [x, y, z])


def _part(b: Builder, vector: Value, first: int, count: int) -> Value:
    undefined = ir.Constant(vector.type, ir.Undefined)
    mask = ir.Constant(ir.VectorType(_I32, count), list(range(first, first + count)))
    return b.shuffle_vector(vector, undefined, mask)


def _join(b: Builder, low: Value, high: Value) -> Value:
    count = low.type.count + high.type.count
    return b.shuffle_vector(low, high, ir.Constant(ir.VectorType(_I32, count), list(range(count))))


def _fold(b: Builder, vector: Value, join: Callable[[Value, Value], Value]) -> Value:
    """All lanes joined in one fixed order: halves, quarters, ..."""
    count = vector.type.count
    while count > 1:
        count //= 2
        vector = join(_part(b, vector, 0, count), _part(b, vector, count, count))
    return b.extract_element(vector, ir.Constant(_I32, 0))


def _larger(b: Builder, x: Value, y: Value) -> Value:
    return b.select(b.fcmp_ordered(">", x, y), x, y)


class _Loop:
    """`for i in range(count)` (at least once) with values carried from turn to turn."""

    def __init__(self, b: Builder, count: Value, carried: Sequence[Value]) -> None:
        before = b.block
        self._b, self._count = b, count
        self._top, self._end = b.append_basic_block("turn"), b.append_basic_block("done")
        b.branch(self._top)
        b.position_at_end(self._top)
        self.i = b.phi(_I64)
        self.i.add_incoming(_long(0), before)
        self.values = [b.phi(one.type) for one in carried]
        for phi, first in zip(self.values, carried, strict=True):
            phi.add_incoming(first, before)

    def close(self, new: Sequence[Value]) -> list[Value]:
        b = self._b
        following = b.add(self.i, _long(1))
        self.i.add_incoming(following, b.block)
        for phi, value in zip(self.values, new, strict=True):
            phi.add_incoming(value, b.block)
        b.cbranch(b.icmp_signed("<", following, self._count), self._top, self._end)
        b.position_at_end(self._end)
        return list(new)


def _define(result: Any, arguments: Sequence[Any], write: Callable[..., Value | None]) -> Any:
    """An intrinsic from a function that writes its IR: `write(builder, *arguments)`."""

    def typing(context: Any, *given: Any) -> Any:
        def codegen(codegen_context: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
            made = write(builder, *values)
            return codegen_context.get_dummy_value() if made is None else made

        return result(*arguments), codegen

    # numba reads the number of arguments from the function's own signature
    names = ", ".join(f"a{n}" for n in range(len(arguments)))
    return intrinsic(eval(f"lambda context{', ' + names if names else ''}: typing(context{', ' + names if names else ''})", {"typing": typing}))
