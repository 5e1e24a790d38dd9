"""Making a model again without a person: the dataset without them, the same recipe, budget and seed, from the base.

Exact, because training always starts from the base and is a function of examples, budget and seed: what comes out is,
byte for byte, what would have come out had the person never been there. (Unlearning by retraining; Bourtoule et al.,
"Machine Unlearning", 2021, call it the exact kind.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np

from ikkan import __version__
from ikkan.flywheel import datasets, stops
from ikkan.flywheel.contract import Budget, Examples, Fitted, Learnable, parents
from ikkan.flywheel.gate import Terms
from ikkan.flywheel.lineage import Origin
from ikkan.flywheel.outcomes import Between
from ikkan.flywheel.statistics import Interval, paired_gain
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.errors import SetupNeeded, UnknownArtifact
from ikkan.ground.events import EventReader
from ikkan.ground.ids import ArtifactId

log = logging.getLogger(__name__)

Reads: TypeAlias = Callable[[Learnable], EventReader]
"""What a learnable is given to read: the same as when it learned."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A model that was made again, and how it does beside the one before."""

    learnable: str
    old: ArtifactId
    new: ArtifactId
    code: str
    """`rebuilt`, `rebuilt_same`, `rebuilt_worse`, `rebuilt_unsure` or `rebuilt_as_base`."""
    dataset: ArtifactId
    """The one before, with the person."""
    without: ArtifactId | None
    """The one without; None where the base serves."""
    digest: str
    until: str
    seed: int
    gone: int
    """Examples of the dataset that nobody may read any more."""
    left: int
    """Lessons that are left."""
    n: int
    people: int
    gain: float
    lower: float
    upper: float
    why: str = ""
    """Why it could not be made again: a code of `stops.py`."""

    @property
    def fit_to_try(self) -> bool:
        """Whether it may go on being tried on people."""
        return self.code in ("rebuilt", "rebuilt_same", "rebuilt_unsure")

    def as_json(self) -> dict[str, Any]:
        """For keeping."""
        return asdict(self)


class Rebuilder:
    """Makes models again, of one house."""

    def __init__(self, reads: Reads, artifacts: ArtifactStore, budget: Budget, terms: Terms) -> None:
        self._reads = reads
        self._artifacts = artifacts
        self._budget = budget
        self._terms = terms

    def rebuild(self, learnable: Learnable, origin: Origin, old: ArtifactId, now: datetime) -> Rebuilt:
        """Make `old` again from what may still be read of its dataset. The same again gives the same ids.

        Raises:
            UnknownArtifact: the dataset was destroyed meanwhile.
        """
        before = datasets.read(self._artifacts, origin.dataset)
        manifest = before.facts
        examples = self._left(learnable, before)
        place = {id: at for at, id in enumerate(examples.ids)}
        teaching = [id for id in before.teach if id in place and examples.teaches[place[id]]]
        judging = [id for id in before.judge if id in place]
        role = manifest.get("role", origin.role)
        if role == "refit":
            lessons = examples.take(examples.teaches)
        else:
            lessons = examples.take([place[id] for id in teaching])
        seed, why = int(manifest["seed"]), ""
        fitted = None
        if len(lessons):
            try:
                fitted = learnable.train(lessons, datasets.budget(manifest, self._budget), seed)
            except stops.CAUGHT as error:
                why, _ = stops.why(error)
                if why in ("disk_full", "out_of_memory") or isinstance(error, SetupNeeded):
                    raise  # mended, it goes on
                # Training that cannot be done without the person must not keep the person in.
                log.warning("not made again without a person", extra={"learnable": learnable.name, "why": why})
        is_base = fitted is None
        if fitted is None:
            base = learnable.examples(Between(self._reads(learnable), now, now), now)
            fitted, seed = learnable.train(base, self._budget, 0), 0
        new = self._artifacts.put(
            fitted.files,
            kind=fitted.kind,
            source=f"flywheel {learnable.name}",
            built_from=parents(fitted),
            facts={**fitted.facts, "seed": seed, "code_version": __version__},
        ).id
        without = None
        if not is_base:
            # Whatever part of it taught, this is what the dataset makes.
            told = {**manifest, "digest": examples.digest(), "refit": new, "role": role}
            without = self._keep_dataset(learnable, told, examples, frozenset(teaching), frozenset(judging))
        judges = examples.take([place[id] for id in judging])
        gain = self._compared(learnable, old, fitted, judges)
        if is_base:
            code = "rebuilt_as_base"
        else:
            code = "rebuilt_same" if new == old else self._judged(learnable, gain)
        return Rebuilt(
            learnable=learnable.name,
            old=old,
            new=new,
            code=code,
            dataset=origin.dataset,
            without=without,
            digest=examples.digest(),
            until=str(manifest["until"]),
            seed=seed,
            gone=len(before.ids) - len(examples),
            left=0 if is_base else len(lessons),
            n=gain.n,
            people=gain.units,
            gain=gain.estimate,
            lower=gain.lower,
            upper=gain.upper,
            why=why,
        )

    def _left(self, learnable: Learnable, before: datasets.Dataset) -> Examples:
        """The dataset's examples that may still be read. Nothing is added."""
        until = datetime.fromisoformat(before.facts["until"])
        found = learnable.examples(self._reads(learnable), until, before.background)
        had = frozenset(before.ids)
        examples = found.take([at for at, id in enumerate(found.ids) if id in had])
        return examples.shuffled(int(before.facts["seed"])) if before.facts["shuffled"] else examples

    def _keep_dataset(
        self,
        learnable: Learnable,
        told: Mapping[str, Any],
        examples: Examples,
        teaching: frozenset[str],
        judging: frozenset[str],
    ) -> ArtifactId:
        sides = [1 if id in teaching else 2 if id in judging else 0 for id in examples.ids]
        return datasets.write(
            self._artifacts,
            datasets.Rows.of(examples),
            np.array(sides, dtype=np.int8),
            # What an earlier format kept here stands in rows now.
            {key: value for key, value in told.items() if key not in ("events", "teaching", "judging")},
            background=examples.background,
            source=f"flywheel {learnable.name}",
        ).id

    def _compared(self, learnable: Learnable, old: ArtifactId, new: Fitted, judges: Examples) -> Interval:
        """The gain over the model before on the judging questions that are left. Both have seen them alike."""
        metric = learnable.metric
        try:
            before = Fitted.read(self._artifacts.get(old))
        except UnknownArtifact:
            judges = judges.take([])  # a file that is gone already: nothing can be said
            before = new
        return paired_gain(
            learnable.score(new, judges),
            learnable.score(before, judges),
            judges.unit_ids,
            alpha=self._terms.alpha,
            low=metric.low,
            high=metric.high,
            higher_is_better=metric.direction == "higher",
        )

    def _judged(self, learnable: Learnable, gain: Interval) -> str:
        if gain.upper < 0:
            return "rebuilt_worse"
        margin = self._terms.margin * (learnable.metric.high - learnable.metric.low)
        return "rebuilt" if gain.lower > -margin else "rebuilt_unsure"
