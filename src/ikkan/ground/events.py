"""Events: what happened, said once, in the past tense. Types only; `eventlog/` keeps them.

An app appends a `NewEvent` in the same transaction as its own row. A loop reads events *by name* through an
`EventReader`, which has already left out everyone who refused that purpose or was erased.
Readers stay tolerant: a field may be added within a version, and unknown fields are ignored; a field that changes
its meaning is a new version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ikkan.ground.ids import EventId, SubjectId, TenantId

SERVICE = "service"
"""Collected to do what the person asked for: answering, billing, support."""
IMPROVE = "improve"
"""Used to make models better. A person may refuse it and still be served."""


def granted_by_default(purpose: str) -> bool:
    """Service and improvement unless refused; any other purpose only when granted.

    >>> [granted_by_default(purpose) for purpose in ("service", "improve", "advertising")]
    [True, True, False]
    """
    return purpose in (SERVICE, IMPROVE)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened and is not recorded yet.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> clicked = NewEvent("ItemClicked", 1, TenantId("t1"), None, at, SERVICE, {"item": 7})
    >>> clicked.name, clicked.payload["item"]
    ('ItemClicked', 7)
    """

    name: str
    """Past tense: `InferenceServed`."""
    version: int
    """Of the payload's shape, from 1."""
    tenant_id: TenantId
    subject_id: SubjectId | None
    """The pseudonymous person it is about, or None where it is about nobody."""
    occurred_at: datetime
    """When it happened, aware UTC."""
    purpose: str
    """What it was collected for: `service`, `improve`, or a tenant's own word."""
    payload: Mapping[str, Any]
    """JSON values only. Encrypted at rest with the subject's key."""

    def __post_init__(self) -> None:
        assert self.name and self.version >= 1 and self.purpose, "an event has a name, a version and a purpose"
        assert self.occurred_at.tzinfo is not None, "time is aware UTC"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as the log remembers it."""

    id: EventId
    name: str
    version: int
    tenant_id: TenantId
    subject_id: SubjectId | None
    occurred_at: datetime
    """When it happened."""
    recorded_at: datetime
    """When the log took it; loops cut their data here, because a late event was not known before."""
    purpose: str
    """What it was collected for; whether it may be *used* for something is the reader's decision."""
    payload: Mapping[str, Any]


class EventReader(Protocol):
    """Reads events that may be used for `purpose`. Whoever refused or was erased is not in there."""

    def read(
        self,
        names: Sequence[str],
        *,
        tenant_id: TenantId | None = None,
        purpose: str = IMPROVE,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Event]:
        """Events of these names in (recorded_at, id) order, `since <= recorded_at < until`."""
        ...
