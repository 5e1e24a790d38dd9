"""The model that serves: the registry's champion for what comes next, loaded when it changes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import TypeAlias

from ikkan.apps.shop.rules.factors import Factors
from ikkan.apps.shop.rules.next_item.model import NextItem
from ikkan.apps.shop.rules.suggest.hooks import Encodes
from ikkan.apps.shop.rules.suggest.ranker import Ranker
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.errors import IkkanError
from ikkan.ground.ids import ArtifactId
from ikkan.models.registry import Registry

log = logging.getLogger(__name__)

NEXT_ITEM = "shop.next_item"
READERS: Mapping[str, Callable[[Mapping[str, bytes]], Encodes]] = {
    "next_item.json": NextItem.from_files,
    "factors.npz": Factors.load,
}
"""A file only this kind of model has → how its files are read."""


Models: TypeAlias = Callable[[], "tuple[str, Encodes | None, Ranker | None] | tuple[str, Encodes] | None"]
"""Another model that serves from now on (its id, itself, its blend), or None where nothing changed."""


class Champion:
    """The champion for what comes next; calling it says whether it is another than at the last call."""

    def __init__(self, registry: Registry, artifacts: ArtifactStore) -> None:
        self._registry, self._artifacts = registry, artifacts
        self._serving: ArtifactId | None = None

    def __call__(self) -> tuple[str, Encodes | None, Ranker | None] | None:
        """See `Models`."""
        wanted = self._registry.alias(NEXT_ITEM, "champion")
        if wanted == self._serving:
            return None
        self._serving = wanted
        try:
            return ("none", None, None) if wanted is None else read(self._artifacts, wanted)
        except IkkanError as exc:
            # Lists go on with what serves now; looking again would only fail again.
            log.error("a model cannot serve", extra={"artifact": wanted, "code": exc.code})
            return None


def read(artifacts: ArtifactStore, artifact_id: ArtifactId) -> tuple[str, Encodes | None, Ranker | None]:
    """A model out of an artifact; none for a kind that tells nobody apart, like the baselines of the flywheel.

    Raises:
        UnknownArtifact: it is not there.
        BadFile: it is there and cannot be read.
    """
    artifact = artifacts.get(artifact_id)
    files = {file.name: file.read_bytes() for file in artifact.path.iterdir() if file.is_file()}
    for name, reader in READERS.items():
        if name in files:
            ranker = Ranker.from_json(json.loads(files["ranker.json"])) if "ranker.json" in files else None
            return artifact_id, reader(files), ranker
    return "none", None, None
