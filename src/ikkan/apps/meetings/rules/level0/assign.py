"""Who is to do an action, and by when: the one place where owners and dates enter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ikkan.apps.meetings.rules.language import dates, understand
from ikkan.apps.meetings.rules.level0.units import Unit
from ikkan.apps.meetings.values import Transcript


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is known of an action beside its words."""

    owner: str | None = None
    due: date | None = None
    due_words: str | None = None


def assignment(action: Unit, around: Sequence[Unit], transcript: Transcript) -> Assignment:
    """Owner and due date of an action, as its own words give them.

    Args:
        action: the unit that was found.
        around: it and its neighbours, in order of speech: where nobody is named, the one speaker that the very next
            unit of the same speaker names.
        transcript: for the day of the meeting and the speakers.
    """
    found = _understood(action, transcript)
    if found.owner is None:
        following = around[around.index(action) + 1 :][:1]
        if following and following[0].speaker == action.speaker:
            found = Assignment(_understood(following[0], transcript).owner, found.due, found.due_words)
    return found


def _understood(unit: Unit, transcript: Transcript) -> Assignment:
    language, held_on = transcript.language, transcript.held_on
    said = understand(unit.text, language=language, speaker=unit.speaker, speakers=transcript.speakers, held_on=held_on)
    if said.due_words is not None or said.owner is not None:
        return Assignment(said.owner, said.due, said.due_words)
    # No deed is plain in it, and yet it was found: a day that is named as a deadline is its own.
    due = dates.foremost([each for each in dates.find(unit.text, language, held_on) if each.is_deadline])
    return Assignment(None, due.day, due.words) if due is not None else Assignment()
