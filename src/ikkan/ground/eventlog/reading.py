"""Reading: page after page, only as far as each person allows at that moment."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ikkan.ground.db import Database, UtcDateTime
from ikkan.ground.eventlog.keys import Keys, event_context, unseal
from ikkan.ground.eventlog.tables import NOBODY, Whose, consents_table, events_table, keys_table
from ikkan.ground.events import IMPROVE, Event, granted_by_default
from ikkan.ground.ids import TenantId

log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder().decode

PAGE = 2_000
"""Rows a reading takes at once: a few milliseconds, and little memory."""
_MOST_OPENED = 50_000
"""Keys one reading remembers: some 20 MB."""
_UNOPENED = (None, b"")


class Reader:
    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    def read(
        self,
        names: Sequence[str],
        *,
        tenant_id: TenantId | None = None,
        purpose: str = IMPROVE,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Event]:
        """See `EventReader.read`. Reads in pages, so that a long training never holds a transaction open."""
        chosen = readable(purpose)
        if tenant_id is not None:
            chosen = chosen.where(events_table.c.tenant_id == tenant_id)
        if until is not None:
            chosen = chosen.where(events_table.c.recorded_at < until)
        opened = Opened(self._keys)
        # One name at a time follows its index from page to page; merging keeps the order without sorting the log.
        streams = [self._of_name(chosen, name, since, opened) for name in dict.fromkeys(names)]
        return heapq.merge(*streams, key=attrgetter("recorded_at", "id"))

    def _of_name(self, chosen: sa.Select[Any], name: str, since: datetime | None, opened: Opened) -> Iterator[Event]:
        columns = events_table.c
        named = chosen.where(columns.name == name).order_by(columns.recorded_at, columns.id).limit(PAGE)
        page = named if since is None else named.where(columns.recorded_at >= since)
        while True:
            with self._database.read() as connection:
                rows = connection.execute(page).all()
            yield from opened.events(rows)
            if len(rows) < PAGE:
                return
            place = sa.tuple_(columns.recorded_at, columns.id)
            page = named.where(
                place > sa.tuple_(_moment(rows[-1].recorded_at), rows[-1].id, types=[UtcDateTime, sa.String])
            )


def readable(purpose: str) -> sa.Select[Any]:
    """Events with the wrapped key that opens them, where the owner allows `purpose`: erased people have no key."""
    owner = sa.func.coalesce(events_table.c.subject_id, NOBODY)
    said, default = consents_table.alias("said"), consents_table.alias("tenant_default")
    joined = (
        events_table.join(
            keys_table,
            sa.and_(keys_table.c.tenant_id == events_table.c.tenant_id, keys_table.c.subject_id == owner),
        )
        .outerjoin(
            said,
            sa.and_(
                said.c.tenant_id == events_table.c.tenant_id, said.c.subject_id == owner, said.c.purpose == purpose
            ),
        )
        .outerjoin(
            default,
            sa.and_(
                default.c.tenant_id == events_table.c.tenant_id,
                default.c.subject_id == NOBODY,
                default.c.purpose == purpose,
            ),
        )
    )
    granted = sa.func.coalesce(
        said.c.granted, default.c.granted, sa.literal(granted_by_default(purpose), sa.Boolean), type_=sa.Boolean
    )
    kept = [*(events_table.c[name] for name in Event.__slots__[:-1]), events_table.c.sealed, keys_table.c.wrapped_key]
    # As the driver gives it: what SQLAlchemy would make of every value costs more than opening the event.
    raw: list[Any] = [sa.type_coerce(column, sa.types.NullType()).label(column.name) for column in kept]
    chosen: sa.Select[Any] = sa.select(*raw)
    return chosen.select_from(joined).where(granted.is_(sa.true()))


class Opened:
    """Opens rows of `readable`; each owner's key once, for as long as one reading lasts."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._opened: dict[Whose, tuple[bytes | None, bytes]] = {}

    def events(self, rows: Iterable[Any]) -> Iterator[Event]:
        """The events in these rows, without those of the erased and those that cannot be opened."""
        buried = self._keys.buried()
        recorded: Any = None
        moment: Any = None
        for id, name, version, tenant_id, subject_id, occurred_at, recorded_at, purpose, sealed, wrapped in rows:
            owner = (tenant_id, subject_id or NOBODY)
            if buried and owner[1] != NOBODY and self._keys.tombstone(*owner) in buried:
                continue
            closed, key = self._opened.get(owner, _UNOPENED)
            if closed != wrapped:
                if len(self._opened) >= _MOST_OPENED:
                    self._opened.clear()
                key = self._keys.unwrap(*owner, wrapped)
                self._opened[owner] = wrapped, key
            try:
                payload = _decode(unseal(AESGCM(key), sealed, event_context(id, name, version, *owner)))
            except (InvalidTag, msgspec.DecodeError):
                # One damaged row must not stop every loop; it is named, so that it can be looked at.
                log.error("an event cannot be opened and is left out", extra={"event_id": id})
                continue
            if recorded_at != recorded:  # all of one transaction have one moment
                recorded, moment = recorded_at, _moment(recorded_at)
            yield Event(id, name, version, tenant_id, subject_id, _moment(occurred_at), moment, purpose, payload)


def _moment(kept: Any) -> datetime:
    """What SQLite keeps as text and PostgreSQL as a moment, as aware UTC."""
    if isinstance(kept, str):
        return datetime.fromisoformat(f"{kept}+00:00")
    moment: datetime = kept
    return moment.astimezone(UTC)
