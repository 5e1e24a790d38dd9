"""What people's judgements taught: a small turn of the chances that the shipped weights give."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0.features import COLUMNS, Float32
from ikkan.apps.meetings.rules.level0.model import Model, packed

FILE = "correction.npz"


@dataclass(frozen=True, slots=True)
class Correction:
    """Weights of a few columns. A unit's log-odds become those of the base plus its row times these."""

    columns: NDArray[np.int32]
    """Rising, each once."""
    values: NDArray[np.float16]

    @classmethod
    def none(cls) -> Correction:
        """Nobody said anything: the base as it is."""
        return cls(np.zeros(0, np.int32), np.zeros(0, np.float16))

    @classmethod
    def of(cls, weights: Float32) -> Correction:
        """The columns of `weights`, shape `(COLUMNS,)`, that are not zero when rounded."""
        small = weights.astype(np.float16)
        used = np.flatnonzero(small)
        return cls(used.astype(np.int32), small[used])

    def weights(self) -> Float32:
        """Of every column, shape `(COLUMNS,)`."""
        full = np.zeros(COLUMNS, dtype=np.float32)
        full[self.columns] = self.values
        return full

    def pack(self) -> bytes:
        """As one file; the same correction is the same bytes."""
        return packed({"columns": self.columns, "values": self.values})

    @classmethod
    def unpack(cls, data: bytes) -> Correction:
        """What `pack` wrote.

        >>> once = Correction.of(np.eye(1, COLUMNS, 7, dtype=np.float32)[0])
        >>> again = Correction.unpack(once.pack())
        >>> again.columns.tolist(), again.values.tolist()
        ([7], [1.0])
        """
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return cls(arrays["columns"], arrays["values"])


def corrected(model: Model, corrections: Mapping[str, Correction]) -> Model:
    """The same model, with what was learned of `actions` and `importance` laid over it."""
    turns = {question: each.weights() for question, each in corrections.items() if len(each.columns)}
    return replace(model, turns=turns)
