"""What an assistant may ask of meetings: to read, as the person who asks and with what that person may see."""

from __future__ import annotations

from typing import Any

from ikkan.apps.meetings.rules.exports.plain import plain_item, plain_quote
from ikkan.apps.meetings.service.meetings import MeetingsService
from ikkan.apps.meetings.values import Viewer
from ikkan.cloud.values import Principal
from ikkan.ground.db import Database
from ikkan.kit import Tool


def tools(service: MeetingsService, database: Database) -> tuple[Tool, ...]:
    """`search_meetings` and `list_actions`; each handler takes the principal first, then its arguments by name."""

    async def search_meetings(principal: Principal, *, query: str, part: str | None = None, limit: int = 5) -> Any:
        found = await database.run(service.searching.search, _viewer(principal), query, part=part, limit=limit)
        return {"in": found.part, "quotes": [plain_quote(quote) for quote in found.quotes]}

    async def list_actions(principal: Principal, *, owner: str | None = None, is_done: bool | None = False) -> Any:
        rows = await database.run(service.actions, _viewer(principal), owner=owner, is_done=is_done)
        told = ({"meeting_id": row.meeting_id, "meeting": row.transcript.title, **plain_item(row.item)} for row in rows)
        return {"actions": list(told)}

    return (
        Tool(
            "search_meetings",
            "Find what was said in meetings. Give `query` in the words people used, in their language; `part` may be "
            "said, decision or action. Answers with quotes, who spoke, when, and in which meeting.",
            search_meetings,
        ),
        Tool(
            "list_actions",
            "List next actions that people accepted in meetings, the next due first. `owner` is a name; `is_done` null "
            "lists finished ones too.",
            list_actions,
        ),
    )


def _viewer(principal: Principal) -> Viewer:
    return Viewer(principal.tenant_id, principal.subject_id, principal.is_admin)
