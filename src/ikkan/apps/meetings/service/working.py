"""Kept meetings drawn out: at once, or by the worker with its progress shown; Level 0 first, a model after it.

Level 0's lines stand there while a model still writes, and stay where it is stopped or fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import sqlalchemy as sa

from ikkan.apps.meetings.rules.hooks import MINUTES_READY
from ikkan.apps.meetings.rules.items import itemised
from ikkan.apps.meetings.rules.level0 import spelled
from ikkan.apps.meetings.rules.level0.model import shipped
from ikkan.apps.meetings.rules.level0.offered import offered
from ikkan.apps.meetings.rules.search import item_passages, passages
from ikkan.apps.meetings.rules.search.passages import ITEM_PARTS, SAID
from ikkan.apps.meetings.service.corrections import Corrections, Draws
from ikkan.apps.meetings.service.drawing import drawn
from ikkan.apps.meetings.service.handing import hand, stopped
from ikkan.apps.meetings.service.hooks import Hooks
from ikkan.apps.meetings.service.indexing import index_part
from ikkan.apps.meetings.service.writing import Tell, Written
from ikkan.apps.meetings.store import glossary, items, plans
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.values import (
    ACTION_ITEMS,
    EXTRACTED,
    Embed,
    Extraction,
    Item,
    Meeting,
    Plan,
    State,
    Transcript,
)
from ikkan.cloud.values import USER, Principal
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import ErasedSubject, UnknownJob
from ikkan.ground.ids import JobId
from ikkan.ground.jobs import JobContext, Jobs
from ikkan.kit import Offer, Signals

DRAW = "meetings.draw"
"""The durable job that draws a meeting out."""
LONG_SEGMENTS = 2_000
"""From here on a meeting is drawn out by the worker, and the page shows how far it is."""
_LEVEL0_DONE = 0.2
"""How far it is when Level 0 is done and a model begins."""


class Writes(Protocol):
    """Whoever has a model write: `service.writing.Turns`."""

    def write(
        self,
        principal: Principal,
        transcript: Transcript,
        found: Sequence[Extraction],
        *,
        form: str,
        glossary: Mapping[str, str],
        tell: Tell,
    ) -> Written:
        """The minutes of a meeting; Level 0's where the model fails."""
        ...


class Working:
    """Draws out. Made once in each process; the worker's executes the job.

    Args:
        jobs: where work goes that takes longer than a click; None does it at once.
        writes: has a model write; None: Level 0 always.
        hooks: tells other systems of what is finished.
        corrections: what people's judgements taught; None: the shipped weights alone.
        embed: texts to unit vectors, for search by meaning.
    """

    def __init__(
        self,
        database: Database,
        signals: Signals,
        clock: Clock,
        jobs: Jobs | None,
        *,
        writes: Writes | None = None,
        hooks: Hooks | None = None,
        corrections: Corrections | None = None,
        embed: Embed | None = None,
    ) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock
        self._jobs = jobs
        self._writes = writes
        self._hooks = hooks
        self._corrections = corrections
        self._embed = embed
        if jobs is not None:

            @jobs.job(DRAW)
            def draw(context: JobContext, number: int) -> dict[str, Any]:
                return context.step("draw", lambda: self._by_job(number, context.progress))

    def start(self, meeting: Meeting) -> Meeting:
        """Draw a meeting out by its plan; what takes long is left to the worker."""
        with self._database.read() as connection:
            plan = plans.plan(connection, meeting.number)
        wants_model = plan.level == 1 and self._writes is not None
        if self._jobs is None or (meeting.segments < LONG_SEGMENTS and not wants_model):
            self._draw(meeting, lambda share: None)
        else:
            if meeting.segments < LONG_SEGMENTS:
                self._keep_level0(meeting, State.WORKING)
            hand(self._database, self._jobs, DRAW, meeting)
        with self._database.read() as connection:
            return store.by_number(connection, meeting.number) or meeting

    def stop(self, meeting: Meeting) -> None:
        """Stop what is being done about a meeting; lines that are there stay."""
        if meeting.state is not State.WORKING:
            return
        if self._jobs is not None and meeting.job_id:
            with suppress(UnknownJob):  # its row was cleared away
                self._jobs.cancel(JobId(meeting.job_id))
        self._stopped(meeting)

    def _by_job(self, number: int, progress: Tell) -> dict[str, Any]:
        with self._database.read() as connection:
            meeting = store.by_number(connection, number)
        if meeting is None:
            return {"items": 0}  # it was taken away meanwhile
        return {"items": self._draw(meeting, progress)}

    def _draw(self, meeting: Meeting, progress: Tell) -> int:
        """Draw out and keep. Whatever goes wrong, the words are there, and the page says that it can be tried again."""
        is_drawn = False
        try:
            fresh = self._drawn(meeting, progress)
            is_drawn = True
        finally:
            if not is_drawn:
                self._stopped(meeting)
        return fresh

    def _stopped(self, meeting: Meeting) -> None:
        with self._database.transaction() as connection:
            stopped(connection, meeting.number)

    def _drawn(self, meeting: Meeting, progress: Tell) -> int:
        with self._database.read() as connection:
            plan = plans.plan(connection, meeting.number)
            terms = glossary.terms(connection, meeting.tenant_id)
        if plan.level == 0 or self._writes is None:
            return self._keep_level0(meeting, State.READY, progress)
        if plan.made_level is None or meeting.segments >= LONG_SEGMENTS:  # else whoever started it has done so
            self._keep_level0(meeting, State.WORKING, lambda share: progress(share * _LEVEL0_DONE))
        with self._database.read() as connection:
            transcript = store.transcript(connection, meeting)
        draws = self._draws(meeting)
        found = [item.extraction for item in drawn(transcript, glossary=terms, model=draws.model).items]
        written = self._writes.write(
            Principal(meeting.tenant_id, plan.key_id, plan.subject_id, frozenset({USER})),
            spelled(transcript, terms),
            found,
            form=plan.form,
            glossary=terms,
            tell=lambda share: progress(_LEVEL0_DONE + (1 - _LEVEL0_DONE) * 0.98 * share),
        )
        return self._keep(meeting, transcript, itemised(written.extractions), State.READY, written, draws)

    def _draws(self, meeting: Meeting) -> Draws:
        return self._corrections.of(meeting) if self._corrections is not None else Draws(shipped())

    def _keep_level0(self, meeting: Meeting, state: State, progress: Callable[[float], None] = lambda _: None) -> int:
        with self._database.read() as connection:
            transcript = store.transcript(connection, meeting)
            terms = glossary.terms(connection, meeting.tenant_id)
        progress(0.05)
        embed = self._embed if meeting.language == "en" else None
        index_part(self._database, meeting, SAID, passages(transcript), embed=embed)
        progress(0.5)
        draws = self._draws(meeting)
        found = drawn(transcript, glossary=terms, model=draws.model).items
        progress(0.9)
        return self._keep(meeting, transcript, found, state, Written((), 0), draws)

    def _keep(
        self,
        meeting: Meeting,
        transcript: Transcript,
        found: Sequence[Item],
        state: State,
        written: Written,
        draws: Draws,
    ) -> int:
        messages: list[str] = []
        known = offered(transcript, found)
        with self._database.transaction() as connection:
            fresh = items.put_fresh(connection, meeting.number, found, self._clock.now())
            whole = items.of_meeting(connection, meeting.number)
            shown = self._shown(connection, meeting, whole, known, draws)
            plans.made(connection, meeting.number, written.level, model=written.model, remarks=written.remarks)
            store.change(connection, meeting.number, state=state, impression_id=shown)
            current = store.by_number(connection, meeting.number)
            if self._hooks is not None and state is State.READY and current is not None:
                messages = self._hooks.tell(connection, current, MINUTES_READY)
        for part in ITEM_PARTS:
            index_part(self._database, meeting, part, item_passages(whole, transcript.segments, part))
        if self._hooks is not None:
            self._hooks.start(messages)
        return fresh

    def _shown(
        self,
        connection: sa.Connection,
        meeting: Meeting,
        whole: Sequence[Item],
        known: Mapping[str, Mapping[str, float]],
        draws: Draws,
    ) -> str:
        """Tell the log what is proposed. Whoever brought it and was erased since is not named again."""
        offers = [
            Offer(item.id, place, features={"confidence": item.extraction.confidence, **known.get(item.id, {})})
            for place, item in enumerate(whole, start=1)
        ]
        kinds = {item.id: [item.extraction.kind.value, item.extraction.made_by] for item in whole}
        owner_id = meeting.owner_id
        try:
            return self._signals.shown(
                connection,
                meeting.tenant_id,
                owner_id,
                EXTRACTED,
                offers,
                artifact=draws.artifact_ids.get(ACTION_ITEMS),
                artifact_ids=dict(draws.artifact_ids),
                meeting_id=meeting.id,
                kinds=kinds,
            )
        except ErasedSubject:
            return meeting.impression_id


def fresh_plan(level: int, form: str, principal: Principal | None) -> Plan:
    """A plan nobody has followed yet, on the bill of whoever asks."""
    if principal is None:
        return Plan(level, form)
    return Plan(level, form, principal.key_id, principal.subject_id)
