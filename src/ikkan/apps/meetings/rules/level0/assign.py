"""Who is to do an action, and by when: the one place where owners and dates enter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ikkan.apps.meetings.rules.level0.units import Unit
from ikkan.apps.meetings.values import Transcript

_MYSELF = re.compile(
    r"\bI(?:'ll| will|'m going to| am going to| can|'m gonna)\b|私(?:が|の方で|から)|僕が|こちらで|我(?:来|会|去|负责)"
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is known of an action beside its words."""

    owner: str | None = None
    due: date | None = None
    due_words: str | None = None


def assignment(action: Unit, around: Sequence[Unit], transcript: Transcript) -> Assignment:
    """Owner and due date of an action.

    Args:
        action: the unit that was found.
        around: it and its neighbours, in order of speech.
        transcript: for the day of the meeting and the speakers.

    Only two owners are sure enough here: the speaker who says "I will", and the one speaker whose label is said.
    """
    named = [who for who in transcript.speakers if len(who) > 1 and who != action.speaker and who in action.text]
    if len(named) == 1:
        return Assignment(owner=named[0])
    if _MYSELF.search(action.text) and action.speaker:
        return Assignment(owner=action.speaker)
    return Assignment()
