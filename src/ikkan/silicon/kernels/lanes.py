"""Sixteen floats as one value that numba code can add, multiply and store: `Lanes`.

Numba alone leaves vectorising to LLVM's guesses; here the code says which vector it means, and the order of every sum
is the one that is written. The IR is generic (`<16 x float>`), so LLVM makes one AVX-512 register of it, two AVX2 ones
or four of NEON, with the same results.

Addresses are plain integers (`array.ctypes.data`); nothing here checks a bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from ikkan.silicon.kernels.compiled import emitted, inlined

WIDTH: Final = 16

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F32, F16 = ir.FloatType(), ir.HalfType()
F32X16, F16X16, I32X16, I16X16, I8X16 = (ir.VectorType(kind, WIDTH) for kind in (F32, F16, I32, I16, I8))


class Lanes:
    """What a type checker sees of a vector; it exists in machine registers only."""


class LanesType(types.Type):  # type: ignore[misc]
    """Numba's name for sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="Lanes(float32 x 16)")


LANES: Final = LanesType()


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    """Lanes are an LLVM vector and nothing else."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, F32X16)


# Building blocks for IR, used by the tiles as well.


def constant(kind: ir.VectorType, value: float) -> ir.Constant:
    """The same number in every lane."""
    return ir.Constant(kind, [value] * kind.count)


def spread(builder: ir.IRBuilder, scalar: ir.Value, kind: ir.VectorType) -> ir.Value:
    """A scalar in every lane."""
    nothing = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(nothing, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(one, nothing, constant(ir.VectorType(I32, kind.count), 0))


def load_from(builder: ir.IRBuilder, address: ir.Value, offset: int, kind: ir.Type, align: int) -> ir.Value:
    """What stands `offset` bytes after an integer address."""
    there = builder.add(address, ir.Constant(I64, offset)) if offset else address
    return builder.load(builder.inttoptr(there, kind.as_pointer()), align=align)


def store_to(builder: ir.IRBuilder, value: ir.Value, address: ir.Value, offset: int, align: int) -> None:
    """Put a value `offset` bytes after an integer address."""
    there = builder.add(address, ir.Constant(I64, offset)) if offset else address
    builder.store(value, builder.inttoptr(there, value.type.as_pointer()), align=align)


def loop(builder: ir.IRBuilder, count: ir.Value, start: list[ir.Value], body: Any) -> list[ir.Value]:
    """A loop, at least one turn, whose values live in registers from turn to turn: `body(index, held) -> held`."""
    before = builder.block
    turn, done = builder.append_basic_block("turn"), builder.append_basic_block("done")
    builder.branch(turn)
    builder.position_at_end(turn)
    index = builder.phi(I64)
    index.add_incoming(ir.Constant(I64, 0), before)
    held = [builder.phi(one.type) for one in start]
    for one, first in zip(held, start, strict=True):
        one.add_incoming(first, before)
    grown = body(index, held)
    following = builder.add(index, ir.Constant(I64, 1))
    index.add_incoming(following, builder.block)
    for one, new in zip(held, grown, strict=True):
        one.add_incoming(new, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), turn, done)
    builder.position_at_end(done)
    return list(grown)


def call_llvm(builder: ir.IRBuilder, name: str, result: ir.Type, *operands: ir.Value) -> ir.Value:
    """Call an LLVM intrinsic by its full name."""
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), list(operands))


def prefetch(builder: ir.IRBuilder, address: ir.Value) -> None:
    """Ask memory for a cache line that will be read soon; any address will do."""
    hint = [ir.Constant(I32, number) for number in (0, 3, 1)]  # to be read, into the first level, as data
    call_llvm(builder, "llvm.prefetch.p0", ir.VoidType(), builder.inttoptr(address, I8.as_pointer()), *hint)


def fold(builder: ir.IRBuilder, value: ir.Value, combine: Any) -> ir.Value:
    """Halve a vector until one number is left: lane i with lane i + 8, then + 4, + 2, + 1."""
    count = value.type.count
    while count > 1:
        count //= 2
        low = ir.Constant(ir.VectorType(I32, count), list(range(count)))
        high = ir.Constant(ir.VectorType(I32, count), list(range(count, 2 * count)))
        nothing = ir.Constant(value.type, ir.Undefined)
        value = combine(builder.shuffle_vector(value, nothing, low), builder.shuffle_vector(value, nothing, high))
    return builder.extract_element(value, ir.Constant(I32, 0))


def larger(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """The larger of two, lane by lane."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _first(builder: ir.IRBuilder, count: ir.Value) -> ir.Value:
    numbers = ir.Constant(I32X16, list(range(WIDTH)))
    narrow = builder.trunc(count, I32)
    return builder.icmp_signed("<", numbers, spread(builder, narrow, I32X16))


_AVX512: Final = bool(binding.get_host_cpu_features().get("avx512f", False)) and not numba.config.CPU_NAME
"""Code may be compiled for another processor than this one: the race's path without AVX-512."""


def operation(result: Any, *operands: Any) -> Callable[[Callable[..., Any]], Any]:
    """Turn `emit(builder, *values) -> value` into a function that compiled code can call."""

    def made(emit: Callable[..., Any]) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            value = emit(builder, *values)
            return context.get_dummy_value() if value is None else value

        # Numba looks at the number of parameters, so there is one function for each.
        answer = (result(*operands), generate)
        shapes: tuple[Any, ...] = (
            lambda typing_context: answer,
            lambda typing_context, a: answer,
            lambda typing_context, a, b: answer,
            lambda typing_context, a, b, c: answer,
            lambda typing_context, a, b, c, d: answer,
            lambda typing_context, a, b, c, d, e: answer,
            lambda typing_context, a, b, c, d, e, f: answer,
        )
        shape = shapes[len(operands)]
        shape.__name__, shape.__doc__ = emit.__name__, emit.__doc__
        return emitted(shape)

    return made


_ADDRESS, _NUMBER, _COUNT, _NONE = types.int64, types.float32, types.int64, types.void


@operation(LANES, _ADDRESS)
def load(builder: Any, address: Any) -> Any:
    """Sixteen floats from any multiple of four."""
    return load_from(builder, address, 0, F32X16, 4)


@operation(LANES, _ADDRESS, _COUNT)
def load_first(builder: Any, address: Any, count: Any) -> Any:
    """The first `count` floats; the other lanes are zero and their memory is not touched."""
    pointer = builder.inttoptr(address, F32X16.as_pointer())
    mask, rest = _first(builder, count), constant(F32X16, 0.0)
    return call_llvm(builder, "llvm.masked.load.v16f32.p0", F32X16, pointer, ir.Constant(I32, 4), mask, rest)


@operation(_NONE, _ADDRESS, LANES)
def store(builder: Any, address: Any, value: Any) -> None:
    """Sixteen floats to any multiple of four."""
    store_to(builder, value, address, 0, 4)


@operation(_NONE, _ADDRESS, LANES, _COUNT)
def store_first(builder: Any, address: Any, value: Any, count: Any) -> None:
    """The first `count` lanes; memory behind them is not touched."""
    pointer = builder.inttoptr(address, F32X16.as_pointer())
    kind = ir.VoidType()
    call_llvm(builder, "llvm.masked.store.v16f32.p0", kind, value, pointer, ir.Constant(I32, 4), _first(builder, count))


@operation(LANES, _NUMBER)
def splat(builder: Any, number: Any) -> Any:
    """One number in every lane."""
    return spread(builder, number, F32X16)


@operation(LANES, _ADDRESS)
def splat_at(builder: Any, address: Any) -> Any:
    """The one float at an address, in every lane."""
    return spread(builder, load_from(builder, address, 0, F32, 4), F32X16)


@operation(LANES, LANES, LANES)
def add(builder: Any, a: Any, b: Any) -> Any:
    """a + b."""
    return builder.fadd(a, b)


@operation(LANES, LANES, LANES)
def sub(builder: Any, a: Any, b: Any) -> Any:
    """a - b."""
    return builder.fsub(a, b)


@operation(LANES, LANES, LANES)
def mul(builder: Any, a: Any, b: Any) -> Any:
    """a * b."""
    return builder.fmul(a, b)


@operation(LANES, LANES, LANES)
def div(builder: Any, a: Any, b: Any) -> Any:
    """a / b."""
    return builder.fdiv(a, b)


@operation(LANES, LANES, LANES, LANES)
def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""
    return call_llvm(builder, "llvm.fma.v16f32", F32X16, a, b, c)


@operation(LANES, LANES, LANES)
def maximum(builder: Any, a: Any, b: Any) -> Any:
    """The larger, lane by lane."""
    return larger(builder, a, b)


@operation(LANES, LANES, LANES)
def minimum(builder: Any, a: Any, b: Any) -> Any:
    """The smaller, lane by lane."""
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


@operation(LANES, LANES)
def absolute(builder: Any, a: Any) -> Any:
    """Without the sign."""
    return call_llvm(builder, "llvm.fabs.v16f32", F32X16, a)


@operation(LANES, LANES)
def rounded(builder: Any, a: Any) -> Any:
    """The nearest whole number, ties to even."""
    return call_llvm(builder, "llvm.rint.v16f32", F32X16, a)


@operation(LANES, LANES)
def power_of_two(builder: Any, a: Any) -> Any:
    """2 to the power of a whole number between -126 and 127, made from the exponent's bits."""
    whole = builder.fptosi(a, I32X16)
    biased = builder.add(whole, constant(I32X16, 127))
    return builder.bitcast(builder.shl(biased, constant(I32X16, 23)), F32X16)


@operation(LANES, LANES, LANES)
def times_power_of_two(builder: Any, a: Any, whole: Any) -> Any:
    """a times 2 to the power of a whole number, by its exponent's bits: no overflow is looked for."""
    moved = builder.shl(builder.fptosi(whole, I32X16), constant(I32X16, 23))
    return builder.bitcast(builder.add(builder.bitcast(a, I32X16), moved), F32X16)


@operation(LANES, LANES)
def about_inverse(builder: Any, a: Any) -> Any:
    """1 / a within 2^-14, on processors with AVX-512."""
    if not _AVX512:
        return builder.fdiv(constant(F32X16, 1.0), a)
    every = ir.Constant(I16, 0xFFFF)
    return call_llvm(builder, "llvm.x86.avx512.rcp14.ps.512", F32X16, a, constant(F32X16, 0.0), every)


@operation(types.int64, LANES, LANES, _COUNT)
def at_least(builder: Any, a: Any, b: Any, count: Any) -> Any:
    """A bit for each of the first `count` lanes where `a` is as large as `b`, or larger."""
    found = builder.and_(builder.fcmp_ordered(">=", a, b), _first(builder, count))
    return builder.zext(builder.bitcast(found, I16), I64)


@operation(LANES, LANES, LANES, _COUNT)
def first(builder: Any, a: Any, b: Any, count: Any) -> Any:
    """`a` in the first `count` lanes (none, if negative), `b` in the others."""
    return builder.select(_first(builder, count), a, b)


def _nearest_halves(builder: ir.IRBuilder, a: ir.Value) -> ir.Value:
    """The bits of floats, rounded to what bfloat16 holds (ties to even); the lower half still has the remains."""
    bits = builder.bitcast(a, I32X16)
    odd = builder.and_(builder.lshr(bits, constant(I32X16, 16)), constant(I32X16, 1))
    return builder.add(bits, builder.add(odd, constant(I32X16, 0x7FFF)))


@operation(LANES, LANES)
def as_bfloat16(builder: Any, a: Any) -> Any:
    """Each number rounded to what bfloat16 holds."""
    kept = builder.and_(_nearest_halves(builder, a), constant(I32X16, 0xFFFF0000))
    return builder.bitcast(kept, F32X16)


@operation(LANES, _ADDRESS, LANES)
def keep_bfloat16(builder: Any, address: Any, a: Any) -> Any:
    """Sixteen bfloat16, side by side; and as floats again."""
    bits = _nearest_halves(builder, a)
    store_to(builder, builder.trunc(builder.lshr(bits, constant(I32X16, 16)), I16X16), address, 0, 2)
    return builder.bitcast(builder.and_(bits, constant(I32X16, 0xFFFF0000)), F32X16)


@operation(_NONE, _ADDRESS, LANES)
def store_bfloat16(builder: Any, address: Any, a: Any) -> None:
    """Sixteen bfloat16, side by side."""
    halves = builder.trunc(builder.lshr(_nearest_halves(builder, a), constant(I32X16, 16)), I16X16)
    store_to(builder, halves, address, 0, 2)


@operation(_NONE, _ADDRESS, LANES, _COUNT)
def store_every_other_bfloat16(builder: Any, address: Any, a: Any, odd: Any) -> None:
    """Sixteen bfloat16 into the even or odd ones of 32 places; the others are not touched, so others may write them."""
    upper = builder.lshr(_nearest_halves(builder, a), constant(I32X16, 16))
    moved = builder.select(
        builder.icmp_signed("!=", odd, ir.Constant(I64, 0)), builder.shl(upper, constant(I32X16, 16)), upper
    )
    kind, mask = ir.VectorType(I16, 2 * WIDTH), ir.VectorType(ir.IntType(1), 2 * WIDTH)
    evens, odds = (ir.Constant(mask, [place % 2 == parity for place in range(2 * WIDTH)]) for parity in range(2))
    chosen = builder.select(builder.icmp_signed("!=", odd, ir.Constant(I64, 0)), odds, evens)
    pointer = builder.inttoptr(address, kind.as_pointer())
    halves = builder.bitcast(moved, kind)
    call_llvm(builder, "llvm.masked.store.v32i16.p0", ir.VoidType(), halves, pointer, ir.Constant(I32, 2), chosen)


def _nearest_bytes(builder: ir.IRBuilder, a: ir.Value) -> ir.Value:
    whole = builder.fptosi(call_llvm(builder, "llvm.rint.v16f32", F32X16, a), I32X16)
    return builder.trunc(whole, I8X16)


@operation(_NONE, _ADDRESS, LANES)
def store_int8(builder: Any, address: Any, a: Any) -> None:
    """Sixteen numbers between -127 and 127, rounded to whole ones, as bytes side by side."""
    store_to(builder, _nearest_bytes(builder, a), address, 0, 1)


@operation(_NONE, _ADDRESS, LANES, _COUNT)
def store_every_other_int8(builder: Any, address: Any, a: Any, odd: Any) -> None:
    """The same into the even or odd ones of 32 places; the others are not touched, so others may write them."""
    wide = builder.zext(_nearest_bytes(builder, a), I16X16)
    is_odd = builder.icmp_signed("!=", odd, ir.Constant(I64, 0))
    moved = builder.select(is_odd, builder.shl(wide, constant(I16X16, 8)), wide)
    kind, mask = ir.VectorType(I8, 2 * WIDTH), ir.VectorType(ir.IntType(1), 2 * WIDTH)
    evens, odds = (ir.Constant(mask, [place % 2 == parity for place in range(2 * WIDTH)]) for parity in range(2))
    pointer, chosen = builder.inttoptr(address, kind.as_pointer()), builder.select(is_odd, odds, evens)
    values = builder.bitcast(moved, kind)
    call_llvm(builder, "llvm.masked.store.v32i8.p0", ir.VoidType(), values, pointer, ir.Constant(I32, 1), chosen)


@operation(_NONE, _ADDRESS, LANES, LANES, _ADDRESS)
def widen_int8(builder: Any, address: Any, even: Any, odd: Any, to: Any) -> None:
    """32 signed bytes times the scales of the even and the odd ones, as 32 bfloat16."""
    pairs = load_from(builder, address, 0, I16X16, 2)
    low = builder.sext(builder.trunc(pairs, I8X16), I32X16)
    high = builder.sext(builder.ashr(pairs, constant(I16X16, 8)), I32X16)
    both = [builder.fmul(builder.sitofp(one, F32X16), by) for one, by in ((low, even), (high, odd))]
    first, second = (_nearest_halves(builder, one) for one in both)
    joined = builder.or_(builder.lshr(first, constant(I32X16, 16)), builder.and_(second, constant(I32X16, 0xFFFF0000)))
    store_to(builder, joined, to, 0, 4)


@operation(LANES, _ADDRESS)
def load_even_bfloat16(builder: Any, address: Any) -> Any:
    """The even ones of 32 bfloat16, widened."""
    pairs = load_from(builder, address, 0, I32X16, 4)
    return builder.bitcast(builder.shl(pairs, constant(I32X16, 16)), F32X16)


@operation(LANES, _ADDRESS)
def load_odd_bfloat16(builder: Any, address: Any) -> Any:
    """The odd ones of 32 bfloat16, widened."""
    pairs = load_from(builder, address, 0, I32X16, 4)
    return builder.bitcast(builder.and_(pairs, constant(I32X16, 0xFFFF0000)), F32X16)


@operation(LANES, LANES)
def finite(builder: Any, a: Any) -> Any:
    """Zero in place of what is infinite or no number."""
    size = call_llvm(builder, "llvm.fabs.v16f32", F32X16, a)
    fine = builder.fcmp_ordered("<=", size, constant(F32X16, float(np.float32(3.38e38))))
    return builder.select(fine, a, constant(F32X16, 0.0))


@operation(_NONE, _ADDRESS, _ADDRESS)
def copy_four(builder: Any, source: Any, target: Any) -> None:
    """Copy four bytes."""
    store_to(builder, load_from(builder, source, 0, I32, 4), target, 0, 4)


@operation(_NONE, _ADDRESS)
def look_ahead(builder: Any, address: Any) -> None:
    """Ask memory for a cache line that will be read soon; any address will do."""
    prefetch(builder, address)


@operation(_NONE, _ADDRESS, _ADDRESS)
def copy_two(builder: Any, source: Any, target: Any) -> None:
    """Copy two bytes."""
    store_to(builder, load_from(builder, source, 0, I16, 2), target, 0, 2)


@operation(_ADDRESS)
def scratch_line(builder: Any) -> Any:
    """The address of 16 floats on the stack of whoever calls."""
    return builder.ptrtoint(cgutils.alloca_once(builder, F32X16), I64)


@operation(_NUMBER, LANES)
def total(builder: Any, a: Any) -> Any:
    """The sum of the lanes, as a tree."""
    return fold(builder, a, builder.fadd)


@operation(_NUMBER, LANES)
def highest(builder: Any, a: Any) -> Any:
    """The largest lane."""
    return fold(builder, a, lambda x, y: larger(builder, x, y))


@operation(_NONE)
def apart(builder: Any) -> None:
    """Keep the function that says this out of its callers' bodies: copied into each, it would be compiled for each."""
    builder.function.attributes.add("noinline")


def _call(builder: Any, address: Any, arguments: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [I64] * len(arguments))
    builder.call(builder.inttoptr(address, kind.as_pointer()), list(arguments))


@operation(_NONE, *[_ADDRESS] * 3)
def call_2(builder: Any, address: Any, *arguments: Any) -> None:
    """Call what is `Addressed` with two int64."""
    _call(builder, address, arguments)


@operation(_NONE, *[_ADDRESS] * 6)
def call_5(builder: Any, address: Any, *arguments: Any) -> None:
    """Call what is `Addressed` with five int64."""
    _call(builder, address, arguments)


@operation(types.int64, types.int64)
def whole(builder: Any, number: Any) -> Any:
    """Any integer as int64: numba's loop counters may be unsigned, and mixed with signed ones become floats."""
    return number


@operation(types.int64, _ADDRESS)
def word(builder: Any, address: Any) -> Any:
    """One int64."""
    return load_from(builder, address, 0, I64, 8)


@operation(_NONE, _ADDRESS, types.int64)
def put_word(builder: Any, address: Any, number: Any) -> None:
    """Put one int64."""
    store_to(builder, number, address, 0, 8)


@operation(types.int64, _ADDRESS)
def read_int(builder: Any, address: Any) -> Any:
    """One int32, widened."""
    return builder.sext(load_from(builder, address, 0, I32, 4), I64)


@operation(_NONE, _ADDRESS, types.int64)
def write_int(builder: Any, address: Any, number: Any) -> None:
    """Put one int64 as int32."""
    store_to(builder, builder.trunc(number, I32), address, 0, 4)


@operation(_NUMBER, _ADDRESS)
def read(builder: Any, address: Any) -> Any:
    """One float."""
    return load_from(builder, address, 0, F32, 4)


@operation(_NONE, _ADDRESS, _NUMBER)
def write(builder: Any, address: Any, number: Any) -> None:
    """Put one float."""
    store_to(builder, number, address, 0, 4)


@operation(_NUMBER, _ADDRESS)
def read_half(builder: Any, address: Any) -> Any:
    """One half, widened."""
    return builder.fpext(load_from(builder, address, 0, F16, 2), F32)


@operation(_NUMBER, _ADDRESS)
def read_upper(builder: Any, address: Any) -> Any:
    """One bfloat16, widened: the upper half of a float."""
    upper = builder.zext(load_from(builder, address, 0, I16, 2), I32)
    return builder.bitcast(builder.shl(upper, ir.Constant(I32, 16)), F32)


@operation(types.int64, _ADDRESS)
def read_byte(builder: Any, address: Any) -> Any:
    """One unsigned byte."""
    return builder.zext(load_from(builder, address, 0, I8, 1), I64)


@operation(_ADDRESS)
def scratch_wide(builder: Any) -> Any:
    """The address of 16 x 32 floats on the stack of whoever calls."""
    return builder.ptrtoint(cgutils.alloca_once(builder, ir.ArrayType(F32X16, 32)), I64)


@operation(_ADDRESS)
def scratch_tile(builder: Any) -> Any:
    """The address of 27 KiB on the stack of whoever calls: a tile's results, and room to work (`amx.RESULT_BYTES`)."""
    return builder.ptrtoint(cgutils.alloca_once(builder, ir.ArrayType(F32X16, 450)), I64)


@operation(_NONE, _ADDRESS, _ADDRESS, _ADDRESS)
def quantize_group(builder: Any, source: Any, planes: Any, meta: Any) -> None:
    """Round 32 floats to 12 bits: 64 bytes of planes and 16 of meta (`formats.PLANE_BYTES`, `META_BYTES`).

    32 high parts, 32 low parts (`q = 16 * high + low`, both signed bytes); the scale, scale x sum(q), and, as int32,
    8 x sum(q) and 128 x sum(q), which undo the offsets of Q4_0 and Q8_0.
    """
    halves = [load_from(builder, source, offset, F32X16, 4) for offset in (0, 64)]
    sizes = [call_llvm(builder, "llvm.fabs.v16f32", F32X16, half) for half in halves]
    # Compared as bits, in which a NaN is larger than everything: an ordered comparison would lose it.
    bits = [builder.bitcast(size, I32X16) for size in sizes]

    def above(a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.select(builder.icmp_signed(">", a, b), a, b)

    largest = builder.bitcast(fold(builder, above(*bits), above), F32)
    # Below 1e-30 the inverse would overflow; such a group is zero for every purpose.
    present = builder.fcmp_unordered(">", largest, ir.Constant(F32, float(np.float32(1e-30))))
    inverse = builder.select(present, builder.fdiv(ir.Constant(F32, 2032.0), largest), ir.Constant(F32, 0.0))
    scale = builder.select(present, builder.fdiv(largest, ir.Constant(F32, 2032.0)), ir.Constant(F32, 0.0))
    whole = []
    for position, half in enumerate(halves):
        exact = builder.fmul(half, spread(builder, inverse, F32X16))
        q = builder.fptosi(call_llvm(builder, "llvm.rint.v16f32", F32X16, exact), I32X16)
        high = builder.ashr(builder.add(q, constant(I32X16, 8)), constant(I32X16, 4))
        low = builder.sub(q, builder.shl(high, constant(I32X16, 4)))
        store_to(builder, builder.trunc(high, I8X16), planes, 16 * position, 1)
        store_to(builder, builder.trunc(low, I8X16), planes, 32 + 16 * position, 1)
        whole.append(q)
    count = fold(builder, builder.add(*whole), builder.add)
    store_to(builder, scale, meta, 0, 4)
    store_to(builder, builder.fmul(scale, builder.sitofp(count, F32)), meta, 4, 4)
    store_to(builder, builder.shl(count, ir.Constant(I32, 3)), meta, 8, 4)
    store_to(builder, builder.shl(count, ir.Constant(I32, 7)), meta, 12, 4)


_LOG2E, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504088896341), np.float32(0.693359375), np.float32(-2.12194440e-4)
_LOWEST, _HIGHEST = np.float32(-87.0), np.float32(88.0)
_ONE = np.float32(1.0)


@inlined
def exp(x: Lanes) -> Lanes:
    """e to the x within 2 units in the last place; held between e^-87 and e^88. Source: Cephes `expf`."""
    held = minimum(splat(_HIGHEST), maximum(splat(_LOWEST), x))  # in this order a NaN stays one
    k = rounded(mul(held, splat(_LOG2E)))
    r = fma(k, splat(-_LN2_HIGH), held)
    r = fma(k, splat(-_LN2_LOW), r)
    p = splat(np.float32(1.9875691500e-4))
    p = fma(p, r, splat(np.float32(1.3981999507e-3)))
    p = fma(p, r, splat(np.float32(8.3334519073e-3)))
    p = fma(p, r, splat(np.float32(4.1665795894e-2)))
    p = fma(p, r, splat(np.float32(1.6666665459e-1)))
    p = fma(p, r, splat(np.float32(5.0000001201e-1)))
    p = add(fma(mul(p, r), r, r), splat(_ONE))
    result: Lanes = mul(p, power_of_two(k))
    return result


@inlined
def exp2(x: Lanes) -> Lanes:
    """2 to the x within 3e-6, for x between -126 and 126; what is smaller counts as -126, and a NaN stays one.

    (1 + f q(f)) 2^k with a least-squares q on -0.5..0.5, weighted until the relative error was even.
    """
    held = maximum(splat(np.float32(-126.0)), x)
    k = rounded(held)
    f = sub(held, k)
    p = fma(splat(np.float32(0.009582849219441414)), f, splat(np.float32(0.055906426161527634)))
    p = fma(p, f, splat(np.float32(0.24024099111557007)))
    p = fma(p, f, splat(np.float32(0.6931241750717163)))
    result: Lanes = times_power_of_two(fma(p, f, splat(_ONE)), k)
    return result
