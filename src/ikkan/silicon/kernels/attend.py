"""Attention's steps: rotate, put keys and values into their page, and attend. Units as in `steps`.

Keys and values are bfloat16 in pages of 32 positions; a page holds one layer's for all key heads. Inside, 16 positions
stand side by side (keys: pairs of dimensions; values: pairs of positions), as the matrix registers want them. A table
says which page holds which stretch of a slot's positions, so slots can share a beginning.

Positions are walked over in stretches of 1,024, whose scores stay in the second-level cache; what was summed up before
is scaled when a larger score turns up (an online softmax). So a thread's room does not grow with the context.

Every query has one order of sums that depends on nothing but itself: stretches begin at position 0; in one, scores in
runs of 32 dimensions (the even ones, the odd ones, then both), the largest so far, exponentials by lane, values in runs
of 32 positions. That is what the matrix instructions do, and the vector path does it likewise, so both give the same
bits.

Source of the idea: Milakov and Gimelshein, "Online normalizer calculation for softmax", arXiv 1805.02867.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ikkan.silicon.kernels import amx, lanes, narrow
from ikkan.silicon.kernels.compiled import compiled, inlined
from ikkan.silicon.kernels.formats import GROUP
from ikkan.silicon.kernels.lanes import Lanes
from ikkan.silicon.kernels.narrow import PAGE
from ikkan.silicon.kernels.steps import inverse_rms, record

TOGETHER: Final = 16
"""Neighbouring tokens of one slot that share a walk over its keys and values."""
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_LOG2E: Final = np.float32(1.44269504088896341)
_MASKED: Final = np.float32(-3.0e38)
_PAGES_AHEAD: Final = 2
"""How many pages before it is read a page is asked for."""
_AT_ONCE: Final = 4
"""Queries that the vector path takes together."""
_STRETCH: Final = 32
"""Pages whose scores, and then shares, are in hand at once."""
_SCORE_BYTES: Final = 4 * PAGE * _STRETCH + 64
"""From one query's scores to the next one's: an odd number of cache lines."""
_SHARE_BYTES: Final = 2 * PAGE * _STRETCH + 64


def dims_of_head(head_dim: int) -> int:
    """Dimensions of a head as they are stored: whole runs of 32, zero behind its own."""
    return (head_dim + 31) // 32 * 32


padded_dim: Final = inlined(dims_of_head)


def bytes_of_head(head_dim: int, eight: int) -> int:
    """Bytes of one head's keys, or values, in one page; `eight` if they have eight bits (`narrow`).

    >>> bytes_of_head(64, 0), bytes_of_head(64, 1)
    (4096, 2176)
    """
    if eight != 0:
        return narrow.head_bytes(head_dim)
    return 2 * PAGE * ((head_dim + 31) // 32 * 32)


def bytes_of_scratch(context: int, head_dim: int, eight: int) -> int:
    """What one thread needs for `attend`: queries, scores, shares and results of sixteen; pages that were widened.

    >>> bytes_of_scratch(32, 64, 0), bytes_of_scratch(4096, 64, 0), bytes_of_scratch(32, 64, 1)
    (108672, 108672, 116928)
    """
    dims, pages = (head_dim + 31) // 32 * 32, (context + PAGE - 1) // PAGE
    size = 16 * (4 * dims + _SCORE_BYTES + _SHARE_BYTES + 4 * ((dims + 63) // 64 * 64)) + 128
    if eight != 0:
        size += pages * 4 * PAGE * dims + (pages + 15) // 16 * 64
    return size


head_bytes: Final = inlined(bytes_of_head)
scratch_bytes: Final = inlined(bytes_of_scratch)


@inlined
def attend_chunk(units: int, heads: int, threads: int) -> int:
    """How many units of `attend` to take at once: whole runs when there are many, else an equal share each."""
    return heads if units >= 4 * threads * heads else (units + threads - 1) // threads


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
def normalize(x: int, weight: int, head_dim: int, eps: np.float32) -> None:
    """RMS norm of one head in place."""
    lanes.apart()
    factor = lanes.splat(inverse_rms(x, head_dim, eps))
    for i in range(0, head_dim, 16):
        left = head_dim - i
        v = lanes.mul(lanes.mul(lanes.load_first(x + 4 * i, left), factor), lanes.load_first(weight + 4 * i, left))
        lanes.store_first(x + 4 * i, v, left)


@compiled
def store_key(key: int, head_dim: int, page: int, place: int) -> None:
    """Put one key into its page at one of 32 places; `page` is the address of the head's keys there."""
    lanes.apart()
    line = lanes.scratch_line()
    to = page + place // 16 * GROUP * padded_dim(head_dim) + place % 16 * 4
    for i in range(0, head_dim, 32):
        lanes.store_bfloat16(line, lanes.load_first(key + 4 * i, head_dim - i))
        lanes.store_bfloat16(line + 32, lanes.load_first(key + 4 * i + 64, head_dim - i - 16))
        for pair in range(16):
            lanes.copy_four(line + 4 * pair, to + 32 * i + 64 * pair)


@compiled
def store_value(value: int, head_dim: int, page: int, place: int) -> None:
    """Put one value into its page at one of 32 places.

    What is no number becomes zero: nobody looks at places behind their own, but they multiply them with zero.
    """
    lanes.apart()
    to = page + place // 2 * 64
    for i in range(0, head_dim, 16):
        v = lanes.finite(lanes.load_first(value + 4 * i, head_dim - i))
        lanes.store_every_other_bfloat16(to + 64 * i, v, place % 2)


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
    q_norm: int,
    k_norm: int,
    eps: np.float32,
    keys: int,
    values: int,
    tables: int,
    table_stride: int,
    eight: int,
) -> None:
    """A unit is one head of q, k or v of one row: turn q and k in place (half-split), put k and v into their page.

    `cos` and `sin` are float32 (positions, head_dim / 2). `q_norm` and `k_norm` (head_dim,) scale each head before it
    is turned; 0 for none.
    """
    lanes.apart()
    parts = heads + 2 * kv_heads
    half = head_dim // 2
    width = 4 * head_dim
    size = head_bytes(head_dim, eight)
    for unit in range(first, last):
        row = unit // parts
        part = unit - row * parts
        position = lanes.read_int(positions + 4 * row)
        page = lanes.read_int(tables + lanes.read_int(slots + 4 * row) * table_stride + position // PAGE * 4)
        turn = position * half * 4
        if part < heads:
            there = q + row * stride + part * width
            if q_norm != 0:
                normalize(there, q_norm, head_dim, eps)
            rotate(there, half, cos + turn, sin + turn)
        elif part < heads + kv_heads:
            head = part - heads
            there = k + row * stride + head * width
            if k_norm != 0:
                normalize(there, k_norm, head_dim, eps)
            rotate(there, half, cos + turn, sin + turn)
            to = keys + (page * kv_heads + head) * size
            if eight != 0:
                narrow.store_key(there, head_dim, to, position % PAGE)
            else:
                store_key(there, head_dim, to, position % PAGE)
        else:
            head = part - heads - kv_heads
            there = v + row * stride + head * width
            to = values + (page * kv_heads + head) * size
            if eight != 0:
                narrow.store_value(there, head_dim, to, position % PAGE)
            else:
                store_value(there, head_dim, to, position % PAGE)


# The vector path.


@compiled
def _scores_4(block: int, dims: int, q: int, q_bytes: int, to: int, row_bytes: int) -> None:
    """Four queries times 16 keys."""
    lanes.apart()
    a0 = a1 = a2 = a3 = lanes.splat(_ZERO)
    for run in range(0, dims, 32):
        e0 = e1 = e2 = e3 = o0 = o1 = o2 = o3 = lanes.splat(_ZERO)
        for i in range(run, run + 32, 2):
            even = lanes.load_even_bfloat16(block + 32 * i)
            odd = lanes.load_odd_bfloat16(block + 32 * i)
            at = q + 4 * i
            e0 = lanes.fma(even, lanes.splat_at(at), e0)
            o0 = lanes.fma(odd, lanes.splat_at(at + 4), o0)
            at += q_bytes
            e1 = lanes.fma(even, lanes.splat_at(at), e1)
            o1 = lanes.fma(odd, lanes.splat_at(at + 4), o1)
            at += q_bytes
            e2 = lanes.fma(even, lanes.splat_at(at), e2)
            o2 = lanes.fma(odd, lanes.splat_at(at + 4), o2)
            at += q_bytes
            e3 = lanes.fma(even, lanes.splat_at(at), e3)
            o3 = lanes.fma(odd, lanes.splat_at(at + 4), o3)
        a0 = lanes.add(a0, lanes.add(e0, o0))
        a1 = lanes.add(a1, lanes.add(e1, o1))
        a2 = lanes.add(a2, lanes.add(e2, o2))
        a3 = lanes.add(a3, lanes.add(e3, o3))
    lanes.store(to, a0)
    lanes.store(to + row_bytes, a1)
    lanes.store(to + 2 * row_bytes, a2)
    lanes.store(to + 3 * row_bytes, a3)


@compiled
def _scores_1(block: int, dims: int, q: int, to: int) -> None:
    """One query times 16 keys."""
    lanes.apart()
    a = lanes.splat(_ZERO)
    for run in range(0, dims, 32):
        e = o = lanes.splat(_ZERO)
        for i in range(run, run + 32, 2):
            e = lanes.fma(lanes.load_even_bfloat16(block + 32 * i), lanes.splat_at(q + 4 * i), e)
            o = lanes.fma(lanes.load_odd_bfloat16(block + 32 * i), lanes.splat_at(q + 4 * i + 4), o)
        a = lanes.add(a, lanes.add(e, o))
    lanes.store(to, a)


@inlined
def _run_1(values: int, shares: int) -> Lanes:
    """One query's 32 shares times 16 numbers of 32 positions."""
    e = o = lanes.splat(_ZERO)
    for pair in range(16):
        e = lanes.fma(lanes.load_even_bfloat16(values + 64 * pair), lanes.splat_at(shares + 8 * pair), e)
        o = lanes.fma(lanes.load_odd_bfloat16(values + 64 * pair), lanes.splat_at(shares + 8 * pair + 4), o)
    result: Lanes = lanes.add(e, o)
    return result


@compiled
def _values_1(values: int, page_bytes: int, table: int, pages: int, shares: int, to: int) -> None:
    """Add one query's shares times 16 numbers of a stretch's positions."""
    lanes.apart()
    a = lanes.load(to)
    for number in range(pages):
        page = values + lanes.read_int(table + 4 * number) * page_bytes
        a = lanes.add(a, _run_1(page, shares + 4 * PAGE * number))
    lanes.store(to, a)


@compiled
def _values_4(values: int, page_bytes: int, table: int, pages: int, shares: int, row_bytes: int, to: int) -> None:
    """Add four queries' shares times 16 numbers of a stretch's positions; results are rows of tiles."""
    lanes.apart()
    a0, a1, a2, a3 = lanes.load(to), lanes.load(to + 64), lanes.load(to + 128), lanes.load(to + 192)
    for number in range(pages):
        page = values + lanes.read_int(table + 4 * number) * page_bytes
        at = shares + 4 * PAGE * number
        e0 = e1 = e2 = e3 = o0 = o1 = o2 = o3 = lanes.splat(_ZERO)
        for pair in range(16):
            even = lanes.load_even_bfloat16(page + 64 * pair)
            odd = lanes.load_odd_bfloat16(page + 64 * pair)
            w = at + 8 * pair
            e0 = lanes.fma(even, lanes.splat_at(w), e0)
            o0 = lanes.fma(odd, lanes.splat_at(w + 4), o0)
            w += row_bytes
            e1 = lanes.fma(even, lanes.splat_at(w), e1)
            o1 = lanes.fma(odd, lanes.splat_at(w + 4), o1)
            w += row_bytes
            e2 = lanes.fma(even, lanes.splat_at(w), e2)
            o2 = lanes.fma(odd, lanes.splat_at(w + 4), o2)
            w += row_bytes
            e3 = lanes.fma(even, lanes.splat_at(w), e3)
            o3 = lanes.fma(odd, lanes.splat_at(w + 4), o3)
        a0 = lanes.add(a0, lanes.add(e0, o0))
        a1 = lanes.add(a1, lanes.add(e1, o1))
        a2 = lanes.add(a2, lanes.add(e2, o2))
        a3 = lanes.add(a3, lanes.add(e3, o3))
    lanes.store(to, a0)
    lanes.store(to + 64, a1)
    lanes.store(to + 128, a2)
    lanes.store(to + 192, a3)


@compiled
def _softmax(scores: int, blocks: int, seen: int, turned: np.float32, shares: int, top: int, sums: int) -> np.float32:
    """A stretch's scores, of which the first `seen` count, into exponentials that bfloat16 holds, zero behind them.

    The largest score so far is kept at `top`, the sum of exponentials at `sums`. Returns what everything summed up
    before has to be multiplied with: 1 unless a larger score turned up.

    Args:
        turned: what a score is multiplied with to be a power of two.
        shares: where to write them as bfloat16; 0: in place.
    """
    lanes.apart()
    masked, nothing = lanes.splat(_MASKED), lanes.splat(_ZERO)
    whole = seen // 16
    largest = lanes.splat_at(top)
    if whole < blocks:
        largest = lanes.maximum(largest, lanes.first(lanes.load(scores + 64 * whole), masked, seen - 16 * whole))
    for block in range(whole):
        largest = lanes.maximum(largest, lanes.load(scores + 64 * block))
    before, now = lanes.read(top), lanes.highest(largest)
    lanes.write(top, now)
    factor = lanes.splat(turned)
    lift = lanes.splat(np.float32(_ZERO - now * turned))
    added = nothing
    for block in range(whole):
        e = lanes.exp2(lanes.fma(lanes.load(scores + 64 * block), factor, lift))
        if shares != 0:
            e = lanes.keep_bfloat16(shares + 32 * block, e)
        else:
            e = lanes.as_bfloat16(e)
            lanes.store(scores + 64 * block, e)
        added = lanes.add(added, e)
    for block in range(whole, blocks):
        e = lanes.exp2(lanes.fma(lanes.load(scores + 64 * block), factor, lift))
        e = lanes.as_bfloat16(lanes.first(e, nothing, seen - 16 * block))
        if shares != 0:
            lanes.store_bfloat16(shares + 32 * block, e)
        else:
            lanes.store(scores + 64 * block, e)
        added = lanes.add(added, e)
    shrink = _ONE
    if before > _MASKED and now > before:
        shrink = lanes.highest(lanes.exp2(lanes.splat(np.float32((before - now) * turned))))
    lanes.write(sums, np.float32(lanes.read(sums) * shrink + lanes.total(added)))
    result: np.float32 = shrink
    return result


@compiled
def _load_query(query: int, head_dim: int, matrix: int, to: int) -> None:
    """One query as bfloat16: into its line of each 1,024 bytes for the matrix registers, else as floats."""
    lanes.apart()
    for i in range(0, padded_dim(head_dim), 16):
        v = lanes.load_first(query + 4 * i, head_dim - i)
        if matrix != 0:
            lanes.store_bfloat16(to + i // 32 * 1024 + i % 32 * 2, v)
        else:
            lanes.store(to + 4 * i, lanes.as_bfloat16(v))


@inlined
def _look_ahead(part: int, page_bytes: int, table: int, number: int, pages: int, size: int) -> None:
    """Ask memory for one head's part of a page that will be read soon: no processor guesses where the next page is."""
    if number < pages:
        at = part + lanes.read_int(table + 4 * number) * page_bytes
        for line in range(at, at + size, 64):
            lanes.look_ahead(line)


@compiled
def _widened(
    keys: int, values: int, page_bytes: int, table: int, pages: int, head_dim: int, wide: int
) -> tuple[int, int, int, int]:
    """One head's pages of eight bits as bfloat16 at `wide`: keys, values, the bytes of a page, and its table."""
    size = 2 * PAGE * padded_dim(head_dim)
    own = wide + 2 * pages * size
    for number in range(pages):
        at = lanes.read_int(table + 4 * number) * page_bytes
        narrow.widen_keys(keys + at, head_dim, wide + number * size)
        narrow.widen_values(values + at, head_dim, wide + (pages + number) * size)
        lanes.write_int(own + 4 * number, number)
    return wide, wide + pages * size, size, own


@compiled
def _score(
    keys: int,
    page_bytes: int,
    table: int,
    pages: int,
    soon: int,
    dims: int,
    took: int,
    matrix: int,
    queries: int,
    scores: int,
) -> None:
    """Up to sixteen queries times a stretch's keys; `soon` is how many pages from here on will be read but once."""
    lanes.apart()
    size = 2 * PAGE * dims
    if matrix != 0:
        for number in range(pages):
            _look_ahead(keys, page_bytes, table, number + _PAGES_AHEAD, soon, size)
            page = keys + lanes.read_int(table + 4 * number) * page_bytes
            amx.zero_scores()
            for run in range(dims // 32):
                amx.add_scores(queries + 1024 * run, page + 1024 * run, 32 * dims)
            amx.store_scores(scores + 4 * PAGE * number, _SCORE_BYTES)
        return
    for number in range(pages):
        page = keys + lanes.read_int(table + 4 * number) * page_bytes
        for half in range(2):
            block = page + half * 32 * dims
            one = 0
            while one < took:
                to = scores + one * _SCORE_BYTES + 4 * PAGE * number + 64 * half
                if took - one >= _AT_ONCE:
                    _scores_4(block, dims, queries + one * 4 * dims, 4 * dims, to, _SCORE_BYTES)
                    one += _AT_ONCE
                else:
                    _scores_1(block, dims, queries + one * 4 * dims, to)
                    one += 1


@compiled
def _weigh(
    values: int,
    page_bytes: int,
    table: int,
    pages: int,
    soon: int,
    dims: int,
    took: int,
    matrix: int,
    scores: int,
    shares: int,
    results: int,
) -> None:
    """Add sixteen queries' shares of a stretch times its values. The matrix path reads `shares`, the other `scores`."""
    lanes.apart()
    size = 2 * PAGE * dims
    for i in range(0, dims, 64):
        tiles = min(4, (dims - i) // 16)
        there = results + 64 * i
        if matrix != 0:
            amx.load_values(there)
            for number in range(pages):
                _look_ahead(values, page_bytes, table, number + _PAGES_AHEAD, soon if i == 0 else 0, size)
                page = values + lanes.read_int(table + 4 * number) * page_bytes + 64 * i
                if tiles == 4:
                    amx.add_values_64(shares + 2 * PAGE * number, _SHARE_BYTES, page)
                else:
                    amx.add_values_32(shares + 2 * PAGE * number, _SHARE_BYTES, page)
            amx.store_values(there)
        else:
            for piece in range(tiles):
                from_ = values + 64 * i + 1024 * piece
                one = 0
                while one < took:
                    to = there + 1024 * piece + 64 * one
                    here = scores + one * _SCORE_BYTES
                    if took - one >= _AT_ONCE:
                        _values_4(from_, page_bytes, table, pages, here, _SCORE_BYTES, to)
                        one += _AT_ONCE
                    else:
                        _values_1(from_, page_bytes, table, pages, here, to)
                        one += 1


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
    page_bytes: int,
    table: int,
    positions: int,
    scale: np.float32,
    scratch: int,
    matrix: int,
    out: int,
    out_stride: int,
    target: int,
    target_stride: int,
    groups: int,
    form: int,
    eight: int,
) -> None:
    """Queries of neighbouring tokens and heads that share one key head, sixteen at a time; results to `out`."""
    width = 4 * head_dim
    dims = padded_dim(head_dim)
    queries_at = scratch
    scores = queries_at + 16 * 4 * dims
    shares = scores + 16 * _SCORE_BYTES
    results = shares + 16 * _SHARE_BYTES
    tops = results + (dims + 63) // 64 * 4096
    sums = tops + 64
    queries = tokens * (last_head - first_head)
    turned = np.float32(scale * _LOG2E)
    if eight != 0:
        pages = lanes.read_int(positions + 4 * (row + tokens - 1)) // PAGE + 1
        keys, values, page_bytes, table = _widened(keys, values, page_bytes, table, pages, head_dim, sums + 64)
    done = 0
    while done < queries:
        took = min(queries - done, 16)
        longest = 0
        for one in range(took):
            unit = done + one
            token = unit % tokens
            longest = max(longest, lanes.read_int(positions + 4 * (row + token)) + 1)
            there = q + (row + token) * stride + (first_head + unit // tokens) * width
            _load_query(there, head_dim, matrix, queries_at + one * (64 if matrix != 0 else 4 * dims))
        lanes.store(tops, lanes.splat(_MASKED))
        lanes.store(sums, lanes.splat(_ZERO))
        for line in range(results, tops, 64):
            lanes.store(line, lanes.splat(_ZERO))
        pages = (longest + PAGE - 1) // PAGE
        # Queries of one token alone read a page once; more tokens find it in the cache.
        soon = pages if tokens == 1 and eight == 0 else 0
        for start in range(0, pages, _STRETCH):
            count = min(pages - start, _STRETCH)
            here = table + 4 * start
            _score(keys, page_bytes, here, count, soon - start, dims, took, matrix, queries_at, scores)
            for number in range(min(_PAGES_AHEAD, count)):
                _look_ahead(values, page_bytes, here, number, soon - start, 2 * PAGE * dims)
            for one in range(took):
                seen = lanes.read_int(positions + 4 * (row + (done + one) % tokens)) + 1 - PAGE * start
                seen = max(0, min(seen, PAGE * count))
                share = shares + one * _SHARE_BYTES if matrix != 0 else 0
                at = 4 * one
                shrink = _softmax(scores + one * _SCORE_BYTES, 2 * count, seen, turned, share, tops + at, sums + at)
                if shrink < _ONE:
                    by = lanes.splat(shrink)
                    for line in range(results + 64 * one, tops, 1024):
                        lanes.store(line, lanes.mul(lanes.load(line), by))
            _weigh(values, page_bytes, here, count, soon - start, dims, took, matrix, scores, shares, results)
        for one in range(took):
            unit = done + one
            inverse = lanes.splat(np.float32(_ONE / lanes.read(sums + 4 * one)))
            there = out + (row + unit % tokens) * out_stride + (first_head + unit // tokens) * width
            for i in range(0, head_dim, 16):
                v = lanes.mul(lanes.load(results + 64 * i + 64 * one), inverse)
                lanes.store_first(there + 4 * i, v, head_dim - i)
        if target != 0:
            for unit in range(done, done + took):
                column = (first_head + unit // tokens) * head_dim
                there = out + (row + unit % tokens) * out_stride + 4 * column
                to = target + (row + unit % tokens) * target_stride
                if form == 0:
                    for group in range(head_dim // GROUP):
                        record(there + group * 4 * GROUP, to, column // GROUP + group, groups)
                else:
                    for i in range(0, head_dim, 16):
                        lanes.store_bfloat16(to + 2 * (column + i), lanes.load(there + 4 * i))
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
    tables: int,
    table_stride: int,
    slots: int,
    positions: int,
    scale: np.float32,
    scratch: int,
    shapes: int,
    out: int,
    out_stride: int,
    target: int,
    target_stride: int,
    form: int,
    eight: int,
) -> None:
    """A unit is one head of one run of rows (`find_runs`): attend to positions 0..its own of the slot.

    float32 (n, heads * head_dim) goes to `out`; `scratch` is this thread's own `scratch_bytes`.
    Units taken together share the walk over keys and values where they can. If `target` is not 0, what the next matrix
    multiplies with is written there as well, in form 0 or 2 (`steps`), which spares a step; it needs whole groups in a
    head. `shapes` is `amx.configuration` or 0.
    """
    lanes.apart()
    group = heads // kv_heads
    size = head_bytes(head_dim, eight)
    if shapes != 0:
        amx.configure(shapes + 64)
    unit = first
    while unit < last:
        number = unit // heads
        start = unit - number * heads
        kv_head = start // group
        stop = min(start + last - unit, (kv_head + 1) * group)
        row = lanes.word(runs + 8 * number)
        _attend_block(
            row,
            lanes.word(runs + 8 * number + 8) - row,
            start,
            stop,
            q,
            stride,
            head_dim,
            keys + kv_head * size,
            values + kv_head * size,
            kv_heads * size,
            tables + lanes.read_int(slots + 4 * row) * table_stride,
            positions,
            scale,
            scratch,
            shapes,
            out,
            out_stride,
            target,
            target_stride,
            heads * head_dim // GROUP,
            form,
            eight,
        )
        unit += stop - start
    if shapes != 0:
        amx.configure(shapes)


@compiled
def find_runs(n: int, slots: int, runs: int) -> int:
    """Cut rows into runs of at most sixteen neighbours of one slot: their starts, then `n`, as int64 to `runs`."""
    count = 0
    row = 0
    while row < n:
        lanes.put_word(runs + 8 * count, row)
        slot = lanes.read_int(slots + 4 * row)
        after = row + 1
        while after < n and after < row + TOGETHER and lanes.read_int(slots + 4 * after) == slot:
            after += 1
        row = after
        count += 1
    lanes.put_word(runs + 8 * count, n)
    return count
