"""Garbage collection that stops nobody for long: what a full look found in use is not looked at again.

Python frees nearly everything when its last reference goes; the collector only finds cycles. A full look through
100,000 objects stops every thread for some 50 ms, and a server that remembers much has millions. So what a full look
leaves is frozen: the next one sees only what came since. Cycles among frozen objects are found when everything is
looked through, once in a thousand looks.
"""

from __future__ import annotations

import gc
from typing import Any

EVERYTHING_EVERY = 1_000
"""So many full looks to one at everything."""


class ShortPauses:
    """Keeps full looks short while it is on.

    >>> pauses = ShortPauses(); pauses.begin()
    >>> gc.get_freeze_count() > 0
    True
    >>> pauses.end(); gc.get_freeze_count()
    0
    """

    def __init__(self, everything_every: int = EVERYTHING_EVERY) -> None:
        self._every = everything_every
        self._looks = 0

    def begin(self) -> None:
        """Look through everything now, and from now on at what is new."""
        gc.callbacks.append(self._around)
        gc.collect()

    def end(self) -> None:
        """Look at everything again, as Python does by itself."""
        gc.callbacks.remove(self._around)
        gc.unfreeze()

    def _around(self, phase: str, about: dict[str, Any]) -> None:
        if about["generation"] < 2:
            return
        if phase == "stop":
            gc.freeze()
            return
        self._looks += 1
        if self._looks % self._every == 0:
            gc.unfreeze()
