"""What serves: the registry's champions for what comes next and for the blend, each loaded when it changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

from ikkan.apps.shop.rules.next_item.kinds import model_in
from ikkan.apps.shop.rules.suggest.hooks import Encodes
from ikkan.apps.shop.rules.suggest.ranker import Ranker
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.errors import IkkanError
from ikkan.ground.ids import ArtifactId
from ikkan.models.registry import Registry

log = logging.getLogger(__name__)

NEXT_ITEM, BLEND = "shop.next_item", "shop.blend"

Models: TypeAlias = Callable[[], "tuple[str, Encodes | None, Ranker | None] | tuple[str, Encodes] | None"]
"""Another model that serves from now on (its id, itself, its blend), or None where nothing changed."""


class Champion:
    """The champions for what comes next and for the blend; calling it says whether one is another than before."""

    def __init__(self, registry: Registry, artifacts: ArtifactStore) -> None:
        self._registry, self._artifacts = registry, artifacts
        self._serving: dict[str, ArtifactId | None] = {}
        self._model: tuple[str, Encodes | None] = ("none", None)
        self._ranker: Ranker | None = None

    def __call__(self) -> tuple[str, Encodes | None, Ranker | None] | None:
        """See `Models`."""
        changed = [self._follow(NEXT_ITEM, self._read_model), self._follow(BLEND, self._read_blend)]
        return (*self._model, self._ranker) if any(changed) else None

    def _follow(self, name: str, read: Callable[[ArtifactId | None], None]) -> bool:
        wanted = self._registry.alias(name, "champion")
        if wanted == self._serving.get(name):
            return False
        self._serving[name] = wanted
        try:
            read(wanted)
        except IkkanError as exc:
            # Lists go on with what serves now; looking again would only fail again.
            log.error("what was learned cannot serve", extra={"artifact": wanted, "code": exc.code})
            return False
        return True

    def _read_model(self, wanted: ArtifactId | None) -> None:
        self._model = ("none", None) if wanted is None else read(self._artifacts, wanted)

    def _read_blend(self, wanted: ArtifactId | None) -> None:
        self._ranker = None if wanted is None else Ranker.from_files(_files(self._artifacts, wanted))


def read(artifacts: ArtifactStore, artifact_id: ArtifactId) -> tuple[str, Encodes | None]:
    """A model out of an artifact; none for a kind that tells nobody apart, like the baselines of the flywheel.

    Raises:
        UnknownArtifact: it is not there.
        BadFile: it is there and cannot be read.
    """
    model = model_in(_files(artifacts, artifact_id))
    return ("none", None) if model is None else (artifact_id, model)


def _files(artifacts: ArtifactStore, artifact_id: ArtifactId) -> dict[str, bytes]:
    path = artifacts.get(artifact_id).path
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
