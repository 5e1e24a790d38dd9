"""A meeting that goes on: sound and captions come in, segments go out, and all of it is kept as it comes.

Sound is appended to a sealed file before it is acknowledged; the recogniser follows behind, from that file, as fast
as it can. So a slow one loses nothing, and `kill -9` costs at most the window that was being listened to - which is
listened to again. What is left at the end is heard by the worker's job.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import sqlalchemy as sa

from ikkan.apps.meetings.rules.hearing import RATE, Sieve, Window, Windows
from ikkan.apps.meetings.service.drawing import check_plan
from ikkan.apps.meetings.service.hearing import Transcriber
from ikkan.apps.meetings.service.listening import Listening
from ikkan.apps.meetings.service.sound import PCM, Growing
from ikkan.apps.meetings.service.transcribing import segment_of, sifted
from ikkan.apps.meetings.store import hearing, plans
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.values import LANGUAGES, Audience, Meeting, Plan, Segment, State, Viewer
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, Conflict, IkkanError, NotAllowed, NotFound, RequestTooLarge

BYTES_A_SECOND = RATE * 2
MOST_S = 12 * 3600
"""The longest meeting that goes on."""
MOST_FRAME_BYTES = 256 << 10
"""Eight seconds at once."""
MOST_CAPTION = 2_000
MOST_CAPTIONS = 50_000
_PORTION = BYTES_A_SECOND * 2
_LIVE_WINDOW_S = 12.0
"""Nobody waits longer for what they said to appear."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Where a meeting that goes on stands: from here on, go on."""

    meeting: Meeting
    offset: int
    """Bytes of sound that are kept."""
    captions: int
    """The number of the last caption that is kept."""
    segments: tuple[Segment, ...]
    hears: str
    """The recogniser; empty: sound is kept and heard by nobody."""


class Live:
    """Meetings that go on, in this process. One connection each; a newer one of the same person takes over."""

    def __init__(self, database: Database, clock: Clock, listening: Listening) -> None:
        self._database, self._clock, self._listening = database, clock, listening

    def begin(
        self,
        viewer: Viewer,
        *,
        title: str,
        language: str,
        held_on: date | None = None,
        audience: Audience = Audience.OWNER,
        plan: Plan = Plan(),
    ) -> Meeting:
        """A meeting begins: it is there, and empty. Once it is over it is drawn out by its plan.

        Raises:
            BadInput: a language other than ja, en and zh.
            ErasedSubject: this person was erased.
        """
        if language not in LANGUAGES:
            raise BadInput(f"there is no language {language!r} here", hint="ja, en or zh", param="language")
        check_plan(plan)
        shelf = self._listening.shelf
        shelf.require_person(viewer.tenant_id, viewer.subject_id)
        now = self._clock.now()
        called = title.strip()[:300] or f"{now:%Y-%m-%d %H:%M}"
        fresh = self._listening.fresh(viewer, called, language, held_on or now.date(), audience)
        with self._database.transaction() as connection:
            known = hearing.files(connection)
            meeting = store.add(connection, replace(fresh, state=State.LIVE), ())
            plans.put_plan(connection, meeting.number, plan)
            hearing.put_live(connection, meeting.number, now)
            hearing.put_sound(connection, shelf.begin(viewer.tenant_id, meeting.number))
        shelf.sweep(known)
        return meeting

    def open(self, viewer: Viewer, meeting_id: str) -> LiveMeeting:
        """Go on with a meeting, where it stands.

        Raises:
            NotFound: there is none for this viewer.
            NotAllowed: it is another person's.
            Conflict: it is over.
            AlreadyRunning: another process goes on with it.
        """
        with self._database.read() as connection:
            meeting = store.get(connection, viewer, meeting_id)
            noted, kept = hearing.live_of(connection, meeting.number), hearing.sound_of(connection, meeting.number)
        if not meeting.may_manage(viewer):
            raise NotAllowed("this meeting is another person's", hint="ask whoever began it")
        if meeting.state is not State.LIVE or noted is None or kept is None:
            raise Conflict("this meeting is over", hint="begin another one", meeting=meeting_id)
        return LiveMeeting(self._database, self._clock, self._listening, meeting, kept, *noted)

    def end(self, viewer: Viewer, meeting_id: str) -> Meeting:
        """A meeting is over: what is left of it is heard, and it is drawn out. Asked again, says where that is.

        Raises:
            NotFound, NotAllowed: see `open`.
        """
        try:
            going_on = self.open(viewer, meeting_id)
        except Conflict:
            with self._database.read() as connection:
                return store.get(connection, viewer, meeting_id)
        try:
            return going_on.end()
        finally:
            going_on.close()


class LiveMeeting:
    """One meeting that goes on. `write` and `caption` are for one thread, `hear` for another."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        listening: Listening,
        meeting: Meeting,
        kept: hearing.KeptSound,
        captions: int,
        began_at: datetime,
    ) -> None:
        self._database, self._clock, self._listening = database, clock, listening
        self.meeting, self._kept, self._captions, self._began_at = meeting, kept, captions, began_at
        assert kept.media_type == PCM, "live sound has no header"
        self._held = ExitStack()
        self._growing: Growing = listening.shelf.growing(meeting.tenant_id, kept)
        self._held.callback(self._growing.close)
        self._lock = threading.Lock()
        self._fed = round(kept.heard_s * RATE) * 2
        self._windows = Windows(start_s=self._fed / BYTES_A_SECOND, longest_s=_LIVE_WINDOW_S)
        self._sieve = Sieve()
        self._transcriber = self._recogniser()

    def ready(self) -> Ready:
        """Where it stands."""
        with self._database.read() as connection:
            segments = hearing.so_far(connection, self.meeting.number)
        hears = self._transcriber.name if self._transcriber else ""
        return Ready(self.meeting, self._growing.size, self._captions, segments, hears)

    @property
    def behind_s(self) -> float:
        """How much sound waits for the recogniser."""
        return (self._growing.size - self._fed) / BYTES_A_SECOND if self._transcriber else 0.0

    def write(self, data: bytes) -> int:
        """Keep sound: 16-bit little-endian mono at 16,000 a second. Returns how many bytes are kept.

        Raises:
            RequestTooLarge: more at once, or in all, than a meeting has.
            BadInput: half a sample.
        """
        if len(data) > MOST_FRAME_BYTES or self._growing.size + len(data) > MOST_S * BYTES_A_SECOND:
            raise RequestTooLarge(
                f"a meeting has at most {MOST_S // 3600} hours, and a message {MOST_FRAME_BYTES:,} bytes of sound",
                hint="end it and begin another; send smaller messages",
            )
        if len(data) % 2:
            raise BadInput("a sample has two bytes", hint="16-bit little-endian mono at 16,000 samples a second")
        return self._growing.append(data)

    def caption(self, seq: int, text: str, speaker: str = "", start_s: float | None = None) -> Segment | None:
        """Keep a line that somebody typed or a meeting tool wrote; None where it was kept before.

        Raises:
            BadInput: it is empty, too long, or a number was left out.
        """
        if seq <= self._captions:
            return None
        if seq != self._captions + 1:
            raise BadInput(f"caption {self._captions + 1} comes next", hint="send what was not acknowledged again",
                           param="seq")  # fmt: skip
        if not text.strip() or len(text) > MOST_CAPTION or len(speaker) > 200 or seq > MOST_CAPTIONS:
            raise BadInput(f"a caption has 1 to {MOST_CAPTION:,} letters", hint="cut it into lines", param="text")
        since_s = (self._clock.now() - self._began_at).total_seconds()
        at_s = round(start_s if start_s is not None else max(0.0, since_s), 2)
        segment = Segment("", speaker.strip(), text.strip(), at_s)
        with self._lock, self._database.transaction() as connection:
            self._require_there(connection)
            hearing.add_heard(connection, self.meeting.number, [segment])
            hearing.count_caption(connection, self.meeting.number, seq)
        self._captions = seq
        return segment

    def hear(self) -> Iterator[Segment]:
        """Listen to what came since, two seconds at most; what is given out is kept already."""
        if self._transcriber is None:
            return
        data = self._growing.read(self._fed, _PORTION)
        if len(data) < BYTES_A_SECOND // 5:
            return
        self._fed += len(data)
        for window in self._windows.feed(np.frombuffer(data, dtype="<i2").astype(np.float32) / np.float32(32_768)):
            yield from self._recognised(self._transcriber, window)

    def end(self) -> Meeting:
        """It is over: the worker hears what is left and draws it out."""
        with self._database.read() as connection:
            has_words = bool(hearing.so_far(connection, self.meeting.number))
        total = self._growing.finish()
        with self._lock, self._database.transaction() as connection:
            self._require_there(connection)
            hearing.end_live(connection, self.meeting.number)
            store.change(connection, self.meeting.number, state=State.WORKING)
            if total:
                is_heard = self._transcriber is None
                hearing.change_sound(connection, self.meeting.number, bytes=total, is_heard=is_heard)
            else:
                hearing.remove_sound(connection, self.meeting.number)
        self._growing.discard_tail()
        if not total:
            self._listening.shelf.discard(self._kept.file)
        if not total and not has_words:
            with self._database.transaction() as connection:
                store.change(connection, self.meeting.number, state=State.FAILED)
                return store.by_number(connection, self.meeting.number) or self.meeting
        return self._listening.start(self.meeting)

    def close(self) -> None:
        """Let go of the file; the meeting can go on by another connection."""
        self._held.close()

    def _recognised(self, transcriber: Transcriber, window: Window) -> Iterator[Segment]:
        heard = [segment_of(each) for each in sifted(transcriber, window, self.meeting.language, self._sieve)]
        with self._lock, self._database.transaction() as connection:
            self._require_there(connection)
            hearing.add_heard(connection, self.meeting.number, heard)
            hearing.change_sound(connection, self.meeting.number, heard_s=window.end_s)
        self._growing.sync()
        yield from heard

    def _require_there(self, connection: sa.Connection) -> None:
        if hearing.live_of(connection, self.meeting.number) is None:
            raise NotFound("this meeting is over or was taken away", hint="/meetings lists those you may see")

    def _recogniser(self) -> Transcriber | None:
        try:
            return self._listening.ears.transcriber(self.meeting.language)
        except IkkanError:  # none, or not for this language: sound is kept, captions are typed
            return None
