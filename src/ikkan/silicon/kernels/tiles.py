"""Tiles: 16 output rows times a few tokens, in LLVM IR, for each instruction set.

The idea. Sixteen rows stand side by side in one register, so no sum ever runs across a register. A step takes a group
of 32 inputs: `vpdpbusd` multiplies four unsigned bytes of each row with four signed bytes of the activations. Weights
are unsigned (Q4_0 and Q8_0 keep their offset; the sum of the activations undoes it exactly), activations are 12-bit
numbers split in two signed bytes: `q = 16 * high + low`. All of that is exact integer arithmetic; then one conversion,
one multiplication and one or two fused multiply-adds a group, always in the same order. So every path and every number
of tokens gives the same bits.

Why two bytes and why this layout: docs/decisions/0022 and 0023; timed in benchmarks/kernels.py.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from llvmlite import binding, ir
from numba import types
from numpy.typing import NDArray

from ikkan.silicon.kernels import amx, lanes
from ikkan.silicon.kernels.compiled import Addressed, emitted, inlined
from ikkan.silicon.kernels.formats import (
    BF16,
    F16,
    FORMATS,
    META_BYTES,
    OFFSETS,
    PLANE_BYTES,
    Q8_0,
    Format,
)
from ikkan.silicon.kernels.lanes import (
    F16X16,
    F32X16,
    I8,
    I16,
    I32,
    I32X16,
    I64,
    call_llvm,
    constant,
    load_from,
    loop,
    prefetch,
    spread,
    store_to,
)
from ikkan.silicon.kernels.lanes import F32 as FLOAT
from ikkan.silicon.kernels.unpacked import look_ahead, step_of

PATHS: Final = ("amx", "avx512vnni", "avx2", "plain")
"""Instruction sets in order of preference; compiled code knows them by their index."""
AMX, AVX512VNNI, AVX2, PLAIN = range(4)

_NEEDS: Final = {"avx512vnni": ("avx512f", "avx512bw", "avx512vl", "avx512vnni"), "avx2": ("avx2", "fma"), "plain": ()}

I8X32, I8X64 = ir.VectorType(I8, 32), ir.VectorType(I8, 64)
I16X16, I16X32, I16X64 = (ir.VectorType(I16, count) for count in (16, 32, 64))
I32X8 = ir.VectorType(I32, 8)


@functools.cache
def available_paths() -> tuple[str, ...]:
    """The paths this processor can run, best first."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return ("plain",)
    features = binding.get_host_cpu_features()
    found = tuple(path for path in PATHS[1:] if all(features.get(need, False) for need in _NEEDS[path]))
    return ("amx", *found) if amx.available() else found


# One dot: 16 rows x 4 unsigned weights times the same 4 signed activations, added to 16 sums.


def _slice(builder: ir.IRBuilder, value: ir.Value, start: int, count: int) -> ir.Value:
    picked = ir.Constant(ir.VectorType(I32, count), list(range(start, start + count)))
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), picked)


def _join(builder: ir.IRBuilder, low: ir.Value, high: ir.Value) -> ir.Value:
    count = 2 * low.type.count
    return builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(I32, count), list(range(count))))


def _dot_vnni(builder: ir.IRBuilder, sums: ir.Value, weights: ir.Value, four: ir.Value, *, small: bool) -> ir.Value:
    packed = builder.bitcast(weights, I32X16)
    return call_llvm(builder, "llvm.x86.avx512.vpdpbusd.512", I32X16, sums, packed, spread(builder, four, I32X16))


def _dot_avx2(builder: ir.IRBuilder, sums: ir.Value, weights: ir.Value, four: ir.Value, *, small: bool) -> ir.Value:
    activations = builder.bitcast(spread(builder, four, I32X8), I8X32)
    halves = []
    for start in (0, 32):
        half = _slice(builder, weights, start, 32)
        # vpmaddubsw holds its pair sums in 16 bits: safe for weights up to 63 (2 * 63 * 128), so bytes go nibble-wise.
        parts = [(half, 1)]
        if not small:
            low = builder.and_(half, constant(I8X32, 15))
            parts = [(low, 1), (builder.lshr(half, constant(I8X32, 4)), 16)]
        total = None
        for part, worth in parts:
            pairs = call_llvm(builder, "llvm.x86.avx2.pmadd.ub.sw", I16X16, part, activations)
            fours = call_llvm(builder, "llvm.x86.avx2.pmadd.wd", I32X8, pairs, constant(I16X16, worth))
            total = fours if total is None else builder.add(total, fours)
        halves.append(total)
    return builder.add(sums, _join(builder, halves[0], halves[1]))


def _dot_plain(builder: ir.IRBuilder, sums: ir.Value, weights: ir.Value, four: ir.Value, *, small: bool) -> ir.Value:
    activations = builder.bitcast(spread(builder, four, I32X16), I8X64)
    products = builder.mul(builder.zext(weights, I16X64), builder.sext(activations, I16X64))
    for place in range(4):
        picked = ir.Constant(I32X16, [4 * row + place for row in range(16)])
        one = builder.shuffle_vector(products, ir.Constant(I16X64, ir.Undefined), picked)
        sums = builder.add(sums, builder.sext(one, I32X16))
    return sums


_DOTS: Final = {"avx512vnni": _dot_vnni, "avx2": _dot_avx2, "plain": _dot_plain}


def _fma(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    return call_llvm(builder, "llvm.fma.v16f32", F32X16, a, b, c)


def _rows_of(builder: ir.IRBuilder, x: ir.Value, stride: ir.Value, tokens: int) -> list[ir.Value]:
    addresses = [x]
    for _ in range(tokens - 1):
        addresses.append(builder.add(addresses[-1], stride))
    return addresses


def _emit_quantized(
    builder: ir.IRBuilder,
    path: str,
    kind: Format,
    tokens: int,
    weights: ir.Value,
    groups: ir.Value,
    x: ir.Value,
    stride: ir.Value,
    out: ir.Value,
) -> None:
    """16 rows times `tokens` rows of rounded activations."""
    dot, small = _DOTS[path], kind.code != Q8_0
    rows = _rows_of(builder, x, stride, tokens)
    planes = builder.mul(groups, ir.Constant(I64, PLANE_BYTES))

    def body(group: Any, held: Any) -> Any:
        offset = builder.mul(group, ir.Constant(I64, PLANE_BYTES))
        behind = builder.add(builder.mul(group, ir.Constant(I64, META_BYTES)), planes)
        soon = look_ahead(builder, kind, weights, group)
        step = step_of(builder, kind, weights, group)
        grown = []
        for row, sums in zip(rows, held, strict=True):
            record, meta = builder.add(row, offset), builder.add(row, behind)

            ahead = soon if row is rows[0] else []

            def dots(
                places: range, of: list[ir.Value], record: ir.Value = record, ahead: list[ir.Value] = ahead
            ) -> ir.Value:
                high, low = constant(I32X16, 0), constant(I32X16, 0)
                for place in places:
                    four = of[place]
                    for line in ahead[place::8]:
                        prefetch(builder, line)
                    high = dot(builder, high, four, load_from(builder, record, 4 * place, I32, 4), small=small)
                    low = dot(builder, low, four, load_from(builder, record, 32 + 4 * place, I32, 4), small=small)
                return builder.add(builder.shl(high, constant(I32X16, 4)), low)

            eightfold = load_from(builder, meta, 8, I32, 4)  # 8 x sum(q)
            if step.halves:  # each half has a scale of its own, so each needs its own sum: 32 x sum of its q
                both = spread(builder, builder.shl(eightfold, ir.Constant(I32, 2)), I32X16)
                first = dots(range(4), [constant(I8X64, OFFSETS[kind.name])] * 4)
                parts = []
                for places, undo in ((range(4), first), (range(4, 8), builder.sub(both, first))):
                    parts.append(builder.sub(dots(places, step.fours), undo))
                # At most 2 x 16 x 32 x 2,032 x 128, which 32 bits hold.
                whole = builder.add(*(builder.mul(a, b) for a, b in zip(parts, step.halves, strict=True)))
            else:
                whole = dots(range(8), step.fours)
                if OFFSETS[kind.name]:
                    undo = builder.shl(eightfold, ir.Constant(I32, OFFSETS[kind.name].bit_length() - 4))
                    whole = builder.sub(whole, spread(builder, undo, I32X16))
            scaled = builder.fmul(step.scales, spread(builder, load_from(builder, meta, 0, FLOAT, 4), F32X16))
            new = _fma(builder, builder.sitofp(whole, F32X16), scaled, sums)
            if step.minimums is not None:
                lift = spread(builder, load_from(builder, meta, 4, FLOAT, 4), F32X16)
                new = _fma(builder, step.minimums, lift, new)
            grown.append(new)
        return grown

    for token, sums in enumerate(loop(builder, groups, [constant(F32X16, 0.0)] * tokens, body)):
        store_to(builder, sums, out, 64 * token, 4)


def _emit_floats(
    builder: ir.IRBuilder,
    kind: Format,
    tokens: int,
    weights: ir.Value,
    cols: ir.Value,
    x: ir.Value,
    stride: ir.Value,
    out: ir.Value,
) -> None:
    """16 rows times `tokens` rows of floats; two running sums hide the latency."""
    rows = _rows_of(builder, x, stride, tokens)
    size = kind.bytes_per_step

    def body(pair: Any, held: Any) -> Any:
        for line in look_ahead(builder, kind, weights, pair):
            prefetch(builder, line)
        here = builder.add(weights, builder.mul(pair, ir.Constant(I64, 2 * size)))
        offset = builder.mul(pair, ir.Constant(I64, 8))
        if kind.code == BF16:  # the upper halves of floats
            upper = [load_from(builder, here, size * place, I16X16, size) for place in range(2)]
            wide = [builder.shl(builder.zext(half, I32X16), constant(I32X16, 16)) for half in upper]
            both = [builder.bitcast(half, F32X16) for half in wide]
        else:
            shape = F32X16 if size == 64 else F16X16
            both = [load_from(builder, here, size * place, shape, size) for place in range(2)]
        if kind.code == F16:
            both = [builder.fpext(half, F32X16) for half in both]
        grown = []
        for token, row in enumerate(rows):
            there = builder.add(row, offset)
            for place in range(2):
                number = spread(builder, load_from(builder, there, 4 * place, FLOAT, 4), F32X16)
                grown.append(_fma(builder, both[place], number, held[2 * token + place]))
        return grown

    pairs = builder.lshr(cols, ir.Constant(I64, 1))
    sums = loop(builder, pairs, [constant(F32X16, 0.0)] * (2 * tokens), body)
    for token in range(tokens):
        store_to(builder, builder.fadd(sums[2 * token], sums[2 * token + 1]), out, 64 * token, 4)


@emitted
def _tile(
    context: Any, path: Any, code: Any, tokens: Any, weights: Any, steps: Any, x: Any, stride: Any, out: Any
) -> Any:
    """The tile of a path, a format and a number of tokens, all three known when it is compiled."""
    if not all(isinstance(one, types.IntegerLiteral) for one in (path, code, tokens)):
        return None  # numba asks again with the literals
    kind = next(one for one in FORMATS.values() if one.code == code.literal_value)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if tokens.literal_value > amx.TOGETHER[0][0] and PATHS[path.literal_value] == "amx":
            amx.emit_product(builder, kind, tokens.literal_value, *values[3:])
        elif kind.quantized:
            _emit_quantized(builder, PATHS[path.literal_value], kind, tokens.literal_value, *values[3:])
        else:
            _emit_floats(builder, kind, tokens.literal_value, *values[3:])
        return context.get_dummy_value()

    return types.void(path, code, tokens, *[types.int64] * 5), generate


TOGETHER: Final = {
    "avx512vnni": ((1, 1), (2, 2), (3, 4)),
    "avx2": ((1, 1), (2, 2)),
    "plain": ((1, 1),),
}
"""For at least so many tokens there is a walk over the weights that up to so many share. More would not fit the
registers; where fewer come than it takes, the last rows are whatever lies there."""
_FLOATS_TOGETHER: Final = ((1, 1), (4, 4))
MOST_TOKENS: Final = 16
"""The most tokens that any tile takes."""

_VARIANTS: Final = 4
TABLE_WORDS: Final = 4 * _VARIANTS
"""int64 per format in a path's table: of each variant its address, the fewest and the most tokens it takes."""

_made: dict[tuple[int, int, int], Addressed] = {}
_tables: dict[str, NDArray[np.int64]] = {}


def _addressed_tile(path: int, code: int, tokens: int) -> Addressed:
    """`(weights, steps, x, stride, out)`; the numbers of the closure are constants in the machine code."""

    def tile_of(weights: int, steps: int, x: int, stride: int, out: int) -> None:
        _tile(path, code, tokens, weights, steps, x, stride, out)

    key = path, code, tokens
    if key not in _made:
        _made[key] = Addressed(tile_of, 5)
    return _made[key]


def table(path: str, codes: Iterable[int]) -> int:
    """The address of a path's table of tiles, in which the tiles of these formats are ready.

    Compiles those that are not, so this is the slow part of a first run.
    """
    assert path in available_paths(), f"this processor has {available_paths()}, not {path}"
    if path not in _tables:
        _tables[path] = np.zeros((len(FORMATS), TABLE_WORDS), np.int64)
    words = _tables[path]
    for code in codes:
        if words[code, 0] == 0:
            vector = "avx512vnni" if path == "amx" else path
            number = PLAIN if code >= F16 else PATHS.index(vector)
            together = _FLOATS_TOGETHER if code >= F16 else TOGETHER[vector]
            found = [(_addressed_tile(number, code, most).address, least, most) for least, most in together]
            if path == "amx" and code in amx.FORMATS_MULTIPLIED:
                found += [(_addressed_tile(AMX, code, most).address, least, most) for least, most in amx.TOGETHER]
            for place, variant in reversed(list(enumerate(found))):  # the first last: it says that the entry is there
                words[code, 4 * place : 4 * place + 3] = variant
    return int(words.ctypes.data)


@inlined
def tile(tiles: int, code: int, tokens: int, weights: int, steps: int, x: int, stride: int, out: int) -> int:
    """16 rows times the first few of `tokens` rows of activations; says how many it took.

    `tiles` is a `table`; `steps` is groups (quantised) or padded inputs (floats); `out` has room for `amx.RESULT_BYTES`
    and gets 64 bytes a token. Up to 16 rows of `x` may be read, whatever they hold.
    """
    entry = tiles + code * 8 * TABLE_WORDS
    variant = entry + 32 * (_VARIANTS - 1)
    while variant > entry and (lanes.word(variant) == 0 or tokens < lanes.word(variant + 8)):
        variant -= 32
    lanes.call_5(lanes.word(variant), weights, steps, x, stride, out)
    most: int = lanes.word(variant + 16)
    return min(tokens, most)
