"""What a language has to say about days: its forms of words, and the words around them that change what they mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from re import Match, Pattern

Reckon = Callable[[Match[str], date], date | None]

SLASHED = r"(?<![0-9/.])(?P<words>(?:(?P<y>[0-9]{4})/)?(?P<m>[0-9]{1,2})/(?P<day>[0-9]{1,2}))(?![0-9/])"
"""4/20 or 2026/4/20, as written in Japanese and Chinese."""
DASHED = r"(?<![0-9])(?P<words>(?P<y>[0-9]{4})-(?P<m>[0-9]{1,2})-(?P<day>[0-9]{1,2}))(?![0-9])"
"""2026-04-20."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of words that names a day, or one that only looks as if it did."""

    pattern: Pattern[str]
    """What is said. Where it has a group `words`, those are the words that name the day."""
    day: Reckon | None
    """The day from the match and the day of the meeting; `None` for words that name no day to come ("last Friday")."""
    is_time: bool = False
    """A time of day: names the day of the meeting only where nothing else names a day."""
    frame: str = ""
    """`week` or `month` where the words say which one, so that a correction need not say it again."""
    bare: str = ""
    """`week` or `month` where the words leave open which one, and a day they correct may have said it."""


@dataclass(frozen=True, slots=True)
class Table:
    """The forms of one language, and what their surroundings say. Patterns look at one line without capitals."""

    forms: tuple[Form, ...]
    before_start: Pattern[str]
    """Ends right before a day from which something begins ("starting Monday")."""
    after_start: Pattern[str]
    """Follows a day from which something begins (から)."""
    before_end: Pattern[str]
    """Ends right before a day by which something is done ("by")."""
    after_end: Pattern[str]
    """Follows a day by which something is done (までに), an event on that day between them or not."""
    after_noun: Pattern[str]
    """Follows a day that only tells which thing is meant ("Monday's call")."""
    correction: Pattern[str]
    """Stands between a day and the one that replaces it."""
    nearer: Pattern[str] | None = None
    """Stands between a day and one that says it more nearly (年明けの1月9日)."""
    lead: Pattern[str] | None = None
    """At the front of a form, not among the words that name the day."""
    before_event: Pattern[str] | None = None
    """Ends right before a day whose event is the deadline ("before Monday's call")."""
    before_noun: Pattern[str] | None = None
    """Ends right before a day that only tells which thing is meant ("the minutes from")."""


def form(pattern: str, day: Reckon | None, *, is_time: bool = False, frame: str = "", bare: str = "") -> Form:
    """A form from its pattern as text."""
    return Form(re.compile(pattern), day, is_time, frame, bare)
