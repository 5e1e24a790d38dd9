"""Recording, consent and erasure."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import ErasedSubject
from ikkan.ground.eventlog.keys import Keys, event_context, seal
from ikkan.ground.eventlog.reading import PAGE, Opened, Reader, readable
from ikkan.ground.eventlog.tables import (
    NOBODY,
    Whose,
    consents_table,
    erasures_table,
    events_table,
    insert,
    keys_table,
    portions,
    wrapped_keys,
)
from ikkan.ground.events import SERVICE, Event, EventReader, NewEvent, granted_by_default
from ikkan.ground.ids import EventId, SubjectId, TenantId, new_id

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_APPEND = events_table.insert()


class Owner(NamedTuple):
    """Whom an event is about."""

    tenant_id: TenantId
    subject_id: SubjectId


class Skeleton(NamedTuple):
    """What stays of a person's events when nobody can open them any more: that they were."""

    ids: frozenset[EventId]
    sha256: str
    """Over every column but the sealed one, in the order of the ids: the same before and after an erasure."""


class EventLog:
    """Keeps events in `database`, at `clock`'s time, under `keys`."""

    def __init__(self, database: Database, clock: Clock, keys: Keys) -> None:
        self._database = database
        self._clock = clock
        self._keys = keys

    def append(self, connection: sa.Connection, *events: NewEvent) -> list[EventId]:
        """Record events inside the caller's transaction; returns their ids in order.

        Raises:
            ErasedSubject: one of them is about an erased person. Nothing was written, and the transaction is still
                good, so a caller who must record the rest (a bill) can go on without the event.
        """
        owners = [(event.tenant_id, event.subject_id or NOBODY) for event in events]
        opened = self._keys_for(connection, dict.fromkeys(owners))
        now = self._clock.now()
        rows: list[dict[str, Any]] = []
        for event, owner in zip(events, owners, strict=True):
            row: dict[str, Any] = {
                "id": new_id(),
                "name": event.name,
                "version": event.version,
                "tenant_id": event.tenant_id,
                "subject_id": event.subject_id,
                "occurred_at": event.occurred_at,
                "recorded_at": now,
                "purpose": event.purpose,
            }
            context = event_context(row["id"], event.name, event.version, *owner)
            row["sealed"] = seal(opened[owner], _encode(event.payload), context)
            rows.append(row)
        if rows:
            connection.execute(_APPEND, rows)
        return [EventId(row["id"]) for row in rows]

    def reader(self) -> EventReader:
        """A reader for loops: consent applied, erased people left out."""
        return Reader(self._database, self._keys)

    def set_consent(
        self,
        connection: sa.Connection,
        tenant_id: TenantId,
        subject_id: SubjectId | None,
        purpose: str,
        granted: bool,
    ) -> None:
        """A person's word on one purpose, for everything recorded so far and from now on.

        `subject_id=None` sets the tenant's default, which counts where a person has said nothing.
        """
        row = {
            "tenant_id": tenant_id,
            "subject_id": subject_id or NOBODY,
            "purpose": purpose,
            "granted": granted,
            "changed_at": self._clock.now(),
        }
        statement = insert(connection, consents_table).values(row)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "subject_id", "purpose"],
                set_={"granted": granted, "changed_at": row["changed_at"]},
            )
        )

    def consents(
        self, connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId | None, purpose: str
    ) -> bool:
        """Whether this person's events may be used for `purpose` now."""
        rows = connection.execute(
            sa.select(consents_table.c.subject_id, consents_table.c.granted).where(
                consents_table.c.tenant_id == tenant_id,
                consents_table.c.subject_id.in_([subject_id or NOBODY, NOBODY]),
                consents_table.c.purpose == purpose,
            )
        )
        said: dict[str, bool] = {row.subject_id: row.granted for row in rows}
        return said.get(subject_id or NOBODY, said.get(NOBODY, granted_by_default(purpose)))

    def erase(self, connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> None:
        """Forget a person: destroy their key and put up a tombstone. Final from this call on.

        The tombstone reaches the disk first, so a crash or rollback after it errs on the side of forgetting;
        `reconcile` then finishes the rest. Their events stay as unreadable rows: counts and bills keep adding up.
        """
        tombstone = self._keys.tombstone(tenant_id, subject_id)
        now = self._clock.now()
        if tombstone not in self._keys.buried():
            self._keys.bury(tombstone, now)
        statement = insert(connection, erasures_table).values(tombstone=tombstone, erased_at=now)
        connection.execute(statement.on_conflict_do_nothing())
        for table in (keys_table, consents_table):
            connection.execute(table.delete().where(table.c.tenant_id == tenant_id, table.c.subject_id == subject_id))

    def tombstone(self, tenant_id: TenantId, subject_id: SubjectId) -> str:
        """What is, or would be, remembered of this person once erased."""
        return self._keys.tombstone(tenant_id, subject_id)

    def is_known(self, connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> bool:
        """Whether anything is kept of this person: an event, a key, a word on consent."""
        for table in (keys_table, consents_table, events_table):
            here = sa.select(sa.literal(1)).where(table.c.tenant_id == tenant_id, table.c.subject_id == subject_id)
            if connection.scalar(here.limit(1)) is not None:
                return True
        return False

    def skeleton(self, connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> Skeleton:
        """Which events are about a person, readable or not, and one hash over all of them."""
        shown = [column for column in events_table.columns if column.name != "sealed"]
        columns = events_table.c
        here = sa.select(*shown).where(columns.tenant_id == tenant_id, columns.subject_id == subject_id)
        hashed, ids = hashlib.sha256(), set()
        for row in connection.execute(here.order_by(columns.id)):
            hashed.update(msgspec.json.encode(list(row)) + b"\n")
            ids.add(EventId(row.id))
        return Skeleton(frozenset(ids), hashed.hexdigest())

    def erased_owners(self, connection: sa.Connection, *, apart_from: frozenset[str] = frozenset()) -> list[Owner]:
        """Erased people of whom there are events, leaving out whose tombstones are given.

        Reads no event unless there is another tombstone than these.
        """
        erased = self._keys.buried() | set(connection.scalars(sa.select(erasures_table.c.tombstone)))
        if not erased - apart_from:
            return []
        found = connection.execute(sa.select(events_table.c.tenant_id, events_table.c.subject_id).distinct())
        owners = (Owner(row.tenant_id, row.subject_id) for row in found if row.subject_id is not None)
        return sorted(owner for owner in owners if self._keys.tombstone(*owner) in erased - apart_from)

    def returned(self, connection: sa.Connection) -> list[Owner]:
        """Erased people of whom the database knows more than a tombstone: a restored backup brought them back."""
        erased = self._keys.buried() | set(connection.scalars(sa.select(erasures_table.c.tombstone)))
        owners: set[Owner] = set()
        if erased:
            for table in (keys_table, consents_table):
                found = connection.execute(sa.select(table.c.tenant_id, table.c.subject_id).distinct())
                owners |= {Owner(row.tenant_id, row.subject_id) for row in found if row.subject_id != NOBODY}
        return sorted(owner for owner in owners if self._keys.tombstone(*owner) in erased)

    def reconcile(self, connection: sa.Connection) -> int:
        """Make file and database agree about who is erased; run at every start. Returns how many keys it destroyed.

        After a restored backup the database has keys of people whom the file knows to be erased: they go again.
        A machine that joins later learns the tombstones from the database.
        """
        in_database = set(connection.scalars(sa.select(erasures_table.c.tombstone)))
        in_file = self._keys.buried()
        now = self._clock.now()
        for tombstone in sorted(in_database - in_file):
            self._keys.bury(tombstone, now)
        rows = [{"tombstone": tombstone, "erased_at": now} for tombstone in sorted(in_file - in_database)]
        if rows:
            connection.execute(insert(connection, erasures_table).on_conflict_do_nothing(), rows)
        destroyed = 0
        for owner in self.returned(connection):
            destroyed += owner in wrapped_keys(connection, [owner])
            self.erase(connection, *owner)
        if destroyed:
            log.warning("keys of erased people had come back and were destroyed", extra={"keys": destroyed})
        return destroyed

    def count(self, name: str | None = None) -> int:
        """How many events are recorded, of one name or of all, readable or not."""
        statement = sa.select(sa.func.count()).select_from(events_table)
        if name is not None:
            statement = statement.where(events_table.c.name == name)
        with self._database.read() as connection:
            return connection.execute(statement).scalar_one()

    def tail(self, limit: int, *, tenant_id: TenantId | None = None) -> list[Event]:
        """The latest `limit` events that may be shown for the service itself, newest first."""
        statement = readable(SERVICE).order_by(events_table.c.recorded_at.desc(), events_table.c.id.desc())
        if tenant_id is not None:
            statement = statement.where(events_table.c.tenant_id == tenant_id)
        with self._database.read() as connection:
            rows = connection.execute(statement.limit(limit)).all()
        return list(Opened(self._keys).events(rows))

    def _keys_for(self, connection: sa.Connection, owners: Iterable[Whose]) -> dict[Whose, AESGCM]:
        """Each owner's key, made where there is none. Asks the database once for all of them."""
        wrapped = wrapped_keys(connection, owners)
        unknown = sorted(owner for owner in owners if owner not in wrapped)
        self._refuse_erased(connection, wrapped, unknown)
        if unknown:
            now = self._clock.now()
            fresh = [
                {
                    "tenant_id": tenant_id,
                    "subject_id": subject,
                    "wrapped_key": self._keys.wrap(tenant_id, subject, AESGCM.generate_key(256)),
                    "created_at": now,
                }
                for tenant_id, subject in unknown
            ]
            connection.execute(insert(connection, keys_table).on_conflict_do_nothing(), fresh)
            # Another transaction may have been first: what is in the table is the key.
            wrapped |= wrapped_keys(connection, unknown)
        return {owner: AESGCM(self._keys.unwrap(*owner, closed)) for owner, closed in wrapped.items()}

    def _refuse_erased(self, connection: sa.Connection, known: Collection[Whose], unknown: Collection[Whose]) -> None:
        buried = self._keys.buried()
        suspects = [*known, *unknown] if buried else unknown
        tombstones = {self._keys.tombstone(*owner): owner for owner in suspects if owner[1] != NOBODY}
        erased = buried & tombstones.keys()
        # Erased at another machine, whose file of tombstones is not ours: there is no key, and the database knows why.
        asked = [tombstone for tombstone, owner in tombstones.items() if owner not in known]
        for some in portions(asked):
            column = erasures_table.c.tombstone
            erased |= set(connection.scalars(sa.select(column).where(column.in_(some))))
        if erased:
            raise ErasedSubject(
                "this person was erased; nothing more is recorded about them",
                hint="leave the event out, or give a returning person a new subject id",
                tenant=tombstones[min(erased)][0],
            )


def digest(connection: sa.Connection) -> dict[str, Any]:
    """How many events there are, and one hash over every byte of them in the order of their ids.

    Keys are not part of it: it stays the same when a person is erased, and changes when an event is lost or changed.
    """
    columns = events_table.c
    hashed, count = hashlib.sha256(), 0
    rows = connection.execution_options(yield_per=PAGE).execute(sa.select(events_table).order_by(columns.id))
    for row in rows.mappings():
        hashed.update(msgspec.json.encode([row[column.name] for column in events_table.columns]) + b"\n")
        count += 1
    return {"events": count, "sha256": hashed.hexdigest()}
