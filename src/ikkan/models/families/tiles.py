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

_NEEDS: Final[dict[str, tuple[str, ...]]] = {"avx512vnni": ("avx512f", "avx512bw", "avx512vnni"), "avx2": ("avx2", "fma", "f16c"), "plain": ()}
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


@jit
def tile_bytes(code: int, cols: int) -> int:
    """Bytes of one tile: sixteen rows of `cols` weights."""
    groups = cols // GROUP
    if code == Q4:
        return 320 * groups
    if code == Q8:
        return (544 * groups + 63) // 64 * 64
    return (cols + 3) // 4 * 4 * (32 if code == F16 else 64)


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


def _word(function: Function) -> Function:
    """A numba intrinsic. What it returns to numba is a signature and the IR's author."""
    return cast(Function, intrinsic(function))


def _written(result: Any, count: int, write: Callable[..., Value | None], *arguments: Any) -> Any:
    """What numba wants of an intrinsic: its signature (`count` integers unless said otherwise) and its author."""

    def codegen(context: Any, builder: Builder, signature: Any, values: Sequence[Value]) -> Value:
        made = write(builder, *values)
        return context.get_dummy_value() if made is None else made

    return result(*(arguments or [types.int64] * count)), codegen


# --- IR: dot products -------------------------------------------------------------------------------------------------


def _dot4(b: Builder, path: str, sums: Value, weights: Value, inputs: Value, small: bool) -> Value:
    """Add to each of 16 ints the four products of its unsigned weight bytes and signed input bytes.

    `small` promises weights below 16, which lets AVX2 multiply without saturating.
    """
    if path == "avx512vnni":
        return _call(b, "llvm.x86.avx512.vpdpbusd.512", _INTS, [sums, weights, inputs])
    if path == "plain":
        for byte in range(4):
            weight = b.and_(b.lshr(weights, _ints(8 * byte)), _ints(255))
            number = b.ashr(b.shl(inputs, _ints(24 - 8 * byte)), _ints(24))
            sums = b.add(sums, b.mul(weight, number))
        return sums
    parts = []
    for first in (0, 8):
        number = b.bitcast(_part(b, inputs, first, 8), _BYTES32)
        weight = b.bitcast(_part(b, weights, first, 8), _BYTES32)
        total = _part(b, sums, first, 8)
        low = weight if small else b.and_(weight, ir.Constant(_BYTES32, [15] * 32))
        total = b.add(total, _pairs(b, low, number, 1))
        if not small:
            total = b.add(total, _pairs(b, b.lshr(weight, ir.Constant(_BYTES32, [4] * 32)), number, 16))
        parts.append(total)
    return _join(b, *parts)


_BYTES32 = ir.VectorType(_I8, 32)
_WORDS16 = ir.VectorType(_I16, 16)
_INTS8 = ir.VectorType(_I32, 8)


def _pairs(b: Builder, weights: Value, inputs: Value, factor: int) -> Value:
    words = _call(b, "llvm.x86.avx2.pmadd.ub.sw", _WORDS16, [weights, inputs])
    return _call(b, "llvm.x86.avx2.pmadd.wd", _INTS8, [words, ir.Constant(_WORDS16, [factor] * 16)])


def _can_run(path: str) -> bool:
    features = llvmlite.binding.get_host_cpu_features()
    return all(features.get(need, False) for need in _NEEDS[path])


def _quantised_tile(path: str, code: int, tokens: int) -> Any:
    """(weights, groups, inputs, their stride, scales, their stride, out, its stride, add): 16 rows x `tokens`.

    Strides are bytes from token to token. `add` 1 adds to what `out` holds, 0 overwrites it.
    """

    def write(
        b: Builder, w: Value, groups: Value, x: Value, xs: Value, s: Value, ss: Value, out: Value, os: Value, add: Value
    ) -> None:
        if not _can_run(path):
            return  # never called here; the instruction must not even be compiled
        scales_at = b.add(w, b.mul(groups, _long(512)))
        loop = _Loop(b, groups, [_floats(0.0)] * tokens)
        step = b.add(x, b.mul(loop.i, _long(64)))
        inputs = [b.add(step, b.mul(xs, _long(t))) for t in range(tokens)]
        high, low = [_ints(0)] * tokens, [_ints(0)] * tokens

        def dot(weights: Value, offset: int) -> None:
            for t in range(tokens):
                number = [_splat(b, _load(b, inputs[t], offset + part, _I32, 4), _INTS) for part in (0, GROUP)]
                high[t] = _dot4(b, path, high[t], weights, number[0], code == Q4)
                low[t] = _dot4(b, path, low[t], weights, number[1], code == Q4)

        minimums = None
        if code == Q4:
            here = b.add(w, b.mul(loop.i, _long(320)))
            for j in range(4):
                both = _load(b, here, 64 * j, _BYTES64, 64)
                dot(b.bitcast(b.and_(both, ir.Constant(_BYTES64, [15] * 64)), _INTS), 8 * j)
                dot(b.bitcast(b.lshr(both, ir.Constant(_BYTES64, [4] * 64)), _INTS), 8 * j + 4)
            scales = b.fpext(_load(b, here, 256, _HALVES, 32), _FLOATS)
            minimums = b.fpext(_load(b, here, 288, _HALVES, 32), _FLOATS)
        else:
            here = b.add(w, b.mul(loop.i, _long(512)))
            for j in range(8):
                dot(_load(b, here, 64 * j, _INTS, 64), 4 * j)
            scales = b.fpext(_load(b, b.add(scales_at, b.mul(loop.i, _long(32))), 0, _HALVES, 32), _FLOATS)
        new = []
        for t in range(tokens):
            facts = b.add(b.add(s, b.mul(ss, _long(t))), b.mul(loop.i, _long(16)))
            scale = _splat(b, _load(b, facts, 0, _F, 4), _FLOATS)
            total = b.add(b.shl(high[t], _ints(7)), low[t])
            if minimums is None:  # weights stand 128 too high
                total = b.sub(total, _splat(b, _load(b, facts, 8, _I32, 4), _INTS))
            result = _fma(b, b.sitofp(total, _FLOATS), b.fmul(scales, scale), loop.values[t])
            if minimums is not None:
                result = _fma(b, minimums, _splat(b, _load(b, facts, 4, _F, 4), _FLOATS), result)
            new.append(result)
        _finish(b, loop.close(new), out, os, add)

    @_word
    def tile(context: Any, w: Any, groups: Any, x: Any, xs: Any, s: Any, ss: Any, out: Any, os: Any, add: Any) -> Any:
        return _written(types.void, 9, write)

    return tile


def _plain_tile(code: int, tokens: int) -> Any:
    """(weights, quarters of the inputs, inputs, their stride, out, its stride, add): 16 rows x `tokens`, in float32."""

    def write(b: Builder, w: Value, quarters: Value, x: Value, xs: Value, out: Value, os: Value, add: Value) -> None:
        width = 64 if code == F32 else 32
        loop = _Loop(b, quarters, [_floats(0.0)] * (4 * tokens))
        here = b.add(w, b.mul(loop.i, _long(4 * width)))
        step = b.add(x, b.mul(loop.i, _long(16)))
        new = list(loop.values)
        for j in range(4):
            if code == F32:
                weights = _load(b, here, j * width, _FLOATS, 64)
            else:
                weights = b.fpext(_load(b, here, j * width, _HALVES, 32), _FLOATS)
            for t in range(tokens):
                number = _splat(b, _load(b, b.add(step, b.mul(xs, _long(t))), 4 * j, _F, 4), _FLOATS)
                new[4 * t + j] = _fma(b, weights, number, new[4 * t + j])
        new = loop.close(new)
        sums = [b.fadd(b.fadd(*new[4 * t : 4 * t + 2]), b.fadd(*new[4 * t + 2 : 4 * t + 4])) for t in range(tokens)]
        _finish(b, sums, out, os, add)

    @_word
    def tile(context: Any, w: Any, quarters: Any, x: Any, xs: Any, out: Any, os: Any, add: Any) -> Any:
        return _written(types.void, 7, write)

    return tile


def _finish(b: Builder, sums: Sequence[Value], out: Value, stride: Value, add: Value) -> None:
    adds = _splat(b, b.icmp_signed("!=", add, _long(0)), ir.VectorType(ir.IntType(1), LANES))
    for t, total in enumerate(sums):
        where = _at(b, b.add(out, b.mul(stride, _long(t))), 0, _FLOATS)
        before = b.select(adds, b.load(where, align=4), _floats(0.0))
        b.store(b.fadd(before, total), where, align=4)


_q4_vnni_1, _q4_vnni_n = (_quantised_tile("avx512vnni", Q4, tokens) for tokens in (1, TOKENS))
_q8_vnni_1, _q8_vnni_n = (_quantised_tile("avx512vnni", Q8, tokens) for tokens in (1, TOKENS))
_q4_avx2_1, _q8_avx2_1 = (_quantised_tile("avx2", code, 1) for code in (Q4, Q8))
_q4_plain_1, _q8_plain_1 = (_quantised_tile("plain", code, 1) for code in (Q4, Q8))
_f16_1, _f16_n = (_plain_tile(F16, tokens) for tokens in (1, TOKENS))
_f32_1, _f32_n = (_plain_tile(F32, tokens) for tokens in (1, TOKENS))


@jit
def tile_1(
    path: int, code: int, w: int, cols: int, x: int, xs: int, q: int, qs: int, s: int, ss: int, out: int, os: int, add: int
) -> None:
    """Sixteen rows times one token; `x` are its floats, `q` and `s` its rounded inputs and their scales (addresses)."""
    if code == Q4:
        if path == 0:
            _q4_vnni_1(w, cols // GROUP, q, qs, s, ss, out, os, add)
        elif path == 1:
            _q4_avx2_1(w, cols // GROUP, q, qs, s, ss, out, os, add)
        else:
            _q4_plain_1(w, cols // GROUP, q, qs, s, ss, out, os, add)
    elif code == Q8:
        if path == 0:
            _q8_vnni_1(w, cols // GROUP, q, qs, s, ss, out, os, add)
        elif path == 1:
            _q8_avx2_1(w, cols // GROUP, q, qs, s, ss, out, os, add)
        else:
            _q8_plain_1(w, cols // GROUP, q, qs, s, ss, out, os, add)
    elif code == F16:
        _f16_1(w, (cols + 3) // 4, x, xs, out, os, add)
    else:
        _f32_1(w, (cols + 3) // 4, x, xs, out, os, add)


@jit
def tile_n(
    path: int, code: int, w: int, cols: int, x: int, xs: int, q: int, qs: int, s: int, ss: int, out: int, os: int, add: int
) -> None:
    """The same for `TOKENS` tokens; the bits are those of `tile_1`, token by token."""
    if path == 0 and code == Q4:
        _q4_vnni_n(w, cols // GROUP, q, qs, s, ss, out, os, add)
    elif path == 0 and code == Q8:
        _q8_vnni_n(w, cols // GROUP, q, qs, s, ss, out, os, add)
    elif code == F16:
        _f16_n(w, (cols + 3) // 4, x, xs, out, os, add)
    elif code == F32:
        _f32_n(w, (cols + 3) // 4, x, xs, out, os, add)
    else:  # sixteen registers hold no more than one token
        for t in range(TOKENS):
            tile_1(path, code, w, cols, x + t * xs, xs, q + t * qs, qs, s + t * ss, ss, out + t * os, os, add)


# --- IR: activations --------------------------------------------------------------------------------------------------


@_word
def quantise(context: Any, x: Any, groups: Any, q: Any, s: Any) -> Any:
    """Round groups of 32 floats at `x` to two bytes each at `q`; at `s` a scale, scale * sum, and 128 * sum (an int)."""

    def write(b: Builder, x: Value, groups: Value, q: Value, s: Value) -> None:
        loop = _Loop(b, groups, [])
        here = b.add(x, b.mul(loop.i, _long(128)))
        halves = [_load(b, here, offset, _FLOATS, 4) for offset in (0, 64)]
        sizes = [_call(b, "llvm.fabs.v16f32", _FLOATS, [half]) for half in halves]
        largest = _fold(b, _larger(b, *sizes), lambda one, other: _larger(b, one, other))
        # Below this a scale would lose bits as a subnormal; such a group is as good as zero.
        visible = b.fcmp_ordered(">", largest, ir.Constant(_F, 1e-30))
        safe = b.select(visible, largest, ir.Constant(_F, 1.0))
        factor = b.select(visible, b.fdiv(ir.Constant(_F, 16256.0), safe), ir.Constant(_F, 0.0))
        scale = b.fdiv(safe, ir.Constant(_F, 16256.0))
        into = b.add(q, b.mul(loop.i, _long(64)))
        numbers = []
        for n, half in enumerate(halves):
            scaled = b.fmul(half, _splat(b, factor, _FLOATS))
            number = b.fptosi(_call(b, "llvm.roundeven.v16f32", _FLOATS, [scaled]), _INTS)
            high = b.ashr(b.add(number, _ints(64)), _ints(7))
            low = b.sub(number, b.shl(high, _ints(7)))
            for offset, part in ((0, high), (GROUP, low)):
                b.store(b.trunc(part, _BYTES16), _at(b, into, offset + 16 * n, _BYTES16), align=16)
            numbers.append(number)
        total = _fold(b, b.add(*numbers), lambda one, other: b.add(one, other))
        facts = b.add(s, b.mul(loop.i, _long(16)))
        b.store(scale, _at(b, facts, 0, _F), align=4)
        b.store(b.fmul(scale, b.sitofp(total, _F)), _at(b, facts, 4, _F), align=4)
        b.store(b.shl(total, ir.Constant(_I32, 7)), _at(b, facts, 8, _I32), align=4)
        loop.close([])

    return _written(types.void, 4, write)


_BYTES16 = ir.VectorType(_I8, 16)


@_word
def sum_of_squares(context: Any, x: Any, blocks: Any) -> Any:
    """Of `blocks` times 16 floats at `x`."""

    def write(b: Builder, x: Value, blocks: Value) -> Value:
        loop = _Loop(b, blocks, [_floats(0.0)])
        number = _load(b, b.add(x, b.mul(loop.i, _long(64))), 0, _FLOATS, 4)
        (total,) = loop.close([_fma(b, number, number, loop.values[0])])
        return _fold(b, total, lambda one, other: b.fadd(one, other))

    return _written(types.float32, 2, write)


@_word
def scale_by(context: Any, x: Any, weights: Any, factor: Any, out: Any, blocks: Any) -> Any:
    """`out = x * factor * weights` over `blocks` times 16 floats."""

    def write(b: Builder, x: Value, weights: Value, factor: Value, out: Value, blocks: Value) -> None:
        wide = _splat(b, factor, _FLOATS)
        loop = _Loop(b, blocks, [])
        offset = b.mul(loop.i, _long(64))
        number = b.fmul(_load(b, b.add(x, offset), 0, _FLOATS, 4), wide)
        b.store(
            b.fmul(number, _load(b, b.add(weights, offset), 0, _FLOATS, 4)), _at(b, b.add(out, offset), 0, _FLOATS), align=4
        )
        loop.close([])

    return _written(types.void, 5, write, types.int64, types.int64, types.float32, types.int64, types.int64)


@_word
def swiglu(context: Any, gate: Any, up: Any, out: Any, blocks: Any) -> Any:
    """`out = gate * sigmoid(gate) * up` over `blocks` times 16 floats."""

    def write(b: Builder, gate: Value, up: Value, out: Value, blocks: Value) -> None:
        loop = _Loop(b, blocks, [])
        offset = b.mul(loop.i, _long(64))
        number = _load(b, b.add(gate, offset), 0, _FLOATS, 4)
        below = b.fadd(_floats(1.0), _exp(b, b.fsub(_floats(-0.0), number)))
        gated = b.fmul(b.fdiv(number, below), _load(b, b.add(up, offset), 0, _FLOATS, 4))
        b.store(gated, _at(b, b.add(out, offset), 0, _FLOATS), align=4)
        loop.close([])

    return _written(types.void, 4, write)


def _exp(b: Builder, x: Value) -> Value:
    """e to the x in float32, within 2 units of the last place between -87 and 88, where it is cut.

    Source: the polynomial of Cephes' `expf`.
    """
    x = b.select(b.fcmp_ordered(">", x, _floats(-87.0)), x, _floats(-87.0))
    x = b.select(b.fcmp_ordered("<", x, _floats(88.0)), x, _floats(88.0))
    whole = _call(b, "llvm.roundeven.v16f32", _FLOATS, [b.fmul(x, _floats(1.4426950408889634))])
    rest = _fma(b, whole, _floats(2.12194440e-4), _fma(b, whole, _floats(-0.693359375), x))
    sums = _floats(1.9875691500e-4)
    for factor in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        sums = _fma(b, sums, rest, _floats(factor))
    sums = b.fadd(_fma(b, sums, b.fmul(rest, rest), rest), _floats(1.0))
    power = b.shl(b.add(b.fptosi(whole, _INTS), _ints(127)), _ints(23))
    return b.fmul(sums, b.bitcast(power, _FLOATS))


# --- IR: attention ----------------------------------------------------------------------------------------------------


def _scores(queries: int) -> Any:
    """(q, its stride, keys, head_dim, blocks, scale, out, its stride): `queries` rows against blocks of 16 keys.

    Keys stand as (block, head_dim, 16 positions), so that a position is a lane.
    """

    def write(
        b: Builder, q: Value, qs: Value, k: Value, dim: Value, blocks: Value, scale: Value, out: Value, os: Value
    ) -> None:
        block_bytes = b.mul(dim, _long(64))
        outer = _Loop(b, blocks, [])
        keys = b.add(k, b.mul(outer.i, block_bytes))
        inner = _Loop(b, b.lshr(dim, _long(2)), [_floats(0.0)] * (4 * queries))
        here, there = b.add(keys, b.mul(inner.i, _long(256))), b.add(q, b.mul(inner.i, _long(16)))
        new = list(inner.values)
        for j in range(4):
            key = _load(b, here, 64 * j, _FLOATS, 64)
            for r in range(queries):
                number = _splat(b, _load(b, b.add(there, b.mul(qs, _long(r))), 4 * j, _F, 4), _FLOATS)
                new[4 * r + j] = _fma(b, key, number, new[4 * r + j])
        new = inner.close(new)
        for r in range(queries):
            total = b.fadd(b.fadd(*new[4 * r : 4 * r + 2]), b.fadd(*new[4 * r + 2 : 4 * r + 4]))
            where = b.add(b.add(out, b.mul(os, _long(r))), b.mul(outer.i, _long(64)))
            b.store(b.fmul(total, _splat(b, scale, _FLOATS)), _at(b, where, 0, _FLOATS), align=64)
        outer.close([])

    @_word
    def scores(context: Any, q: Any, qs: Any, k: Any, dim: Any, blocks: Any, scale: Any, out: Any, os: Any) -> Any:
        return _written(types.void, 8, write, *[types.int64] * 5, types.float32, types.int64, types.int64)

    return scores


def _mix(queries: int, width: int) -> Any:
    """(shares, their stride, values, their stride, positions, out, its stride): sums of `width` times 16 coordinates."""

    def write(b: Builder, p: Value, ps: Value, v: Value, vs: Value, positions: Value, out: Value, os: Value) -> None:
        loop = _Loop(b, positions, [_floats(0.0)] * (queries * width))
        here, share = b.add(v, b.mul(loop.i, vs)), b.add(p, b.mul(loop.i, _long(4)))
        values = [_load(b, here, 64 * c, _FLOATS, 64) for c in range(width)]
        new = []
        for r in range(queries):
            weight = _splat(b, _load(b, b.add(share, b.mul(ps, _long(r))), 0, _F, 4), _FLOATS)
            new += [_fma(b, values[c], weight, loop.values[r * width + c]) for c in range(width)]
        new = loop.close(new)
        for r in range(queries):
            where = b.add(out, b.mul(os, _long(r)))
            for c in range(width):
                b.store(new[r * width + c], _at(b, where, 64 * c, _FLOATS), align=4)

    @_word
    def mix(context: Any, p: Any, ps: Any, v: Any, vs: Any, positions: Any, out: Any, os: Any) -> Any:
        return _written(types.void, 7, write)

    return mix


@_word
def _softmax(context: Any, scores: Any, positions: Any, blocks: Any) -> Any:
    """Scores of `positions` (in `blocks` of 16) to shares that sum to one, in place; lanes beyond become zero."""

    def write(b: Builder, scores: Value, positions: Value, blocks: Value) -> None:
        lane = ir.Constant(_INTS, list(range(LANES)))
        nothing = _floats(-3e38)

        def block(loop: _Loop) -> tuple[Value, Value]:
            """Where this block stands, and its scores with lanes beyond the last position out of the way."""
            where = _at(b, b.add(scores, b.mul(loop.i, _long(64))), 0, _FLOATS)
            left = b.trunc(b.sub(positions, b.mul(loop.i, _long(LANES))), _I32)
            inside = b.icmp_signed("<", lane, _splat(b, left, _INTS))
            return where, b.select(inside, b.load(where, align=64), nothing)

        loop = _Loop(b, blocks, [nothing])
        (highest,) = loop.close([_larger(b, block(loop)[1], loop.values[0])])
        top = _splat(b, _fold(b, highest, lambda one, other: _larger(b, one, other)), _FLOATS)

        loop = _Loop(b, blocks, [_floats(0.0)])
        where, found = block(loop)
        inside = b.fcmp_ordered(">", found, nothing)
        power = b.select(inside, _exp(b, b.fsub(found, top)), _floats(0.0))
        b.store(power, where, align=64)
        (total,) = loop.close([b.fadd(loop.values[0], power)])
        share = b.fdiv(ir.Constant(_F, 1.0), _fold(b, total, lambda one, other: b.fadd(one, other)))

        loop = _Loop(b, blocks, [])
        where = _at(b, b.add(scores, b.mul(loop.i, _long(64))), 0, _FLOATS)
        b.store(b.fmul(b.load(where, align=64), _splat(b, share, _FLOATS)), where, align=64)
        loop.close([])

    return _written(types.void, 3, write)


_scores_1, _scores_2, _scores_3, _scores_4 = (_scores(queries) for queries in (1, 2, 3, 4))
_mix_1_1, _mix_1_4 = (_mix(1, width) for width in (1, 4))
_mix_2_1, _mix_2_4 = (_mix(2, width) for width in (1, 4))
_mix_3_1, _mix_3_4 = (_mix(3, width) for width in (1, 4))
_mix_4_1, _mix_4_4 = (_mix(4, width) for width in (1, 4))

QUERIES: Final = 4
"""Queries that share one load of keys and values, at most."""


@jit
def attend(
    queries: int, q: int, qs: int, k: int, v: int, dim: int, positions: int, scale: float, work: int, ws: int, out: int, os: int
) -> None:
    """One to `QUERIES` heads of one token over the keys and values of `positions` positions.

    `dim` is a multiple of 16; `work` has room for `positions` rounded up to 16 a query, `ws` bytes apart. The bits of a
    query's result do not depend on how many share the call.
    """
    blocks = (positions + LANES - 1) // LANES
    if queries == 1:
        _scores_1(q, qs, k, dim, blocks, scale, work, ws)
    elif queries == 2:
        _scores_2(q, qs, k, dim, blocks, scale, work, ws)
    elif queries == 3:
        _scores_3(q, qs, k, dim, blocks, scale, work, ws)
    else:
        _scores_4(q, qs, k, dim, blocks, scale, work, ws)
    for r in range(queries):
        _softmax(work + r * ws, positions, blocks)
    done = 0
    while done < dim:
        wide = dim - done >= 4 * LANES
        values, into = v + 4 * done, out + 4 * done
        if wide:
            if queries == 1:
                _mix_1_4(work, ws, values, 4 * dim, positions, into, os)
            elif queries == 2:
                _mix_2_4(work, ws, values, 4 * dim, positions, into, os)
            elif queries == 3:
                _mix_3_4(work, ws, values, 4 * dim, positions, into, os)
            else:
                _mix_4_4(work, ws, values, 4 * dim, positions, into, os)
            done += 4 * LANES
        else:
            if queries == 1:
                _mix_1_1(work, ws, values, 4 * dim, positions, into, os)
            elif queries == 2:
                _mix_2_1(work, ws, values, 4 * dim, positions, into, os)
            elif queries == 3:
                _mix_3_1(work, ws, values, 4 * dim, positions, into, os)
            else:
                _mix_4_1(work, ws, values, 4 * dim, positions, into, os)
            done += LANES


# --- IR: single numbers -----------------------------------------------------------------------------------------------


@_word
def _byte_at(context: Any, address: Any) -> Any:
    return _written(types.int64, 1, lambda b, address: b.zext(_load(b, address, 0, _I8, 1), _I64))


@_word
def _half_at(context: Any, address: Any) -> Any:
    return _written(types.float32, 1, lambda b, address: b.fpext(_load(b, address, 0, ir.HalfType(), 2), _F))


@_word
def _float_at(context: Any, address: Any) -> Any:
    return _written(types.float32, 1, lambda b, address: _load(b, address, 0, _F, 4))


@jit
def embed_row(code: int, w: int, cols: int, row: int, out: Float32, first: int) -> None:
    """Row `row` of a packed matrix in float32, into `out[first : first + cols]`."""
    tile, lane = row // 16, row % 16
    groups = cols // 32
    if code == Q4:
        here = w + tile * tile_bytes(code, cols)
        for i in range(cols):
            group, within = i // 32, i % 32
            at = here + group * 320
            both = _byte_at(at + (within // 8) * 64 + lane * 4 + within % 4)
            weight = both & 15 if within % 8 < 4 else both >> 4
            out[first + i] = _half_at(at + 256 + 2 * lane) * np.float32(weight) + _half_at(at + 288 + 2 * lane)
    elif code == Q8:
        here = w + tile * tile_bytes(code, cols)
        for i in range(cols):
            group, within = i // 32, i % 32
            weight = _byte_at(here + group * 512 + (within // 4) * 64 + lane * 4 + within % 4) - 128
            out[first + i] = _half_at(here + 512 * groups + 32 * group + 2 * lane) * np.float32(weight)
    elif code == F16:
        here = w + tile * tile_bytes(code, cols)
        for i in range(cols):
            out[first + i] = _half_at(here + 32 * i + 2 * lane)
    else:
        here = w + tile * tile_bytes(code, cols)
        for i in range(cols):
            out[first + i] = _float_at(here + 64 * i + 4 * lane)


# --- IR: a team of threads --------------------------------------------------------------------------------------------


@_word
def arrive(context: Any, counter: Any) -> Any:
    """Add one to a counter that other threads read."""
    return _written(
        types.int64, 1, lambda b, counter: b.atomic_rmw("add", _at(b, counter, 0, _I64), _long(1), "seq_cst")
    )


@_word
def arrived(context: Any, counter: Any) -> Any:
    """The counter; what its writers did before is visible."""
    return _written(types.int64, 1, lambda b, counter: b.load_atomic(_at(b, counter, 0, _I64), "acquire", 8))


@_word
def relax(context: Any) -> Any:
    """Tell the core that this is a waiting loop."""

    def write(b: Builder) -> None:
        if "x86" in llvmlite.binding.get_process_triple():
            _call(b, "llvm.x86.sse2.pause", ir.VoidType(), [])

    return _written(types.void, 0, write)


@_word
def give_way(context: Any) -> Any:
    """Let another thread have this core; libc's `sched_yield`."""
    return _written(types.int32, 0, lambda b: _call(b, "sched_yield", _I32, []))
