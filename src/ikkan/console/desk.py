"""What the operator's pages are handed, and the small things they all need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from ikkan.cloud.assembly import Cloud
from ikkan.cloud.values import LOCAL_TENANT
from ikkan.flywheel.service import Flywheel
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import IkkanError
from ikkan.ground.eventlog import EventLog
from ikkan.ground.ids import JobId, KeyId, TenantId
from ikkan.ground.jobs import Jobs, JobStatus
from ikkan.ground.money import format_micros
from ikkan.ground.settings import Settings
from ikkan.kit.frame import Frame
from ikkan.kit.session import Session
from ikkan.models.store import ModelStore

OFFICE = ZoneInfo("Asia/Tokyo")
DEFAULT = "default"
"""The alias everything that talks stands on, in the cloud's directory and in the model store."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """What is known of this machine: `profile` and `roofline` of `silicon.device`, as they are."""

    profile: Any
    """`silicon.device.DeviceProfile`."""
    roofline: Any
    """`silicon.device.Roofline`."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything the console may reach. Made by `bootstrap`, which also registers the jobs the pages start:

    `models.pull` (reference, use), `flywheel.run` (learnable, shuffle, thorough) and `silicon.measure`.
    """

    settings: Settings
    clock: Clock
    database: Database
    events: EventLog
    frame: Frame
    jobs: Jobs
    store: ModelStore
    cloud: Cloud
    flywheel: Flywheel
    sign_in: Callable[[str], Session | None]
    """A key, as typed, to a session; None if it is not one of ours. Reads the database."""
    use_model: Callable[[str], None]
    """Let the engine serve a stored model under the store's alias `default`, and start it again with it."""
    look_at_machine: Callable[[], Measurements | None] = lambda: None
    """The last measurements of this machine, or None. (`silicon.device.load` and `roofline`; handed in, because the
    module that measures knows kernels, which this process never loads.)"""
    engine: str = "local"
    """What the cloud's directory calls our own engine."""


def visible_tenant(session: Session) -> TenantId | None:
    """Whose rows this administrator sees: everyone's for the operator of this machine, else their own tenant's."""
    return None if session.tenant_id == LOCAL_TENANT else TenantId(session.tenant_id)


@dataclass(frozen=True, slots=True)
class UsageScope:
    """Whose use a person sees."""

    tenant_id: TenantId | None
    key_id: KeyId | None

    @classmethod
    def of(cls, session: Session) -> UsageScope:
        """An administrator sees what `visible_tenant` says; everyone else what their own key used."""
        if session.is_admin:
            return cls(visible_tenant(session), None)
        return cls(TenantId(session.tenant_id), KeyId(session.key_id) if session.key_id is not None else None)


def local_time(moment: datetime | None) -> str:
    """A moment as people in the office read it: Japan time, to the minute.

    >>> from datetime import UTC
    >>> local_time(datetime(2026, 6, 1, 20, 5, tzinfo=UTC)), local_time(None)
    ('2026-06-02 05:05', '–')
    """
    return moment.astimezone(OFFICE).strftime("%Y-%m-%d %H:%M") if moment else "–"


def money(micros: int, currency: str = "JPY") -> str:
    """An amount for people."""
    return format_micros(micros, currency)


def size(count: int) -> str:
    """Bytes for people, in powers of ten as shops and download pages count.

    >>> size(95_000_000), size(1_890_000_000), size(999)
    ('95 MB', '1.89 GB', '999 B')
    """
    for unit, one in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= one:
            return f"{count / one:.3g} {unit}"
    return f"{count} B"


def told(error: IkkanError) -> str:
    """An error as one line on a page that stays as it is."""
    return f"{error.message} – {error.hint}" if error.hint else error.message


async def form_of(request: Request) -> Mapping[str, str]:
    """The submitted form as plain strings."""
    return {name: str(value).strip() for name, value in (await request.form()).items()}


# ---- jobs ----------------------------------------------------------------------------------------------------------


SAID = {
    "reading events": "job.reading",
    "training and judging": "job.judging",
    "recording": "job.recording",
    "measuring": "job.measuring",
}
"""What jobs say of themselves, as words; what is not here is shown as it is (a model's name and megabytes)."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as `_job.html` draws it."""

    live: bool
    percent: int
    message: str
    message_key: str
    """The same in words that exist in both languages; empty for what a job says in its own."""
    error: str
    poll: str
    """Where to ask again."""

    @classmethod
    def of(cls, status: JobStatus, poll: str) -> JobView:
        error = told(status.error) if status.error else ""
        if status.state == "cancelled":
            error = error or "cancelled"
        percent = round(100 * min(max(status.progress, 0.0), 1.0))
        key = SAID.get(status.message, "" if status.message else "job.waiting")
        return cls(not status.is_finished, percent, status.message, key, error, poll)


async def job_view(desk: Desk, job_id: str, poll: str) -> JobView:
    """The job of this id. Raises `UnknownJob`."""
    return JobView.of(await asyncio.to_thread(desk.jobs.status, JobId(job_id)), f"{poll}/{job_id}")


async def live_job(desk: Desk, name: str, poll: str) -> JobView | None:
    """The job of this name that is still going, if any: a page that is opened again shows it again."""
    for status in await asyncio.to_thread(desk.jobs.list, limit=5, name=name):
        if not status.is_finished:
            return JobView.of(status, f"{poll}/{status.id}")
    return None


def job_fragment(desk: Desk, request: Request, job: JobView) -> Response:
    """The job's line on the page. When it is done, the page is loaded anew: what it made is to be seen."""
    response = desk.frame.render(request, "console/_job.html", job=job)
    if not job.live and not job.error:
        response.headers["hx-refresh"] = "true"
    return response
