"""The worker's rounds: every so often each learnable is looked at, once, whoever of several workers comes first.

A look counts a trial's people, asks whether what is served has drifted, and puts a turn in the queue when enough was
corrected or drift asks for it. It never promotes: what a turn finds, its gate decides.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from ikkan.flywheel.stops import STOPS, where
from ikkan.flywheel.store import metadata
from ikkan.flywheel.values import Status
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database, UtcDateTime
from ikkan.ground.errors import Conflict

log = logging.getLogger(__name__)

REST_S = 86_400.0
"""After a turn that broke off, the schedule asks for no other one this long."""
_LONGEST_WAIT_S = 15.0

schedule_table = sa.Table(
    "flywheel_schedule",
    metadata,
    sa.Column("learnable", sa.String(80), primary_key=True),
    sa.Column("next_at", UtcDateTime, nullable=False),
    sa.Column("looked_at", UtcDateTime, nullable=True),
    sa.Column("failures", sa.Integer, nullable=False),
)


class Wheel(Protocol):
    """What the schedule needs of `Flywheel`."""

    @property
    def names(self) -> list[str]: ...
    def look(self, name: str) -> Any: ...
    def watch(self, name: str) -> Any: ...
    def status(self, name: str) -> Status: ...


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of looking at one learnable."""

    learnable: str
    turned: str = ""
    """Why a turn was asked for: `drift` or `corrections`; empty if none was."""
    error: str = ""
    """The kind of error that ended the look, if one did."""


def next_look(connection: sa.Connection, learnable: str) -> datetime | None:
    """When this learnable is looked at next; None: nobody does."""
    statement = sa.select(schedule_table.c.next_at).where(schedule_table.c.learnable == learnable)
    moment: datetime | None = connection.scalar(statement)
    return moment


def wish(status: Status, now: datetime) -> str:
    """Why the wheel should turn now: `drift`, `corrections`, or not at all.

    A trial on people comes first: until it is over a turn would only be one more look. Where the last turn broke off
    (a full disk) the next one waits for a day.
    """
    last = status.last
    if last is not None and last.code in STOPS and now - last.decided_at < timedelta(seconds=REST_S):
        return ""
    if status.trial is not None and status.trial.state != "promoted":
        return ""
    return "drift" if status.wants_turn else "corrections" if status.own_fresh >= status.enough else ""


class Schedule:
    """Looks at every learnable once in a period.

    Args:
        every_s: the period; 0: never.
        start: puts a turn of this learnable in the queue, unless one is there already.
    """

    def __init__(
        self, database: Database, wheel: Wheel, clock: Clock, every_s: float, start: Callable[[str], object]
    ) -> None:
        self._database = database
        self._wheel = wheel
        self._clock = clock
        self._every_s = every_s
        self._start = start

    def tick(self) -> Sequence[Looked]:
        """Look at whatever is due. The first look comes a period after the first tick: a new home is left in peace.

        A period is claimed before the look, so a worker that is killed meanwhile costs one look, and two workers never
        look at the same learnable in one period. A learnable that fails does not keep the others waiting.
        """
        looked = []
        for name in self._wheel.names:
            # This loop must outlive one bad learnable; the next period tries it again.
            try:
                if self._claim(name):
                    looked.append(self._look(name))
                    self._note(name, failed=False)
            except Exception as error:
                log.error("a look at the wheel failed", extra={"learnable": name, "where": where(error)})
                looked.append(Looked(name, error=type(error).__name__))
                self._note(name, failed=True)
        return looked

    def forget(self) -> None:
        """Nobody looks from now on."""
        with self._database.transaction() as connection:
            connection.execute(sa.delete(schedule_table))

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set."""
        if not self._every_s:
            self.forget()
            return
        while True:
            # A database that is busy now is asked again: these rounds end with the process, not with an error.
            try:
                self.tick()
            except Exception as error:
                log.error("a round of the wheel failed", extra={"where": where(error)})
            if stop.wait(min(self._every_s, _LONGEST_WAIT_S)):
                return

    def _look(self, name: str) -> Looked:
        try:
            self._wheel.look(name)
        except Conflict:
            log.info("somebody else looked at the trial", extra={"learnable": name})
        self._wheel.watch(name)
        why = wish(self._wheel.status(name), self._clock.now())
        if why:
            self._start(name)
            log.info("a turn is asked for", extra={"learnable": name, "why": why})
        return Looked(name, turned=why)

    def _claim(self, name: str) -> bool:
        """Whether this learnable is due, and nobody else took it."""
        now, columns = self._clock.now(), schedule_table.c
        later = now + timedelta(seconds=self._every_s)
        with self._database.read() as connection:
            due = next_look(connection, name)
        if due is None:
            try:
                with self._database.transaction() as connection:
                    row = {"learnable": name, "next_at": later, "looked_at": None, "failures": 0}
                    connection.execute(schedule_table.insert().values(**row))
            except IntegrityError:
                log.info("another worker began the schedule", extra={"learnable": name})
            return False
        if now < due <= later:
            return False
        # A period that was made shorter counts from now on.
        claimed = {"next_at": later, "looked_at": now} if due <= now else {"next_at": later}
        with self._database.transaction() as connection:
            mine = sa.update(schedule_table).where(columns.learnable == name, columns.next_at == due)
            return connection.execute(mine.values(**claimed)).rowcount == 1 and due <= now

    def _note(self, name: str, *, failed: bool) -> None:
        columns = schedule_table.c
        failures = columns.failures + 1 if failed else 0
        with self._database.transaction() as connection:
            connection.execute(sa.update(schedule_table).where(columns.learnable == name).values(failures=failures))
