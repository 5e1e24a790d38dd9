"""What a training of a language model is asked for and what it gives back. No torch here: whoever waits reads this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ikkan.models.values import EncoderPairs, Float32

Method = Literal["sft", "dpo", "distill"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as a chat template reads it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """A conversation, and how it should go on."""

    turns: tuple[Turn, ...]
    """Everything before the answer; the last one is usually the user's."""
    answer: str
    """What should be said: only its tokens are learned."""
    rejected: str | None = None
    """What should not be said (needed by `dpo`)."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. The same base, lessons and plan give the same bytes on one machine."""

    method: Method = "sft"
    epochs: int = 2
    max_steps: int | None = None
    """Stop after so many optimiser steps, wherever the epochs stand."""
    batch: int = 8
    """Lessons an optimiser step sees."""
    max_tokens: int = 512
    """Of a lesson; a longer conversation loses its beginning, a longer answer its end."""
    rank: int = 16
    alpha: float = 32.0
    learning_rate: float = 2e-4
    beta: float = 0.1
    """Of `dpo`: how far from the base it may go."""
    temperature: float = 2.0
    """Of `distill`."""
    seed: int = 0
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto`: bfloat16 where this processor multiplies it faster."""
    device: str = "auto"
    """`auto`: cuda where there is one, else cpu."""

    checkpoint_steps: int = 20
    """After so many steps what was learned is written down again, where a checkpoint is kept."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where a training stands, told after every optimiser step."""

    step: int
    steps: int
    loss: float
    tokens: int
    """Trained on so far, padding left out."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter in PEFT's format."""

    files: Mapping[str, bytes]
    """`adapter_config.json` and `adapter_model.safetensors`, as the engine's adapter routes and PEFT load them."""
    losses: tuple[float, ...]
    """One per optimiser step."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Tokens, seconds, tokens per second, dtype, device, the base's name and digest."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How much a model expects an answer: its tokens and the one that ends it."""

    logprob: float
    """Sum over the tokens, in nats."""
    tokens: int
    rejected_logprob: float | None = None
    """The same of what should not be said, where the lesson has it."""
    rejected_tokens: int = 0

    @property
    def per_token(self) -> float:
        """The mean log-probability of a token.

        >>> Likelihood(-6.0, 3).per_token
        -2.0
        """
        return self.logprob / max(self.tokens, 1)


Tell: TypeAlias = Callable[[Step], None]
"""Called after every step; whatever it raises ends the training."""

Keep: TypeAlias = Callable[[Step, Mapping[str, bytes]], None]
"""Called with the adapter's files at the end of an epoch; whatever it raises ends the training."""


@dataclass(frozen=True, slots=True)
class SortingPlan:
    """How an encoder learns to sort texts into classes. The same texts and plan give the same bytes on one machine."""

    epochs: int = 3
    batch: int = 32
    """Texts an optimiser step sees."""
    max_tokens: int = 64
    """Of a text; a longer one loses its end."""
    rank: int = 16
    alpha: float = 32.0
    learning_rate: float = 1e-3
    """Of the low-rank pairs."""
    head_rate: float = 2e-2
    """Of the classes' own weights, which begin as the classes' means and have less far to go."""
    seed: int = 0
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"


@dataclass(frozen=True, slots=True, eq=False)
class Sorter:
    """An encoder's low-rank pairs, and what tells the classes apart in its vectors."""

    pairs: EncoderPairs
    """To be added to the base's matrices (`models.values.Encoder.adapted`)."""
    head: Float32
    """(hidden + 1, classes): a vector with a one behind it, times this, is a score for each class."""
    losses: tuple[float, ...]
    """One per optimiser step."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Texts, seconds, texts per second, dtype, device."""
