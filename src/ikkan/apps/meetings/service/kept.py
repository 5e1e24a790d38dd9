"""A meeting put together from its rows: words, lines and speakers, under the names people gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa

from ikkan.apps.meetings.rules.exports import Row
from ikkan.apps.meetings.rules.items import renamed
from ikkan.apps.meetings.store import items
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.values import Item, Kept, Meeting, Speaker, Transcript


def kept(connection: sa.Connection, meeting: Meeting) -> Kept:
    """A meeting with everything in it."""
    known = store.speakers_of(connection, meeting.number)
    names = store.names(known)
    said = store.transcript(connection, meeting)
    shown = Transcript(renamed(said, names), said.language, said.held_on, said.title, said.remarks)
    speakers = tuple(known.get(label, Speaker(label, label)) for label in said.speakers)
    drawn_out = tuple(_called(item, names) for item in items.of_meeting(connection, meeting.number))
    return Kept(meeting, shown, drawn_out, speakers, store.readers_of(connection, meeting.number))


def row(whole: Kept, item: Item) -> Row:
    """An action with no more of its meeting than it rests on."""
    words = tuple(each for each in whole.transcript if each.id in item.extraction.evidence)
    current = next((each for each in whole.items if each.id == item.id), item)
    return Row(replace(whole.transcript, segments=words), current, whole.meeting.id)


def _called(item: Item, names: Mapping[str, str]) -> Item:
    owner = item.extraction.owner
    if owner is None or owner not in names:
        return item
    return replace(item, extraction=replace(item.extraction, owner=names[owner]))
