"""The door of an app's API: FastAPI, with our errors instead of its own, and nobody inside unknown."""

from __future__ import annotations

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from ikkan.ground.errors import BadInput, IkkanError
from ikkan.kit.errors import error_reply
from ikkan.kit.frame import UNSAFE_METHODS, Frame

__all__ = ["api", "error_reply"]


def api(name: str, frame: Frame) -> FastAPI:
    """An app's API. Nobody is served unknown, and what a browser changes carries our CSRF token."""

    async def known_caller(request: Request) -> None:
        if request.method in UNSAFE_METHODS:
            await frame.require_post(request)
        else:
            frame.require(request)

    door = FastAPI(title=f"ikkan {name}", docs_url=None, redoc_url=None, dependencies=[Depends(known_caller)])

    @door.exception_handler(IkkanError)
    async def say_what_went_wrong(request: Request, error: IkkanError) -> JSONResponse:
        return error_reply(error)

    @door.exception_handler(RequestValidationError)
    async def say_what_is_missing(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"] if step != "body")
        return error_reply(BadInput(f"{place or 'the body'}: {first['msg']}", hint="see openapi.json", param=place))

    return door
