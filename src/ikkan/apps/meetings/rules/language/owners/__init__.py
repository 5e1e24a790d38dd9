"""Who is to do it: a speaker's label, a name that was said, or nobody.

Lives here: what counts as the same name (`names.py`) and one table of a doer's marks for each language.
May not enter: days, and whether anything is to be done at all (`cues`).
Begin at `find`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType

from ikkan.apps.meetings.rules.language.owners import en, ja, zh
from ikkan.apps.meetings.rules.language.owners.marks import Marks
from ikkan.apps.meetings.rules.language.owners.names import Names

__all__ = ["Doer", "find"]

_MARKS: Mapping[str, Marks] = MappingProxyType({"ja": ja.MARKS, "zh": zh.MARKS, "en": en.MARKS})


class Doer(Enum):
    """Who is meant where a sentence names nobody."""

    SPEAKER = "speaker"
    """A commitment or an offer."""
    ASKED = "asked"
    """A request: whoever it is addressed to, never the one who asks."""
    NOBODY = "nobody"
    """An obligation or a suggestion."""


def find(text: str, *, language: str, speaker: str, speakers: Sequence[str], doer: Doer) -> str | None:
    """The label of the one who is to do it, or the bare name where no label matches.

    >>> people = ("佐藤 花子", "田中 太郎")
    >>> find("資料は田中さんにお願いします", language="ja", speaker=people[0], speakers=people, doer=Doer.ASKED)
    '田中 太郎'
    >>> find("Bob, could you call Alice?", language="en", speaker="Ann", speakers=("Ann",), doer=Doer.ASKED)
    'Bob'
    """
    marks = _MARKS.get(language)
    if marks is None:
        return None
    names = Names(tuple(speakers), marks, text)
    text = text.strip()
    flat = marks.spelled(text)
    given = names.first(marks.given(names.known), flat, text)
    if given is not None:
        return given
    if doer is not Doer.ASKED and marks.first_person.search(flat):
        return speaker or None
    named = names.first(marks.doing(names.known), flat, text)
    if named is not None:
        return named
    if doer is Doer.SPEAKER and not marks.nobody.search(flat):
        return speaker or None
    return None


def mask(text: str, *, language: str, speakers: Sequence[str]) -> str:
    """Write `ɴ` for every character of a name, so that rules need not know names.

    >>> mask("田中さんが送ります", language="ja", speakers=("田中 太郎",))
    'ɴɴɴɴが送ります'
    """
    marks = _MARKS[language]
    names = Names(tuple(speakers), marks, text)
    return names.masked(marks.named(names.known), marks.spelled(text), text)
