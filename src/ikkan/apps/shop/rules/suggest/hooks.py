"""What others add to a suggestion: a model of what comes next, a mood that steers, a reason. None of them is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.shop.values import Because, Happened, Mood, Ware

Float32 = NDArray[np.float32]
ScoreWithout: TypeAlias = Callable[[NDArray[np.bool_]], Float32]
"""Which of the events are kept `(variants, events)` → the log-odds of each place `(variants, places)`."""


class Encodes(Protocol):
    """A model of what comes next; `rules.next_item.NextItem` is one."""

    @property
    def item_ids(self) -> Sequence[str]: ...

    @property
    def vectors(self) -> Float32:
        """A row an item of `item_ids`."""
        ...

    def encode(self, rows: Any, kinds: Any = None, ages_s: Any = None) -> Float32:
        """A history, the latest last, as a vector whose product with an item's says how likely it comes next."""
        ...

    def encode_many(self, histories: Sequence[Any]) -> Float32: ...

    def place(self, attributes: Mapping[str, str]) -> Float32:
        """Where an item that was never seen lies, by what is said of it."""
        ...


class Steers(Protocol):
    """Adjusts scores towards a mood; `rules.mood.steering` has the arithmetic."""

    def __call__(
        self, scores: Float32, wares: Sequence[Ware], dearness: Float32 | None, newness: Float32, mood: Mood
    ) -> Float32:
        """Log-odds of these wares as the mood has them.

        Args:
            dearness: logarithm of each price over the person's own median; None where they have none.
            newness: 1 for what is unlike everything they dealt with, 0 for more of the same.
        """
        ...


class KnowsMoods(Protocol):
    """Knows what somebody seems to want; `service.moods.Moods` is one."""

    def now(
        self,
        tenant_id: Any,
        person: str,
        recent: Sequence[Happened],
        at: datetime,
        *,
        ware_of: Callable[[str], Ware | None] | None = None,
    ) -> Mood | None:
        """The mood of somebody who did this, the latest last; None where nothing tells, or they switched it off."""
        ...

    def at_hand(self, tenant_id: Any, person: str) -> bool:
        """Whether `now` needs no database."""
        ...

    def fetch(self, tenant_id: Any, person: str) -> None:
        """Read what `now` needs."""
        ...

    def look(self, tenant_id: Any) -> None:
        """See what other processes wrote; whoever was read stays at hand by it."""
        ...


class Explains(Protocol):
    """Says why; `rules.explain` has one."""

    def __call__(
        self,
        places: Sequence[tuple[Ware, str]],
        events: Sequence[Happened],
        score: ScoreWithout,
        mood: Mood | None,
        *,
        ware_of: Callable[[str], Ware | None],
        lifts: Float32 | None = None,
    ) -> Sequence[Because | None]:
        """A reason for each place (a ware and its source); taking the named event away must move it down most.

        Args:
            ware_of: what an event was about, to be named.
            lifts: by how much the mood raised the log-odds of each place; None without one.
        """
        ...
