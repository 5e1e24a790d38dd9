"""Nothing of a person's data reaches a learnable: what it reads of the event log has been scrubbed on the way.

The reader a learnable is handed gives payloads whose words are scrubbed when they are looked at, so no app can forget
it, and what nobody looks at costs nothing. Names of things stay as they are: fields called `id` or ending in `_id`.

Some words are to be *served* as they were typed: the right answer to a question is the company's phone number. A
learnable names such fields in `verbatim`; of those only what nobody publishes is taken out (`NEVER_PUBLISHED`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from ikkan.assurance import Kind, scrub
from ikkan.ground.events import IMPROVE, Event, EventReader
from ikkan.ground.ids import TenantId

NEVER_PUBLISHED = frozenset({Kind.MY_NUMBER, Kind.NATIONAL_ID, Kind.CARD, Kind.DOCUMENT, Kind.BIRTH_DATE})
_NAMES_OF_THINGS = (
    "id",
    "ids",
    "kind",
    "model",
    "upstream",
    "upstream_model",
    "endpoint",
    "currency",
    "arm",
    "artifact",
)
_SUFFIXES = ("_id", "_ids", "_at", "_sha256", "_version")
_NUMBERS = (int, float)
_REMEMBERED = 1 << 24
"""Letters of texts whose scrubbed form one reading remembers, and 100 more for each text: people ask the same again and
again. Some 30 MB; less where whoever reads keeps the texts too, for most are the very ones that were read."""


class ScrubbedEvents:
    """A reader in whose events no personal data stands. Implements `EventReader`.

    Args:
        verbatim: fields whose words are served as they were typed.

    >>> from datetime import UTC
    >>> from ikkan.ground import FakeClock, NewEvent, TenantId
    >>> from ikkan.ground.fakes import FakeEvents
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> events = FakeEvents(FakeClock(at))
    >>> asked = {"request_id": "chatcmpl-1", "question": "田中様の電話は03-1234-5678ですか"}
    >>> _ = events.append(NewEvent("Asked", 1, TenantId("t"), None, at, "service", asked))
    >>> [dict(event.payload) for event in ScrubbedEvents(events).read(["Asked"])]
    [{'request_id': 'chatcmpl-1', 'question': '[氏名]様の電話は[電話]ですか'}]
    """

    def __init__(self, events: EventReader, verbatim: frozenset[str] = frozenset()) -> None:
        self._events = events
        self._verbatim = verbatim

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
        scrubbed = _Memory()
        for event in self._events.read(names, tenant_id=tenant_id, purpose=purpose, since=since, until=until):
            yield Event(
                event.id,
                event.name,
                event.version,
                event.tenant_id,
                event.subject_id,
                event.occurred_at,
                event.recorded_at,
                event.purpose,
                _Scrubbed(event.payload, self._verbatim, scrubbed),
            )


class _Memory:
    def __init__(self) -> None:
        self._known: dict[bool, dict[str, str]] = {True: {}, False: {}}
        self._room = _REMEMBERED

    def scrub(self, text: str, verbatim: bool) -> str:
        known = self._known[verbatim].get(text)
        if known is None:
            known = scrub(text, kinds=NEVER_PUBLISHED if verbatim else None).text
            self._room -= len(text) + 100
            if self._room < 0:
                self._known, self._room = {True: {}, False: {}}, _REMEMBERED
            self._known[verbatim][text] = known
        return known


@lru_cache(maxsize=1_000)
def _names_a_thing(name: str) -> bool:
    return name in _NAMES_OF_THINGS or name.endswith(_SUFFIXES)


class _Scrubbed(Mapping[str, Any]):
    """A payload whose words are scrubbed when they are looked at."""

    __slots__ = ("_memory", "_payload", "_verbatim")

    def __init__(self, payload: Mapping[str, Any], verbatim: frozenset[str], memory: _Memory) -> None:
        self._payload, self._verbatim, self._memory = payload, verbatim, memory

    def __getitem__(self, name: str) -> Any:
        value = self._payload[name]
        if value is None or isinstance(value, _NUMBERS) or _names_a_thing(name):
            return value
        if isinstance(value, str):
            return self._memory.scrub(value, name in self._verbatim)
        return self._clean(value, name in self._verbatim)

    def __contains__(self, name: object) -> bool:
        return name in self._payload

    def __iter__(self) -> Iterator[str]:
        return iter(self._payload)

    def __len__(self) -> int:
        return len(self._payload)

    def _clean(self, value: Any, verbatim: bool) -> Any:
        if isinstance(value, str):
            return self._memory.scrub(value, verbatim)
        if isinstance(value, Mapping):
            return _Scrubbed(value, self._verbatim, self._memory)
        if isinstance(value, list | tuple):
            return [self._clean(each, verbatim) for each in value]
        return value


class NotedEvents:
    """A reader that remembers what it was asked for, so that a dataset can say what it was read from."""

    def __init__(self, events: EventReader) -> None:
        self._events = events
        self.asked: list[dict[str, Any]] = []
        """Each reading: names, tenant, purpose, since, until."""

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
        self.asked.append(
            {
                "names": list(names),
                "tenant_id": tenant_id,
                "purpose": purpose,
                "since": since.isoformat() if since else None,
                "until": until.isoformat() if until else None,
            }
        )
        return self._events.read(names, tenant_id=tenant_id, purpose=purpose, since=since, until=until)
