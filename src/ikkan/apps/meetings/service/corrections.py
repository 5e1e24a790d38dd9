"""What people's judgements taught, laid over the shipped weights: the champions of this app's learnables."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from ikkan.apps.meetings.rules.level0.correction import FILE, Correction, corrected
from ikkan.apps.meetings.rules.level0.model import Model, shipped
from ikkan.apps.meetings.rules.level0.offered import LEARNABLES, QUESTIONS
from ikkan.apps.meetings.values import Meeting
from ikkan.flywheel import Given
from ikkan.flywheel.contract import Gives
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.ids import ArtifactId
from ikkan.models.registry import Registry

_KEPT = 4
"""Two learnables, each with two arms in a trial."""


@dataclass(frozen=True, slots=True)
class Draws:
    """What a meeting is drawn out with."""

    model: Model
    artifact_ids: Mapping[str, ArtifactId] = field(default_factory=dict)
    """By learnable, who chose; none where nothing was installed."""


class Corrections:
    """Says what the next meeting is drawn out with. A promotion or rollback counts from the next drawing on.

    Args:
        gives: who answers a person; None: always the registry's champion.
    """

    def __init__(self, registry: Registry, artifacts: ArtifactStore, *, gives: Gives | None = None) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._gives = gives or self._champion
        self._lock = threading.Lock()
        self._loaded: dict[ArtifactId, Correction] = {}

    def of(self, meeting: Meeting) -> Draws:
        """The model for one meeting; in a trial, whoever brings meetings is always given the same. Blocking."""
        unit = meeting.owner_id or f"someone on {meeting.created_at:%Y-%m-%d}"
        given = {kind: self._gives(name, unit) for kind, name in LEARNABLES.items()}
        chosen = {kind: each.artifact_id for kind, each in given.items() if each is not None}
        laid_over = {QUESTIONS[kind]: self._correction(artifact_id) for kind, artifact_id in chosen.items()}
        return Draws(corrected(shipped(), laid_over), {LEARNABLES[kind]: each for kind, each in chosen.items()})

    def _correction(self, artifact_id: ArtifactId) -> Correction:
        loaded = self._loaded
        if artifact_id not in loaded:
            with self._lock, self._artifacts.open(artifact_id, FILE) as file:
                kept = list(self._loaded.items())[-(_KEPT - 1) :]
                self._loaded = loaded = {**dict(kept), artifact_id: Correction.unpack(file.read())}
        return loaded[artifact_id]

    def _champion(self, name: str, unit: str) -> Given | None:
        champion = self._registry.alias(name, "champion")
        return Given(champion) if champion is not None else None
