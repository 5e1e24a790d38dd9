"""Memory for weights and caches: huge pages, so that a walk over a model is not cut every 4 KiB.

Within a huge page the processor reads ahead further and looks up fewer addresses: a model of 96 MB was read a third to
a half faster (docs/decisions/0103). A matrix of a small model is smaller than a huge page, so matrices share regions.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ALIGNMENT: Final = 64
"""Every array starts at a multiple of this: a cache line."""
_HUGE: Final = 2 << 20
_REGION: Final = 32 << 20
_lock = threading.Lock()
_rest: NDArray[np.uint8] = np.empty(0, np.uint8)
"""What is left of the newest region."""


def aligned(count: int, dtype: Any = np.uint8, *, zero: bool = False) -> NDArray[Any]:
    """A flat array that starts at a multiple of 64; with `zero` its pages cost nothing until they are written.

    >>> aligned(3, np.float32, zero=True).tolist()
    [0.0, 0.0, 0.0]
    """
    size = count * np.dtype(dtype).itemsize
    room: NDArray[np.uint8] = (np.zeros if zero else np.empty)(size + ALIGNMENT, dtype=np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype)


def lasting(size: int) -> NDArray[np.uint8]:
    """`size` bytes, zero, at a multiple of 64 in a region of huge pages where the system has them.

    For what lives as long as a model: a region is given back when the last of its arrays is gone.
    """
    global _rest
    with _lock:
        if len(_rest) < size:
            fresh = _region(max(size, _REGION))
            if size >= _REGION:  # a region of its own
                return fresh[:size]
            _rest = fresh
        taken = _rest[:size]
        _rest = _rest[-(-size // ALIGNMENT) * ALIGNMENT :]
        return taken


def _region(size: int) -> NDArray[np.uint8]:
    private = getattr(mmap, "MAP_PRIVATE", None)
    if private is None:
        return aligned(size, zero=True)
    room = mmap.mmap(-1, size + _HUGE, flags=private | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a system without them: ordinary pages do
            room.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(room, np.uint8)
    start = -whole.ctypes.data % _HUGE
    return whole[start : start + size]
