"""Events of several tellers in one transaction: the first to come writes for all who wait.

A queue that is full says so at once, with the time after which to try again, instead of growing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ikkan.apps.shop.store.behaviour import Row
from ikkan.ground.errors import RateLimited

GROUP = 2_000
"""Events in one transaction: some 20 ms."""
WAITING_MOST = 20_000
"""Events that may wait: two seconds' worth, about 12 MB."""


@dataclass(slots=True, eq=False)
class _Ticket:
    rows: Sequence[Row]
    done: threading.Event = field(default_factory=threading.Event)
    fresh: Sequence[bool] = ()
    error: BaseException | None = None


class Intake:
    """Takes rows from any thread; returns when they are durable.

    Args:
        write: keeps rows of several tellers in one transaction; returns for each whether it was new.
    """

    def __init__(self, write: Callable[[Sequence[Row]], Sequence[bool]], *, waiting_most: int = WAITING_MOST) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._queue: deque[_Ticket] = deque()
        self._waiting = 0
        self._waiting_most = waiting_most
        self._has_leader = False

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return self._waiting

    def take(self, rows: Sequence[Row]) -> Sequence[bool]:
        """Keep these events; returns for each whether it was new.

        Raises:
            RateLimited: too many wait already; nothing of these was kept.
        """
        ticket = _Ticket(rows)
        with self._lock:
            if self._waiting and self._waiting + len(rows) > self._waiting_most:
                raise RateLimited(
                    f"{self._waiting:,} events wait to be written",
                    hint="send these again in a second; nothing of them was kept",
                    retry_after_s=1,
                )
            self._queue.append(ticket)
            self._waiting += len(rows)
            leads, self._has_leader = not self._has_leader, True
        if leads:
            self._lead(ticket)
        ticket.done.wait()
        if ticket.error is not None:
            raise ticket.error
        return ticket.fresh

    def _lead(self, mine: _Ticket) -> None:
        """Write for all who wait until nobody does."""
        while True:
            with self._lock:
                group: list[_Ticket] = []
                size = 0
                while self._queue and (not group or size + len(self._queue[0].rows) <= GROUP):
                    group.append(self._queue.popleft())
                    size += len(group[-1].rows)
                if not group:
                    self._has_leader = False
                    return
            try:
                fresh = self._write([row for ticket in group for row in ticket.rows])
            except BaseException as exc:  # whoever waits must hear of it
                for ticket in group:
                    ticket.error = exc
                if not isinstance(exc, Exception):
                    self._give_up(exc)
                    raise
            else:
                at = 0
                for ticket in group:
                    ticket.fresh = fresh[at : at + len(ticket.rows)]
                    at += len(ticket.rows)
            finally:
                with self._lock:
                    self._waiting -= size
                for ticket in group:
                    ticket.done.set()

    def _give_up(self, exc: BaseException) -> None:
        with self._lock:
            left, self._waiting, self._has_leader = list(self._queue), 0, False
            self._queue.clear()
        for ticket in left:
            ticket.error = exc
            ticket.done.set()
