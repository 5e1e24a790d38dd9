"""What is asked of the engine and what it gives back: one request, one piece of an answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen and when to stop. Checked once, at the wire."""

    temperature: float = 1.0
    """0 is greedy: always the likeliest token."""
    top_k: int = 0
    """Choose among this many likeliest tokens; 0 for all."""
    top_p: float = 1.0
    """Choose among the likeliest tokens that together have this probability."""
    min_p: float = 0.0
    """Drop tokens less likely than this share of the likeliest."""
    repetition_penalty: float = 1.0
    """Above 1: tokens already in prompt or answer become less likely (CTRL, Keskar et al. 2019)."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    """The same seed and request give the same answer, whoever shares the batch."""
    max_tokens: int = 256
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    stop_ids: frozenset[int] = frozenset()
    ignore_eos: bool = False
    top_logprobs: int | None = None
    """How many alternatives to report with each token; None for no log-probabilities at all."""


@dataclass(frozen=True, slots=True)
class Logprob:
    """One token and how likely the model thought it, before temperature."""

    token_id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step added to an answer."""

    text: str
    """May be empty while half a character, or the start of a stop string, is held back."""
    token_id: int | None = None
    logprob: float = 0.0
    alternatives: tuple[Logprob, ...] = ()
    finish_reason: str | None = None
    """`stop` or `length` on the last piece, `error` when the engine failed."""
    tokens: int = 0
    """Output tokens so far."""


@dataclass(frozen=True, slots=True)
class Work:
    """One answer to compute."""

    prompt: tuple[int, ...]
    sampling: Sampling
    deliver: Callable[[Piece], None]
    """Called on the compute thread for each piece; must not block."""
    salt: str = ""
    """Only requests with the same salt may reuse each other's prefix."""
    facts: dict[str, int] = field(default_factory=dict)
    """Filled in by the engine: `cached_tokens`."""


class Lease(Protocol):
    """The processor, lent: an answer takes it before a trainer does. `silicon.lease` is the real one."""

    def interactive(self) -> AbstractContextManager[object]: ...
