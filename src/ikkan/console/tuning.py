"""Trainings on the models page: how far each is, what came of it, and a button that stops it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.cloud.tuning.values import TuningJob
from ikkan.console.desk import Desk, local_time, visible_tenant
from ikkan.ground.errors import Conflict, NotFound

SHOWN = 10
_LOOKS = {"succeeded": " good", "failed": " bad"}
_STATES = {
    "validating_files": "tuning.validating_files",
    "queued": "tuning.queued",
    "running": "tuning.running",
    "succeeded": "tuning.succeeded",
    "failed": "tuning.failed",
    "cancelled": "tuning.cancelled",
}


def routes(desk: Desk) -> list[BaseRoute]:
    """The section by itself, which asks for itself again while something is going on, and its buttons."""

    async def fragment(request: Request) -> Response:
        return desk.frame.render(request, "console/_tuning.html", tuning=await shown(desk, request))

    async def show(request: Request) -> Response:
        desk.frame.require(request, admin=True)
        return await fragment(request)

    async def cancel(request: Request) -> Response:
        session = await desk.frame.require_post(request, admin=True)
        service = desk.cloud.tuning
        if service is None:
            raise NotFound("nothing is trained here", hint="/models")
        # Over in the meantime: the section shows how.
        with contextlib.suppress(Conflict):
            await asyncio.to_thread(service.cancel, visible_tenant(session), request.path_params["job_id"])
        return await fragment(request)

    return [Route("/models/tuning", show), Route("/models/tuning/{job_id}/cancel", cancel, methods=["POST"])]


async def shown(desk: Desk, request: Request) -> dict[str, Any]:
    """What the section draws."""
    service = desk.cloud.tuning
    session = desk.frame.require(request, admin=True)
    tenant_id = visible_tenant(session)
    page = None if service is None else await asyncio.to_thread(service.jobs, tenant_id, limit=SHOWN)
    jobs = [] if page is None else [_row(job, whose=tenant_id is None) for job in page.items]
    return {"live": any(job["live"] for job in jobs), "jobs": jobs}


def _row(job: TuningJob, *, whose: bool) -> dict[str, Any]:
    return {
        "id": job.id,
        "created": local_time(job.created_at),
        "tenant": job.tenant_id if whose else "",
        "base": job.base.name,
        "state_key": _STATES[job.state],
        "look": _LOOKS.get(job.state, ""),
        "percent": round(100 * job.fraction),
        "step": job.step,
        "steps": job.steps,
        "until": local_time(job.estimated_finish) if job.state == "running" and job.estimated_finish else "",
        "error": (job.error or {}).get("message") or "",
        "model": job.model_name if job.state == "succeeded" else "",
        "live": job.is_active,
    }
