"""The index in plain tables: the same on SQLite and on PostgreSQL, and asked only about what a viewer may see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from ikkan.apps.meetings.rules.search import Hit, Passage, Posting
from ikkan.apps.meetings.store.meetings import visible
from ikkan.apps.meetings.store.tables import meetings, parts, passages, postings, vectors
from ikkan.apps.meetings.values import Viewer
from ikkan.ground.ids import TenantId

_AT_ONCE = 500


class Found(NamedTuple):
    """The rows a question needs: postings, read as they are asked for, and over how much they are ranked."""

    postings: Iterator[Posting]
    passages: int
    grams: int


def clear(connection: sa.Connection, number: int, part: str) -> None:
    """Take one part of a meeting out of the index."""
    for table in (postings, passages, parts, vectors):
        connection.execute(table.delete().where(table.c.number == number, table.c.part == part))


def put_postings(connection: sa.Connection, tenant_id: TenantId, part: str, rows: Sequence[Posting]) -> None:
    """Add rows to the index."""
    if rows:
        values = [
            {"tenant_id": tenant_id, "part": part, "gram": r.gram, "number": r.number, "packed": r.packed} for r in rows
        ]
        connection.execute(postings.insert(), values)


def put_passages(connection: sa.Connection, number: int, part: str, made: Sequence[Passage], grams: int) -> None:
    """Add the passages a part was made of, and their count: from then on the part is found."""
    values = [
        {
            "number": number,
            "part": part,
            "place": place,
            "text": each.text,
            "speaker": each.speaker[:200],
            "start_s": each.start_s,
            "evidence": list(each.evidence),
        }
        for place, each in enumerate(made)
    ]
    if values:
        connection.execute(passages.insert(), values)
    connection.execute(parts.insert().values(number=number, part=part, passages=len(made), grams=grams))


def put_vectors(connection: sa.Connection, number: int, part: str, first: int, rows: Sequence[bytes]) -> None:
    """Add what passages from place `first` on mean."""
    if rows:
        values = [
            {"number": number, "part": part, "place": place, "packed": row} for place, row in enumerate(rows, first)
        ]
        connection.execute(vectors.insert(), values)


def vectors_of(connection: sa.Connection, part: str, hits: Sequence[Hit]) -> dict[tuple[int, int], bytes]:
    """What the passages that were found mean, by meeting and place; those without a vector are missing."""
    columns = vectors.c
    numbers, places = {hit.number for hit in hits}, {hit.place for hit in hits}
    chosen = sa.and_(columns.part == part, columns.number.in_(numbers), columns.place.in_(places))
    statement = sa.select(columns.number, columns.place, columns.packed).where(chosen)
    return {(number, place): row for number, place, row in connection.execute(statement)} if hits else {}


def find(connection: sa.Connection, viewer: Viewer, part: str, grams: Iterable[str]) -> Found:
    """Postings of these grams in every meeting a viewer may see."""
    seen = sa.select(meetings.c.number).where(visible(viewer))
    size = sa.select(sa.func.sum(parts.c.passages), sa.func.sum(parts.c.grams))
    count, total = connection.execute(size.where(parts.c.part == part, parts.c.number.in_(seen))).one()
    columns = postings.c
    statement = sa.select(columns.gram, columns.number, columns.packed).where(
        columns.tenant_id == viewer.tenant_id,
        columns.part == part,
        columns.gram.in_(sorted(grams)),
        # The sum keeps SQLite from looking every meeting up for every gram: rows of a gram lie together.
        (columns.number + 0).in_(seen),
    )
    portions = connection.execute(statement).partitions(_AT_ONCE)
    rows = (Posting(*row) for portion in portions for row in portion)
    return Found(rows, int(count or 0), int(total or 0))


def quoted(connection: sa.Connection, part: str, hits: Sequence[Hit]) -> Iterator[tuple[Hit, Passage]]:
    """The passages that were found, in the order of the hits."""
    columns = passages.c
    # Numbers and places apart may read a few rows too many; as pairs, SQLite would read every passage there is.
    numbers, places = {hit.number for hit in hits}, {hit.place for hit in hits}
    chosen = sa.and_(columns.part == part, columns.number.in_(numbers), columns.place.in_(places))
    rows = connection.execute(sa.select(passages).where(chosen)).all() if hits else ()
    by_place = {
        (row.number, row.place): Passage(row.text, row.speaker, row.start_s, tuple(row.evidence)) for row in rows
    }
    for hit in hits:
        if (hit.number, hit.place) in by_place:
            yield hit, by_place[hit.number, hit.place]
