"""The parts of this room, joined. `bootstrap` calls `assemble` once and hands the pieces on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from starlette.routing import BaseRoute

from ikkan.cloud.admin import AdminRoutes
from ikkan.cloud.door import Door, Subjects
from ikkan.cloud.feedback import FeedbackBook
from ikkan.cloud.freshness import Freshness
from ikkan.cloud.guards import Guard
from ikkan.cloud.keys import KeyHasher
from ikkan.cloud.ledger import Ledger
from ikkan.cloud.pipeline import Pipeline
from ikkan.cloud.router import Router
from ikkan.cloud.routes import OpenAIRoutes
from ikkan.cloud.service import CloudService
from ikkan.cloud.tuning.routes import TuningRoutes
from ikkan.cloud.tuning.service import RUN, TuningService
from ikkan.cloud.tuning.shelf import Shelf
from ikkan.cloud.tuning.values import Base, Trainer
from ikkan.cloud.tuning.work import TuningWork
from ikkan.cloud.upstreams.adapted import Loader
from ikkan.cloud.upstreams.openai_wire import HttpPool, Timeouts
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.jobs import Jobs

log = logging.getLogger(__name__)

STALE = timedelta(hours=1)
"""Where several gateways share a database, a reservation older than this has nobody behind it."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """Everything a gateway needs of this room."""

    pipeline: Pipeline
    router: Router
    door: Door
    service: CloudService
    feedback: FeedbackBook
    subjects: Subjects
    ledger: Ledger
    freshness: Freshness
    openai: OpenAIRoutes
    admin: AdminRoutes
    tuning: TuningService | None
    """Files, trainings and tuned models; None where nothing can be tuned."""
    tuning_routes: TuningRoutes | None
    http: HttpPool
    database: Database
    clock: Clock

    def routes(self) -> list[BaseRoute]:
        """`/v1/…` and `/admin/v1/…`, to be mounted at the root."""
        tuning = [] if self.tuning_routes is None else self.tuning_routes.routes()
        return [*tuning, *self.openai.routes(), *self.admin.routes()]

    def sweep(self, *, alone: bool) -> int:
        """Give back what a killed gateway left reserved, and queue the trainings it did not; returns how many attempts.

        Run at every start.

        Args:
            alone: no other gateway works on this database; then everything open is left over. Otherwise only what
                is older than an hour.
        """
        before = None if alone else self.clock.now() - STALE
        swept = 0
        while True:
            with self.database.transaction() as connection:
                # Beside working gateways one at a time: many budgets locked at once could wait for theirs in a ring.
                found = self.ledger.sweep(connection, before=before, limit=200 if alone else 1)
            swept += found
            if not found:
                break
        if self.tuning is not None and (lost := self.tuning.recover()):
            log.warning("trainings that a killed gateway wrote down were queued", extra={"jobs": lost})
        if swept:
            log.warning("reservations of a killed gateway were given back", extra={"attempts": swept})
        return swept

    async def close(self) -> None:
        """Record what was answered, then let go of every connection."""
        await self.pipeline.close()
        await self.router.close()
        await self.http.close()


@dataclass(frozen=True, slots=True)
class Workshop:
    """What fine-tuning needs besides the database."""

    files_dir: Path
    """Where tenants' files are kept."""
    work_dir: Path
    """Where a training keeps what it goes on from; may be found empty by a start."""
    upload_bytes: int
    """The largest file."""
    artifacts: ArtifactStore
    jobs: Jobs
    bases: Callable[[str], Base | None]
    """What our engine serves under a name, if adapters can be trained for it. Reads the disk."""
    trainer: Trainer


def assemble(
    database: Database,
    clock: Clock,
    events: EventLog,
    keys: Keys,
    *,
    allow_keyless: bool = False,
    secret_of: Callable[[str], str | None] = lambda name: None,
    guards: Sequence[Guard] = (),
    timeouts: Timeouts = Timeouts(),
    workshop: Workshop | None = None,
) -> Cloud:
    """Join the parts. Opens nothing and starts nothing.

    Args:
        keys: the installation's master key; API keys, pseudonyms and kept upstream keys depend on it.
        allow_keyless: `settings.allow_keyless_loopback`.
        secret_of: looks up an environment variable, for upstreams with `key_env`.
        guards: asked in this order about every text.
        workshop: what fine-tuning needs; without it nothing can be tuned here. Registers its job.
    """
    http = HttpPool()
    ledger = Ledger(clock)
    freshness = Freshness(database, KeyHasher(keys.master))
    loader = None if workshop is None else Loader(lambda made: workshop.artifacts.get(made).path, workshop.bases)
    router = Router(freshness, http, secret_of=secret_of, sealer=keys, timeouts=timeouts, tuned=loader)
    door = Door(freshness, allow_keyless=allow_keyless)
    pipeline = Pipeline(database, clock, ledger, events, router, guards=guards)
    feedback = FeedbackBook(events, clock)
    subjects = Subjects(keys.master)
    tuning = None if workshop is None else _tuning(workshop, database, clock, events, ledger, freshness)
    forgets = [] if tuning is None else [tuning.forget]
    service = CloudService(database, clock, keys, on_change=freshness.expire, forgets=forgets)
    return Cloud(
        pipeline=pipeline,
        router=router,
        door=door,
        service=service,
        feedback=feedback,
        subjects=subjects,
        ledger=ledger,
        freshness=freshness,
        openai=OpenAIRoutes(door, pipeline, router, feedback, subjects, database, tuning),
        admin=AdminRoutes(door, service, router, database),
        tuning=tuning,
        tuning_routes=None
        if tuning is None or workshop is None
        else TuningRoutes(door, tuning, router, subjects, workshop.files_dir, workshop.upload_bytes),
        http=http,
        database=database,
        clock=clock,
    )


def _tuning(
    workshop: Workshop, database: Database, clock: Clock, events: EventLog, ledger: Ledger, freshness: Freshness
) -> TuningService:
    shelf = Shelf(workshop.files_dir)
    work = TuningWork(database, clock, ledger, shelf, workshop.artifacts, workshop.trainer, workshop.work_dir)
    workshop.jobs.job(RUN)(work.run)
    return TuningService(
        database,
        clock,
        events,
        ledger,
        shelf,
        workshop.artifacts,
        workshop.jobs,
        work_dir=workshop.work_dir,
        bases=workshop.bases,
        on_change=freshness.expire,
    )
