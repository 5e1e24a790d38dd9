"""Many tokens at once, in bfloat16: how prompts are read where there are matrix registers.

Sums stay in the matrix registers over a whole row of weights, so nothing is scaled in between; that is four times
what rounded integers reach there (docs/decisions/0104). A panel is 32 rows of weights: it is unpacked once, to
bfloat16, and multiplied with all tokens, 32 by 32. A row's result depends on nothing but itself.

Units and addresses as in `steps`; activations are rows of bfloat16.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types

from ikkan.silicon.kernels import amx, lanes
from ikkan.silicon.kernels.compiled import Addressed, compiled, emitted, inlined
from ikkan.silicon.kernels.formats import BF16, FORMATS, GROUP, OFFSETS, TILE_ROWS, Format
from ikkan.silicon.kernels.lanes import (
    F32X16,
    I16,
    I32X16,
    I64,
    WIDTH,
    Lanes,
    call_llvm,
    constant,
    load_from,
    loop,
    prefetch,
    store_to,
)
from ikkan.silicon.kernels.memory import aligned
from ikkan.silicon.kernels.steps import bytes_of
from ikkan.silicon.kernels.unpacked import step_of

PANEL_ROWS: Final = 2 * TILE_ROWS
MOST_PANELS: Final = 16
"""Panels that one thread takes together, so that a stretch of the activations is read once for all of them."""
FORMATS_READ: Final = frozenset({one.code for one in FORMATS.values() if one.quantized} | {BF16})
"""Codes of the formats whose prompts may be read so; F16 and F32 promise that nothing is rounded."""
_GROUP_BYTES: Final = 2048
"""One group of a panel: 32 inputs x 32 rows of bfloat16, two tiles."""
_MOST_GROUPS: Final = 9
"""Groups of a panel that stay in the first-level cache while tokens pass by."""
_BLOCK_BYTES: Final = 32 * 128
"""32 tokens times 32 rows, as floats."""

_ONE, _LOG2E, _HIGHEST = np.float32(1.0), np.float32(1.44269504088896341), np.float32(126.0)
_I16X16 = ir.VectorType(I16, WIDTH)


def bytes_of_room(tokens: int) -> int:
    """What one thread needs to multiply so many tokens: a stretch of a panel, a block, and sums of `MOST_PANELS`.

    >>> bytes_of_room(32)
    88064
    """
    return _MOST_GROUPS * _GROUP_BYTES + _BLOCK_BYTES + MOST_PANELS * ((tokens + 31) // 32) * _BLOCK_BYTES


room_bytes: Final = inlined(bytes_of_room)


@inlined
def row_bytes(cols: int) -> int:
    """From one row of bfloat16 to the next: an odd number of cache lines, so that neighbours never share a set.

    >>> row_bytes(576), row_bytes(64)
    (1216, 192)
    """
    return (cols + 31) // 32 * 64 + (64 if (cols + 31) // 32 % 2 == 0 else 0)


@inlined
def panels_together(tokens: int, cols: int) -> int:
    """How many panels to take at once: where all activations stay in the second-level cache, each on its own."""
    return 1 if tokens * cols <= 1 << 19 else MOST_PANELS


def _pair(builder: ir.IRBuilder, first: ir.Value, second: ir.Value) -> ir.Value:
    """Two vectors of floats, rounded to bfloat16, side by side in each lane."""
    half = constant(I32X16, 0x8000)
    low = builder.lshr(builder.add(builder.bitcast(first, I32X16), half), constant(I32X16, 16))
    high = builder.and_(builder.add(builder.bitcast(second, I32X16), half), constant(I32X16, 0xFFFF0000))
    return builder.or_(low, high)


def _emit_quantized(builder: ir.IRBuilder, kind: Format, weights: ir.Value, group: ir.Value, to: ir.Value) -> None:
    step, offset = step_of(builder, kind, weights, group), OFFSETS[kind.name]
    factors = [builder.fmul(step.scales, builder.sitofp(half, F32X16)) for half in step.halves] or [step.scales] * 2
    # A byte in the upper bits of a mantissa is the number 256 + q without any conversion.
    lifts = []
    for factor in factors:
        below = builder.fmul(factor, constant(F32X16, -256.0 - offset))
        lifts.append(below if step.minimums is None else builder.fadd(below, step.minimums))
    for place, four in enumerate(step.fours):
        factor, lift = factors[place // 4], lifts[place // 4]
        bits, numbers = builder.bitcast(four, I32X16), []
        for byte, shift in enumerate((15, 7, -1, -9)):
            moved = builder.shl if shift > 0 else builder.lshr
            kept = builder.and_(moved(bits, constant(I32X16, abs(shift))), constant(I32X16, 0x007F8000))
            number = builder.bitcast(builder.or_(kept, constant(I32X16, 0x43800000)), F32X16)
            numbers.append(call_llvm(builder, "llvm.fma.v16f32", F32X16, number, factor, lift))
            if byte % 2:
                store_to(builder, _pair(builder, *numbers[-2:]), to, 128 * place + 64 * (byte // 2), 64)


def _emit_bfloat16(builder: ir.IRBuilder, kind: Format, weights: ir.Value, group: ir.Value, to: ir.Value) -> None:
    here = builder.add(weights, builder.mul(group, ir.Constant(I64, GROUP * kind.bytes_per_step)))
    for pair in range(GROUP // 2):
        both = [load_from(builder, here, 32 * (2 * pair + one), _I16X16, 32) for one in range(2)]
        low, high = (builder.zext(one, I32X16) for one in both)
        store_to(builder, builder.or_(low, builder.shl(high, constant(I32X16, 16))), to, 64 * pair, 64)


@emitted
def _unpack(context: Any, code: Any, weights: Any, first: Any, groups: Any, to: Any, ahead: Any) -> Any:
    if not isinstance(code, types.IntegerLiteral):
        return None  # numba asks again with the literal
    kind = next(one for one in FORMATS.values() if one.code == code.literal_value)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, weights, first, groups, to, ahead = values
        each = kind.bytes_per_step // kind.together if kind.quantized else GROUP * kind.bytes_per_step
        later = builder.add(weights, ahead)

        def body(number: Any, held: Any) -> Any:
            soon = builder.add(later, builder.mul(builder.add(first, number), ir.Constant(I64, each)))
            for line in range(0, each, 64):
                prefetch(builder, builder.add(soon, ir.Constant(I64, line)))
            there = builder.add(to, builder.mul(number, ir.Constant(I64, _GROUP_BYTES)))
            emit = _emit_quantized if kind.quantized else _emit_bfloat16
            emit(builder, kind, weights, builder.add(first, number), there)
            return held

        loop(builder, groups, [], body)
        return context.get_dummy_value()

    return types.void(code, *[types.int64] * 5), generate


_made: dict[int, Addressed] = {}
_unpackers: Final = aligned(len(FORMATS), np.int64, zero=True)


def _addressed_unpack(code: int) -> Addressed:
    def unpack_of(weights: int, first: int, groups: int, to: int, ahead: int) -> None:
        _unpack(code, weights, first, groups, to, ahead)

    return Addressed(unpack_of, 5)


def unpackers(codes: Iterable[int]) -> int:
    """The address of a table, by code, of what unpacks a tile; compiles what is missing."""
    for code in codes:
        if code not in _made:
            _made[code] = _addressed_unpack(code)
            _unpackers[code] = _made[code].address
    return int(_unpackers.ctypes.data)


@inlined
def _unpack_tile(table: int, code: int, tile: int, first: int, groups: int, to: int, ahead: int) -> None:
    """Some groups of a tile into every other kilobyte from `to` on; asks memory for those so many bytes further on."""
    lanes.call_5(lanes.word(table + 8 * code), tile, first, groups, to, ahead)


@inlined
def _product(panel: int, groups: int, x: int, x_stride: int, tokens: int) -> None:
    """Add a stretch of a panel times up to 32 tokens to the block in the matrix registers."""
    if tokens > TILE_ROWS:
        for group in range(groups):
            amx.add_block(x + 64 * group, x_stride, panel + _GROUP_BYTES * group)
    else:
        for group in range(groups):
            amx.add_half_block(x + 64 * group, x_stride, panel + _GROUP_BYTES * group)


@inlined
def _groups_at_once(groups: int) -> int:
    """Groups of a stretch: stretches of equal size, none of them nearly empty."""
    stretches = (groups + _MOST_GROUPS - 1) // _MOST_GROUPS
    return (groups + stretches - 1) // stretches


@inlined
def _begin(first_group: int, held: int) -> None:
    """The block as earlier stretches left it."""
    if first_group == 0:
        amx.zero_block()
    else:
        amx.load_block(held, 128)


@compiled
def multiply(
    first: int,
    last: int,
    table: int,
    code: int,
    data: int,
    rows: int,
    cols: int,
    n: int,
    x: int,
    x_stride: int,
    out: int,
    out_stride: int,
    bias: int,
    accumulate: int,
    room: int,
) -> None:
    """A unit is a panel, at most `MOST_PANELS` at a time: `out[n, rows] = x @ W.T (+ bias) (+ out)`.

    `x` and `out` have room for whole 32 rows; `room` is `bytes_of_room(n)` of this thread's own.
    """
    lanes.apart()
    tile_bytes = bytes_of(code, cols)
    groups = cols // GROUP
    some = _groups_at_once(groups)
    results = room + _MOST_GROUPS * _GROUP_BYTES
    for group in range(0, groups, some):
        count = min(some, groups - group)
        held = results + _BLOCK_BYTES
        for unit in range(first, last):
            row = unit * PANEL_ROWS
            left = rows - row
            tile = data + 2 * unit * tile_bytes
            _unpack_tile(table, code, tile, group, count, room, 2 * tile_bytes)
            if left > TILE_ROWS:
                _unpack_tile(table, code, tile + tile_bytes, group, count, room + 1024, 2 * tile_bytes)
            whole = left >= PANEL_ROWS
            for token in range(0, n, 32):
                tokens = min(n - token, 32)
                there = out + token * out_stride + 4 * row
                if group == 0 and whole and accumulate != 0:
                    amx.load_block(there, out_stride)
                else:
                    _begin(group, held)
                _product(room, count, x + token * x_stride + 64 * group, x_stride, tokens)
                if group + count < groups:
                    amx.store_block(held, 128)
                elif whole and bias == 0:
                    if tokens > TILE_ROWS:
                        amx.store_block(there, out_stride)
                    else:
                        amx.store_half_block(there, out_stride)
                else:
                    amx.store_block(results, 128)
                    _finish(results, tokens, there, out_stride, left, bias + 4 * row, bias, accumulate, whole)
                held += _BLOCK_BYTES


@inlined
def _finish(
    results: int,
    tokens: int,
    there: int,
    out_stride: int,
    left: int,
    bias: int,
    biased: int,
    accumulate: int,
    whole: bool,
) -> None:
    """A block's rows to where they belong, where something is added to them or they are not whole."""
    for one in range(tokens):
        for half in range(0, min(left, PANEL_ROWS), TILE_ROWS):
            at, some = there + one * out_stride + 4 * half, min(left - half, TILE_ROWS)
            value = lanes.load(results + 128 * one + 4 * half)
            if biased != 0:
                value = lanes.add(value, lanes.load_first(bias + 4 * half, some))
            if accumulate != 0 and not whole:
                value = lanes.add(value, lanes.load_first(at, some))
            lanes.store_first(at, value, some)


@inlined
def _silu_times(gate: Lanes, up: Lanes) -> Lanes:
    """gate / (1 + e^-gate) * up, as exactly as bfloat16 needs it."""
    turned = lanes.minimum(lanes.splat(_HIGHEST), lanes.mul(gate, lanes.splat(-_LOG2E)))
    below = lanes.add(lanes.splat(_ONE), lanes.exp2(turned))
    result: Lanes = lanes.mul(lanes.mul(gate, up), lanes.about_inverse(below))
    return result


@compiled
def gate_up(
    first: int,
    last: int,
    table: int,
    gate_code: int,
    gate: int,
    up_code: int,
    up: int,
    cols: int,
    n: int,
    x: int,
    x_stride: int,
    target: int,
    target_stride: int,
    room: int,
) -> None:
    """A unit is 16 rows of both matrices, at most `MOST_PANELS` at a time: silu(gate(x)) * up(x), as bfloat16."""
    lanes.apart()
    gate_bytes, up_bytes, groups = bytes_of(gate_code, cols), bytes_of(up_code, cols), cols // GROUP
    some = _groups_at_once(groups)
    results = room + _MOST_GROUPS * _GROUP_BYTES
    for group in range(0, groups, some):
        count = min(some, groups - group)
        held = results + _BLOCK_BYTES
        for unit in range(first, last):
            _unpack_tile(table, gate_code, gate + unit * gate_bytes, group, count, room, gate_bytes)
            _unpack_tile(table, up_code, up + unit * up_bytes, group, count, room + 1024, up_bytes)
            for token in range(0, n, 32):
                tokens = min(n - token, 32)
                _begin(group, held)
                _product(room, count, x + token * x_stride + 64 * group, x_stride, tokens)
                if group + count < groups:
                    amx.store_block(held, 128)
                else:
                    amx.store_block(results, 128)
                    to = target + token * target_stride + 2 * TILE_ROWS * unit
                    for one in range(tokens):
                        value = _silu_times(lanes.load(results + 128 * one), lanes.load(results + 128 * one + 64))
                        lanes.store_bfloat16(to + one * target_stride, value)
                held += _BLOCK_BYTES
