"""What is asked for and what is suggested, with why and with what chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from ikkan.apps.shop.values.catalogue import Ware
from ikkan.apps.shop.values.mood import Mood

Surface: TypeAlias = Literal["home", "similar", "basket", "replenish", "search"]
SURFACES: tuple[Surface, ...] = ("home", "similar", "basket", "replenish", "search")
Why: TypeAlias = Literal["event", "similar", "basket", "replenish", "search", "mood", "popular", "new", "pinned"]


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody looks at a page: what should be on it?"""

    person: str
    surface: Surface = "home"
    n: int = 10
    product_ids: tuple[str, ...] = ()
    """What the page is about: the product of a product page, the basket, or the hits of a search in its order."""
    query: str = ""
    """What was searched for, on the search surface."""
    cursor: str = ""
    """The `cursor` of a page of this list: what was shown since is left out. Empty: the first page."""
    use_mood: bool = True
    is_test: bool = False
    """Asked by a merchant "as this person": nothing is recorded, nothing explored."""


@dataclass(frozen=True, slots=True)
class Because:
    """Why something is in a list, in words that are true: taking the named event away would move it down most."""

    why: Why
    words: Mapping[str, str]
    """By language."""
    product_id: str | None = None
    """What was looked at or bought, where that is the reason."""
    event_id: str | None = None
    share: float | None = None
    """How much of its score goes when the event is taken away, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Suggested:
    """One place of a list."""

    ware: Ware
    position: int
    """From 0."""
    score: float
    """How likely it is wanted, as the blend has it, calibrated on what happened."""
    source: str
    """Where the candidate came from: `encoder`, `covisits`, `popular`, `attributes`, `new`, `pinned`, `explored`."""
    propensity: float
    """With what chance this ware was put at this place, by the policy that chose it."""
    because: Because | None = None
    """Left out where reasons were not asked for."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """A list, as it was shown."""

    impression_id: str
    surface: Surface
    person: str
    made_at: datetime
    places: tuple[Suggested, ...]
    model: str
    """Which artifact scored it; `none` before anything was learned."""
    mood: Mood | None = None
    took_ms: float = 0.0
    cursor: str = ""
    """Asks for the next page."""
