"""What can go wrong in a turn without being a fault of the gate: it ends there, and the champion keeps serving."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from ikkan.ground.errors import Conflict, IkkanError, LeakFound, NotFinite, NothingToLearn, SetupNeeded

Stage: TypeAlias = Literal["reading", "judging", "recording"]
CAUGHT = (ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
          TypeError, ValueError, IkkanError)  # fmt: skip
"""What a recipe may fail with. Whatever stops the process itself, or a job that a person cancelled, is none of it."""
LET_THROUGH = (LeakFound, SetupNeeded, Conflict)
"""A leak is a fault of the dataset's maker, a missing package one of the set-up, a conflict
somebody else's doing: whoever asked is told at once."""
STOPS = ("disk_full", "out_of_memory", "diverged", "unreadable_examples", "trainer_failed")
"""The codes of decisions that end a turn before anybody was judged."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_RUNAWAY = (ArithmeticError, NotFinite)


def why(error: BaseException, stage: Stage = "judging") -> tuple[str, dict[str, Any]]:
    """The code of what stopped a turn, and what its words speak of: the kind of error, no one's text.

    Args:
        stage: what was being done: reading events as examples, training and judging, or keeping what came of it.

    >>> why(OSError(errno.ENOSPC, "No space left on device"))[0], why(FloatingPointError("loss is NaN"))[0]
    ('disk_full', 'diverged')
    >>> why(KeyError("the words of a person"), "reading")
    ('unreadable_examples', {'error': 'KeyError'})
    """
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in _FULL:
            return "disk_full", {}
        # torch's own class for it is no MemoryError, and is not imported for a name.
        if isinstance(each, MemoryError) or type(each).__name__ == "OutOfMemoryError":
            return "out_of_memory", {}
    if isinstance(error, NothingToLearn):
        return "nothing_to_learn", {}
    if isinstance(error, _RUNAWAY) and stage != "reading":
        return "diverged", {}
    kind = error.code if isinstance(error, IkkanError) else type(error).__name__
    return ("unreadable_examples" if stage == "reading" else "trainer_failed"), {"error": kind}


def where(error: BaseException) -> str:
    """What kind of error it was and the lines it came through, for the log: without its text, which may be a person's.

    >>> where(KeyError("the words of a person"))
    'KeyError'
    """
    return "".join([*traceback.format_tb(error.__traceback__), type(error).__name__])


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from."""
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        seen.append(at)
        yield at
        at = at.__cause__ or at.__context__
