"""What the engine is asked for, and the pieces in which it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ikkan.ground.errors import IkkanError

FinishReason: TypeAlias = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn from what the model says."""

    temperature: float = 1.0
    """0 always takes the likeliest token."""
    top_k: int = 0
    """Draw from so many of the likeliest; 0 for all."""
    top_p: float = 1.0
    """Draw from the smallest set of likeliest tokens that holds this much of the probability."""
    min_p: float = 0.0
    """Leave out tokens less likely than this share of the likeliest one."""
    repetition_penalty: float = 1.0
    """Divides the score of every token of prompt and answer so far; 1 for none."""
    presence_penalty: float = 0.0
    """Taken from the score of a token that the answer has."""
    frequency_penalty: float = 0.0
    """Taken from the score of a token once for each time the answer has it."""
    bias: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    """Added to the scores of these tokens."""
    seed: int | None = None
    """Same seed, same answer, whoever else is being answered; None for another answer each time."""
    choice: int = 0
    """Which of several answers drawn with one seed this is."""
    top_logprobs: int | None = None
    """How many alternatives to report for each token; None for no log-probabilities at all."""


class Constraint(Protocol):
    """What an answer must look like, at the place it has reached. Used on the compute thread only, by one answer."""

    def allowed(self) -> NDArray[np.uint32] | None:
        """A bit for each token of the vocabulary, little-endian, that may come next; None for all of them.

        Raises:
            BadGrammar: following the grammar takes more than an answer may cost.
        """
        ...

    def accept(self, token_id: int) -> None:
        """Go on by one token, drawn or forced."""
        ...

    def forced(self) -> list[int]:
        """Tokens that must come next, as the model would cut them; often none. Each is to be accepted as well."""
        ...

    def ended(self) -> bool:
        """Whether nothing but the end may follow."""
        ...


@dataclass(frozen=True, slots=True)
class Generation:
    """One text to be continued."""

    prompt: tuple[int, ...]
    max_tokens: int
    """The answer ends after so many tokens. Prompt and answer together fit the context."""
    sampling: Sampling = Sampling()
    min_tokens: int = 0
    """The answer does not end before so many tokens."""
    stop: tuple[str, ...] = ()
    """The answer ends before the first of these texts."""
    stop_token_ids: frozenset[int] = frozenset()
    """The answer ends at any of these tokens, besides the model's own."""
    ignore_eos: bool = False
    """Go on where the model would end; for measurements."""
    cache_salt: str = ""
    """Only texts of the same salt share what was computed before."""
    constraint: Constraint | None = None
    """What the answer must look like. It changes as the answer grows: one for each text."""
    adapter: str = ""
    """The name of the adapter that answers; empty for the model itself."""
    deadline_s: float | None = None
    """By `time.monotonic()`, when the answer must be complete; None for no hurry."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of the answer and how likely the model, before any sampling setting, found it."""

    token_id: int
    logprob: float
    alternatives: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens at this place with their log-probabilities, likeliest first."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written for one text so far."""

    prompt_tokens: int
    cached_tokens: int
    """Of the prompt's, those that need not be computed again."""
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step adds to an answer."""

    text: str
    """Whole characters, and never the beginning of what may become a stop text."""
    usage: Usage
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: FinishReason | None = None
    """Set on the last piece, unless it failed."""
    failure: IkkanError | None = None
    """Set on the last piece of an answer that could not be completed."""

    @property
    def is_last(self) -> bool:
        """Whether nothing follows."""
        return self.finish is not None or self.failure is not None


Sink: TypeAlias = Callable[[int, Piece], None]
"""Told the number of the text and its next piece, on the compute thread: hand it over and return."""


@dataclass(frozen=True, slots=True)
class Status:
    """How busy the engine is."""

    alive: bool
    """Whether the compute thread runs."""
    slots: int
    slots_in_use: int
    waiting: int
    max_waiting: int
    context_tokens: int
    kv_bytes: int


class Lease(Protocol):
    """The processor, shared with training: whoever answers a person goes first."""

    def interactive(self) -> AbstractContextManager[object]:
        """Held while answers are being computed."""
        ...
