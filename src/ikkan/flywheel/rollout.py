"""Trying a candidate on people: begin, look, sign, withdraw. Each look that learns something is a stored decision.

The rules are in `canary.py`, the numbers in `arms.py`, the rows in `trials.py`; here they meet the registry. Whatever
changes for people changes in one transaction with the evidence it rests on and the decision that says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa

from ikkan.flywheel import store, trials
from ikkan.flywheel.canary import Policy, State, Trial, Verdict, weigh
from ikkan.flywheel.contract import Given, Learnable
from ikkan.flywheel.outcomes import newcomers
from ikkan.flywheel.statistics import Interval
from ikkan.flywheel.trials import Person
from ikkan.flywheel.values import Decision, Outcome, Replay, Standing
from ikkan.flywheel.words import reasons
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import Conflict, NotFound
from ikkan.ground.events import EventReader
from ikkan.ground.ids import ArtifactId, DecisionId, new_id

Record = Callable[[sa.Connection, Decision], None]
"""Keeps a decision and tells the event log, in the transaction of what was decided."""

_OUTCOMES: Mapping[str, Outcome] = {
    "live_better": "promoted",
    "signed": "promoted",
    "signed_after_gate": "promoted",
    "needs_signature": "awaiting",
    "unsigned": "awaiting",
    "holding_back": "kept",
    "holdback_over": "kept",
}
_ENDS: Mapping[State, Outcome] = {"refused": "refused", "rolled_back": "rolled_back"}
_SIGNED = ("signed", "signed_after_gate", "signature_refused")
_LOOKS = 500
_NOT_WEIGHED = ("champion_moved", "withdrawn", "rolled_back")


class Aliases(Protocol):
    """What a trial needs of `models.registry.Registry`."""

    def alias(
        self, name: str, alias: Any = "champion", *, connection: sa.Connection | None = None
    ) -> ArtifactId | None: ...
    def register(
        self, connection: sa.Connection, name: str, artifact_id: ArtifactId, facts: Mapping[str, Any]
    ) -> Any: ...
    def promote(self, connection: sa.Connection, name: str, artifact_id: ArtifactId, reason: str) -> Any: ...
    def rollback(self, connection: sa.Connection, name: str, reason: str = "") -> Any: ...
    def set_alias(
        self, connection: sa.Connection, name: str, alias: Any, artifact_id: ArtifactId | None, reason: str = ""
    ) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen of a trial at one moment."""

    trial: Trial
    at: datetime
    known: list[Person]
    new: list[Person]
    first: int = 0
    """The place of the first newcomer; places of erased people stay empty."""

    @property
    def waited_s(self) -> float:
        return (self.at - self.trial.phase_at).total_seconds()

    @property
    def counted(self) -> list[Person]:
        return [*self.known, *self.new]


class Rollout:
    """Tries candidates on people and moves them on, or back."""

    def __init__(
        self,
        database: Database,
        events: EventReader,
        registry: Aliases,
        clock: Clock,
        record: Record,
        salts: Callable[[], str],
    ) -> None:
        self._database = database
        self._events = events
        self._registry = registry
        self._clock = clock
        self._record = record
        self._salts = salts

    def open(self, name: str) -> Trial | None:
        """The trial that is going on, its holdback included."""
        with self._database.read() as connection:
            return trials.open_trial(connection, name)

    def given(self, name: str, unit: str) -> Given | None:
        """Who answers this person: always the same one while a trial's share only grows.

        None where nothing was installed. One read of two rows.
        """
        with self._database.read() as connection:
            champion = self._registry.alias(name, "champion", connection=connection)
            trial = trials.open_trial(connection, name)
        if champion is None:
            return None
        # A champion that moved meanwhile has ended the trial; the next look says so.
        if trial is None or champion != _serving(trial):
            return Given(champion)
        if trial.state == "shadow":
            return Given(champion, beside=trial.candidate)
        given = trial.serves(unit)
        return Given(given, trial.share if given == trial.candidate else 1 - trial.share)

    def standing(self, trial: Trial) -> Standing:
        """What is known of a trial now, from what was counted: reads no events and decides nothing."""
        with self._database.read() as connection:
            counted = trials.people(connection, trial.id, trial.phase)
        verdict = weigh(trial, trials.evidence(counted))
        return Standing(
            phase=trial.phase,
            people=len(counted),
            people_with_candidate=sum(person.treated for person in counted),
            gain=verdict.gain,
            guards=verdict.guards,
        )

    def looks(self, name: str) -> tuple[Trial | None, list[Decision]]:
        """The latest trial, over or not, with the decisions about it, oldest first."""
        with self._database.read() as connection:
            trial = trials.latest(connection, name)
            history = store.history(connection, name, _LOOKS) if trial is not None else []
        about = [each for each in history if trial and trial.id in (each.id, each.numbers.get("trial"))]
        return trial, about[::-1]

    def begin(self, connection: sa.Connection, screen: Decision, policy: Policy) -> Trial:
        """Start the trial of what passed the screen, in the shadow, in the screen's own transaction.

        What the gate has proved already (an app without live outcomes) only waits for a signature, seen by nobody.

        A holdback that is still kept ends with it.

        Raises:
            Conflict: another candidate is being tried already.
        """
        assert screen.candidate is not None and screen.champion is not None, "a screen had two contestants"
        facts = {"decision": screen.id, "until": screen.until.isoformat()}
        self._registry.register(connection, screen.learnable, screen.candidate, facts)
        # This locks the name, so that what is read next stays true until the commit.
        proved = screen.decision == "awaiting"
        alias = "challenger" if proved else "shadow"
        self._registry.set_alias(connection, screen.learnable, alias, screen.candidate, screen.reason)
        before = trials.open_trial(connection, screen.learnable)
        if before is not None:
            if before.state != "promoted":
                raise Conflict(
                    f"a candidate of {screen.learnable} is being tried already", hint="ikkan flywheel status LEARNABLE"
                )
            trials.change(connection, replace(before, ended_at=screen.decided_at), before)
        trial = Trial(
            id=screen.id,
            learnable=screen.learnable,
            round=trials.rounds(connection, screen.learnable) + 1,
            candidate=screen.candidate,
            champion=screen.champion,
            policy=policy,
            salt=self._salts(),
            state="awaiting_signature" if proved else "shadow",
            share=0.0,
            began_at=screen.decided_at,
            phase_at=screen.decided_at,
            ended_at=None,
            until=screen.until,
            last=screen.id,
        )
        trials.begin(connection, trial)
        return trial

    def look(self, learnable: Learnable) -> Decision | None:
        """Count who is new, decide what follows, and do it. None: nobody is being tried.

        The same evidence gives the same decision: it is not recorded twice.

        Raises:
            Conflict: another look was faster; look again.
        """
        trial = self.open(learnable.name)
        if trial is None:
            return None
        look = self._seen(learnable, trial)
        if self._registry.alias(trial.learnable, "champion") != _serving(trial):
            return self._settle(look, Verdict("champion_moved", _withdrawn(trial), 0.0))
        verdict = weigh(trial, trials.evidence(look.counted), look.waited_s)
        said = trial.last != trial.id or trial.state == "awaiting_signature"
        if not look.new and not verdict.moves and said:
            with self._database.read() as connection:
                return store.decision(connection, trial.last)
        return self._settle(look, verdict)

    def sign(self, learnable: Learnable, who: str, *, accepted: bool = True, note: str = "") -> Decision:
        """A person's word on a candidate that waits for it: promoted if accepted, unless harm has shown meanwhile.

        Args:
            who: a pseudonym or the id of a key, never a name.

        Raises:
            Conflict: nobody waits for a signature.
        """
        trial = self.open(learnable.name)
        if trial is None or trial.state != "awaiting_signature":
            raise Conflict(
                f"no candidate of {learnable.name} waits for a signature", hint="ikkan flywheel status LEARNABLE"
            )
        look = self._seen(learnable, trial)
        verdict = weigh(trial, trials.evidence(look.counted), signature=True)
        if verdict.code == "live_better":
            code, state, share = ("signed" if trial.on_people else "signed_after_gate", verdict.state, verdict.share)
            if not accepted:
                code, state, share = ("signature_refused", "refused", 0.0)
            verdict = replace(verdict, code=code, state=state, share=share)
        because = {"who": who, "because": f": {note}" if note else ""}
        return self._settle(look, verdict, {**because, "signed_by": who, "accepted": accepted})

    def withdraw(self, trial: Trial, reason: str = "") -> Decision:
        """End a trial by a person's word: its candidate answers nobody any more, from the next request on."""
        look = _Look(trial, self._clock.now(), [], [])
        because = f": {reason}" if reason else ""
        code = "rolled_back" if trial.state == "promoted" else "withdrawn"
        return self._settle(look, Verdict(code, "rolled_back", 0.0), {"because": because})

    def replay(self, decision: Decision) -> Replay:
        """Weigh the stored evidence again, as far as it went then, and compare every number.

        Raises:
            NotFound: it rests on a person's word or on an accident, not on evidence.
        """
        then = decision.numbers
        with self._database.read() as connection:
            trial = trials.trial(connection, DecisionId(then["trial"]))
            counted = trials.people(connection, then["trial"], then["phase"], then["counted"])
        if trial is None or "weighed" not in then:
            raise NotFound(f"decision {decision.id} weighed no evidence", hint="only a judgement can be replayed")
        trial = replace(trial, state=then["state"], share=then["share"])
        verdict = weigh(trial, trials.evidence(counted), then["waited_s"], signature="signed_by" in then)
        recorded = {"code": then["weighed"], "digest": decision.digest, **_bounds_of(decision), **_guards_of(then)}
        again = {"code": verdict.code, "digest": trials.digest(counted), **_bounds(verdict.gain)}
        again |= _guards_of({"guards": _guards(verdict)})
        names = sorted({*recorded, *again})
        differences = {
            name: (recorded.get(name), again.get(name))
            for name in names
            if not _same(recorded.get(name), again.get(name))
        }
        return Replay(decision, not differences, differences, then["people"] - len(counted))

    # ---- what the use cases are made of ------------------------------------------------------------------------------

    def _seen(self, learnable: Learnable, trial: Trial) -> _Look:
        now = self._clock.now()
        with self._database.read() as connection:
            known = trials.people(connection, trial.id, trial.phase)
            last = store.decision(connection, trial.last)
        assert last is not None, "a trial names its latest decision"
        first = int(last.numbers["counted"]) if last.numbers.get("phase") == trial.phase else 0
        return _Look(trial, now, known, newcomers(learnable, self._events, trial, known, first, now), first)

    def _settle(self, look: _Look, verdict: Verdict, extra: Mapping[str, Any] | None = None) -> Decision:
        """Everything that follows from a verdict, in one transaction."""
        trial = look.trial
        decision = self._decision(look, verdict, extra or {})
        moved_on = (verdict.state, verdict.share) != (trial.state, trial.share)
        over = verdict.state in ("refused", "rolled_back") or verdict.code in ("holdback_over", "signed_after_gate")
        after = replace(
            trial,
            state=verdict.state,
            share=verdict.share,
            # What is recorded from the moment of the look on belongs to the next stage: nothing falls in between.
            phase_at=look.at if moved_on else trial.phase_at,
            ended_at=look.at if over else None,
            last=decision.id,
        )
        with self._database.transaction() as connection:
            if not trials.change(connection, after, trial):
                raise Conflict(f"the trial of {trial.learnable} moved meanwhile", hint="look again", trial=trial.id)
            trials.count(connection, trial.id, trial.phase, look.new)
            self._point(connection, trial, after, verdict.code, decision.reason)
            self._record(connection, decision)
        return decision

    def _point(self, connection: sa.Connection, before: Trial, after: Trial, code: str, reason: str) -> None:
        """Make the registry say what the trial has come to."""
        name, candidate = before.learnable, before.candidate
        serving = self._registry.alias(name, "champion", connection=connection)
        if code != "champion_moved" and serving != _serving(before):
            raise Conflict(f"the champion of {name} moved meanwhile", hint="look again", trial=before.id)
        if before.state == after.state:
            return
        if after.state == "canary":
            self._registry.set_alias(connection, name, "shadow", None, reason)
            self._registry.set_alias(connection, name, "challenger", candidate, reason)
        elif after.state == "promoted":
            self._registry.promote(connection, name, candidate, reason)
        elif before.state == "promoted":
            if code != "champion_moved":
                self._registry.rollback(connection, name, reason)
        elif after.state in ("refused", "rolled_back"):
            for alias in ("shadow", "challenger"):
                self._registry.set_alias(connection, name, alias, None, reason)

    def _decision(self, look: _Look, verdict: Verdict, extra: Mapping[str, Any]) -> Decision:
        trial, counted = look.trial, look.counted
        given = sum(person.treated for person in counted)
        numbers = {
            "trial": trial.id,
            "round": trial.round,
            "phase": trial.phase,
            "state": trial.state,
            "share": trial.share,
            "state_after": verdict.state,
            "share_after": verdict.share,
            "people": len(counted),
            "people_with_candidate": given,
            "new_people": len(look.new),
            "counted": look.first + len(look.new),
            "level": 1 - trial.level,
            "policy": trial.policy.as_json(),
            "guards": _guards(verdict),
            "waited_s": look.waited_s,
            **{key: extra[key] for key in ("signed_by", "accepted") if key in extra},
        }
        if verdict.code not in _NOT_WEIGHED:
            numbers["weighed"] = "live_better" if verdict.code in _SIGNED else verdict.code
        told = {**numbers, **verdict.details, **extra, **_told(verdict), "share_after": 100 * verdict.share}
        outcome: Outcome = _OUTCOMES.get(verdict.code) or _ENDS.get(verdict.state, "trying")
        back = verdict.state == "rolled_back"
        return Decision(
            id=DecisionId(new_id()),
            learnable=trial.learnable,
            decided_at=look.at,
            decision=outcome,
            code=verdict.code,
            reasons=reasons(verdict.code, {"because": "", **told, "level": 100 * (1 - trial.level)}),
            champion=_serving(trial),
            candidate=trial.champion if back else trial.candidate,
            judged=trial.candidate,
            dataset=None,
            until=trial.until,
            seed=0,
            drill=False,
            digest=trials.digest(counted),
            n=len(counted),
            numbers=numbers,
            **_bounds(verdict.gain),
        )


def _serving(trial: Trial) -> ArtifactId:
    """Who is champion while a trial is in this state."""
    return trial.candidate if trial.state == "promoted" else trial.champion


def _withdrawn(trial: Trial) -> State:
    return "rolled_back" if trial.state == "promoted" else "refused"


def _told(verdict: Verdict) -> dict[str, float]:
    gain = verdict.gain
    return {} if gain is None else {"gain": gain.estimate, "lower": gain.lower, "upper": gain.upper}


def _bounds(gain: Interval | None) -> dict[str, float | None]:
    if gain is None:
        return {"gain": None, "lower": None, "upper": None}
    return {"gain": gain.estimate, "lower": gain.lower, "upper": gain.upper}


def _bounds_of(decision: Decision) -> dict[str, float | None]:
    return {"gain": decision.gain, "lower": decision.lower, "upper": decision.upper}


def _guards(verdict: Verdict) -> dict[str, dict[str, Any]]:
    return {name: {"n": gain.n, **_bounds(gain)} for name, gain in verdict.guards.items()}


def _guards_of(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}.{key}": value for name, found in numbers.get("guards", {}).items() for key, value in found.items()}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)
