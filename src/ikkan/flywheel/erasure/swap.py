"""Putting a model that was made again in the place of the one before: its aliases, the decision, a trial under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa

from ikkan.flywheel import store as decisions
from ikkan.flywheel import trials
from ikkan.flywheel.erasure.rebuild import Rebuilt
from ikkan.flywheel.values import Decision
from ikkan.flywheel.words import WHY_BASE, reasons
from ikkan.ground.clock import Clock
from ikkan.ground.ids import ArtifactId, DecisionId, new_id


class Names(Protocol):
    """What erasing needs of `models.registry.Registry`."""

    def under(self, connection: sa.Connection, artifact_id: ArtifactId) -> dict[str, list[str]]: ...
    def aliases(self, name: str, *, connection: sa.Connection | None = None) -> Mapping[str, ArtifactId]: ...
    def replace(
        self, connection: sa.Connection, name: str, old: ArtifactId, new: ArtifactId, reason: str,
        facts: Mapping[str, Any] | None = None,
    ) -> list[str]: ...  # fmt: skip
    def withdraw(self, connection: sa.Connection, name: str, artifact_id: ArtifactId, reason: str) -> list[str]: ...
    def set_alias(
        self, connection: sa.Connection, name: str, alias: Any, artifact_id: ArtifactId | None, reason: str = ""
    ) -> Any: ...


class Swapper:
    """Swaps models, in the caller's transaction.

    Args:
        record: keeps a decision, in the transaction of what was decided.
    """

    def __init__(self, registry: Names, clock: Clock, record: Callable[[sa.Connection, Decision], None]) -> None:
        self._registry = registry
        self._clock = clock
        self._record = record

    def put_in_place(
        self, connection: sa.Connection, erasure_id: str, one: Rebuilt, names: Mapping[str, Sequence[str]]
    ) -> dict[str, Any]:
        """Swap one model in the caller's transaction: aliases, decision, trial; returns what a receipt says of it."""
        decision = self._decision(erasure_id, one, sorted(alias for aliases in names.values() for alias in aliases))
        trial = trials.open_trial(connection, one.learnable)
        if trial is not None and one.old in (trial.candidate, trial.champion):
            last = decisions.decision(connection, trial.last)
            # A look at the trial goes on counting where it was.
            carried = {key: last.numbers[key] for key in ("phase", "counted") if last and key in last.numbers}
            decision = replace(decision, numbers={**decision.numbers, **carried})
        if one.old != one.new:
            facts = {"decision": decision.id, "until": one.until, "erasure": erasure_id}
            for name in names:
                self._registry.replace(connection, name, one.old, one.new, decision.reason, facts)
        self._record(connection, decision)
        self._carry_trial(connection, one, decision)
        return {"decision": decision.id, "aliases": decision.numbers["aliases"], **one.as_json()}

    def _carry_trial(self, connection: sa.Connection, one: Rebuilt, decision: Decision) -> None:
        """A trial goes on with who was made again, unless there is nothing left to compare."""
        before = trials.open_trial(connection, one.learnable)
        if before is None or one.old not in (before.candidate, before.champion):
            return
        after = replace(
            before,
            candidate=one.new if before.candidate == one.old else before.candidate,
            champion=one.new if before.champion == one.old else before.champion,
            last=decision.id,
        )
        tried_is_unfit = before.candidate == one.old and before.state != "promoted" and not one.fit_to_try
        if tried_is_unfit or after.candidate == after.champion:
            kept = before.state == "promoted"
            after = replace(after, state="promoted" if kept else "refused", share=0.0, ended_at=decision.decided_at)
            aliases = self._registry.aliases(one.learnable, connection=connection)
            for alias in ("shadow", "challenger"):
                if aliases.get(alias) in (after.candidate, after.champion):
                    self._registry.set_alias(connection, one.learnable, alias, None, decision.reason)
        moved = trials.change(connection, after, before)
        assert moved, "read in this very transaction"

    def _decision(self, erasure_id: str, one: Rebuilt, aliases: list[str]) -> Decision:
        is_base = one.code == "rebuilt_as_base"
        said = {**one.as_json(), **WHY_BASE["error" if one.why else "nothing_left"]}
        return Decision(
            id=DecisionId(new_id()),
            learnable=one.learnable,
            decided_at=self._clock.now(),
            decision="installed" if is_base else "rebuilt",
            code=one.code,
            reasons=reasons(one.code, said),
            champion=one.old,
            candidate=one.new,
            judged=None,
            dataset=one.without,
            until=datetime.fromisoformat(one.until),
            seed=one.seed,
            drill=False,
            digest=one.digest,
            n=one.n,
            gain=one.gain if one.n else None,
            lower=one.lower if one.n else None,
            upper=one.upper if one.n else None,
            numbers={
                "erasure": erasure_id,
                "aliases": aliases,
                "gone": one.gone,
                "teaching": one.left,
                "judging": one.n,
                "people": one.people,
                **({"why": one.why} if one.why else {}),
            },
        )
