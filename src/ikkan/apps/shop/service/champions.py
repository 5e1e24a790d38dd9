"""What was learned comes to serve: how far moods are followed, looked at now and then.

A promotion or a rollback is an alias that moves; it is seen within seconds, and a list costs nothing for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from ikkan.apps.shop.rules.mood.steering import PULLS, Floats, Pulls, pulls_in, towards
from ikkan.apps.shop.values import Mood, Ware
from ikkan.flywheel.contract import Fitted
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.errors import IkkanError
from ikkan.ground.ids import ArtifactId
from ikkan.models.registry import Registry

log = logging.getLogger(__name__)

MOOD = "shop.mood"
EVERY_S = 5.0
"""So often it is looked who the champion is."""


class Champions:
    """Knows who serves now."""

    def __init__(self, registry: Registry, artifacts: ArtifactStore) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._lock = threading.Lock()
        self._looked_at: dict[str, float] = {}
        self._ids: dict[str, ArtifactId | None] = {}
        self._pulls: Pulls = PULLS

    def steer(
        self, scores: Floats, wares: Sequence[Ware], dearness: Floats | None, newness: Floats | None, mood: Mood | None
    ) -> Floats:
        """Scores as a mood has them, by the pulls that were learned; implements `rules.suggest.hooks.Steers`."""
        return towards(scores, wares, dearness, newness, mood, pulls=self.pulls())

    def pulls(self) -> Pulls:
        """How far a mood is followed now."""
        changed = self._changed(MOOD)
        if changed is not None:
            try:
                self._pulls = pulls_in(Fitted.read(self._artifacts.get(changed)).files)
            except (IkkanError, KeyError, ValueError, TypeError):
                log.warning("pulls of moods cannot be read here", extra={"artifact": changed})
        return self._pulls

    def _changed(self, name: str) -> ArtifactId | None:
        """The champion's id where it is another than at the last look."""
        now = time.monotonic()
        if now - self._looked_at.get(name, -EVERY_S) < EVERY_S:
            return None
        with self._lock:
            self._looked_at[name] = now
            found = self._registry.alias(name, "champion")
            if found == self._ids.get(name):
                return None
            self._ids[name] = found
            return found
