"""Tiles: 16 output rows times a few tokens, in LLVM IR, for each instruction set.

The idea. Sixteen rows stand side by side in one register, so no sum ever runs across a register. A step takes a group
of 32 inputs: `vpdpbusd` multiplies four unsigned bytes of each row with four signed bytes of the activations. Weights
are unsigned (Q4_0 and Q8_0 keep their offset; the sum of the activations undoes it exactly), activations are 15-bit
numbers split in two signed bytes: `q = 128 * high + low`. All of that is exact integer arithmetic; then one conversion,
one multiplication and one or two fused multiply-adds a group, always in the same order. So every path and every number
of tokens gives the same bits.

Source of the layout: measured in this project, see docs/decisions/0020-two-signed-bytes.md and benchmarks/kernels.py.
"""

from __future__ import annotations

import platform
from typing import Any, Final

from llvmlite import binding, ir
from numba import types

from ikkan.silicon.kernels import lanes
from ikkan.silicon.kernels.compiled import compiled
from ikkan.silicon.kernels.formats import F16, F32, FORMATS, Q4_0, Q4_1, Q8_0, RECORD_BYTES
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
    operation,
    spread,
    store_to,
)
from ikkan.silicon.kernels.lanes import F32 as FLOAT

PATHS: Final = ("avx512vnni", "avx2", "plain")
"""Instruction sets in order of preference; compiled code knows them by their index."""
AVX512VNNI, AVX2, PLAIN = range(3)

_NEEDS: Final = {"avx512vnni": ("avx512f", "avx512bw", "avx512vl", "avx512vnni"), "avx2": ("avx2", "fma"), "plain": ()}

I8X32, I8X64 = ir.VectorType(I8, 32), ir.VectorType(I8, 64)
I16X16, I16X32, I16X64 = (ir.VectorType(I16, count) for count in (16, 32, 64))
I32X8 = ir.VectorType(I32, 8)


def available_paths() -> tuple[str, ...]:
    """The paths this processor can run, best first."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return ("plain",)
    features = binding.get_host_cpu_features()
    return tuple(path for path in PATHS if all(features.get(need, False) for need in _NEEDS[path]))


# One dot: 16 rows x 4 unsigned weights times the same 4 signed activations, added to 16 sums.


def _slice(builder: ir.IRBuilder, value: ir.Value, start: int, count: int) -> ir.Value:
    picked = ir.Constant(ir.VectorType(I32, count), list(range(start, start + count)))
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), picked)


def _join(builder: ir.IRBuilder, low: ir.Value, high: ir.Value) -> ir.Value:
    count = 2 * low.type.count
    return builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(I32, count), list(range(count))))


def _dot_vnni(builder: ir.IRBuilder, sums: ir.Value, weights: ir.Value, four: ir.Value, *, nibbles: bool) -> ir.Value:
    packed = builder.bitcast(weights, I32X16)
    return call_llvm(builder, "llvm.x86.avx512.vpdpbusd.512", I32X16, sums, packed, spread(builder, four, I32X16))


def _dot_avx2(builder: ir.IRBuilder, sums: ir.Value, weights: ir.Value, four: ir.Value, *, nibbles: bool) -> ir.Value:
    activations = builder.bitcast(spread(builder, four, I32X8), I8X32)
    halves = []
    for start in (0, 32):
        half = _slice(builder, weights, start, 32)
        # vpmaddubsw holds its pair sums in 16 bits: safe for weights up to 15 (2 * 15 * 127), so bytes go nibble-wise.
        parts = [(half, 1)]
        if not nibbles:
            low = builder.and_(half, constant(I8X32, 15))
            parts = [(low, 1), (builder.lshr(half, constant(I8X32, 4)), 16)]
        total = None
        for part, worth in parts:
            pairs = call_llvm(builder, "llvm.x86.avx2.pmadd.ub.sw", I16X16, part, activations)
            fours = call_llvm(builder, "llvm.x86.avx2.pmadd.wd", I32X8, pairs, constant(I16X16, worth))
            total = fours if total is None else builder.add(total, fours)
        halves.append(total)
    return builder.add(sums, _join(builder, halves[0], halves[1]))


def _dot_plain(builder: ir.IRBuilder, sums: ir.Value, weights: ir.Value, four: ir.Value, *, nibbles: bool) -> ir.Value:
    activations = builder.bitcast(spread(builder, four, I32X16), I8X64)
    products = builder.mul(builder.zext(weights, I16X64), builder.sext(activations, I16X64))
    for place in range(4):
        picked = ir.Constant(I32X16, [4 * row + place for row in range(16)])
        one = builder.shuffle_vector(products, ir.Constant(I16X64, ir.Undefined), picked)
        sums = builder.add(sums, builder.sext(one, I32X16))
    return sums


_DOTS: Final = {"avx512vnni": _dot_vnni, "avx2": _dot_avx2, "plain": _dot_plain}


def _steps(builder: ir.IRBuilder, count: ir.Value, tokens: int, sums: int, body: Any) -> list[ir.Value]:
    """A loop whose `tokens * sums` float vectors live in registers from step to step."""
    before = builder.block
    loop, after = builder.append_basic_block("step"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(I64)
    index.add_incoming(ir.Constant(I64, 0), before)
    held = [builder.phi(F32X16) for _ in range(tokens * sums)]
    for one in held:
        one.add_incoming(constant(F32X16, 0.0), before)
    grown = body(index, held)
    following = builder.add(index, ir.Constant(I64, 1))
    index.add_incoming(following, builder.block)
    for one, new in zip(held, grown, strict=True):
        one.add_incoming(new, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)
    return list(grown)


def _fma(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    return call_llvm(builder, "llvm.fma.v16f32", F32X16, a, b, c)


def _rows_of(builder: ir.IRBuilder, x: ir.Value, stride: ir.Value, tokens: int) -> list[ir.Value]:
    addresses = [x]
    for _ in range(tokens - 1):
        addresses.append(builder.add(addresses[-1], stride))
    return addresses


def _quantized(path: str, code: int, tokens: int) -> Any:
    """`(tile, groups, x, stride, out)`: 16 rows times `tokens` rows of rounded activations."""
    step_bytes = next(one for one in FORMATS.values() if one.code == code).bytes_per_step
    dot, nibbles = _DOTS[path], code != Q8_0

    @operation(types.void, *([types.int64] * 5))
    def tile(builder: Any, weights: Any, groups: Any, x: Any, stride: Any, out: Any) -> None:
        if path not in available_paths():
            return  # never called: the caller asks available_paths() first
        rows = _rows_of(builder, x, stride, tokens)

        def body(group: Any, held: Any) -> Any:
            here = builder.add(weights, builder.mul(group, ir.Constant(I64, step_bytes)))
            offset = builder.mul(group, ir.Constant(I64, RECORD_BYTES))
            fours = []  # eight vectors: 16 rows x 4 weights of inputs 0..3, 4..7, ...
            for quarter in range(4 if nibbles else 8):
                vector = load_from(builder, here, 64 * quarter, I8X64, 32)
                if nibbles:
                    fours.append(builder.and_(vector, constant(I8X64, 15)))
                    fours.append(builder.lshr(vector, constant(I8X64, 4)))
                else:
                    fours.append(vector)
            after = 256 if nibbles else 512
            scales = builder.fpext(load_from(builder, here, after, F16X16, 32), F32X16)
            if code == Q4_1:
                minimums = builder.fpext(load_from(builder, here, after + 32, F16X16, 32), F32X16)
            grown = []
            for row, sums in zip(rows, held, strict=True):
                record = builder.add(row, offset)
                high, low = constant(I32X16, 0), constant(I32X16, 0)
                for place, four in enumerate(fours):
                    high = dot(builder, high, four, load_from(builder, record, 4 * place, I32, 4), nibbles=nibbles)
                    at = 32 + 4 * place
                    low = dot(builder, low, four, load_from(builder, record, at, I32, 4), nibbles=nibbles)
                whole = builder.add(builder.shl(high, constant(I32X16, 7)), low)
                if code != Q4_1:
                    undo = load_from(builder, record, 72 if code == Q4_0 else 76, I32, 4)
                    whole = builder.sub(whole, spread(builder, undo, I32X16))
                scaled = builder.fmul(scales, spread(builder, load_from(builder, record, 64, FLOAT, 4), F32X16))
                new = _fma(builder, builder.sitofp(whole, F32X16), scaled, sums)
                if code == Q4_1:
                    lift = spread(builder, load_from(builder, record, 68, FLOAT, 4), F32X16)
                    new = _fma(builder, minimums, lift, new)
                grown.append(new)
            return grown

        for token, sums in enumerate(_steps(builder, groups, tokens, 1, body)):
            store_to(builder, sums, out, 64 * token, 4)

    return tile


def _floats(code: int, tokens: int) -> Any:
    """`(tile, cols, x, stride, out)`: 16 rows times `tokens` rows of floats; two running sums hide the latency."""
    step_bytes = next(one for one in FORMATS.values() if one.code == code).bytes_per_step

    @operation(types.void, *([types.int64] * 5))
    def tile(builder: Any, weights: Any, cols: Any, x: Any, stride: Any, out: Any) -> None:
        rows = _rows_of(builder, x, stride, tokens)

        def body(pair: Any, held: Any) -> Any:
            here = builder.add(weights, builder.mul(pair, ir.Constant(I64, 2 * step_bytes)))
            offset = builder.mul(pair, ir.Constant(I64, 8))
            grown = []
            if code == F32:
                both = [load_from(builder, here, 64 * place, F32X16, 32) for place in range(2)]
            else:
                both = [builder.fpext(load_from(builder, here, 32 * place, F16X16, 32), F32X16) for place in range(2)]
            for token, row in enumerate(rows):
                there = builder.add(row, offset)
                for place in range(2):
                    number = spread(builder, load_from(builder, there, 4 * place, FLOAT, 4), F32X16)
                    grown.append(_fma(builder, both[place], number, held[2 * token + place]))
            return grown

        sums = _steps(builder, builder.lshr(cols, ir.Constant(I64, 1)), tokens, 2, body)
        for token in range(tokens):
            store_to(builder, builder.fadd(sums[2 * token], sums[2 * token + 1]), out, 64 * token, 4)

    return tile


MOST_TOKENS: Final = 8

_q40_512_8, _q40_512_2, _q40_512_1 = (_quantized("avx512vnni", Q4_0, tokens) for tokens in (8, 2, 1))
_q41_512_8, _q41_512_2, _q41_512_1 = (_quantized("avx512vnni", Q4_1, tokens) for tokens in (8, 2, 1))
_q80_512_8, _q80_512_2, _q80_512_1 = (_quantized("avx512vnni", Q8_0, tokens) for tokens in (8, 2, 1))
_q40_256_2, _q40_256_1 = (_quantized("avx2", Q4_0, tokens) for tokens in (2, 1))
_q41_256_2, _q41_256_1 = (_quantized("avx2", Q4_1, tokens) for tokens in (2, 1))
_q80_256_2, _q80_256_1 = (_quantized("avx2", Q8_0, tokens) for tokens in (2, 1))
_q40_plain, _q41_plain, _q80_plain = (_quantized("plain", code, 1) for code in (Q4_0, Q4_1, Q8_0))
_f16_4, _f16_1 = (_floats(F16, tokens) for tokens in (4, 1))
_f32_4, _f32_1 = (_floats(F32, tokens) for tokens in (4, 1))


@compiled
def _avx512(code: int, tokens: int, weights: int, steps: int, x: int, stride: int, out: int) -> int:
    lanes.apart()
    if code == Q4_1:
        if tokens >= 8:
            _q41_512_8(weights, steps, x, stride, out)
            return 8
        if tokens >= 2:
            _q41_512_2(weights, steps, x, stride, out)
            return 2
        _q41_512_1(weights, steps, x, stride, out)
        return 1
    if code == Q8_0:
        if tokens >= 8:
            _q80_512_8(weights, steps, x, stride, out)
            return 8
        if tokens >= 2:
            _q80_512_2(weights, steps, x, stride, out)
            return 2
        _q80_512_1(weights, steps, x, stride, out)
        return 1
    if tokens >= 8:
        _q40_512_8(weights, steps, x, stride, out)
        return 8
    if tokens >= 2:
        _q40_512_2(weights, steps, x, stride, out)
        return 2
    _q40_512_1(weights, steps, x, stride, out)
    return 1


@compiled
def _avx2(code: int, tokens: int, weights: int, steps: int, x: int, stride: int, out: int) -> int:
    lanes.apart()
    if code == Q4_1:
        if tokens >= 2:
            _q41_256_2(weights, steps, x, stride, out)
            return 2
        _q41_256_1(weights, steps, x, stride, out)
        return 1
    if code == Q8_0:
        if tokens >= 2:
            _q80_256_2(weights, steps, x, stride, out)
            return 2
        _q80_256_1(weights, steps, x, stride, out)
        return 1
    if tokens >= 2:
        _q40_256_2(weights, steps, x, stride, out)
        return 2
    _q40_256_1(weights, steps, x, stride, out)
    return 1


@compiled
def _plain(code: int, weights: int, steps: int, x: int, stride: int, out: int) -> int:
    lanes.apart()
    if code == Q4_1:
        _q41_plain(weights, steps, x, stride, out)
    elif code == Q8_0:
        _q80_plain(weights, steps, x, stride, out)
    else:
        _q40_plain(weights, steps, x, stride, out)
    return 1


@compiled
def _float_tile(code: int, tokens: int, weights: int, steps: int, x: int, stride: int, out: int) -> int:
    lanes.apart()
    if code == F16:
        if tokens >= 4:
            _f16_4(weights, steps, x, stride, out)
            return 4
        _f16_1(weights, steps, x, stride, out)
        return 1
    if tokens >= 4:
        _f32_4(weights, steps, x, stride, out)
        return 4
    _f32_1(weights, steps, x, stride, out)
    return 1


@compiled
def tile(path: int, code: int, tokens: int, weights: int, steps: int, x: int, stride: int, out: int) -> int:
    """16 rows times the first few of `tokens` rows of activations; says how many it took.

    `steps` is groups (quantised) or padded inputs (floats); results go to `out`, 64 bytes a token.
    """
    if code >= F16:
        return _float_tile(code, tokens, weights, steps, x, stride, out)
    if path == AVX512VNNI:
        return _avx512(code, tokens, weights, steps, x, stride, out)
    if path == AVX2:
        return _avx2(code, tokens, weights, steps, x, stride, out)
    return _plain(code, weights, steps, x, stride, out)
