"""Writing the index, in transactions short enough that nobody waits."""

from __future__ import annotations

from collections.abc import Sequence

from ikkan.apps.meetings.rules.search import Passage, postings
from ikkan.apps.meetings.store import index
from ikkan.apps.meetings.values import Meeting
from ikkan.ground.db import Database

_ROWS_AT_ONCE = 1_000


def index_part(database: Database, meeting: Meeting, part: str, made: Sequence[Passage]) -> None:
    """Write one part of a meeting's index anew. It is found when this returns; safe to repeat."""
    rows, total = postings(meeting.number, made)
    with database.transaction() as connection:
        index.clear(connection, meeting.number, part)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        with database.transaction() as connection:
            index.put_postings(connection, meeting.tenant_id, part, rows[start : start + _ROWS_AT_ONCE])
    with database.transaction() as connection:
        index.put_passages(connection, meeting.number, part, made, total)
