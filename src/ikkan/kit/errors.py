"""An error as its reader meets it: JSON for programs and scripts, a page for people, the way in for strangers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ikkan.ground.errors import IkkanError, NotAuthenticated
from ikkan.kit.frame import SECURITY_HEADERS, Frame


def error_reply(error: IkkanError) -> JSONResponse:
    """Our error in the shape every client of ours knows."""
    body = {
        "error": {
            "message": error.message,
            "code": error.code,
            "hint": error.hint,
            "type": error.code,
            "param": error.facts.get("param"),
        }
    }
    after = error.facts.get("retry_after_s")
    return JSONResponse(body, status_code=error.status, headers=None if after is None else {"retry-after": str(after)})


def page_error(frame: Frame, request: Request, error: IkkanError) -> Response:
    """An error of a page: told in the person's language, or for nobody the way to sign in.

    A fragment that htmx asked for is answered with our JSON error, which the page's own script shows in its corner.
    """
    by_htmx = request.headers.get("hx-request") == "true"
    if isinstance(error, NotAuthenticated):
        if by_htmx:  # a redirect would be followed inside the fragment
            return Response(status_code=401, headers={"hx-redirect": "/sign-in", **SECURITY_HEADERS})
        return frame.to_sign_in(request)
    if by_htmx:
        return error_reply(error)
    kind = f"error.{error.code}"
    return frame.render(
        request,
        "error.html",
        status=error.status,
        title_key=kind if kind in frame.words else "error.title",
        message=error.message,
        hint=error.hint,
        code=error.code,
    )
