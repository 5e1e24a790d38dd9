"""The few decorators every kernel goes through, typed once: numba itself has no types.

Machine code is cached beside the source or in NUMBA_CACHE_DIR. Numba checks the processor and the function's own file
only, not the files it calls into; `ikkan.silicon.device.cache_key` names a folder that changes with any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from numba import cfunc, njit, types
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
    return intrinsic(prefer_literal=True)(function)


class Addressed:
    """A function of int64 arguments that compiled code calls through its address, `lanes.call`.

    Numba copies a called function's code into every caller's module and compiles it again there; a function behind an
    address is compiled once, when its address is first asked for.
    """

    def __init__(self, function: Callable[..., None], arguments: int) -> None:
        self._function: Final = function
        self._signature: Final = types.void(*[types.int64] * arguments)
        self._made: Any = None

    @property
    def address(self) -> int:
        """Where the machine code is; compiles it, or loads what an earlier run compiled."""
        if self._made is None:
            self._made = cfunc(self._signature, cache=True, error_model="numpy")(self._function)
        return int(self._made.address)


def addressed(arguments: int) -> Callable[[Callable[..., None]], Addressed]:
    """Make a function of so many int64 an `Addressed` one."""
    return lambda function: Addressed(function, arguments)
