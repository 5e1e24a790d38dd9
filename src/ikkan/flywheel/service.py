"""Use cases of the wheel: install, turn, roll back, explain, replay. Gate, tables and files meet here."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import sqlalchemy as sa

from ikkan import __version__
from ikkan.flywheel import datasets, store, trials
from ikkan.flywheel.canary import REVERSIBLE, Policy
from ikkan.flywheel.contract import Budget, Examples, Fitted, Learnable, aware, parents
from ikkan.flywheel.drift import Limits
from ikkan.flywheel.gate import Champion, Contest, Terms, Turn, confirm, judge, turn
from ikkan.flywheel.rollout import Rollout
from ikkan.flywheel.scrubbing import NotedEvents, ScrubbedEvents
from ikkan.flywheel.split import Split
from ikkan.flywheel.statistics import Interval
from ikkan.flywheel.values import Decision, Explanation, Outcome, OwnCorrection, Replay, Status
from ikkan.flywheel.watch import WEEK_S, Watch
from ikkan.flywheel.words import RISKS, WAITS, reasons
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import Conflict, NotFound, UnknownLearnable
from ikkan.ground.events import SERVICE, EventReader, NewEvent
from ikkan.ground.ids import ArtifactId, DecisionId, EventId, TenantId, new_id

log = logging.getLogger(__name__)

DECIDED = "flywheel.Decided"
"""The event every decision leaves in the log, in the transaction of the decision itself."""
DRIFT_FOUND = "flywheel.DriftFound"
"""Asks for an evaluation: what is served is no longer like what was judged."""
_OWN_SHOWN = 50
_FEW_PEOPLE = 20

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
        self._budget = budget or Budget()
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
        artifact_id = self._keep(learnable, learnable.train(nothing, self._budget, 0), None, 0)
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

        Raises:
            UnknownLearnable: no app declares it.
            LeakFound: the same question would have stood on both sides; nothing was recorded.
        """
        tell = progress or (lambda fraction, message: None)
        learnable = self._learnable(name)
        tell(0.0, "reading events")
        champion_id = self.ensure_champion(name)
        if not shuffle:
            trial = self._rollout.open(name)
            looked = self._rollout.look(learnable) if trial is not None else None
            # A holdback keeps nobody waiting, unless it shows harm.
            holdback = trial is not None and trial.state == "promoted"
            if looked is not None and (not holdback or looked.decision == "rolled_back"):
                return looked
        until = aware(until or self._clock.now())
        reader = NotedEvents(self._reader(learnable))
        examples = learnable.examples(reader, until)
        tell(0.2, "training and judging")
        if shuffle:
            examples = examples.shuffled(seed)
            champion = Champion(learnable.train(examples.take([]), self._budget, seed))
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
            came = Turn(False, "already_judged")
        else:
            came = turn(
                learnable,
                examples,
                champion,
                seed=seed,
                terms=self._terms,
                attempt=attempt,
                budget=self._budget,
                screen=screen,
            )
        tell(0.8, "recording")
        return self._record(
            learnable, champion_id, champion, examples, came, until, seed, shuffle, digest, reader.asked
        )

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

    def sign(self, name: str, who: str, *, accepted: bool = True, note: str = "") -> Decision:
        """Promote the candidate that waits for a signature, or send it away.

        Args:
            who: a pseudonym or the id of a key, never a name.

        Raises:
            Conflict: nobody waits for a signature.
        """
        return self._rollout.sign(self._learnable(name), who, accepted=accepted, note=note)

    def serves(self, name: str, unit: str) -> ArtifactId | None:
        """Whose answer this person is given: the champion's, or in a trial always the same one of two."""
        return self._rollout.serves(name, unit)

    def forget(self, unit: str) -> int:
        """Take an erased person out of the evidence of every trial; says of how many rows. Decisions stay as they were.

        Call it when their events are gone, or the next look counts them again. `unit`: what outcomes call the person.
        """
        with self._database.transaction() as connection:
            return trials.forget(connection, unit)

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
            last = next(iter(store.history(connection, name, 1)), None)
        examples = learnable.examples(self._reader(learnable), self._clock.now())
        said = [at for at, teaches in zip(examples.known_at, examples.teaches, strict=True) if teaches]
        return Status(
            learnable=name,
            champion=champion,
            previous=self._registry.alias(name, "previous"),
            known_until=known_until,
            answers=len(examples),
            corrections=len(said),
            fresh=sum(known_until is None or at >= known_until for at in said),
            last=last,
            trial=self._rollout.open(name),
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
        examples = self._examples_of(decision, learnable)
        place = {id: at for at, id in enumerate(examples.ids)}
        readable = [line for line in own if line["example_id"] in place]
        asked = examples.take([place[line["example_id"]] for line in readable])
        passed = decision.decision in ("promoted", "trying", "awaiting")
        after_id = decision.candidate if passed else decision.champion
        assert after_id is not None, "whoever was promoted was kept"
        before = learnable.show(self._load(decision.champion), asked)
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
            rival = learnable.train(examples.take([]), self._budget, decision.seed)
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
            self._budget,
            decision.seed,
            bool(manifest.get("screen", False)),
        )
        refit = manifest["refit"]
        if came.promoted and refit is not None:
            came = confirm(learnable, judges, came, self._load(ArtifactId(refit)), terms)
        recorded = {"code": decision.code, **{key: decision.numbers.get(key) for key in _COMPARED}}
        again = {"code": came.code, **{key: _numbers(came).get(key) for key in _COMPARED}}
        recorded |= {"gain": decision.gain, "lower": decision.lower, "upper": decision.upper}
        again |= _bounds(came.gain)
        differences = {key: (recorded[key], again[key]) for key in recorded if not _same(recorded[key], again[key])}
        return Replay(decision, not differences and not missing, differences, missing)

    # ---- what the use cases are made of ------------------------------------------------------------------------------

    def _learnable(self, name: str) -> Learnable:
        if name not in self._learnables:
            known = ", ".join(self.names) or "none"
            raise UnknownLearnable(f"nothing called {name!r} can be learned here", hint=f"there is: {known}", name=name)
        return self._learnables[name]

    def _load(self, artifact_id: ArtifactId) -> Fitted:
        return Fitted.read(self._artifacts.get(artifact_id))

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
        champion: Champion,
        examples: Examples,
        came: Turn,
        until: datetime,
        seed: int,
        drill: bool,
        digest: str,
        query: Sequence[Mapping[str, Any]],
    ) -> Decision:
        name = learnable.name
        attempt = int(came.details.get("attempt", 1))
        judged = self._keep(learnable, came.candidate, None, seed) if came.candidate else None
        refit = self._keep(learnable, came.refit, None, seed) if came.refit else None
        dataset = None
        if came.split is not None and came.candidate is not None:
            dataset = self._keep_dataset(learnable, examples, came, refit, until, seed, drill, attempt, query)
        numbers = _numbers(came)
        if not drill:
            numbers["own_corrections"] = _own(learnable, champion, examples, came)
        bounds = _bounds(came.gain)
        decision = replace(
            self._decision(
                name,
                self._outcome(came, drill),
                came.code,
                _details(came),
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
        if decision.decision == "awaiting":
            decision = replace(decision, reasons={lang: text + WAITS[lang] for lang, text in decision.reasons.items()})
        with self._database.transaction() as connection:
            if not drill and self._registry.alias(name, "champion", connection=connection) != champion_id:
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
        return decision

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


_COMPARED = ("champion_score", "candidate_score", "refit_score", "slices", "baselines")


def _details(came: Turn) -> dict[str, Any]:
    details = dict(came.details)
    if came.gain is not None:
        details |= {
            "n": came.gain.n,
            "people": came.gain.units,
            "gain": came.gain.estimate,
            "lower": came.gain.lower,
            "upper": came.gain.upper,
            "level": 100 * (1 - float(details.get("alpha", 0.05))),
            "candidate_score": came.candidate_score,
            "refit": came.refit_score,
        }
    return details


def _numbers(came: Turn) -> dict[str, Any]:
    """Everything about a turn that is kept as JSON beside the decision."""
    if came.gain is None or came.split is None:
        return {key: value for key, value in came.details.items() if isinstance(value, int | float | str)}
    risks = ["selected_by_feedback"]
    if came.refit is not None:
        risks.append("refit_unjudged")
    if int(came.details.get("attempt", 1)) > 1:
        risks.append("many_attempts")
    if came.gain.units < _FEW_PEOPLE:
        risks.append("few_people")
    return {
        "people": came.gain.units,
        "level": 1 - float(came.details["alpha"]),
        "attempt": int(came.details["attempt"]),
        "champion_score": came.champion_score,
        "candidate_score": came.candidate_score,
        "refit_score": came.refit_score,
        "per_example": {"n": came.gain.n, **_bounds(came.per_example)},
        "slices": {contest.name: _contest(contest) for contest in came.slices},
        "baselines": {contest.name: _contest(contest) for contest in came.baselines},
        "teaching": int(came.split.teach.sum()),
        "judging": int(came.split.judge.sum()),
        "too_similar": came.split.too_similar,
        "in_between": came.split.in_between,
        "cutoff": came.split.cutoff.isoformat(),
        "risks": [
            {lang: text.format(**came.details) for lang, text in RISKS[risk].items()} | {"code": risk} for risk in risks
        ],
    }


def _contest(contest: Contest) -> dict[str, Any]:
    gain = contest.gain
    return {"score": contest.score, "n": gain.n, "people": gain.units, **_bounds(gain)}


def _bounds(gain: Interval | None) -> dict[str, float | None]:
    if gain is None:
        return {"gain": None, "lower": None, "upper": None}
    return {"gain": gain.estimate, "lower": gain.lower, "upper": gain.upper}


def _own(learnable: Learnable, champion: Champion, examples: Examples, came: Turn) -> list[dict[str, Any]]:
    """This house's own corrections that the champion had not seen: how it does on them, and how its successor does."""
    fresh = np.array(
        [champion.known_until is None or at >= champion.known_until for at in examples.known_at], dtype=np.bool_
    )
    mine = examples.take(np.flatnonzero(examples.own & examples.teaches & fresh)[-_OWN_SHOWN:])
    if not len(mine):
        return []
    before = learnable.score(champion.fitted, mine)
    after = learnable.score(came.refit, mine) if came.promoted and came.refit else before
    return [
        {"example_id": id, "before": float(then), "after": float(now)}
        for id, then, now in zip(mine.ids, before, after, strict=True)
    ]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)
