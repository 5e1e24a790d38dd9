"""What people see of shop, under `/shop`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Route

from ikkan.kit import Parts

WORDS: dict[str, dict[str, str]] = {
    "shop.title": {"ja": "Shop", "en": "Shop"},
}


def pages(parts: Parts) -> tuple[BaseRoute, ...]:
    async def home(request: Request) -> HTMLResponse:
        parts.frame.require(request)
        return parts.frame.render(request, "shop/home.html")

    return (Route("/", home),)
