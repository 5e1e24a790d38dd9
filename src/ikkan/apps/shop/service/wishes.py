"""What a customer's own words want: what was learned, where it is sure; else the plain rules; else nothing, and the
guide asks.

Without an artifact, or with one that cannot be read here, the rules go on alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ikkan.apps.shop.rules.support import hearing
from ikkan.apps.shop.values.support import INTENT_LEARNABLE
from ikkan.flywheel.contract import Fitted, Given, Gives
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.errors import IkkanError
from ikkan.ground.ids import ArtifactId
from ikkan.kit.intent.ladder import LOADS, Asked, Ladder, Load
from ikkan.kit.taught import Embed
from ikkan.models.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ear:
    """How one person's sentences are read."""

    hears: Callable[[str], str | None]
    artifact_id: ArtifactId | None = None
    """The ladder that is asked before the rules; None: there is none."""


class Wishes:
    """Reads wishes with the champion of `shop.support_intent`, or in a trial with whoever the person was given.

    Args:
        loads: how to load each rung of a ladder.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        artifacts: ArtifactStore | None = None,
        *,
        embed: Embed | None = None,
        loads: Mapping[str, Load] = LOADS,
        gives: Gives | None = None,
    ) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._embed = embed
        self._loads = loads
        self._gives = gives or self._champion
        self._lock = threading.Lock()
        self._loaded: dict[ArtifactId, Ladder | None] = {}

    def ear(self, unit: str) -> Ear:
        """How this person's sentences are read."""
        given = self._gives(INTENT_LEARNABLE, unit)
        ladder = self._ladder(given.artifact_id) if given is not None else None
        if given is None or ladder is None or not ladder.steps:
            return Ear(hearing.intent)

        def hears(text: str) -> str | None:
            return sure(ladder, self._asked(ladder, text)) or hearing.intent(text)

        return Ear(hears, given.artifact_id)

    def _asked(self, ladder: Ladder, text: str) -> Asked:
        vectors = np.zeros((1, 0), dtype=np.float32)
        if self._embed is not None and ladder.width:
            vectors = np.asarray(self._embed([text]), dtype=np.float32)
        return Asked((text,), vectors)

    def _champion(self, name: str, unit: str) -> Given | None:
        champion = self._registry.alias(name, "champion") if self._registry is not None else None
        return Given(champion) if champion is not None else None

    def _ladder(self, artifact_id: ArtifactId) -> Ladder | None:
        if artifact_id not in self._loaded:
            with self._lock:
                ladder = None
                try:
                    assert self._artifacts is not None, "whoever gives an artifact has a store of them"
                    ladder = Ladder.load(Fitted.read(self._artifacts.get(artifact_id)).files, self._loads)
                    if ladder.width and self._embed is None:
                        ladder = None
                except (IkkanError, KeyError):
                    log.warning("a ladder of intents cannot be read here", extra={"artifact": artifact_id})
                # A trial has two arms.
                self._loaded = {**dict(list(self._loaded.items())[-1:]), artifact_id: ladder}
        return self._loaded[artifact_id]


def sure(ladder: Ladder, asked: Asked) -> str | None:
    """The intent of the one text, where the ladder answers."""
    read = ladder.read(asked)
    return ladder.intents[int(read.intent[0])] if read.answered(len(ladder.steps))[0] else None
