"""From a recording to a transcript: read in blocks, cut to voice, recognised window by window, kept as it goes.

The job goes on after `kill -9` where the last window ended. Silence is never sent to a recogniser.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, BinaryIO

from ikkan.apps.meetings.rules.hearing import Sieve
from ikkan.apps.meetings.rules.remarks import remark
from ikkan.apps.meetings.rules.transcripts.reading import language_of
from ikkan.apps.meetings.service.handing import hand
from ikkan.apps.meetings.service.hearing import Ears
from ikkan.apps.meetings.service.sound import Shelf, Sound, open_sound
from ikkan.apps.meetings.service.transcribing import (
    Progress,
    listen,
    nobody_speaks,
    remarks_of,
    segment_of,
    turns_of,
)
from ikkan.apps.meetings.store import hearing, plans
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.values import ADDED, LANGUAGES, Audience, Meeting, Plan, State, Viewer
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, ErasedSubject, RequestTooLarge
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import JobId, new_id
from ikkan.ground.jobs import JobContext, Jobs

log = logging.getLogger(__name__)

HEAR = "meetings.hear"
"""The durable job that listens to a recording and draws it out."""
_TURNS_SHARE = 0.08
"""Of the bar, what finding out who speaks takes."""
_DRAW_FROM = 0.9
_ASK = remark("language_asked")
"""A remark that is gone when it was."""


class Listening:
    """Takes recordings in and turns them into transcripts.

    Args:
        draw: begins to draw a meeting out, by its number, once its words are there.
        most_bytes: the largest recording.
    """

    def __init__(
        self,
        database: Database,
        events: EventLog,
        clock: Clock,
        jobs: Jobs | None,
        shelf: Shelf,
        ears: Ears,
        draw: Callable[[int], None],
        *,
        most_bytes: int,
    ) -> None:
        self._database, self._events, self._clock, self._jobs = database, events, clock, jobs
        self.shelf, self.ears, self._draw = shelf, ears, draw
        self.most_bytes = most_bytes
        if jobs is not None:

            @jobs.job(HEAR)
            def hear(context: JobContext, number: int) -> dict[str, Any]:
                heard = context.step("hear", lambda: self.hear(number, context.progress, context))
                context.step("draw", lambda: self._draw(number))
                return {"segments": heard}

    def check(self, size: int, language: str | None) -> None:
        """Refuse what could not be heard, before it is taken.

        Raises:
            RequestTooLarge, SetupNeeded, BadInput: it is too large, there is no recogniser, or not for this language.
        """
        if language is not None and language not in LANGUAGES:
            raise BadInput(f"there is no language {language!r} here", hint="ja, en or zh", param="language")
        if size > self.most_bytes:
            raise RequestTooLarge(
                f"a recording has at most {self.most_bytes:,} bytes, and this has {size:,}",
                hint="as flac or ogg it is smaller; or raise IKKAN_SOUND_BYTES",
                bytes=size,
            )
        self.ears.transcriber(language)

    def bring(
        self,
        viewer: Viewer,
        file: BinaryIO,
        size: int,
        filename: str,
        *,
        language: str | None = None,
        held_on: date | None = None,
        title: str,
        audience: Audience = Audience.OWNER,
        meeting_id: str | None = None,
        plan: Plan = Plan(),
    ) -> Meeting:
        """Keep a recording, sealed, and begin to listen to it; then it is drawn out by its plan.

        Raises:
            UnsupportedFormat: nobody here decodes it.
            RequestTooLarge, SetupNeeded, BadInput: see `check`.
            ErasedSubject: this person was erased.
        """
        opened = open_sound(file, filename)
        length_s = opened.length_s
        opened.close()
        self.check(size, language)
        self.shelf.require_person(viewer.tenant_id, viewer.subject_id)
        file.seek(0)
        kept = self.shelf.keep(file, viewer.tenant_id, 0, filename)
        fresh = self.fresh(viewer, title, language, held_on, audience, meeting_id)
        is_kept = False
        try:
            with self._database.transaction() as connection:
                meeting = store.add(connection, replace(fresh, length_s=length_s), ())
                hearing.put_sound(connection, replace(kept, number=meeting.number))
                plans.put_plan(connection, meeting.number, plan)
            is_kept = True
        finally:
            if not is_kept:
                self.shelf.discard(kept.file)
        return self.start(meeting)

    def fresh(
        self,
        viewer: Viewer,
        title: str,
        language: str | None,
        held_on: date | None,
        audience: Audience,
        meeting_id: str | None = None,
    ) -> Meeting:
        """A meeting without words yet. Its language is asked of the words where nobody said it."""
        return Meeting(
            id=meeting_id or new_id("meeting"),
            number=0,
            tenant_id=viewer.tenant_id,
            owner_id=viewer.subject_id,
            title=title,
            language=language or "en",
            held_on=held_on,
            created_at=self._clock.now(),
            audience=audience,
            state=State.WORKING,
            remarks=() if language else (_ASK,),
        )

    def start(self, meeting: Meeting) -> Meeting:
        """Let the worker listen, or listen now where there is none."""
        if self._jobs is None:
            self.hear(meeting.number, lambda share: None)
            self._draw(meeting.number)
        else:
            hand(self._database, self._jobs, HEAR, meeting)
        with self._database.read() as connection:
            return store.by_number(connection, meeting.number) or meeting

    def is_unheard(self, meeting: Meeting) -> bool:
        """Whether something is left to listen to."""
        with self._database.read() as connection:
            sound = hearing.sound_of(connection, meeting.number)
            return (sound is not None and not sound.is_heard) or bool(hearing.so_far(connection, meeting.number))

    def cancel(self, meeting: Meeting) -> Meeting:
        """Stop listening. What was heard so far stays, and listening can go on from there."""
        if self._jobs is not None and meeting.job_id and meeting.state is State.WORKING:
            self._jobs.cancel(JobId(meeting.job_id))
            with self._database.transaction() as connection:
                store.change(connection, meeting.number, state=State.FAILED)
        with self._database.read() as connection:
            return store.by_number(connection, meeting.number) or meeting

    def hear(self, number: int, progress: Progress, job: JobContext | None = None) -> int:
        """Listen to what is left of a meeting's sound, and make words of all that was heard; returns the segments.

        Safe to repeat: it goes on after the last window that was kept.
        """

        def told(share: float) -> None:
            if job is not None:
                job.check()  # progress is written, and looked at, only now and then
            progress(share)

        is_done = False
        try:
            made = self._hear(number, told)
            is_done = True
        finally:
            if not is_done:
                self._gave_up(number, job)
        return made

    def _gave_up(self, number: int, job: JobContext | None) -> None:
        """The page says that it can be tried again; unless this was stopped, and somebody does so already."""
        is_stopped = self._jobs is not None and job is not None and self._jobs.status(job.job_id).state == "cancelled"
        with self._database.transaction() as connection:
            meeting = store.by_number(connection, number)
            if meeting is not None and not (is_stopped and job is not None and meeting.job_id != job.job_id):
                store.change(connection, number, state=State.FAILED)

    def _hear(self, number: int, progress: Progress) -> int:
        with self._database.transaction() as connection:
            meeting = store.by_number(connection, number)
            kept = hearing.sound_of(connection, number)
            if meeting is not None:
                store.change(connection, number, state=State.WORKING)
        if meeting is None:
            return 0  # it was taken away meanwhile
        remarks: list[str] = []
        length_s = meeting.length_s
        if kept is not None and not kept.is_heard:
            sound = self.shelf.open(meeting.tenant_id, kept)
            try:
                remarks, length_s = self._heard(meeting, kept, sound, progress)
            finally:
                sound.close()
        return self._words(meeting, remarks, length_s)

    def _heard(
        self, meeting: Meeting, kept: hearing.KeptSound, sound: Sound, progress: Progress
    ) -> tuple[list[str], float]:
        language = None if _ASK in meeting.remarks else meeting.language
        transcriber = self.ears.transcriber(language)
        sieve = Sieve()
        turns = turns_of(sound, meeting.language, self.ears.diariser, lambda share: progress(_TURNS_SHARE * share))
        begun = _TURNS_SHARE if turns else 0.0
        at_s, noted_s = kept.heard_s, kept.heard_s
        for step in listen(sound, transcriber, language, sieve, start_s=kept.heard_s, turns=turns):
            at_s = max(at_s, step.at_s)
            share = min(1.0, at_s / sound.length_s) if sound.length_s else 0.5
            progress(begun + (_DRAW_FROM - begun) * share)  # first: what was stopped keeps no more
            if step.heard or at_s - noted_s > 60:
                with self._database.transaction() as connection:
                    if hearing.sound_of(connection, meeting.number) is None:
                        break  # somebody took the meeting away, or was forgotten with its sound
                    hearing.add_heard(connection, meeting.number, map(segment_of, step.heard))
                    hearing.change_sound(connection, meeting.number, heard_s=at_s)
                noted_s = at_s
        with self._database.transaction() as connection:
            hearing.change_sound(connection, meeting.number, heard_s=at_s, is_heard=True)
        return remarks_of(transcriber, sieve), sound.length_s or at_s

    def _words(self, meeting: Meeting, remarks: Sequence[str], length_s: float | None) -> int:
        """Make the meeting's words of what was heard."""
        with self._database.transaction() as connection:
            if store.by_number(connection, meeting.number) is None:
                return 0
            segments = hearing.so_far(connection, meeting.number)
            if not segments:
                already = store.transcript(connection, replace(meeting, state=State.READY)).segments
                if already:
                    return len(already)  # this step ran before
            ends = [at for each in segments for at in (each.start_s, each.end_s) if at is not None]
            facts: dict[str, Any] = {
                "segments": len(segments),
                "length_s": max([*ends, *([] if length_s is None else [length_s])], default=None),
                "remarks": [*(each for each in meeting.remarks if each != _ASK), *remarks],
            }
            if _ASK in meeting.remarks and segments:
                facts["language"] = language_of("\n".join(each.text for each in segments))
            store.put_words(connection, meeting.number, segments)
            store.change(connection, meeting.number, **facts)
            hearing.clear_heard(connection, meeting.number)
            if segments:
                self._tell(connection, meeting, facts)
        if not segments:
            raise nobody_speaks()
        return len(segments)

    def _tell(self, connection: Any, meeting: Meeting, facts: dict[str, Any]) -> None:
        told = {"meeting_id": meeting.id, "language": meeting.language, **facts}
        del told["remarks"]
        event = NewEvent(ADDED, 1, meeting.tenant_id, meeting.owner_id, self._clock.now(), SERVICE, told)
        with contextlib.suppress(ErasedSubject):  # whoever brought it was forgotten since; others still see it
            self._events.append(connection, event)
