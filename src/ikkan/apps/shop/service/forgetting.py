"""A visitor who takes consent back is forgotten: here at once, in models by the house's own job, and for good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import sqlalchemy as sa

from ikkan.ground.db import Database
from ikkan.ground.errors import NotFound
from ikkan.ground.eventlog import EventLog, erasures_table
from ikkan.ground.ids import SubjectId, TenantId


class Erases(Protocol):
    """Erases people of the whole house, models included."""

    def erase(self, tenant_id: TenantId, person: str) -> dict[str, Any]:
        """Forget a person and start the job. Raises NotFound where nothing is known of them."""
        ...


class Forgetting:
    """Forgets visitors.

    Args:
        erasing: the house's eraser, once it is there.
        remove: takes a person out of the shop's own tables and memory.
    """

    def __init__(
        self,
        database: Database,
        events: EventLog,
        pseudonym: Callable[[TenantId, str], SubjectId],
        erasing: Callable[[], Erases | None],
        remove: Callable[[sa.Connection, TenantId, SubjectId], int],
    ) -> None:
        self._database, self._events, self._pseudonym = database, events, pseudonym
        self._erasing, self._remove = erasing, remove

    def forget(self, tenant_id: TenantId, visitor: str) -> None:
        """Forget a visitor; whatever is told of them afterwards is refused."""
        erasing = self._erasing()
        try:
            if erasing is None:
                raise NotFound("no eraser")
            erasing.erase(tenant_id, visitor)
        except NotFound:
            # Nothing has reached the log yet, which other loops read; what the shop knows goes all the same.
            subject = self._pseudonym(tenant_id, visitor)
            with self._database.transaction() as connection:
                self._events.erase(connection, tenant_id, subject)
                self._remove(connection, tenant_id, subject)

    def is_forgotten(self, tenant_id: TenantId, visitor: str) -> bool:
        """Whether this visitor was forgotten."""
        tombstone = self._events.tombstone(tenant_id, self._pseudonym(tenant_id, visitor))
        with self._database.read() as connection:
            chosen = sa.select(sa.literal(1)).where(erasures_table.c.tombstone == tombstone)
            return connection.execute(chosen).scalar() is not None
