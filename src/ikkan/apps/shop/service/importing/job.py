"""The durable job that brings a file in."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ikkan.apps.shop.service.importing.importing import Importing
from ikkan.ground.ids import TenantId
from ikkan.ground.jobs import JobContext, Jobs

JOB = "shop.import"


def register(jobs: Jobs, importing: Importing) -> None:
    """Let the worker bring files in."""

    @jobs.job(JOB)
    def bring_in(context: JobContext, tenant_id: str, import_id: str) -> dict[str, Any]:
        def bring() -> dict[str, Any]:
            done = importing.run(TenantId(tenant_id), import_id, context.progress)
            return asdict(done.counts)

        # One step: what was done of it is known by its row, not by the job.
        return context.step("bring", bring)
