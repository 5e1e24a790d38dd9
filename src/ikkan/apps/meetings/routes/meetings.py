"""The API of meetings, under `/a/meetings/v1`: bring, read, judge, name, share, find and export.

A door of `kit.api` has checked key, session and CSRF token before any of these runs; each asks the service as the
viewer who called, and what is not theirs is not found.
"""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from ikkan.apps.meetings.routes.company import add_company_doors
from ikkan.apps.meetings.routes.live import add_live
from ikkan.apps.meetings.routes.plain import facts, level_of, plan_for, viewer_of
from ikkan.apps.meetings.routes.sound import add_sound
from ikkan.apps.meetings.routes.uploads import add_uploads
from ikkan.apps.meetings.rules.exports.plain import plain, plain_item, plain_quote
from ikkan.apps.meetings.rules.minutes import STANDARD, markdown, minutes
from ikkan.apps.meetings.service import (
    Export,
    MeetingsService,
    check_size,
    export,
    export_actions,
)
from ikkan.apps.meetings.service.people import people_of
from ikkan.apps.meetings.values import Audience, Change, Kept, Kind, Plan, Status, Viewer
from ikkan.cloud.tuning.upload import FORM_BYTES, Upload, receive
from ikkan.ground.errors import BadInput, RequestTooLarge
from ikkan.ground.ids import KeyId
from ikkan.kit import Parts, api

_Text = Annotated[str, Field(max_length=2_000)]
_Name = Annotated[str, Field(max_length=200)]
_FORM_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "txt, vtt, srt, docx, json, or a short recording; long ones: POST uploads",
                        },
                        "title": {"type": "string"},
                        "held_on": {"type": "string", "format": "date"},
                        "language": {"type": "string", "enum": ["ja", "en", "zh"]},
                        "audience": {"type": "string", "enum": ["owner", "tenant"]},
                        "level": {"type": "string", "enum": ["0", "1"], "description": "1: a model writes"},
                        "form": {"type": "string", "description": "the form of minutes a model writes for"},
                    },
                }
            }
        },
    }
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MeetingChange(_Body):
    """Other facts of a meeting."""

    title: Annotated[str, Field(max_length=300)] | None = None
    held_on: date | None = None


class Redraw(_Body):
    """How a meeting is drawn out from now on; without a level, by what the company set or what was measured."""

    level: Literal[0, 1] | None = None
    form: _Name = STANDARD


class ItemChange(_Body):
    """What becomes of a line. What is absent stays."""

    status: Status | None = None
    text: _Text | None = None
    owner: _Name | None = None
    due: date | Literal[""] | None = None
    is_done: bool | None = None


class NewItem(_Body):
    """A line a person writes."""

    kind: Kind
    text: _Text
    evidence: Annotated[list[Annotated[str, Field(max_length=40)]], Field(min_length=1, max_length=200)]
    owner: _Name | None = None
    due: date | None = None


class Names(_Body):
    """Labels of the transcript and what they are called here; two of one name are merged."""

    names: Annotated[dict[_Name, _Name], Field(max_length=200)]


class Claim(_Body):
    """Which speaker one is."""

    label: _Name
    is_me: bool = True


class Share(_Body):
    """Who may see a meeting besides its owner; people are ids of keys."""

    audience: Audience
    people: Annotated[list[_Name], Field(max_length=500)] = []


def routes(parts: Parts, service: MeetingsService) -> FastAPI:
    """All doors of this app."""
    door = api("meetings", parts.frame)
    run = parts.database.run
    staging = parts.settings.home / "cache" / "meetings"

    def viewer(request: Request) -> Viewer:
        return viewer_of(parts.frame.require(request))

    async def plan(request: Request, level: int | None, form: str) -> Plan:
        return await plan_for(parts, service, parts.frame.require(request), level, form)

    add_company_doors(door, parts, service, viewer)

    @door.post("/meetings", openapi_extra=_FORM_BODY)
    async def bring(request: Request) -> dict[str, Any]:
        """Keep a transcript. A long one answers with state `working`; ask again for how far it is."""
        who = viewer(request)
        upload = await _received(request, staging, service.most_bytes)
        try:
            data = await asyncio.to_thread(upload.path.read_bytes)
        finally:
            await asyncio.to_thread(upload.path.unlink, missing_ok=True)
        fields = upload.fields
        wanted = await plan(request, level_of(fields.get("level", "")), fields.get("form") or STANDARD)
        meeting = await run(
            service.bring,
            who,
            data,
            upload.filename,
            language=fields.get("language") or None,
            held_on=_day(fields.get("held_on", "")),
            title=fields.get("title", ""),
            audience=Audience.TENANT if fields.get("audience") == Audience.TENANT else Audience.OWNER,
            plan=wanted,
        )
        return facts(meeting)

    @door.get("/meetings")
    async def listed(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: Annotated[int | None, Query(ge=1)] = None,
    ) -> dict[str, Any]:
        found = await run(service.listed, viewer(request), limit=limit, before=before)
        more = found[-1].number if len(found) == limit else None
        return {"meetings": [facts(meeting) for meeting in found], "before": more}

    @door.get("/meetings/{meeting_id}")
    async def get(request: Request, meeting_id: str) -> dict[str, Any]:
        who = viewer(request)
        made = plain_plan(await run(service.plan, who, meeting_id))
        return {**whole(await run(service.get, who, meeting_id)), "plan": made}

    @door.patch("/meetings/{meeting_id}")
    async def change(request: Request, meeting_id: str, asked: MeetingChange) -> dict[str, Any]:
        who, principal = viewer(request), parts.frame.require(request).principal
        changed = await run(
            service.change, who, meeting_id, title=asked.title, held_on=asked.held_on, on_bill_of=principal
        )
        return facts(changed)

    @door.delete("/meetings/{meeting_id}")
    async def remove(request: Request, meeting_id: str) -> dict[str, Any]:
        await run(service.remove, viewer(request), meeting_id)
        return {"id": meeting_id, "removed": True}

    @door.post("/meetings/{meeting_id}/draw")
    async def draw(request: Request, meeting_id: str, asked: Redraw | None = None) -> dict[str, Any]:
        """Draw a meeting out once more; without a body, as before. It is on the bill of whoever asks now."""
        who = viewer(request)
        before = await run(service.plan, who, meeting_id)
        again = asked or Redraw(level=1 if before.level else 0, form=before.form)
        wanted = await plan(request, again.level, again.form)
        return facts(await run(service.draw_again, who, meeting_id, wanted))

    @door.post("/meetings/{meeting_id}/stop")
    async def stop(request: Request, meeting_id: str) -> dict[str, Any]:
        """Stop a model that writes, or listening. Lines stay, and `draw` goes on where listening stopped."""
        return facts(await run(service.stop, viewer(request), meeting_id))

    @door.get("/meetings/{meeting_id}/minutes")
    async def written(request: Request, meeting_id: str, form: str = STANDARD) -> dict[str, Any]:
        kept = await run(service.get, viewer(request), meeting_id)
        made = minutes(kept.transcript, kept.items, form=form)
        return {"title": made.title, "language": made.language, "form": made.form, "markdown": markdown(made)}

    @door.post("/meetings/{meeting_id}/items")
    async def add_item(request: Request, meeting_id: str, new: NewItem) -> dict[str, Any]:
        who = viewer(request)
        made = await run(
            service.judging.add, who, meeting_id, new.kind, new.text, new.evidence, owner=new.owner, due=new.due
        )
        return {"item": plain_item(made)}

    @door.patch("/meetings/{meeting_id}/items/{item_id}")
    async def change_item(request: Request, meeting_id: str, item_id: str, asked: ItemChange) -> dict[str, Any]:
        """Accept, edit, reject or tick off a line. `before` sent back as a change undoes it."""
        change = Change(asked.status, asked.text, asked.owner, asked.due, asked.is_done)
        before, after = await run(service.judging.change, viewer(request), meeting_id, item_id, change)
        return {"item": plain_item(after), "before": plain_item(before)}

    @door.put("/meetings/{meeting_id}/speakers")
    async def name_speakers(request: Request, meeting_id: str, asked: Names) -> dict[str, Any]:
        return whole(await run(service.name_speakers, viewer(request), meeting_id, asked.names))

    @door.put("/meetings/{meeting_id}/speakers/me")
    async def claim_speaker(request: Request, meeting_id: str, asked: Claim) -> dict[str, Any]:
        who = viewer(request)
        return whole(await run(service.claim_speaker, who, meeting_id, asked.label, is_me=asked.is_me))

    @door.put("/meetings/{meeting_id}/audience")
    async def share(request: Request, meeting_id: str, asked: Share) -> dict[str, Any]:
        who = viewer(request)
        known = {person.key_id: person.subject_id for person in await run(people_of, parts.cloud, who.tenant_id)}
        if not set(asked.people) <= set(known):
            raise BadInput("nobody here has this key", hint="GET people lists who is here", param="people")
        named = [known[KeyId(key_id)] for key_id in asked.people]
        return facts(await run(service.share, who, meeting_id, asked.audience, named))

    @door.get("/meetings/{meeting_id}/export/{wanted}")
    async def export_one(
        request: Request, meeting_id: str, wanted: str, form: str = STANDARD, candidates: bool = False
    ) -> Response:
        """md, docx, json, csv or ics. csv and ics hold accepted actions; `candidates` adds the others."""
        kept = await run(service.get, viewer(request), meeting_id)
        return _file(export(kept, wanted, now=parts.clock.now(), form=form, is_open_too=candidates))

    @door.get("/actions")
    async def actions(
        request: Request,
        owner: Annotated[str | None, Query(max_length=200)] = None,
        status: Annotated[list[Status] | None, Query()] = None,
        is_done: bool | None = None,
        due_before: date | None = None,
    ) -> dict[str, Any]:
        """Actions of all meetings one may see, the next due first; accepted ones unless `status` says otherwise."""
        chosen = status or [Status.ACCEPTED, Status.EDITED]
        who = viewer(request)
        rows = await run(service.actions, who, owner=owner, statuses=chosen, is_done=is_done, due_before=due_before)
        return {
            "actions": [
                {"meeting_id": row.meeting_id, "meeting_title": row.transcript.title, **plain_item(row.item)}
                for row in rows
            ]
        }

    @door.get("/actions/export/{wanted}")
    async def export_all(request: Request, wanted: str) -> Response:
        rows = await run(service.actions, viewer(request))
        return _file(export_actions(rows, wanted, now=parts.clock.now()))

    @door.get("/search")
    async def search(
        request: Request,
        q: Annotated[str, Query(min_length=1, max_length=500)],
        part: Annotated[Literal["said", "decision", "action"] | None, Query(alias="in")] = None,
        limit: Annotated[int, Query(ge=1, le=50)] = 10,
    ) -> dict[str, Any]:
        """Quotes with their times. "What did we decide about X" looks among decisions."""
        found = await run(service.searching.search, viewer(request), q, part=part, limit=limit)
        quotes = [plain_quote(quote) for quote in found.quotes]
        return {"words": found.words, "in": found.part, "quotes": quotes}

    @door.get("/people")
    async def people(request: Request) -> dict[str, Any]:
        """Whom a meeting may be shown to: everyone of the tenant who has a key."""
        found = await run(people_of, parts.cloud, viewer(request).tenant_id)
        return {"people": [{"id": person.key_id, "name": person.name} for person in found]}

    add_sound(door, parts, service, viewer)
    add_uploads(door, parts, service)
    add_live(door, parts, service)
    return door


def whole(kept: Kept) -> dict[str, Any]:
    """A meeting with its words, lines, minutes and speakers, as JSON values."""
    speakers = [{"label": each.label, "name": each.name} for each in kept.speakers]
    return {**facts(kept.meeting), **plain(kept.transcript, kept.items), "speakers": speakers}


def plain_plan(made: Plan) -> dict[str, Any]:
    """How a meeting was drawn out, as JSON values."""
    return {
        "level": made.level,
        "form": made.form,
        "made_level": made.made_level,
        "model": made.model or None,
        "remarks": list(made.remarks),
    }


async def _received(request: Request, staging: Path, most_bytes: int) -> Upload:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal():
        check_size(max(0, int(announced) - FORM_BYTES), most_bytes)
    try:
        return await receive(request.stream(), request.headers.get("content-type", ""), staging, most_bytes=most_bytes)
    except RequestTooLarge:
        check_size(most_bytes + 1, most_bytes)
        raise


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as exc:
        raise BadInput(f"{text!r} is no day", hint="like 2026-11-01", param="held_on") from exc


def _file(made: Export) -> Response:
    named = f"attachment; filename*=UTF-8''{quote(made.filename)}"
    headers = {"content-disposition": named, "cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(made.content, media_type=made.media_type, headers=headers)
