"""Large files in pieces, after tus: say the size, add pieces at an offset, ask where it stands, take it in.

POST   uploads                 {"filename", "bytes", "sha256"?, "fields"?}  -> {"id", "offset"}
PATCH  uploads/{id}            Upload-Offset: N, the bytes from there on    -> Upload-Offset: M
HEAD   uploads/{id}            -> Upload-Offset, Upload-Length
POST   uploads/{id}/meeting    -> the meeting; asked again, the same one
DELETE uploads/{id}
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from ikkan.apps.meetings.routes.plain import facts, level_of, plan_for, viewer_of
from ikkan.apps.meetings.rules.minutes import STANDARD
from ikkan.apps.meetings.service import MeetingsService
from ikkan.apps.meetings.values import Viewer
from ikkan.ground.errors import BadInput
from ikkan.kit import Parts

_Short = Annotated[str, Field(max_length=300)]


class NewUpload(BaseModel):
    """A file that will come."""

    model_config = ConfigDict(extra="forbid")
    filename: Annotated[str, Field(min_length=1, max_length=300)]
    bytes: Annotated[int, Field(ge=1, le=1 << 40)]
    sha256: Annotated[str, Field(max_length=64)] = ""
    fields: Annotated[dict[_Short, _Short], Field(max_length=8)] = {}


def add_uploads(door: FastAPI, parts: Parts, service: MeetingsService) -> None:
    """The doors of uploads."""
    run, uploads, frame = parts.database.run, service.uploads, parts.frame

    def viewer(request: Request) -> Viewer:
        return viewer_of(frame.require(request))

    @door.post("/uploads", status_code=201)
    async def begin(request: Request, new: NewUpload) -> dict[str, Any]:
        """Say what will come. Recordings of up to `IKKAN_SOUND_BYTES`; kept a day if nobody goes on."""
        session, asked = frame.require(request), new.fields
        wanted = await plan_for(
            parts, service, session, level_of(asked.get("level", "")), asked.get("form") or STANDARD
        )
        fields = {**asked, "level": str(wanted.level), "form": wanted.form}
        made = await run(uploads.begin, viewer_of(session), new.filename, new.bytes, new.sha256.lower(), fields)
        return {"id": made.id, "offset": 0, "bytes": made.bytes}

    @door.head("/uploads/{upload_id}")
    async def stands(request: Request, upload_id: str) -> Response:
        upload, offset = await run(uploads.get, viewer(request), upload_id)
        return Response(headers=_headers(offset) | {"upload-length": str(upload.bytes)})

    @door.patch("/uploads/{upload_id}", status_code=204)
    async def add(request: Request, upload_id: str) -> Response:
        """Add bytes from `Upload-Offset` on. After a broken connection, HEAD says how many arrived."""
        said = request.headers.get("upload-offset", "")
        if not said.isdecimal() or len(said) > 18:
            raise BadInput("the header Upload-Offset is missing", hint="HEAD says where it goes on", param="offset")
        offset = await uploads.add(viewer(request), upload_id, int(said), _arriving(request))
        return Response(status_code=204, headers=_headers(offset))

    @door.post("/uploads/{upload_id}/meeting")
    async def finish(request: Request, upload_id: str) -> dict[str, Any]:
        """Take the file in. If this answer is lost, ask again: it is the same meeting."""
        session = frame.require(request)
        return facts(await run(uploads.finish, viewer_of(session), upload_id, session.principal))

    @door.delete("/uploads/{upload_id}")
    async def remove(request: Request, upload_id: str) -> dict[str, Any]:
        await run(uploads.remove, viewer(request), upload_id)
        return {"id": upload_id, "removed": True}


def _headers(offset: int) -> dict[str, str]:
    return {"upload-offset": str(offset), "cache-control": "no-store"}


async def _arriving(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        return  # what came is kept; whoever sent it asks where to go on
