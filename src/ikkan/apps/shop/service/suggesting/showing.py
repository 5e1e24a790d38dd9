"""What was shown is written down shortly after it was shown, many lists in one transaction.

Memory knows of it at once. A process that is killed loses the lists of the last moments and nothing that anybody was
promised: a list is an answer, not a write.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.suggest.ranker import FEATURES
from ikkan.apps.shop.store.behaviour import Exposure
from ikkan.ground.db import Database
from ikkan.ground.errors import ErasedSubject
from ikkan.ground.eventlog import EventLog
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import TenantId

log = logging.getLogger(__name__)

SHOWN = "shop.ItemsShown"
_SOON_S = 0.03
"""Often and little: each time, lists are chosen half as fast for as long as it takes."""
_AGAIN_S = 1.0
"""After it did not work."""
_MANY = 200
_MOST = 4_000
"""Lists that may wait; whoever adds one more writes them first."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A list that was shown."""

    tenant_id: TenantId
    exposure: Exposure
    features: tuple[NDArray[np.float32], ...]
    """Of each place, as served."""
    artifact: str | None
    bucket: int
    """Of the person's history, as the ranker has it."""


class Showing:
    """Gathers lists and writes them."""

    def __init__(self, database: Database, events: EventLog | None) -> None:
        self._database = database
        self._events = events
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._pending: list[Pending] = []
        self._writer: threading.Thread | None = None

    @property
    def is_full(self) -> bool:
        """Whether whoever adds one more has to write first."""
        return len(self._pending) >= _MOST - 1

    def add(self, shown: Sequence[Pending]) -> None:
        """Write these soon."""
        with self._lock:
            self._pending += shown
            is_full = len(self._pending) >= _MOST
            if self._writer is None and self._pending and not is_full:
                self._writer = threading.Thread(target=self._write_on, name="shop-shown", daemon=True)
                self._writer.start()
        if is_full:
            self.flush()

    def flush(self) -> None:
        """Write everything that waits; it is durable when this returns."""
        with self._writing:
            with self._lock:
                waiting, self._pending = self._pending, []
            for at in range(0, len(waiting), _MANY):
                try:
                    with self._database.transaction() as connection:
                        self._write(connection, waiting[at : at + _MANY])
                except BaseException:
                    with self._lock:
                        self._pending = [*waiting[at:], *self._pending]
                    raise

    def _write(self, connection: sa.Connection, shown: Sequence[Pending]) -> None:
        of: dict[TenantId, list[Pending]] = {}
        for each in shown:
            of.setdefault(each.tenant_id, []).append(each)
        for tenant_id, theirs in of.items():
            fresh = set(store.behaviour.keep_exposures(connection, tenant_id, [each.exposure for each in theirs]))
            told = [each for each in theirs if each.exposure.impression_id in fresh]
            if self._events is not None:
                self._tell(connection, tenant_id, told)

    def _tell(self, connection: sa.Connection, tenant_id: TenantId, told: Sequence[Pending]) -> None:
        assert self._events is not None
        try:
            self._events.append(connection, *(_event(each) for each in told))
        except ErasedSubject:
            for each in told:
                try:
                    self._events.append(connection, _event(each))
                except ErasedSubject:
                    store.behaviour.forget(connection, tenant_id, each.exposure.subject_id)

    def _write_on(self) -> None:
        """Write what waits every moment, until nothing does."""
        wait_s = _SOON_S
        while True:
            time.sleep(wait_s)
            try:
                self.flush()
                wait_s = _SOON_S
            except Exception:  # whatever it was, what waits is tried again
                log.exception("lists that were shown could not be written yet")
                wait_s = _AGAIN_S
            with self._lock:
                if not self._pending:
                    self._writer = None
                    return


def _event(shown: Pending) -> NewEvent:
    """What the event log is told: the shape of `kit.signals`, with the surface. Features that are nought are left
    out."""
    exposure = shown.exposure
    features = np.array(shown.features, np.float64).round(4).tolist()
    offers = [
        {
            "item": product,
            "position": at + 1,
            "propensity": propensity,
            "features": {name: value for name, value in zip(FEATURES, values, strict=True) if value},
        }
        for at, ((product, propensity, *_), values) in enumerate(zip(exposure.places, features, strict=True))
    ]
    payload = {
        "impression_id": exposure.impression_id,
        "artifact": shown.artifact,
        "offers": offers,
        "surface": exposure.surface,
        "bucket": shown.bucket,
    }
    return NewEvent(SHOWN, 1, shown.tenant_id, exposure.subject_id, exposure.at, SERVICE, payload)
