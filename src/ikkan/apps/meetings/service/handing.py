"""Meetings left to the worker: noted before it can have them, and found out where it ended without saying so."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from ikkan.apps.meetings.rules.remarks import remark
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.store import plans
from ikkan.apps.meetings.values import Meeting, State
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import UnknownJob
from ikkan.ground.ids import JobId, made_at, new_id
from ikkan.ground.jobs import Jobs

PATIENCE = timedelta(minutes=1)
"""So long a job is waited for that was noted and is not in the queue: whoever started it may have been killed."""


def hand(database: Database, jobs: Jobs, job: str, meeting: Meeting) -> None:
    """Leave a meeting to the worker, by this job."""
    # Noted first: a job may be over before it is told that it was started, and its last word must be the last.
    job_id = JobId(new_id("job"))
    with database.transaction() as connection:
        store.change(connection, meeting.number, job_id=job_id, state=State.WORKING)
    given = None
    try:
        given = jobs.start_once(job, meeting.id, as_id=job_id, number=meeting.number)
    finally:
        if given is None:
            with database.transaction() as connection:
                stopped(connection, meeting.number)
    if given != job_id:  # one was at it already
        with database.transaction() as connection:
            store.change(connection, meeting.number, job_id=given)


def settled(database: Database, jobs: Jobs | None, clock: Clock, meeting: Meeting) -> Meeting:
    """A meeting as it stands. Where its job is over and never said so - it was cancelled before it began, or its
    worker was killed too often - nobody waits for it any longer."""
    if jobs is None or meeting.state is not State.WORKING or not _is_over(jobs, clock, meeting):
        return meeting
    with database.transaction() as connection:
        now = store.by_number(connection, meeting.number)
        if now is not None and (now.state, now.job_id) == (State.WORKING, meeting.job_id):
            stopped(connection, meeting.number)
            now = store.by_number(connection, meeting.number)
        return now or meeting


def stopped(connection: sa.Connection, number: int) -> None:
    """Nobody works on this meeting any more: the lines that are there stay, and it can be tried again."""
    plan = plans.plan(connection, number)
    if plan.made_level is None:
        store.change(connection, number, state=State.FAILED)
        return
    plans.made(connection, number, 0, model="", remarks=(remark("stopped"),))
    store.change(connection, number, state=State.READY)


def _is_over(jobs: Jobs, clock: Clock, meeting: Meeting) -> bool:
    if not meeting.job_id:  # brought, and not handed over yet
        return clock.now() - meeting.created_at > PATIENCE
    try:
        return jobs.status(JobId(meeting.job_id)).is_finished
    except UnknownJob:
        return clock.now() - made_at(meeting.job_id) > PATIENCE
