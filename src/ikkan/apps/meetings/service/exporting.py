"""A meeting, or actions of many, as a file that other programs open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ikkan.apps.meetings.rules.exports import Row, calendar, plain, table, word
from ikkan.apps.meetings.rules.minutes import STANDARD, markdown, minutes
from ikkan.apps.meetings.values import Kept, Kind, Status
from ikkan.ground.errors import BadInput

FORMATS = ("md", "docx", "json", "csv", "ics")
_TYPES: Mapping[str, str] = {
    "md": "text/markdown; charset=utf-8",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "ics": "text/calendar; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Export:
    """A file to hand over."""

    filename: str
    media_type: str
    content: bytes


def export(kept: Kept, wanted: str, *, now: datetime, form: str = STANDARD, is_open_too: bool = False) -> Export:
    """One meeting in one format. Lists of actions hold what people took in; `is_open_too` adds the candidates.

    Raises:
        BadInput: there is no such format or form.
    """
    rows = [Row(kept.transcript, item, kept.meeting.id) for item in kept.items if item.extraction.kind is Kind.ACTION]
    made: Mapping[str, Callable[[], bytes]] = {
        "md": lambda: markdown(minutes(kept.transcript, kept.items, form=form)).encode(),
        "docx": lambda: word(minutes(kept.transcript, kept.items, form=form)),
        "json": lambda: json.dumps(plain(kept.transcript, kept.items, form=form), ensure_ascii=False).encode(),
        "csv": lambda: table(_shown(rows, is_open_too)),
        "ics": lambda: calendar(_shown(rows, is_open_too), now=now),
    }
    if wanted not in made:
        raise BadInput(f"there is no export {wanted!r}", hint=f"one of {', '.join(FORMATS)}", param="format")
    return Export(f"{_filename(kept)}.{wanted}", _TYPES[wanted], made[wanted]())


def export_actions(rows: Iterable[Row], wanted: str, *, now: datetime) -> Export:
    """Actions of many meetings as csv or ics.

    Raises:
        BadInput: another format.
    """
    if wanted not in ("csv", "ics"):
        raise BadInput(f"there is no export {wanted!r} of actions", hint="csv or ics", param="format")
    content = table(rows) if wanted == "csv" else calendar(rows, now=now)
    return Export(f"actions.{wanted}", _TYPES[wanted], content)


def _shown(rows: Iterable[Row], is_open_too: bool) -> list[Row]:
    return [row for row in rows if row.item.is_wanted or (is_open_too and row.item.status is Status.OPEN)]


def _filename(kept: Kept) -> str:
    day = (kept.meeting.held_on or kept.meeting.created_at.date()).isoformat()
    title = "".join(character if character.isalnum() else "-" for character in kept.meeting.title).strip("-")
    return f"{day}-{title}"[:80] if title else f"{day}-minutes"
