"""Ground: the vocabulary every floor shares, and the few things that touch the disk for all of them.

Lives here: errors, ids, clock, money, settings, log, events, database, artifacts, jobs, processes.
May not enter: any other room of ikkan (contract "Rooms are stacked"); the environment, except in `settings.py`
(ruff's banned-api). Importing a module here does no I/O and starts no thread (`tests/ground/test_signs.py`).
Begin at `errors.py` and `events.py` (types), then `db.py` and `eventlog/` (what is kept, and how).

Only values and types are re-exported; the parts with I/O are imported by their own name
(`from ikkan.ground.db import Database`), so that a process pays only for what it uses.
"""

from ikkan.ground.clock import Clock, FakeClock, SystemClock
from ikkan.ground.errors import IkkanError
from ikkan.ground.events import Event, EventReader, NewEvent
from ikkan.ground.ids import (
    ArtifactId,
    DecisionId,
    EventId,
    JobId,
    KeyId,
    RequestId,
    SubjectId,
    TenantId,
    new_id,
)
from ikkan.ground.money import FREE, Micros, Price, format_micros
from ikkan.ground.settings import Explained, Settings, explain, load_settings

__all__ = [
    "FREE",
    "ArtifactId",
    "Clock",
    "DecisionId",
    "Event",
    "EventId",
    "EventReader",
    "Explained",
    "FakeClock",
    "IkkanError",
    "JobId",
    "KeyId",
    "Micros",
    "NewEvent",
    "Price",
    "RequestId",
    "Settings",
    "SubjectId",
    "SystemClock",
    "TenantId",
    "explain",
    "format_micros",
    "load_settings",
    "new_id",
]
