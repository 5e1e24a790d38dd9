"""Search over all meetings a viewer may see, answered with quotes and their times."""

from __future__ import annotations

from dataclasses import dataclass

from ikkan.apps.meetings.rules.search import asked, asked_for, nearer, rank
from ikkan.apps.meetings.rules.search.passages import ITEM_PARTS, SAID
from ikkan.apps.meetings.store import index
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.values import Quote, Viewer
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput

_LOOKED_AT = 12
"""Passages that are read once more before the best are quoted."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a question found."""

    words: str
    """What was looked for."""
    part: str
    """Among what: `said`, `decision` or `action`."""
    quotes: tuple[Quote, ...]


class Searching:
    """Finds what was said, decided or is to be done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, viewer: Viewer, question: str, *, part: str | None = None, limit: int = 10) -> Found:
        """Quotes for a question, the best first; "what did we decide about X" looks among decisions.

        Args:
            part: where to look, whatever the question says.

        Raises:
            BadInput: there is no such part.
        """
        if part is not None and part not in (SAID, *ITEM_PARTS):
            known = ", ".join((SAID, *ITEM_PARTS))
            raise BadInput(f"nothing is found by {part!r}", hint=f"one of {known}", param="part")
        meant = asked(question)
        words, where = (question, part) if part is not None else (meant.words, meant.part)
        query = asked_for(words)
        if not query:
            return Found(words, where, ())
        with self._database.read() as connection:
            found = index.find(connection, viewer, where, query)
            first = max(limit, _LOOKED_AT)
            ranked = rank(query, found.postings, passages_count=found.passages, grams_count=found.grams, limit=first)
            hits = nearer(words, ranked.worth, index.quoted(connection, where, ranked.hits), limit=limit)
            # Asked again who may see them: an index is never the only guard.
            known_meetings = store.of_numbers(connection, viewer, [hit.number for hit, _ in hits])
            names = store.names_of(connection, known_meetings)
            quotes = tuple(
                Quote(
                    meeting.id,
                    meeting.title,
                    meeting.held_on,
                    where,
                    passage.text,
                    names.get((hit.number, passage.speaker), passage.speaker),
                    passage.start_s,
                    passage.evidence,
                    round(hit.score, 4),
                )
                for hit, passage in hits
                if (meeting := known_meetings.get(hit.number)) is not None
            )
        return Found(words, where, quotes)
