"""The door of an app's API: FastAPI, with our errors instead of its own, and nobody inside unknown.

What is asked with every page goes straight through: the same guard and the same errors, without the half a millisecond
that matching routes and solving dependencies take.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ikkan.ground.errors import BadInput, IkkanError
from ikkan.kit.errors import error_reply
from ikkan.kit.frame import UNSAFE_METHODS, Frame

__all__ = ["Door", "api", "error_reply"]

Answers: TypeAlias = Callable[[Request], Awaitable[Response]]


class Door(FastAPI):
    """An app's API. Nobody is served unknown, and what a browser changes carries our CSRF token."""

    def __init__(self, name: str, frame: Frame) -> None:
        self.straight: dict[str, ASGIApp] = {}
        """Path → what answers a POST to it without FastAPI; the house looks here first."""
        self._frame = frame

        async def known_caller(request: Request) -> None:
            if request.method in UNSAFE_METHODS:
                await frame.require_post(request)
            else:
                frame.require(request)

        super().__init__(title=f"ikkan {name}", docs_url=None, redoc_url=None, dependencies=[Depends(known_caller)])

    def often(self, path: str, **said: Any) -> Callable[[Answers], Answers]:
        """A POST that is asked all the time: it reads the request itself and answers with a whole response.

        Args:
            said: of the route, for openapi.json.
        """

        def keep(answers: Answers) -> Answers:
            async def straight(scope: Scope, receive: Receive, send: Send) -> None:
                request = Request(scope, receive)
                try:
                    await self._frame.require_post(request)
                    response = await answers(request)
                except IkkanError as error:
                    response = error_reply(error)
                await response(scope, receive, send)

            self.straight[path] = straight
            self.post(path, **said)(answers)
            return answers

        return keep


def api(name: str, frame: Frame) -> Door:
    """An app's API."""
    door = Door(name, frame)

    @door.exception_handler(IkkanError)
    async def say_what_went_wrong(request: Request, error: IkkanError) -> JSONResponse:
        return error_reply(error)

    @door.exception_handler(RequestValidationError)
    async def say_what_is_missing(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"] if step != "body")
        return error_reply(BadInput(f"{place or 'the body'}: {first['msg']}", hint="see openapi.json", param=place))

    return door
