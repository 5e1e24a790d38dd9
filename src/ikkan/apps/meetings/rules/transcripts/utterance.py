"""What every reader hands over, and how times are written in transcripts."""

from __future__ import annotations

import re
from dataclasses import dataclass

TIME = r"(?:(?P<{0}h>\d{{1,3}}):)?(?P<{0}m>\d{{1,3}}):(?P<{0}s>\d{{2}})(?:[.,](?P<{0}f>\d{{1,6}}))?"
"""A pattern of a time; `TIME.format("a")` names its parts `ah`, `am`, `as`, `af`."""
_ALONE = re.compile(r"\s*" + TIME.format("") + r"\s*")


@dataclass(frozen=True, slots=True)
class Utterance:
    """What was read of one go, before it has an id."""

    speaker: str
    text: str
    start_s: float | None = None
    end_s: float | None = None
    voice: str = ""
    """Who speaks, where the file tells people apart by more than their name."""


def seconds(match: re.Match[str], name: str) -> float | None:
    """The time a match of `TIME.format(name)` found; None where it found none.

    >>> seconds(re.compile(TIME.format("a")).match("01:02:03.5"), "a")
    3723.5
    """
    minutes = match[f"{name}m"]
    if minutes is None:
        return None
    whole = int(match[f"{name}h"] or 0) * 3600 + int(minutes) * 60 + int(match[f"{name}s"])
    return whole + float(f"0.{match[f'{name}f'] or 0}")


def clock_seconds(text: str) -> float | None:
    """`0:03`, `00:12:03.250` or `00:12:03,250` in seconds; None for anything else.

    >>> clock_seconds("00:12:03,250"), clock_seconds("soon")
    (723.25, None)
    """
    match = _ALONE.fullmatch(text)
    return seconds(match, "") if match else None
