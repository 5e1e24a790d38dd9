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
    # Words without weight become as much space, so that places stay.
    text = table.softeners.sub(lambda match: " " * len(match[0]), masked)
    found = _first(text, table)
    if found is not None and found[0].cue is None and table.therefore:
        for reason in islice(table.therefore.finditer(text), _MOST_JOINTS):
            deed = _first(text[reason.end() :], table)
            if deed and deed[0].cue is Cue.ACTION:
                return (Reading(Cue.ACTION, deed[0].doer, start + reason.end(), start + len(text)),)
    if found is None or found[0].cue is None:
        return ()
    rule, end = found
    whole = Reading(rule.cue, rule.doer, start, start + len(text))
    if rule.cue is Cue.QUESTION:
        return (whole,)
    for joint in islice(table.joints.finditer(text), _MOST_JOINTS):
        settled, deed = _first(text[: joint.end()], table), _first(text[joint.end() :], table)
        if settled and deed and settled[0].cue is Cue.DECISION and deed[0].cue in (Cue.ACTION, Cue.PROPOSAL):
            middle = start + joint.end()
            return (
                Reading(Cue.DECISION, Doer.NOBODY, start, middle),
                Reading(deed[0].cue, deed[0].doer, middle, start + len(text)),
            )
    return (whole,)


def _first(text: str, table: Table) -> tuple[Rule, int] | None:
    hangs = table.condition.search(text) is not None
    general = table.habit.search(text) is not None
    asks = table.asks.search(text) is not None
    for rule in table.rules:
        if asks and rule.cue is None and not rule.is_firm:
            continue
        match = rule.pattern.search(text)
        if match is None:
            continue
        if rule.is_firm or rule.cue not in (Cue.ACTION, Cue.DECISION):
            return rule, match.end()
        if hangs or (general and rule.doer is not Doer.ASKED):
            return None
        return rule, match.end()
    return None
