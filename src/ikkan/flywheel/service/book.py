"""Decisions are written here and nowhere else: with the alias that moves and the event that tells, at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa

from ikkan.flywheel import store
from ikkan.flywheel.values import Decision, Outcome
from ikkan.flywheel.words import reasons
from ikkan.ground.clock import Clock
from ikkan.ground.events import SERVICE, NewEvent
from ikkan.ground.ids import ArtifactId, DecisionId, EventId, TenantId, new_id

log = logging.getLogger(__name__)

DECIDED = "flywheel.Decided"
"""The event every decision leaves in the log, in the transaction of the decision itself."""
DRIFT_FOUND = "flywheel.DriftFound"
"""Asks for an evaluation: what is served is no longer like what was judged."""


class Aliases(Protocol):
    """What the wheel needs of `models.registry.Registry`."""

    def register(
        self, connection: sa.Connection, name: str, artifact_id: ArtifactId, facts: Mapping[str, Any]
    ) -> Any: ...
    def alias(
        self, name: str, alias: Any = "champion", *, connection: sa.Connection | None = None
    ) -> ArtifactId | None: ...
    def promote(self, connection: sa.Connection, name: str, artifact_id: ArtifactId, reason: str) -> Any: ...
    def rollback(self, connection: sa.Connection, name: str, reason: str = "") -> Any: ...
    def set_alias(
        self, connection: sa.Connection, name: str, alias: Any, artifact_id: ArtifactId | None, reason: str = ""
    ) -> Any: ...


class EventBook(Protocol):
    """What the wheel needs of `ground.eventlog.EventLog`."""

    def append(self, connection: sa.Connection, *events: NewEvent) -> list[EventId]: ...


class Book:
    """Writes decisions.

    Args:
        log: where `flywheel.Decided` is recorded; None: nowhere.
        tenant_id: in whose name.
    """

    def __init__(self, registry: Aliases, clock: Clock, log: EventBook | None, tenant_id: TenantId) -> None:
        self._registry = registry
        self._clock = clock
        self._log = log
        self._tenant_id = tenant_id

    def draft(
        self,
        name: str,
        outcome: Outcome,
        code: str,
        details: Mapping[str, Any],
        *,
        until: datetime,
        champion: ArtifactId | None = None,
        candidate: ArtifactId | None = None,
        drill: bool | None = None,
    ) -> Decision:
        """A decision that is taken now and not written yet."""
        return Decision(
            id=DecisionId(new_id()),
            learnable=name,
            decided_at=self._clock.now(),
            decision=outcome,
            code=code,
            reasons=reasons(code, details, drill=drill),
            champion=champion,
            candidate=candidate,
            judged=None,
            dataset=None,
            until=until,
            seed=0,
            drill=drill is not None,
            digest="",
            n=0,
            gain=None,
            lower=None,
            upper=None,
            numbers={},
        )

    def promote(self, connection: sa.Connection, decision: Decision, artifact_id: ArtifactId) -> None:
        """Write a decision by which an artifact serves from now on."""
        facts = {"decision": decision.id, "until": decision.until.isoformat()}
        self._registry.register(connection, decision.learnable, artifact_id, facts)
        self._registry.promote(connection, decision.learnable, artifact_id, decision.reason)
        self.note(connection, decision)

    def note(self, connection: sa.Connection, decision: Decision) -> None:
        """Write a decision that moves nobody."""
        store.add_decision(connection, decision)
        self._announce(connection, decision)

    def _announce(self, connection: sa.Connection, decision: Decision) -> None:
        log.info("the wheel decided", extra={"learnable": decision.learnable, "decision": decision.decision})
        if self._log is None:
            return
        payload = {
            "decision_id": decision.id,
            "learnable": decision.learnable,
            "decision": decision.decision,
            "code": decision.code,
            "champion": decision.champion,
            "candidate": decision.candidate,
            "drill": decision.drill,
            "n": decision.n,
            "gain": decision.gain,
            "lower": decision.lower,
            "upper": decision.upper,
        }
        told = [NewEvent(DECIDED, 1, self._tenant_id, None, decision.decided_at, SERVICE, payload)]
        if decision.decision == "drifted":
            drift = {"decision_id": decision.id, "learnable": decision.learnable, **decision.numbers}
            told.append(NewEvent(DRIFT_FOUND, 1, self._tenant_id, None, decision.decided_at, SERVICE, drift))
        self._log.append(connection, *told)
