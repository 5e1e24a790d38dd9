"""The events page: what was recorded, by kind and lately; contents stay sealed."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.console.desk import Desk, local_time
from ikkan.ground.ids import TenantId

SHOWN = 50


def routes(desk: Desk) -> list[BaseRoute]:
    """The page."""

    async def show(request: Request) -> Response:
        session = desk.frame.require(request, admin=True)

        def look() -> tuple[list[dict[str, object]], list[dict[str, object]]]:
            tail = desk.events.tail(SHOWN, tenant_id=TenantId(session.tenant_id))
            names = sorted({event.name for event in tail})
            counts: list[dict[str, object]] = [{"name": name, "n": f"{desk.events.count(name):,}"} for name in names]
            rows: list[dict[str, object]] = [
                {
                    "when": local_time(event.recorded_at),
                    "name": event.name,
                    "person": event.subject_id,
                    "purpose": event.purpose,
                }
                for event in tail
            ]
            return counts, rows

        counts, rows = await desk.database.run(look)
        return desk.frame.render(request, "console/events.html", counts=counts, events=rows)

    return [Route("/events", show)]
