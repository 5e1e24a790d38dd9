"""One database for all rooms: SQLite beside the home folder by default, PostgreSQL where gateways multiply.

Stores are written once and run on both; `tests/conftest.py` hands every store test each of them in turn.
SQLAlchemy Core only: no ORM, no rows past a room's wall.

What a writer can rely on:

- `transaction()` holds the database's one write lock on SQLite (BEGIN IMMEDIATE), so reads inside it stay true
  until it ends. On PostgreSQL it is READ COMMITTED: guard a check-then-write with `UPDATE ... WHERE`, a unique
  constraint or `.with_for_update()` (which SQLite ignores, because there it is not needed).
- It commits when the block ends, rolls back when it raises, and should last ≤ 50 ms: longer ones are logged.
- When it has returned, `kill -9` cannot take the write back.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from ikkan.ground.errors import DatabaseUnready, MissingPackage, UnknownSetting

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

LONG_TRANSACTION_MS = 50.0
"""A write transaction above this makes others wait noticeably; it is logged as a warning."""

_BUSY_TIMEOUT_MS = 5_000
_THREADS = 4


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in, aware UTC out, microseconds kept, on both dialects; sorts as time on both.

    In a migration write `sa.DateTime(timezone=True)`: it is the same column.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        assert value.tzinfo is not None, "time is aware UTC; take it from ikkan.ground.clock"
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """A database at `url`: `sqlite:///<file>` or `postgresql+psycopg://...`. Nothing is opened before first use.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     database = Database(f"sqlite:///{folder}/example.db")
    ...     with database.transaction() as connection:
    ...         _ = connection.exec_driver_sql("CREATE TABLE seen (n INTEGER)")
    ...         _ = connection.exec_driver_sql("INSERT INTO seen VALUES (42)")
    ...     with database.read() as connection:
    ...         print(connection.exec_driver_sql("SELECT n FROM seen").scalar_one())
    ...     database.close()
    42
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = _parse(url)
        self.dialect: str = parsed.get_backend_name()
        """`sqlite` or `postgresql`."""
        self._inside = threading.local()
        self._pool_lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        if self.dialect == "sqlite":
            # One writer per process: threads queue here in turn instead of polling SQLite's lock, whose busy
            # handler sleeps up to 100 ms between tries. Readers never wait for the writer (WAL).
            self._writer = sa.create_engine(parsed, pool_size=1, max_overflow=0, pool_timeout=30)
            self._reader = sa.create_engine(parsed, pool_size=_THREADS, max_overflow=8)
            _teach_sqlite(self._writer, begin="BEGIN IMMEDIATE")
            _teach_sqlite(self._reader, begin="BEGIN", read_only=True)
        else:
            self._writer = _postgres(parsed)
            self._reader = self._writer.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A connection that writes: commits at the end of the block, rolls back if it raises.

        Raises:
            DatabaseUnready: the database cannot be reached, has no such table, or stayed locked for 5 s.
        """
        assert not getattr(self._inside, "transaction", False), (
            "a transaction inside a transaction of the same thread would wait for itself: pass the connection down"
        )
        self._inside.transaction = True
        try:
            with _translated(self.url), self._writer.begin() as connection:
                started = time.perf_counter()
                yield connection
            held_ms = (time.perf_counter() - started) * 1e3
            if held_ms > LONG_TRANSACTION_MS:
                log.warning("a transaction was long", extra={"held_ms": round(held_ms, 1)})
        finally:
            self._inside.transaction = False

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection that only reads, and sees one moment: what others commit meanwhile stays out of view.

        A write through it fails. Keep it short too: an open read keeps SQLite's log from being folded in.
        """
        with _translated(self.url), self._reader.connect() as connection, connection.begin():
            yield connection

    async def run(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function that uses this database on a small thread pool, so that the event loop stays free."""
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="ikkan-db")
            pool = self._pool
        return await asyncio.get_running_loop().run_in_executor(pool, partial(fn, *args, **kwargs))

    def close(self) -> None:
        """Finish what runs, and let go of every connection and thread. Safe to call twice."""
        with self._pool_lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)
        self._reader.dispose()
        self._writer.dispose()


def upgrade(database_url: str, *, revision: str = "head") -> None:
    """Bring the tables to this version of ikkan; safe to repeat, and to start in two processes at once.

    Raises:
        DatabaseUnready: the database cannot be reached or was written by a newer ikkan.
    """
    from alembic import command
    from alembic.util import CommandError

    parsed = _parse(database_url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    database = Database(database_url)
    config = _alembic_config()
    try:
        with database.transaction() as connection:
            if database.dialect == "postgresql":
                # Two processes may start at once; the second waits here and then finds nothing to do.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except CommandError as exc:
        raise DatabaseUnready(
            f"the database was prepared by another version of ikkan: {exc}",
            hint="install the ikkan version that last ran here, or a newer one",
        ) from exc
    finally:
        database.close()


def is_current(database_url: str) -> bool:
    """Whether the tables are of this version. False for an empty database; never changes anything.

    Raises:
        DatabaseUnready: the database cannot be reached.
    """
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    parsed = _parse(database_url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        return False
    heads = set(ScriptDirectory.from_config(_alembic_config()).get_heads())
    database = Database(database_url)
    try:
        with database.read() as connection:
            return set(MigrationContext.configure(connection).get_current_heads()) == heads
    finally:
        database.close()


_UPGRADE_LOCK = 0x696B6B616E  # "ikkan"


def _alembic_config() -> Any:
    from alembic.config import Config

    config = Config()
    # ConfigParser expands percent signs, and a folder may have one in its name.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as exc:
        raise UnknownSetting(
            "the database address is not a URL",
            hint="sqlite:////absolute/path/ikkan.db or postgresql+psycopg://user:password@host/name",
            setting="database_url",
        ) from exc
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg") or not parsed.database:
        raise UnknownSetting(
            f"cannot keep data in {parsed.drivername!r}",
            hint="sqlite:////absolute/path/ikkan.db or postgresql+psycopg://user:password@host/name",
            setting="database_url",
        )
    return parsed


def _postgres(url: sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(url, pool_size=8, max_overflow=8, pool_pre_ping=True)
    except ModuleNotFoundError as exc:
        raise MissingPackage(
            "PostgreSQL needs the psycopg driver", hint="pip install 'ikkan[postgres]'", package="psycopg"
        ) from exc


def _teach_sqlite(engine: sa.Engine, *, begin: str, read_only: bool = False) -> None:
    @sa.event.listens_for(engine, "connect")
    def prepare(dbapi_connection: Any, record: Any) -> None:
        # Hand transactions to us: the driver's own BEGIN is deferred and would turn a lock into an error later.
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        if read_only:
            cursor.execute("PRAGMA query_only=ON")
        else:
            _use_wal(cursor)
            # A commit must survive `kill -9`: with WAL it does at NORMAL, since the operating system already has
            # the bytes. FULL adds a disk flush to every commit to survive a power cut too; NORMAL can lose the
            # last moments then, but never corrupts. See docs/decisions/0010.
            cursor.execute("PRAGMA synchronous=NORMAL")
            # A destroyed key must not stay readable in a free page.
            cursor.execute("PRAGMA secure_delete=ON")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin_transaction(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)


def _use_wal(cursor: Any) -> None:
    # The file remembers it. Two processes that first open a new file at once may meet here, and SQLite does not
    # apply the busy timeout to this change.
    until = time.monotonic() + _BUSY_TIMEOUT_MS / 1e3
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.TimeoutError) as exc:
        reason = str(exc.orig) if isinstance(exc, sa.exc.OperationalError) else str(exc)
        if isinstance(exc, sa.exc.OperationalError) and ("no such table" in reason or "no such column" in reason):
            raise DatabaseUnready(f"the database is not prepared: {reason}", hint="ikkan up prepares it") from exc
        shown = sa.make_url(url).render_as_string(hide_password=True)
        raise DatabaseUnready(
            f"the database at {shown} does not answer: {reason.splitlines()[0]}",
            hint="is it running, reachable and writable for this user? then try again",
        ) from exc
    except sa.exc.ProgrammingError as exc:
        if getattr(exc.orig, "sqlstate", None) in ("42P01", "42703"):  # undefined table, undefined column
            reason = str(exc.orig).splitlines()[0]
            raise DatabaseUnready(f"the database is not prepared: {reason}", hint="ikkan up prepares it") from exc
        raise
