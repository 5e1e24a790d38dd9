"""The steps a forward pass is made of, cut into units that any thread may take.

Every function starts with `(first, last, ...)`: do units `first` to `last` - 1 of this step and touch nothing else.
What a unit is stands in its first line. Addresses and strides are in bytes; nothing here checks a bound or waits
(`team` hands out units and waits). How the work is cut never changes a result: each row, and in attention each head of
each row, is computed in one order that depends on nothing but itself.

Activations leave a step in the form that the next matrix multiplies with: `floats=0` writes rounded records
(`lanes.quantize_group`), `floats=1` writes float32 rows, zero-padded to a multiple of 16.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ikkan.silicon.kernels import lanes
from ikkan.silicon.kernels.compiled import compiled, inlined
from ikkan.silicon.kernels.formats import F16, GROUP, META_BYTES, PLANE_BYTES, TILE_ROWS
from ikkan.silicon.kernels.formats import F32 as _F32
from ikkan.silicon.kernels.formats import Q4_1 as _Q4_1
from ikkan.silicon.kernels.formats import Q8_0 as _Q8_0
from ikkan.silicon.kernels.lanes import Lanes
from ikkan.silicon.kernels.tiles import MOST_TOKENS, tile

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_MASKED: Final = np.float32(-3.0e38)
_BLOCK: Final = 16
"""Positions whose keys stand side by side."""
_TOGETHER: Final = 4
"""Neighbouring tokens of one slot that share a walk over its keys and values."""


@inlined
def steps_of(code: int, cols: int) -> int:
    """Steps of a tile: groups of 32, or padded inputs."""
    return cols // GROUP if code < F16 else (cols + 15) // 16 * 16


@inlined
def bytes_of(code: int, cols: int) -> int:
    """Bytes of a tile (`formats.Format.tile_bytes`)."""
    steps = steps_of(code, cols)
    if code == _Q4_1:
        return steps * 320
    if code == _Q8_0:
        return (steps + 1) // 2 * 1088
    if code == _F32:
        return steps * 64
    return steps * 32 if code == F16 else (steps + 1) // 2 * 576


@compiled
def matmul(
    first: int,
    last: int,
    tiles: int,
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
) -> None:
    """A unit is 16 rows of W: `out[n, rows] = x @ W.T (+ bias) (+ out)`.

    `x` is in the form that the format wants; `bias` is an address or 0.
    """
    lanes.apart()
    steps = steps_of(code, cols)
    tile_bytes = bytes_of(code, cols)
    results = lanes.scratch_tile()
    for number in range(first, last):
        row = number * TILE_ROWS
        left = rows - row
        done = 0
        while done < n:
            took = tile(
                tiles, code, n - done, data + number * tile_bytes, steps, x + done * x_stride, x_stride, results
            )
            for token in range(took):
                value = lanes.load(results + 64 * token)
                there = out + (done + token) * out_stride + 4 * row
                if left >= TILE_ROWS:
                    if bias != 0:
                        value = lanes.add(value, lanes.load(bias + 4 * row))
                    if accumulate != 0:
                        value = lanes.add(value, lanes.load(there))
                    lanes.store(there, value)
                else:
                    if bias != 0:
                        value = lanes.add(value, lanes.load_first(bias + 4 * row, left))
                    if accumulate != 0:
                        value = lanes.add(value, lanes.load_first(there, left))
                    lanes.store_first(there, value, left)
            done += took


@compiled
def quantize(
    first: int, last: int, cols: int, x: int, x_stride: int, target: int, target_stride: int, floats: int
) -> None:
    """A unit is one group of one row (`groups_of`): floats into the form a matrix multiplies with."""
    lanes.apart()
    groups = groups_of(cols, floats)
    for unit in range(first, last):
        row = unit // groups
        group = unit - row * groups
        if floats != 0:
            at = 64 * group
            v = lanes.load_first(x + row * x_stride + at, cols - 16 * group)
            lanes.store(target + row * target_stride + at, v)
        else:
            record(x + row * x_stride + group * 4 * GROUP, target + row * target_stride, group, groups)


@inlined
def record(source: int, row: int, group: int, groups: int) -> None:
    """Round 32 floats into their place in a row of records (`formats.record_bytes`)."""
    lanes.quantize_group(source, row + group * PLANE_BYTES, row + groups * PLANE_BYTES + group * META_BYTES)


@inlined
def groups_of(cols: int, floats: int) -> int:
    """Units of a row in `quantize` and `norm`: 32 numbers each, or 16 if they stay floats."""
    return (cols + 15) // 16 if floats != 0 else cols // GROUP


@compiled
def inverse_rms(x: int, cols: int, eps: np.float32) -> np.float32:
    """1 / sqrt(mean(x^2) + eps) of one row: four running sums of 16 lanes, then a tree."""
    lanes.apart()
    a = b = c = d = lanes.splat(_ZERO)
    whole = cols // 64 * 64
    for i in range(0, whole, 64):
        at = x + 4 * i
        v = lanes.load(at)
        a = lanes.fma(v, v, a)
        v = lanes.load(at + 64)
        b = lanes.fma(v, v, b)
        v = lanes.load(at + 128)
        c = lanes.fma(v, v, c)
        v = lanes.load(at + 192)
        d = lanes.fma(v, v, d)
    for i in range(whole, cols, 16):
        v = lanes.load_first(x + 4 * i, cols - i)
        a = lanes.fma(v, v, a)
    squares = lanes.total(lanes.add(lanes.add(a, b), lanes.add(c, d)))
    return np.float32(_ONE / np.sqrt(squares / np.float32(cols) + eps))


@compiled
def norm(
    first: int,
    last: int,
    cols: int,
    x: int,
    x_stride: int,
    weight: int,
    eps: np.float32,
    target: int,
    target_stride: int,
    floats: int,
) -> None:
    """A unit is one group of one row: RMS norm, straight into the form the next matrix multiplies with."""
    lanes.apart()
    group_cols = 16 if floats != 0 else GROUP
    groups = groups_of(cols, floats)
    scratch = lanes.scratch_tile()
    before = -1
    factor = lanes.splat(_ZERO)
    for unit in range(first, last):
        row = unit // groups
        i = (unit - row * groups) * group_cols
        if row != before:
            factor = lanes.splat(inverse_rms(x + row * x_stride, cols, eps))
            before = row
        at = x + row * x_stride + 4 * i
        if floats != 0:
            v = lanes.mul(lanes.mul(lanes.load_first(at, cols - i), factor), lanes.load_first(weight + 4 * i, cols - i))
            lanes.store(target + row * target_stride + 4 * i, v)
        else:
            lanes.store(scratch, lanes.mul(lanes.mul(lanes.load(at), factor), lanes.load(weight + 4 * i)))
            v = lanes.mul(lanes.mul(lanes.load(at + 64), factor), lanes.load(weight + 4 * i + 64))
            lanes.store(scratch + 64, v)
            record(scratch, target + row * target_stride, i // GROUP, groups)


@inlined
def silu_times(gate: Lanes, up: Lanes) -> Lanes:
    """gate / (1 + e^-gate) * up."""
    below = lanes.add(lanes.splat(_ONE), lanes.exp(lanes.sub(lanes.splat(_ZERO), gate)))
    result: Lanes = lanes.mul(lanes.div(gate, below), up)
    return result


@compiled
def gate_up(
    first: int,
    last: int,
    tiles: int,
    gate_code: int,
    gate: int,
    up_code: int,
    up: int,
    inter: int,
    cols: int,
    n: int,
    x: int,
    x_floats: int,
    x_stride: int,
    floats_stride: int,
    target: int,
    target_stride: int,
    floats: int,
    batch: int,
) -> None:
    """A unit is 32 rows of both matrices: silu(gate(x)) * up(x), straight into the form the next matrix wants.

    `x` are rounded records, `x_floats` float rows; each matrix reads the one it multiplies with. `batch` is 0, or a
    block of `adapters`: what it adds to gate and up of a row, and where rows stay floats for it.
    """
    lanes.apart()
    gate_steps, up_steps = steps_of(gate_code, cols), steps_of(up_code, cols)
    gate_bytes, up_bytes = bytes_of(gate_code, cols), bytes_of(up_code, cols)
    gate_x, gate_stride = (x, x_stride) if gate_code < F16 else (x_floats, floats_stride)
    up_x, up_stride = (x, x_stride) if up_code < F16 else (x_floats, floats_stride)
    gates, ups = lanes.scratch_tile(), lanes.scratch_tile()
    both = lanes.scratch_wide()
    for unit in range(first, last):
        halves = min(2, (inter - GROUP * unit + 15) // 16)
        done = 0
        while done < n:
            together = min(n - done, MOST_TOKENS)
            for half in range(halves):
                at = 2 * unit + half
                ready = 0
                while ready < together:
                    ready += tile(
                        tiles,
                        gate_code,
                        together - ready,
                        gate + at * gate_bytes,
                        gate_steps,
                        gate_x + (done + ready) * gate_stride,
                        gate_stride,
                        gates + 64 * ready,
                    )
                ready = 0
                while ready < together:
                    ready += tile(
                        tiles,
                        up_code,
                        together - ready,
                        up + at * up_bytes,
                        up_steps,
                        up_x + (done + ready) * up_stride,
                        up_stride,
                        ups + 64 * ready,
                    )
                if batch != 0:
                    _add_changes(batch, done, together, 16 * at, gates, ups)
                for token in range(together):
                    v = silu_times(lanes.load(gates + 64 * token), lanes.load(ups + 64 * token))
                    lanes.store(both + 128 * token + 64 * half, v)
            for token in range(together):
                there = target + (done + token) * target_stride
                if floats != 0:
                    for half in range(halves):
                        v = lanes.load(both + 128 * token + 64 * half)
                        lanes.store(there + 128 * unit + 64 * half, v)
                else:
                    record(both + 128 * token, there, unit, inter // GROUP)
                    if batch != 0:
                        kept = lanes.word(batch + BATCH_KEPT) + (done + token) * lanes.word(batch + BATCH_KEPT_BYTES)
                        lanes.store(kept + 128 * unit, lanes.load(both + 128 * token))
                        lanes.store(kept + 128 * unit + 64, lanes.load(both + 128 * token + 64))
            done += together


BATCH_ADAPTERS: Final = 0
BATCH_CHANGES: Final = 8
BATCH_CHANGE_BYTES: Final = 16
BATCH_KEPT: Final = 24
BATCH_KEPT_BYTES: Final = 32
"""Words of a block of `adapters` that `gate_up` reads: each row's adapter, int32; what is added to its gate and, behind
it, its up, and the bytes of both; where its results stay floats, and the bytes of a row."""


@compiled
def _add_changes(batch: int, first_row: int, rows: int, column: int, gates: int, ups: int) -> None:
    """16 outputs, from `column` on, of gate and up: 64 bytes a row."""
    lanes.apart()
    numbers, stride = lanes.word(batch + BATCH_ADAPTERS), lanes.word(batch + BATCH_CHANGE_BYTES)
    for one in range(rows):
        row = first_row + one
        if lanes.read_int(numbers + 4 * row) != 0:
            change = lanes.word(batch + BATCH_CHANGES) + row * stride + 4 * column
            at = gates + 64 * one
            lanes.store(at, lanes.add(lanes.load(at), lanes.load(change)))
            at = ups + 64 * one
            lanes.store(at, lanes.add(lanes.load(at), lanes.load(change + stride // 2)))


@compiled
def rotate(x: int, half: int, cos: int, sin: int) -> None:
    """Turn one head in place; entry i and entry i + half are partners."""
    lanes.apart()
    for i in range(0, half, 16):
        left = half - i
        c = lanes.load_first(cos + 4 * i, left)
        s = lanes.load_first(sin + 4 * i, left)
        a = lanes.load_first(x + 4 * i, left)
        b = lanes.load_first(x + 4 * (half + i), left)
        lanes.store_first(x + 4 * i, lanes.sub(lanes.mul(a, c), lanes.mul(b, s)), left)
        lanes.store_first(x + 4 * (half + i), lanes.add(lanes.mul(b, c), lanes.mul(a, s)), left)


@compiled
def store_key(key: int, head_dim: int, head: int, position: int) -> None:
    """Put one key among the 16 of its block; `head` is the address of the slot's and head's first block."""
    block = head + position // _BLOCK * (4 * _BLOCK * head_dim) + position % _BLOCK * 4
    for i in range(head_dim):
        lanes.write(block + i * 4 * _BLOCK, lanes.read(key + 4 * i))


@compiled
def store_value(value: int, head_dim: int, head: int, position: int) -> None:
    """Put one value at its position."""
    there = head + position * 4 * head_dim
    for i in range(0, head_dim, 16):
        lanes.store_first(there + 4 * i, lanes.load_first(value + 4 * i, head_dim - i), head_dim - i)


@compiled
def rope_and_store(
    first: int,
    last: int,
    q: int,
    k: int,
    v: int,
    stride: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    slots: int,
    positions: int,
    cos: int,
    sin: int,
    keys: int,
    values: int,
    context: int,
) -> None:
    """A unit is one head of q, k or v of one row: turn q and k in place (half-split), put k and v into the cache.

    `cos` and `sin` are float32 (positions, head_dim / 2); `context` is the cache's, a multiple of 16.
    """
    lanes.apart()
    parts = heads + 2 * kv_heads
    half = head_dim // 2
    width = 4 * head_dim
    for unit in range(first, last):
        row = unit // parts
        part = unit - row * parts
        position = lanes.read_int(positions + 4 * row)
        slot = lanes.read_int(slots + 4 * row)
        turn = position * half * 4
        if part < heads:
            rotate(q + row * stride + part * width, half, cos + turn, sin + turn)
        elif part < heads + kv_heads:
            head = part - heads
            there = k + row * stride + head * width
            rotate(there, half, cos + turn, sin + turn)
            store_key(there, head_dim, keys + (slot * kv_heads + head) * context * width, position)
        else:
            head = part - heads - kv_heads
            there = values + (slot * kv_heads + head) * context * width
            store_value(v + row * stride + head * width, head_dim, there, position)


# Attention. Queries of one (slot, key head) are taken four at a time; every query's own sums run in one fixed order:
# scores over pairs of dimensions, then the largest, then exponentials and their sum by lane, then values by position.


@compiled
def _scores_4(block: int, head_dim: int, q0: int, q1: int, q2: int, q3: int, to: int, row_bytes: int) -> None:
    lanes.apart()
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = lanes.splat(_ZERO)
    for i in range(0, head_dim, 2):
        even = lanes.load(block + 64 * i)
        odd = lanes.load(block + 64 * i + 64)
        a0 = lanes.fma(even, lanes.splat_at(q0 + 4 * i), a0)
        a1 = lanes.fma(even, lanes.splat_at(q1 + 4 * i), a1)
        a2 = lanes.fma(even, lanes.splat_at(q2 + 4 * i), a2)
        a3 = lanes.fma(even, lanes.splat_at(q3 + 4 * i), a3)
        b0 = lanes.fma(odd, lanes.splat_at(q0 + 4 * i + 4), b0)
        b1 = lanes.fma(odd, lanes.splat_at(q1 + 4 * i + 4), b1)
        b2 = lanes.fma(odd, lanes.splat_at(q2 + 4 * i + 4), b2)
        b3 = lanes.fma(odd, lanes.splat_at(q3 + 4 * i + 4), b3)
    lanes.store(to, lanes.add(a0, b0))
    lanes.store(to + row_bytes, lanes.add(a1, b1))
    lanes.store(to + 2 * row_bytes, lanes.add(a2, b2))
    lanes.store(to + 3 * row_bytes, lanes.add(a3, b3))


@compiled
def _scores_1(block: int, head_dim: int, q0: int, to: int) -> None:
    lanes.apart()
    a0 = b0 = lanes.splat(_ZERO)
    for i in range(0, head_dim, 2):
        a0 = lanes.fma(lanes.load(block + 64 * i), lanes.splat_at(q0 + 4 * i), a0)
        b0 = lanes.fma(lanes.load(block + 64 * i + 64), lanes.splat_at(q0 + 4 * i + 4), b0)
    lanes.store(to, lanes.add(a0, b0))


@compiled
def _softmax(scores: int, blocks: int, seen: int, scale: np.float32) -> np.float32:
    """Scores of positions 0..seen-1 into exponentials, zero behind them; returns their sum."""
    lanes.apart()
    factor = lanes.splat(scale)
    masked = lanes.splat(_MASKED)
    top = masked
    for block in range(blocks):
        at = scores + 64 * block
        v = lanes.first(lanes.mul(lanes.load(at), factor), masked, seen - _BLOCK * block)
        lanes.store(at, v)
        top = lanes.maximum(top, v)
    largest = lanes.splat(lanes.highest(top))
    nothing = lanes.splat(_ZERO)
    sums = nothing
    for block in range(blocks):
        at = scores + 64 * block
        e = lanes.first(lanes.exp(lanes.sub(lanes.load(at), largest)), nothing, seen - _BLOCK * block)
        lanes.store(at, e)
        sums = lanes.add(sums, e)
    result: np.float32 = lanes.total(sums)
    return result


@compiled
def _values_4x64(v: int, width: int, count: int, e: int, row_bytes: int, to: int, to_bytes: int) -> None:
    lanes.apart()
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = lanes.splat(_ZERO)
    c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = lanes.splat(_ZERO)
    for j in range(count):
        at = v + j * width
        v0 = lanes.load(at)
        v1 = lanes.load(at + 64)
        v2 = lanes.load(at + 128)
        v3 = lanes.load(at + 192)
        w = lanes.splat_at(e + 4 * j)
        a0 = lanes.fma(v0, w, a0)
        a1 = lanes.fma(v1, w, a1)
        a2 = lanes.fma(v2, w, a2)
        a3 = lanes.fma(v3, w, a3)
        w = lanes.splat_at(e + 4 * j + row_bytes)
        b0 = lanes.fma(v0, w, b0)
        b1 = lanes.fma(v1, w, b1)
        b2 = lanes.fma(v2, w, b2)
        b3 = lanes.fma(v3, w, b3)
        w = lanes.splat_at(e + 4 * j + 2 * row_bytes)
        c0 = lanes.fma(v0, w, c0)
        c1 = lanes.fma(v1, w, c1)
        c2 = lanes.fma(v2, w, c2)
        c3 = lanes.fma(v3, w, c3)
        w = lanes.splat_at(e + 4 * j + 3 * row_bytes)
        d0 = lanes.fma(v0, w, d0)
        d1 = lanes.fma(v1, w, d1)
        d2 = lanes.fma(v2, w, d2)
        d3 = lanes.fma(v3, w, d3)
    _store_64(to, a0, a1, a2, a3)
    _store_64(to + to_bytes, b0, b1, b2, b3)
    _store_64(to + 2 * to_bytes, c0, c1, c2, c3)
    _store_64(to + 3 * to_bytes, d0, d1, d2, d3)


@inlined
def _store_64(to: int, a: Lanes, b: Lanes, c: Lanes, d: Lanes) -> None:
    lanes.store(to, a)
    lanes.store(to + 64, b)
    lanes.store(to + 128, c)
    lanes.store(to + 192, d)


@compiled
def _values_1x64(v: int, width: int, count: int, e: int, to: int) -> None:
    lanes.apart()
    a0 = a1 = a2 = a3 = lanes.splat(_ZERO)
    for j in range(count):
        at = v + j * width
        w = lanes.splat_at(e + 4 * j)
        a0 = lanes.fma(lanes.load(at), w, a0)
        a1 = lanes.fma(lanes.load(at + 64), w, a1)
        a2 = lanes.fma(lanes.load(at + 128), w, a2)
        a3 = lanes.fma(lanes.load(at + 192), w, a3)
    _store_64(to, a0, a1, a2, a3)


@compiled
def _values_1x16(v: int, width: int, count: int, e: int, to: int, left: int) -> None:
    a = lanes.splat(_ZERO)
    for j in range(count):
        a = lanes.fma(lanes.load_first(v + j * width, left), lanes.splat_at(e + 4 * j), a)
    lanes.store_first(to, a, left)


@compiled
def _attend_block(
    row: int,
    tokens: int,
    first_head: int,
    last_head: int,
    q: int,
    stride: int,
    head_dim: int,
    keys: int,
    values: int,
    positions: int,
    scale: np.float32,
    scratch: int,
    row_bytes: int,
    out: int,
    out_stride: int,
    target: int,
    target_stride: int,
    groups: int,
) -> None:
    """Queries of neighbouring tokens and heads that share one key head; results as floats to `out`."""
    width = 4 * head_dim
    across = last_head - first_head
    queries = tokens * across
    longest = 0
    for token in range(tokens):
        longest = max(longest, lanes.read_int(positions + 4 * (row + token)) + 1)
    blocks = (longest + _BLOCK - 1) // _BLOCK
    results = scratch + 4 * row_bytes
    done = 0
    while done < queries:
        took = min(queries - done, 4)
        q0 = q + (row + done // across) * stride + (first_head + done % across) * width
        if took == 1:
            for block in range(blocks):
                _scores_1(keys + block * _BLOCK * width, head_dim, q0, scratch + 64 * block)
        else:
            u1, u2, u3 = done + 1, done + min(2, took - 1), done + min(3, took - 1)
            q1 = q + (row + u1 // across) * stride + (first_head + u1 % across) * width
            q2 = q + (row + u2 // across) * stride + (first_head + u2 % across) * width
            q3 = q + (row + u3 // across) * stride + (first_head + u3 % across) * width
            for block in range(blocks):
                to = scratch + 64 * block
                _scores_4(keys + block * _BLOCK * width, head_dim, q0, q1, q2, q3, to, row_bytes)
        for one in range(took):
            seen = lanes.read_int(positions + 4 * (row + (done + one) // across)) + 1
            sums = _softmax(scratch + one * row_bytes, blocks, seen, scale)
            lanes.write(results + 4 * one, sums)
        for i in range(0, head_dim, 64):
            to = results + 64
            if head_dim - i >= 64:
                if took == 1:
                    _values_1x64(values + 4 * i, width, longest, scratch, to)
                else:
                    _values_4x64(values + 4 * i, width, longest, scratch, row_bytes, to, 256)
            else:
                for one in range(took):
                    for piece in range(i, head_dim, 16):
                        at = to + 256 * one + 4 * (piece - i)
                        e = scratch + one * row_bytes
                        _values_1x16(values + 4 * piece, width, longest, e, at, head_dim - piece)
            for one in range(took):
                inverse = lanes.splat(np.float32(_ONE / lanes.read(results + 4 * one)))
                unit = done + one
                there = out + (row + unit // across) * out_stride + (first_head + unit % across) * width
                for piece in range(i, min(i + 64, head_dim), 16):
                    v = lanes.load(to + 256 * one + 4 * (piece - i))
                    lanes.store_first(there + 4 * piece, lanes.mul(v, inverse), head_dim - piece)
        if target != 0:
            for unit in range(done, done + took):
                column = (first_head + unit % across) * head_dim
                there = out + (row + unit // across) * out_stride + 4 * column
                to = target + (row + unit // across) * target_stride
                for group in range(head_dim // GROUP):
                    record(there + group * 4 * GROUP, to, column // GROUP + group, groups)
        done += took


@compiled
def attend(
    first: int,
    last: int,
    runs: int,
    q: int,
    stride: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    keys: int,
    values: int,
    context: int,
    slots: int,
    positions: int,
    scale: np.float32,
    scratch: int,
    out: int,
    out_stride: int,
    target: int,
    target_stride: int,
) -> None:
    """A unit is one head of one run of rows (`find_runs`): attend to positions 0..its own of the slot.

    float32 (n, heads * head_dim) goes to `out`; `scratch` is this thread's own `scratch_bytes(context)`. Units taken
    together share the walk over keys and values where they can. If `target` is not 0, the rounded records are written
    there as well, which spares a step; it needs head_dim % 32 == 0.
    """
    lanes.apart()
    group = heads // kv_heads
    unit = first
    while unit < last:
        number = unit // heads
        start = unit - number * heads
        kv_head = start // group
        stop = min(start + last - unit, (kv_head + 1) * group)
        row = lanes.word(runs + 8 * number)
        there = (lanes.read_int(slots + 4 * row) * kv_heads + kv_head) * context * head_dim * 4
        _attend_block(
            row,
            lanes.word(runs + 8 * number + 8) - row,
            start,
            stop,
            q,
            stride,
            head_dim,
            keys + there,
            values + there,
            positions,
            scale,
            scratch,
            context * 4,
            out,
            out_stride,
            target,
            target_stride,
            heads * head_dim // GROUP,
        )
        unit += stop - start


@compiled
def find_runs(n: int, slots: int, runs: int) -> int:
    """Cut rows into runs of at most four neighbours of one slot: their starts, then `n`, as int64 to `runs`."""
    count = 0
    row = 0
    while row < n:
        lanes.put_word(runs + 8 * count, row)
        slot = lanes.read_int(slots + 4 * row)
        after = row + 1
        while after < n and after < row + _TOGETHER and lanes.read_int(slots + 4 * after) == slot:
            after += 1
        row = after
        count += 1
    lanes.put_word(runs + 8 * count, n)
    return count


@compiled
def embed(
    first: int,
    last: int,
    code: int,
    data: int,
    cols: int,
    tokens: int,
    out: int,
    out_stride: int,
) -> None:
    """A unit is one row: copy a token's row of a packed matrix, as float32."""
    lanes.apart()
    tile_bytes = bytes_of(code, cols)
    for unit in range(first, last):
        token = lanes.read_int(tokens + 4 * unit)
        here = data + token // TILE_ROWS * tile_bytes
        lane = token % TILE_ROWS
        for i in range(cols):
            group = i // GROUP
            place = i % GROUP
            if code == _F32:
                v = lanes.read(here + 64 * i + 4 * lane)
            elif code == F16:
                v = lanes.read_half(here + 32 * i + 2 * lane)
            elif code == _Q8_0:
                pair = here + group // 2 * 1088
                number = lanes.read_byte(pair + group % 2 * 512 + place // 4 * 64 + 4 * lane + place % 4) - 128
                v = lanes.read_half(pair + 1024 + group % 2 * 32 + 2 * lane) * np.float32(number)
            elif code == _Q4_1:
                step = here + 320 * group
                number = lanes.read_byte(step + place // 8 * 64 + 4 * lane + place % 4)
                number = number & 15 if place % 8 < 4 else number >> 4
                v = lanes.read_half(step + 256 + 2 * lane) * np.float32(number)
                v = np.float32(v + lanes.read_half(step + 288 + 2 * lane))
            else:
                pair = here + group // 2 * 576
                number = lanes.read_byte(pair + group % 2 * 256 + place // 8 * 64 + 4 * lane + place % 4)
                number = number & 15 if place % 8 < 4 else number >> 4
                v = lanes.read_half(pair + 512 + group % 2 * 32 + 2 * lane) * np.float32(number - 8)
            lanes.write(out + unit * out_stride + 4 * i, v)


@inlined
def attend_chunk(units: int, heads: int, threads: int) -> int:
    """How many units of `attend` to take at once: whole runs when there are many, else an equal share each."""
    return heads if units >= 4 * threads * heads else (units + threads - 1) // threads


@inlined
def scratch_bytes(context: int) -> int:
    """What one thread needs for `attend`."""
    return 4 * context * 4 + 4096
