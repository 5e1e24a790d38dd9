"""The parts of this room, joined. `bootstrap` calls `assemble` once and hands the pieces on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

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
from ikkan.cloud.upstreams.openai_wire import HttpPool, Timeouts
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys

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
    http: HttpPool
    database: Database
    clock: Clock

    def routes(self) -> list[BaseRoute]:
        """`/v1/…` and `/admin/v1/…`, to be mounted at the root."""
        return [*self.openai.routes(), *self.admin.routes()]

    def sweep(self, *, alone: bool) -> int:
        """Give back what a killed gateway left reserved; returns how many attempts. Run at every start.

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
        if swept:
            log.warning("reservations of a killed gateway were given back", extra={"attempts": swept})
        return swept

    async def close(self) -> None:
        """Record what was answered, then let go of every connection."""
        await self.pipeline.close()
        await self.http.close()


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
) -> Cloud:
    """Join the parts. Opens nothing and starts nothing.

    Args:
        keys: the installation's master key; API keys, pseudonyms and kept upstream keys depend on it.
        allow_keyless: `settings.allow_keyless_loopback`.
        secret_of: looks up an environment variable, for upstreams with `key_env`.
        guards: asked in this order about every text.
    """
    http = HttpPool()
    ledger = Ledger(clock)
    freshness = Freshness(database, KeyHasher(keys.master))
    router = Router(freshness, http, secret_of=secret_of, sealer=keys, timeouts=timeouts)
    door = Door(freshness, allow_keyless=allow_keyless)
    pipeline = Pipeline(database, clock, ledger, events, router, guards=guards)
    feedback = FeedbackBook(events, clock)
    subjects = Subjects(keys.master)
    service = CloudService(database, clock, keys, on_change=freshness.expire)
    return Cloud(
        pipeline=pipeline,
        router=router,
        door=door,
        service=service,
        feedback=feedback,
        subjects=subjects,
        ledger=ledger,
        freshness=freshness,
        openai=OpenAIRoutes(door, pipeline, router, feedback, subjects, database),
        admin=AdminRoutes(door, service, router, database),
        http=http,
        database=database,
        clock=clock,
    )
