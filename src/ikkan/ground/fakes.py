"""Fakes of what ground promises, for tests of the rooms above. `FakeClock` lives beside `Clock`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from ikkan.ground.clock import Clock
from ikkan.ground.events import IMPROVE, Event, NewEvent, granted_by_default
from ikkan.ground.ids import EventId, SubjectId, TenantId, new_id


class FakeEvents:
    """An event log in a list: `append` like `EventLog` (without a connection) and `read` like its reader.

    It passes the reader's conformance suite in `tests/ground/test_eventlog.py`.

    >>> from datetime import UTC
    >>> from ikkan.ground.clock import FakeClock
    >>> at, ada = datetime(2026, 1, 1, tzinfo=UTC), SubjectId("ada")
    >>> events = FakeEvents(FakeClock(at))
    >>> _ = events.append(NewEvent("Seen", 1, TenantId("t"), ada, at, "service", {"n": 1}))
    >>> [event.payload["n"] for event in events.read(["Seen"])]
    [1]
    >>> events.set_consent(TenantId("t"), ada, "improve", False); list(events.read(["Seen"]))
    []
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.events: list[Event] = []
        self._consents: dict[tuple[TenantId, SubjectId | None, str], bool] = {}
        self._erased: set[tuple[TenantId, SubjectId]] = set()

    def append(self, *events: NewEvent) -> list[EventId]:
        """Record at the clock's time; returns the new ids in order."""
        recorded = [
            Event(
                id=EventId(new_id()),
                name=event.name,
                version=event.version,
                tenant_id=event.tenant_id,
                subject_id=event.subject_id,
                occurred_at=event.occurred_at,
                recorded_at=self._clock.now(),
                purpose=event.purpose,
                payload=dict(event.payload),
            )
            for event in events
        ]
        self.events.extend(recorded)
        return [event.id for event in recorded]

    def set_consent(self, tenant_id: TenantId, subject_id: SubjectId | None, purpose: str, granted: bool) -> None:
        """A person's word; `subject_id=None` sets the tenant's default."""
        self._consents[tenant_id, subject_id, purpose] = granted

    def erase(self, tenant_id: TenantId, subject_id: SubjectId) -> None:
        """Forget a person for good."""
        self._erased.add((tenant_id, subject_id))

    def read(
        self,
        names: Sequence[str],
        *,
        tenant_id: TenantId | None = None,
        purpose: str = IMPROVE,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Event]:
        """See `EventReader.read`."""
        for event in sorted(self.events, key=lambda event: (event.recorded_at, event.id)):
            if (
                event.name in names
                and (tenant_id is None or event.tenant_id == tenant_id)
                and (since is None or event.recorded_at >= since)
                and (until is None or event.recorded_at < until)
                and self._may_use(event, purpose)
            ):
                yield event

    def _may_use(self, event: Event, purpose: str) -> bool:
        if event.subject_id is not None and (event.tenant_id, event.subject_id) in self._erased:
            return False
        default = self._consents.get((event.tenant_id, None, purpose), granted_by_default(purpose))
        return self._consents.get((event.tenant_id, event.subject_id, purpose), default)
