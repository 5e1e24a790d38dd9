"""One turn of the wheel: what is trained, judged and kept, and what is not kept after all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from ikkan import __version__
from ikkan.flywheel import datasets, figures, store
from ikkan.flywheel.canary import Policy
from ikkan.flywheel.contract import Budget, Examples, Fitted, Learnable, Thorough, parents
from ikkan.flywheel.erasure import store as erasures
from ikkan.flywheel.gate import Champion, Terms, Turn, turn
from ikkan.flywheel.rollout import Rollout
from ikkan.flywheel.service.book import Aliases, Book
from ikkan.flywheel.service.shelf import NoEvents, Shelf
from ikkan.flywheel.values import Decision, Outcome
from ikkan.flywheel.words import WAITS, reasons
from ikkan.ground.db import Database
from ikkan.ground.ids import ArtifactId


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of training and judging, on its way to being recorded."""

    examples: Examples
    champion: Champion
    came: Turn
    digest: str
    budget: Budget


class Turning:
    """Trains a candidate, lets the gate judge, and keeps what came of it.

    Args:
        terms: of the gate.
        policy: how a candidate is tried on people, and who signs.
    """

    def __init__(
        self,
        database: Database,
        registry: Aliases,
        shelf: Shelf,
        book: Book,
        rollout: Rollout,
        terms: Terms,
        policy: Policy,
    ) -> None:
        self._database = database
        self._registry = registry
        self._shelf = shelf
        self._book = book
        self._rollout = rollout
        self._terms = terms
        self._policy = policy

    def judged(
        self,
        learnable: Learnable,
        examples: Examples,
        champion_id: ArtifactId,
        seed: int,
        shuffle: bool,
        thorough: bool,
    ) -> Judged:
        """Train a candidate and judge it, unless this very evidence was judged before."""
        name, budget = learnable.name, self._shelf.budget(learnable, thorough=thorough)
        if shuffle:
            examples = examples.shuffled(seed)
            champion = Champion(learnable.train(examples.take([]), budget, seed))
            attempt, digest, known_already = 1, examples.digest(), False
        else:
            with self._database.read() as connection:
                known_until = store.known_until(connection, name, champion_id)
                before = store.judgements(connection, name, champion_id)
            champion = Champion(self._shelf.load(champion_id), known_until)
            attempt, digest = len(before) + 1, examples.digest()
            known_already = digest in before
        screen = not shuffle and learnable.outcome(NoEvents(), champion_id).kept
        if known_already:
            return Judged(examples, champion, Turn(False, "already_judged"), digest, budget)
        came = turn(
            learnable,
            examples,
            champion,
            seed=seed,
            terms=self._terms,
            attempt=attempt,
            budget=budget,
            screen=screen,
        )
        return Judged(examples, champion, came, digest, budget)

    def record(
        self,
        learnable: Learnable,
        champion_id: ArtifactId,
        judged_now: Judged,
        until: datetime,
        seed: int,
        drill: bool,
        query: Sequence[Mapping[str, Any]],
        erased: int | None,
    ) -> Decision:
        """Keep what was made, and write the decision about it.

        Args:
            query: what the learnable asked of the event log.
            erased: how many people were erased by now; None if somebody in these examples was.
        """
        name = learnable.name
        champion, examples = judged_now.champion, judged_now.examples
        came, digest = judged_now.came, judged_now.digest
        if erased is None:  # nothing of somebody who is gone by now may be kept
            came = Turn(False, "erased_meanwhile")
        attempt = int(came.details.get("attempt", 1))
        judged = self.keep(learnable, came.candidate, None, seed) if came.candidate else None
        refit = self.keep(learnable, came.refit, None, seed) if came.refit else None
        dataset = None
        if came.split is not None and came.candidate is not None:
            dataset = self._keep_dataset(learnable, judged_now, came, refit, until, seed, drill, attempt, query)
        numbers = figures.numbers(came)
        if came.candidate is not None and isinstance(learnable, Thorough):
            numbers["budget_s"] = judged_now.budget.seconds
        if not drill:
            numbers["own_corrections"] = figures.own_corrections(learnable, champion, examples, came)
        bounds = figures.bounds(came.gain)
        decision = replace(
            self._book.draft(
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
                decision = self._book.draft(name, "refused", "erased_meanwhile", {}, until=until, champion=champion_id)
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
                self._book.promote(connection, decision, decision.candidate)
            else:
                self._book.note(connection, decision)
            if decision.decision in ("trying", "awaiting"):
                self._rollout.begin(connection, decision, self._policy)
        if decision.code == "erased_meanwhile":
            self._throw_away(made)
        return decision

    def erased_since(
        self, before: int, learnable: Learnable, examples: Examples, until: datetime, drill: bool, seed: int
    ) -> int | None:
        """How many people were erased by now; None if one of them is in these examples."""
        with self._database.read() as connection:
            now = erasures.count(connection)
        if now == before:
            return now
        again = learnable.examples(self._shelf.reader(learnable), until, examples.background)
        again = again.shuffled(seed) if drill else again
        return now if again.digest() == examples.digest() else None

    def keep(self, learnable: Learnable, fitted: Fitted, dataset: ArtifactId | None, seed: int) -> ArtifactId:
        """Put what was learned into the store of artifacts."""
        artifact = self._shelf.artifacts.put(
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
        judged: Judged,
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
        examples = judged.examples
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
            "scrubbed": self._shelf.scrub,
            "code_version": __version__,
            "digest": examples.digest(),
            "terms": {name: getattr(self._terms, name) for name in self._terms.__slots__},
            "refit": refit,
            "budget": asdict(judged.budget),
        }
        rows = datasets.Rows.of(examples, came.split.groups)
        return datasets.write(
            self._shelf.artifacts,
            rows,
            datasets.sides(came.split),
            facts,
            background=examples.background,
            source=f"flywheel {learnable.name}",
        ).id

    def _throw_away(self, made: Sequence[ArtifactId]) -> None:
        """Delete what was made of somebody who is gone, unless the same was made without them before."""
        with self._database.read() as connection:
            named = store.named(connection, made)
        for artifact in set(made) - named:
            self._shelf.artifacts.delete(artifact)

    def _outcome(self, came: Turn, drill: bool) -> Outcome:
        if not came.promoted:
            return "refused"
        if came.screen:
            return "trying"
        return "awaiting" if self._policy.needs_signature and not drill else "promoted"
