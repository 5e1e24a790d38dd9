"""One group of a packed tile in registers, in LLVM IR: what every way to multiply begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from llvmlite import ir

from ikkan.silicon.kernels.formats import Q6_K, Q8_0, SHARED_BYTES, WEIGHT_BYTES, Format
from ikkan.silicon.kernels.lanes import F16X16, F32X16, I8, I8X16, I32X16, I64, constant, load_from

I8X64 = ir.VectorType(I8, 64)


@dataclass(frozen=True, slots=True)
class Step:
    """The weights of one group of 16 rows, in registers."""

    fours: list[ir.Value]
    """Eight vectors of unsigned bytes: 16 rows x 4 weights of inputs 0..3, 4..7, ..."""
    scales: ir.Value
    minimums: ir.Value | None
    halves: list[ir.Value]
    """Of Q6_K: what the whole sums of the first and second 16 inputs are multiplied with, before the scale."""


LOOK_AHEAD_BYTES: Final = 4_480
"""Bytes between the weights in use and those asked for: what memory delivers while so many are multiplied."""


def look_ahead(builder: ir.IRBuilder, kind: Format, weights: ir.Value, group: ir.Value) -> list[ir.Value]:
    """The cache lines to `prefetch` with a group, for weights that come soon; beyond the end they do no harm.

    Asked for between the multiplications: all at once they keep the processor from asking for anything else.
    """
    each = kind.bytes_per_step // kind.together if kind.quantized else 2 * kind.bytes_per_step
    here = builder.add(weights, builder.mul(group, ir.Constant(I64, each)))
    return [builder.add(here, ir.Constant(I64, LOOK_AHEAD_BYTES + line)) for line in range(0, each, 64)]


def step_of(builder: ir.IRBuilder, kind: Format, weights: ir.Value, group: ir.Value) -> Step:
    """Read one group of a tile (`formats`)."""
    size, front = WEIGHT_BYTES[kind.name], SHARED_BYTES if kind.shared else 0
    if kind.together == 1:
        before = builder.add(weights, builder.mul(group, ir.Constant(I64, kind.bytes_per_step)))
        one = None
        here = before
    else:
        several = builder.lshr(group, ir.Constant(I64, kind.together.bit_length() - 1))
        one = builder.and_(group, ir.Constant(I64, kind.together - 1))
        before = builder.add(weights, builder.mul(several, ir.Constant(I64, kind.bytes_per_step)))
        here = builder.add(before, builder.mul(one, ir.Constant(I64, size)))
    fours = []
    planes = (size - 256) // 64 if kind.code != Q8_0 else 0
    above = [load_from(builder, here, front + 256 + 64 * plane, I8X64, 64) for plane in range(planes)]
    for place in range(8):
        if kind.code == Q8_0:
            fours.append(load_from(builder, here, 64 * place, I8X64, 64))
            continue
        vector = load_from(builder, here, front + 64 * (place // 2), I8X64, 64)
        if place % 2:
            four = builder.lshr(vector, constant(I8X64, 4))
        else:
            four = builder.and_(vector, constant(I8X64, 15))
        if planes:  # one bit of eight fours in a plane, or two bits of four; they belong at 16
            shift = 4 - place * planes % 8
            high = above[place * planes // 8]
            moved = builder.shl if shift > 0 else builder.lshr
            high = moved(high, constant(I8X64, abs(shift)))
            four = builder.or_(four, builder.and_(high, constant(I8X64, 16 * (2**planes - 1))))
        fours.append(four)

    def number(at: ir.Value, behind: int) -> ir.Value:
        return builder.fpext(load_from(builder, at, behind, F16X16, 32), F32X16)

    if kind.shared:
        mine = builder.add(before, builder.mul(one, ir.Constant(I64, 32)))
        little = [load_from(builder, mine, at, I8X16, 16) for at in (64, 80)]
        if kind.code == Q6_K:
            return Step(fours, number(before, 0), None, [builder.sext(part, I32X16) for part in little])
        factors = [builder.uitofp(part, F32X16) for part in little]
        both = [builder.fmul(number(before, 32 * place), factor) for place, factor in enumerate(factors)]
        return Step(fours, both[0], both[1], [])
    if one is None:
        return Step(fours, number(here, size), number(here, size + 32), [])
    return Step(fours, number(builder.add(before, builder.mul(one, ir.Constant(I64, 32))), 2 * size), None, [])
