"""Points in time and days as exports write them: ISO, slashes, characters, Japanese eras, seconds since 1970."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache

ERAS = {
    "令和": 2018, "令": 2018, "r": 2018,
    "平成": 1988, "平": 1988, "h": 1988,
    "昭和": 1925, "昭": 1925, "s": 1925,
}  # fmt: skip
"""Era → the year before its first."""
_ERA = re.compile(
    r"(?P<era>令和|平成|昭和|令|平|昭|[rhs](?=\s*(?:\d|元)))\s*(?P<y>元|\d{1,2})"
    r"\s*[年./-]\s*(?P<m>\d{1,2})\s*[月./-]\s*(?P<d>\d{1,2})日?"
)
_YMD = re.compile(r"(?P<y>\d{4})\s*[-/.年]\s*(?P<m>\d{1,2})\s*[-/.月]\s*(?P<d>\d{1,2})日?")
_COMPACT = re.compile(r"(?P<y>(?:19|20)\d{2})(?P<m>\d{2})(?P<d>\d{2})(?=$|[t\s]|\d{4,6}$)")
_DMY = re.compile(r"(?P<a>\d{1,2})\s*(?P<mark>[/.-])\s*(?P<b>\d{1,2})\s*(?P=mark)\s*(?P<y>\d{4})")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_NAMED = re.compile(r"(?:(?P<d1>\d{1,2})[ -])?(?P<mon>[a-z]{3})[a-z]*\.?[ -](?:(?P<d2>\d{1,2}),?[ -])?(?P<y>\d{4})")
_CLOCK = re.compile(
    r"(?P<half>午前|午後|上午|下午)?\s*(?P<H>\d{1,2})(?::|時|时|点)(?P<M>\d{1,2})?"
    r"(?:(?::|分)(?P<S>\d{1,2})(?:[.,](?P<f>\d{1,9}))?秒?|分)?\s*(?P<ap>am|pm)?"
)
_COMPACT_CLOCK = re.compile(r"t?(?P<H>\d{2})(?P<M>\d{2})(?P<S>\d{2})?")
_ZONE = re.compile(r"(?P<z>z|utc|gmt|jst|(?P<sign>[+-])(?P<h>\d{2}):?(?P<m>\d{2})?)$")
_UNIX = re.compile(r"\d{9,10}(\.\d+)?|\d{12,13}")


class NoTime(ValueError):
    """This names no point in time."""


@lru_cache(maxsize=64)
def offset(text: str) -> timezone:
    """A difference from UTC as people write it.

    Raises:
        NoTime: it is none.

    >>> offset("+09:00").utcoffset(None), offset("Z").utcoffset(None)
    (datetime.timedelta(seconds=32400), datetime.timedelta(0))
    """
    found = _ZONE.fullmatch(text.strip().lower())
    if found is None:
        raise NoTime(text)
    if found["sign"] is None:
        return timezone(timedelta(hours=9)) if found["z"] == "jst" else UTC
    by = timedelta(hours=int(found["h"]), minutes=int(found["m"] or 0))
    if by >= timedelta(hours=24):
        raise NoTime(text)
    return timezone(by if found["sign"] == "+" else -by)


def when(text: str, zone: timezone, *, day_first: bool = False) -> datetime:
    """A point in time, aware UTC. A day without a time is its noon: nearest to whatever was meant.

    Args:
        zone: of a time that does not say its own.
        day_first: whether 3/4/2026 is the third of April.

    Raises:
        NoTime: it names none, or one that no calendar has.

    >>> tokyo = offset("+09:00")
    >>> [when(t, tokyo).isoformat()[:16] for t in ("2026-05-01T09:30:00+09:00", "令和8年5月1日 午後3時", "1767225600")]
    ['2026-05-01T00:30', '2026-05-01T06:00', '2026-01-01T00:00']
    """
    try:
        # What programs write: much the most frequent, and read in C.
        exact = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        if len(text) > 10:
            return (exact if exact.tzinfo else exact.replace(tzinfo=zone)).astimezone(UTC)
    plain = unicodedata.normalize("NFKC", text).strip().lower()
    if _UNIX.fullmatch(plain):
        seconds = float(plain) if len(plain.partition(".")[0]) <= 10 else int(plain) / 1e3
        return datetime.fromtimestamp(seconds, UTC)
    found, rest = _date(plain, day_first=day_first)
    rest = re.sub(r"^[((][^))]{1,4}[))]|^[月火水木金土日]曜日?", "", rest.strip()).strip().lstrip("t").strip()
    if not rest:
        noon = datetime(found.year, found.month, found.day, 12, tzinfo=zone)
        return noon.astimezone(UTC)
    named = _ZONE.search(rest)
    if named is not None:
        zone, rest = offset(named["z"]), rest[: named.start()].strip()
    clock = _CLOCK.fullmatch(rest) or _COMPACT_CLOCK.fullmatch(rest)
    if clock is None:
        raise NoTime(text)
    said = clock.groupdict()
    hour, micro = int(said["H"]), int((said.get("f") or "0").ljust(6, "0")[:6])
    if said.get("half") in ("午後", "下午") or said.get("ap") == "pm":
        hour = hour % 12 + 12
    elif said.get("half") in ("午前", "上午") or said.get("ap") == "am":
        hour = hour % 12
    # Japanese timetables let a day run on past midnight: 25:30 is half past one of the next.
    late, hour = divmod(hour, 24)
    if late > 1:
        raise NoTime(text)
    try:
        made = datetime(
            found.year, found.month, found.day, hour, int(said["M"] or 0), int(said["S"] or 0), micro, tzinfo=zone
        )
        return (made + timedelta(days=late)).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise NoTime(text) from exc


def day(text: str, zone: timezone, *, day_first: bool = False) -> date:
    """A day of the calendar, in `zone` where a whole point in time is given.

    Raises:
        NoTime: it names none.

    >>> tokyo = offset("+09:00")
    >>> [str(day(t, tokyo)) for t in ("2026/5/1", "R8.5.1", "2026-04-30T23:00:00Z", "令和元年12月3日")]
    ['2026-05-01', '2026-05-01', '2026-05-01', '2019-12-03']
    """
    return when(text, zone, day_first=day_first).astimezone(zone).date()


def says_day_first(texts: list[str]) -> bool:
    """Whether 3/4/2026 in this column must be the third of April: somewhere the first number is beyond a month.

    >>> says_day_first(["03/04/2026", "25/04/2026"]), says_day_first(["03/04/2026"])
    (True, False)
    """
    found = [match for text in texts if (match := _DMY.match(text.strip()))]
    return any(int(each["a"]) > 12 for each in found) and not any(int(each["b"]) > 12 for each in found)


def _date(plain: str, *, day_first: bool) -> tuple[date, str]:
    found = _ERA.match(plain)
    if found is not None:
        year = ERAS[found["era"]] + (1 if found["y"] == "元" else int(found["y"]))
        return _made(year, found["m"], found["d"], plain), plain[found.end() :]
    found = _YMD.match(plain) or _COMPACT.match(plain)
    if found is not None:
        return _made(int(found["y"]), found["m"], found["d"], plain), plain[found.end() :]
    found = _DMY.match(plain)
    if found is not None:
        first, second = (found["b"], found["a"]) if day_first or int(found["a"]) > 12 else (found["a"], found["b"])
        return _made(int(found["y"]), first, second, plain), plain[found.end() :]
    found = _NAMED.match(plain)
    if found is not None and found["mon"] in _MONTHS and (found["d1"] or found["d2"]):
        month = _MONTHS.index(found["mon"]) + 1
        return _made(int(found["y"]), month, found["d1"] or found["d2"], plain), plain[found.end() :]
    raise NoTime(plain)


def _made(year: int, month: str | int, number: str, plain: str) -> date:
    try:
        return date(year, int(month), int(number))
    except ValueError as exc:
        raise NoTime(plain) from exc
