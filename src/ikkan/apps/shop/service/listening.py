"""Whoever listens to what people do. Imports, the tag of web pages and orders tell it; suggestions live on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import sqlalchemy as sa

from ikkan.apps.shop.values import Happened, Told
from ikkan.ground.ids import TenantId


class Listens(Protocol):
    """Takes events of a shop."""

    def tell(self, tenant_id: TenantId, events: Sequence[Happened], *, connection: sa.Connection | None = None) -> Told:
        """Keep what happened. Durable when it returns; inside the caller's transaction where one is given."""
        ...

    def untell(self, tenant_id: TenantId, event_ids: Sequence[str], *, connection: sa.Connection) -> None:
        """Take events back, within the caller's transaction."""
        ...


class Hears:
    """A listener that only remembers, for tests and for measuring everything but it."""

    def __init__(self, *, is_keeping: bool = True) -> None:
        self.heard: dict[tuple[TenantId, str], Happened] = {}
        self.count = 0
        self._is_keeping = is_keeping

    def tell(self, tenant_id: TenantId, events: Sequence[Happened], *, connection: sa.Connection | None = None) -> Told:
        """Remember them by their ids."""
        self.count += len(events)
        if not self._is_keeping:
            return Told(len(events), 0)
        known = len(self.heard)
        for each in events:
            self.heard.setdefault((tenant_id, each.event_id), each)
        fresh = len(self.heard) - known
        return Told(fresh, len(events) - fresh)

    def untell(self, tenant_id: TenantId, event_ids: Sequence[str], *, connection: sa.Connection) -> None:
        """Forget them again."""
        for event_id in event_ids:
            self.heard.pop((tenant_id, event_id), None)
