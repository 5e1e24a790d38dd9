"""Decisions looked at again: explained in this house's own corrections, and computed a second time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from ikkan.flywheel import datasets, figures, store
from ikkan.flywheel.contract import Learnable
from ikkan.flywheel.gate import Terms, confirm, judge
from ikkan.flywheel.rollout import Rollout
from ikkan.flywheel.service.shelf import Shelf
from ikkan.flywheel.split import Split
from ikkan.flywheel.values import Decision, Explanation, OwnCorrection, Replay
from ikkan.flywheel.watch import Watch
from ikkan.ground.db import Database
from ikkan.ground.errors import NotFound, UnknownArtifact
from ikkan.ground.ids import ArtifactId, DecisionId


class Recall:
    """Reads decisions back."""

    def __init__(self, database: Database, shelf: Shelf, rollout: Rollout, watch: Watch) -> None:
        self._database = database
        self._shelf = shelf
        self._rollout = rollout
        self._watch = watch

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
        learnable = self._shelf.learnable(decision.learnable)
        try:
            return self._explained(decision, decision.champion, learnable, own)
        except UnknownArtifact:  # destroyed, because somebody it learned from was erased
            return Explanation(decision, (), len(own))

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
            return self._watch.replay(decision, self._shelf.learnable(decision.learnable))
        if decision.dataset is None or decision.judged is None:
            raise NotFound(f"decision {decision_id} judged nobody", hint="only a judgement can be replayed")
        learnable = self._shelf.learnable(decision.learnable)
        dataset = datasets.read(self._shelf.artifacts, decision.dataset)
        manifest, judging, teaching = dataset.facts, dataset.judge, dataset.teach
        examples = self._shelf.examples_of(decision, learnable)
        place = {id: at for at, id in enumerate(examples.ids)}
        missing = len({id for id in (*judging, *teaching) if id not in place})
        judges = examples.take([place[id] for id in judging if id in place])
        lessons = examples.take([place[id] for id in teaching if id in place])
        terms, budget = Terms(**manifest["terms"]), datasets.budget(manifest, self._shelf.budget(learnable))
        if decision.drill:
            rival = learnable.train(examples.take([]), budget, decision.seed)
        else:
            assert decision.champion is not None, "a judgement is against a champion"
            rival = self._shelf.load(decision.champion)
        cutoff = datetime.fromisoformat(manifest["cutoff"])
        none = np.zeros(0, dtype=np.bool_)
        came = judge(
            learnable,
            judges,
            lessons,
            rival,
            self._shelf.load(decision.judged),
            Split(cutoff, none, none, 0, 0),
            terms,
            int(manifest["attempt"]),
            budget,
            decision.seed,
            bool(manifest.get("screen", False)),
        )
        refit = manifest["refit"]
        if came.promoted and refit is not None:
            came = confirm(learnable, judges, came, self._shelf.load(ArtifactId(refit)), terms)
        recorded = {"code": decision.code, **{key: decision.numbers.get(key) for key in figures.COMPARED}}
        again = {"code": came.code, **{key: figures.numbers(came).get(key) for key in figures.COMPARED}}
        recorded |= {"gain": decision.gain, "lower": decision.lower, "upper": decision.upper}
        again |= figures.bounds(came.gain)
        differences = {
            key: (recorded[key], again[key]) for key in recorded if not figures.same(recorded[key], again[key])
        }
        return Replay(decision, not differences and not missing, differences, missing)

    def _explained(
        self, decision: Decision, champion: ArtifactId, learnable: Learnable, own: Sequence[Mapping[str, Any]]
    ) -> Explanation:
        examples = self._shelf.examples_of(decision, learnable)
        place = {id: at for at, id in enumerate(examples.ids)}
        readable = [line for line in own if line["example_id"] in place]
        asked = examples.take([place[line["example_id"]] for line in readable])
        passed = decision.decision in ("promoted", "trying", "awaiting")
        after_id = decision.candidate if passed else champion
        assert after_id is not None, "whoever was promoted was kept"
        before = learnable.show(self._shelf.load(champion), asked)
        after = learnable.show(self._shelf.load(after_id), asked)
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
