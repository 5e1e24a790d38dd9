"""The event log: append-only, encrypted per person, read only as far as that person allows.

- **Append** happens inside the caller's transaction, beside the caller's own row: both are kept, or neither.
- **Each person has a key** (each tenant has one for events about nobody). The payload is AES-256-GCM under it, bound to
  the event's id, name and owner, so no row can be passed off as another. Keys are kept wrapped by a master key that
  lives in a file, so a copy of the database alone opens nothing.
- **The reader applies consent**, so no loop can forget it.
- **Erasing** destroys the person's key: every copy of their payloads, in every backup, is noise from then on.
  A tombstone in a file outside the home, and so outside every backup, keeps a restore from bringing the key back.

Source of the idea: crypto-shredding, as in Boneh and Lipton, "A Revocable Backup System" (1996).
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import logging
import os
import re
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.dialects import postgresql, sqlite

from ikkan.ground.clock import Clock
from ikkan.ground.db import Database, UtcDateTime
from ikkan.ground.errors import ErasedSubject, SetupNeeded
from ikkan.ground.events import IMPROVE, SERVICE, Event, EventReader, NewEvent, granted_by_default
from ikkan.ground.ids import EventId, SubjectId, TenantId, new_id

log = logging.getLogger(__name__)

metadata = sa.MetaData()

events_table = sa.Table(
    "ground_events",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("tenant_id", sa.String(80), nullable=False),
    sa.Column("subject_id", sa.String(120), nullable=True),
    sa.Column("occurred_at", UtcDateTime, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("purpose", sa.String(40), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Index("ground_events_by_name", "name", "recorded_at", "id"),
    sa.Index("ground_events_by_time", "recorded_at", "id"),
)
keys_table = sa.Table(
    "ground_subject_keys",
    metadata,
    sa.Column("tenant_id", sa.String(80), primary_key=True),
    sa.Column("subject_id", sa.String(120), primary_key=True),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)
consents_table = sa.Table(
    "ground_consents",
    metadata,
    sa.Column("tenant_id", sa.String(80), primary_key=True),
    sa.Column("subject_id", sa.String(120), primary_key=True),
    sa.Column("purpose", sa.String(40), primary_key=True),
    sa.Column("granted", sa.Boolean, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)
erasures_table = sa.Table(
    "ground_erasures",
    metadata,
    sa.Column("tombstone", sa.String(64), primary_key=True),
    sa.Column("erased_at", UtcDateTime, nullable=False),
)

_NOBODY = ""
"""Stands for "no subject" where a column may not be null: the tenant's own key, the tenant's default consent."""
_FORMAT = b"\x01"
"""First byte of everything sealed: format 1 is a 12-byte nonce, then AES-256-GCM ciphertext with its tag."""
_PAGE = 2_000
"""Rows a reading takes at once: a few milliseconds, and little memory."""
_IN_ONE = 500
"""Values in one IN: statements of few lengths are prepared once."""
_MOST_OPENED = 50_000
"""Keys one reading remembers: some 20 MB."""
_Whose: TypeAlias = tuple[TenantId, str]
"""Whose key: tenant, and subject or `_NOBODY`."""
_T = TypeVar("_T")
_OPEN = [name for name in Event.__slots__ if name != "payload"]
"""An event's fields that are columns."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_TOMBSTONE = re.compile(r"[0-9a-f]{64}")
_TOMBSTONES_BYTES = 1 << 28
"""Of a file of tombstones: room for two million people. A larger one is not ours."""


class Keys:
    """The master key, in a folder outside the database, and the tombstones, in a file outside every backup.

    Made by `Keys.open`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keys = Keys.open(Path(folder) / "keys")
    ...     box = keys.seal(keys.master, b"hello", b"for ada")
    ...     keys.master == Keys.open(Path(folder) / "keys").master, keys.unseal(keys.master, box, b"for ada")
    (True, b'hello')
    """

    def __init__(self, master: bytes, tombstones: Path) -> None:
        assert len(master) == 32, "the master key has 256 bits"
        self.master = master
        self._tombstones = tombstones
        self._lock = threading.Lock()
        self._seen: tuple[int, int] = (-1, -1)
        self._buried: frozenset[str] = frozenset()

    @classmethod
    def open(cls, folder: Path, tombstones: Path | None = None) -> Keys:
        """Load the master key from `folder/master.key`, making it (mode 0600) the first time.

        Whoever has this folder and the database can read everything: keep backups as you would keep the home.

        Args:
            folder: holds the master key.
            tombstones: the file of the erased; what an earlier release left in `folder/erased` is added to it.
                Without it, that file itself.

        Raises:
            SetupNeeded: the file is there and is not a key, or the tombstones cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "master.key"
        if not path.exists():
            fresh = folder / f".{new_id('master')}"
            _write_private(fresh, os.urandom(32).hex().encode() + b"\n")
            try:
                os.link(fresh, path)  # whoever comes first wins; the other reads the winner's
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
            _sync_folder(folder)
        try:
            master = bytes.fromhex(path.read_text().strip())
        except ValueError:
            master = b""
        if len(master) != 32:
            raise SetupNeeded(
                f"{path} is not a master key", hint="restore it from your backup of the keys folder", path=str(path)
            )
        if path.stat().st_mode & 0o077:
            log.warning("others on this machine can read the master key", extra={"path": str(path)})
        former = folder / "erased"
        keys = cls(master, tombstones or former)
        if tombstones is not None and former.is_file():
            keys.learn(former)
        return keys

    def seal(self, key: bytes, plain: bytes, context: bytes) -> bytes:
        """Encrypt; only the same key and the same context open it again."""
        return _seal(AESGCM(key), plain, context)

    def unseal(self, key: bytes, sealed: bytes, context: bytes) -> bytes:
        """Decrypt what `seal` made.

        Raises:
            InvalidTag: another key or context, or the bytes were changed.
        """
        return _unseal(AESGCM(key), sealed, context)

    def wrap(self, tenant_id: TenantId, subject: str, key: bytes) -> bytes:
        """A subject's key, closed with the master key."""
        return self.seal(self.master, key, _context("key", tenant_id, subject))

    def unwrap(self, tenant_id: TenantId, subject: str, wrapped: bytes) -> bytes:
        """A subject's key, opened.

        Raises:
            SetupNeeded: this master key did not close it.
        """
        try:
            return self.unseal(self.master, wrapped, _context("key", tenant_id, subject))
        except InvalidTag:
            raise SetupNeeded(
                "the master key in the keys folder is not the one this database was written with",
                hint="restore <home>/keys/master.key from your backup",
            ) from None

    def tombstone(self, tenant_id: TenantId, subject: str) -> str:
        """What is remembered of an erased person: a keyed hash, from which nobody can be listed."""
        return hmac.new(self.master, _context("tombstone", tenant_id, subject), hashlib.sha256).hexdigest()

    def bury(self, tombstone: str, at: datetime) -> None:
        """Write a tombstone to the file, on disk when this returns.

        Raises:
            SetupNeeded: the file cannot be written; nobody was erased.
        """
        self._carve([f"{tombstone} {at.astimezone(UTC).isoformat()}"])

    def learn(self, other: Path) -> int:
        """Add what another file of tombstones knows; returns how many were new here.

        Raises:
            SetupNeeded: it is no such file, or ours cannot be written.
        """
        known = self.buried()
        lines = [line for line in _tombstone_lines(other) if line.split()[0] not in known]
        if lines:
            self._carve(lines)
        return len(lines)

    def buried(self) -> frozenset[str]:
        """Every tombstone in the file, also those another process wrote a moment ago."""
        try:
            facts = self._tombstones.stat()
        except FileNotFoundError:
            return frozenset()
        with self._lock:
            if self._seen != (facts.st_mtime_ns, facts.st_size):
                self._buried = frozenset(line.split()[0] for line in _tombstone_lines(self._tombstones))
                self._seen = (facts.st_mtime_ns, facts.st_size)
            return self._buried

    def _carve(self, lines: Sequence[str]) -> None:
        try:
            descriptor = os.open(self._tombstones, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                # A power cut may have left half a line; what follows it must not be lost with it.
                torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                os.write(descriptor, ("\n" * torn + "".join(f"{line}\n" for line in lines)).encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            _sync_folder(self._tombstones.parent)
        except OSError as exc:
            raise SetupNeeded(
                f"the list of erased people, {self._tombstones}, cannot be written: {exc.strerror}",
                hint="let this user write there, or choose another place outside the home: IKKAN_ERASURES=/path/erased",
                path=str(self._tombstones),
            ) from exc


def _tombstone_lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _TOMBSTONES_BYTES:
            raise SetupNeeded(f"{path} is not a list of erased people", hint="IKKAN_ERASURES names another file?")
        lines = path.read_text("ascii", "replace").splitlines()
    except OSError as exc:
        # Going on without it would serve people who were erased.
        raise SetupNeeded(
            f"the list of erased people, {path}, cannot be read: {exc.strerror}",
            hint="let this user read it, or put it back from your copy",
            path=str(path),
        ) from exc
    return [line for line in lines if _TOMBSTONE.fullmatch(line.partition(" ")[0])]


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
        owners = [(event.tenant_id, event.subject_id or _NOBODY) for event in events]
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
            context = _event_context(row["id"], event.name, event.version, *owner)
            row["sealed"] = _seal(opened[owner], _encode(event.payload), context)
            rows.append(row)
        if rows:
            connection.execute(events_table.insert(), rows)
        return [EventId(row["id"]) for row in rows]

    def reader(self) -> EventReader:
        """A reader for loops: consent applied, erased people left out."""
        return _Reader(self._database, self._keys)

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
            "subject_id": subject_id or _NOBODY,
            "purpose": purpose,
            "granted": granted,
            "changed_at": self._clock.now(),
        }
        statement = _insert(connection, consents_table).values(row)
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
                consents_table.c.subject_id.in_([subject_id or _NOBODY, _NOBODY]),
                consents_table.c.purpose == purpose,
            )
        )
        said: dict[str, bool] = {row.subject_id: row.granted for row in rows}
        return said.get(subject_id or _NOBODY, said.get(_NOBODY, granted_by_default(purpose)))

    def erase(self, connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> None:
        """Forget a person: destroy their key and put up a tombstone. Final from this call on.

        The tombstone reaches the disk first, so a crash or rollback after it errs on the side of forgetting;
        `reconcile` then finishes the rest. Their events stay as unreadable rows: counts and bills keep adding up.
        """
        tombstone = self._keys.tombstone(tenant_id, subject_id)
        now = self._clock.now()
        if tombstone not in self._keys.buried():
            self._keys.bury(tombstone, now)
        statement = _insert(connection, erasures_table).values(tombstone=tombstone, erased_at=now)
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
                owners |= {Owner(row.tenant_id, row.subject_id) for row in found if row.subject_id != _NOBODY}
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
            connection.execute(_insert(connection, erasures_table).on_conflict_do_nothing(), rows)
        destroyed = 0
        for owner in self.returned(connection):
            destroyed += owner in _wrapped_keys(connection, [owner])
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
        statement = _readable(SERVICE).order_by(events_table.c.recorded_at.desc(), events_table.c.id.desc())
        if tenant_id is not None:
            statement = statement.where(events_table.c.tenant_id == tenant_id)
        with self._database.read() as connection:
            rows = connection.execute(statement.limit(limit)).all()
        return list(_Opened(self._keys).events(rows))

    def _keys_for(self, connection: sa.Connection, owners: Iterable[_Whose]) -> dict[_Whose, AESGCM]:
        """Each owner's key, made where there is none. Asks the database once for all of them."""
        wrapped = _wrapped_keys(connection, owners)
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
            connection.execute(_insert(connection, keys_table).on_conflict_do_nothing(), fresh)
            # Another transaction may have been first: what is in the table is the key.
            wrapped |= _wrapped_keys(connection, unknown)
        return {owner: AESGCM(self._keys.unwrap(*owner, closed)) for owner, closed in wrapped.items()}

    def _refuse_erased(self, connection: sa.Connection, known: Collection[_Whose], unknown: Collection[_Whose]) -> None:
        buried = self._keys.buried()
        suspects = [*known, *unknown] if buried else unknown
        tombstones = {self._keys.tombstone(*owner): owner for owner in suspects if owner[1] != _NOBODY}
        erased = buried & tombstones.keys()
        # Erased at another machine, whose file of tombstones is not ours: there is no key, and the database knows why.
        asked = [tombstone for tombstone, owner in tombstones.items() if owner not in known]
        for some in _portions(asked):
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
    rows = connection.execution_options(yield_per=_PAGE).execute(sa.select(events_table).order_by(columns.id))
    for row in rows.mappings():
        hashed.update(msgspec.json.encode([row[column.name] for column in events_table.columns]) + b"\n")
        count += 1
    return {"events": count, "sha256": hashed.hexdigest()}


class _Reader:
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
        chosen = _readable(purpose)
        if tenant_id is not None:
            chosen = chosen.where(events_table.c.tenant_id == tenant_id)
        if until is not None:
            chosen = chosen.where(events_table.c.recorded_at < until)
        opened = _Opened(self._keys)
        # One name at a time follows its index from page to page; merging keeps the order without sorting the log.
        streams = [self._of_name(chosen, name, since, opened) for name in dict.fromkeys(names)]
        return heapq.merge(*streams, key=attrgetter("recorded_at", "id"))

    def _of_name(self, chosen: sa.Select[Any], name: str, since: datetime | None, opened: _Opened) -> Iterator[Event]:
        columns = events_table.c
        named = chosen.where(columns.name == name).order_by(columns.recorded_at, columns.id).limit(_PAGE)
        page = named if since is None else named.where(columns.recorded_at >= since)
        while True:
            with self._database.read() as connection:
                rows = connection.execute(page).all()
            yield from opened.events(rows)
            if len(rows) < _PAGE:
                return
            place = sa.tuple_(columns.recorded_at, columns.id)
            page = named.where(
                place > sa.tuple_(_moment(rows[-1].recorded_at), rows[-1].id, types=[UtcDateTime, sa.String])
            )


def _readable(purpose: str) -> sa.Select[Any]:
    """Events with the wrapped key that opens them, where the owner allows `purpose`: erased people have no key."""
    owner = sa.func.coalesce(events_table.c.subject_id, _NOBODY)
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
                default.c.subject_id == _NOBODY,
                default.c.purpose == purpose,
            ),
        )
    )
    granted = sa.func.coalesce(
        said.c.granted, default.c.granted, sa.literal(granted_by_default(purpose), sa.Boolean), type_=sa.Boolean
    )
    return (
        sa.select(
            *(events_table.c[name] for name in Event.__slots__[:-1]), events_table.c.sealed, keys_table.c.wrapped_key
        )
        .select_from(joined)
        .where(granted.is_(sa.true()))
    )


class _Opened:
    """Opens rows of `_readable`; each owner's key once, for as long as one reading lasts."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._opened: dict[tuple[_Whose, bytes], bytes] = {}

    def events(self, rows: Iterable[Any]) -> Iterator[Event]:
        """The events in these rows, without those of the erased and those that cannot be opened."""
        buried = self._keys.buried()
        for id, name, version, tenant_id, subject_id, occurred_at, recorded_at, purpose, sealed, wrapped in rows:
            owner = (tenant_id, subject_id or _NOBODY)
            if buried and owner[1] != _NOBODY and self._keys.tombstone(*owner) in buried:
                continue
            key = self._opened.get((owner, wrapped))
            if key is None:
                if len(self._opened) >= _MOST_OPENED:
                    self._opened.clear()
                key = self._opened[owner, wrapped] = self._keys.unwrap(*owner, wrapped)
            try:
                payload = _decode(_unseal(AESGCM(key), sealed, _event_context(id, name, version, *owner)))
            except (InvalidTag, msgspec.DecodeError):
                # One damaged row must not stop every loop; it is named, so that it can be looked at.
                log.error("an event cannot be opened and is left out", extra={"event_id": id})
                continue
            moments = _moment(occurred_at), _moment(recorded_at)
            yield Event(id, name, version, tenant_id, subject_id, *moments, purpose, payload)


def _moment(kept: Any) -> datetime:
    """What SQLite keeps as text and PostgreSQL as a moment, as aware UTC."""
    if isinstance(kept, str):
        return datetime.fromisoformat(kept).replace(tzinfo=UTC)
    moment: datetime = kept
    return moment.astimezone(UTC)


def _context(*words: str) -> bytes:
    return b"\x00".join(word.encode() for word in ("ikkan", *words))


def _event_context(id: str, name: str, version: int, tenant_id: str, subject: str) -> bytes:
    return f"ikkan\x00event\x00{id}\x00{name}\x00{version}\x00{tenant_id}\x00{subject}".encode()


def _seal(key: AESGCM, plain: bytes, context: bytes) -> bytes:
    nonce = os.urandom(12)
    return _FORMAT + nonce + key.encrypt(nonce, plain, context)


def _unseal(key: AESGCM, sealed: bytes, context: bytes) -> bytes:
    if sealed[:1] != _FORMAT:
        raise InvalidTag
    return key.decrypt(sealed[1:13], sealed[13:], context)


def _portions(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """So many that each fits into one statement."""
    for start in range(0, len(items), _IN_ONE):
        yield items[start : start + _IN_ONE]


def _wrapped_keys(connection: sa.Connection, owners: Iterable[_Whose]) -> dict[_Whose, bytes]:
    """The wrapped keys that exist, by owner."""
    columns = keys_table.c
    of_tenant: dict[TenantId, list[str]] = {}
    for tenant_id, subject in owners:
        of_tenant.setdefault(tenant_id, []).append(subject)
    found: dict[_Whose, bytes] = {}
    for tenant_id, subjects in of_tenant.items():
        for some in _portions(subjects):
            statement = sa.select(columns.subject_id, columns.wrapped_key)
            rows = connection.execute(statement.where(columns.tenant_id == tenant_id, columns.subject_id.in_(some)))
            found |= {(tenant_id, row.subject_id): row.wrapped_key for row in rows}
    return found


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the dialect's own class."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
