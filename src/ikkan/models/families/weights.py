"""From a checkpoint's tensors to packed matrices: every shape is compared with the config before anything is packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from ikkan.ground.errors import HostileFile, NotFinite, UnsupportedFormat
from ikkan.models.values import Bytes, Float32, RawTensor, RopeStyle
from ikkan.silicon import kernels
from ikkan.silicon.kernels import PackedMatrix

READ: Final = frozenset({"Q4_0", "Q4_1", "Q8_0", "F16", "F32"})
"""Formats the kernels multiply with as they are."""
WIDENED: Final = {"BF16": "F32"}
"""Formats turned into another one that holds every value of theirs exactly."""


class HasTensors(Protocol):
    """The part of a checkpoint that is read here."""

    def tensor(self, name: str) -> RawTensor: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One matrix of a checkpoint: its canonical name, its size, and how its rows are ordered."""

    name: str
    rows: int
    cols: int
    heads: int = 0
    """Rows belong to this many heads and may need `half_split`; 0: leave the order alone."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a family reads its weights through."""

    checkpoint: HasTensors
    rope_style: RopeStyle = "half_split"

    def vector(self, name: str, length: int) -> Float32:
        """A small tensor in float32, copied.

        Raises:
            HostileFile: it is missing or of another length than the config says.
            NotFinite: it holds NaN or an infinity.
        """
        found = widen(_checked(self.checkpoint.tensor(name), (length,)))
        if not np.isfinite(found).all():
            raise NotFinite(f"{name} holds numbers that are not finite", tensor=name)
        return found

    def rotary_vector(self, name: str, length: int, heads: int) -> Float32:
        """The same for a bias of q or k, its entries in half-split order."""
        found = self.vector(name, length)
        return half_split(found.reshape(length, 1), heads).reshape(length) if self._interleaved else found

    def matrix(self, part: Part) -> PackedMatrix:
        """One matrix, packed in its own format.

        Raises:
            HostileFile: it is missing or of another shape than the config says.
            UnsupportedFormat: of a format that no kernel reads.
            NotFinite: a scale or weight is NaN or infinite.
        """
        return self.stacked([part])[0]

    def stacked(self, parts: Sequence[Part]) -> tuple[PackedMatrix, ...]:
        """Matrices that multiply the same input, one under the other; neighbours of one format become one matrix."""
        return tuple(
            kernels.pack(kind, raw[0] if len(raw) == 1 else np.concatenate(raw), rows, parts[0].cols)
            for kind, rows, raw in _runs(self._raw(part) for part in parts)
        )

    def _raw(self, part: Part) -> tuple[str, int, Bytes]:
        found = _checked(self.checkpoint.tensor(part.name), (part.rows, part.cols))
        kind, raw = found.format, found.raw
        if kind in WIDENED:
            kind, raw = WIDENED[kind], widen(found).reshape(-1).view(np.uint8)
        if kind not in READ:
            raise UnsupportedFormat(
                f"{part.name} is stored as {found.format}; we multiply with {', '.join(sorted(READ))}",
                hint="choose a file quantised to one of these",
                tensor=part.name,
            )
        if kind.startswith("Q") and part.cols % 32:
            raise HostileFile(f"{part.name} has rows of {part.cols}, not whole blocks of 32", tensor=part.name)
        if self._interleaved and part.heads:
            raw = half_split(raw.reshape(part.rows, -1), part.heads).reshape(-1)
        return kind, part.rows, raw

    @property
    def _interleaved(self) -> bool:
        return self.rope_style == "interleaved"


def half_split(rows: np.ndarray[tuple[int, ...], np.dtype[np.generic]], heads: int) -> np.ndarray:  # type: ignore[type-arg]
    """Reorder rows whose rotation partners stand side by side so that they stand half a head apart.

    Whole rows move, so it works on quantised bytes as well; the rotation then needs one form only.

    >>> half_split(np.arange(8).reshape(8, 1), heads=2).ravel().tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    return rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def widen(tensor: RawTensor) -> Float32:
    """A tensor of plain numbers in float32, copied, in its own shape.

    Raises:
        UnsupportedFormat: it is quantised.
    """
    if tensor.format == "BF16":  # the upper half of a float32
        return (tensor.raw.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(tensor.shape)
    plain = {"F32": "<f4", "F16": "<f2"}
    if tensor.format not in plain:
        raise UnsupportedFormat(f"{tensor.name} is stored as {tensor.format}, where plain numbers belong")
    return tensor.raw.view(plain[tensor.format]).astype(np.float32).reshape(tensor.shape)


def _checked(tensor: RawTensor, shape: tuple[int, ...]) -> RawTensor:
    if tensor.shape != shape:
        raise HostileFile(
            f"{tensor.name} has shape {tensor.shape}; by the model's own config it is {shape}",
            hint="config and weights are of different models",
            tensor=tensor.name,
        )
    return tensor


def _runs(parts: Iterator[tuple[str, int, Bytes]]) -> list[tuple[str, int, list[Bytes]]]:
    runs: list[tuple[str, int, list[Bytes]]] = []
    for kind, rows, raw in parts:
        if runs and runs[-1][0] == kind:
            before = runs.pop()
            runs.append((kind, before[1] + rows, [*before[2], raw]))
        else:
            runs.append((kind, rows, [raw]))
    return runs
