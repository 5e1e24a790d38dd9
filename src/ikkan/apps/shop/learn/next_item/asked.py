"""What training works with: histories, where they end, and held-back events as questions with known answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ikkan.apps.shop.rules.next_item.model import names_of

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with a known answer: after this history, at this moment, what came?"""

    who: int
    end: int
    """Events before the question; the answer is the event at this place."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What somebody did after which of their events. A place may have several answers, and most have none."""

    places: Rows
    """Of the event before the question, in order."""
    rows: Rows
    """The item of each answer."""


@dataclass(frozen=True, slots=True)
class Data:
    """Everything known, and where what may be trained on ends."""

    ids: tuple[str, ...]
    rows: list[Rows]
    ends: Rows
    times: Sequence[npt.NDArray[np.floating]] | None
    kinds: Sequence[npt.NDArray[np.integer]] | None
    attributes: Sequence[Mapping[str, str]] | None
    answers: Sequence[Answers] | None = None
    """By person; None: after every event the next one is the answer."""

    def values(self) -> list[str]:
        """All attribute values, in a fixed order."""
        return sorted({name for each in self.attributes or () for name in names_of(each)})


def ages_before(times: npt.NDArray[np.floating], begin: int, stop: int) -> npt.NDArray[np.float64]:
    """Seconds between each event of a span and the event after the span."""
    made: npt.NDArray[np.float64] = float(times[stop]) - np.asarray(times[begin:stop], dtype=np.float64)
    return made
