"""What is learned from, how, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from ikkan.ground.ids import ArtifactId, KeyId, SubjectId, TenantId
from ikkan.ground.money import Price

T = TypeVar("T")
Kind = Literal["chat", "preference", "result"]
Method = Literal["supervised", "dpo"]
State = Literal["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]

FINE_TUNE, RESULTS = "fine-tune", "fine-tune-results"
ACTIVE: tuple[State, ...] = ("validating_files", "queued", "running")
TUNED = "ft:"
"""How names of tuned models begin."""
TUNING = "tuning"
"""Stands for an upstream in the price table: its input price is what a million trained tokens cost, by base or `*`."""
MAX_TOKENS = 1_024
"""Learned of one example; what is longer loses its beginning."""
KIND = "tuned-model"
"""What the artifact of a tuned model is called."""


# ---- what is learned from --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """One message."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation, how it should go on, and (for preferences) how it should not."""

    before: tuple[Said, ...]
    answer: str
    rejected: str | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds, counted once, when it came."""

    kind: Kind
    examples: int
    tokens_most: int
    """More tokens than one epoch over it can have."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A tenant's file."""

    id: str
    tenant_id: TenantId
    subject_id: SubjectId | None
    """Who brought it: when they are erased, it goes."""
    filename: str
    purpose: str
    bytes: int
    sha256: str
    contents: Contents
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Part of a list."""

    items: Sequence[T]
    has_more: bool


# ---- how -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Base:
    """A model that our engine serves and adapters can be trained for."""

    name: str
    """In the model store."""
    sha256: str
    """Of its weights."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train, with every `auto` decided."""

    method: Method
    epochs: int
    batch: int
    learning_rate_multiplier: float
    beta: float
    """Of `dpo`."""
    seed: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands, after a step."""

    step: int
    steps: int
    loss: float
    tokens: int
    """Trained on so far."""
    seconds_a_step: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An adapter at the end of an epoch."""

    step: int
    files: Mapping[str, bytes]
    train_loss: float
    valid_loss: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a whole training made."""

    files: Mapping[str, bytes]
    """The adapter, as PEFT and the engine read it."""
    losses: Sequence[float]
    """One a step."""
    valid_losses: Mapping[int, float]
    """By step, where it was measured."""
    tokens: int
    facts: Mapping[str, Any] = field(default_factory=dict)


class Trainer(Protocol):
    """Makes an adapter. What it raises is told to the person who asked, if it is an `IkkanError`."""

    def __call__(
        self,
        base: Base,
        examples: Sequence[Example],
        validation: Sequence[Example],
        recipe: Recipe,
        *,
        folder: Path,
        tell: Callable[[Progress], None],
        keep: Callable[[Checkpoint], None],
        check: Callable[[], None],
    ) -> Outcome:
        """Train from the base.

        Args:
            folder: where to keep what a new start after `kill -9` goes on from. The same arguments with what was kept
                there give the same result.
            tell: after each step; what it raises ends the training at once.
            keep: at the end of every epoch but the last; may be told the same one again after a new start.
            check: while waiting for the processor; what it raises ends the training, as with `tell`.
        """
        ...


# ---- what comes of it ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TuningJob:
    """A training that somebody asked for."""

    id: str
    tenant_id: TenantId
    key_id: KeyId | None
    subject_id: SubjectId | None
    state: State
    created_at: datetime
    finished_at: datetime | None
    model: str
    """As it was asked for."""
    upstream: str
    upstream_model: str
    base: Base
    training_file: str
    validation_file: str | None
    suffix: str
    asked: Mapping[str, Any]
    """Hyperparameters as they were asked for, `auto` included."""
    recipe: Recipe
    metadata: Mapping[str, str] | None
    price: Price
    run_id: str | None
    """The durable job behind it."""
    step: int
    steps: int
    trained_tokens: int
    estimated_finish: datetime | None
    error: Mapping[str, str | None] | None
    model_name: str
    """What its model is or will be called."""
    result_file: str

    @property
    def is_active(self) -> bool:
        """Whether it is not over."""
        return self.state in ACTIVE

    @property
    def fraction(self) -> float:
        """How far it is, 0 to 1."""
        return 1.0 if self.state == "succeeded" else self.step / self.steps if self.steps else 0.0


@dataclass(frozen=True, slots=True)
class TuningEvent:
    """Something that happened to a job."""

    id: str
    place: int
    """In the order of the job's events; what happens twice has the same place."""
    created_at: datetime
    level: Literal["info", "warn", "error"]
    message: str
    data: Mapping[str, Any] | None
    """Of a `metrics` event."""


@dataclass(frozen=True, slots=True)
class TunedModel:
    """A model of a tenant's own: an adapter beside its base."""

    name: str
    checkpoint_id: str
    tenant_id: TenantId
    job_id: str
    artifact_id: ArtifactId
    upstream: str
    upstream_model: str
    """What answers without the adapter."""
    base: str
    step: int
    train_loss: float | None
    valid_loss: float | None
    created_at: datetime

    @property
    def adapter(self) -> str:
        """What the engine calls it: nothing that a person could guess from the model's name.

        >>> from datetime import UTC
        >>> sha = ArtifactId("sha256:" + "ab" * 32)
        >>> now = datetime.now(UTC)
        >>> made = TunedModel("ft:b:t::x", "c", TenantId("t"), "j", sha, "u", "m", "b", 1, None, None, now)
        >>> made.adapter
        'tuned:abababababababababababababababababababab'
        """
        return PREFIX + self.artifact_id.removeprefix("sha256:")[:40]


PREFIX = "tuned:"
"""How adapters of tenants are called in an engine. Only the router asks for them, for those they belong to."""
