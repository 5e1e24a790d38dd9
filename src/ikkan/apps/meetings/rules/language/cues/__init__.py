"""What a sentence does: settle, commit, ask, suggest, or none of these.

Lives here: one table of rules for each language.
May not enter: days; names, except as `ɴ`.
Begin at `read`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

from ikkan.apps.meetings.rules.language.cues import en, ja, zh
from ikkan.apps.meetings.rules.language.cues.rule import Cue, Rule, Table
from ikkan.apps.meetings.rules.language.owners import Doer

__all__ = ["Cue", "Reading", "read", "sentences"]

_TABLES: Mapping[str, Table] = MappingProxyType({"ja": ja.TABLE, "zh": zh.TABLE, "en": en.TABLE})
_MOST_JOINTS = 6


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing a stretch of text does."""

    cue: Cue
    doer: Doer
    start: int
    end: int


def sentences(flat: str, language: str) -> list[tuple[int, int]]:
    """Where the sentences of a flattened text lie."""
    table, found, start = _TABLES[language], [], 0
    for end in [*(match.end() for match in table.ends.finditer(flat)), len(flat)]:
        if flat[start:end].strip():
            found.append((start, end))
            start = end
    return found


def read(masked: str, language: str, start: int = 0) -> tuple[Reading, ...]:
    """What one sentence does, where names are masked; a decision may be followed by a deed.

    >>> [one.cue.value for one in read("b案に決定しましたので、ɴɴ、手配をお願いします。", "ja")]
    ['decision', 'action']
    """
    table = _TABLES[language]
    text, places = _weighty(masked, table)
    found = _first(text, table)
    if found is not None and found.cue is None and table.therefore:
        for reason in islice(table.therefore.finditer(text), _MOST_JOINTS):
            deed = _first(text[reason.end() :], table)
            if deed and deed.cue is Cue.ACTION:
                return (Reading(Cue.ACTION, deed.doer, start + places[reason.end()], start + len(masked)),)
    if found is None or found.cue is None:
        return ()
    whole = Reading(found.cue, found.doer, start, start + len(masked))
    if found.cue is Cue.QUESTION:
        return (whole,)
    for joint in islice(table.joints.finditer(text), _MOST_JOINTS):
        settled, deed = _first(text[: joint.end()], table), _first(text[joint.end() :], table)
        if settled and deed and settled.cue is Cue.DECISION and deed.cue in (Cue.ACTION, Cue.PROPOSAL):
            middle = start + places[joint.end()]
            return (
                Reading(Cue.DECISION, Doer.NOBODY, start, middle),
                Reading(deed.cue, deed.doer, middle, start + len(masked)),
            )
    return (whole,)


def _weighty(masked: str, table: Table) -> tuple[str, list[int]]:
    """The text without words that have no weight, and where its characters stood."""
    kept: list[int] = []
    free = 0
    for match in table.softeners.finditer(masked):
        kept.extend(range(free, match.start()))
        free = match.end()
    kept.extend(range(free, len(masked)))
    return "".join(masked[at] for at in kept), [*kept, len(masked)]


def _first(text: str, table: Table) -> Rule | None:
    """The rule that decides; none where none finds its words, or what they say is only supposed or general."""
    hangs = table.condition.search(text) is not None
    general = table.habit.search(text) is not None
    asks = table.asks.search(text) is not None
    for rule in table.rules:
        if (asks and rule.cue is None and not rule.is_firm) or not rule.pattern.search(text):
            continue
        is_settled = rule.is_firm or rule.cue not in (Cue.ACTION, Cue.DECISION)
        return None if not is_settled and (hangs or (general and rule.doer is not Doer.ASKED)) else rule
    return None
