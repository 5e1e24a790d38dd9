"""From a checkpoint's tensors to packed matrices: every shape is compared with the config before anything is packed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ikkan.ground.errors import HostileFile, NotFinite, UnsupportedFormat
from ikkan.models.plain import half_split
from ikkan.models.safetensors import widen
from ikkan.models.values import Float32, RawTensor, RopeStyle
from ikkan.silicon.kernels import FORMATS, PackedMatrix, pack


class HasTensors(Protocol):
    """The part of a checkpoint that is read here."""

    def tensor(self, name: str) -> RawTensor: ...


@dataclass(frozen=True, slots=True)
class Weights:
    """What a family reads its weights through."""

    checkpoint: HasTensors
    rope_style: RopeStyle = "half_split"

    def vector(self, name: str, length: int, *, rotated_heads: int = 0) -> Float32:
        """A small tensor in float32, copied.

        Args:
            rotated_heads: the entries belong to so many rotated heads and come back half-split; 0: as stored.

        Raises:
            HostileFile: it is missing or of another length than the config says.
            NotFinite: it holds NaN or an infinity.
        """
        found = self.plain(name, (length,))
        if rotated_heads and self.rope_style == "interleaved":
            found = half_split(found.reshape(length, 1), rotated_heads).reshape(length)
        return found

    def plain(self, name: str, shape: tuple[int, ...]) -> Float32:
        """A tensor of unquantised numbers in float32, copied.

        Raises:
            HostileFile: it is missing or of another shape than the config says.
            UnsupportedFormat: it is quantised.
            NotFinite: it holds NaN or an infinity.
        """
        tensor = _checked(self.checkpoint.tensor(name), shape)
        found = widen(tensor.raw, tensor.format).reshape(shape)
        if not np.isfinite(found).all():
            raise NotFinite(f"{name} holds numbers that are not finite", hint="get the model again", tensor=name)
        return found

    def matrix(self, name: str, rows: int, cols: int, *, rotated_heads: int = 0) -> PackedMatrix:
        """One matrix, packed in its own format.

        Args:
            rotated_heads: the rows belong to so many rotated heads and come back half-split; 0: as stored.

        Raises:
            HostileFile: it is missing or of another shape than the config says.
            UnsupportedFormat: of a format that no kernel reads.
            NotFinite: a scale or weight is NaN or infinite.
        """
        found = _checked(self.checkpoint.tensor(name), (rows, cols))
        kind, raw = found.format, found.raw
        if kind not in FORMATS:
            raise UnsupportedFormat(
                f"{name} is stored as {found.format}; what is multiplied here is {', '.join(FORMATS)}",
                hint="choose a file quantised to Q4_0, Q4_K_M or Q8_0",
                tensor=name,
            )
        if cols % FORMATS[kind].block:
            raise HostileFile(f"{name} has rows of {cols}, not whole blocks of {FORMATS[kind].block}", tensor=name)
        if rotated_heads and self.rope_style == "interleaved":
            raw = half_split(raw.reshape(rows, -1), rotated_heads).reshape(-1)
        try:
            return pack(kind, raw, rows, cols)
        except NotFinite as exc:
            raise NotFinite(f"{name}: {exc.message}", hint="get the model again", tensor=name, **exc.facts) from exc


def _checked(tensor: RawTensor, shape: tuple[int, ...]) -> RawTensor:
    if tensor.shape != shape:
        raise HostileFile(
            f"{tensor.name} has shape {tensor.shape}; by the model's own measurements it is {shape}",
            hint="config and weights are of different models",
            tensor=tensor.name,
        )
    return tensor
