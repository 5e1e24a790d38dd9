"""Events go into the event log too: at once while there are few, a little later while there are very many.

Their own table has them from the moment they were acknowledged. The log seals each with its person's key, which costs
several times as much as keeping it; so a burst is sealed when it is over, from where the log had come to. Nothing is
skipped, and nothing is told twice: the number is moved in the transaction that tells.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
import sqlalchemy as sa

from ikkan.apps.shop import store
from ikkan.apps.shop.store.behaviour import Row
from ikkan.ground.db import Database
from ikkan.ground.errors import DatabaseUnready, ErasedSubject
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import SERVICE, NewEvent

log = logging.getLogger(__name__)

HAPPENED = "shop.ItemHappened"
INLINE = 64
"""So many events are sealed in the transaction that keeps them."""
_BATCH = 100
_IDLE_SHARE, _BUSY_SHARE = 0.6, 0.1
"""The part of the time that trailing may take while nobody waits for anything, and while somebody does."""


class Trailing:
    """Brings the event log up to the table.

    Args:
        is_busy: whether events wait to be kept, or lists are asked for, just now.
    """

    def __init__(self, database: Database, events: EventLog, is_busy: Callable[[], bool]) -> None:
        self._database = database
        self._events = events
        self._is_busy = is_busy
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._thread: threading.Thread | None = None

    def inline(self, connection: sa.Connection, rows: Sequence[Row], before: int, after: int) -> bool:
        """Tell the log within the caller's transaction, if it is up to date and they are few."""
        if len(rows) > INLINE or store.behaviour.told_until(connection) != before:
            return False
        self._tell(connection, rows)
        store.behaviour.set_told(connection, after)
        return True

    def start(self) -> None:
        """Catch up in the background."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shop-trailing", daemon=True)
                self._thread.start()

    def catch_up(self) -> None:
        """Catch up now; the log has everything when this returns."""
        while self._step():
            pass

    def _run(self) -> None:
        try:
            while True:
                began = time.perf_counter()
                if not self._step():
                    with self._lock:
                        self._thread = None
                    if self._step():  # something came between the last look and letting go
                        self.start()
                    return
                spent = time.perf_counter() - began
                share = _BUSY_SHARE if self._is_busy() else _IDLE_SHARE
                time.sleep(spent * (1 / share - 1))
        except DatabaseUnready:
            log.exception("events wait to be told to the event log")
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _step(self) -> bool:
        with self._one_at_a_time:
            with self._database.read() as connection:
                told = store.behaviour.told_until(connection)
                if not store.behaviour.since(connection, told, 1):
                    return False
            with self._database.transaction() as connection:
                store.behaviour.lock(connection)
                told = store.behaviour.told_until(connection)
                rows = store.behaviour.since(connection, told, _BATCH)
                if rows:
                    self._tell(connection, rows)
                    store.behaviour.set_told(connection, rows[-1].seq)
            return bool(rows)

    def _tell(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        try:
            self._events.append(connection, *map(_event, rows))
        except ErasedSubject:
            for row in rows:
                try:
                    self._events.append(connection, _event(row))
                except ErasedSubject:  # nothing more is kept of who was erased
                    store.behaviour.forget(connection, row.tenant_id, row.subject_id)


def _event(row: Row) -> NewEvent:
    told = msgspec.to_builtins(row.event)
    del told["person"]
    if row.told_us is not None:
        told["told_at"] = store.behaviour.moment(row.told_us).isoformat()
    return NewEvent(HAPPENED, 1, row.tenant_id, row.subject_id, row.event.at, SERVICE, told)
