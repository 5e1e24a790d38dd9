"""`steps` with an equal share for each thread: the older way to cut them, kept until its last caller has moved."""

from __future__ import annotations

from typing import Any

import numpy as np

from ikkan.silicon.kernels import steps
from ikkan.silicon.kernels.compiled import compiled
from ikkan.silicon.kernels.steps import scratch_bytes

__all__ = ["attend", "matmul", "norm", "quantize", "rope_and_store", "scratch_bytes", "swiglu"]


@compiled
def matmul(
    path: int,
    thread: int,
    threads: int,
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
    units = (rows + 15) // 16
    steps.matmul(
        units * thread // threads,
        units * (thread + 1) // threads,
        path,
        code,
        data,
        rows,
        cols,
        n,
        x,
        x_stride,
        out,
        out_stride,
        bias,
        accumulate,
    )


@compiled
def quantize(
    thread: int, threads: int, n: int, cols: int, x: int, x_stride: int, target: int, target_stride: int, floats: int
) -> None:
    units = n * steps.groups_of(cols, floats)
    steps.quantize(
        units * thread // threads, units * (thread + 1) // threads, cols, x, x_stride, target, target_stride, floats
    )


@compiled
def norm(
    thread: int,
    threads: int,
    n: int,
    cols: int,
    x: int,
    x_stride: int,
    weight: int,
    eps: np.float32,
    target: int,
    target_stride: int,
    floats: int,
) -> None:
    units = n * steps.groups_of(cols, floats)
    steps.norm(
        units * thread // threads,
        units * (thread + 1) // threads,
        cols,
        x,
        x_stride,
        weight,
        eps,
        target,
        target_stride,
        floats,
    )


@compiled
def swiglu(
    thread: int,
    threads: int,
    n: int,
    inter: int,
    gate: int,
    up: int,
    stride: int,
    target: int,
    target_stride: int,
    floats: int,
) -> None:
    units = n * steps.groups_of(inter, floats)
    steps.swiglu(
        units * thread // threads,
        units * (thread + 1) // threads,
        inter,
        gate,
        up,
        stride,
        target,
        target_stride,
        floats,
    )


@compiled
def rope_and_store(
    thread: int,
    threads: int,
    n: int,
    q: int,
    k: int,
    v: int,
    stride: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    slots: Any,
    positions: Any,
    cos: int,
    sin: int,
    keys: int,
    values: int,
    context: int,
) -> None:
    units = n * (heads + 2 * kv_heads)
    steps.rope_and_store(
        units * thread // threads,
        units * (thread + 1) // threads,
        q,
        k,
        v,
        stride,
        heads,
        kv_heads,
        head_dim,
        slots,
        positions,
        cos,
        sin,
        keys,
        values,
        context,
    )


@compiled
def attend(
    thread: int,
    threads: int,
    n: int,
    q: int,
    stride: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    keys: int,
    values: int,
    context: int,
    slots: Any,
    positions: Any,
    scale: np.float32,
    scratch: int,
    out: int,
    out_stride: int,
    target: int,
    target_stride: int,
) -> None:
    runs = np.empty(n + 1, dtype=np.int64)
    units = heads * steps.find_runs(n, slots, runs)
    mine = scratch + thread * steps.scratch_bytes(context)
    chunk = steps.attend_chunk(units, heads, threads)
    unit = thread * chunk
    while unit < units:
        steps.attend(
            unit,
            min(unit + chunk, units),
            runs,
            q,
            stride,
            heads,
            kv_heads,
            head_dim,
            keys,
            values,
            context,
            slots,
            positions,
            scale,
            mine,
            out,
            out_stride,
            target,
            target_stride,
        )
        unit += threads * chunk
