"""What one thread does in a pass through a stack: embed, walk the blocks, multiply its part of the vocabulary.

Begin at `work`: it is the one definition of a block.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ikkan.silicon.kernels import adapters as low_rank
from ikkan.silicon.kernels import amx, attend, lanes, prompts, steps, team
from ikkan.silicon.kernels.compiled import addressed, compiled, inlined
from ikkan.silicon.kernels.formats import F16, GROUP, TILE_ROWS
from ikkan.silicon.kernels.unpacked import LOOK_AHEAD_BYTES

LOGITS, HIDDEN = 0, 1
"""What a pass is told to give; more is so many of the highest, and one."""

CHUNK: Final = 128
"""Tokens read together at most, so that their activations stay in the second-level cache."""
PROMPT_CHUNK: Final = 512
"""The same for tokens of prompts that are read in bfloat16 (`prompts`): unpacking weights pays with many."""

_ADDRESS, _ROWS, _COLS, _ENTRY = 8, 16, 24, 32
"""Where a matrix's address, rows and columns stand in its entry of the table, behind its format; an entry's bytes."""
_OUT, _GATE, _UP, _DOWN = 3 * _ENTRY, 4 * _ENTRY, 5 * _ENTRY, 6 * _ENTRY
"""Where a block's matrices stand in the table, behind q, k and v."""
STEPS_OF_A_BLOCK, STEPS_AROUND = 13, 3
_FEW_TOKENS: Final = 2
"""Up to so many tokens a matrix is multiplied faster than it is read."""


@inlined
def _share(units: int, threads: int, parts: int) -> int:
    """Units to take at once so that each thread takes about `parts` times."""
    return max((units + threads * parts - 1) // (threads * parts), 1)


@inlined
def _tiles(matrix: int) -> int:
    tiles: int = (lanes.word(matrix + _ROWS) + TILE_ROWS - 1) // TILE_ROWS
    return tiles


@compiled
def _norm_step(
    step: int,
    step_bytes: int,
    threads: int,
    n: int,
    hidden: int,
    x: int,
    weight: int,
    eps: np.float32,
    records: int,
    record_stride: int,
    floats: int,
    float_bytes: int,
    matrices: int,
    count: int,
    batch: int,
    rough: int,
) -> None:
    """RMS norm of all rows, in each form that one of the `count` matrices behind it, or an adapter, multiplies with."""
    lanes.apart()
    for turn in range(2):
        needed = batch != 0 and turn == 1
        for m in range(count):
            needed = needed or (lanes.word(matrices + m * _ENTRY) >= F16) == (turn == 1)
        if rough != 0:
            needed = turn == 0
        if needed:
            form = 2 if rough != 0 else turn
            groups = steps.groups_of(hidden, form)
            target = floats if form == 1 else records
            stride = float_bytes if form == 1 else record_stride
            units = n * groups
            chunk = _share(units, threads, 1) if n < 4 * threads else groups * _share(n, threads, 4)
            this = step + turn * step_bytes
            unit = team.take(this, chunk)
            while unit < units:
                last = min(unit + chunk, units)
                steps.norm(unit, last, hidden, x, 4 * hidden, weight, eps, target, stride, form)
                team.finish(this, last - unit)
                unit = team.take(this, chunk)
            team.wait(this, units)


@compiled
def _multiply_step(
    step: int,
    thread: int,
    threads: int,
    tiles: int,
    matrix: int,
    n: int,
    records: int,
    record_stride: int,
    floats: int,
    float_bytes: int,
    out: int,
    out_bytes: int,
    bias: int,
    accumulate: int,
) -> None:
    """One matrix, in whatever form it multiplies; does not wait."""
    lanes.apart()
    code, data = lanes.word(matrix), lanes.word(matrix + _ADDRESS)
    rows, cols = lanes.word(matrix + _ROWS), lanes.word(matrix + _COLS)
    x = floats if code >= F16 else records
    stride = float_bytes if code >= F16 else record_stride
    units = _tiles(matrix)
    done = 0
    taken = team.own(step, thread, threads, units, 2, units)
    while taken >= 0:
        unit, last = team.first_of(taken), team.last_of(taken)
        steps.matmul(unit, last, tiles, code, data, rows, cols, n, x, stride, out, out_bytes, bias, accumulate)
        done += last - unit
        taken = team.own(step, thread, threads, units, 2, units)
    if done > 0:
        team.finish(step, done)


@compiled
def _highest_step(
    step: int,
    thread: int,
    threads: int,
    tiles: int,
    matrix: int,
    n: int,
    x: int,
    x_stride: int,
    kept: int,
    count: int,
) -> None:
    """Which outputs of the vocabulary's matrix are the largest, in this thread's part of it; does not wait."""
    lanes.apart()
    code, data = lanes.word(matrix), lanes.word(matrix + _ADDRESS)
    rows, cols = lanes.word(matrix + _ROWS), lanes.word(matrix + _COLS)
    units = _tiles(matrix)
    taken = team.own(step, thread, threads, units, 2, units)
    while taken >= 0:
        unit, last = team.first_of(taken), team.last_of(taken)
        steps.highest(unit, last, tiles, code, data, rows, cols, n, x, x_stride, kept, count)
        taken = team.own(step, thread, threads, units, 2, units)


@inlined
def _units(matrix: int, rough: int) -> int:
    """Units of a multiplication: tiles, or panels of two."""
    tiles = _tiles(matrix)
    return (tiles + 1) // 2 if rough != 0 else tiles


@compiled
def _prompt_step(
    step: int,
    thread: int,
    threads: int,
    unpackers: int,
    matrix: int,
    n: int,
    x: int,
    x_stride: int,
    out: int,
    out_bytes: int,
    bias: int,
    accumulate: int,
    room: int,
    plain: int,
) -> None:
    """One matrix, multiplied in bfloat16; does not wait."""
    lanes.apart()
    amx.configure(plain)
    code, data = lanes.word(matrix), lanes.word(matrix + _ADDRESS)
    rows, cols = lanes.word(matrix + _ROWS), lanes.word(matrix + _COLS)
    units = _units(matrix, 1)
    most = prompts.panels_together(n, cols)
    done = 0
    taken = team.own(step, thread, threads, units, 1, most)
    while taken >= 0:
        unit, last = team.first_of(taken), team.last_of(taken)
        prompts.multiply(
            unit, last, unpackers, code, data, rows, cols, n, x, x_stride, out, out_bytes, bias, accumulate, room
        )
        done += last - unit
        taken = team.own(step, thread, threads, units, 1, most)
    if done > 0:
        team.finish(step, done)


@compiled
def _look_ahead(matrix: int, thread: int, threads: int, n: int, together: int) -> None:
    """Ask memory for the beginning of this thread's part of a matrix, while it would wait for the others anyway.

    A part begins at `together` tiles or a multiple of it. With many tokens there is no need.
    """
    lanes.apart()
    if n <= _FEW_TOKENS:
        code, cols = lanes.word(matrix), lanes.word(matrix + _COLS)
        units = (_tiles(matrix) + together - 1) // together
        begin = team.begin_of(thread, threads, units)
        if begin < units:
            at = lanes.word(matrix + _ADDRESS) + begin * together * steps.bytes_of(code, cols)
            for line in range(0, LOOK_AHEAD_BYTES, 64):
                lanes.look_ahead(at + line)


_RUNS, _KEPT, _ARRAYS = 24, 152, 96
"""Where a pass's control block has the number of runs, what stays from pass to pass, and in that the arrays."""


@addressed(1)
def begin(shared: int) -> None:
    """What the caller does before the others may come."""
    arrays = shared + _KEPT + _ARRAYS
    runs = attend.find_runs(lanes.word(shared + 16), lanes.word(arrays + 160), lanes.word(arrays + 120))
    lanes.put_word(shared + _RUNS, runs)
    count = lanes.word(shared + 80) - HIDDEN
    if count > 0:
        for thread in range(lanes.word(shared)):
            for row in range(lanes.word(shared + 32)):
                room = (thread * CHUNK + row) * steps.bytes_of_highest(count)
                steps.start_highest(lanes.word(arrays + 144) + room, count)


@addressed(2)
def work(shared: int, thread: int) -> None:
    """What one thread does: embed, walk the blocks, and multiply its part of the vocabulary.

    A block (Llama, Qwen2): x += out(attention(rms_norm(x))); x += down(silu(gate) * up) of rms_norm(x).
    """
    word = lanes.word
    threads, tiles, n, runs = word(shared), word(shared + 8), word(shared + 16), word(shared + 24)
    wanted, context, layer_bytes = word(shared + 32), word(shared + 40), word(shared + 48)
    table_stride, shapes, batch = word(shared + 56), word(shared + 64), word(shared + 72)
    result, eps = word(shared + 80), lanes.read(shared + 88)
    turn, rough, eight = word(shared + 96), word(shared + 104), word(shared + 112)
    keys, values, tables, logits = word(shared + 120), word(shared + 128), word(shared + 136), word(shared + 144)
    kept = shared + _KEPT
    layers, hidden, heads, kv_heads = word(kept), word(kept + 8), word(kept + 16), word(kept + 24)
    dim, inter, biased, normed = word(kept + 32), word(kept + 40), word(kept + 48), word(kept + 56)
    mb, fb, rb, unpackers = word(kept + 64), word(kept + 72), word(kept + 80), word(kept + 88)
    arrays = kept + _ARRAYS
    table, ends, step, norms = word(arrays), word(arrays + 8), word(arrays + 16), word(arrays + 24)
    all_bias, cos, sin, x = word(arrays + 32), word(arrays + 40), word(arrays + 48), word(arrays + 56)
    qkv, mixed, floats, wide_floats = word(arrays + 64), word(arrays + 72), word(arrays + 80), word(arrays + 88)
    records, wide_records = word(arrays + 96), word(arrays + 104)
    scratch = word(arrays + 112) + thread * attend.scratch_bytes(context, dim, eight)
    run_starts, head_norms = word(arrays + 120), word(arrays + 128)
    room = word(arrays + 136) + thread * prompts.room_bytes(PROMPT_CHUNK)
    highest = word(arrays + 144) + thread * CHUNK * steps.bytes_of_highest(result - HIDDEN)
    tokens, slots, positions, rows = word(arrays + 152), word(arrays + 160), word(arrays + 168), word(arrays + 176)
    if shapes != 0:
        amx.configure(shapes)
    # Two sets of counters take turns. Cleared between two passes they would be waited for: other cores wrote them last.
    step_bytes = 8 * team.step_words(threads)
    later = (STEPS_AROUND + layers * STEPS_OF_A_BLOCK) * step_bytes
    if turn != 0:
        step, later = step + later, -later
    if thread == 0:
        team.clear(step + later, step_bytes)
    hb = prompts.row_bytes(hidden) if rough != 0 else rb
    jb = prompts.row_bytes(heads * dim) if rough != 0 else rb
    ib = prompts.row_bytes(inter) if rough != 0 else rb
    plain = shapes + 64  # all tiles whole, as attention and prompts want them
    xb = 4 * hidden
    joined = heads * dim
    width = 4 * (heads + 2 * kv_heads) * dim
    k_at, v_at = 4 * joined, 4 * (heads + kv_heads) * dim
    scale = np.float32(np.float32(1.0) / np.sqrt(np.float32(dim)))

    chunk = _share(n, threads, 4)
    unit = team.take(step, chunk)
    while unit < n:
        last = min(unit + chunk, n)
        steps.embed(unit, last, word(ends), word(ends + _ADDRESS), hidden, tokens, x, xb)
        team.finish(step, last - unit)
        unit = team.take(step, chunk)
    team.wait(step, n)
    step += step_bytes

    for layer in range(layers):
        if thread == 0:
            team.clear(step + later, STEPS_OF_A_BLOCK * step_bytes)
        block = table + layer * 7 * _ENTRY
        out, gate, up, down = block + _OUT, block + _GATE, block + _UP, block + _DOWN
        layer_keys, layer_values = keys + layer * layer_bytes, values + layer * layer_bytes
        norm = norms + 2 * layer * xb
        q_norm = head_norms + 8 * layer * dim if normed != 0 else 0
        k_norm = q_norm + 4 * dim if normed != 0 else 0

        _norm_step(step, step_bytes, threads, n, hidden, x, norm, eps, records, hb, floats, fb, block, 3, batch, rough)
        step += 2 * step_bytes
        if batch != 0:
            low_rank.shrink_step(batch, threads, tiles, layer, low_rank.Q, 3, floats, fb, hidden)
        for m in range(3):
            part = 0 if m == 0 else k_at if m == 1 else v_at
            bias = all_bias + layer * width + part if biased != 0 else 0
            this, matrix = step + m * step_bytes, block + m * _ENTRY
            if rough != 0:
                _prompt_step(
                    this, thread, threads, unpackers, matrix, n, records, hb, qkv + part, width, bias, 0, room, plain
                )
            else:
                _multiply_step(
                    this, thread, threads, tiles, matrix, n, records, rb, floats, fb, qkv + part, width, bias, 0
                )
        for m in range(3):
            team.wait(step + m * step_bytes, _units(block + m * _ENTRY, rough))
        step += 3 * step_bytes
        if batch != 0:
            low_rank.change_qkv(batch, threads, tiles, layer, joined, kv_heads * dim, qkv, width)

        units = n * (heads + 2 * kv_heads)
        chunk = _share(units, threads, 1) if n < 4 * threads else _share(units, threads, 4)
        unit = team.take(step, chunk)
        while unit < units:
            last = min(unit + chunk, units)
            attend.rope_and_store(
                unit, last, qkv, qkv + k_at, qkv + v_at, width, heads, kv_heads, dim, slots, positions, cos, sin,
                q_norm, k_norm, eps, layer_keys, layer_values, tables, table_stride, eight,
            )  # fmt: skip
            team.finish(step, last - unit)
            unit = team.take(step, chunk)
        team.wait(step, units)
        step += step_bytes

        _look_ahead(out, thread, threads, n, 1)
        # Attention rounds its own results where a head is whole groups; else rounding is a step of its own.
        rounding = word(out) < F16 or rough != 0
        target = wide_records if rounding and dim % GROUP == 0 else 0
        units = runs * heads
        chunk = attend.attend_chunk(units, heads, threads)
        unit = team.take(step, chunk)
        while unit < units:
            last = min(unit + chunk, units)
            attend.attend(
                unit, last, run_starts, qkv, width, heads, kv_heads, dim, layer_keys, layer_values, tables,
                table_stride, slots, positions, scale, scratch, shapes, mixed, mb, target, jb,
                2 if rough != 0 else 0, eight,
            )  # fmt: skip
            team.finish(step, last - unit)
            unit = team.take(step, chunk)
        team.wait(step, units)
        step += step_bytes
        if rounding and target == 0:
            units = n * (joined // GROUP)
            chunk = joined // GROUP
            unit = team.take(step, chunk)
            while unit < units:
                steps.quantize(unit, unit + chunk, joined, mixed, mb, wide_records, rb, 0)
                team.finish(step, chunk)
                unit = team.take(step, chunk)
            team.wait(step, units)
        step += step_bytes
        if batch != 0:
            low_rank.shrink_step(batch, threads, tiles, layer, low_rank.OUT, 1, mixed, mb, joined)
        if rough != 0:
            _prompt_step(step, thread, threads, unpackers, out, n, wide_records, jb, x, xb, 0, 1, room, plain)
        else:
            _multiply_step(step, thread, threads, tiles, out, n, wide_records, rb, mixed, mb, x, xb, 0, 1)
        _look_ahead(gate, thread, threads, n, 2)
        _look_ahead(up, thread, threads, n, 2)
        team.wait(step, _units(out, rough))
        step += step_bytes
        if batch != 0:
            low_rank.change_output(batch, threads, tiles, layer, low_rank.OUT, hidden, x, xb)

        _norm_step(
            step, step_bytes, threads, n, hidden, x, norm + xb, eps, records, hb, floats, fb, gate, 2, batch, rough
        )
        step += 2 * step_bytes
        if batch != 0:
            low_rank.shrink_step(batch, threads, tiles, layer, low_rank.GATE, 2, floats, fb, hidden)
            low_rank.change_gate_up(batch, threads, tiles, layer, inter)
        form = 1 if word(down) >= F16 else 0
        target = wide_floats if form == 1 else wide_records
        stride = fb if form == 1 else rb
        units = inter // TILE_ROWS if rough != 0 else (inter + GROUP - 1) // GROUP
        most = units
        if rough != 0:
            amx.configure(plain)
            most = prompts.panels_together(n, hidden)
        done = 0
        taken = team.own(step, thread, threads, units, 2, most)
        while taken >= 0:
            unit, last = team.first_of(taken), team.last_of(taken)
            if rough != 0:
                prompts.gate_up(
                    unit, last, unpackers, word(gate), word(gate + _ADDRESS), word(up), word(up + _ADDRESS), hidden, n,
                    records, hb, wide_records, ib, room,
                )  # fmt: skip
            else:
                steps.gate_up(
                    unit, last, tiles, word(gate), word(gate + _ADDRESS), word(up), word(up + _ADDRESS), inter, hidden,
                    n, records, floats, rb, fb, target, stride, form, batch,
                )  # fmt: skip
            done += last - unit
            taken = team.own(step, thread, threads, units, 2, most)
        if done > 0:
            team.finish(step, done)
        _look_ahead(down, thread, threads, n, 1)
        team.wait(step, units)
        step += step_bytes
        if batch != 0:
            low_rank.shrink_step(batch, threads, tiles, layer, low_rank.DOWN, 1, wide_floats, fb, inter)
        if rough != 0:
            _prompt_step(step, thread, threads, unpackers, down, n, wide_records, ib, x, xb, 0, 1, room, plain)
        else:
            _multiply_step(step, thread, threads, tiles, down, n, wide_records, rb, wide_floats, fb, x, xb, 0, 1)
        following = block + 7 * _ENTRY
        if layer + 1 < layers:
            for m in range(3):
                _look_ahead(following + m * _ENTRY, thread, threads, n, 1)
        elif wanted > 0 and result != HIDDEN:
            _look_ahead(ends + _ENTRY, thread, threads, wanted, 1)
        team.wait(step, _units(down, rough))
        step += step_bytes
        if batch != 0:
            low_rank.change_output(batch, threads, tiles, layer, low_rank.DOWN, hidden, x, xb)

    if thread == 0:
        team.clear(step + later, (STEPS_AROUND - 1) * step_bytes)
    if rough != 0:
        amx.configure(shapes)
    if wanted > 0:
        norm = norms + 2 * layers * xb
        output = ends + _ENTRY
        form = 1 if word(output) >= F16 or result == HIDDEN else 0
        groups = steps.groups_of(hidden, form)
        unit = team.take(step, 1)
        while unit < wanted:
            row = x + lanes.read_int(rows + 4 * unit) * xb
            target = floats + unit * fb if form == 1 else records + unit * rb
            steps.norm(0, groups, hidden, row, xb, norm, eps, target, 0, form)
            team.finish(step, 1)
            unit = team.take(step, 1)
        team.wait(step, wanted)
        step += step_bytes
        stride = 4 * word(output + _ROWS)
        if result > HIDDEN:
            x_bytes, inputs = (fb, floats) if form == 1 else (rb, records)
            _highest_step(step, thread, threads, tiles, output, wanted, inputs, x_bytes, highest, result - HIDDEN)
        elif result == LOGITS:
            _multiply_step(step, thread, threads, tiles, output, wanted, records, rb, floats, fb, logits, stride, 0, 0)
    if shapes != 0:
        amx.release()
