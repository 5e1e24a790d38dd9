"""Lineage: from a person to the events about them, the datasets that hold one, the models taught by those, and on.

Everything needed is in what a turn leaves behind (ids only, so it still works when nobody can open the person's
events): a dataset lists the events of each example, a decision names its dataset and the model it judged, the dataset
names the refit, and an artifact names its parents. A model whose very bytes also come from a dataset without the
person, or from no examples at all, is not tainted: the person left no trace in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ikkan.flywheel import datasets
from ikkan.flywheel.values import Decision
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.errors import UnknownArtifact
from ikkan.ground.ids import ArtifactId

Role = Literal["candidate", "refit"]
"""Taught by the lessons before the cut-off, or by every lesson of the dataset."""


@dataclass(frozen=True, slots=True)
class Origin:
    """How a model came to be: what it takes to make it again."""

    learnable: str
    dataset: ArtifactId
    role: Role


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a person is in."""

    datasets: Mapping[ArtifactId, int]
    """Those that hold an event about them, and of how many examples."""
    artifacts: tuple[ArtifactId, ...]
    """Models that learned from them, and whatever was built from one; parents first."""
    origins: Mapping[ArtifactId, Origin]
    """How each was made; one that no turn made has none."""
    parents: Mapping[ArtifactId, tuple[ArtifactId, ...]]
    """Among the tainted: what each was built from."""

    def __bool__(self) -> bool:
        return bool(self.datasets or self.artifacts)


def trace(
    decisions: Iterable[Decision],
    artifacts: ArtifactStore,
    events: Collection[str],
    *,
    freed: Collection[ArtifactId] = (),
) -> Lineage:
    """What these events have reached.

    Args:
        decisions: all there are, oldest first.
        events: ids of the events about a person.
        freed: models that were made again without the person, whatever their manifests say of their parents.
    """
    about = frozenset(events)
    held: dict[ArtifactId, int] = {}
    refits: dict[ArtifactId, ArtifactId | None] = {}
    found: dict[ArtifactId, tuple[int, Origin]] = {}
    clean: set[ArtifactId] = set(freed)
    taught: set[ArtifactId] = set()
    for decision in decisions:
        if decision.decision == "installed" and decision.candidate is not None:
            clean.add(decision.candidate)  # from no examples at all
        dataset = decision.dataset
        if dataset is None:
            continue
        if dataset not in refits:
            try:
                kept = datasets.read(artifacts, dataset)
            except UnknownArtifact:
                continue  # destroyed by an earlier erasure, with everything that it taught
            refits[dataset] = kept.facts["refit"]
            held[dataset] = sum(not about.isdisjoint(evidence) for evidence in kept.events_of)
        made: list[tuple[ArtifactId | None, Role]] = [(decision.judged, "candidate"), (refits[dataset], "refit")]
        for artifact, role in made:
            if artifact is None:
                continue
            (taught if held[dataset] else clean).add(artifact)
            rank = (
                0 if decision.drill else 2 if decision.candidate == artifact and decision.decision != "refused" else 1
            )
            if artifact not in found or rank >= found[artifact][0]:
                found[artifact] = (rank, Origin(decision.learnable, dataset, role))
    hit = {dataset: examples for dataset, examples in held.items() if examples}
    parents = _descend(artifacts, taught - clean, set(hit), set(freed))
    return Lineage(
        datasets=hit,
        artifacts=_parents_first(parents),
        origins={artifact: origin for artifact, (_, origin) in found.items() if artifact in parents},
        parents=parents,
    )


def _descend(
    artifacts: ArtifactStore, tainted: set[ArtifactId], datasets: set[ArtifactId], freed: set[ArtifactId]
) -> dict[ArtifactId, tuple[ArtifactId, ...]]:
    """The tainted and all their descendants, each with its tainted parents."""
    built = {artifact.id: artifact.manifest.built_from for artifact in artifacts.list()}
    reached = set(tainted)
    while True:
        bad = reached | datasets
        further = {id for id, parents in built.items() if not bad.isdisjoint(parents)} - bad - freed
        if not further:
            return {id: tuple(parent for parent in built.get(id, ()) if parent in reached) for id in sorted(reached)}
        reached |= further


def _parents_first(parents: Mapping[ArtifactId, tuple[ArtifactId, ...]]) -> tuple[ArtifactId, ...]:
    ordered: dict[ArtifactId, None] = {}

    def visit(artifact: ArtifactId) -> None:
        for parent in parents[artifact]:
            visit(parent)
        ordered.setdefault(artifact)

    for artifact in parents:
        visit(artifact)
    return tuple(ordered)


def orphans(
    decisions: Iterable[Decision], artifacts: ArtifactStore, learnables: Collection[str], before: datetime
) -> list[ArtifactId]:
    """What turns left behind that were killed before they were recorded: no decision says who is in it.

    Args:
        before: only what was kept earlier than that.
    """
    known: set[ArtifactId | None] = set()
    for decision in decisions:
        known |= {decision.candidate, decision.judged, decision.champion, decision.dataset}
        if decision.dataset is not None:
            try:
                known.add(datasets.facts(artifacts, decision.dataset)["refit"])
            except UnknownArtifact:
                continue
    sources = {f"flywheel {name}" for name in learnables}
    return [
        artifact.id
        for artifact in artifacts.list()
        if artifact.manifest.source in sources
        and artifact.id not in known
        and artifact.path.stat().st_mtime < before.timestamp()
    ]
