"""The two loops that measure a processor: reading memory forwards, and multiplying without touching it.

Both run like the kernels do, as one parallel region of the same team, so they are the limits that the kernels can be
held against. Importing this module imports numba.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import prange, types
from numpy.typing import NDArray

from ikkan.silicon.kernels import PATHS, aligned, amx, available_paths, get_path, team
from ikkan.silicon.kernels.compiled import parallel
from ikkan.silicon.kernels.lanes import (
    I8,
    I16,
    I32,
    I32X16,
    I64,
    call_llvm,
    constant,
    load_from,
    loop,
    operation,
    store_to,
)
from ikkan.silicon.kernels.tiles import AMX, AVX2, AVX512VNNI

_LINE: Final = 64
_STRIDE: Final = 1024
"""Bytes read in one turn of the reading loop; what is left over is not read."""
_SUMS: Final = 12
"""Running sums of the multiplying loop: enough to hide one multiplication's latency behind the others'."""
_PASSES: Final = 100
"""Short and many: on a machine with other work, some of them are undisturbed."""
_I8X32, _I16X16, _I16X32, _I32X8 = (ir.VectorType(*kind) for kind in ((I8, 32), (I16, 16), (I16, 32), (I32, 8)))

OPERATIONS: Final = {
    "amx": 2 * 16 * 16 * 64 * 3,
    "avx512vnni": 2 * 64 * _SUMS,
    "avx2": 2 * 32 * _SUMS,
    "plain": 2 * 32 * _SUMS,
}
"""Operations in one turn of each path's multiplying loop."""


def kernel_path() -> str:
    """The instructions that the kernels use: the best this processor has, or what was forced."""
    return get_path()


def most_threads() -> int:
    """How many threads a team can have."""
    return team.MOST_THREADS


def read_gb_s(size: int, threads: int, *, passes: int = _PASSES) -> float:
    """Billions of bytes a second that `threads` read, best of some passes over `size` bytes that they wrote before."""
    memory = aligned(max(size // (_STRIDE * threads), 1) * _STRIDE * threads)
    _run(_write, memory, threads)  # a page that nobody wrote is not in memory, and is near the one who wrote it first
    read(memory, threads)  # compiled
    best = min(_seconds(lambda: read(memory, threads)) for _ in range(passes))
    return memory.nbytes / best / 1e9


def read(memory: NDArray[np.uint8], threads: int) -> int:
    """Read some bytes once, forwards, and do nothing with them: how many were read (whole KiB for each thread).

    The bound for any kernel that reads the same bytes. They start at a multiple of 64.
    """
    assert memory.ctypes.data % _LINE == 0
    _run(_read, memory, threads)
    return memory.nbytes // threads // _STRIDE * _STRIDE * threads


def int8_tops(threads: int, path: str | None = None, *, passes: int = _PASSES) -> float:
    """Trillions of int8 operations a second in a path's own instructions, best of some passes of 10 ms or more."""
    path = path or get_path()
    assert path in available_paths(), path
    code, turns = PATHS.index(path), 10_000
    seeds = aligned(threads * _LINE, np.uint8, zero=True)
    seeds[:] = 1
    shapes = amx.configuration()

    def run() -> None:
        with team.LOCK, team.of(threads):
            _multiply(threads, code, turns, seeds.ctypes.data, shapes)

    run()
    while _seconds(run) < 0.01:
        turns *= 2
    best = min(_seconds(run) for _ in range(passes))
    return OPERATIONS[path] * turns * threads / best / 1e12


def _seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def _run(loop: Callable[..., None], memory: NDArray[np.uint8], threads: int) -> None:
    share = memory.nbytes // threads // _STRIDE * _STRIDE
    sums = aligned(threads * _LINE, np.uint8, zero=True)
    with team.LOCK, team.of(threads):
        loop(threads, memory.ctypes.data, share, sums.ctypes.data)


@parallel
def _read(threads: int, memory: int, share: int, sums: int) -> None:
    for thread in prange(threads):
        _sum_lines(memory + thread * share, share // _STRIDE, sums + thread * _LINE)


@parallel
def _write(threads: int, memory: int, share: int, sums: int) -> None:
    for thread in prange(threads):
        _fill_lines(memory + thread * share, share // _LINE)


@parallel
def _multiply(threads: int, path: int, turns: int, seeds: int, shapes: int) -> None:
    for thread in prange(threads):
        seed = seeds + thread * _LINE
        if path == AMX:
            amx.configure(shapes)
            amx.count_products(turns)
            amx.release()
        elif path == AVX512VNNI:
            _products_vnni(turns, seed)
        elif path == AVX2:
            _products_avx2(turns, seed)
        else:
            _products_plain(turns, seed)


# The loops themselves, as LLVM IR: nothing in them may be found superfluous and left out.


def _emitted(*kinds: Any) -> Callable[[Callable[..., Any]], Any]:
    made: Callable[[Callable[..., Any]], Any] = operation(*kinds)
    return made


def _keep(builder: ir.IRBuilder, values: list[ir.Value], address: ir.Value) -> None:
    total = values[0]
    for one in values[1:]:
        total = builder.add(total, one)
    store_to(builder, total, address, 0, 4)


@_emitted(types.void, types.int64, types.int64, types.int64)
def _sum_lines(builder: Any, memory: Any, turns: Any, out: Any) -> None:
    """Sixteen lines a turn, added to eight sums."""

    def body(index: Any, held: Any) -> Any:
        here = builder.add(memory, builder.mul(index, ir.Constant(I64, _STRIDE)))
        grown = list(held)
        for line in range(_STRIDE // _LINE):
            value = load_from(builder, here, _LINE * line, I32X16, _LINE)
            grown[line % len(grown)] = builder.add(grown[line % len(grown)], value)
        return grown

    _keep(builder, loop(builder, turns, [constant(I32X16, 0)] * 8, body), out)


@_emitted(types.void, types.int64, types.int64)
def _fill_lines(builder: Any, memory: Any, turns: Any) -> None:
    """Ones everywhere."""

    def body(index: Any, held: Any) -> Any:
        here = builder.add(memory, builder.mul(index, ir.Constant(I64, _LINE)))
        store_to(builder, constant(I32X16, 1), here, 0, _LINE)
        return held

    loop(builder, turns, [constant(I32X16, 0)], body)


@_emitted(types.void, types.int64, types.int64)
def _products_vnni(builder: Any, turns: Any, seed: Any) -> None:
    """`vpdpbusd`: 64 products and their sums, twelve times a turn."""
    if "avx512vnni" not in available_paths():
        return
    given = load_from(builder, seed, 0, I32X16, 4)

    def body(index: Any, held: Any) -> Any:
        return [call_llvm(builder, "llvm.x86.avx512.vpdpbusd.512", I32X16, one, given, given) for one in held]

    start = [builder.add(given, constant(I32X16, number)) for number in range(_SUMS)]
    _keep(builder, loop(builder, turns, start, body), seed)


@_emitted(types.void, types.int64, types.int64)
def _products_avx2(builder: Any, turns: Any, seed: Any) -> None:
    """`vpmaddubsw`, `vpmaddwd`, `vpaddd`: 32 products and their sums, twelve times a turn."""
    if "avx2" not in available_paths():
        return
    given = load_from(builder, seed, 0, _I32X8, 4)
    ones = constant(_I16X16, 1)

    def body(index: Any, held: Any) -> Any:
        # Each product takes the running sum as a factor, or the compiler would compute it once, before the loop.
        grown = []
        for one in held:
            factor = builder.bitcast(one, _I8X32)
            pairs = call_llvm(builder, "llvm.x86.avx2.pmadd.ub.sw", _I16X16, builder.bitcast(given, _I8X32), factor)
            grown.append(builder.add(one, call_llvm(builder, "llvm.x86.avx2.pmadd.wd", _I32X8, pairs, ones)))
        return grown

    start = [builder.add(given, constant(_I32X8, number)) for number in range(_SUMS)]
    _keep(builder, loop(builder, turns, start, body), seed)


@_emitted(types.void, types.int64, types.int64)
def _products_plain(builder: Any, turns: Any, seed: Any) -> None:
    """A product and a sum of 32 16-bit numbers, twelve times a turn: what any vector unit has."""
    given = load_from(builder, seed, 0, _I16X32, 2)

    def body(index: Any, held: Any) -> Any:
        return [builder.add(builder.mul(one, given), given) for one in held]

    start = [builder.add(given, constant(_I16X32, number)) for number in range(_SUMS)]
    _keep(builder, loop(builder, turns, start, body), seed)
