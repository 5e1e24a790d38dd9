"""What people say of a meeting's lines: kept at once, and told to the log as what models may learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import sqlalchemy as sa

from ikkan.apps.meetings.rules.exports.plain import plain_item
from ikkan.apps.meetings.rules.hooks import ACTION_ACCEPTED
from ikkan.apps.meetings.rules.search.passages import ITEM_PARTS
from ikkan.apps.meetings.service.hooks import Hooks
from ikkan.apps.meetings.store import items
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.store.forgetting import reindex
from ikkan.apps.meetings.values import JUDGED, Change, Extraction, Item, Kind, Meeting, Status, Viewer
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput
from ikkan.kit import Signals

_MOST_TEXT = 2_000
_AROUND = 5
"""Goes before and after the words, for whoever learns from a judgement: what Level 0 looks at around a line."""
_WORTH = {Status.ACCEPTED: 1.0, Status.EDITED: 1.0, Status.REJECTED: 0.0, Status.OPEN: 0.0}


class Judging:
    """Takes judgements. Whoever may see a meeting may judge its lines."""

    def __init__(self, database: Database, signals: Signals, clock: Clock, hooks: Hooks | None = None) -> None:
        self._database = database
        self._signals = signals
        self._clock = clock
        self._hooks = hooks

    def change(self, viewer: Viewer, meeting_id: str, item_id: str, change: Change) -> tuple[Item, Item]:
        """Accept, edit, reject or tick one line off; returns it as it was and as it is. The first undoes the second.

        Raises:
            NotFound: there is no such line for this viewer.
            BadInput: the change says nothing, or empties the text.
            ErasedSubject: this person was erased.
        """
        with self._database.transaction() as connection:
            meeting = store.get(connection, viewer, meeting_id)
            before = items.get(connection, meeting.number, item_id)
            after = changed(before, change)
            items.put(connection, meeting.number, after, self._clock.now())
            if after.status is not before.status or after.extraction != before.extraction:
                self._judged(connection, viewer, meeting, before, after)
                self._reindex(connection, meeting, after)
            messages = self._told(connection, meeting, before, after)
        self._start(messages)
        return before, after

    def add(
        self,
        viewer: Viewer,
        meeting_id: str,
        kind: Kind,
        text: str,
        evidence: Sequence[str],
        *,
        owner: str | None = None,
        due: date | None = None,
    ) -> Item:
        """Write a line that was not proposed, with the words it rests on.

        Raises:
            BadInput: no text, or words that are not of this meeting.
        """
        if not text.strip() or not evidence:
            raise BadInput("a line has a text and the words it rests on", hint="choose what was said", param="evidence")
        with self._database.transaction() as connection:
            meeting = store.get(connection, viewer, meeting_id)
            known = {segment.id for segment in store.transcript(connection, meeting)}
            if not set(evidence) <= known:
                raise BadInput("these words are not of this meeting", hint="reload the page", param="evidence")
            said = Extraction(kind, text.strip()[:_MOST_TEXT], tuple(evidence), "person", 1.0, owner or None, due)
            item = Item(_own_id(said), said, Status.ACCEPTED)
            items.put(connection, meeting.number, item, self._clock.now())
            self._judged(connection, viewer, meeting, None, item)
            self._reindex(connection, meeting, item)
            messages = self._told(connection, meeting, None, item)
        self._start(messages)
        return item

    def _told(self, connection: sa.Connection, meeting: Meeting, before: Item | None, after: Item) -> list[str]:
        """Write down for other systems that an action was taken in, once."""
        is_news = after.extraction.kind is Kind.ACTION and after.is_wanted and not (before and before.is_wanted)
        return self._hooks.tell(connection, meeting, ACTION_ACCEPTED, after.id) if self._hooks and is_news else []

    def _start(self, messages: Sequence[str]) -> None:
        if self._hooks is not None:
            self._hooks.start(messages)

    def _judged(
        self, connection: sa.Connection, viewer: Viewer, meeting: Meeting, before: Item | None, after: Item
    ) -> None:
        self._signals.happened(
            connection,
            viewer.tenant_id,
            viewer.subject_id,
            JUDGED,
            about=meeting.impression_id,
            item=after.id,
            value=_WORTH[after.status],
            verdict=after.status.value,
            kind=after.extraction.kind.value,
            meeting_id=meeting.id,
            language=meeting.language,
            before=plain_item(before) if before else None,
            after=plain_item(after),
            words=self._words(connection, viewer, meeting, after),
        )

    def _words(self, connection: sa.Connection, viewer: Viewer, meeting: Meeting, item: Item) -> list[dict[str, Any]]:
        """The words a line rests on and a few around them, without those that another person said are theirs."""
        segments = store.transcript(connection, meeting).segments
        speakers = store.speakers_of(connection, meeting.number)
        claimed = {s.label for s in speakers.values() if s.subject_id not in (None, viewer.subject_id)}
        places = [place for place, each in enumerate(segments) if each.id in item.extraction.evidence]
        if not places:
            return []
        return [
            {"id": each.id, "speaker": each.speaker, "text": "" if each.speaker in claimed else each.text}
            for each in segments[max(0, places[0] - _AROUND) : places[-1] + _AROUND + 1][:40]
        ]

    def _reindex(self, connection: sa.Connection, meeting: Meeting, item: Item) -> None:
        kind = item.extraction.kind.value
        if kind in ITEM_PARTS:
            reindex(connection, meeting, (kind,))


def changed(item: Item, change: Change) -> Item:
    """An item after a change. What is changed without a word on its status counts as edited.

    >>> item = Item("a", Extraction(Kind.ACTION, "Send it", ("s1",), "rule", 0.4))
    >>> changed(item, Change(text="Send them")).status, changed(item, Change(status=Status.ACCEPTED)).extraction.text
    (<Status.EDITED: 'edited'>, 'Send it')
    """
    said = item.extraction
    if change.text is not None:
        if not change.text.strip():
            raise BadInput("a line has a text", hint="reject it instead", param="text")
        said = replace(said, text=change.text.strip()[:_MOST_TEXT])
    if change.owner is not None:
        said = replace(said, owner=change.owner.strip()[:200] or None)
    if change.due is not None:
        day = change.due if isinstance(change.due, date) else None
        said = replace(said, due=day, due_words=said.due_words if day == said.due else None)
    status = change.status or (Status.EDITED if said != item.extraction else item.status)
    return Item(item.id, said, status, item.is_done if change.is_done is None else change.is_done)


def _own_id(said: Extraction) -> str:
    words = f"person\x00{said.kind}\x00{said.text}\x00{' '.join(said.evidence)}"
    return hashlib.blake2b(words.encode(), digest_size=6).hexdigest()
