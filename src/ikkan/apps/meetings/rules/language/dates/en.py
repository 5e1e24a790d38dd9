"""Days as English names them."""

from __future__ import annotations

import re
from datetime import date
from re import Match

from ikkan.apps.meetings.rules.language.dates import days
from ikkan.apps.meetings.rules.language.dates.forms import Reckon, Table, form

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_TENS = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90}
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth",
    "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth", "twentieth",
    "twenty-first", "twenty-second", "twenty-third", "twenty-fourth", "twenty-fifth", "twenty-sixth", "twenty-seventh",
    "twenty-eighth", "twenty-ninth", "thirtieth", "thirty-first",
)  # fmt: skip

_WD = (
    r"(?P<wd>monday|tuesday|wednesday|thursday|friday|saturday|sunday|mon|tues?|weds?|thurs?|thur?|"
    r"fri|sat|sun)\b(?:\.(?= [a-z0-9]))?"
)
_MO = (
    r"(?P<m>january|february|march|april|may|june|july|august|september|october|november|december|"
    r"jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b(?:\.(?= ?[0-9]))?"
)
_N = r"(?P<n>[0-9]{1,4}|an?|" + "|".join((*_UNITS[1:], *_TENS)) + ")"
_WORD_ORDINAL = "(?:" + "|".join(sorted((one.replace("-", "[- ]") for one in _ORDINALS), key=len, reverse=True)) + ")"
_NTH = rf"(?P<day>[0-9]{{1,2}} ?(?:st|nd|rd|th)\b|{_WORD_ORDINAL}\b)"
_DAY = (
    rf"(?P<day>[0-9]{{1,2}}(?: ?(?:st|nd|rd|th))?\b(?![:./]?[0-9]| ?(?:am|pm|a\.m|p\.m|o'clock|percent|"
    rf"%|people|of us))|{_WORD_ORDINAL}\b)"
)
_YEAR = r"(?:,? (?P<y>20[0-9]{2})\b)?"
_NEXT_YEAR = r"(?:,? (?:of )?(?P<rel>next|this) year\b)?"
_WEEK = r"(?:the )?(?P<week>week after next|this(?: coming)? week|next week|coming week|following week|week)\b"
_MONTH = r"(?P<month>month after next|this month|next month|coming month|following month|the month|month)\b"


def _which(match: Match[str]) -> int:
    return _DAYS.index(match["wd"][:3])


def _weeks(said: str) -> int:
    return 2 if "after next" in said else 1 if "next" in said or "following" in said else 0


def _week_day(match: Match[str], held_on: date) -> date | None:
    return days.weekday(held_on, _which(match), _weeks(match["week"]))


def _in_week(weeks: int | None) -> Reckon:
    return lambda match, held_on: days.weekday(held_on, _which(match), weeks)


def _week_at(which: int) -> Reckon:
    return lambda match, held_on: days.weekday(held_on, which, _weeks(match["week"]))


def _month_at(day: int) -> Reckon:
    return lambda match, held_on: days.of_month(held_on, _weeks(match["month"]), day)


def _count(match: Match[str]) -> int | None:
    said = match["n"]
    if said.isdigit():
        return int(said)
    return 1 if said in ("a", "an") else _TENS[said] if said in _TENS else _UNITS.index(said)


def _ordinal(said: str) -> int | None:
    digits = re.match(r"[0-9]+", said)
    return int(digits[0]) if digits else _ORDINALS.index(said.replace(" ", "-")) + 1


def _month_day(match: Match[str], held_on: date) -> date | None:
    day = _ordinal(match["day"])
    return None if day is None else days.of_month(held_on, _weeks(match["month"]), day)


def _day_of_month(match: Match[str], held_on: date) -> date | None:
    day = _ordinal(match["day"])
    return None if day is None else days.numbered(held_on, day)


def _named(day: int | None = None) -> Reckon:
    def reckon(match: Match[str], held_on: date) -> date | None:
        said = match.groupdict()
        month = int(said["m"]) if said["m"].isdigit() else _MONTHS.index(said["m"][:3]) + 1
        which = _ordinal(said["day"]) if day is None else day
        year = int(said["y"]) if said.get("y") else None
        if said.get("rel"):
            year = held_on.year + (said["rel"] == "next")
        return None if which is None else days.named(held_on, month, which, year)

    return reckon


def _nth(match: Match[str], held_on: date) -> date | None:
    nth = 0 if match["nth"] == "last" else _ORDINALS.index(match["nth"]) + 1
    if match["m"] is None:
        return days.nth_weekday(held_on, _weeks(match["month"]), nth, _which(match))
    months = (_MONTHS.index(match["m"][:3]) + 1 - held_on.month) % 12
    return days.nth_weekday(held_on, months, nth, _which(match))


_FROM = r"(?:from (?:now|today)|from this meeting|hence)"
_OF_MONTH = rf"(?:{_MO}{_YEAR}{_NEXT_YEAR}|{_MONTH})"
_PART = (
    r"(?:,? ?(?:at |around |about |by |in the |before |just )?(?:first thing|(?:early |late |"
    r"mid-?)?(?:morning|afternoon|evening|night)|noon|midday|midnight|lunch(?:time)?|"
    r"end of (?:the )?(?:business )?day|eod|eob|cob|close of (?:business|play)|at the latest|latest|"
    r"[0-9]{1,2}(?::[0-9]{2})? ?(?:am|pm|a\.m\.|p\.m\.|o'clock)?|(?:one|two|three|four|five|six|"
    r"seven|eight|nine|ten|eleven|twelve) o'clock)\b)*+"
)
_CLOCK_WORD = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"

TABLE = Table(
    forms=(
        form(
            rf"\b(?:last|previous|past|every|each|the other) (?:{_WD}|week|month|year|day|night|"
            rf"quarter|{_MO})(?:'s)?",
            None,
        ),
        form(
            r"\byesterday\b|\bthe day before yesterday\b|\b(?:mon|tues|wednes|thurs|fri|satur|"
            r"sun)days\b|\bweekdays?\b|\bthese days\b",
            None,
        ),
        form(
            rf"\b{_N} (?:days?|weeks?|months?|years?|hours?|minutes?) (?:ago|before|earlier|in advance|"
            rf"ahead)\b",
            None,
        ),
        form(rf"\b{_N} (?:business|working|work) days?\b", None),
        form(rf"\b(?:the )?day before (?:yesterday|{_WD})", None),
        form(r"\b(?:end of today|today|this very day)\b", days.today),
        form(r"\btonight\b|\bthis (?:morning|afternoon|evening)\b|\bthis lunchtime\b", days.today),
        form(r"\b(?:end of tomorrow|tomorrow)\b", days.plus(1)),
        form(r"\bday after tomorrow\b", days.plus(2)),
        form(r"\b(?:overmorrow)\b", days.plus(2)),
        form(rf"\b(?:(?:this )?coming |upcoming )?{_WD}", _in_week(None), bare="week"),
        form(rf"\bthis {_WD}", _in_week(0), frame="week"),
        form(rf"\bnext {_WD}", _in_week(1), frame="week"),
        form(rf"\b{_WD} after next\b", _in_week(2), frame="week"),
        form(rf"\b{_WD},? (?:of )?{_WEEK}", _week_day, frame="week"),
        form(rf"\b{_WEEK},? (?:on )?{_WD}", _week_day, frame="week"),
        form(
            rf"\b{_N} weeks? (?:from|on|after) (?:this |coming |next )?{_WD}",
            lambda match, held_on: days.after(days.weekday(held_on, _which(match)), 7 * (_count(match) or 0)),
        ),
        form(rf"\b{_WD} week\b(?! after)", lambda match, held_on: days.after(days.weekday(held_on, _which(match)), 7)),
        form(r"\b(?P<n>a|one|two|three|2|3) weeks? (?:today|from today)\b", days.counted(_count, 7)),
        form(
            r"\b(?P<n>a|one|two|three|2|3) weeks? (?:from )?tomorrow\b",
            lambda match, held_on: days.after(held_on, 7 * (_count(match) or 0) + 1),
        ),
        form(
            r"\b(?:end of |close of |later |sometime |some time )?(?P<week>this(?: coming)? week|"
            r"next week|week after next|following week)\b",
            _week_at(days.FRIDAY),
        ),
        form(
            r"\b(?:the )?(?P<words>end of (?:the )?(?P<week>week|work(?:ing)? week))\b(?! after)", _week_at(days.FRIDAY)
        ),
        form(r"\b(?:end of )(?:the )(?P<week>week after next|coming week|following week)\b", _week_at(days.FRIDAY)),
        form(
            r"\beow\b|\bweek'?s[ -]end\b|\bwithin the week\b",
            lambda match, held_on: days.weekday(held_on, days.FRIDAY, 0),
        ),
        form(
            r"\b(?:early(?: in)?|(?:the )?(?:start|beginning|top) of|first thing) (?P<week>next week|"
            r"the week after next|the following week)\b",
            _week_at(0),
        ),
        form(
            r"\b(?:mid(?:dle of)?|halfway through)[- ]?(?P<week>next week|this week|"
            r"the week after next)\b|\bmidweek\b(?P<none>)",
            lambda match, held_on: days.weekday(held_on, 2, _weeks(match["week"] or "")),
        ),
        form(r"\blate(?:r)? (?:in )?(?P<week>next week|this week)\b", _week_at(days.FRIDAY)),
        form(
            r"\b(?:(?:the )?end of |(?:the )?last day of |(?:the )?close of |late |"
            r"later )?(?P<month>this month|next month)\b",
            _month_at(31),
        ),
        form(r"\b(?P<month>this month|next month)'?s end\b", _month_at(31)),
        form(
            r"\b(?:the )?(?P<words>(?:end|last day|close) of (?:the )?(?P<month>month after next|"
            r"following month|coming month|month))\b",
            _month_at(31),
        ),
        form(r"\bthe (?P<words>(?P<month>month after next))\b", _month_at(31)),
        form(r"\bmonth[- ]end\b|\beom\b|\bmonth'?s end\b", lambda match, held_on: days.of_month(held_on, 0, 31)),
        form(
            rf"\b(?:the )?(?P<words>(?:early(?: in)?|(?:start|beginning|top|first|first day|"
            rf"1st) of) (?:the )?{_MONTH})",
            _month_at(1),
        ),
        form(
            r"\b(?:the )?(?P<words>(?:mid(?:dle of)?|"
            r"halfway through)[- ]?(?:the )?(?P<month>this month|next month|month after next))\b",
            _month_at(15),
        ),
        form(
            r"\b(?:the )?(?P<words>mid(?:dle of)?[- ](?:the )?month)\b",
            lambda match, held_on: days.middle(held_on, None),
        ),
        form(rf"\b(?:the )?(?P<words>(?:end|last day|close) of {_MO}{_YEAR}{_NEXT_YEAR})", _named(31)),
        form(rf"\b(?P<words>late (?:in )?{_MO}{_YEAR})", _named(31)),
        form(
            rf"\b(?:the )?(?P<words>(?:early(?: in)?|(?:start|beginning|"
            rf"first day) of) {_MO}{_YEAR}{_NEXT_YEAR})",
            _named(1),
        ),
        form(rf"\b(?:the )?(?P<words>(?:mid(?:dle of)?)[- ]{_MO}{_YEAR}{_NEXT_YEAR})", _named(15)),
        form(rf"\b(?:{_WD},? (?:the )?)?(?P<words>{_MO} (?:the )?{_DAY}{_YEAR}{_NEXT_YEAR})", _named(), frame="month"),
        form(rf"\b(?:{_WD},? (?:the )?)?(?P<words>{_DAY} (?:of )?{_MO}{_YEAR}{_NEXT_YEAR})", _named(), frame="month"),
        form(
            rf"\b(?:{_WD},? (?:the )?)?(?P<words>{_NTH},? (?:of )?(?:the )?(?P<month>this month|"
            rf"next month|month after next|following month))\b",
            _month_day,
            frame="month",
        ),
        form(rf"\b(?P<words>(?P<month>next month|this month),? on the {_NTH})", _month_day, frame="month"),
        form(rf"\b(?P<nth>first|second|third|fourth|last) {_WD} (?:in|of) (?:the )?{_OF_MONTH}", _nth),
        form(
            rf"\b(?:on|by|before|until|till|for|no|not|or|than|to|due|actually|sorry,?|mean|make it|"
            rf"rather,?) (?:the )?(?P<words>{_NTH})(?! (?:[a-z]+))(?!-)",
            _day_of_month,
            bare="month",
        ),
        form(
            rf"\b(?:the |by |{_WD},? the )(?P<words>{_NTH})(?= (?:at|and|so|then|please|or|if|because|"
            rf"but|when|with|for|latest|instead|to|as|in|via|noon|morning|i|we|you|he|she|they|end|eod|"
            rf"cob|is|works|off)\b|[,.;:!?)-]|$)",
            _day_of_month,
            bare="month",
        ),
        form(
            r"(?<![0-9/.])(?P<words>(?P<m>[0-9]{1,2})/(?P<day>[0-9]{1,2})(?:/(?P<y>20[0-9]{2}))?)"
            r"(?![0-9/])",
            _named(),
        ),
        form(r"(?<![0-9-])(?P<words>(?P<y>20[0-9]{2})-(?P<m>[0-9]{1,2})-(?P<day>[0-9]{1,2}))(?![0-9-])", _named()),
        form(
            r"\b(?:the )?(?P<words>(?:end of (?:the |this )?year)|year[- ]end|this year|eoy|"
            r"year'?s end|last day of (?:the |this )?year)\b",
            lambda match, held_on: days.year_end(held_on),
        ),
        form(
            r"\b(?:the )?(?P<words>(?:end of |late |later )?next year)\b",
            lambda match, held_on: days.year_end(held_on, 1),
        ),
        form(
            r"\b(?:the )?(?P<words>(?:early(?: in)?|start of|beginning of) next year)\b",
            lambda match, held_on: date(held_on.year + 1, 1, 1),
        ),
        form(
            r"\b(?:the )?(?P<words>(?:end of (?:the |this )?(?:fiscal|financial) year))\b|\b(?:fiscal|"
            r"financial) year[- ]end\b",
            None,
        ),
        form(
            rf"\b(?:(?:with)?in|inside|over) (?:the next |the coming |the )?{_N} (?:days?'? time|"
            rf"days?)(?: {_FROM})?\b",
            days.counted(_count),
        ),
        form(
            rf"\b(?:(?:with)?in|inside|over) (?:the next |the coming |the )?{_N} (?:weeks?'?s? time|"
            rf"weeks?)(?: {_FROM})?\b(?! of)",
            days.counted(_count, 7),
        ),
        form(
            rf"\b(?:(?:with)?in|inside|over) (?:the next |the coming |the )?{_N} (?:months?'?s? time|"
            rf"months?)(?: {_FROM})?\b",
            days.counted_months(_count),
        ),
        form(
            rf"\b(?:(?:with)?in|inside) (?:the next )?{_N} (?:years?'?s? time|years?)(?: {_FROM})?\b",
            days.counted_months(_count, each=12),
        ),
        form(
            rf"\b(?:(?:with)?in|inside) (?:the next |the )?{_N} (?:hours?'? time|hours?)(?: {_FROM})?\b",
            days.counted_hours(_count),
        ),
        form(
            rf"\b(?:(?:with)?in|inside) (?:the next )?(?:(?:{_N}|half an|an) (?:minutes?|hour)|"
            rf"a (?:minute|moment))\b",
            days.today,
            is_time=True,
        ),
        form(
            r"\b(?:(?:with)?in|inside) (?:the next |the )?(?:half a year|half year|"
            r"six months)(?:'? time)?\b|\bhalf a year (?:from (?:now|today))\b",
            lambda match, held_on: days.months_after(held_on, 6),
        ),
        form(
            rf"\b(?:(?:with)?in|inside) (?:the next |the )?a? ?fortnight(?:'s time)?\b|"
            rf"\ba fortnight {_FROM}\b",
            days.plus(14),
        ),
        form(r"\ba fortnight (?:today)\b", days.plus(14)),
        form(rf"\b{_N} days? {_FROM}\b", days.counted(_count)),
        form(rf"\b{_N} weeks? {_FROM}\b", days.counted(_count, 7)),
        form(rf"\b{_N} months? {_FROM}\b", days.counted_months(_count)),
        form(rf"\b{_N} years? {_FROM}\b", days.counted_months(_count, each=12)),
        form(
            r"(?<![0-9:])(?P<words>[0-9]{1,2}(?:[:.][0-9]{2})? ?(?:am|pm|a\.m\.|p\.m\.)|"
            r"[0-9]{1,2} o'clock|[0-9]{1,2}:[0-9]{2})(?![0-9:])(?: (?:today|sharp))?",
            days.today,
            is_time=True,
        ),
        form(
            rf"\b(?:{_CLOCK_WORD} (?:o'clock|am|pm|a\.m\.|p\.m\.)(?: sharp)?|(?:half past|quarter to|"
            rf"quarter past) (?:{_CLOCK_WORD}|[0-9]{{1,2}}))(?:(?<!\.)\b)?",
            days.today,
            is_time=True,
        ),
        form(
            r"\b(?:the )?(?P<words>end of (?:the |this )?(?:business |working |work )?day|"
            r"close of (?:business|play|day)|end of (?:business|play)|eod|eob|cob|cop)\b",
            days.today,
            is_time=True,
        ),
        form(
            r"\b(?:by|before|until|till|at|around) (?P<words>noon|midday|midnight|lunch(?:time|"
            r" break)?|dinner(?:time)?|teatime|tea|bedtime|sunset|closing(?: time)?)\b",
            days.today,
            is_time=True,
        ),
        form(r"\b(?:in|by|before) (?P<words>the (?:morning|afternoon|evening))\b", None),
    ),
    before_start=re.compile(
        r"\b(?:starting|beginning|begins?|starts?|from|as of|as from|effective|since|after|commencing|"
        r"onwards? from|kicking off|launching|(?:mov(?:e|ed|ing)|push(?:ed|ing)?|postpon(?:e|ed|ing)|"
        r"shift(?:ed|ing)?|reschedul(?:e|ed|ing)|delay(?:ed|ing)?|extend(?:ed|ing)?|bring|brought|"
        r"slips?|moves)\b[^.?!]{0,30} (?:to|until|till|forward to|back to))(?: on| in| from| with|"
        r" the)*(?: of)? $"
    ),
    after_start=re.compile(r",? ?(?:onwards?|and (?:after|beyond)|on out|forward)\b"),
    before_end=re.compile(
        r"\b(?:by|before|until|till|no later than|not later than|latest by|due|due on|due by|"
        r"deadline is|deadline of|deadline:?|at the latest|prior to|ahead of|in time for|"
        r"ready for)"
        r"(?: the| about| around| noon| midday| midnight| lunchtime| lunch| end of| close of|"
        r" business| day| on| of| eod| cob| eob| first| thing| early| late| morning| afternoon|"
        r" evening| [0-9:]{1,5} ?(?:am|pm)?,?| o'clock)* $"
    ),
    after_end=re.compile(r"(?:,? at the latest|,? latest)\b"),
    after_noun=re.compile(
        r"(?:'s?(?! (?:fine|ok|good|the deadline))|s') (?:[a-z]+)|(?:'s)\b"
        r"| (?:(?:morning|afternoon|evening|night|weekly|team|all-hands|client|board|budget|"
        r"status|design|sales|project) ){0,2}"
        r"(?:meeting|call|sync|stand-?up|review|session|workshop|demo|release|launch|event|"
        r"conference|deadline|numbers|figures|report|agenda|minutes|invoice|edition|slot|flight|"
        r"train|deployment|retro|version|build|batch|shift)s?\b"
    ),
    correction=re.compile(
        r"[^.!?]{0,24}?[.,;: -]*\b(?:no|sorry|nope|wait|i mean|rather|actually|scratch that|"
        r"make (?:it|that)|correction|strike that|oops|hang on|hold on|but|instead|excuse me|"
        r"my mistake|let's say|better|not)\b"
        r"[^0-9!?]{0,30}"
    ),
    before_event=re.compile(r"\b(?:by|before|until|till|prior to|ahead of|in time for|ready for) (?:the )?$"),
    lead=re.compile(r"(?:the|on|by) "),
    before_noun=re.compile(
        r"\b(?:minutes|agenda|notes|slides|report|numbers|figures|recording|feedback|invoice|results|"
        r"email|mail|call|meeting|review|workshop|session|event|conference|release|deck|data|tickets|"
        r"items|discussion|presentation|demo) (?:from|for|of|on)(?: the)? $"
    ),
)
