"""The door for people: sign in with a key, sign out, and how the pages look to this browser."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.console.desk import Desk, form_of
from ikkan.kit.frame import own_path
from ikkan.kit.language import COOKIE as LANGUAGE_COOKIE
from ikkan.kit.language import LANGUAGES

THEME_COOKIE = "ikkan_theme"
_YEAR_S = 365 * 24 * 3600


def routes(desk: Desk) -> list[BaseRoute]:
    """Sign in, sign out, preferences."""
    frame = desk.frame

    async def ask(request: Request) -> Response:
        return frame.render(
            request, "console/sign_in.html", next=own_path(request.query_params.get("next", "/")), wrong=False
        )

    async def sign_in(request: Request) -> Response:
        # Whoever signs in has no session to bind a token to; the browser says which site the form came from.
        frame.require_same_origin(request)
        form = await form_of(request)
        onward = own_path(form.get("next", "/"))
        session = await desk.database.run(desk.sign_in, form.get("key", ""))
        if session is None:
            return frame.render(request, "console/sign_in.html", status=401, next=onward, wrong=True)
        response = frame.go(onward)
        frame.remember(response, session)
        return response

    async def sign_out(request: Request) -> Response:
        await frame.require_post(request)
        response = frame.go("/sign-in")
        frame.forget(response)
        return response

    async def prefer(request: Request) -> Response:
        frame.require_same_origin(request)
        form = await form_of(request)
        response = frame.go(without_language(own_path(form.get("back", "/"))))
        if form.get("lang") in LANGUAGES:
            response.set_cookie(LANGUAGE_COOKIE, form["lang"], max_age=_YEAR_S, samesite="lax", path="/", httponly=True)
        if form.get("theme") in {"light", "dark"}:
            response.set_cookie(THEME_COOKIE, form["theme"], max_age=_YEAR_S, samesite="lax", path="/", httponly=True)
        return response

    return [
        Route("/sign-in", ask),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
        Route("/preferences", prefer, methods=["POST"]),
    ]


def without_language(path: str) -> str:
    """A path without `?lang=…`, which would overrule the language just chosen.

    >>> without_language("/wheel?learnable=a&lang=en"), without_language("/?lang=ja")
    ('/wheel?learnable=a', '/')
    """
    parts = urlsplit(path)
    kept = "&".join(part for part in parts.query.split("&") if part and not part.startswith("lang="))
    return f"{parts.path}?{kept}" if kept else parts.path
