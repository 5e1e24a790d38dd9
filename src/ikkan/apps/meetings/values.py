"""Facts of meetings: what was said, what was drawn out of it, and the words each of those rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

LANGUAGES = ("ja", "en", "zh")
"""Languages that meetings are held in, as far as anything here understands them."""


class Kind(StrEnum):
    """What a line of the minutes is."""

    TOPIC = "topic"
    KEY_POINT = "key_point"
    DECISION = "decision"
    ACTION = "action"
    QUESTION = "question"
    PROPOSAL = "proposal"
    """A next step nobody said aloud: always shown as a suggestion."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What one person said in one go."""

    id: str
    """Unique in its meeting: `s1`, `s2`, … in the order of speech."""
    speaker: str
    """The label of the transcript; empty where nobody is named."""
    text: str
    start_s: float | None = None
    """Seconds from the start of the meeting; `None` where the transcript has no times."""
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """A whole meeting in the order of speech."""

    segments: tuple[Segment, ...]
    language: str
    """`ja`, `en` or `zh`: that of most of what was said."""
    held_on: date | None = None
    """The day of the meeting, which "next Friday" counts from; `None` where nobody knows."""
    title: str = ""
    remarks: tuple[str, ...] = field(default=())
    """What was mended while reading: broken characters, times that ran backwards."""

    def __iter__(self) -> Iterator[Segment]:
        """Walk what was said in order."""
        return iter(self.segments)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Everyone who is named, in order of first speech."""
        return tuple(dict.fromkeys(segment.speaker for segment in self.segments if segment.speaker))


@dataclass(frozen=True, slots=True)
class Extraction:
    """One line drawn out of a meeting.

    Raises:
        ValueError: It has no evidence: nothing without the words it rests on is an extraction.
    """

    kind: Kind
    text: str
    evidence: tuple[str, ...]
    """Ids of the segments it rests on, at least one, in order of speech."""
    made_by: str
    """What made it: `rule`, `actions@1`, a model's name, or `person`."""
    confidence: float = 1.0
    """In [0, 1]. Candidates of a kind are ranked by it."""
    owner: str | None = None
    """Who is to do it: a speaker's label or a name that was said; `None` where nobody was named."""
    due: date | None = None
    due_words: str | None = None
    """The words that named the day, as said."""

    def __post_init__(self) -> None:
        if not self.evidence:
            raise ValueError(f"{self.kind} without evidence: {self.text[:80]}")


class Status(StrEnum):
    """What a person said of an extraction."""

    OPEN = "open"
    """Nobody has looked at it: it is a candidate."""
    ACCEPTED = "accepted"
    EDITED = "edited"
    """Right after a change; the change is what counts."""
    REJECTED = "rejected"
    """Kept, so that it is not proposed again, and shown nowhere."""


@dataclass(frozen=True, slots=True)
class Item:
    """An extraction as it stands in its meeting."""

    id: str
    """Unique in its meeting, and the same when the meeting is read again: made of kind and evidence."""
    extraction: Extraction
    """As it counts now, edits included."""
    status: Status = Status.OPEN
    is_done: bool = False
    """Of an action: it was carried out."""

    @property
    def is_wanted(self) -> bool:
        """Whether a person took it in."""
        return self.status in (Status.ACCEPTED, Status.EDITED)
