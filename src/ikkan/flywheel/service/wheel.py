"""The use cases of the wheel: install, turn, roll back, try on people, look, explain. Begin at `Flywheel.run`."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from ikkan.flywheel import forced, schedule, stops, store, trials
from ikkan.flywheel.canary import REVERSIBLE, Policy, Trial
from ikkan.flywheel.contract import Budget, Fitted, Given, Learnable, Patient, Remarks, Thorough, aware
from ikkan.flywheel.drift import Limits
from ikkan.flywheel.erasure import store as erasures
from ikkan.flywheel.gate import Terms
from ikkan.flywheel.rollout import Rollout
from ikkan.flywheel.scrubbing import NotedEvents
from ikkan.flywheel.service.book import Aliases, Book, EventBook
from ikkan.flywheel.service.recall import Recall
from ikkan.flywheel.service.shelf import NoEvents, Shelf
from ikkan.flywheel.service.turning import Turning
from ikkan.flywheel.values import ENOUGH, Decision, Explanation, Replay, Status
from ikkan.flywheel.watch import WEEK_S, Watch
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, Conflict, DatabaseUnready, WheelStopped
from ikkan.ground.events import EventReader
from ikkan.ground.ids import ArtifactId, DecisionId, TenantId

log = logging.getLogger(__name__)

_HISTORY = 200
_THOROUGH_EVERY_S = 86_400.0

Progress = Callable[[float, str], None]


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
        self._registry = registry
        self._clock = clock
        self._policy = policy
        self._shelf = Shelf({learnable.name: learnable for learnable in learnables}, events, artifacts, scrub, budget)
        self._book = Book(registry, clock, log, tenant_id)
        self._rollout = Rollout(database, events, registry, clock, self._book.note, salts)
        self._watch = Watch(database, events, clock, self._book.note)
        self._turning = Turning(database, registry, self._shelf, self._book, self._rollout, terms or Terms(), policy)
        self._recall = Recall(database, self._shelf, self._rollout, self._watch)

    @property
    def names(self) -> list[str]:
        """What can be learned here."""
        return self._shelf.names

    def ensure_champion(self, name: str, *, refresh: bool = False) -> ArtifactId:
        """The champion, which is installed first if there is none: from the base, without any examples.

        Args:
            refresh: install again if the champion has not learned from any example and what it would be built from
                has changed, because the company came to know more.
        """
        learnable = self._shelf.learnable(name)
        champion = self._registry.alias(name, "champion")
        if champion is not None:
            with self._database.read() as connection:
                has_learned = store.known_until(connection, name, champion) is not None
            if has_learned or not refresh:
                return champion
        now = self._clock.now()
        nothing = learnable.examples(NoEvents(), now)
        artifact_id = self._turning.keep(learnable, learnable.train(nothing, self._shelf.budget(learnable), 0), None, 0)
        if artifact_id == champion:
            return champion
        decision = self._book.draft(
            name, "installed", "installed", {}, until=now, champion=champion, candidate=artifact_id
        )
        with self._database.transaction() as connection:
            already = self._registry.alias(name, "champion", connection=connection)
            if already != champion:
                assert already is not None, "a champion is never taken away"
                return already
            self._book.promote(connection, decision, artifact_id)
        return artifact_id

    def champion(self, name: str) -> Fitted:
        """What serves now; installed first if nothing does."""
        return self._shelf.load(self.ensure_champion(name))

    def run(
        self,
        name: str,
        *,
        seed: int = 0,
        until: datetime | None = None,
        shuffle: bool = False,
        thorough: bool = False,
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
            thorough: take the time that a learnable asks for once a day (`contract.Thorough`), whenever that was last.
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
        learnable = self._shelf.learnable(name)
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
            reader = NotedEvents(self._shelf.reader(learnable))
            examples = learnable.examples(reader, until)
            stage = "judging"
            tell(0.2, "training and judging")
            judged = self._turning.judged(
                learnable, examples, champion_id, seed, shuffle, not shuffle and (thorough or self._is_owed(learnable))
            )
            tell(0.8, "recording")
            stage = "recording"
            erased_now = self._turning.erased_since(erased, learnable, judged.examples, until, shuffle, seed)
            return self._turning.record(learnable, champion_id, judged, until, seed, shuffle, reader.asked, erased_now)
        except stops.LET_THROUGH:
            raise
        except stops.CAUGHT as error:
            code, details = stops.why(error, stage)
            if stage == "recording" and code != "disk_full":
                raise
            log.error(
                "a turn of the wheel broke off", extra={"learnable": name, "code": code, "where": stops.where(error)}
            )
            decision = self._book.draft(name, "refused", code, details, until=until, champion=champion_id)
            decision = replace(decision, seed=seed, numbers=details, drill=shuffle)
            try:
                with self._database.transaction() as connection:
                    self._book.note(connection, decision)
            except DatabaseUnready as failed:
                # A disk that has no room for an artifact may have none for the decision either.
                raise WheelStopped(decision.reason, hint="mend it, then turn the wheel again", why=code) from failed
            return decision

    def _is_owed(self, learnable: Learnable) -> bool:
        """Whether it has not been given the time it asks for once a day since yesterday."""
        if not isinstance(learnable, Thorough):
            return False
        with self._database.read() as connection:
            history = store.history(connection, learnable.name, _HISTORY)
        since = self._clock.now() - timedelta(seconds=_THOROUGH_EVERY_S)
        return not any(
            each.decided_at > since and each.numbers.get("budget_s", 0.0) >= learnable.thorough.seconds
            for each in history
        )

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
        self._shelf.learnable(name)
        because = forced.checked_reason(reason)
        with self._database.read() as connection:
            history = store.history(connection, name, 10_000)
        artifact_id = forced.resolve(artifact, forced.known(history))
        champion = self.ensure_champion(name)
        if artifact_id == champion:
            raise Conflict(f"{artifact_id} serves already", hint="ikkan flywheel status LEARNABLE")
        kinds = [self._shelf.artifacts.get(each).kind for each in (champion, artifact_id)]
        if kinds[0] != kinds[1]:
            raise BadInput(f"{artifact_id} is a {kinds[1]}, no {kinds[0]}", hint="choose one that was judged for this")
        trial = self._rollout.open(name)
        if trial is not None and trial.state != "promoted":
            self._rollout.withdraw(trial, because)
        details = {"who": who, "because": because}
        until = forced.learned_until(artifact_id, history)
        decision = self._book.draft(
            name, "promoted", "forced", details, until=until, champion=champion, candidate=artifact_id
        )
        decision = replace(decision, numbers={"forced": True, "forced_by": who, "forced_because": because})
        with self._database.transaction() as connection:
            if self._registry.alias(name, "champion", connection=connection) != champion:
                raise Conflict(f"the champion of {name} moved meanwhile", hint="look again", learnable=name)
            self._book.promote(connection, decision, artifact_id)
        return decision

    def rollback(self, name: str, reason: str = "") -> Decision:
        """Put the previous champion back in one transaction; it answers the next request.

        Raises:
            Conflict: there is nobody to go back to.

        If a candidate is being tried on people, it is the one that goes.
        """
        self._shelf.learnable(name)
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
        decision = self._book.draft(
            name, "rolled_back", "rolled_back", because, until=now, champion=champion, candidate=previous
        )
        with self._database.transaction() as connection:
            self._registry.rollback(connection, name, reason)
            self._book.note(connection, decision)
        return decision

    def look(self, name: str) -> Decision | None:
        """How the trial of a candidate stands, after counting whose outcome is new; None if nobody is being tried.

        Raises:
            Conflict: another look was faster; look again.
        """
        return self._rollout.look(self._shelf.learnable(name))

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
        learnable = self._shelf.learnable(name)
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
        self._shelf.learnable(name)
        return self._rollout.looks(name)

    def forget(self, unit: str) -> int:
        """Take an erased person out of the evidence of every trial; says of how many rows. Decisions stay as they were.

        Call it when their events are gone, or the next look counts them again. `unit`: what outcomes call the person.
        """
        with self._database.transaction() as connection:
            return trials.forget(connection, unit)

    def reads(self, learnable: Learnable) -> EventReader:
        """What a learnable is given to read."""
        return self._shelf.reader(learnable)

    def record(self, connection: sa.Connection, decision: Decision) -> None:
        """Keep a decision that no turn made, such as an erasure's, and tell the event log, in one transaction."""
        self._book.note(connection, decision)

    def watch(self, name: str, *, span_s: float = WEEK_S, limits: Limits | None = None) -> Decision | None:
        """Whether what is served has drifted since the champion began; a drift asks for a turn and switches nothing.

        None: nothing has, or it cannot be said (no champion, nothing to watch, not served for two stretches yet).
        """
        learnable = self._shelf.learnable(name)
        champion = self._registry.alias(name, "champion")
        return self._watch.look(learnable, champion, span_s=span_s, limits=limits) if champion else None

    def asks_for_turn(self, name: str) -> bool:
        """Whether drift was found since the wheel was last turned."""
        self._shelf.learnable(name)
        return self._watch.asks_for_turn(name)

    def status(self, name: str) -> Status:
        """Who serves, what it has learned from, and what has come in since."""
        learnable = self._shelf.learnable(name)
        champion = self._registry.alias(name, "champion")
        with self._database.read() as connection:
            known_until = store.known_until(connection, name, champion) if champion else None
            history = store.history(connection, name, _HISTORY)
            next_look = schedule.next_look(connection, name)
        examples = learnable.examples(self._shelf.reader(learnable), self._clock.now())
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
            enough=learnable.enough if isinstance(learnable, Patient) else ENOUGH,
            drift=next((each for each in history if each.code == "drifted" and each.champion == champion), None),
            wants_turn=self._watch.asks_for_turn(name),
            next_look=next_look,
            policy=self._policy.name,
            remark=learnable.remark() if isinstance(learnable, Remarks) else {},
            yen_per_success=self._watch.yen_per_success(learnable, champion),
        )

    def history(self, name: str, limit: int = 50) -> list[Decision]:
        """The latest decisions, newest first."""
        self._shelf.learnable(name)
        with self._database.read() as connection:
            return store.history(connection, name, limit)

    def decision(self, decision_id: DecisionId) -> Decision:
        """One decision.

        Raises:
            NotFound: there is none of this id.
        """
        return self._recall.decision(decision_id)

    def explain(self, decision_id: DecisionId) -> Explanation:
        """A decision, with this house's own corrections before and after it in words, read from the log again."""
        return self._recall.explain(decision_id)

    def replay(self, decision_id: DecisionId) -> Replay:
        """Compute a decision again from the stored artifacts and the event log, and compare every number.

        Raises:
            NotFound: no such decision, or one that judged nobody.
            UnknownArtifact: an artifact it rests on was deleted.
        """
        return self._recall.replay(decision_id)
