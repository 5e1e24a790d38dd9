"""A few threads that share the units of one step after another, inside one region that they enter once a call.

A forward pass has hundreds of steps of a few microseconds; a numba parallel loop costs tens of microseconds before its
first turn. So a whole pass is one region. Each step has two counters: units handed out, and units finished. A thread
takes units until none are left, then waits until all are finished, spinning only while somebody computes.

Nobody waits for a *thread*. The caller opens the region, wakes the helpers and begins at once; a helper joins when the
system lets it, runs past the finished steps and takes units where the others are. If it is taken off its core between
two units, the others do its part. When the caller is done it closes the region and waits only for helpers inside.

Helpers are daemon threads that sleep on a lock; the first call that needs one starts it.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from ikkan.silicon.device import cores_allowed
from ikkan.silicon.kernels import lanes
from ikkan.silicon.kernels.compiled import Addressed, addressed, compiled, inlined
from ikkan.silicon.kernels.lanes import I64, call_llvm, operation
from ikkan.silicon.kernels.memory import aligned

numba.config.THREADING_LAYER = "workqueue"  # for `of` only: every thread number on a thread of its own

LOCK: Final = threading.RLock()
"""Held while a region runs; hold it to keep others out for longer."""

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


@operation(types.void, types.int64, types.int64)
def atomic_write(builder: Any, address: Any, number: Any) -> None:
    """Set a shared int64; who reads it sees everything that was written before."""
    builder.store_atomic(number, builder.inttoptr(address, I64.as_pointer()), "release", 8)


@operation(types.void)
def pause(builder: Any) -> None:
    """A spinning thread's courtesy to its neighbour; nothing on processors without the instruction."""
    if _X86:
        call_llvm(builder, "llvm.x86.sse2.pause", ir.VoidType())


STEP_WORDS: Final = 8
"""int64 a step: units handed out, units finished, and six that keep the next step off this cache line."""


@inlined
def step_words(threads: int) -> int:
    """int64 of a step whose units are handed out by `own`: behind its `STEP_WORDS`, a cache line for each thread."""
    return STEP_WORDS * (1 + threads)


@inlined
def clear(steps: int, size: int) -> None:
    """Set the counters of some steps to 0, for a later region."""
    for at in range(steps, steps + size, 64):
        lanes.store(at, lanes.splat(np.float32(0.0)))


@compiled
def take(step: int, chunk: int) -> int:
    """The first of `chunk` units that nobody else has; at or beyond the step's end there are none left.

    `step` is the address of `STEP_WORDS` int64 that were 0 before the region.
    """
    unit: int = atomic_add(step, chunk)
    return unit


@inlined
def _range(units: int, threads: int) -> int:
    return (units + threads - 1) // threads


@compiled
def own(step: int, thread: int, threads: int, units: int, parts: int, most: int) -> int:
    """Like `take`, for neighbouring units that are read one after the other; -1 if none is left.

    Each thread walks through a range of its own, forwards, and helps in the others' ranges when it is through. So it
    knows where it will begin, and memory sees one long walk instead of many short ones. It takes one of so many `parts`
    of what is left of a range, `most` units at most: seldom at first, and the last ones are small. `first_of` and
    `last_of` say which units it got. `step` is `step_words` wide.
    """
    lanes.apart()
    size = _range(units, threads)
    for turn in range(threads):
        whose = (thread + turn) % threads
        begin = whose * size
        left = min(size, units - begin)
        counter = step + 64 + 64 * whose
        gone = atomic_read(counter)
        if gone < left:
            some = min((left - gone + parts - 1) // parts, most)
            got: int = atomic_add(counter, some)
            if got < left:
                taken: int = begin + got + (min(some, left - got) << 32)
                return taken
    return -1


@inlined
def first_of(taken: int) -> int:
    """The first of the units that `own` gave."""
    return taken & 0xFFFFFFFF


@inlined
def last_of(taken: int) -> int:
    """Behind the last of them."""
    return (taken & 0xFFFFFFFF) + (taken >> 32)


@inlined
def begin_of(thread: int, threads: int, units: int) -> int:
    """The first unit of a thread's own range."""
    return thread * _range(units, threads)


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


# The region. Words of its control block: threads that came in (beyond _CLOSED: too late), threads that left again, how
# often it was opened, and what there is to do.
_CAME, _LEFT, _OPENED, _FUNCTION, _BLOCK, _THREADS = 0, 64, 128, 136, 144, 152
_CLOSED: Final = 1 << 32
_LINGER: Final = 1_000
"""Turns, some 20 us, in which a helper that is done looks whether the next region opens before it sleeps."""


@addressed(1)
def _open(control: int) -> None:
    """Let threads in; what there is to do was written before."""
    lanes.put_word(control + _LEFT, 0)
    atomic_add(control + _OPENED, 1)
    atomic_write(control + _CAME, 0)


@addressed(1)
def _lead(control: int) -> None:
    """The caller's part: thread 0. Then nobody else is let in, and who is inside is waited for."""
    lanes.call_2(lanes.word(control + _FUNCTION), lanes.word(control + _BLOCK), 0)
    came: int = atomic_add(control + _CAME, _CLOSED)
    wait(control + _LEFT - 8, came)


@addressed(1)
def _help(control: int) -> None:
    """A helper's part, as often as a region is open or opens within moments."""
    opened: int = atomic_read(control + _OPENED)
    again = True
    while again:
        came: int = atomic_add(control + _CAME, 1)
        if came < _CLOSED:
            # Woken twice for one region, a helper comes twice; more numbers than threads there are not.
            if came + 1 < lanes.word(control + _THREADS):
                lanes.call_2(lanes.word(control + _FUNCTION), lanes.word(control + _BLOCK), came + 1)
            atomic_add(control + _LEFT, 1)
        before = opened
        turns = 0
        while opened == before and turns < _LINGER:
            pause()
            turns += 1
            opened = atomic_read(control + _OPENED)
        again = opened != before


_Function = ctypes.CFUNCTYPE(None, ctypes.c_int64)
_words: Final = aligned(24, np.int64, zero=True)
_wakers: Final[list[threading.Lock]] = []
"""One lock a helper; it sleeps while its lock is held."""


@functools.cache
def _entry(function: Addressed) -> Any:
    return _Function(function.address)


def _sleep_and_help(waker: threading.Lock) -> None:
    help, control = _entry(_help), int(_words.ctypes.data)
    while True:
        waker.acquire()
        help(control)


def _wake(helpers: int) -> None:
    while len(_wakers) < helpers:
        waker = threading.Lock()
        _wakers.append(waker)
        threading.Thread(target=_sleep_and_help, args=(waker,), name="ikkan-kernels", daemon=True).start()
    for waker in _wakers[:helpers]:
        if waker.locked():
            waker.release()


def launch(function: Addressed, block: NDArray[np.int64], threads: int, before: Addressed | None = None) -> None:
    """Run `function(address of block, thread)` on at most so many threads, on the caller's at least; wait for the end.

    `block` is what the threads share: addresses, sizes, counters, as the function reads them. Its first word is set to
    the number of threads. The function must share out its work by `take`, as it cannot know who comes. Calls of several
    Python threads run one after the other; the GIL is free while they compute. `before(address of block)` runs first,
    on the caller alone.
    """
    address = function.address  # may compile: before anybody has to wait
    with LOCK:
        block[0] = threads
        if before is not None:
            _entry(before)(block.ctypes.data)
        _words[_FUNCTION // 8 : _THREADS // 8 + 1] = address, block.ctypes.data, threads
        control = int(_words.ctypes.data)
        _entry(_open)(control)
        _wake(threads - 1)
        _entry(_lead)(control)


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
    """Numba's own parallel loops with exactly this many threads: yields their number. Hold `LOCK` around it."""
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        yield threads
    finally:
        numba.set_num_threads(before)
