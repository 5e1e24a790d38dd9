"""A person is forgotten: whose meetings go, whose words go out of the meetings of others."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from ikkan.apps.meetings.rules.search import item_passages, passages, postings
from ikkan.apps.meetings.rules.search.passages import ITEM_PARTS, SAID
from ikkan.apps.meetings.store import hearing, index, items
from ikkan.apps.meetings.store import meetings as kept
from ikkan.apps.meetings.store.tables import meetings, plans, readers, speakers
from ikkan.apps.meetings.values import Audience, Meeting
from ikkan.ground.ids import SubjectId, TenantId

WITHDRAWN = "—"
"""Stands for a forgotten person's name, in every language."""


def forget(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
    """Remove a person from every table here; returns the rows removed or changed.

    Meetings they brought and showed nobody go. Those that others see stay, without an author. Where a speaker was
    said to be this person, the words, the name and every line that rests on those words go out of the meeting, and its
    sound as a whole.
    """
    columns = meetings.c
    own = sa.and_(columns.tenant_id == tenant_id, columns.owner_id == subject_id)
    gone = 0
    for (number,) in connection.execute(sa.select(columns.number).where(own, columns.audience == Audience.OWNER)).all():
        kept.remove(connection, number)
        gone += 1
    gone += connection.execute(meetings.update().where(own).values(owner_id=None)).rowcount
    gone += hearing.forget_uploads(connection, tenant_id, subject_id)
    ours = sa.select(columns.number).where(columns.tenant_id == tenant_id)
    seen = readers.delete().where(readers.c.subject_id == subject_id, readers.c.number.in_(ours))
    gone += connection.execute(seen).rowcount
    asked = plans.update().where(plans.c.subject_id == subject_id, plans.c.number.in_(ours))
    gone += connection.execute(asked.values(subject_id=None, key_id=None)).rowcount
    spoken = sa.select(speakers.c.number).where(speakers.c.subject_id == subject_id, speakers.c.number.in_(ours))
    for number in sorted(set(connection.scalars(spoken))):
        meeting = kept.by_number(connection, number)
        assert meeting is not None, "a speaker is of a meeting"
        gone += _strike(connection, meeting, subject_id)
    return gone


def reindex(connection: sa.Connection, meeting: Meeting, parts: tuple[str, ...] = (SAID, *ITEM_PARTS)) -> None:
    """Write some parts of a meeting's index anew, in one transaction: for the small changes people make."""
    segments = kept.transcript(connection, meeting).segments
    found = items.of_meeting(connection, meeting.number)
    for part in parts:
        made = passages(segments) if part == SAID else item_passages(found, segments, part)
        rows, total = postings(meeting.number, made)
        index.clear(connection, meeting.number, part)
        index.put_postings(connection, meeting.tenant_id, part, rows)
        index.put_passages(connection, meeting.number, part, made, total)


def _strike(connection: sa.Connection, meeting: Meeting, subject_id: SubjectId) -> int:
    known = kept.speakers_of(connection, meeting.number)
    labels = {label for label, speaker in known.items() if speaker.subject_id == subject_id}
    called = labels | {known[label].name for label in labels}
    before = kept.transcript(connection, meeting).segments
    after = tuple(replace(each, text="", speaker=WITHDRAWN) if each.speaker in labels else each for each in before)
    struck = {each.id for each in before if each.speaker in labels}
    kept.put_words(connection, meeting.number, after)
    hearing.strike_heard(connection, meeting.number, labels)
    # A voice cannot be cut out of a recording: all of it goes.
    gone_sound = hearing.remove_sound(connection, meeting.number)
    connection.execute(speakers.delete().where(speakers.c.number == meeting.number, speakers.c.label.in_(labels)))
    drawn = items.of_meeting(connection, meeting.number)
    resting = [item.id for item in drawn if struck & set(item.extraction.evidence)]
    gone = gone_sound + len(struck) + len(labels) + items.remove(connection, meeting.number, resting)
    for item in drawn:
        if item.id not in resting and item.extraction.owner in called:
            owned = replace(item, extraction=replace(item.extraction, owner=None))
            items.put(connection, meeting.number, owned, meeting.created_at)
            gone += 1
    reindex(connection, meeting)
    return gone
