"""Matrix registers (AMX): eight tiles of 16 rows x 64 bytes, and instructions that multiply two into a third.

The same products as `tiles`, bit for bit, for several tokens at once. A four-bit weight times sixteen still fits a
byte, so one instruction over 64 bytes, `[16 w | w] x [high | low]`, gives a whole group's exact sum for 16 rows and 16
tokens; eight-bit weights take two. Attention's products are bfloat16 and so are those of prompts (`prompts.py`).

While matrix instructions are under way, vector instructions run at half their speed (measured: one `tileload` among 64
multiply-adds doubles their time). So the two take turns everywhere, a cacheful at a time.

Nothing here is compiled on a processor without the instructions. A thread configures its tiles before it uses them and
releases them afterwards (`configure`, `release`), so that the system need not save 8 KiB at every switch.
"""

from __future__ import annotations

import ctypes
import functools
import platform
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from llvmlite import binding, ir
from numba import types

from ikkan.silicon.kernels.formats import (
    META_BYTES,
    OFFSETS,
    PLANE_BYTES,
    Q4_0,
    Q4_1,
    Q4_K,
    Q5_0,
    Q5_1,
    Q5_K,
    Q8_0,
    Format,
)
from ikkan.silicon.kernels.lanes import F32 as FLOAT
from ikkan.silicon.kernels.lanes import (
    F32X16,
    I8,
    I32X16,
    I64,
    call_llvm,
    constant,
    load_from,
    loop,
    operation,
    prefetch,
    spread,
    store_to,
)
from ikkan.silicon.kernels.unpacked import look_ahead, step_of

FORMATS_MULTIPLIED: Final = frozenset({Q4_0, Q4_1, Q8_0, Q5_0, Q5_1, Q4_K, Q5_K})
"""Codes of the formats that have a matrix path. Q6_K has two sums a group and stays with `tiles`."""
_LIFTED: Final = frozenset({Q4_1, Q5_1, Q4_K, Q5_K})
"""Those with minimums; their weights are unsigned."""
_DEEP: Final = frozenset({Q8_0, Q5_0, Q5_1, Q5_K})
"""Those whose weights times sixteen do not fit a byte: high and low activations take an instruction each."""
TOGETHER: Final = ((9, 16),)
"""For at least so many tokens there is a product of up to so many; fewer do not pay for unpacking the weights."""
_STEP_BYTES: Final = 1024 + 128
"""One unpacked group: 16 rows of 64 bytes, then 16 scales and 16 minimums as floats."""
_PANEL: Final = 12
"""Groups that are unpacked, multiplied and scaled in one turn: what they need fits the first-level cache."""
RESULT_BYTES: Final = 1024 + _PANEL * (1024 + _STEP_BYTES)
"""What a product needs at `out`: 16 tokens' results, then a panel's sums and weights."""

_I8X64 = ir.VectorType(I8, 64)
_VOID = ir.VoidType()
_REQUEST_PERMISSION, _TILE_DATA, _ARCH_PRCTL = 0x1023, 18, 158


@functools.cache
def available() -> bool:
    """Whether this processor has the instructions and the system lets this process use them."""
    if platform.machine().lower() not in {"x86_64", "amd64"} or platform.system() != "Linux":
        return False
    features = binding.get_host_cpu_features()
    needed = ("amx-tile", "amx-int8", "amx-bf16", "avx512f", "avx512bw", "avx512vl", "avx512vnni")
    if not all(features.get(need, False) for need in needed):
        return False
    return bool(ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) == 0)


def _configuration() -> bytes:
    """Tiles 0 to 2, 5 and 6 are 16 x 64 bytes; 3 and 4 have rows of 32 bytes, and 7 has 8 rows: half the depth."""
    held = bytearray(64)
    held[0] = 1
    for tile in range(8):
        held[16 + 2 * tile] = 32 if tile in (3, 4) else 64
        held[48 + tile] = 8 if tile == 7 else 16
    return bytes(held)


_PLAIN: Final = bytes([1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[16] * 8, *[0] * 8])
_SHAPES: Final = np.frombuffer(_configuration() + _PLAIN, dtype=np.uint8).copy()


def configuration() -> int:
    """The address of the shapes for `tiles`; 64 bytes behind it, those for attention: all tiles 16 x 64 bytes."""
    return int(_SHAPES.ctypes.data) if available() else 0


def _number(tile: int) -> ir.Constant:
    return ir.Constant(I8, tile)


def _pointer(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    return builder.inttoptr(address, I8.as_pointer())


def _load(builder: ir.IRBuilder, tile: int, address: ir.Value, stride: ir.Value) -> None:
    call_llvm(builder, "llvm.x86.tileloadd64", _VOID, _number(tile), _pointer(builder, address), stride)


def _store(builder: ir.IRBuilder, tile: int, address: ir.Value, stride: ir.Value) -> None:
    call_llvm(builder, "llvm.x86.tilestored64", _VOID, _number(tile), _pointer(builder, address), stride)


def _zero(builder: ir.IRBuilder, tile: int) -> None:
    call_llvm(builder, "llvm.x86.tilezero", _VOID, _number(tile))


def _dot(builder: ir.IRBuilder, kind: str, sums: int, a: int, b: int) -> None:
    call_llvm(builder, f"llvm.x86.{kind}", _VOID, _number(sums), _number(a), _number(b))


_ADDRESS, _NONE = types.int64, types.void


def _op(*operands: Any) -> Callable[[Callable[..., None]], Any]:
    """An operation that emits nothing where the instructions are missing: code that never runs must still compile."""

    def made(emit: Callable[..., None]) -> Any:
        def guarded(builder: Any, *values: Any) -> None:
            if available():
                emit(builder, *values)

        guarded.__name__, guarded.__doc__ = emit.__name__, emit.__doc__
        return operation(_NONE, *operands)(guarded)

    return made


@_op(_ADDRESS)
def configure(builder: Any, address: Any) -> None:
    """Give this thread's tiles the shapes at an address; all become zero."""
    call_llvm(builder, "llvm.x86.ldtilecfg", _VOID, _pointer(builder, address))


@_op()
def release(builder: Any) -> None:
    """This thread has no tiles any more."""
    call_llvm(builder, "llvm.x86.tilerelease", _VOID)


@_op(types.int64)
def count_products(builder: Any, turns: Any) -> None:
    """Three products of whole tiles, so many times: what the instructions can do when nothing else is asked of them."""

    def turn(number: Any, held: Any) -> Any:
        for tile in range(3):
            _dot(builder, "tdpbssd", tile, 5, 6)
        return held

    loop(builder, turns, [], turn)


# Attention: 16 queries x 32 positions of scores; up to four tiles of 16 queries x 16 numbers of values.


@_op()
def zero_scores(builder: Any) -> None:
    """Empty the two tiles of scores."""
    _zero(builder, 0)
    _zero(builder, 1)


@_op(_ADDRESS, _ADDRESS, _ADDRESS)
def add_scores(builder: Any, queries: Any, keys: Any, half: Any) -> None:
    """32 dimensions of 16 queries times those of 32 keys; the second 16 keys stand `half` bytes behind the first."""
    line = ir.Constant(I64, 64)
    _load(builder, 5, queries, line)
    _load(builder, 6, keys, line)
    _dot(builder, "tdpbf16ps", 0, 5, 6)
    _load(builder, 7, builder.add(keys, half), line)
    _dot(builder, "tdpbf16ps", 1, 5, 7)


@_op(_ADDRESS, _ADDRESS)
def store_scores(builder: Any, target: Any, stride: Any) -> None:
    """Put both tiles side by side into 16 rows."""
    _store(builder, 0, target, stride)
    _store(builder, 1, builder.add(target, ir.Constant(I64, 64)), stride)


@_op()
def zero_values(builder: Any) -> None:
    """Empty four tiles of results."""
    for tile in range(4):
        _zero(builder, tile)


@_op(_ADDRESS)
def load_values(builder: Any, source: Any) -> None:
    """Go on with four tiles that `store_values` put there."""
    for tile in range(4):
        _load(builder, tile, builder.add(source, ir.Constant(I64, 1024 * tile)), ir.Constant(I64, 64))


@_op(_ADDRESS, _ADDRESS, _ADDRESS)
def add_values_64(builder: Any, shares: Any, stride: Any, values: Any) -> None:
    """16 queries' shares of 32 positions times 64 numbers of those positions' values."""
    _load(builder, 5, shares, stride)
    for tile in range(4):
        _load(builder, 6 + tile % 2, builder.add(values, ir.Constant(I64, 1024 * tile)), ir.Constant(I64, 64))
        _dot(builder, "tdpbf16ps", tile, 5, 6 + tile % 2)


@_op(_ADDRESS, _ADDRESS, _ADDRESS)
def add_values_32(builder: Any, shares: Any, stride: Any, values: Any) -> None:
    """The same for 32 numbers."""
    _load(builder, 5, shares, stride)
    for tile in range(2):
        _load(builder, 6 + tile, builder.add(values, ir.Constant(I64, 1024 * tile)), ir.Constant(I64, 64))
        _dot(builder, "tdpbf16ps", tile, 5, 6 + tile)


@_op(_ADDRESS)
def store_values(builder: Any, target: Any) -> None:
    """Put four tiles of 16 x 16 floats, one after the other."""
    for tile in range(4):
        _store(builder, tile, builder.add(target, ir.Constant(I64, 1024 * tile)), ir.Constant(I64, 64))


# Prompts: 32 tokens x 32 rows of weights.


@_op()
def zero_block(builder: Any) -> None:
    """Empty the block."""
    for tile in range(4):
        _zero(builder, tile)


def _quarters(builder: ir.IRBuilder, address: ir.Value, stride: ir.Value) -> list[ir.Value]:
    """Where the quarters of a block of rows lie: first 16 tokens, then the others."""
    below = builder.add(address, builder.mul(stride, ir.Constant(I64, 16)))
    return [builder.add(half, ir.Constant(I64, 64 * side)) for half in (address, below) for side in range(2)]


@_op(_ADDRESS, _ADDRESS)
def load_block(builder: Any, address: Any, stride: Any) -> None:
    """Begin with what stands in 32 rows."""
    for tile, quarter in enumerate(_quarters(builder, address, stride)):
        _load(builder, tile, quarter, stride)


@_op(_ADDRESS, _ADDRESS)
def store_block(builder: Any, address: Any, stride: Any) -> None:
    """Put the block into 32 rows."""
    for tile, quarter in enumerate(_quarters(builder, address, stride)):
        _store(builder, tile, quarter, stride)


@_op(_ADDRESS, _ADDRESS)
def store_half_block(builder: Any, address: Any, stride: Any) -> None:
    """Put the block's first half into 16 rows."""
    for tile, quarter in enumerate(_quarters(builder, address, stride)[:2]):
        _store(builder, tile, quarter, stride)


@_op(_ADDRESS, _ADDRESS, _ADDRESS)
def add_block(builder: Any, x: Any, stride: Any, weights: Any) -> None:
    """Add 32 inputs of 32 tokens times those of 32 rows of weights, which lie in two tiles."""
    line = ir.Constant(I64, 64)
    _load(builder, 6, weights, line)
    _load(builder, 4, x, stride)
    _dot(builder, "tdpbf16ps", 0, 4, 6)
    _load(builder, 7, builder.add(weights, ir.Constant(I64, 1024)), line)
    _dot(builder, "tdpbf16ps", 1, 4, 7)
    _load(builder, 5, builder.add(x, builder.mul(stride, ir.Constant(I64, 16))), stride)
    _dot(builder, "tdpbf16ps", 2, 5, 6)
    _dot(builder, "tdpbf16ps", 3, 5, 7)


@_op(_ADDRESS, _ADDRESS, _ADDRESS)
def add_half_block(builder: Any, x: Any, stride: Any, weights: Any) -> None:
    """The same for 16 tokens."""
    line = ir.Constant(I64, 64)
    _load(builder, 6, weights, line)
    _load(builder, 4, x, stride)
    _dot(builder, "tdpbf16ps", 0, 4, 6)
    _load(builder, 7, builder.add(weights, ir.Constant(I64, 1024)), line)
    _dot(builder, "tdpbf16ps", 1, 4, 7)


def _emit_unpack(builder: ir.IRBuilder, kind: Format, weights: ir.Value, group: ir.Value, to: ir.Value) -> None:
    """One group's weights as the matrix instructions want them, and its scales as floats."""
    step, offset = step_of(builder, kind, weights, group), OFFSETS[kind.name]
    for place, four in enumerate(step.fours):
        signed = builder.sub(four, constant(_I8X64, offset)) if offset else four
        if kind.code in _DEEP:
            store_to(builder, signed, to, 64 * place, 64)
            continue
        store_to(builder, builder.shl(signed, constant(_I8X64, 4)), to, 64 * place, 64)
        store_to(builder, signed, to, 512 + 64 * place, 64)
    store_to(builder, step.scales, to, 1024, 64)
    if step.minimums is not None:
        store_to(builder, step.minimums, to, 1088, 64)


def emit_product(
    builder: ir.IRBuilder,
    kind: Format,
    tokens: int,
    weights: ir.Value,
    groups: ir.Value,
    x: ir.Value,
    stride: ir.Value,
    out: ir.Value,
) -> None:
    """16 rows times `tokens` rows of rounded activations; 16 rows of those are read, whatever they hold."""
    if not available():
        return
    line, one = ir.Constant(I64, 64), ir.Constant(I64, 1)
    depth = 2 if kind.code in _DEEP else 1
    panel = _PANEL // depth
    metas = [builder.add(x, builder.mul(groups, ir.Constant(I64, PLANE_BYTES)))]
    for _ in range(tokens - 1):
        metas.append(builder.add(metas[-1], stride))
    totals = builder.add(out, ir.Constant(I64, 1024))
    room = builder.add(totals, ir.Constant(I64, 1024 * _PANEL))
    # Panels of equal size: as many as there must be, and none of them nearly empty.
    panels = builder.udiv(builder.add(groups, ir.Constant(I64, panel - 1)), ir.Constant(I64, panel))
    size = builder.udiv(builder.sub(builder.add(groups, panels), one), panels)

    def turn(number: Any, held: Any) -> Any:
        start = builder.mul(number, size)
        left = builder.sub(groups, start)
        some = builder.select(builder.icmp_signed("<", left, size), left, size)

        def unpacked(place: Any) -> Any:
            return builder.add(room, builder.mul(place, ir.Constant(I64, _STEP_BYTES)))

        def unpack(place: Any, held: Any) -> Any:
            _emit_unpack(builder, kind, weights, builder.add(start, place), unpacked(place))
            return held

        def multiply(place: Any, held: Any) -> Any:
            there = builder.add(x, builder.mul(builder.add(start, place), ir.Constant(I64, PLANE_BYTES)))
            to = builder.add(totals, builder.mul(place, ir.Constant(I64, 1024 * depth)))
            b = 7 if depth == 2 else 6
            _load(builder, b, unpacked(place), line)
            for tile in range(depth):
                a = 3 + tile if depth == 2 else 5
                _load(builder, a, builder.add(there, ir.Constant(I64, 32 * tile)), stride)
                _zero(builder, tile)
                _dot(builder, "tdpbsud" if kind.code in _LIFTED else "tdpbssd", tile, a, b)
                _store(builder, tile, builder.add(to, ir.Constant(I64, 1024 * tile)), line)
            return held

        def scale(place: Any, held: Any) -> Any:
            to = builder.add(totals, builder.mul(place, ir.Constant(I64, 1024 * depth)))
            scales = load_from(builder, unpacked(place), 1024, F32X16, 64)
            minimums = load_from(builder, unpacked(place), 1088, F32X16, 64) if kind.code in _LIFTED else None
            for line in look_ahead(builder, kind, weights, builder.add(start, place)):
                prefetch(builder, line)
            behind = builder.mul(builder.add(start, place), ir.Constant(I64, META_BYTES))
            grown = []
            for token, sums in enumerate(held):
                meta = builder.add(metas[token], behind)
                whole = load_from(builder, to, 64 * token, I32X16, 64)
                if depth == 2:
                    low = load_from(builder, to, 1024 + 64 * token, I32X16, 64)
                    whole = builder.add(builder.shl(whole, constant(I32X16, 4)), low)
                scaled = builder.fmul(scales, spread(builder, load_from(builder, meta, 0, FLOAT, 4), F32X16))
                new = call_llvm(builder, "llvm.fma.v16f32", F32X16, builder.sitofp(whole, F32X16), scaled, sums)
                if minimums is not None:
                    lift = spread(builder, load_from(builder, meta, 4, FLOAT, 4), F32X16)
                    new = call_llvm(builder, "llvm.fma.v16f32", F32X16, minimums, lift, new)
                grown.append(new)
            return grown

        loop(builder, some, [], unpack)
        loop(builder, some, [], multiply)
        return loop(builder, some, held, scale)

    for token, sums in enumerate(loop(builder, panels, [constant(F32X16, 0.0)] * tokens, turn)):
        store_to(builder, sums, out, 64 * token, 64)
