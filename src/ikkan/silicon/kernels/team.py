"""A few threads that share the units of one step after another, inside one parallel region.

Numba's parallel loops cost microseconds each; a forward pass has hundreds of steps. So a whole pass is one `prange`
over thread numbers. Each step has two counters: units handed out, and units finished. A thread takes units until none
are left, then waits until all are finished, spinning only while somebody computes. Nobody waits for a *thread*: if the
system takes one away between two units, the others do its part, and when it comes back it runs past the finished steps.

This needs every thread number on a thread of its own. Numba's `workqueue` layer does exactly that; `tbb` may run two on
one thread (and wait for ever), so the layer is chosen here, before the first region. `workqueue` ends the process when
two Python threads enter regions at once: hold `LOCK` around every call.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numpy.typing import NDArray

from ikkan.silicon.device import cores_allowed
from ikkan.silicon.kernels import lanes
from ikkan.silicon.kernels.compiled import Addressed, compiled, parallel
from ikkan.silicon.kernels.lanes import I64, call_llvm, operation

numba.config.THREADING_LAYER = "workqueue"

LOCK: Final = threading.RLock()
"""Hold it while a parallel region runs."""

MOST_THREADS: Final = int(numba.config.NUMBA_NUM_THREADS)
_SPINS: Final = 2_000
_X86: Final = platform.machine().lower() in {"x86_64", "amd64"}

_yield: Any = types.ExternalFunction("sched_yield", types.int32())


@operation(types.int64, types.int64, types.int64)
def atomic_add(builder: Any, address: Any, amount: Any) -> Any:
    """Add to a shared int64; returns what it was before."""
    return builder.atomic_rmw("add", builder.inttoptr(address, I64.as_pointer()), amount, "seq_cst")


@operation(types.int64, types.int64)
def atomic_read(builder: Any, address: Any) -> Any:
    """A shared int64, and everything its writer wrote before it."""
    return builder.load_atomic(builder.inttoptr(address, I64.as_pointer()), "acquire", 8)


@operation(types.void)
def pause(builder: Any) -> None:
    """A spinning thread's courtesy to its neighbour; nothing on processors without the instruction."""
    if _X86:
        call_llvm(builder, "llvm.x86.sse2.pause", ir.VoidType())


STEP_WORDS: Final = 8
"""int64 a step: units handed out, units finished, and six that keep the next step off this cache line."""


@compiled
def take(step: int, chunk: int) -> int:
    """The first of `chunk` units that nobody else has; at or beyond the step's end there are none left.

    `step` is the address of `STEP_WORDS` int64 that were 0 before the region.
    """
    unit: int = atomic_add(step, chunk)
    return unit


@compiled
def finish(step: int, units: int) -> None:
    """Units that were taken are done, and everything written for them can be seen by others."""
    atomic_add(step + 8, units)


@compiled
def wait(step: int, units: int) -> None:
    """Return when all units of a step are finished; after some 50 us of spinning, offer the processor to others."""
    spins = 0
    while atomic_read(step + 8) < units:
        spins += 1
        if spins > _SPINS:
            _yield()
        else:
            pause()


@compiled
def barrier(counter: int, goal: int, threads: int) -> int:
    """Wait until every thread of the team has come this far; returns the next goal. The first is 0."""
    goal += threads
    atomic_add(counter, 1)
    spins = 0
    while atomic_read(counter) < goal:
        spins += 1
        if spins > _SPINS:
            _yield()
        else:
            pause()
    return goal


@parallel
def _launch(threads: int, address: int, block: int) -> None:
    for thread in prange(threads):
        lanes.call_2(address, block, lanes.whole(thread))


def launch(function: Addressed, block: NDArray[np.int64], threads: int) -> None:
    """Run `function(address of block, thread)` on each of some threads and come back when all are done.

    `block` is what the threads share: addresses, sizes, counters, as the function reads them. Its first word is set to
    the number of threads.
    """
    address = function.address  # may compile: before anybody has to wait
    with LOCK, of(threads):
        block[0] = threads
        _launch(threads, address, block.ctypes.data)


_threads = [0]


def set_threads(threads: int) -> None:
    """How many threads kernels use from now on; at most as many as numba started with."""
    assert threads >= 1
    _threads[0] = min(threads, MOST_THREADS)


def get_threads() -> int:
    """How many threads kernels use: what was set, else every core this process may use."""
    if _threads[0] == 0:
        set_threads(cores_allowed())
    return _threads[0]


@contextmanager
def of(threads: int) -> Iterator[int]:
    """A region of exactly this many threads: yields their number. Hold `LOCK` around it."""
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        yield threads
    finally:
        numba.set_num_threads(before)
