"""Meetings and their words, kept and found by whoever may see them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import msgspec
import sqlalchemy as sa

from ikkan.apps.meetings.store import hearing
from ikkan.apps.meetings.store.tables import OF_A_MEETING, meetings, readers, speakers, words
from ikkan.apps.meetings.values import Audience, Meeting, Segment, Speaker, State, Transcript, Viewer
from ikkan.ground.errors import NotFound
from ikkan.ground.ids import SubjectId

_FACTS = list(meetings.c)


class _Row(msgspec.Struct, array_like=True):
    """A segment as it is packed. What was packed before recognisers came has no confidence."""

    id: str
    speaker: str
    text: str
    start_s: float | None
    end_s: float | None
    confidence: float | None = None


def visible(viewer: Viewer) -> sa.ColumnElement[bool]:
    """What decides whether a viewer sees a row of `meetings`: the tenant first, then who it is shared with."""
    columns = meetings.c
    named = sa.exists().where(readers.c.number == columns.number, readers.c.subject_id == viewer.subject_id)
    shared = sa.or_(
        columns.audience == Audience.TENANT,
        sa.and_(columns.owner_id.is_not(None), columns.owner_id == viewer.subject_id),
        sa.and_(columns.audience == Audience.PEOPLE, named),
        # Nobody is left to show it to anyone; an administrator decides what becomes of it.
        sa.and_(columns.owner_id.is_(None), sa.literal(viewer.is_admin, sa.Boolean).is_(sa.true())),
    )
    return sa.and_(columns.tenant_id == viewer.tenant_id, shared)


def add(connection: sa.Connection, meeting: Meeting, segments: Iterable[Segment]) -> Meeting:
    """Keep a meeting; returns it with its number."""
    row = {column.name: getattr(meeting, column.name) for column in _FACTS if column.name != "number"}
    row |= {"remarks": list(meeting.remarks)}
    number = connection.execute(meetings.insert().values(row)).inserted_primary_key
    assert number is not None
    connection.execute(words.insert().values(number=number[0], body=_packed(segments)))
    return replace(meeting, number=number[0])


def get(connection: sa.Connection, viewer: Viewer, meeting_id: str) -> Meeting:
    """A meeting this viewer may see.

    Raises:
        NotFound: there is none, or it is not theirs to see: the two look the same.
    """
    row = connection.execute(sa.select(*_FACTS).where(meetings.c.id == meeting_id, visible(viewer))).first()
    if row is None:
        raise NotFound("there is no such meeting", hint="/meetings lists those you may see", param="meeting_id")
    return _meeting(row)


def by_number(connection: sa.Connection, number: int) -> Meeting | None:
    """A meeting whoever sees it: for jobs."""
    row = connection.execute(sa.select(*_FACTS).where(meetings.c.number == number)).first()
    return None if row is None else _meeting(row)


def listed(connection: sa.Connection, viewer: Viewer, *, limit: int, before: int | None = None) -> list[Meeting]:
    """What a viewer may see, the latest first; those with a smaller number than `before`."""
    statement = sa.select(*_FACTS).where(visible(viewer)).order_by(meetings.c.number.desc()).limit(limit)
    if before is not None:
        statement = statement.where(meetings.c.number < before)
    return [_meeting(row) for row in connection.execute(statement)]


def of_numbers(connection: sa.Connection, viewer: Viewer, numbers: Iterable[int]) -> dict[int, Meeting]:
    """Those of these meetings that a viewer may see."""
    statement = sa.select(*_FACTS).where(meetings.c.number.in_(sorted(set(numbers))), visible(viewer))
    return {row.number: _meeting(row) for row in connection.execute(statement)}


def transcript(connection: sa.Connection, meeting: Meeting) -> Transcript:
    """What was said, with the labels of the file; of a meeting that goes on, what was said so far."""
    if meeting.state in (State.LIVE, State.WORKING):
        so_far = hearing.so_far(connection, meeting.number)
        if so_far:
            return Transcript(so_far, meeting.language, meeting.held_on, meeting.title, meeting.remarks)
    body = connection.execute(sa.select(words.c.body).where(words.c.number == meeting.number)).scalar_one()
    return Transcript(_unpacked(body), meeting.language, meeting.held_on, meeting.title, meeting.remarks)


def put_words(connection: sa.Connection, number: int, segments: Iterable[Segment]) -> None:
    """Replace what was said."""
    connection.execute(words.update().where(words.c.number == number).values(body=_packed(segments)))


def change(connection: sa.Connection, number: int, **facts: Any) -> None:
    """Set some facts of a meeting: title, held_on, audience, state, job_id, impression_id."""
    connection.execute(meetings.update().where(meetings.c.number == number).values(**facts))


def remove(connection: sa.Connection, number: int) -> None:
    """Take a meeting away, with everything about it."""
    for table in OF_A_MEETING:
        connection.execute(table.delete().where(table.c.number == number))
    connection.execute(meetings.delete().where(meetings.c.number == number))


def share(connection: sa.Connection, number: int, audience: Audience, people: Iterable[SubjectId]) -> None:
    """Say who may see a meeting besides its owner."""
    connection.execute(readers.delete().where(readers.c.number == number))
    rows = [{"number": number, "subject_id": person} for person in sorted(set(people))]
    if rows and audience is Audience.PEOPLE:
        connection.execute(readers.insert(), rows)
    change(connection, number, audience=audience)


def readers_of(connection: sa.Connection, number: int) -> tuple[SubjectId, ...]:
    """Who was named to see a meeting."""
    statement = sa.select(readers.c.subject_id).where(readers.c.number == number).order_by(readers.c.subject_id)
    return tuple(SubjectId(subject_id) for subject_id in connection.scalars(statement))


def speakers_of(connection: sa.Connection, number: int) -> dict[str, Speaker]:
    """What labels are called, where somebody changed it or said who it is."""
    statement = sa.select(speakers).where(speakers.c.number == number)
    return {row.label: Speaker(row.label, row.name, row.subject_id) for row in connection.execute(statement)}


def names_of(connection: sa.Connection, numbers: Iterable[int]) -> dict[tuple[int, str], str]:
    """What labels of several meetings are called, where somebody changed it."""
    statement = sa.select(speakers.c.number, speakers.c.label, speakers.c.name)
    rows = connection.execute(statement.where(speakers.c.number.in_(sorted(set(numbers)))))
    return {(number, label): name for number, label, name in rows}


def put_speakers(connection: sa.Connection, number: int, named: Sequence[Speaker]) -> None:
    """Set what these labels are called; what is said of others stays."""
    labels = [speaker.label for speaker in named]
    connection.execute(speakers.delete().where(speakers.c.number == number, speakers.c.label.in_(labels)))
    rows = [{"number": number, "label": s.label, "name": s.name, "subject_id": s.subject_id} for s in named]
    if rows:
        connection.execute(speakers.insert(), rows)


def names(known: Mapping[str, Speaker]) -> dict[str, str]:
    """Label to name."""
    return {label: speaker.name for label, speaker in known.items()}


def _packed(segments: Iterable[Segment]) -> bytes:
    rows = [_Row(each.id, each.speaker, each.text, each.start_s, each.end_s, each.confidence) for each in segments]
    return zlib.compress(msgspec.json.encode(rows), 6)


def _unpacked(body: bytes) -> tuple[Segment, ...]:
    rows = msgspec.json.decode(zlib.decompress(body), type=list[_Row])
    return tuple(Segment(row.id, row.speaker, row.text, row.start_s, row.end_s, row.confidence) for row in rows)


def _meeting(row: Any) -> Meeting:
    held_on: date | None = row.held_on
    return Meeting(
        id=row.id,
        number=row.number,
        tenant_id=row.tenant_id,
        owner_id=row.owner_id,
        title=row.title,
        language=row.language,
        held_on=held_on,
        created_at=row.created_at,
        audience=Audience(row.audience),
        state=State(row.state),
        job_id=row.job_id,
        segments=row.segments,
        length_s=row.length_s,
        remarks=tuple(row.remarks),
        impression_id=row.impression_id,
    )
