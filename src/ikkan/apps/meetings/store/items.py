"""What was drawn out of meetings, as it stands."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from ikkan.apps.meetings.store.meetings import visible
from ikkan.apps.meetings.store.tables import items, meetings
from ikkan.apps.meetings.values import Extraction, Item, Kind, Status, Viewer
from ikkan.ground.errors import NotFound


def put_fresh(connection: sa.Connection, number: int, drawn: Iterable[Item], at: datetime) -> int:
    """Replace what nobody looked at by what was drawn now; what people judged stays. Returns how many are new."""
    columns = items.c
    # What was rejected stays too, so that it is not proposed again; what carries no judgement goes.
    undecided = sa.and_(columns.number == number, columns.status == Status.OPEN, columns.made_by != "person")
    connection.execute(items.delete().where(undecided, columns.is_done.is_(sa.false())))
    kept = set(connection.scalars(sa.select(columns.id).where(columns.number == number)))
    rows = [_row(number, item, at) for item in drawn if item.id not in kept]
    if rows:
        connection.execute(items.insert(), rows)
    return len(rows)


def put(connection: sa.Connection, number: int, item: Item, at: datetime) -> None:
    """Keep one item as it is now, whether it was there or not."""
    connection.execute(items.delete().where(items.c.number == number, items.c.id == item.id))
    connection.execute(items.insert().values(_row(number, item, at)))


def of_meeting(connection: sa.Connection, number: int) -> tuple[Item, ...]:
    """Every item of a meeting: by kind, the surest first."""
    statement = sa.select(items).where(items.c.number == number).order_by(items.c.confidence.desc(), items.c.id)
    found = [_item(row) for row in connection.execute(statement)]
    order = list(Kind)
    return tuple(sorted(found, key=lambda item: order.index(item.extraction.kind)))


def standing(connection: sa.Connection, numbers: Iterable[int]) -> dict[tuple[int, str, str, tuple[str, ...]], Item]:
    """Items of some meetings by number, kind, text and evidence: by what a quote of one is known."""
    found = connection.execute(sa.select(items).where(items.c.number.in_(sorted(set(numbers)))))
    return {(row.number, row.kind, row.text, tuple(row.evidence)): _item(row) for row in found}


def get(connection: sa.Connection, number: int, item_id: str) -> Item:
    """One item.

    Raises:
        NotFound: this meeting has none of this id.
    """
    row = connection.execute(sa.select(items).where(items.c.number == number, items.c.id == item_id)).first()
    if row is None:
        raise NotFound("this meeting has no such line", hint="reload the page", param="item_id")
    return _item(row)


def remove(connection: sa.Connection, number: int, item_ids: Iterable[str]) -> int:
    """Take items away; returns how many there were."""
    statement = items.delete().where(items.c.number == number, items.c.id.in_(list(item_ids)))
    return connection.execute(statement).rowcount


def across(
    connection: sa.Connection,
    viewer: Viewer,
    *,
    kind: Kind,
    statuses: Iterable[Status],
    is_done: bool | None = None,
    due_before: date | None = None,
    limit: int = 500,
) -> list[tuple[int, Item]]:
    """Items of every meeting a viewer may see, with their meeting's number: by day, those without one last."""
    columns = items.c
    statement = (
        sa.select(items)
        .join(meetings, meetings.c.number == columns.number)
        .where(visible(viewer), columns.kind == kind, columns.status.in_(list(statuses)))
        .order_by(columns.due.is_(None), columns.due, columns.number.desc(), columns.confidence.desc(), columns.id)
        .limit(limit)
    )
    if is_done is not None:
        statement = statement.where(columns.is_done.is_(sa.true() if is_done else sa.false()))
    if due_before is not None:
        statement = statement.where(columns.due < due_before)
    return [(row.number, _item(row)) for row in connection.execute(statement)]


def _row(number: int, item: Item, at: datetime) -> dict[str, Any]:
    said = item.extraction
    return {
        "number": number,
        "id": item.id,
        "kind": said.kind,
        "text": said.text,
        "evidence": list(said.evidence),
        "made_by": said.made_by[:120],
        "confidence": said.confidence,
        "owner": said.owner[:200] if said.owner else None,
        "due": said.due,
        "due_words": said.due_words[:200] if said.due_words else None,
        "status": item.status,
        "is_done": item.is_done,
        "changed_at": at,
    }


def _item(row: Any) -> Item:
    said = Extraction(
        Kind(row.kind), row.text, tuple(row.evidence), row.made_by, row.confidence, row.owner, row.due, row.due_words
    )
    return Item(row.id, said, Status(row.status), row.is_done)
