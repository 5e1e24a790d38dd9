"""A file becomes a meeting: a transcript is read and drawn out, a recording is listened to first."""

from __future__ import annotations

from datetime import date
from typing import BinaryIO

from ikkan.apps.meetings.rules.transcripts import read
from ikkan.apps.meetings.rules.transcripts.sound import sound
from ikkan.apps.meetings.service.drawing import check_plan, check_size
from ikkan.apps.meetings.service.listening import Listening
from ikkan.apps.meetings.service.working import Working
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.store import plans
from ikkan.apps.meetings.values import ADDED, Audience, Meeting, Plan, State, Viewer
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import new_id

MOST_TITLE = 300


class Bringing:
    """Takes files in.

    Args:
        listening: takes recordings; None: sound is refused.
        most_bytes: the largest transcript.
    """

    def __init__(
        self,
        database: Database,
        events: EventLog,
        clock: Clock,
        working: Working,
        listening: Listening | None,
        *,
        most_bytes: int,
    ) -> None:
        self._database, self._events, self._clock = database, events, clock
        self._working, self._listening = working, listening
        self._most_bytes = most_bytes

    def bring_file(
        self,
        viewer: Viewer,
        file: BinaryIO,
        size: int,
        filename: str,
        *,
        language: str | None = None,
        held_on: date | None = None,
        title: str = "",
        audience: Audience = Audience.OWNER,
        meeting_id: str | None = None,
        plan: Plan = Plan(),
    ) -> Meeting:
        """Keep an open file as a meeting. Recordings are not read whole; what takes long is left to the worker.

        Args:
            plan: at which level, for which form, on whose bill.

        Raises:
            RequestTooLarge: it is larger than transcripts, or recordings, are.
            BadInput: it cannot be read; `rules.transcripts.read` says how.
            ErasedSubject: this person was erased.
        """
        check_plan(plan)
        called = (title.strip() or filename.rpartition("/")[2].rpartition(".")[0] or filename)[:MOST_TITLE]
        head = file.read(512)
        file.seek(0)
        ending = filename.rpartition(".")[2].lower() if "." in filename else ""
        if self._listening is not None and sound(head, ending) is not None:
            return self._listening.bring(
                viewer,
                file,
                size,
                filename,
                language=language,
                held_on=held_on,
                title=called,
                audience=audience,
                meeting_id=meeting_id,
                plan=plan,
            )
        check_size(size, self._most_bytes)
        data = file.read()
        transcript = read(data, filename, language=language, held_on=held_on, title=called)
        moments = [at for each in transcript for at in (each.start_s, each.end_s) if at is not None]
        fresh = Meeting(
            id=meeting_id or new_id("meeting"),
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
            plans.put_plan(connection, meeting.number, plan)
        return self._working.start(meeting)
