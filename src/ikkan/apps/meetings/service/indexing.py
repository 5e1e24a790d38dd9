"""Writing the index, in transactions short enough that nobody waits."""

from __future__ import annotations

from collections.abc import Sequence

from ikkan.apps.meetings.rules.search import Passage, packed, postings
from ikkan.apps.meetings.store import index
from ikkan.apps.meetings.values import Embed, Meeting
from ikkan.ground.db import Database

_ROWS_AT_ONCE = 1_000
_TEXTS_AT_ONCE = 64


def index_part(
    database: Database, meeting: Meeting, part: str, made: Sequence[Passage], *, embed: Embed | None = None
) -> None:
    """Write one part of a meeting's index anew. It is found when this returns; safe to repeat.

    Args:
        embed: texts to unit vectors: then it is also put in order by meaning.
    """
    rows, total = postings(meeting.number, made)
    with database.transaction() as connection:
        index.clear(connection, meeting.number, part)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        with database.transaction() as connection:
            index.put_postings(connection, meeting.tenant_id, part, rows[start : start + _ROWS_AT_ONCE])
    with database.transaction() as connection:
        index.put_passages(connection, meeting.number, part, made, total)
    for start in range(0, len(made) if embed is not None else 0, _TEXTS_AT_ONCE):
        assert embed is not None
        rows_of = packed(embed([each.text for each in made[start : start + _TEXTS_AT_ONCE]]))
        with database.transaction() as connection:
            index.put_vectors(connection, meeting.number, part, start, rows_of)
