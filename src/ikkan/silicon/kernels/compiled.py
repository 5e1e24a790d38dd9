"""The two decorators every kernel goes through, typed once: numba itself has no types.

Machine code is cached beside the source or in NUMBA_CACHE_DIR. Numba checks the processor and the function's own file
only, not the files it calls into; `ikkan.silicon.device.cache_key` names a folder that changes with any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Machine code for the function, without the GIL, kept between runs."""
    made: Function = njit(cache=True, nogil=True, error_model="numpy")(function)
    return made


def inlined(function: Function) -> Function:
    """The same for small functions: whoever calls it gets its body."""
    made: Function = njit(cache=True, nogil=True, error_model="numpy", forceinline=True)(function)
    return made


def parallel(function: Function) -> Function:
    """The same with `prange`: one parallel region a call."""
    made: Function = njit(cache=True, nogil=True, error_model="numpy", parallel=True)(function)
    return made


def emitted(function: Callable[..., Any]) -> Any:
    """A function whose body is LLVM IR that we write ourselves."""
    return intrinsic(function)
