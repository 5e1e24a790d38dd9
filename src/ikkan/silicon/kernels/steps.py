"""The steps a forward pass is made of, cut into units that any thread may take.

Every function starts with `(first, last, ...)`: do units `first` to `last` - 1 of this step and touch nothing else.
What a unit is stands in its first line. Addresses and strides are in bytes; nothing here checks a bound or waits
(`team` hands out units and waits). How the work is cut never changes a result: each row, and in attention each head of
each row, is computed in one order that depends on nothing but itself.

Activations leave a step in the form that the next matrix multiplies with: `form=0` writes rounded records
(`lanes.quantize_group`), `form=1` writes float32 rows, zero-padded to a multiple of 16, and `form=2` rows of bfloat16
for `prompts`, whose columns are a multiple of 32.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ikkan.silicon.kernels import lanes
from ikkan.silicon.kernels.compiled import compiled, inlined
from ikkan.silicon.kernels.formats import BF16 as _BF16
from ikkan.silicon.kernels.formats import (
    F16,
    FORMATS,
    GROUP,
    META_BYTES,
    OFFSETS,
    PLANE_BYTES,
    SHARED_BYTES,
    TILE_ROWS,
    WEIGHT_BYTES,
)
from ikkan.silicon.kernels.formats import F32 as _F32
from ikkan.silicon.kernels.formats import Q4_1 as _Q4_1
from ikkan.silicon.kernels.formats import Q5_1 as _Q5_1
from ikkan.silicon.kernels.formats import Q6_K as _Q6_K
from ikkan.silicon.kernels.formats import Q8_0 as _Q8_0
from ikkan.silicon.kernels.lanes import Lanes
from ikkan.silicon.kernels.tiles import MOST_TOKENS, tile

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_NOWHERE: Final = 2**31 - 1
_TOGETHER_OF: Final = tuple(one.together for one in FORMATS.values())
_BYTES_OF: Final = tuple(one.bytes_per_step for one in FORMATS.values())
_WEIGHT_BYTES: Final = tuple(WEIGHT_BYTES.get(name, 0) for name in FORMATS)
_OFFSETS: Final = tuple(OFFSETS.get(name, 0) for name in FORMATS)
"""By a format's code."""


@inlined
def steps_of(code: int, cols: int) -> int:
    """Steps of a tile: groups of 32, or padded inputs."""
    return cols // GROUP if code < F16 else (cols + 15) // 16 * 16


@inlined
def bytes_of(code: int, cols: int) -> int:
    """Bytes of a tile (`formats.Format.tile_bytes`)."""
    together = _TOGETHER_OF[code]
    return (steps_of(code, cols) + together - 1) // together * _BYTES_OF[code]


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

    `x` is in the form that the format wants, with room for whole sixteens of rows; `bias` is an address or 0.
    """
    lanes.apart()
    steps = steps_of(code, cols)
    tile_bytes = bytes_of(code, cols)
    results = lanes.scratch_tile()
    for number in range(first, last):
        row = number * TILE_ROWS
        left = rows - row
        here = data + number * tile_bytes
        done = 0
        while done < n:
            took = tile(tiles, code, n - done, here, steps, x + done * x_stride, x_stride, results)
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
def highest(
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
    kept: int,
    count: int,
) -> None:
    """A unit is 16 rows of W: which outputs of `x @ W.T` are the largest, writing no others (`keep_highest`)."""
    lanes.apart()
    steps = steps_of(code, cols)
    tile_bytes = bytes_of(code, cols)
    results = lanes.scratch_tile()
    for number in range(first, last):
        here = data + number * tile_bytes
        done = 0
        while done < n:
            took = tile(tiles, code, n - done, here, steps, x + done * x_stride, x_stride, results)
            for token in range(took):
                to = kept + (done + token) * bytes_of_highest(count)
                keep_highest(to, results + 64 * token, TILE_ROWS * number, rows - TILE_ROWS * number, count)
            done += took


@inlined
def bytes_of_highest(count: int) -> int:
    """What `keep_highest` knows of a row: 16 zeros until something is no number, the scores, and their places."""
    return 64 + (8 * count + 63) // 64 * 64


@compiled
def start_highest(kept: int, count: int) -> None:
    """Nothing was seen yet."""
    lanes.store(kept, lanes.splat(_ZERO))
    for at in range(count):
        lanes.write(kept + 64 + 4 * at, -np.float32(np.inf))
        lanes.write_int(kept + 64 + 4 * (count + at), _NOWHERE)


@compiled
def keep_highest(kept: int, found: int, place: int, left: int, count: int) -> None:
    """Keep the `count` highest of all scores seen, highest first, of equal ones those of the lowest places.

    `found` has 16 scores of the places from `place` on, of which the first `left` count.
    """
    scores, places = kept + 64, kept + 64 + 4 * count
    some = lanes.first(lanes.load(found), lanes.splat(_ZERO), left)
    lanes.store(kept, lanes.fma(some, lanes.splat(_ZERO), lanes.load(kept)))
    end = 4 * (count - 1)
    rising = lanes.at_least(some, lanes.splat_at(scores + end), left)
    while rising != 0:
        if rising & 1 != 0:
            score = lanes.read(found)
            at = end
            if _before(score, place, scores + at, places + at):
                while at > 0 and _before(score, place, scores + at - 4, places + at - 4):
                    lanes.write(scores + at, lanes.read(scores + at - 4))
                    lanes.write_int(places + at, lanes.read_int(places + at - 4))
                    at -= 4
                lanes.write(scores + at, score)
                lanes.write_int(places + at, place)
        rising >>= 1
        found += 4
        place += 1


@inlined
def _before(score: np.float32, place: int, other: int, other_place: int) -> bool:
    """Whether a score at a place comes before the one at these addresses."""
    than = lanes.read(other)
    before: bool = score > than or (score == than and place < lanes.read_int(other_place))
    return before


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
def groups_of(cols: int, form: int) -> int:
    """Units of a row in `quantize` and `norm`: 32 numbers each, or 16 in the forms without records."""
    return (cols + 15) // 16 if form != 0 else cols // GROUP


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
    form: int,
) -> None:
    """A unit is one group of one row: RMS norm, straight into the form the next matrix multiplies with."""
    lanes.apart()
    group_cols = 16 if form != 0 else GROUP
    groups = groups_of(cols, form)
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
        if form != 0:
            v = lanes.mul(lanes.mul(lanes.load_first(at, cols - i), factor), lanes.load_first(weight + 4 * i, cols - i))
            if form == 1:
                lanes.store(target + row * target_stride + 4 * i, v)
            else:
                lanes.store_bfloat16(target + row * target_stride + 2 * i, v)
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


@inlined
def _some(tiles: int, code: int, tokens: int, weights: int, steps: int, x: int, stride: int, out: int) -> None:
    """16 rows times all of up to sixteen tokens."""
    done = 0
    while done < tokens:
        done += tile(tiles, code, tokens - done, weights, steps, x + done * stride, stride, out + 64 * done)


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
                here = gate_x + done * gate_stride
                _some(tiles, gate_code, together, gate + at * gate_bytes, gate_steps, here, gate_stride, gates)
                here = up_x + done * up_stride
                _some(tiles, up_code, together, up + at * up_bytes, up_steps, here, up_stride, ups)
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
def _weight(code: int, tile_start: int, lane: int, i: int) -> np.float32:
    """Input `i` of row `lane` of a quantised tile, as `packed.rows` has it."""
    together, size = _TOGETHER_OF[code], _WEIGHT_BYTES[code]
    group, place = i // GROUP, i % GROUP
    step = tile_start + group // together * _BYTES_OF[code]
    one = group % together
    front = SHARED_BYTES if together == 8 else 0
    lines = step + front + one * size + 4 * lane + place % 4
    if code == _Q8_0:
        number = lanes.read_byte(lines + place // 4 * 64)
    else:
        number = lanes.read_byte(lines + place // 8 * 64)
        number = number & 15 if place % 8 < 4 else number >> 4
        if size == 320:
            number |= (lanes.read_byte(lines + 256) >> place // 4 & 1) << 4
        elif size == 384:
            number |= (lanes.read_byte(lines + 256 + place // 16 * 64) >> place // 4 % 4 * 2 & 3) << 4
    plain = np.float32(number - _OFFSETS[code])
    if together == 8:
        small = step + 64 + 32 * one + lane
        if code == _Q6_K:
            signed = (lanes.read_byte(small + place // 16 * 16) ^ 128) - 128
            return np.float32(np.float32(lanes.read_half(step + 2 * lane) * np.float32(signed)) * plain)
        v = np.float32(np.float32(lanes.read_half(step + 2 * lane) * np.float32(lanes.read_byte(small))) * plain)
        minimum = np.float32(lanes.read_half(step + 32 + 2 * lane) * np.float32(lanes.read_byte(small + 16)))
        return np.float32(v + minimum)
    if code in (_Q4_1, _Q5_1):
        v = np.float32(lanes.read_half(step + size + 2 * lane) * plain)
        return np.float32(v + lanes.read_half(step + size + 32 + 2 * lane))
    return np.float32(lanes.read_half(step + together * size + 32 * one + 2 * lane) * plain)


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
            if code == _F32:
                v = lanes.read(here + 64 * i + 4 * lane)
            elif code == F16:
                v = lanes.read_half(here + 32 * i + 2 * lane)
            elif code == _BF16:
                v = lanes.read_upper(here + 32 * i + 2 * lane)
            else:
                v = _weight(code, here, lane, i)
            lanes.write(out + unit * out_stride + 4 * i, v)
