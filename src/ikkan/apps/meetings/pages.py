"""What people see of meetings, under `/meetings`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Route

from ikkan.kit import Parts

WORDS: dict[str, dict[str, str]] = {
    "meetings.title": {"ja": "Meetings", "en": "Meetings"},
}


def pages(parts: Parts) -> tuple[BaseRoute, ...]:
    async def home(request: Request) -> HTMLResponse:
        parts.frame.require(request)
        return parts.frame.render(request, "meetings/home.html")

    return (Route("/", home),)
