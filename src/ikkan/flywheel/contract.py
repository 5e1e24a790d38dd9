"""The contract between the wheel and whoever wants to learn: one number per example is all the gate ever sees.

An app's `learn.py` implements `Learnable`; the flywheel knows nothing else of the app. Numpy only: a learnable that
trains with torch imports it inside `train`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ikkan.ground.artifacts import Artifact
from ikkan.ground.events import EventReader
from ikkan.ground.ids import ArtifactId

Scores: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Metric:
    """What one example's number means."""

    name: str
    low: float = 0.0
    high: float = 1.0
    """No score is outside [low, high]: the statistics rely on it, and the gate checks it."""
    direction: Literal["higher", "lower"] = "higher"
    """Which end is better."""
    title: Mapping[str, str] = field(default_factory=dict)
    """For people, by language."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much training may take. A learnable stops in time rather than being stopped."""

    seconds: float = 20.0
    examples: int = 50_000
    """At most this many examples; the latest are kept."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What happened, as examples. One entry per example in every sequence, in the order they happened."""

    ids: tuple[str, ...]
    unit_ids: tuple[str, ...]
    """Who or what the example belongs to (a person, a shop, a day). Examples of one unit are not independent."""
    occurred_at: tuple[datetime, ...]
    """When the question arose."""
    known_at: tuple[datetime, ...]
    """When its truth became known: nothing may be learned from it before."""
    slices: tuple[str, ...]
    """A part of the whole that is reported, and protected, on its own: a language, a tenant."""
    keys: tuple[str, ...]
    """The text by which near-duplicates are found."""
    inputs: tuple[Any, ...]
    truths: tuple[Any, ...]
    """What turned out to be right, in the learnable's own words."""
    teaches: Mask
    """False where it may judge but not teach (silence is not a lesson)."""
    own: Mask
    """True for what this house's people did themselves, False for what came with a bundled sample."""
    evidence: tuple[tuple[str, ...], ...]
    """The events each example was read from."""
    background: Mapping[str, bytes] = field(default_factory=dict)
    """Company data the examples refer to, kept with the dataset so that a replay sees what the run saw."""

    def __post_init__(self) -> None:
        for name in ("unit_ids", "occurred_at", "known_at", "slices", "keys", "inputs", "truths", "evidence"):
            assert len(getattr(self, name)) == len(self.ids), f"{name} has one entry per example"
        assert self.teaches.shape == self.own.shape == (len(self.ids),), "teaches and own have one entry per example"

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, which: Mask | NDArray[np.int64] | Sequence[int]) -> Examples:
        """These examples only: by mask, or by index (an index may come twice)."""
        index = (
            np.flatnonzero(which) if getattr(which, "dtype", None) == np.bool_ else np.asarray(which, dtype=np.int64)
        )

        def pick(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[i] for i in index)

        return replace(
            self,
            ids=pick(self.ids),
            unit_ids=pick(self.unit_ids),
            occurred_at=pick(self.occurred_at),
            known_at=pick(self.known_at),
            slices=pick(self.slices),
            keys=pick(self.keys),
            inputs=pick(self.inputs),
            truths=pick(self.truths),
            teaches=self.teaches[index],
            own=self.own[index],
            evidence=pick(self.evidence),
        )

    def shuffled(self, seed: int) -> Examples:
        """The same examples with what people said permuted among them within each slice: a lesson in nothing."""
        rng = np.random.default_rng([seed, 0x5EED])
        truths = list(self.truths)
        for name in sorted(set(self.slices)):
            said = [i for i in range(len(self)) if self.slices[i] == name and self.teaches[i]]
            for here, there in zip(said, rng.permutation(said).tolist(), strict=True):
                truths[here] = self.truths[there]
        return replace(self, truths=tuple(truths))

    def digest(self) -> str:
        """One hash over which events say what, and the background they are read against."""
        hasher = hashlib.sha256()
        for i in range(len(self)):
            line = (self.ids[i], self.evidence[i], repr(self.truths[i]), bool(self.teaches[i]))
            hasher.update(repr(line).encode())
        for name in sorted(self.background):
            hasher.update(name.encode() + b"\x00" + hashlib.sha256(self.background[name]).digest())
        return hasher.hexdigest()


NO_EXAMPLES = Examples(
    ids=(),
    unit_ids=(),
    occurred_at=(),
    known_at=(),
    slices=(),
    keys=(),
    inputs=(),
    truths=(),
    teaches=np.zeros(0, dtype=np.bool_),
    own=np.zeros(0, dtype=np.bool_),
    evidence=(),
)
"""Nothing has happened yet."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What training made, before or after it is kept as an artifact."""

    kind: str
    files: Mapping[str, bytes]
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def read(cls, artifact: Artifact) -> Fitted:
        """The content of a kept artifact."""
        files = {name: Path(artifact.path, name).read_bytes() for name in artifact.manifest.files}
        return cls(artifact.kind, files, artifact.manifest.facts)


Recipe: TypeAlias = Callable[[Examples, Budget, int], Fitted]
"""Examples, budget, seed → what was learned. The same three give the same bytes."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An example as a person would see it. Read from the log when asked for; never stored with a decision."""

    question: str
    answer: str | None
    """What the model says; None for "I don't know"."""
    right: str | None
    """What turned out to be right."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Something that must not get worse while the metric gets better: complaints, unsafe answers, seconds waited."""

    metric: Metric
    values: Scores
    """One per entry of the outcomes it belongs to; NaN where it is not known."""
    tolerance: float = 0.0
    """How much worse it may get, as a share of the metric's range."""
    intolerable: float | None = None
    """From this value on (towards the bad end), one person is one too many."""

    def __post_init__(self) -> None:
        assert 0.0 <= self.tolerance < 1.0, "a share of the range"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How people fared, for a canary: one entry per closed case, with its person.

    A case is closed when nothing more can come of it: what people did not do within the window is a value too, since
    leaving it out would compare only those whom an arm moved to act. Several entries of one person are averaged.
    """

    unit_ids: tuple[str, ...]
    values: Scores
    metric: Metric | None = None
    """What the values mean; None: the learnable's own metric."""
    guards: Mapping[str, Guard] = field(default_factory=dict)
    declared: bool = False
    """Whether the app keeps live outcomes at all, even if there are none yet."""

    def __post_init__(self) -> None:
        assert self.values.shape == (len(self.unit_ids),), "one value per entry"
        for guard in self.guards.values():
            assert guard.values.shape == self.values.shape, "one value per entry in each guardrail"

    @property
    def kept(self) -> bool:
        """Whether a canary can be judged on them.

        >>> NO_OUTCOMES.kept, Outcomes(("ada",), np.ones(1)).kept
        (False, True)
        """
        return self.declared or bool(self.unit_ids)


NO_OUTCOMES = Outcomes((), np.zeros(0))
"""There are none and there will be none: the gate alone decides."""
SHADOW = "shadow:"
"""Before an artifact's id: the arm whose answers nobody saw."""


@dataclass(frozen=True, slots=True)
class Given:
    """Who answers one person: what an app asks before each answer, and writes down beside it."""

    artifact_id: ArtifactId
    chance: float = 1.0
    """That of being given this one; both arms of a trial have one, which the statistics need (the propensity)."""
    beside: ArtifactId | None = None
    """Who answers the same question unseen, in the shadow; recorded, never shown."""


Gives: TypeAlias = Callable[[str, str], Given | None]
"""A learnable's name and a unit (a person) → who answers; None where nothing was installed."""


class Learnable(Protocol):
    """Something an app wants to get better at."""

    name: str
    """`<app>.<what>`: `assistant.answer`."""
    metric: Metric
    verbatim: frozenset[str] = frozenset()
    """Payload fields whose words are served as they were typed; in all others personal data is scrubbed before
    `examples` sees it (`scrubbing.py`)."""

    def examples(self, events: EventReader, until: datetime, background: Mapping[str, bytes] | None = None) -> Examples:
        """What was recorded before `until`, as examples; against `background` if a replay hands one back."""
        ...

    def train(self, examples: Examples, budget: Budget, seed: int) -> Fitted:
        """Learn, always from the base and never from an earlier result. No examples give the base itself."""
        ...

    def score(self, fitted: Fitted, examples: Examples) -> Scores:
        """One number per example, within the metric's range. Shape (n,)."""
        ...

    def show(self, fitted: Fitted, examples: Examples) -> Sequence[Shown]:
        """The same examples in words, for people."""
        ...

    def outcome(self, events: EventReader, arm: str) -> Outcomes:
        """How people fared whom `arm` answered: the id of an artifact, after `SHADOW` if nobody saw its answers.

        `events` has only what was recorded in the time that counts, and ends at its `until` where it has one: a case
        that may still become something then is not closed. Default: this app keeps no live outcomes.
        """
        return NO_OUTCOMES

    def baselines(self) -> Mapping[str, Recipe]:
        """The trivial ways of doing it; each is trained on the same side as the candidate, which must beat them."""
        ...


@runtime_checkable
class Slow(Protocol):
    """A learnable whose training takes longer than the wheel allows by itself."""

    budget: Budget


@runtime_checkable
class Patient(Protocol):
    """A learnable of which one example says little. Every attempt against a champion may err half as often as the one
    before, so few attempts on much that is new promote what many on little never would."""

    enough: int
    """So many new examples of this house's own people are worth a turn."""


@runtime_checkable
class Thorough(Protocol):
    """A learnable some of which is dear to learn: once a day, and whenever a person asks, a turn has more time."""

    thorough: Budget


@runtime_checkable
class Remarks(Protocol):
    """A learnable with something to say about how its champion serves now."""

    def remark(self) -> Mapping[str, str]:
        """It in words, by language; empty where there is nothing to say. Blocking."""
        ...


def parents(fitted: Fitted) -> tuple[ArtifactId, ...]:
    """Artifacts this one was built from, as its facts name them."""
    return tuple(ArtifactId(parent) for parent in fitted.facts.get("built_from", ()))


def aware(moment: datetime) -> datetime:
    """The moment in UTC; a naive one is a mistake of ours."""
    assert moment.tzinfo is not None, "time is aware UTC"
    return moment.astimezone(UTC)
