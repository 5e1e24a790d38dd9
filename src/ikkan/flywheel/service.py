"""Use cases of the wheel: install, turn, roll back, explain, replay. Gate, tables and files meet here."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import sqlalchemy as sa

from ikkan import __version__
from ikkan.flywheel import datasets, figures, forced, schedule, stops, store, trials
from ikkan.flywheel.canary import REVERSIBLE, Policy, Trial
from ikkan.flywheel.contract import Budget, Examples, Fitted, Given, Learnable, Remarks, Slow, aware, parents
from ikkan.flywheel.drift import Limits
from ikkan.flywheel.erasure import store as erasures
from ikkan.flywheel.gate import Champion, Terms, Turn, confirm, judge, turn
from ikkan.flywheel.rollout import Rollout
from ikkan.flywheel.scrubbing import NotedEvents, ScrubbedEvents
from ikkan.flywheel.split import Split
from ikkan.flywheel.values import Decision, Explanation, Outcome, OwnCorrection, Replay, Status
from ikkan.flywheel.watch import WEEK_S, Watch
from ikkan.flywheel.words import WAITS, reasons
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import (
    BadInput,
    Conflict,
    DatabaseUnready,
    NotFound,
    UnknownArtifact,
    UnknownLearnable,
    WheelStopped,
)
from ikkan.ground.events import SERVICE, EventReader, NewEvent
from ikkan.ground.ids import ArtifactId, DecisionId, EventId, TenantId, new_id

log = logging.getLogger(__name__)

DECIDED = "flywheel.Decided"
"""The event every decision leaves in the log, in the transaction of the decision itself."""
DRIFT_FOUND = "flywheel.DriftFound"
"""Asks for an evaluation: what is served is no longer like what was judged."""
_HISTORY = 200

Progress = Callable[[float, str], None]


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


@dataclass(frozen=True, slots=True)
class _Judged:
    """What came of training and judging, on its way to being recorded."""

    examples: Examples
    champion: Champion
    came: Turn
    digest: str


class Flywheel:
    """Turns the wheel for every learnable it is given.

    Args:
        events: the consent-applying reader.
        log: where `flywheel.Decided` is recorded, in the transaction of the decision.
        tenant_id: in whose name decisions are recorded.
        policy: how this tenant tries candidates on people, where an app keeps live outcomes.
        salts: makes what nobody can guess, so that nobody can choose to be given a candidate.
        scrub: whether personal data is taken out of what a learnable reads.
    """

    def __init__(
        self,
        database: Database,
        events: EventReader,
        registry: Aliases,
        artifacts: ArtifactStore,
        learnables: Sequence[Learnable],
        clock: Clock,
        *,
        log: EventBook | None = None,
        tenant_id: TenantId = TenantId("local"),
        terms: Terms | None = None,
        budget: Budget | None = None,
        policy: Policy = REVERSIBLE,
        salts: Callable[[], str] = secrets.token_hex,
        scrub: bool = True,
    ) -> None:
        self._database = database
        self._events = events
        self._registry = registry
        self._artifacts = artifacts
        self._learnables = {learnable.name: learnable for learnable in learnables}
        self._clock = clock
        self._log = log
        self._tenant_id = tenant_id
        self._terms = terms or Terms()
        self._fixed_budget = budget
        self._policy = policy
        self._scrub = scrub
        self._rollout = Rollout(database, events, registry, clock, self._note, salts)
        self._watch = Watch(database, events, clock, self._note)

    @property
    def names(self) -> list[str]:
        """What can be learned here."""
        return sorted(self._learnables)

    def ensure_champion(self, name: str, *, refresh: bool = False) -> ArtifactId:
        """The champion, which is installed first if there is none: from the base, without any examples.

        Args:
            refresh: install again if the champion has not learned from any example and what it would be built from
                has changed, because the company came to know more.
        """
        learnable = self._learnable(name)
        champion = self._registry.alias(name, "champion")
        if champion is not None:
            with self._database.read() as connection:
                has_learned = store.known_until(connection, name, champion) is not None
            if has_learned or not refresh:
                return champion
        now = self._clock.now()
        nothing = learnable.examples(_NoEvents(), now)
        artifact_id = self._keep(learnable, learnable.train(nothing, self._budget(learnable), 0), None, 0)
        if artifact_id == champion:
            return champion
        decision = self._decision(
            name, "installed", "installed", {}, until=now, champion=champion, candidate=artifact_id
        )
        with self._database.transaction() as connection:
            already = self._registry.alias(name, "champion", connection=connection)
            if already != champion:
                assert already is not None, "a champion is never taken away"
                return already
            self._promote(connection, decision, artifact_id)
        return artifact_id

    def champion(self, name: str) -> Fitted:
        """What serves now; installed first if nothing does."""
        return self._load(self.ensure_champion(name))

    def run(
        self,
        name: str,
        *,
        seed: int = 0,
        until: datetime | None = None,
        shuffle: bool = False,
        progress: Progress | None = None,
    ) -> Decision:
        """Turn the wheel once: events → dataset → candidate → gate → promotion, or refusal with the reason.

        Where the app keeps live outcomes the gate is only a screen, and what passes is tried on people: then a turn is
        a look at the trial, until that is over. A holdback is looked at too, and does not keep the next turn waiting.

        Args:
            seed: for training, and for shuffling.
            until: only events recorded before this; default: now.
            shuffle: a drill. What people said is permuted among the questions, and the gate, which does not know,
                judges against the model that learned from nothing. Nothing is promoted whatever it says.
            progress: told how far it is, 0 to 1, and with what.

        Whatever fails in reading, training or keeping ends the turn in a decision that says so (`stops.py`), and the
        champion keeps serving.

        Raises:
            UnknownLearnable: no app declares it.
            LeakFound: the same question would have stood on both sides; nothing was recorded.
            SetupNeeded: what training needs is not installed; nothing was recorded.
            WheelStopped: it broke off, and not even that could be recorded.
        """
        tell = progress or (lambda fraction, message: None)
        learnable = self._learnable(name)
        tell(0.0, "reading events")
        with self._database.read() as connection:
            erased = erasures.count(connection)
        champion_id = self.ensure_champion(name)
        if not shuffle:
            trial = self._rollout.open(name)
            looked = self._rollout.look(learnable) if trial is not None else None
            # A holdback keeps nobody waiting, unless it shows harm.
            holdback = trial is not None and trial.state == "promoted"
            if looked is not None and (not holdback or looked.decision == "rolled_back"):
                return looked
        until = aware(until or self._clock.now())
        stage: stops.Stage = "reading"
        try:
            reader = NotedEvents(self._reader(learnable))
            examples = learnable.examples(reader, until)
            stage = "judging"
            tell(0.2, "training and judging")
            judged = self._judged(learnable, examples, champion_id, seed, shuffle)
            tell(0.8, "recording")
            stage = "recording"
            erased_now = self._erased_since(erased, learnable, judged.examples, until, shuffle, seed)
            return self._record(learnable, champion_id, judged, until, seed, shuffle, reader.asked, erased_now)
        except stops.LET_THROUGH:
            raise
        except stops.CAUGHT as error:
            code, details = stops.why(error, stage)
            if stage == "recording" and code != "disk_full":
                raise
            log.error(
                "a turn of the wheel broke off", extra={"learnable": name, "code": code, "where": stops.where(error)}
            )
            decision = self._decision(name, "refused", code, details, until=until, champion=champion_id)
            decision = replace(decision, seed=seed, numbers=details, drill=shuffle)
            try:
                with self._database.transaction() as connection:
                    self._note(connection, decision)
            except DatabaseUnready as failed:
                # A disk that has no room for an artifact may have none for the decision either.
                raise WheelStopped(decision.reason, hint="mend it, then turn the wheel again", why=code) from failed
            return decision

    def promote(self, name: str, artifact: str, reason: str, *, who: str) -> Decision:
        """Let a person's word decide instead of the gate's: this artifact serves from the next request on.

        A trial on people ends with it. The decision says who and why, and `rollback` takes it back.

        Args:
            artifact: the id of one that some decision speaks of, or a beginning of it.
            who: a pseudonym or the id of a key, never a name.

        Raises:
            BadInput: no reason, or an artifact of another kind.
            UnknownArtifact: nobody knows it, or it was deleted.
            Conflict: it serves already.
        """
        self._learnable(name)
        because = forced.checked_reason(reason)
        with self._database.read() as connection:
            history = store.history(connection, name, 10_000)
        artifact_id = forced.resolve(artifact, forced.known(history))
        champion = self.ensure_champion(name)
        if artifact_id == champion:
            raise Conflict(f"{artifact_id} serves already", hint="ikkan flywheel status LEARNABLE")
        kinds = [self._artifacts.get(each).kind for each in (champion, artifact_id)]
        if kinds[0] != kinds[1]:
            raise BadInput(f"{artifact_id} is a {kinds[1]}, no {kinds[0]}", hint="choose one that was judged for this")
        trial = self._rollout.open(name)
        if trial is not None and trial.state != "promoted":
            self._rollout.withdraw(trial, because)
        details = {"who": who, "because": because}
        until = forced.learned_until(artifact_id, history)
        decision = self._decision(
            name, "promoted", "forced", details, until=until, champion=champion, candidate=artifact_id
        )
        decision = replace(decision, numbers={"forced": True, "forced_by": who, "forced_because": because})
        with self._database.transaction() as connection:
            if self._registry.alias(name, "champion", connection=connection) != champion:
                raise Conflict(f"the champion of {name} moved meanwhile", hint="look again", learnable=name)
            self._promote(connection, decision, artifact_id)
        return decision

    def rollback(self, name: str, reason: str = "") -> Decision:
        """Put the previous champion back in one transaction; it answers the next request.

        Raises:
            Conflict: there is nobody to go back to.

        If a candidate is being tried on people, it is the one that goes.
        """
        self._learnable(name)
        trial = self._rollout.open(name)
        if trial is not None:
            return self._rollout.withdraw(trial, reason)
        champion = self._registry.alias(name, "champion")
        previous = self._registry.alias(name, "previous")
        if previous is None or champion is None:
            raise Conflict(
                f"{name} has no previous model to go back to", hint="the first promotion makes one", learnable=name
            )
        because = {"because": f": {reason}" if reason else ""}
        now = self._clock.now()
        decision = self._decision(
            name, "rolled_back", "rolled_back", because, until=now, champion=champion, candidate=previous
        )
        with self._database.transaction() as connection:
            self._registry.rollback(connection, name, reason)
            self._note(connection, decision)
        return decision

    def look(self, name: str) -> Decision | None:
        """How the trial of a candidate stands, after counting whose outcome is new; None if nobody is being tried.

        Raises:
            Conflict: another look was faster; look again.
        """
        return self._rollout.look(self._learnable(name))

    def sign(
        self, name: str, who: str, *, accepted: bool = True, note: str = "", decision_id: DecisionId | None = None
    ) -> Decision:
        """Promote the candidate that waits for a signature, or send it away.

        Args:
            who: a pseudonym or the id of a key, never a name.
            decision_id: the decision that was read before signing; another candidate is not signed for by mistake.

        Raises:
            Conflict: nobody waits for a signature, or somebody else than was meant.
        """
        learnable = self._learnable(name)
        trial = self._rollout.open(name)
        if decision_id is not None and trial is not None:
            about = (decision_id, self.decision(decision_id).numbers.get("trial"))
            if trial.id not in about:
                raise Conflict(
                    f"{decision_id} is not about the candidate that waits now",
                    hint="ikkan flywheel status LEARNABLE",
                    decision=decision_id,
                )
        return self._rollout.sign(learnable, who, accepted=accepted, note=note)

    def serves(self, name: str, unit: str) -> ArtifactId | None:
        """Whose answer this person is given: the champion's, or in a trial always the same one of two."""
        given = self.given(name, unit)
        return given.artifact_id if given is not None else None

    def given(self, name: str, unit: str) -> Given | None:
        """The same with the chance of it, and who answers beside it in the shadow: what an app asks, and records."""
        return self._rollout.given(name, unit)

    def looks(self, name: str) -> tuple[Trial | None, list[Decision]]:
        """The latest trial on people, over or not, with every decision about it, oldest first."""
        self._learnable(name)
        return self._rollout.looks(name)

    def forget(self, unit: str) -> int:
        """Take an erased person out of the evidence of every trial; says of how many rows. Decisions stay as they were.

        Call it when their events are gone, or the next look counts them again. `unit`: what outcomes call the person.
        """
        with self._database.transaction() as connection:
            return trials.forget(connection, unit)

    def reads(self, learnable: Learnable) -> EventReader:
        """What a learnable is given to read."""
        return self._reader(learnable)

    def record(self, connection: sa.Connection, decision: Decision) -> None:
        """Keep a decision that no turn made, such as an erasure's, and tell the event log, in one transaction."""
        self._note(connection, decision)

    def watch(self, name: str, *, span_s: float = WEEK_S, limits: Limits | None = None) -> Decision | None:
        """Whether what is served has drifted since the champion began; a drift asks for a turn and switches nothing.

        None: nothing has, or it cannot be said (no champion, nothing to watch, not served for two stretches yet).
        """
        learnable = self._learnable(name)
        champion = self._registry.alias(name, "champion")
        return self._watch.look(learnable, champion, span_s=span_s, limits=limits) if champion else None

    def asks_for_turn(self, name: str) -> bool:
        """Whether drift was found since the wheel was last turned."""
        self._learnable(name)
        return self._watch.asks_for_turn(name)

    def status(self, name: str) -> Status:
        """Who serves, what it has learned from, and what has come in since."""
        learnable = self._learnable(name)
        champion = self._registry.alias(name, "champion")
        with self._database.read() as connection:
            known_until = store.known_until(connection, name, champion) if champion else None
            history = store.history(connection, name, _HISTORY)
            next_look = schedule.next_look(connection, name)
        examples = learnable.examples(self._reader(learnable), self._clock.now())
        said = [
            (at, own)
            for at, teaches, own in zip(examples.known_at, examples.teaches, examples.own, strict=True)
            if teaches
        ]
        turned = next((each.decided_at for each in history if each.is_turn), None)
        trial = self._rollout.open(name)
        return Status(
            learnable=name,
            champion=champion,
            previous=self._registry.alias(name, "previous"),
            known_until=known_until,
            answers=len(examples),
            corrections=len(said),
            fresh=sum(known_until is None or at >= known_until for at, _ in said),
            last=next(iter(history), None),
            trial=trial,
            standing=self._rollout.standing(trial) if trial is not None else None,
            own_fresh=sum(bool(own) and (turned is None or at >= turned) for at, own in said),
            drift=next((each for each in history if each.code == "drifted" and each.champion == champion), None),
            wants_turn=self._watch.asks_for_turn(name),
            next_look=next_look,
            policy=self._policy.name,
            remark=learnable.remark() if isinstance(learnable, Remarks) else {},
            yen_per_success=self._watch.yen_per_success(learnable, champion),
        )

    def history(self, name: str, limit: int = 50) -> list[Decision]:
        """The latest decisions, newest first."""
        self._learnable(name)
        with self._database.read() as connection:
            return store.history(connection, name, limit)

    def decision(self, decision_id: DecisionId) -> Decision:
        """One decision.

        Raises:
            NotFound: there is none of this id.
        """
        with self._database.read() as connection:
            found = store.decision(connection, decision_id)
        if found is None:
            raise NotFound(f"no decision {decision_id}", hint="ikkan flywheel status LEARNABLE", decision=decision_id)
        return found

    def explain(self, decision_id: DecisionId) -> Explanation:
        """A decision, with this house's own corrections before and after it in words, read from the log again."""
        decision = self.decision(decision_id)
        own: Sequence[Mapping[str, Any]] = decision.numbers.get("own_corrections", ())
        if not own or decision.champion is None:
            return Explanation(decision, (), 0)
        learnable = self._learnable(decision.learnable)
        try:
            return self._explained(decision, decision.champion, learnable, own)
        except UnknownArtifact:  # destroyed, because somebody it learned from was erased
            return Explanation(decision, (), len(own))

    def _explained(
        self, decision: Decision, champion: ArtifactId, learnable: Learnable, own: Sequence[Mapping[str, Any]]
    ) -> Explanation:
        examples = self._examples_of(decision, learnable)
        place = {id: at for at, id in enumerate(examples.ids)}
        readable = [line for line in own if line["example_id"] in place]
        asked = examples.take([place[line["example_id"]] for line in readable])
        passed = decision.decision in ("promoted", "trying", "awaiting")
        after_id = decision.candidate if passed else champion
        assert after_id is not None, "whoever was promoted was kept"
        before = learnable.show(self._load(champion), asked)
        after = learnable.show(self._load(after_id), asked)
        lines = tuple(
            OwnCorrection(
                example_id=line["example_id"],
                question=then.question,
                before=then.answer,
                after=now.answer,
                right=then.right,
                before_score=line["before"],
                after_score=line["after"],
            )
            for line, then, now in zip(readable, before, after, strict=True)
        )
        return Explanation(decision, lines, len(own) - len(readable))

    def replay(self, decision_id: DecisionId) -> Replay:
        """Compute a decision again from the stored artifacts and the event log, and compare every number.

        Raises:
            NotFound: no such decision, or one that judged nobody.
            UnknownArtifact: an artifact it rests on was deleted.
        """
        decision = self.decision(decision_id)
        if "trial" in decision.numbers:
            return self._rollout.replay(decision)
        if "findings" in decision.numbers:
            return self._watch.replay(decision, self._learnable(decision.learnable))
        if decision.dataset is None or decision.judged is None:
            raise NotFound(f"decision {decision_id} judged nobody", hint="only a judgement can be replayed")
        learnable = self._learnable(decision.learnable)
        dataset = datasets.read(self._artifacts, decision.dataset)
        manifest, judging, teaching = dataset.facts, dataset.judge, dataset.teach
        examples = self._examples_of(decision, learnable)
        place = {id: at for at, id in enumerate(examples.ids)}
        missing = len({id for id in (*judging, *teaching) if id not in place})
        judges = examples.take([place[id] for id in judging if id in place])
        lessons = examples.take([place[id] for id in teaching if id in place])
        terms = Terms(**manifest["terms"])
        if decision.drill:
            rival = learnable.train(examples.take([]), self._budget(learnable), decision.seed)
        else:
            assert decision.champion is not None, "a judgement is against a champion"
            rival = self._load(decision.champion)
        cutoff = datetime.fromisoformat(manifest["cutoff"])
        none = np.zeros(0, dtype=np.bool_)
        came = judge(
            learnable,
            judges,
            lessons,
            rival,
            self._load(decision.judged),
            Split(cutoff, none, none, 0, 0),
            terms,
            int(manifest["attempt"]),
            self._budget(learnable),
            decision.seed,
            bool(manifest.get("screen", False)),
        )
        refit = manifest["refit"]
        if came.promoted and refit is not None:
            came = confirm(learnable, judges, came, self._load(ArtifactId(refit)), terms)
        recorded = {"code": decision.code, **{key: decision.numbers.get(key) for key in figures.COMPARED}}
        again = {"code": came.code, **{key: figures.numbers(came).get(key) for key in figures.COMPARED}}
        recorded |= {"gain": decision.gain, "lower": decision.lower, "upper": decision.upper}
        again |= figures.bounds(came.gain)
        differences = {
            key: (recorded[key], again[key]) for key in recorded if not figures.same(recorded[key], again[key])
        }
        return Replay(decision, not differences and not missing, differences, missing)

    # ---- what the use cases are made of ------------------------------------------------------------------------------

    def _learnable(self, name: str) -> Learnable:
        if name not in self._learnables:
            known = ", ".join(self.names) or "none"
            raise UnknownLearnable(f"nothing called {name!r} can be learned here", hint=f"there is: {known}", name=name)
        return self._learnables[name]

    def _budget(self, learnable: Learnable) -> Budget:
        """What one training of it may take."""
        return self._fixed_budget or (learnable.budget if isinstance(learnable, Slow) else Budget())

    def _load(self, artifact_id: ArtifactId) -> Fitted:
        return Fitted.read(self._artifacts.get(artifact_id))

    def _judged(
        self, learnable: Learnable, examples: Examples, champion_id: ArtifactId, seed: int, shuffle: bool
    ) -> _Judged:
        """Train a candidate and judge it, unless this very evidence was judged before."""
        name = learnable.name
        if shuffle:
            examples = examples.shuffled(seed)
            champion = Champion(learnable.train(examples.take([]), self._budget(learnable), seed))
            attempt, digest, known_already = 1, examples.digest(), False
        else:
            with self._database.read() as connection:
                known_until = store.known_until(connection, name, champion_id)
                before = store.judgements(connection, name, champion_id)
            champion = Champion(self._load(champion_id), known_until)
            attempt, digest = len(before) + 1, examples.digest()
            known_already = digest in before
        screen = not shuffle and learnable.outcome(_NoEvents(), champion_id).kept
        if known_already:
            return _Judged(examples, champion, Turn(False, "already_judged"), digest)
        came = turn(
            learnable,
            examples,
            champion,
            seed=seed,
            terms=self._terms,
            attempt=attempt,
            budget=self._budget(learnable),
            screen=screen,
        )
        return _Judged(examples, champion, came, digest)

    def _keep(self, learnable: Learnable, fitted: Fitted, dataset: ArtifactId | None, seed: int) -> ArtifactId:
        artifact = self._artifacts.put(
            fitted.files,
            kind=fitted.kind,
            source=f"flywheel {learnable.name}",
            built_from=(*parents(fitted), *([dataset] if dataset else ())),
            facts={**fitted.facts, "seed": seed, "code_version": __version__},
        )
        return artifact.id

    def _keep_dataset(
        self,
        learnable: Learnable,
        examples: Examples,
        came: Turn,
        refit: ArtifactId | None,
        until: datetime,
        seed: int,
        drill: bool,
        attempt: int,
        query: Sequence[Mapping[str, Any]],
    ) -> ArtifactId:
        """Which events taught and which judged, kept for good. Ids, times and numbers only: no one's words."""
        assert came.split is not None, "there is a dataset where there was a split"
        facts = {
            "learnable": learnable.name,
            "metric": learnable.metric.name,
            "query": list(query),
            "until": until.isoformat(),
            "cutoff": came.split.cutoff.isoformat(),
            "seed": seed,
            "shuffled": drill,
            "attempt": attempt,
            "screen": came.screen,
            "scrubbed": self._scrub,
            "code_version": __version__,
            "digest": examples.digest(),
            "terms": {name: getattr(self._terms, name) for name in self._terms.__slots__},
            "refit": refit,
            "budget": asdict(self._budget(learnable)),
        }
        rows = datasets.Rows.of(examples, came.split.groups)
        return datasets.write(
            self._artifacts,
            rows,
            datasets.sides(came.split),
            facts,
            background=examples.background,
            source=f"flywheel {learnable.name}",
        ).id

    def _reader(self, learnable: Learnable) -> EventReader:
        """What a learnable reads: nothing of anyone who refused, and no one's personal data."""
        if not self._scrub:
            return self._events
        return ScrubbedEvents(self._events, getattr(learnable, "verbatim", frozenset()))

    def _examples_of(self, decision: Decision, learnable: Learnable) -> Examples:
        """The examples a decision saw, as far as they may still be read."""
        background = None
        if decision.dataset is not None:
            background = datasets.background(self._artifacts, decision.dataset)
        examples = learnable.examples(self._reader(learnable), decision.until, background)
        return examples.shuffled(decision.seed) if decision.drill else examples

    def _record(
        self,
        learnable: Learnable,
        champion_id: ArtifactId,
        judged_now: _Judged,
        until: datetime,
        seed: int,
        drill: bool,
        query: Sequence[Mapping[str, Any]],
        erased: int | None,
    ) -> Decision:
        name = learnable.name
        champion, examples = judged_now.champion, judged_now.examples
        came, digest = judged_now.came, judged_now.digest
        if erased is None:  # nothing of somebody who is gone by now may be kept
            came = Turn(False, "erased_meanwhile")
        attempt = int(came.details.get("attempt", 1))
        judged = self._keep(learnable, came.candidate, None, seed) if came.candidate else None
        refit = self._keep(learnable, came.refit, None, seed) if came.refit else None
        dataset = None
        if came.split is not None and came.candidate is not None:
            dataset = self._keep_dataset(learnable, examples, came, refit, until, seed, drill, attempt, query)
        numbers = figures.numbers(came)
        if not drill:
            numbers["own_corrections"] = figures.own_corrections(learnable, champion, examples, came)
        bounds = figures.bounds(came.gain)
        decision = replace(
            self._decision(
                name,
                self._outcome(came, drill),
                came.code,
                figures.details(came),
                until=until,
                champion=champion_id,
                candidate=refit if came.promoted else judged,
                drill=came.promoted if drill else None,
            ),
            judged=judged,
            dataset=dataset,
            seed=seed,
            digest=digest,
            n=came.gain.n if came.gain else int(came.details.get("n", 0)),
            gain=bounds["gain"],
            lower=bounds["lower"],
            upper=bounds["upper"],
            numbers=numbers,
        )
        made: list[ArtifactId] = [one for one in (judged, refit, dataset) if one is not None]
        if decision.decision == "awaiting":
            decision = replace(decision, reasons={lang: text + WAITS[lang] for lang, text in decision.reasons.items()})
        with self._database.transaction() as connection:
            if erased is not None and erasures.count(connection, hold=True) != erased:
                # In the very moment between: look for no further, keep nothing.
                decision = self._decision(name, "refused", "erased_meanwhile", {}, until=until, champion=champion_id)
                dataset = None
            elif not drill and self._registry.alias(name, "champion", connection=connection) != champion_id:
                decision = replace(
                    decision, decision="refused", code="champion_moved", reasons=reasons("champion_moved", {})
                )
            if dataset is not None and came.split is not None:
                store.add_dataset(
                    connection,
                    artifact_id=dataset,
                    learnable=name,
                    made_at=decision.decided_at,
                    until=until,
                    cutoff=came.split.cutoff,
                    digest=digest,
                    examples=len(examples),
                    teaching=int(came.split.teach.sum()),
                    judging=int(came.split.judge.sum()),
                )
            if decision.decision == "promoted" and not drill:
                assert decision.candidate is not None, "whoever is promoted was kept"
                self._promote(connection, decision, decision.candidate)
            else:
                self._note(connection, decision)
            if decision.decision in ("trying", "awaiting"):
                self._rollout.begin(connection, decision, self._policy)
        if decision.code == "erased_meanwhile":
            self._throw_away(made)
        return decision

    def _erased_since(
        self, before: int, learnable: Learnable, examples: Examples, until: datetime, drill: bool, seed: int
    ) -> int | None:
        """How many people were erased by now; None if one of them is in these examples."""
        with self._database.read() as connection:
            now = erasures.count(connection)
        if now == before:
            return now
        again = learnable.examples(self.reads(learnable), until, examples.background)
        again = again.shuffled(seed) if drill else again
        return now if again.digest() == examples.digest() else None

    def _throw_away(self, made: Sequence[ArtifactId]) -> None:
        """Delete what was made of somebody who is gone, unless the same was made without them before."""
        with self._database.read() as connection:
            named = store.named(connection, made)
        for artifact in set(made) - named:
            self._artifacts.delete(artifact)

    def _outcome(self, came: Turn, drill: bool) -> Outcome:
        if not came.promoted:
            return "refused"
        if came.screen:
            return "trying"
        return "awaiting" if self._policy.needs_signature and not drill else "promoted"

    def _decision(
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

    def _promote(self, connection: sa.Connection, decision: Decision, artifact_id: ArtifactId) -> None:
        facts = {"decision": decision.id, "until": decision.until.isoformat()}
        self._registry.register(connection, decision.learnable, artifact_id, facts)
        self._registry.promote(connection, decision.learnable, artifact_id, decision.reason)
        self._note(connection, decision)

    def _note(self, connection: sa.Connection, decision: Decision) -> None:
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


class _NoEvents:
    """A reader in whose world nothing has happened."""

    def read(self, names: Sequence[str], **_: Any) -> Any:
        return iter(())
