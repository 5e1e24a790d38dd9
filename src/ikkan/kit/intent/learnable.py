"""What an app learns with a ladder: what a text wants, or "ask someone who knows".

Each app says where its labels come from, by completing `IntentLearnable`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from ikkan.flywheel.contract import NO_OUTCOMES, Budget, Examples, Fitted, Metric, Outcomes, Scores, Shown
from ikkan.flywheel.contract import Recipe as Trivial
from ikkan.ground.errors import SetupNeeded
from ikkan.ground.events import EventReader
from ikkan.ground.ids import TenantId
from ikkan.kit.intent.fit import BOTTOM, EXAMPLES_A_SECOND, Recipe, fit
from ikkan.kit.intent.labels import Labelled, agreed, as_examples, read_labelled
from ikkan.kit.intent.ladder import Asked, Float32, Ladder, Readings
from ikkan.kit.intent.report import report
from ikkan.kit.intent.world import IntentWorld, Remembering
from ikkan.kit.taught import Embed


class IntentLearnable:
    """Learns what people want of what they write. Implements `ikkan.flywheel.contract.Learnable`.

    Every text gets its likeliest intent, and that is what is scored; whether somebody was sure enough to act on it is
    reported apart (`report.py`), because a gate that pays for silence gets silence.

    A subclass names itself and its artifacts, reads its own events, and makes the texts of a world without a file.

    Args:
        tenant_id: whose events to learn from; None: everyone's.
        embed: texts to unit vectors, or None: then spelling alone decides. Given, it must be the same function whenever
            artifacts are used.
        above: rungs above the bottom ones, cheapest first. One learns where the budget has the time for it.
        yen_an_hour: what the machine costs under load, for reports; `Settings.yen_an_hour`.
    """

    name: str
    kind: str
    """Of its artifacts; those of its baseline end in `-constant`."""
    metric = Metric(
        name="share_right",
        title={"ja": "意図の正解率 (保留なし)", "en": "share of intents read rightly, none deferred"},
    )
    budget = Budget(seconds=600.0)
    """Enough that some ten thousand texts teach every rung; fewer take less."""

    def __init__(
        self,
        *,
        tenant_id: TenantId | None = None,
        embed: Embed | None = None,
        above: Sequence[Recipe] = (),
        yen_an_hour: float = 0.0,
    ) -> None:
        self.tenant_id = tenant_id
        self._embed = embed
        self._yen_an_hour = yen_an_hour
        self._recipes = (*BOTTOM, *above)
        self._loaded: tuple[Fitted, Ladder] | None = None
        self._seen: dict[tuple[str, ...], Asked] = {}

    def examples(self, events: EventReader, until: datetime, background: Mapping[str, bytes] | None = None) -> Examples:
        """Texts written before `until`, with the intents they turned out to mean."""
        raise NotImplementedError

    def made(self) -> Sequence[Labelled]:
        """Texts for a world without a file."""
        raise NotImplementedError

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """Fit every rung from nothing but these examples; the seed draws the folds that temperatures come from."""
        return self._fit(examples, budget, seed, self._recipes)

    def score(self, fitted: Fitted, examples: Examples) -> Scores:
        """1 where the likeliest intent is the right one, else 0; where none is known, 0."""
        said = self.likeliest(fitted, examples.inputs)
        right = [reply == meant.intent for reply, meant in zip(said, examples.truths, strict=True)]
        return np.array(right, dtype=np.float64)

    def show(self, fitted: Fitted, examples: Examples) -> Sequence[Shown]:
        """Text, intent and right intent; no intent where the ladder defers."""
        said = list[str | None](self.likeliest(fitted, examples.inputs))
        if fitted.kind == self.kind:
            ladder = self.ladder(fitted)
            sure = self.read(fitted, examples.inputs).answered(len(ladder.steps))
            said = [reply if is_sure else None for reply, is_sure in zip(said, sure.tolist(), strict=True)]
        rows = zip(examples.inputs, said, examples.truths, strict=True)
        return [Shown(text, reply or None, meant.intent) for text, reply, meant in rows]

    def outcome(self, events: EventReader, arm: str) -> Outcomes:
        """None: no page shows an intent that somebody could contradict, so silence would say nothing of it."""
        return NO_OUTCOMES

    def baselines(self) -> Mapping[str, Trivial]:
        """Say the most frequent intent to everything. The bottom rung alone is not trivial: it is this ladder's own,
        and it learns from the same people, so that to ask for proof against it would stop the wheel.
        """
        return {"majority": self._majority}

    def nearest(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """The bottom rung alone: say what the most alike examples meant."""
        return self._fit(examples, budget, seed, BOTTOM[:1])

    def labelled(self, path: Path) -> Examples:
        """The rows of a CSV file with the columns `text` and `category`. See `proof.ReadsFiles`."""
        return as_examples(read_labelled(path))

    def measured(self, fitted: Fitted, examples: Examples) -> Mapping[str, float]:
        """Accuracy with nothing deferred, what is answered at the chosen levels, and what could be at 97 %; by rung,
        which share it answers and what a right answer of its own costs, where it gave any.
        """
        found = report(self, fitted, examples, yen_an_hour=self._yen_an_hour)
        shares = {f"{rung.name}_answers": rung.answered / max(found.texts, 1) for rung in found.rungs}
        costs = {f"{rung.name}_yen_per_success": rung.yen_per_success for rung in found.rungs}
        return {
            "accuracy": found.accuracy,
            "coverage_at_97": found.coverage_at_97,
            "coverage": found.coverage,
            "accuracy_answered": found.accuracy_answered,
            **shares,
            **{name: yen for name, yen in costs.items() if yen is not None},
        }

    def world(self, data: Path | None, *, quick: bool = False) -> IntentWorld:
        """Where it can be proved that people's labels teach. See `proof.Provable`."""
        embed = Remembering(self._embed) if self._embed else None
        alone = type(self)(embed=embed, above=self._recipes[len(BOTTOM) :])
        return IntentWorld(alone, data, self.made, quick=quick)

    @property
    def has_embedder(self) -> bool:
        """Whether meaning is read as well as spelling."""
        return self._embed is not None

    @property
    def rungs(self) -> tuple[str, ...]:
        """The ladder's rungs, cheapest first."""
        return tuple(recipe.name for recipe in self._recipes)

    def likeliest(self, fitted: Fitted, texts: Sequence[str]) -> list[str]:
        """The likeliest intent of each text; empty where none is known."""
        if fitted.kind == f"{self.kind}-constant":
            return [json.loads(fitted.files["constant.json"])] * len(texts)
        ladder, read = self.ladder(fitted), self.read(fitted, texts)
        return [ladder.intents[at] if at >= 0 else "" for at in read.intent.tolist()]

    def read(self, fitted: Fitted, texts: Sequence[str]) -> Readings:
        """What these texts want, and how surely.

        Raises:
            SetupNeeded: it learned from embeddings of another kind than are made here.
        """
        ladder, asked = self.ladder(fitted), self.asked(texts)
        if ladder.steps and texts and ladder.width != asked.vectors.shape[1]:
            raise SetupNeeded(
                f"{self.name} learned from embeddings of width {ladder.width}; here they have {asked.vectors.shape[1]}",
                hint="put the embedding model back that it learned with, or train again",
            )
        return ladder.read(asked)

    def ladder(self, fitted: Fitted) -> Ladder:
        """The ladder in an artifact.

        Raises:
            SetupNeeded: it has a rung that cannot be read here.
        """
        loaded = self._loaded  # a page and a turn may ask at the same time
        if loaded is None or loaded[0] is not fitted:
            loads = {recipe.name: recipe.load for recipe in self._recipes}
            if strange := [name for name in fitted.facts.get("rungs", ()) if name not in loads]:
                raise SetupNeeded(
                    f"{self.name} learned a rung {strange[0]!r} that nothing here can read",
                    hint="pull the embedding model that it learned with, or train again",
                )
            loaded = self._loaded = (fitted, Ladder.load(fitted.files, loads))
        return loaded[1]

    def asked(self, texts: Sequence[str]) -> Asked:
        """Texts with their embeddings. The two latest lists are remembered: a gate asks all contestants the same."""
        key = tuple(texts)
        if key not in self._seen:
            vectors: Float32 = np.zeros((len(key), 0), dtype=np.float32)
            if self._embed is not None and key:
                vectors = np.asarray(self._embed(key), dtype=np.float32)
            self._seen = dict([*self._seen.items(), (key, Asked(key, vectors))][-2:])
        return self._seen[key]

    def _fit(self, examples: Examples, budget: Budget, seed: int, recipes: Sequence[Recipe]) -> Fitted:
        most = min(budget.examples, int(budget.seconds * EXAMPLES_A_SECOND))
        taught = agreed(examples)
        latest = taught.take(np.arange(max(0, len(taught) - most), len(taught)))
        chosen = self._in_time(recipes, len(latest), budget)
        ladder = fit(self.asked(latest.inputs), [meant.intent for meant in latest.truths], seed, recipes=chosen)
        facts = {"lessons": len(latest), "intents": len(ladder.intents), "rungs": [step.name for step in ladder.steps]}
        return Fitted(self.kind, ladder.files(), facts)

    def _in_time(self, recipes: Sequence[Recipe], n: int, budget: Budget) -> list[Recipe]:
        """The bottom rungs, whose share of the examples was chosen for it, and those above that there is time for."""
        chosen, left = list(recipes[: len(BOTTOM)]), budget.seconds - n / EXAMPLES_A_SECOND
        for recipe in recipes[len(BOTTOM) :]:
            if recipe.seconds(n) <= left:
                chosen.append(recipe)
                left -= recipe.seconds(n)
        return chosen

    def _majority(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        named = Counter(meant.intent for meant in agreed(examples).truths)
        most = min(named, key=lambda intent: (-named[intent], intent)) if named else ""
        return Fitted(f"{self.kind}-constant", {"constant.json": json.dumps(most, ensure_ascii=False).encode()})
