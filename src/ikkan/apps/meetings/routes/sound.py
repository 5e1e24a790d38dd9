"""The sound of a meeting, for a player: any part of it, as players ask for it."""

from __future__ import annotations

import re
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import iterate_in_threadpool

from ikkan.apps.meetings.service import MeetingsService
from ikkan.apps.meetings.service.sound import PCM
from ikkan.apps.meetings.values import Viewer
from ikkan.ground.errors import NotFound
from ikkan.kit import Parts

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_PLAYED = re.compile(r"(?:audio|video)/[a-z0-9-]+")


def add_sound(door: FastAPI, parts: Parts, service: MeetingsService, viewer: Callable[[Request], Viewer]) -> None:
    """`GET meetings/{meeting_id}/sound`."""

    @door.get("/meetings/{meeting_id}/sound")
    async def sound(request: Request, meeting_id: str) -> Response:
        """What was recorded. Takes one range of bytes."""
        who = viewer(request)
        kept = await parts.database.run(service.sound, who, meeting_id)
        if kept is None or service.listening is None:
            raise NotFound("this meeting has no sound", hint="only recordings and live meetings have one")
        size = service.listening.shelf.size(kept)
        found = part(request.headers.get("range", ""), size)
        media_type = "audio/wav" if kept.media_type == PCM else kept.media_type
        headers = {
            "accept-ranges": "bytes",
            "cache-control": "private, no-store",
            "x-content-type-options": "nosniff",
            # Whatever somebody uploaded, a browser plays it or saves it, and never shows it as a page.
            "content-security-policy": "default-src 'none'; sandbox",
            "content-disposition": "inline" if _PLAYED.fullmatch(media_type) else "attachment",
        }
        if found is None:
            return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
        start, end = found
        headers["content-length"] = str(end - start)
        is_part = (start, end) != (0, size)
        if is_part:
            headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        pieces = service.listening.shelf.played(who.tenant_id, kept, start, end)
        status = 206 if is_part else 200
        return StreamingResponse(
            iterate_in_threadpool(pieces), status_code=status, media_type=media_type, headers=headers
        )


def part(asked: str, size: int) -> tuple[int, int] | None:
    """The bytes that a `Range` header asks for, from and to before; all of them where it asks nothing we know.

    >>> part("bytes=0-9", 100), part("bytes=90-", 100), part("bytes=-5", 100), part("", 100), part("bytes=100-", 100)
    ((0, 10), (90, 100), (95, 100), (0, 100), None)
    """
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match.groups() == ("", ""):
        return (0, size)
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) else None
    start, end = int(first), min(size, int(last) + 1) if last else size
    return (start, end) if start < end else None
