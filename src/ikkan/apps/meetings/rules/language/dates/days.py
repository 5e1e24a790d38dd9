"""The calendar of all languages: what a way of naming a day comes to, counted from the day of the meeting.

Weeks run from Monday to Sunday; a week as a whole is due on its Friday, a month on its last day. Each function gives
`None` for a day that the calendar does not have.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from re import Match

from ikkan.apps.meetings.rules.language.text import number

FRIDAY = 4
_FURTHEST_DAYS = 3_700


def after(held_on: date, days: int) -> date | None:
    """So many days on.

    >>> after(date(2026, 2, 27), 3)
    datetime.date(2026, 3, 2)
    """
    return held_on + timedelta(days=days) if days <= _FURTHEST_DAYS else None


def months_after(held_on: date, months: int) -> date | None:
    """The same day so many months on, or that month's last.

    >>> months_after(date(2026, 8, 31), 6)
    datetime.date(2027, 2, 28)
    """
    return of_month(held_on, months, held_on.day) if months <= _FURTHEST_DAYS // 30 else None


def weekday(held_on: date, which: int, weeks: int | None = None) -> date:
    """A weekday (Monday is 0): of this week plus `weeks`, or the next one strictly after the meeting.

    >>> friday = date(2026, 3, 6)
    >>> weekday(friday, 4), weekday(friday, 4, weeks=0), weekday(friday, 1, weeks=1)
    (datetime.date(2026, 3, 13), datetime.date(2026, 3, 6), datetime.date(2026, 3, 10))
    """
    if weeks is None:
        return held_on + timedelta(days=(which - held_on.weekday() - 1) % 7 + 1)
    return held_on + timedelta(days=7 * weeks + which - held_on.weekday())


def of_month(held_on: date, months: int, day: int) -> date | None:
    """A day of the month that is `months` on; a day past its end is its last day.

    >>> of_month(date(2026, 1, 20), 1, 31)
    datetime.date(2026, 2, 28)
    """
    if not 1 <= day <= 31:
        return None
    years, month = divmod(held_on.month - 1 + months, 12)
    return _clamped(held_on.year + years, month + 1, day)


def named(held_on: date, month: int, day: int, year: int | None = None) -> date | None:
    """A day with its month: of the year, or the first such day not before the meeting; day 31 is any month's last.

    >>> named(date(2026, 5, 11), 4, 20), named(date(2026, 5, 11), 5, 11)
    (datetime.date(2027, 4, 20), datetime.date(2026, 5, 11))
    """
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    if year is not None:
        return _clamped(year, month, day)
    this = _clamped(held_on.year, month, day)
    return this if this >= held_on else _clamped(held_on.year + 1, month, day)


def numbered(held_on: date, day: int) -> date | None:
    """The first day of that number not before the meeting; months without it are passed over.

    >>> numbered(date(2026, 1, 31), 30)
    datetime.date(2026, 3, 30)
    """
    if not 1 <= day <= 31:
        return None
    for months in range(13):
        years, month = divmod(held_on.month - 1 + months, 12)
        if day <= monthrange(held_on.year + years, month + 1)[1]:
            found = date(held_on.year + years, month + 1, day)
            if found >= held_on:
                return found
    return None


def middle(held_on: date, months: int | None) -> date | None:
    """The 15th of a month counted from this one, or the next 15th where no month is said."""
    return numbered(held_on, 15) if months is None else of_month(held_on, months, 15)


def nth_weekday(held_on: date, months: int, nth: int, which: int) -> date | None:
    """The nth such weekday of a month, the last one for `nth` 0.

    >>> nth_weekday(date(2026, 3, 2), 1, 2, 4), nth_weekday(date(2026, 3, 2), 0, 0, 4)
    (datetime.date(2026, 4, 10), datetime.date(2026, 3, 27))
    """
    first = of_month(held_on, months, 1)
    last = of_month(held_on, months, 31)
    if first is None or last is None:
        return None
    if nth == 0:
        return last - timedelta(days=(last.weekday() - which) % 7)
    found = first + timedelta(days=(which - first.weekday()) % 7 + 7 * (nth - 1))
    return found if found <= last else None


def year_end(held_on: date, years: int = 0) -> date:
    """31 December of this year or one to come."""
    return date(held_on.year + years, 12, 31)


def fiscal_year_end(held_on: date, years: int = 0) -> date | None:
    """The next 31 March, or that of a year to come.

    >>> fiscal_year_end(date(2026, 4, 1)), fiscal_year_end(date(2026, 3, 31))
    (datetime.date(2027, 3, 31), datetime.date(2026, 3, 31))
    """
    end = named(held_on, 3, 31)
    return end and date(end.year + years, 3, 31)


def _clamped(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, monthrange(year, month)[1]))


# How forms of words become days: builders for the tables.

Counted = Callable[[Match[str], date], date | None]
Read = Callable[[Match[str]], int | None]


def plus(days: int) -> Counted:
    """A fixed number of days on."""
    return lambda match, held_on: after(held_on, days)


today = plus(0)


def counted(read: Read, each: int = 1) -> Counted:
    """As many times `each` days on as the match says."""

    def reckon(match: Match[str], held_on: date) -> date | None:
        count = read(match)
        return None if count is None else after(held_on, count * each)

    return reckon


def counted_months(read: Read, each: int = 1) -> Counted:
    """As many times `each` months on as the match says."""

    def reckon(match: Match[str], held_on: date) -> date | None:
        count = read(match)
        return None if count is None else months_after(held_on, count * each)

    return reckon


def counted_hours(read: Read) -> Counted:
    """A day for each 24 hours the match says."""

    def reckon(match: Match[str], held_on: date) -> date | None:
        count = read(match)
        return None if count is None else after(held_on, count // 24)

    return reckon


def day_of_month(match: Match[str], held_on: date) -> date | None:
    """The day of the month in the group `day`."""
    day = number(match["day"])
    return None if day is None else numbered(held_on, day)
