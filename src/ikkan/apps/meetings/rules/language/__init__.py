"""What one sentence of a meeting commits people to: its kinds, who is to do it, and by which day.

Lives here: rules for Japanese, Chinese and English, as tables: `cues` (what a sentence does), `owners` (who), `dates`
(by when).
May not enter: models, files, what other sentences of the meeting say. (Contract "Rules are pure".)
Begin at `understand`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ikkan.apps.meetings.rules.language import cues, dates, owners
from ikkan.apps.meetings.rules.language.cues import Cue, Reading
from ikkan.apps.meetings.rules.language.owners import Doer
from ikkan.apps.meetings.rules.language.text import flatten

__all__ = ["Cue", "Understood", "understand"]

LONGEST = 2_000
"""Characters of one thing said that are read; what is longer is cut into sentences before it comes here."""

_LANGUAGES = ("ja", "zh", "en")
_DEEDS = (Cue.ACTION, Cue.PROPOSAL)


@dataclass(frozen=True, slots=True)
class Understood:
    """What was understood of one sentence, or a few."""

    kinds: frozenset[Cue] = frozenset()
    """Empty for talk that belongs under none. A proposal here is a step that was suggested aloud."""
    owner: str | None = None
    """A speaker's label, or a name that no label matches; only of actions and proposals."""
    due: date | None = None
    due_words: str | None = None
    """The words that name the day, as written. There without `due` where the day of the meeting is unknown."""


def understand(text: str, *, language: str, speaker: str, speakers: Sequence[str], held_on: date | None) -> Understood:
    """Read a sentence as a careful minute-taker would.

    Args:
        text: one thing said; the first 2,000 characters are read.
        language: `ja`, `zh` or `en`; of any other nothing is understood.
        speaker: the label of whoever says it.
        speakers: every label of the meeting.
        held_on: the day that "tomorrow" counts from.

    >>> said = understand(
    ...     "田中さん、来週の火曜までに見積もりをお願いします。",
    ...     language="ja", speaker="佐藤", speakers=("佐藤", "田中"), held_on=date(2026, 3, 4),
    ... )
    >>> sorted(said.kinds), said.owner, said.due_words, said.due.isoformat()
    ([<Cue.ACTION: 'action'>], '田中', '来週の火曜', '2026-03-10')
    """
    if language not in _LANGUAGES:
        return Understood()
    text = text[:LONGEST]
    masked = flatten(owners.mask(text, language=language, speakers=speakers), language)
    pieces = cues.sentences(masked, language)
    readings = [reading for start, end in pieces for reading in cues.read(masked[start:end], language, start)]
    if not readings:
        return Understood()
    kinds = {reading.cue for reading in readings}
    deeds = [reading for reading in readings if reading.cue in _DEEDS]

    def owner(reading: Reading, doer: Doer) -> str | None:
        return owners.find(
            text[reading.start : reading.end], language=language, speaker=speaker, speakers=speakers, doer=doer
        )

    if not deeds:
        # A decision that gives a named person the work is an action too.
        given = next(
            (reading for reading in readings if reading.cue is Cue.DECISION and owner(reading, Doer.ASKED)), None
        )
        if given is None:
            return Understood(frozenset(kinds))
        kinds.add(Cue.ACTION)
        deeds = [Reading(Cue.ACTION, Doer.ASKED, given.start, given.end)]
    who = next((found for reading in deeds if (found := owner(reading, reading.doer))), None)
    if who is None and deeds[0].doer is Doer.ASKED:
        before = max((piece for piece in pieces if piece[1] <= deeds[0].start), default=None)
        if before is not None and before[1] - before[0] <= 16:
            who = owner(Reading(Cue.ACTION, Doer.ASKED, *before), Doer.ASKED)
    day = _due(text, language, held_on, deeds, readings)
    return Understood(frozenset(kinds), who, day.day if day else None, day.words if day else None)


def _due(
    text: str, language: str, held_on: date | None, deeds: list[Reading], readings: list[Reading]
) -> dates.Due | None:
    """The day of the deeds: said with them, or in a sentence that does nothing else."""
    found = dates.find(text, language, held_on)
    with_deeds = [due for due in found if any(deed.start <= due.start < deed.end for deed in deeds)]
    apart = [due for due in found if not any(one.start <= due.start < one.end for one in readings)]
    return dates.foremost(with_deeds) or dates.foremost(apart)
