"""What every door says of a meeting, who asks, and how it shall be drawn out."""

from __future__ import annotations

from typing import Any

from ikkan.apps.meetings.service import MeetingsService, fresh_plan
from ikkan.apps.meetings.service.company import company_facts
from ikkan.apps.meetings.values import Meeting, Plan, Viewer
from ikkan.ground.errors import BadInput
from ikkan.kit import Parts, Session


def viewer_of(session: Session) -> Viewer:
    """Who looks, as meetings know it."""
    principal = session.principal
    return Viewer(principal.tenant_id, principal.subject_id, session.is_admin)


def facts(meeting: Meeting) -> dict[str, Any]:
    """A meeting without its words, as JSON values."""
    return {
        "id": meeting.id,
        "number": meeting.number,
        "title": meeting.title,
        "language": meeting.language,
        "held_on": meeting.held_on.isoformat() if meeting.held_on else None,
        "created_at": meeting.created_at.isoformat(),
        "audience": meeting.audience.value,
        "state": meeting.state.value,
        "segments": meeting.segments,
        "length_s": meeting.length_s,
        "remarks": list(meeting.remarks),
    }


async def plan_for(parts: Parts, service: MeetingsService, session: Session, level: int | None, form: str) -> Plan:
    """What was asked for, on the bill of whoever asks; without a level, what the company set or what was measured."""
    if level is None:
        level = (await company_facts(parts, service, viewer_of(session)))["level_unless_chosen"]
    return fresh_plan(level, form, session.principal)


def level_of(text: str) -> int | None:
    """A level as a form says it; None: nobody chose.

    Raises:
        BadInput: there is no such level.
    """
    if text not in ("", "0", "1"):
        raise BadInput(f"there is no level {text!r}", hint="0 or 1", param="level")
    return int(text) if text else None
