"""What was learned from meetings, and the numbers it gives. How it was learned: `train.py`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0.features import Float32, Float64, Rows
from ikkan.apps.meetings.rules.level0.rates import Rates

SHORTEST_WORDS = 3
"""Anything shorter is "yeah", "okay", "right": never the evidence of anything by itself."""
_TOP = 10
FILE = "level0.npz"


@dataclass(frozen=True, slots=True)
class Head:
    """One question asked of every unit, answered with a chance."""

    weights: Float32
    """Shape `(COLUMNS,)`."""
    curve: Float64
    """Chance = logistic(curve · (score, mean of the meeting's ten highest scores, 1)): learned on meetings unseen."""
    threshold: float
    """The chance from which on F1 was best on meetings unseen."""

    def chances(self, rows: Rows, lengths: NDArray[np.int64]) -> Float64:
        """How likely each unit of ONE meeting is what this head looks for, in [0, 1]."""
        return curved(rows.times(self.weights), lengths, self.curve)


def curved(scores: Float32, lengths: NDArray[np.int64], curve: Float64) -> Float64:
    """Scores of one meeting as chances; units below `SHORTEST_WORDS` words have none."""
    fit = lengths >= SHORTEST_WORDS
    found = np.zeros(len(scores))
    if fit.any():
        found[fit] = logistic(leveled(scores[fit]) @ curve)
    return found


def leveled(scores: Float32) -> Float64:
    """Each score beside the level of its meeting, shape `(n, 3)`: some meetings speak of work throughout."""
    level = float(np.sort(scores)[-_TOP:].mean())
    return np.column_stack([scores.astype(np.float64), np.full(len(scores), level), np.ones(len(scores))])


def logistic(score: Float64) -> Float64:
    """Chance of a score, without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(score, -40, 40))))


@dataclass(frozen=True, slots=True)
class Model:
    """Everything learned: three questions on English units, one on units of any language, and words of summaries."""

    actions: Head
    decisions: Head
    importance: Head
    shape: Float64
    """Importance in any language: weights of `features.shapes`."""
    rates: Rates
    turns: Mapping[str, Float32] = field(default_factory=dict)
    """What people's judgements taught, by question: weights added to log-odds (`correction.py`). Not packed."""

    def pack(self) -> bytes:
        """As one file; the same model is the same bytes."""
        arrays: dict[str, NDArray[Any]] = {"shape": self.shape, **self.rates.arrays()}
        for name in _HEADS:
            head: Head = getattr(self, name)
            arrays |= {
                f"{name}_weights": head.weights.astype(np.float16),
                f"{name}_curve": head.curve,
                f"{name}_threshold": np.array([head.threshold]),
            }
        return packed(arrays)

    @classmethod
    def unpack(cls, data: bytes) -> Model:
        """What `pack` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            heads = {
                name: Head(
                    arrays[f"{name}_weights"].astype(np.float32),
                    arrays[f"{name}_curve"],
                    arrays[f"{name}_threshold"].item(),
                )
                for name in _HEADS
            }
            return cls(
                actions=heads["actions"],
                decisions=heads["decisions"],
                importance=heads["importance"],
                shape=arrays["shape"],
                rates=Rates.of(arrays),
            )


_HEADS: Sequence[str] = ("actions", "decisions", "importance")


@lru_cache(maxsize=1)
def shipped() -> Model:
    """The model this app ships with (`weights/README.md`), read once."""
    return Model.unpack((resources.files("ikkan.apps.meetings") / "weights" / FILE).read_bytes())


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as an npz file without times in it, so that the same arrays are the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(arrays):
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), part.getvalue(), zipfile.ZIP_DEFLATED
            )
    return out.getvalue()
