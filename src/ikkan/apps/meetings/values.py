"""Facts of meetings: what was said, what was drawn out of it, and the words each of those rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ikkan.ground.ids import KeyId, SubjectId, TenantId

Embed: TypeAlias = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to vectors of unit length."""
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
    confidence: float | None = None
    """How sure the recogniser was, in [0, 1]; None where the words were not recognised but written."""


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


class Audience(StrEnum):
    """Who may see a meeting. Its owner always may; nobody of another tenant ever may."""

    OWNER = "owner"
    PEOPLE = "people"
    """The owner and those who were named."""
    TENANT = "tenant"
    """Everyone of the tenant."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a meeting is to be drawn out, and how it was."""

    level: int = 0
    """0: no model. 1: a model writes, Level 0 checks."""
    form: str = "standard"
    """The form of minutes that a model is told to write for."""
    key_id: KeyId | None = None
    """On whose bill the model's answers are."""
    subject_id: SubjectId | None = None
    made_level: int | None = None
    """What came of it; None where it was not drawn out yet."""
    model: str = ""
    """What wrote, by the upstream's name for it."""
    remarks: tuple[str, ...] = ()
    """Why it is Level 0 after all, and what was dropped."""


class DeliveryState(StrEnum):
    """How far a message to another system is."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"
    """Not sent: the meeting is gone, or no longer shown to everyone here."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to the company's own address: `minutes.ready`, `action.accepted` or `test`."""

    id: str
    tenant_id: TenantId
    number: int
    """The meeting's; 0 of a test."""
    item_id: str
    event: str
    state: DeliveryState
    tries: int
    told: str
    """What came of the last try: a status, or why there was none."""
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Policy:
    """What a company set for all its meetings."""

    level: int | None = None
    """The level of meetings for which nobody chooses one; None: by what was measured of the model."""
    hook_url: str = ""
    """Where finished minutes and accepted actions are told; empty: nowhere."""
    hook_secret: bytes | None = field(default=None, repr=False)
    """What messages are signed with, sealed."""


class State(StrEnum):
    """Whether a meeting was drawn out yet."""

    LIVE = "live"
    """It is still going on: what was said so far is there."""
    WORKING = "working"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: what is found depends on it, everywhere."""

    tenant_id: TenantId
    subject_id: SubjectId | None
    is_admin: bool = False


@dataclass(frozen=True, slots=True)
class Meeting:
    """What is known of a kept meeting besides its words."""

    id: str
    number: int
    """The same in the index, where a long name stood a million times."""
    tenant_id: TenantId
    owner_id: SubjectId | None
    """Who brought it; None where that person was forgotten."""
    title: str
    language: str
    held_on: date | None
    created_at: datetime
    audience: Audience = Audience.OWNER
    state: State = State.READY
    job_id: str = ""
    """The durable job that draws it out, where one was needed."""
    segments: int = 0
    length_s: float | None = None
    remarks: tuple[str, ...] = ()
    impression_id: str = ""
    """By which judgements name what was proposed."""

    def may_manage(self, viewer: Viewer) -> bool:
        """Whether this viewer may share and delete it: its owner, or an administrator where the owner is gone."""
        is_owner = self.owner_id is not None and self.owner_id == viewer.subject_id
        return is_owner or (self.owner_id is None and viewer.is_admin)


@dataclass(frozen=True, slots=True)
class Speaker:
    """What a label of the transcript is called here."""

    label: str
    name: str
    subject_id: SubjectId | None = None
    """Whose words these are, where that person said so."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A meeting with everything in it, speakers called as people here call them."""

    meeting: Meeting
    transcript: Transcript
    items: tuple[Item, ...]
    speakers: tuple[Speaker, ...]
    readers: tuple[SubjectId, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What a person does to an item. `None` leaves a field as it is; an empty owner or due takes it away."""

    status: Status | None = None
    text: str | None = None
    owner: str | None = None
    due: date | str | None = None
    """A day, or an empty text for none."""
    is_done: bool | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """Something found: words, whose, when, and in which meeting."""

    meeting_id: str
    title: str
    held_on: date | None
    kind: str
    """`said`, or the kind of an extraction."""
    text: str
    speaker: str
    start_s: float | None
    evidence: tuple[str, ...]
    score: float
    item: Item | None = None
    """The decision or action as it stands; `None` where words were found."""


ACTION_ITEMS = "meetings.action_items"
"""The learnable of next actions."""
KEY_POINTS = "meetings.key_points"
"""The learnable of key points."""

ADDED = "meetings.Added"
"""A transcript was brought: payload `{meeting_id, language, segments, length_s}`."""
EXTRACTED = "meetings.Extracted"
"""What was proposed of a meeting, with the words around each: `offers`, and `candidates` beside them."""
JUDGED = "meetings.Judged"
"""A person accepted, edited or rejected one: `{impression_id, item, value, verdict, kind, before, after}`."""
