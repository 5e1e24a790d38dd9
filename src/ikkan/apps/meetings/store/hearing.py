"""The sound of meetings, what was heard of it so far, live meetings, and uploads under way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ikkan.apps.meetings.store.tables import heard, live, sounds, uploads
from ikkan.apps.meetings.values import Segment, Viewer
from ikkan.ground.errors import NotFound
from ikkan.ground.ids import SubjectId, TenantId


@dataclass(frozen=True, slots=True)
class KeptSound:
    """The sound of a meeting, and how far it was heard."""

    number: int
    file: str
    """Its name in the folder of sounds."""
    key: bytes
    """What opens it, closed with the master key."""
    media_type: str
    filename: str
    bytes: int
    """Of the sound itself; of a meeting that goes on, 0."""
    sha256: str
    heard_s: float
    """Up to where it was recognised."""
    is_heard: bool
    """Nothing is left to recognise."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that comes in pieces."""

    id: str
    tenant_id: TenantId
    subject_id: SubjectId | None
    filename: str
    bytes: int
    """How many there will be."""
    sha256: str
    """What they will add up to; empty where nobody said."""
    fields: dict[str, str]
    created_at: datetime


# ---- sound -----------------------------------------------------------------------------------------------------------


def put_sound(connection: sa.Connection, sound: KeptSound) -> None:
    """Keep what is known of a meeting's sound."""
    connection.execute(sounds.insert().values({name: getattr(sound, name) for name in KeptSound.__slots__}))


def sound_of(connection: sa.Connection, number: int) -> KeptSound | None:
    """A meeting's sound, if it has any."""
    row = connection.execute(sa.select(sounds).where(sounds.c.number == number)).first()
    return None if row is None else KeptSound(**row._mapping)


def change_sound(connection: sa.Connection, number: int, **facts: Any) -> None:
    """Set bytes, sha256, heard_s or is_heard."""
    connection.execute(sounds.update().where(sounds.c.number == number).values(**facts))


def remove_sound(connection: sa.Connection, number: int) -> int:
    """Take a meeting's sound away: without the key in this row its file is noise."""
    return connection.execute(sounds.delete().where(sounds.c.number == number)).rowcount


def files(connection: sa.Connection) -> set[str]:
    """Every file that a sound lies in."""
    return set(connection.scalars(sa.select(sounds.c.file)))


# ---- what was heard so far -------------------------------------------------------------------------------------------


def so_far(connection: sa.Connection, number: int) -> tuple[Segment, ...]:
    """What was recognised or typed so far, in the order of speech; under the ids it will have if nothing is added."""
    rows = connection.execute(sa.select(heard).where(heard.c.number == number).order_by(heard.c.place)).all()
    latest, keyed = 0.0, []
    for row in rows:
        latest = latest if row.start_s is None else row.start_s
        keyed.append((latest, row.place, row))
    return tuple(
        Segment(f"s{place}", row.speaker, row.text, row.start_s, row.end_s, row.confidence)
        for place, (_, _, row) in enumerate(sorted(keyed, key=lambda entry: entry[:2]), start=1)
    )


def add_heard(connection: sa.Connection, number: int, segments: Iterable[Segment]) -> int:
    """Add to what was heard; returns the place of the last."""
    last = connection.scalar(sa.select(sa.func.max(heard.c.place)).where(heard.c.number == number)) or 0
    rows = [
        {
            "number": number,
            "place": last + nth,
            "speaker": each.speaker[:200],
            "text": each.text,
            "start_s": each.start_s,
            "end_s": each.end_s,
            "confidence": each.confidence,
        }
        for nth, each in enumerate(segments, start=1)
    ]
    if rows:
        connection.execute(heard.insert(), rows)
    return last + len(rows)


def clear_heard(connection: sa.Connection, number: int) -> None:
    """Let go of what was heard, once it stands among the words."""
    connection.execute(heard.delete().where(heard.c.number == number))


# ---- live ------------------------------------------------------------------------------------------------------------


def put_live(connection: sa.Connection, number: int, began_at: datetime) -> None:
    """Note that a meeting goes on."""
    connection.execute(live.insert().values(number=number, captions=0, began_at=began_at))


def live_of(connection: sa.Connection, number: int) -> tuple[int, datetime] | None:
    """The number of the last caption and when it began; None where the meeting does not go on."""
    row = connection.execute(sa.select(live.c.captions, live.c.began_at).where(live.c.number == number)).first()
    return None if row is None else (row.captions, row.began_at)


def count_caption(connection: sa.Connection, number: int, seq: int) -> None:
    """Note the number of the last caption."""
    connection.execute(live.update().where(live.c.number == number).values(captions=seq))


def end_live(connection: sa.Connection, number: int) -> None:
    """Note that a meeting is over."""
    connection.execute(live.delete().where(live.c.number == number))


# ---- uploads ---------------------------------------------------------------------------------------------------------


def put_upload(connection: sa.Connection, upload: Incoming) -> None:
    """Note that a file begins to come."""
    connection.execute(uploads.insert().values({name: getattr(upload, name) for name in Incoming.__slots__}))


def upload_of(connection: sa.Connection, viewer: Viewer, upload_id: str) -> Incoming:
    """A file under way, of this very person.

    Raises:
        NotFound: there is none of theirs.
    """
    row = connection.execute(
        sa.select(uploads).where(
            uploads.c.id == upload_id,
            uploads.c.tenant_id == viewer.tenant_id,
            uploads.c.subject_id.is_not_distinct_from(viewer.subject_id),
        )
    ).first()
    if row is None:
        raise NotFound("there is no such upload", hint="begin again: POST uploads", param="upload_id")
    return Incoming(**row._mapping)


def uploads_of(connection: sa.Connection, tenant_id: TenantId) -> list[Incoming]:
    """Files under way in a tenant."""
    rows = connection.execute(sa.select(uploads).where(uploads.c.tenant_id == tenant_id))
    return [Incoming(**row._mapping) for row in rows]


def old_uploads(connection: sa.Connection, before: datetime) -> list[str]:
    """Ids of files that began to come before a moment."""
    return list(connection.scalars(sa.select(uploads.c.id).where(uploads.c.created_at < before)))


def remove_uploads(connection: sa.Connection, ids: Iterable[str]) -> None:
    """Forget files under way."""
    connection.execute(uploads.delete().where(uploads.c.id.in_(list(ids))))


def forget_uploads(connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
    """Forget a person's files under way."""
    ours = sa.and_(uploads.c.tenant_id == tenant_id, uploads.c.subject_id == subject_id)
    return connection.execute(uploads.delete().where(ours)).rowcount


def strike_heard(connection: sa.Connection, number: int, labels: Iterable[str]) -> None:
    """Take what some speakers said out of a meeting that goes on."""
    connection.execute(heard.delete().where(heard.c.number == number, heard.c.speaker.in_(list(labels))))
