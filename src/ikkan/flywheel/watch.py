"""Watching what is served: drift becomes a stored decision and an event that asks for a turn. Nothing is switched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from ikkan.flywheel import store
from ikkan.flywheel.contract import Learnable
from ikkan.flywheel.drift import Finding, Limits, Watched, compare
from ikkan.flywheel.outcomes import Between
from ikkan.flywheel.stops import STOPS
from ikkan.flywheel.values import Decision, Replay
from ikkan.flywheel.words import MEASURES, reasons
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.events import EventReader
from ikkan.ground.ids import ArtifactId, DecisionId, new_id

WEEK_S = 7 * 86_400.0
_TURNS = ("promoted", "refused", "trying")
_ASKS = ("drifted", "rebuilt_worse", "rebuilt_unsure", "rebuilt_as_base")
"""Reasons that ask for a turn: what is served has changed, or what serves may be worse without an erased person."""


class Watch:
    """Compares what the champion serves lately with what it served at first."""

    def __init__(
        self,
        database: Database,
        events: EventReader,
        clock: Clock,
        record: Callable[[sa.Connection, Decision], None],
    ) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._record = record

    def look(
        self, learnable: Learnable, champion: ArtifactId, *, span_s: float = WEEK_S, limits: Limits | None = None
    ) -> Decision | None:
        """Compare the champion's first stretch with its latest; a drift is recorded once, and asks for a turn.

        Args:
            span_s: how long a stretch is.

        Returns:
            The decision that found drift; None where there is none, where the learnable cannot be watched, and while
            the champion has not served for two stretches.
        """
        now, span = self._clock.now(), timedelta(seconds=span_s)
        with self._database.read() as connection:
            since = store.serving_since(connection, learnable.name, champion)
            history = store.history(connection, learnable.name, 200)
        if not isinstance(learnable, Watched) or since is None or since + span > now - span:
            return None
        limits = limits or Limits()
        stretches = {"before": [since, since + span], "now": [now - span, now]}
        found = self._compared(learnable, champion, stretches, limits)
        drifted = [finding for finding in found if finding.drifted]
        if not drifted:
            return None
        names = sorted({finding.name for finding in drifted})
        for earlier in history:
            if earlier.code == "drifted" and earlier.champion == champion and earlier.numbers["drifted"] == names:
                return earlier
        numbers = {
            "findings": [finding.as_json() for finding in found],
            "drifted": names,
            "limits": asdict(limits),
            "stretches": {name: [moment.isoformat() for moment in pair] for name, pair in stretches.items()},
        }
        decision = _decision(learnable.name, champion, now, drifted, numbers)
        with self._database.transaction() as connection:
            self._record(connection, decision)
        return decision

    def yen_per_success(
        self, learnable: Learnable, champion: ArtifactId | None, *, span_s: float = WEEK_S
    ) -> float | None:
        """What an answer that went well has cost lately; None where the app does not know."""
        if champion is None or not isinstance(learnable, Watched):
            return None
        now = self._clock.now()
        lately = Between(self._events, now - timedelta(seconds=span_s), now)
        return learnable.served(lately, champion).yen_per_success(learnable.metric)

    def asks_for_turn(self, name: str) -> bool:
        """Whether drift, or a loss by an erasure, was found since the wheel was last turned: what a schedule asks."""
        with self._database.read() as connection:
            history = store.history(connection, name, 200)
        for decision in history:
            # What was made again but serves nobody now is no reason.
            if decision.code in _ASKS and "champion" in decision.numbers.get("aliases", ["champion"]):
                return True
            if decision.decision in _TURNS and not decision.drill and decision.code not in (*STOPS, "erased_meanwhile"):
                return False
        return False

    def replay(self, decision: Decision, learnable: Learnable) -> Replay:
        """Compare the two stretches again, from what may still be read of them."""
        assert isinstance(learnable, Watched) and decision.champion is not None, "it was watched then"
        stretches = {
            name: [datetime.fromisoformat(moment) for moment in pair]
            for name, pair in decision.numbers["stretches"].items()
        }
        limits = Limits(**decision.numbers["limits"])
        again = _by_name(
            finding.as_json() for finding in self._compared(learnable, decision.champion, stretches, limits)
        )
        then = _by_name(decision.numbers["findings"])
        differences = {
            name: (then.get(name), again.get(name))
            for name in sorted({*then, *again})
            if then.get(name) != again.get(name)
        }
        missing = sum(max(0, then[name]["n"] - again.get(name, {"n": 0})["n"]) for name in then)
        return Replay(decision, not differences, differences, missing)

    def _compared(
        self, learnable: Learnable, champion: ArtifactId, stretches: Mapping[str, Sequence[datetime]], limits: Limits
    ) -> list[Finding]:
        assert isinstance(learnable, Watched), "asked before"
        before, now = (
            learnable.served(Between(self._events, *stretches[name]), champion) for name in ("before", "now")
        )
        return compare(before, now, learnable.metric, limits)


def _by_name(findings: Any) -> dict[str, Any]:
    return {f"{finding['name']}.{finding['measure']}": finding for finding in findings}


def _decision(
    name: str, champion: ArtifactId, now: datetime, drifted: Sequence[Finding], numbers: Mapping[str, Any]
) -> Decision:
    said = {
        f"found_{lang}": ", ".join(
            text.format(name=finding.name, value=finding.value, limit=finding.limit)
            for finding in drifted
            for text in [MEASURES[finding.measure][lang]]
        )
        for lang in ("en", "ja")
    }
    return Decision(
        id=DecisionId(new_id()),
        learnable=name,
        decided_at=now,
        decision="drifted",
        code="drifted",
        reasons=reasons("drifted", said),
        champion=champion,
        candidate=None,
        judged=None,
        dataset=None,
        until=now,
        seed=0,
        drill=False,
        digest="",
        n=sum(finding.n for finding in drifted),
        gain=None,
        lower=None,
        upper=None,
        numbers=numbers,
    )
