"""What the use cases of the wheel have in common: the learnables, their artifacts, and what may be read of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ikkan.flywheel import datasets
from ikkan.flywheel.contract import Budget, Examples, Fitted, Learnable, Slow, Thorough
from ikkan.flywheel.scrubbing import ScrubbedEvents
from ikkan.flywheel.values import Decision
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.errors import UnknownLearnable
from ikkan.ground.events import EventReader
from ikkan.ground.ids import ArtifactId


@dataclass(frozen=True, slots=True)
class Shelf:
    """Learnables with what they read and what was made of it."""

    learnables: Mapping[str, Learnable]
    events: EventReader
    """The consent-applying reader."""
    artifacts: ArtifactStore
    scrub: bool
    """Whether personal data is taken out of what a learnable reads."""
    fixed_budget: Budget | None

    @property
    def names(self) -> list[str]:
        """What can be learned here."""
        return sorted(self.learnables)

    def learnable(self, name: str) -> Learnable:
        """The learnable of this name.

        Raises:
            UnknownLearnable: no app declares it.
        """
        if name not in self.learnables:
            known = ", ".join(self.names) or "none"
            raise UnknownLearnable(f"nothing called {name!r} can be learned here", hint=f"there is: {known}", name=name)
        return self.learnables[name]

    def budget(self, learnable: Learnable, *, thorough: bool = False) -> Budget:
        """What one training of it may take; in a thorough turn more, where it has a use for that."""
        if thorough and isinstance(learnable, Thorough) and self.fixed_budget is None:
            return learnable.thorough
        return self.fixed_budget or (learnable.budget if isinstance(learnable, Slow) else Budget())

    def load(self, artifact_id: ArtifactId) -> Fitted:
        """What was learned, as it was kept."""
        return Fitted.read(self.artifacts.get(artifact_id))

    def reader(self, learnable: Learnable) -> EventReader:
        """What a learnable reads: nothing of anyone who refused, and no one's personal data."""
        if not self.scrub:
            return self.events
        return ScrubbedEvents(self.events, getattr(learnable, "verbatim", frozenset()))

    def examples_of(self, decision: Decision, learnable: Learnable) -> Examples:
        """The examples a decision saw, as far as they may still be read."""
        background = None
        if decision.dataset is not None:
            background = datasets.background(self.artifacts, decision.dataset)
        examples = learnable.examples(self.reader(learnable), decision.until, background)
        return examples.shuffled(decision.seed) if decision.drill else examples


class NoEvents:
    """A reader in whose world nothing has happened."""

    def read(self, names: Sequence[str], **_: Any) -> Any:
        """Nothing."""
        return iter(())
