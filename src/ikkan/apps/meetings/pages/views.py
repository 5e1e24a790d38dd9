"""The pages: the list with its way in, one meeting with transcript beside minutes, all actions, search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.apps.meetings.pages.company import company_page
from ikkan.apps.meetings.pages.words import SCRIPT_WORDS
from ikkan.apps.meetings.rules.items import clock
from ikkan.apps.meetings.rules.minutes import FORMS
from ikkan.apps.meetings.rules.remarks import remark_in
from ikkan.apps.meetings.service import FORMATS, MeetingsService
from ikkan.apps.meetings.service.company import company_facts
from ikkan.apps.meetings.service.hearing import Hearing
from ikkan.apps.meetings.service.people import people_of
from ikkan.apps.meetings.values import LANGUAGES, Item, Kept, Kind, Meeting, State, Status, Viewer
from ikkan.ground.errors import UnknownJob
from ikkan.ground.ids import JobId
from ikkan.kit import Parts
from ikkan.kit.language import LANGUAGES as NAMES
from ikkan.kit.language import told_in

_SHOWN = (Kind.DECISION, Kind.ACTION, Kind.KEY_POINT, Kind.TOPIC, Kind.QUESTION, Kind.PROPOSAL)
"""In the order in which people look for them."""
_SPOKEN = {code: NAMES[code] for code in LANGUAGES}
_A_PAGE = 30
_MOST_OPEN = 20
"""Candidates of one kind that a page begins with."""


def pages(parts: Parts, service: MeetingsService) -> tuple[BaseRoute, ...]:
    """All pages of this app."""
    run, frame = parts.database.run, parts.frame

    def viewer(request: Request) -> Viewer:
        session = frame.require(request)
        principal = session.principal
        return Viewer(principal.tenant_id, principal.subject_id, session.is_admin)

    def hearing() -> Hearing:
        return service.listening.ears.told() if service.listening else Hearing("", frozenset(), False)

    def words(request: Request) -> dict[str, str]:
        language = frame.language(request)
        return {name: told_in(texts, language) for name, texts in SCRIPT_WORDS.items()}

    async def home(request: Request) -> Response:
        before = request.query_params.get("before", "")
        found = await run(
            service.listed, viewer(request), limit=_A_PAGE, before=int(before) if before.isdecimal() else None
        )
        facts, language = await company_facts(parts, service, viewer(request)), frame.language(request)
        return frame.render(
            request,
            "meetings/home.html",
            meetings=[_line(meeting) for meeting in found],
            older=found[-1].number if len(found) == _A_PAGE else None,
            languages=_SPOKEN,
            forms=[(name, form.title[language]) for name, form in FORMS.items()],
            level=facts["level_unless_chosen"],
            model=facts["model"],
            hearing=hearing(),
            script_words=words(request),
        )

    async def live(request: Request) -> Response:
        """Where a meeting is recorded as it goes on; `?meeting=` goes on with one."""
        who = viewer(request)
        going_on = request.query_params.get("meeting", "")
        meeting = _line(await run(service.facts, who, going_on)) if going_on else None
        shown = frame.render(
            request,
            "meetings/live.html",
            meeting=meeting,
            languages=_SPOKEN,
            spoken=meeting["language"] if meeting else frame.language(request),
            hearing=hearing(),
            script_words=words(request),
        )
        # The one page that may ask for the microphone.
        shown.headers["permissions-policy"] = "camera=(), microphone=(self), geolocation=()"
        return shown

    async def one(request: Request) -> Response:
        who = viewer(request)
        kept = await run(service.get, who, request.path_params["meeting_id"])
        meeting, language = kept.meeting, frame.language(request)
        plan = await run(service.plan, who, meeting.id)
        people = await run(people_of, parts.cloud, who.tenant_id) if meeting.may_manage(who) else []
        return frame.render(
            request,
            "meetings/meeting.html",
            meeting=_line(meeting),
            plan=plan,
            remarks=[remark_in(language, told) for told in (*meeting.remarks, *plan.remarks)],
            kinds=_kinds(kept, most=None if request.query_params.get("all") == "1" else _MOST_OPEN),
            kind_names=[kind.value for kind in Kind],
            said=_said(kept),
            speakers=[
                {"label": each.label, "name": each.name, "is_me": each.subject_id == who.subject_id != None}  # noqa: E711
                for each in kept.speakers
            ],
            manages=meeting.may_manage(who),
            people=[
                {"id": each.key_id, "name": each.name, "may": each.subject_id in kept.readers}
                for each in people
                if each.subject_id != who.subject_id
            ],
            forms=[(name, form.title[meeting.language]) for name, form in FORMS.items()],
            formats=FORMATS,
            percent=await _percent(meeting),
            has_sound=await run(service.sound, who, meeting.id) is not None,
            script_words=words(request),
        )

    async def progress(request: Request) -> Response:
        """How far a long meeting is. When it is drawn out, the page is loaded anew."""
        meeting = await run(service.facts, viewer(request), request.path_params["meeting_id"])
        shown = frame.render(
            request,
            "meetings/_progress.html",
            meeting=_line(meeting),
            plan=await run(service.plan, viewer(request), meeting.id),
            percent=await _percent(meeting),
        )
        if meeting.state is not State.WORKING:
            shown.headers["hx-refresh"] = "true"
        return shown

    async def actions(request: Request) -> Response:
        wants_done, owner = request.query_params.get("done") == "1", request.query_params.get("owner", "")
        rows = await run(service.actions, viewer(request), is_done=None if wants_done else False)
        owners = sorted({row.item.extraction.owner for row in rows if row.item.extraction.owner})
        return frame.render(
            request,
            "meetings/actions.html",
            rows=[
                {
                    "meeting_id": row.meeting_id,
                    "meeting": row.transcript.title,
                    "where": clock(row.transcript.segments[0].start_s) if row.transcript.segments else "",
                    **_item(row.item),
                }
                for row in rows
                if not owner or row.item.extraction.owner == owner
            ],
            owners=owners,
            owner=owner,
            wants_done=wants_done,
            script_words=words(request),
        )

    async def search(request: Request) -> Response:
        question = request.query_params.get("q", "").strip()[:500]
        part = request.query_params.get("in") or None
        who = viewer(request)
        found = await run(service.searching.search, who, question, part=part, limit=20) if question else None
        quotes = [
            {
                "meeting_id": quote.meeting_id,
                "title": quote.title,
                "held_on": quote.held_on,
                "text": quote.text,
                "speaker": quote.speaker,
                "where": clock(quote.start_s),
                "first": quote.evidence[0],
                "status": quote.item.status.value if quote.item is not None else "",
                "due": quote.item.extraction.due if quote.item is not None else None,
            }
            for quote in (found.quotes if found else ())
        ]
        return frame.render(request, "meetings/search.html", question=question, part=part, found=found, quotes=quotes)

    async def _percent(meeting: Meeting) -> int:
        if meeting.state is not State.WORKING or not meeting.job_id or parts.jobs is None:
            return 0
        try:
            return round(100 * (await run(parts.jobs.status, JobId(meeting.job_id))).progress)
        except UnknownJob:  # its row was cleared away
            return 0

    return (
        Route("/", home),
        Route("/actions", actions),
        Route("/search", search),
        Route("/company", company_page(parts, service, viewer, words)),
        Route("/live", live),
        Route("/{meeting_id}", one),
        Route("/{meeting_id}/progress", progress),
    )


def _line(meeting: Meeting) -> dict[str, Any]:
    return {
        "id": meeting.id,
        "title": meeting.title,
        "language": meeting.language,
        "held_on": meeting.held_on.isoformat() if meeting.held_on else "",
        "brought": f"{meeting.created_at.astimezone():%Y-%m-%d %H:%M}",
        "minutes": round(meeting.length_s / 60) if meeting.length_s else 0,
        "segments": f"{meeting.segments:,}",
        "audience": meeting.audience.value,
        "state": meeting.state.value,
    }


def _item(item: Item) -> dict[str, Any]:
    said = item.extraction
    return {
        "id": item.id,
        "kind": said.kind.value,
        "text": said.text,
        "owner": said.owner or "",
        "due": said.due.isoformat() if said.due else "",
        "due_words": said.due_words or "",
        "status": item.status.value,
        "is_done": item.is_done,
        "evidence": " ".join(said.evidence),
        "first": said.evidence[0],
        "made_by": said.made_by,
        "percent": round(100 * said.confidence),
    }


def _kinds(kept: Kept, *, most: int | None) -> list[dict[str, Any]]:
    """Items by kind: of what binds somebody the surest first, all else in the order of speech.

    Of what nobody looked at, the `most` surest of each kind.
    """
    place = {segment.id: number for number, segment in enumerate(kept.transcript)}
    start = {segment.id: clock(segment.start_s) for segment in kept.transcript}

    def first(item: Item) -> int:
        return place.get(item.extraction.evidence[0], 0)

    shown = []
    for kind in _SHOWN:
        items: Sequence[Item] = [item for item in kept.items if item.extraction.kind is kind]
        open_ones = [item for item in items if item.status is Status.OPEN]  # the surest first, as they are kept
        hidden = set() if most is None else {item.id for item in open_ones[most:]}
        items = [item for item in items if item.id not in hidden]
        if kind not in (Kind.DECISION, Kind.ACTION):
            items = sorted(items, key=first)
        where = (start.get(item.extraction.evidence[0]) or f"#{first(item) + 1}" for item in items)
        lines = [{**_item(item), "where": place} for item, place in zip(items, where, strict=True)]
        if lines:
            counted = sum(item.status is not Status.REJECTED for item in items)
            shown.append({"kind": kind.value, "lines": lines, "count": counted, "more": len(hidden)})
    return shown


def _said(kept: Kept) -> list[dict[str, Any]]:
    rested = {segment_id for item in kept.items for segment_id in item.extraction.evidence}
    return [
        {
            "id": segment.id,
            "speaker": segment.speaker,
            "text": segment.text,
            "where": clock(segment.start_s),
            "start_s": "" if segment.start_s is None else segment.start_s,
            "rested": "rested" if segment.id in rested else "",
        }
        for segment in kept.transcript
    ]
