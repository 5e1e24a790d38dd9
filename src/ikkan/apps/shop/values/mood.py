"""A mood: what somebody seems to want just now, in plain sight, editable, and gone after a while.

Never from a face or a voice, never about health, belief, sex, origin or politics: only what was clicked in the last
half hour, or what the person said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["goal", "explore", "compare", "deal", "gift", "replenish"]
MODES: tuple[Mode, ...] = ("goal", "explore", "compare", "deal", "gift", "replenish")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something a mood rests on, in words a shopper understands, by language."""

    words: Mapping[str, str]
    event_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mood:
    """What somebody seems to want just now."""

    mode: Mode
    facets: Mapping[str, float]
    """`name=value` of wares (`colour=red`, `category=Kitchen`, `tag=calm`) → how much it is wanted, -1 to 1."""
    price_bias: float
    """-1: cheaper than usual for this person, 1: dearer."""
    novelty: float
    """0: more of the same, 1: something new."""
    energy: float
    """0: calm, 1: lively."""
    confidence: float
    """0 to 1; below the threshold of `rules.mood` a mood has no effect."""
    expires_at: datetime
    evidence: tuple[Evidence, ...] = ()
    is_said: bool = False
    """Whether the person said it, rather than it being inferred."""
    modes: Mapping[Mode, float] = field(default_factory=dict)
    """How likely each mode is; empty for a mood that was said."""
