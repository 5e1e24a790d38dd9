"""Search over all meetings a viewer may see, answered with quotes and their times."""

from __future__ import annotations

from dataclasses import dataclass

from ikkan.apps.meetings.rules.search import WEIGHED, asked, asked_for, fused, is_wide, nearer, rank
from ikkan.apps.meetings.rules.search.passages import ITEM_PARTS, SAID
from ikkan.apps.meetings.store import glossary, index, items
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.values import Embed, Quote, Viewer
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
    """Finds what was said, decided or is to be done.

    Args:
        embed: texts to unit vectors, the same that indexed; None: words alone.
    """

    def __init__(self, database: Database, *, embed: Embed | None = None) -> None:
        self._database = database
        self._embed = embed

    def search(self, viewer: Viewer, question: str, *, part: str | None = None, limit: int = 10) -> Found:
        """Quotes for a question, the best first; "what did we decide about X" looks among decisions.

        A decision or an action comes with its item: whether people took it in, whose it is, by when.

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
        # The usual embedding model is English; pairs of characters find better than it understands.
        by_meaning = self._embed is not None and where == SAID and not is_wide(words)
        meaning = self._embed([words])[0] if self._embed is not None and by_meaning and words.strip() else None
        with self._database.read() as connection:
            query = asked_for(words, glossary.terms(connection, viewer.tenant_id))
            if not query:
                return Found(words, where, ())
            found = index.find(connection, viewer, where, query)
            first = max(limit, _LOOKED_AT)
            most = first if meaning is None else max(first, WEIGHED)
            ranked = rank(query, found.postings, passages_count=found.passages, grams_count=found.grams, limit=most)
            hits = nearer(words, ranked.worth, index.quoted(connection, where, ranked.hits[:first]), limit=first)
            if meaning is not None:
                hits += index.quoted(connection, where, ranked.hits[first:])
                hits = fused(hits, meaning, index.vectors_of(connection, where, ranked.hits), limit=limit)
            hits = hits[:limit]
            # Asked again who may see them: an index is never the only guard.
            known_meetings = store.of_numbers(connection, viewer, [hit.number for hit, _ in hits])
            names = store.names_of(connection, known_meetings)
            standing = items.standing(connection, known_meetings) if where in ITEM_PARTS else {}
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
                    standing.get((hit.number, where, passage.text, passage.evidence)),
                )
                for hit, passage in hits
                if (meeting := known_meetings.get(hit.number)) is not None
            )
        return Found(words, where, quotes)
