"""The live stream, `/a/meetings/v1/live`: a WebSocket with sound and captions in, segments out.

The client speaks first, in JSON:

    {"type": "start", "title", "language": "ja|en|zh", "held_on"?, "audience"?, "level"?, "form"?}
    {"type": "resume", "meeting_id"}

and is answered `{"type": "ready", "meeting_id", "offset", "seq", "segments", "hears"}`: how many bytes of sound and
which captions are kept. From there on it sends

    binary                                          16-bit little-endian mono PCM, 16,000 samples a second
    {"type": "caption", "seq", "text", "speaker"?, "start_s"?}      numbered from 1
    {"type": "end"}

and hears `{"type": "ack", "offset"}`, `{"type": "ack", "seq"}`, `{"type": "segment", …}`, `{"type": "behind", "s"}`,
`{"type": "error", "error"}` and at last `{"type": "ended", "meeting_id", "state"}`. What was acknowledged is kept.
Sound is read no faster than it is written down, so a client that sends too fast is held back by its own socket.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import date
from typing import Annotated, Any, Literal

import pydantic
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ikkan.apps.meetings.routes.plain import plan_for, viewer_of
from ikkan.apps.meetings.rules.exports.plain import plain_segment
from ikkan.apps.meetings.rules.minutes import STANDARD
from ikkan.apps.meetings.service import MeetingsService
from ikkan.apps.meetings.service.live import MOST_CAPTION, LiveMeeting
from ikkan.apps.meetings.values import Audience, Segment, Viewer
from ikkan.ground.errors import BadInput, IkkanError, Internal, NotAllowed, RateLimited
from ikkan.kit import Frame, Parts, Session

log = logging.getLogger(__name__)

SILENT_S = 600.0
"""A connection that says nothing for so long is closed; its meeting can go on by another."""
MOST_AT_ONCE = 16
"""Meetings that go on in one process."""
_MOST_MESSAGE = 16_384
_LOOKS_EVERY_S = 0.25
_BEHIND_S = 10.0
_LEAVES_S = 2.0
_REFUSED, _TAKEN_OVER, _BROKEN = 1008, 4001, 1011


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Start(_Message):
    """A meeting begins."""

    type: Literal["start"]
    title: Annotated[str, Field(max_length=300)] = ""
    language: Literal["ja", "en", "zh"]
    held_on: date | None = None
    audience: Literal["owner", "tenant"] = "owner"
    level: Literal[0, 1] | None = None
    form: Annotated[str, Field(max_length=200)] = STANDARD


class Resume(_Message):
    """A meeting goes on."""

    type: Literal["resume"]
    meeting_id: Annotated[str, Field(max_length=60)]


class Caption(_Message):
    """A line that somebody wrote."""

    type: Literal["caption"]
    seq: Annotated[int, Field(ge=1, le=1 << 31)]
    text: Annotated[str, Field(max_length=MOST_CAPTION)]
    speaker: Annotated[str, Field(max_length=200)] = ""
    start_s: Annotated[float, Field(ge=0, le=7 * 86_400, allow_inf_nan=False)] | None = None


class End(_Message):
    """It is over."""

    type: Literal["end"]


_FIRST = pydantic.TypeAdapter[Start | Resume](Annotated[Start | Resume, Field(discriminator="type")])
_THEN = pydantic.TypeAdapter[Caption | End](Annotated[Caption | End, Field(discriminator="type")])


def add_live(door: FastAPI, parts: Parts, service: MeetingsService) -> None:
    """The WebSocket route, outside FastAPI's own: its dependencies know only requests."""
    stream = _Stream(parts, service)
    door.router.routes.append(WebSocketRoute("/live", stream.serve))


class _Stream:
    """All live connections of this process."""

    def __init__(self, parts: Parts, service: MeetingsService) -> None:
        self._parts, self._run, self._service = parts, parts.database.run, service
        self._going_on: dict[str, asyncio.Task[Any]] = {}
        self._taken_over: set[asyncio.Task[Any]] = set()

    async def serve(self, socket: WebSocket) -> None:
        try:
            session = admitted(socket, self._parts.frame)
        except IkkanError:
            # Refused before it is opened: another site's page learns nothing, not even an error's words.
            await socket.close(_REFUSED)
            return
        await socket.accept()
        try:
            await self._talk(socket, session)
        except WebSocketDisconnect:
            pass
        except IkkanError as error:
            await _give_up(socket, error, _REFUSED)
        except Exception:
            log.exception("a live meeting broke off")
            broken = Internal("something broke on our side", hint="connect again: what was acknowledged is kept")
            await _give_up(socket, broken, _BROKEN)

    async def _talk(self, socket: WebSocket, session: Session) -> None:
        asked = _read(_FIRST, await _text(socket))
        if len(self._going_on) >= MOST_AT_ONCE:
            raise RateLimited(f"{MOST_AT_ONCE} meetings go on here at once", hint="try again when one is over")
        meeting_id = await self._meeting(session, asked)
        await self._take_over(meeting_id)
        me = asyncio.current_task()
        assert me is not None
        self._going_on[meeting_id] = me
        try:
            live = await self._opened(viewer_of(session), meeting_id)
            try:
                await self._go_on(socket, live)
            finally:
                await asyncio.shield(asyncio.to_thread(live.close))
        except asyncio.CancelledError:
            if me not in self._taken_over:
                raise  # the gateway stops
            me.uncancel()
            taken = NotAllowed("another connection goes on with this meeting", hint="close this page")
            await _give_up(socket, taken, _TAKEN_OVER)
        finally:
            self._taken_over.discard(me)
            if self._going_on.get(meeting_id) is me:
                del self._going_on[meeting_id]

    async def _meeting(self, session: Session, asked: Start | Resume) -> str:
        viewer = viewer_of(session)
        if isinstance(asked, Resume):
            # Only whoever may go on with it may end another connection's turn.
            meeting = await self._run(self._service.facts, viewer, asked.meeting_id)
            if not meeting.may_manage(viewer):
                raise NotAllowed("this meeting is another person's", hint="ask whoever began it")
            return meeting.id
        made = await self._run(
            self._service.live.begin,
            viewer,
            title=asked.title,
            language=asked.language,
            held_on=asked.held_on,
            audience=Audience(asked.audience),
            plan=await plan_for(self._parts, self._service, session, asked.level, asked.form),
        )
        return str(made.id)

    async def _opened(self, viewer: Viewer, meeting_id: str) -> LiveMeeting:
        opening = asyncio.ensure_future(self._run(self._service.live.open, viewer, meeting_id))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread cannot be stopped: what it opened is let go, or nobody could go on with the meeting.
            with suppress(IkkanError):
                (await opening).close()
            raise

    async def _take_over(self, meeting_id: str) -> None:
        """A page that was loaded again goes on at once, though its old connection has not noticed that it is gone."""
        former = self._going_on.get(meeting_id)
        if former is not None:
            self._taken_over.add(former)
            former.cancel()
            await asyncio.wait({former}, timeout=10)

    async def _go_on(self, socket: WebSocket, live: LiveMeeting) -> None:
        ready = await self._run(live.ready)
        told = {
            "type": "ready",
            "meeting_id": ready.meeting.id,
            "offset": ready.offset,
            "seq": ready.captions,
            "segments": [plain_segment(each) for each in ready.segments],
            "hears": ready.hears,
        }
        await socket.send_json(told)
        sending = asyncio.Lock()
        following = asyncio.create_task(self._follow(socket, live, sending))
        try:
            await self._receive(socket, live, sending)
        finally:
            following.cancel()
            # A window that is being recognised is kept before the file is closed.
            await asyncio.wait({following})
        meeting = await self._run(live.end)
        await socket.send_json({"type": "ended", "meeting_id": meeting.id, "state": meeting.state.value})
        await socket.close()

    async def _receive(self, socket: WebSocket, live: LiveMeeting, sending: asyncio.Lock) -> None:
        """Keep what comes until it is over."""
        while True:
            message = await asyncio.wait_for(socket.receive(), SILENT_S)
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1006))
            data = message.get("bytes")
            if data is not None:
                offset = await asyncio.to_thread(live.write, data)
                await _send(socket, sending, {"type": "ack", "offset": offset})
                continue
            asked = _read(_THEN, message.get("text") or "")
            if isinstance(asked, End):
                return
            kept = await self._run(live.caption, asked.seq, asked.text, asked.speaker, asked.start_s)
            await _send(socket, sending, {"type": "ack", "seq": asked.seq})
            if kept is not None:
                await _send(socket, sending, _segment(kept))

    async def _follow(self, socket: WebSocket, live: LiveMeeting, sending: asyncio.Lock) -> None:
        """Let the recogniser follow behind, in a thread, and say what it hears."""
        was_behind = False
        while True:
            # Shielded: the thread cannot be stopped, and it must not write after the file is closed.
            hearing = asyncio.ensure_future(asyncio.to_thread(lambda: list(live.hear())))
            try:
                heard = await asyncio.shield(hearing)
            except asyncio.CancelledError:
                with suppress(Exception):
                    await hearing
                raise
            except IkkanError as error:
                await _send(socket, sending, {"type": "error", "error": _plain(error)})
                return  # the sound is kept; the worker hears it at the end
            for segment in heard:
                await _send(socket, sending, _segment(segment))
            behind_s = live.behind_s
            if (behind_s > _BEHIND_S) != was_behind:
                was_behind = not was_behind
                await _send(socket, sending, {"type": "behind", "s": round(behind_s, 1) if was_behind else 0})
            if behind_s < 1.0:
                await asyncio.sleep(_LOOKS_EVERY_S)


def admitted(socket: WebSocket, frame: Frame) -> Session:
    """Who opens the socket. A browser's must come from our own page: any site may make it ask, cookie and all.

    Raises:
        NotAuthenticated: nobody we know.
        NotAllowed: another site's page.
    """
    request = Request({**socket.scope, "type": "http", "method": "GET"})
    session = frame.require(request)
    if not request.headers.get("authorization", "").startswith("Bearer "):
        frame.require_same_origin(request)
        if "cookie" in request.headers and "origin" not in request.headers:
            raise NotAllowed("a cookie alone opens no stream", hint="send the key as a bearer, or an Origin")
    return session


async def _text(socket: WebSocket) -> str:
    try:
        message = await asyncio.wait_for(socket.receive(), 30.0)
    except TimeoutError:
        raise BadInput("nothing was said", hint='{"type": "start", "language": "ja"}') from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    return str(message.get("text") or "")


def _read(adapter: pydantic.TypeAdapter[Any], text: str) -> Any:
    if len(text) > _MOST_MESSAGE:
        raise BadInput("this message is too long", hint=f"at most {_MOST_MESSAGE:,} letters")
    try:
        return adapter.validate_json(text)
    except pydantic.ValidationError as exc:
        first = exc.errors(include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise BadInput(f"{place or 'the message'}: {first['msg']}", hint="docs/meetings.md: live", param=place) from exc


async def _send(socket: WebSocket, sending: asyncio.Lock, told: dict[str, Any]) -> None:
    async with sending:
        await socket.send_json(told)


async def _give_up(socket: WebSocket, error: IkkanError, code: int) -> None:
    with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):  # it may be gone already
        async with asyncio.timeout(_LEAVES_S):
            await socket.send_json({"type": "error", "error": _plain(error)})
            await socket.close(code)


def _plain(error: IkkanError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "hint": error.hint, "retryable": error.retryable}


def _segment(segment: Segment) -> dict[str, Any]:
    return {"type": "segment", **plain_segment(segment)}
