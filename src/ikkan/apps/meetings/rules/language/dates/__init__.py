"""Which day was meant: "next Tuesday", 来月5日, 下下周一.

Lives here: the calendar (`days.py`) and one table of forms for each language.
May not enter: who does what (`owners`), and whether anything is to be done at all (`cues`).
Begin at `find`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from re import Match
from types import MappingProxyType

from ikkan.apps.meetings.rules.language.dates import en, ja, zh
from ikkan.apps.meetings.rules.language.dates.days import of_month, weekday
from ikkan.apps.meetings.rules.language.dates.forms import Form, Table
from ikkan.apps.meetings.rules.language.text import flatten

__all__ = ["Due", "find", "foremost"]

_TABLES: Mapping[str, Table] = MappingProxyType({"ja": ja.TABLE, "zh": zh.TABLE, "en": en.TABLE})
_AROUND = 40


@dataclass(frozen=True, slots=True)
class Due:
    """A day on which, or by which, something may be due."""

    words: str
    """As written in the text, as short as still says which day."""
    start: int
    end: int
    day: date | None
    """`None` where nobody knows the day of the meeting."""
    is_time: bool = False
    """Only a time of the meeting's day."""
    is_deadline: bool = False
    """Said to be the end ("by", までに)."""


def find(text: str, language: str, held_on: date | None) -> tuple[Due, ...]:
    """The days a text names that something could be due on, in order; beginnings and corrected days are left out.

    >>> [(due.words, due.day.isoformat()) for due in find("3日、いや4日までに送ります", "ja", date(2026, 3, 2))]
    [('4日', '2026-03-04')]
    >>> find("The agenda of Monday's call, starting next week", "en", date(2026, 3, 2))
    ()
    """
    table = _TABLES.get(language)
    if table is None:
        return ()
    flat = flatten(text, language)
    said = _longest(flat, table)
    found: list[Due] = []
    corrected: _Reckoned | None = None
    for at, (start, end, form, day_start, day_end, day) in enumerate(said):
        day.corrects, corrected = corrected, None
        # A day that is taken back is none, whatever stands around it.
        if (
            at + 1 < len(said)
            and said[at + 1][0] - end < 3 * _AROUND
            and table.correction.fullmatch(flat, end, said[at + 1][0])
        ):
            corrected = day
            continue
        if (
            at + 1 < len(said)
            and table.nearer
            and _is_nearer(said[at + 1], form, held_on)
            and table.nearer.fullmatch(flat, end, said[at + 1][0])
        ):
            continue
        if form.day is None or (held_on is not None and day(held_on) is None):
            continue
        low = max(0, start - _AROUND)
        is_deadline = bool(table.before_end.search(flat, low, start) or table.after_end.match(flat, end, end + _AROUND))
        if table.before_start.search(flat, low, start) or table.after_start.match(flat, end, end + _AROUND):
            continue
        # "The agenda of Monday's call" is no day to come; "before Monday's call" is.
        is_event = table.after_end.match(flat, end, end + _AROUND) or (
            table.before_event and table.before_event.search(flat, low, start)
        )
        if not is_event:
            if table.after_noun.match(flat, end, end + _AROUND):
                continue
            if table.before_noun is not None and table.before_noun.search(flat, low, start):
                continue
        found.append(
            Due(
                text[day_start:day_end],
                day_start,
                day_end,
                day(held_on) if held_on is not None else None,
                form.is_time,
                is_deadline,
            )
        )
    return tuple(found)


def foremost(found: Iterable[Due]) -> Due | None:
    """The one day that is set: what is said to be the end before what is not, a day before a time of day.

    >>> foremost(find("I'll send the numbers by noon tomorrow", "en", date(2026, 3, 2))).words
    'tomorrow'
    """
    return min(found, key=lambda one: (one.is_time, not one.is_deadline, one.start), default=None)


def _is_nearer(following: _Said, form: Form, held_on: date | None) -> bool:
    """Whether the day that follows names a day, and not only a time of it."""
    _, _, other, _, _, day = following
    return (
        other.day is not None
        and not other.is_time
        and not form.is_time
        and (held_on is None or day(held_on) is not None)
    )


class _Reckoned:
    """The day of one match, reckoned when the day of the meeting is there."""

    __slots__ = ("corrects", "form", "match")

    def __init__(self, form: Form, match: Match[str]) -> None:
        self.form, self.match = form, match
        self.corrects: _Reckoned | None = None

    def __call__(self, held_on: date) -> date | None:
        try:
            day = self._day(held_on)
        except (ValueError, OverflowError):
            # Past the last day a computer knows.
            return None
        return day if day is not None and day >= held_on else None

    def _day(self, held_on: date) -> date | None:
        if self.form.day is None:
            return None
        day = self.form.day(self.match, held_on)
        before = self.corrects
        if day is None or before is None or not self.form.bare or before.form.frame != self.form.bare:
            return day
        # "April 3rd, no, the 4th" is the 4th of April; "next Tuesday, no, Wednesday" is of next week.
        meant = before(held_on)
        if meant is None:
            return day
        return weekday(meant, day.weekday(), weeks=0) if self.form.bare == "week" else of_month(meant, 0, day.day)


_Said = tuple[int, int, Form, int, int, _Reckoned]


def _longest(flat: str, table: Table) -> list[_Said]:
    """All forms that occur, the longest first where they overlap."""
    matches = [
        (match.start(), -match.end(), order, form, match)
        for order, form in enumerate(table.forms)
        for match in form.pattern.finditer(flat)
        if match.end() > match.start()
    ]
    matches.sort(key=lambda one: one[:3])
    kept: list[_Said] = []
    free = 0
    for start, end, _, form, match in matches:
        if start < free:
            continue
        free = -end
        named = "words" in form.pattern.groupindex and match.group("words") is not None
        low, high = match.span("words") if named else match.span()
        lead = table.lead.match(flat, low, high) if table.lead else None
        low = lead.end() if lead else low
        kept.append((start, -end, form, low, high, _Reckoned(form, match)))
    return kept
