"""The page of what holds for all meetings: glossary, who writes, which systems are told and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from ikkan.apps.meetings.service import MeetingsService
from ikkan.apps.meetings.service.company import company_facts, hooks_of
from ikkan.apps.meetings.values import Viewer
from ikkan.kit import Parts


def company_page(
    parts: Parts,
    service: MeetingsService,
    viewer: Callable[[Request], Viewer],
    words: Callable[[Request], dict[str, str]],
) -> Callable[[Request], Awaitable[Response]]:
    """The handler of `/meetings/company`."""
    run = parts.database.run

    async def company(request: Request) -> Response:
        who = viewer(request)
        log = await run(hooks_of(service).log, who) if who.is_admin else []
        return parts.frame.render(
            request,
            "meetings/company.html",
            terms=await run(service.glossary.terms, who),
            facts=await company_facts(parts, service, who),
            manages=who.is_admin,
            log=[
                {
                    "id": each.id,
                    "event": each.event,
                    "state": each.state.value,
                    "tries": each.tries,
                    "told": each.told,
                    "at": f"{each.changed_at.astimezone():%Y-%m-%d %H:%M}",
                }
                for each in log
            ],
            script_words=words(request),
        )

    return company
