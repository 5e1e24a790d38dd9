"""What the operator's pages are handed, and the small things they all need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request

from ikkan.cloud.service import Cloud
from ikkan.flywheel.service import Flywheel
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog
from ikkan.ground.ids import JobId
from ikkan.ground.jobs import Jobs, JobStatus
from ikkan.ground.money import format_micros
from ikkan.ground.settings import Settings
from ikkan.kit.frame import Frame
from ikkan.kit.session import Session
from ikkan.models.store import ModelStore


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything the console may reach. Made by `bootstrap`."""

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
    """A key, as typed, to a session; None if it is not one of ours."""
    use_model: Callable[[str], None]
    """Let the engine serve a stored model for chat."""
    forget_keys: Callable[[], None]
    """A key was made or revoked here: look again before trusting the cache."""


def local_time(moment: datetime | None) -> str:
    """A moment as people in the office read it: Japan time, to the minute."""
    return moment.astimezone(ZoneInfo("Asia/Tokyo")).strftime("%Y-%m-%d %H:%M") if moment else "–"


def money(micros: int, currency: str = "JPY") -> str:
    return format_micros(micros, currency)


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as `_job.html` draws it."""

    live: bool
    percent: int
    message: str
    error: str
    done_text: str

    @classmethod
    def of(cls, status: JobStatus, done_text: str) -> JobView:
        error = f"{status.error.message} {status.error.hint}".strip() if status.error else ""
        if status.state == "cancelled":
            error = error or "cancelled"
        return cls(not status.is_finished, round(100 * status.progress), status.message, error, done_text)


def latest_job(desk: Desk, *names: str) -> JobId | None:
    """The job of one of these names that is still going, if any."""
    for name in names:
        for status in desk.jobs.list(limit=5, name=name):
            if not status.is_finished:
                return status.id
    return None


async def form_of(request: Request) -> Mapping[str, Any]:
    """The submitted form as plain strings."""
    return {name: str(value).strip() for name, value in (await request.form()).items()}
