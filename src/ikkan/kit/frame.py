"""The frame every page stands in: who is looking, in which language, with which protections.

A page asks the frame for the session, and hands it a template name and values; the frame adds navigation, words,
the CSRF token and the security headers. Scripts come only from `/static`, never inline.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import jinja2
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ikkan.ground.errors import NotAllowed, NotAuthenticated
from ikkan.kit.language import LANGUAGES, TAGS, Words, negotiate, told_in
from ikkan.kit.session import COOKIE, Session, SessionKeeper

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
UNSAFE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_SEEN = "ikkan.session"


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation."""

    path: str
    words_key: str
    admin: bool = False


class Frame:
    """Renders pages and guards their doors.

    Args:
        keeper: issues and reads sessions.
        words: all strings, of the house and of every app.
        admit: decides who a request without a cookie is (a keyless person on loopback, or nobody), and whether the
            key behind a cookie still stands.
        language: the operator's default, or "auto".
    """

    def __init__(
        self,
        keeper: SessionKeeper,
        words: Words,
        admit: Callable[[Request, Session | None], Session | None],
        *,
        language: str = "auto",
    ) -> None:
        self.keeper = keeper
        self.words = words
        self._admit = admit
        self._language = language
        self._places: list[Place] = []
        self._loaders: list[jinja2.BaseLoader] = [jinja2.PackageLoader("ikkan.kit")]
        self._jinja = self._environment()

    def add_templates(self, package: str) -> None:
        """Let templates of `package` (its `templates/` folder) be found after the house's own."""
        self._loaders.append(jinja2.PackageLoader(package))
        self._jinja = self._environment()

    def add_place(self, place: Place) -> None:
        self._places.append(place)

    def session(self, request: Request) -> Session | None:
        """Who is looking, or None. Decided once a request: guard and page must not disagree."""
        if _SEEN not in request.scope:
            request.scope[_SEEN] = self._admit(request, self._kept(request))
        session: Session | None = request.scope[_SEEN]
        return session

    def require(self, request: Request, *, admin: bool = False) -> Session:
        """The signed-in person. Raises `NotAuthenticated` for nobody, `NotAllowed` for one without the scope."""
        session = self.session(request)
        if session is None:
            raise NotAuthenticated("sign in to see this page", hint="/sign-in")
        if admin and not session.is_admin:
            raise NotAllowed("this page is for administrators", hint="sign in with a key of scope admin")
        return session

    async def require_post(self, request: Request, *, admin: bool = False) -> Session:
        """Like `require`, and a browser's request carries our CSRF token (header `x-csrf-token` or form field `csrf`).

        A program that sends a key of its own, or no cookie at all, needs none: no other site can make it ask.
        """
        session = self.require(request, admin=admin)
        if not _from_a_browser(request):
            return session
        self.require_same_origin(request)
        token = request.headers.get("x-csrf-token", "")
        if not token and "form" in request.headers.get("content-type", ""):
            token = str((await request.form()).get("csrf", ""))
        if not self.keeper.csrf_ok(session, token):
            raise NotAllowed("this form is stale or came from another site", hint="reload the page and try again")
        return session

    def require_same_origin(self, request: Request) -> None:
        """Refuse a form that another site's page sends. The only guard where nobody has a session yet."""
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        if foreign or request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            raise NotAllowed("this form came from another site", hint="open the page here and try again")

    def language(self, request: Request) -> str:
        """The language this person reads."""
        return negotiate(request, self._language)

    def render(self, request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """One page, whole or as a fragment, with the frame's protections."""
        session = self.session(request)
        language = self.language(request)
        html = self._jinja.get_template(template).render(
            request_path=request.url.path,
            # With what was searched and filtered: another language shows the same thing.
            request_here=_here(request),
            session=session,
            csrf=self.keeper.csrf(session) if session else "",
            language=language,
            tag=TAGS[language],
            offered=[(code, TAGS[code], name) for code, name in LANGUAGES.items()],
            theme=request.cookies.get("ikkan_theme")
            if request.cookies.get("ikkan_theme") in {"light", "dark"}
            else None,
            t=self.words.say(language),
            places=[place for place in self._places if not place.admin or (session and session.is_admin)],
            **values,
        )
        response = HTMLResponse(html, status_code=status, headers=SECURITY_HEADERS)
        # Also when the browser sent another cookie, stale or of another home: its forms carry this session's token.
        if session and session != self._kept(request) and _from_a_page(request):
            self.remember(response, session)
        return response

    def go(self, path: str) -> Response:
        """After a form was taken: on to `path`, by GET."""
        return RedirectResponse(path, status_code=303, headers=SECURITY_HEADERS)

    def remember(self, response: Response, session: Session) -> None:
        """Set the session cookie: not readable by scripts, not sent from other sites."""
        response.set_cookie(
            COOKIE, self.keeper.cookie(session), httponly=True, samesite="strict", max_age=12 * 3600, path="/"
        )

    def forget(self, response: Response) -> None:
        response.delete_cookie(COOKIE, path="/", samesite="strict", httponly=True)

    def to_sign_in(self, request: Request) -> Response:
        """Send the person to sign in and back here afterwards."""
        here = request.url.path
        if request.method not in {"GET", "HEAD"}:
            here = "/"  # a form's address is no page
        elif request.url.query:
            here += f"?{request.url.query}"
        return self.go(f"/sign-in?next={quote(here)}")

    def _kept(self, request: Request) -> Session | None:
        cookie = request.cookies.get(COOKIE)
        return self.keeper.read(cookie) if cookie else None

    def _environment(self) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader(self._loaders),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["json_attribute"] = _json_attribute
        environment.filters |= {"told_in": told_in, "tag": TAGS.__getitem__}
        return environment


def own_path(wanted: str) -> str:
    """Where to go next, if it is a place of ours; else the first page. Nobody is sent to another site from here.

    >>> [own_path(wanted) for wanted in ("/wheel?learnable=x", "//evil.example", "https://evil.example", r"/\\evil")]
    ['/wheel?learnable=x', '/', '/', '/']
    """
    # A browser takes `//host` and `/\\host` for another site's address, and drops tabs and line ends before it looks.
    ours = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted
    return wanted if ours and wanted.isprintable() and len(wanted) <= 2_000 else "/"


def _here(request: Request) -> str:
    path, query = request.url.path, request.url.query
    return f"{path}?{query}" if query and request.method == "GET" else path


def _from_a_page(request: Request) -> bool:
    return not request.headers.get("authorization")


def _from_a_browser(request: Request) -> bool:
    if request.headers.get("authorization", "").startswith("Bearer "):
        return False
    return bool({"cookie", "origin", "sec-fetch-site", "referer"} & set(request.headers.keys()))


def _json_attribute(value: Mapping[str, Any]) -> Markup:
    # For data-* attributes read by our scripts: inline script is forbidden by the policy above.
    return Markup(escape(json.dumps(value, ensure_ascii=False)))


def static_folder() -> Path:
    """Where the frame's own style sheet and script lie."""
    return Path(__file__).parent / "static"
