"""Garbage collection that stops nobody for long: what a full look found in use is not looked at again.

Python frees nearly everything when its last reference goes; the collector only finds cycles. A full look through
100,000 objects stops every thread for some 50 ms, and a server that remembers much has millions. So what a full look
leaves is frozen: the next one sees only what came since. Cycles among frozen objects are found when everything is
looked through, once in a thousand looks.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

EVERYTHING_EVERY = 1_000
"""So many full looks to one at everything."""


@contextmanager
def short_pauses(everything_every: int = EVERYTHING_EVERY) -> Iterator[None]:
    """Look through everything now, and until the end of the block only at what is new.

    >>> with short_pauses():
    ...     gc.get_freeze_count() > 0
    True
    >>> gc.get_freeze_count()
    0
    """
    looks = count(1)

    def around(phase: str, about: dict[str, Any]) -> None:
        if about["generation"] < 2:
            return
        if phase == "stop":
            gc.freeze()
        elif next(looks) % everything_every == 0:
            gc.unfreeze()

    gc.callbacks.append(around)
    try:
        gc.collect()
        yield
    finally:
        gc.callbacks.remove(around)
        gc.unfreeze()
