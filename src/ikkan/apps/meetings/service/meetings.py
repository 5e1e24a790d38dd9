"""Meetings kept in the house: brought, drawn out, judged, found, shared and taken away.

Every method is synchronous and asks the database; doors run them with `Database.run` or in a thread. Each takes the
`Viewer` first: what is not theirs to see is not there.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ikkan.apps.meetings.rules.exports import Row
from ikkan.apps.meetings.rules.hooks import MINUTES_READY
from ikkan.apps.meetings.service.bringing import MOST_TITLE, Bringing
from ikkan.apps.meetings.service.corrections import Corrections
from ikkan.apps.meetings.service.drawing import check_plan
from ikkan.apps.meetings.service.glossary import Glossary
from ikkan.apps.meetings.service.handing import settled
from ikkan.apps.meetings.service.hearing import Ears
from ikkan.apps.meetings.service.hooks import Hooks
from ikkan.apps.meetings.service.judging import Judging
from ikkan.apps.meetings.service.kept import kept, row
from ikkan.apps.meetings.service.listening import Listening
from ikkan.apps.meetings.service.live import Live
from ikkan.apps.meetings.service.searching import Searching
from ikkan.apps.meetings.service.sound import Shelf
from ikkan.apps.meetings.service.uploads import Uploads
from ikkan.apps.meetings.service.working import Working, Writes, fresh_plan
from ikkan.apps.meetings.store import hearing, items, plans
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.store.hearing import KeptSound
from ikkan.apps.meetings.values import Audience, Embed, Kept, Kind, Meeting, Plan, Speaker, State, Status, Viewer
from ikkan.cloud.values import Principal
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, Conflict, NotAllowed
from ikkan.ground.eventlog import EventLog
from ikkan.ground.ids import SubjectId
from ikkan.ground.jobs import Jobs
from ikkan.kit import Signals


class MeetingsService:
    """The use cases. Made once in each process; the worker's executes the job.

    Args:
        jobs: where long meetings go; None draws them out at once.
        most_bytes: the largest transcript.
        writes: has a model write minutes; None: Level 0 always.
        hooks: tells the company's own systems; None: nobody.
        corrections: what people's judgements taught; None: the shipped weights alone.
        embed: texts to unit vectors: then English meetings are searched by meaning too.
        shelf: where the sound of meetings lies; without it, sound is refused.
        ears: what recognises speech.
        most_sound_bytes: the largest recording.
        staging: where uploads come in.
    """

    def __init__(
        self,
        database: Database,
        events: EventLog,
        clock: Clock,
        jobs: Jobs | None,
        *,
        most_bytes: int,
        writes: Writes | None = None,
        hooks: Hooks | None = None,
        corrections: Corrections | None = None,
        embed: Embed | None = None,
        shelf: Shelf | None = None,
        ears: Ears | None = None,
        most_sound_bytes: int = 0,
        staging: Path | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._jobs = jobs
        self.most_bytes = most_bytes
        signals = Signals(events, clock)
        self.hooks = hooks
        self.judging = Judging(database, signals, clock, hooks)
        self.searching = Searching(database, embed=embed)
        self.glossary = Glossary(database, clock)
        self._working = Working(
            database, signals, clock, jobs, writes=writes, hooks=hooks, corrections=corrections, embed=embed
        )

        self.listening: Listening | None = None
        if shelf is not None and ears is not None:
            self.listening = Listening(
                database, events, clock, jobs, shelf, ears, self._heard, most_bytes=most_sound_bytes
            )
            self.live = Live(database, clock, self.listening)
        self._bringing = Bringing(database, events, clock, self._working, self.listening, most_bytes=most_bytes)
        if staging is not None:
            most = max(most_bytes, most_sound_bytes)
            self.uploads = Uploads(database, clock, staging, self._bringing, most_bytes=most)

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
        plan: Plan = Plan(),
    ) -> Meeting:
        """Keep a transcript, or a short recording; see `Bringing.bring_file`, which takes open files.

        Args:
            plan: at which level, for which form, on whose bill.

        Raises:
            RequestTooLarge: it is larger than transcripts are.
            BadInput: it cannot be read; `rules.transcripts.read` says how.
            ErasedSubject: this person was erased.
        """
        return self._bringing.bring_file(
            viewer,
            io.BytesIO(data),
            len(data),
            filename,
            language=language,
            held_on=held_on,
            title=title,
            audience=audience,
            plan=plan,
        )

    def draw_again(self, viewer: Viewer, meeting_id: str, plan: Plan | None = None) -> Meeting:
        """Draw a meeting out once more, by another plan if one is given; what people judged stays as it is.

        Sound that nobody listened to yet is heard first.

        Raises:
            Conflict: it is being drawn out now, or is not over yet.
        """
        if plan is not None:
            check_plan(plan)
        self.facts(viewer, meeting_id)
        with self._database.transaction() as connection:
            meeting = store.get(connection, viewer, meeting_id)
            if meeting.state is State.LIVE:
                raise Conflict("this meeting goes on", hint="end it first")
            if plan is not None:
                if meeting.state is State.WORKING:
                    raise Conflict("this meeting is being drawn out", hint="wait, or stop it first")
                plans.put_plan(connection, meeting.number, plan)
        if self.listening is not None and self._is_unheard(meeting):
            return self.listening.start(meeting)
        return self._working.start(meeting)

    def stop(self, viewer: Viewer, meeting_id: str) -> Meeting:
        """Stop a model that writes, or listening to a recording. Lines stay; `draw_again` goes on where that stopped.

        Raises:
            NotAllowed: it is another person's recording.
        """
        with self._database.read() as connection:
            meeting = store.get(connection, viewer, meeting_id)
        if self.listening is None or not self._is_unheard(meeting):
            self._working.stop(meeting)
        elif meeting.may_manage(viewer):
            self.listening.cancel(meeting)
        else:
            raise NotAllowed("this meeting is another person's", hint="ask whoever brought it")
        return self.facts(viewer, meeting_id)

    def plan(self, viewer: Viewer, meeting_id: str) -> Plan:
        """How a meeting is drawn out.

        Raises:
            NotFound: there is none that this viewer may see.
        """
        with self._database.read() as connection:
            return plans.plan(connection, store.get(connection, viewer, meeting_id).number)

    def sound(self, viewer: Viewer, meeting_id: str) -> KeptSound | None:
        """The sound of a meeting that this viewer may see; None where it has none, or goes on.

        Raises:
            NotFound: there is no such meeting for them.
        """
        with self._database.read() as connection:
            found = hearing.sound_of(connection, store.get(connection, viewer, meeting_id).number)
        return found if found is not None and found.bytes > 0 else None

    def listed(self, viewer: Viewer, *, limit: int = 50, before: int | None = None) -> list[Meeting]:
        """Meetings this viewer may see, the latest first."""
        with self._database.read() as connection:
            found = store.listed(connection, viewer, limit=limit, before=before)
        return [self._settled(meeting) for meeting in found]

    def get(self, viewer: Viewer, meeting_id: str) -> Kept:
        """One meeting with everything in it.

        Raises:
            NotFound: there is none that this viewer may see.
        """
        self.facts(viewer, meeting_id)
        with self._database.read() as connection:
            return kept(connection, store.get(connection, viewer, meeting_id))

    def facts(self, viewer: Viewer, meeting_id: str) -> Meeting:
        """What is known of a meeting besides its words.

        Raises:
            NotFound: there is none that this viewer may see.
        """
        with self._database.read() as connection:
            meeting = store.get(connection, viewer, meeting_id)
        return self._settled(meeting)

    def change(
        self,
        viewer: Viewer,
        meeting_id: str,
        *,
        title: str | None = None,
        held_on: date | None = None,
        on_bill_of: Principal | None = None,
    ) -> Meeting:
        """Give a meeting another title or day. Days that were counted from the old one are counted again."""
        facts: dict[str, Any] = {}
        if title is not None:
            if not title.strip():
                raise BadInput("a meeting has a title", hint="a word or two", param="title")
            facts["title"] = title.strip()[:MOST_TITLE]
        if held_on is not None:
            facts["held_on"] = held_on
        with self._database.transaction() as connection:
            meeting = store.get(connection, viewer, meeting_id)
            if facts:
                store.change(connection, meeting.number, **facts)
            meeting = store.get(connection, viewer, meeting_id)
            if held_on is not None and on_bill_of is not None:
                plan = plans.plan(connection, meeting.number)
                plans.put_plan(connection, meeting.number, fresh_plan(plan.level, plan.form, on_bill_of))
        return self._working.start(meeting) if held_on is not None and not self._is_unheard(meeting) else meeting

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
            return kept(connection, meeting)

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
            return kept(connection, meeting)

    def share(self, viewer: Viewer, meeting_id: str, audience: Audience, people: Iterable[SubjectId] = ()) -> Meeting:
        """Say who may see a meeting.

        Raises:
            NotAllowed: it is another person's.
        """
        with self._database.transaction() as connection:
            before = self._managed(connection, viewer, meeting_id)
            store.share(connection, before.number, audience, people)
            meeting = store.get(connection, viewer, meeting_id)
            is_news = meeting.audience is not before.audience and meeting.state is State.READY
            messages = self.hooks.tell(connection, meeting, MINUTES_READY) if self.hooks and is_news else []
        if self.hooks:
            self.hooks.start(messages)
        return meeting

    def remove(self, viewer: Viewer, meeting_id: str) -> None:
        """Take a meeting away for good, with its words, lines and index.

        Raises:
            NotAllowed: it is another person's.
        """
        with self._database.transaction() as connection:
            number = self._managed(connection, viewer, meeting_id).number
            recorded = hearing.sound_of(connection, number)
            store.remove(connection, number)
        if self.listening is not None and recorded is not None:
            self.listening.shelf.discard(recorded.file)

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
            whole = {number: kept(connection, meeting) for number, meeting in known.items()}
        rows = [row(whole[number], item) for number, item in found if number in whole]
        return [each for each in rows if owner is None or each.item.extraction.owner == owner]

    # ---- private -----------------------------------------------------------------------------------------------------

    def _settled(self, meeting: Meeting) -> Meeting:
        return settled(self._database, self._jobs, self._clock, meeting)

    def _heard(self, number: int) -> None:
        with self._database.read() as connection:
            meeting = store.by_number(connection, number)
        if meeting is not None:  # else it was taken away meanwhile
            self._working.start(meeting)

    def _is_unheard(self, meeting: Meeting) -> bool:
        """Whether words are still to come: it goes on, or is being listened to."""
        if meeting.state is State.LIVE:
            return True
        return self.listening is not None and self.listening.is_unheard(meeting)

    def _managed(self, connection: sa.Connection, viewer: Viewer, meeting_id: str) -> Meeting:
        meeting = store.get(connection, viewer, meeting_id)
        if not meeting.may_manage(viewer):
            raise NotAllowed("this meeting is another person's", hint="ask whoever brought it")
        return meeting
