"""Meetings kept in the house: brought, drawn out, judged, found, shared and taken away.

Every method is synchronous and asks the database; doors run them with `Database.run` or in a thread. Each takes the
`Viewer` first: what is not theirs to see is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import sqlalchemy as sa

from ikkan.apps.meetings.rules.exports import Row
from ikkan.apps.meetings.rules.items import renamed
from ikkan.apps.meetings.rules.search import item_passages, passages
from ikkan.apps.meetings.rules.search.passages import ITEM_PARTS, SAID
from ikkan.apps.meetings.rules.transcripts import read
from ikkan.apps.meetings.service.drawing import check_size, drawn
from ikkan.apps.meetings.service.indexing import index_part
from ikkan.apps.meetings.service.judging import Judging
from ikkan.apps.meetings.service.searching import Searching
from ikkan.apps.meetings.store import items
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.values import (
    ADDED,
    EXTRACTED,
    Audience,
    Item,
    Kept,
    Kind,
    Meeting,
    Speaker,
    State,
    Status,
    Transcript,
    Viewer,
)
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, ErasedSubject, NotAllowed
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import SubjectId, new_id
from ikkan.ground.jobs import JobContext, Jobs
from ikkan.kit import Offer, Signals

DRAW = "meetings.draw"
"""The durable job that draws a long meeting out."""
LONG_SEGMENTS = 2_000
"""From here on a meeting is drawn out by the worker, and the page shows how far it is."""
_MOST_TITLE = 300
Progress = Callable[[float], None]


class MeetingsService:
    """The use cases. Made once in each process; the worker's executes the job.

    Args:
        jobs: where long meetings go; None draws them out at once.
        most_bytes: the largest transcript.
    """

    def __init__(
        self, database: Database, events: EventLog, clock: Clock, jobs: Jobs | None, *, most_bytes: int
    ) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._jobs = jobs
        self._signals = Signals(events, clock)
        self.most_bytes = most_bytes
        self.judging = Judging(database, self._signals, clock)
        self.searching = Searching(database)
        if jobs is not None:

            @jobs.job(DRAW)
            def draw(context: JobContext, number: int) -> dict[str, Any]:
                return context.step("draw", lambda: self._draw_by_job(number, context.progress))

    def bring(
        self,
        viewer: Viewer,
        data: bytes,
        filename: str,
        *,
        language: str | None = None,
        held_on: date | None = None,
        title: str = "",
        audience: Audience = Audience.OWNER,
    ) -> Meeting:
        """Keep a transcript and draw out of it what there is; a long one is left to the worker.

        Raises:
            RequestTooLarge: it is larger than transcripts are.
            BadInput: it cannot be read; `rules.transcripts.read` says how.
            ErasedSubject: this person was erased.
        """
        check_size(len(data), self.most_bytes)
        called = (title.strip() or filename.rpartition("/")[2].rpartition(".")[0] or filename)[:_MOST_TITLE]
        transcript = read(data, filename, language=language, held_on=held_on, title=called)
        moments = [at for each in transcript for at in (each.start_s, each.end_s) if at is not None]
        fresh = Meeting(
            id=new_id("meeting"),
            number=0,
            tenant_id=viewer.tenant_id,
            owner_id=viewer.subject_id,
            title=called,
            language=transcript.language,
            held_on=held_on,
            created_at=self._clock.now(),
            audience=audience,
            state=State.WORKING,
            segments=len(transcript.segments),
            length_s=max(moments) if moments else None,
            remarks=transcript.remarks,
        )
        facts = ("language", "segments", "length_s")
        told = {"meeting_id": fresh.id} | {name: getattr(fresh, name) for name in facts}
        event = NewEvent(ADDED, 1, viewer.tenant_id, viewer.subject_id, fresh.created_at, SERVICE, told)
        with self._database.transaction() as connection:
            self._events.append(connection, event)
            meeting = store.add(connection, fresh, transcript)
        return self._start(meeting)

    def draw_again(self, viewer: Viewer, meeting_id: str) -> Meeting:
        """Draw a meeting out once more; what people judged stays as it is."""
        with self._database.read() as connection:
            meeting = store.get(connection, viewer, meeting_id)
        return self._start(meeting)

    def listed(self, viewer: Viewer, *, limit: int = 50, before: int | None = None) -> list[Meeting]:
        """Meetings this viewer may see, the latest first."""
        with self._database.read() as connection:
            return store.listed(connection, viewer, limit=limit, before=before)

    def get(self, viewer: Viewer, meeting_id: str) -> Kept:
        """One meeting with everything in it.

        Raises:
            NotFound: there is none that this viewer may see.
        """
        with self._database.read() as connection:
            return self._kept(connection, store.get(connection, viewer, meeting_id))

    def facts(self, viewer: Viewer, meeting_id: str) -> Meeting:
        """What is known of a meeting besides its words.

        Raises:
            NotFound: there is none that this viewer may see.
        """
        with self._database.read() as connection:
            return store.get(connection, viewer, meeting_id)

    def change(
        self, viewer: Viewer, meeting_id: str, *, title: str | None = None, held_on: date | None = None
    ) -> Meeting:
        """Give a meeting another title or day. Days that were counted from the old one are counted again."""
        facts: dict[str, Any] = {}
        if title is not None:
            if not title.strip():
                raise BadInput("a meeting has a title", hint="a word or two", param="title")
            facts["title"] = title.strip()[:_MOST_TITLE]
        if held_on is not None:
            facts["held_on"] = held_on
        with self._database.transaction() as connection:
            meeting = store.get(connection, viewer, meeting_id)
            if facts:
                store.change(connection, meeting.number, **facts)
            meeting = store.get(connection, viewer, meeting_id)
        return self._start(meeting) if held_on is not None else meeting

    def name_speakers(self, viewer: Viewer, meeting_id: str, names: Mapping[str, str]) -> Kept:
        """Call labels of the transcript by names; two labels of one name are one speaker from then on.

        Raises:
            BadInput: nobody of that label spoke, or the name is empty.
        """
        with self._database.transaction() as connection:
            meeting = store.get(connection, viewer, meeting_id)
            known = store.speakers_of(connection, meeting.number)
            labels = store.transcript(connection, meeting).speakers
            named = []
            for label, name in names.items():
                if label not in labels:
                    raise BadInput("nobody of that name speaks in this meeting", hint="reload the page", param="label")
                if not name.strip():
                    raise BadInput("a speaker has a name", hint="the label of the file is one", param="name")
                subject_id = known[label].subject_id if label in known else None
                named.append(Speaker(label, name.strip()[:200], subject_id))
            store.put_speakers(connection, meeting.number, named)
            return self._kept(connection, meeting)

    def claim_speaker(self, viewer: Viewer, meeting_id: str, label: str, *, is_me: bool) -> Kept:
        """Say that a speaker is oneself, or is not: when that person is erased, these words go too.

        Raises:
            BadInput: nobody of that label spoke.
            NotAllowed: somebody else is that speaker.
        """
        with self._database.transaction() as connection:
            meeting = store.get(connection, viewer, meeting_id)
            if label not in store.transcript(connection, meeting).speakers:
                raise BadInput("nobody of that name speaks in this meeting", hint="reload the page", param="label")
            known = store.speakers_of(connection, meeting.number).get(label, Speaker(label, label))
            if known.subject_id not in (None, viewer.subject_id):
                raise NotAllowed("somebody else said that this is them", hint="ask whoever brought the meeting")
            claimed = replace(known, subject_id=viewer.subject_id if is_me else None)
            store.put_speakers(connection, meeting.number, [claimed])
            return self._kept(connection, meeting)

    def share(self, viewer: Viewer, meeting_id: str, audience: Audience, people: Iterable[SubjectId] = ()) -> Meeting:
        """Say who may see a meeting.

        Raises:
            NotAllowed: it is another person's.
        """
        with self._database.transaction() as connection:
            meeting = self._managed(connection, viewer, meeting_id)
            store.share(connection, meeting.number, audience, people)
            return store.get(connection, viewer, meeting_id)

    def remove(self, viewer: Viewer, meeting_id: str) -> None:
        """Take a meeting away for good, with its words, lines and index.

        Raises:
            NotAllowed: it is another person's.
        """
        with self._database.transaction() as connection:
            store.remove(connection, self._managed(connection, viewer, meeting_id).number)

    def actions(
        self,
        viewer: Viewer,
        *,
        owner: str | None = None,
        statuses: Sequence[Status] = (Status.ACCEPTED, Status.EDITED),
        is_done: bool | None = None,
        due_before: date | None = None,
    ) -> list[Row]:
        """Actions of every meeting this viewer may see, those that are due first, each with the words it rests on."""
        with self._database.read() as connection:
            found = items.across(
                connection, viewer, kind=Kind.ACTION, statuses=statuses, is_done=is_done, due_before=due_before
            )
            known = store.of_numbers(connection, viewer, [number for number, _ in found])
            whole = {number: self._kept(connection, meeting) for number, meeting in known.items()}
        rows = [_row(whole[number], item) for number, item in found if number in whole]
        return [row for row in rows if owner is None or row.item.extraction.owner == owner]

    # ---- drawing out -------------------------------------------------------------------------------------------------

    def _start(self, meeting: Meeting) -> Meeting:
        if self._jobs is None or meeting.segments < LONG_SEGMENTS:
            self._draw(meeting, lambda share: None)
        else:
            job_id = self._jobs.start_once(DRAW, meeting.id, number=meeting.number)
            with self._database.transaction() as connection:
                store.change(connection, meeting.number, job_id=job_id, state=State.WORKING)
        with self._database.read() as connection:
            return store.by_number(connection, meeting.number) or meeting

    def _draw_by_job(self, number: int, progress: Progress) -> dict[str, Any]:
        with self._database.read() as connection:
            meeting = store.by_number(connection, number)
        if meeting is None:
            return {"items": 0}  # it was taken away meanwhile
        return {"items": self._draw(meeting, progress)}

    def _draw(self, meeting: Meeting, progress: Progress) -> int:
        """Draw out and keep. Whatever goes wrong, the words are there, and the page says that it can be tried again."""
        is_drawn = False
        try:
            fresh = self._drawn(meeting, progress)
            is_drawn = True
        finally:
            if not is_drawn:
                with self._database.transaction() as connection:
                    store.change(connection, meeting.number, state=State.FAILED)
        return fresh

    def _drawn(self, meeting: Meeting, progress: Progress) -> int:
        with self._database.read() as connection:
            transcript = store.transcript(connection, meeting)
        progress(0.05)
        index_part(self._database, meeting, SAID, passages(transcript))
        progress(0.5)
        found = drawn(transcript).items
        progress(0.9)
        with self._database.transaction() as connection:
            fresh = items.put_fresh(connection, meeting.number, found, self._clock.now())
            whole = items.of_meeting(connection, meeting.number)
            shown = self._shown(connection, meeting, whole)
            store.change(connection, meeting.number, state=State.READY, impression_id=shown)
        for part in ITEM_PARTS:
            index_part(self._database, meeting, part, item_passages(whole, transcript.segments, part))
        return fresh

    def _shown(self, connection: sa.Connection, meeting: Meeting, whole: Sequence[Item]) -> str:
        """Tell the log what is proposed. Whoever brought it and was erased since is not named again."""
        offers = [
            Offer(item.id, place, features={"confidence": item.extraction.confidence})
            for place, item in enumerate(whole, start=1)
        ]
        kinds = {item.id: [item.extraction.kind.value, item.extraction.made_by] for item in whole}
        owner_id = meeting.owner_id
        try:
            return self._signals.shown(
                connection, meeting.tenant_id, owner_id, EXTRACTED, offers, meeting_id=meeting.id, kinds=kinds
            )
        except ErasedSubject:
            return meeting.impression_id

    # ---- private -----------------------------------------------------------------------------------------------------

    def _managed(self, connection: sa.Connection, viewer: Viewer, meeting_id: str) -> Meeting:
        meeting = store.get(connection, viewer, meeting_id)
        if not meeting.may_manage(viewer):
            raise NotAllowed("this meeting is another person's", hint="ask whoever brought it")
        return meeting

    def _kept(self, connection: sa.Connection, meeting: Meeting) -> Kept:
        known = store.speakers_of(connection, meeting.number)
        names = store.names(known)
        said = store.transcript(connection, meeting)
        shown = Transcript(renamed(said, names), said.language, said.held_on, said.title, said.remarks)
        speakers = tuple(known.get(label, Speaker(label, label)) for label in said.speakers)
        drawn_out = tuple(_called(item, names) for item in items.of_meeting(connection, meeting.number))
        return Kept(meeting, shown, drawn_out, speakers, store.readers_of(connection, meeting.number))


def _called(item: Item, names: Mapping[str, str]) -> Item:
    owner = item.extraction.owner
    if owner is None or owner not in names:
        return item
    return replace(item, extraction=replace(item.extraction, owner=names[owner]))


def _row(kept: Kept, item: Item) -> Row:
    """An action with no more of its meeting than it rests on."""
    words = tuple(each for each in kept.transcript if each.id in item.extraction.evidence)
    current = next((each for each in kept.items if each.id == item.id), item)
    return Row(replace(kept.transcript, segments=words), current, kept.meeting.id)
