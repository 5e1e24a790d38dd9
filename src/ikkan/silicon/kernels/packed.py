"""Weights as a file has them, turned into the order in which the tiles read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.ground.errors import HostileFile, NotFinite, TruncatedFile, UnsupportedFormat
from ikkan.silicon.kernels.formats import FORMATS, GROUP, TILE_ROWS, Format

Float32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_ALIGNMENT = 64
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class PackedMatrix:
    """A weight matrix `(rows, cols)` as the tiles read it. Made by `pack`; never changed."""

    format: str
    rows: int
    cols: int
    data: Bytes
    """Tiles of 16 rows, one after the other, from an address that is a multiple of 64."""

    @property
    def kind(self) -> Format:
        """The format's sizes."""
        return FORMATS[self.format]

    @property
    def code(self) -> int:
        """How compiled code knows the format."""
        return self.kind.code

    @property
    def quantized(self) -> bool:
        """It multiplies rounded activations; otherwise float32 ones."""
        return self.kind.quantized

    @property
    def address(self) -> int:
        """Where the data starts; valid while this value lives."""
        return int(self.data.ctypes.data)

    @property
    def nbytes(self) -> int:
        """What it holds in memory."""
        return int(self.data.nbytes)


def aligned(count: int, dtype: Any = np.uint8, *, zero: bool = False) -> NDArray[Any]:
    """A flat array that starts at a multiple of 64; with `zero` its pages cost nothing until they are written."""
    size = count * np.dtype(dtype).itemsize
    room: NDArray[np.uint8] = (np.zeros if zero else np.empty)(size + _ALIGNMENT, dtype=np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    return room[start : start + size].view(dtype)


def pack(format: str, raw: Bytes, rows: int, cols: int) -> PackedMatrix:
    """Reorder a matrix's bytes so that a multiplication reads them once, forwards.

    Args:
        format: "Q4_0", "Q4_1", "Q8_0", "F16" or "F32".
        raw: the bytes as in a GGUF file, row after row; left untouched and not kept.
        rows: outputs; any number.
        cols: inputs; a multiple of 32 if quantised, else any number.

    Raises:
        NotFinite: a scale or weight is NaN or infinite; `facts["row"]` is the first such row.
        UnsupportedFormat: another format.
        TruncatedFile, HostileFile: the sizes do not belong together.

    >>> identity = np.eye(3, dtype=np.float32)
    >>> pack("F32", identity.reshape(-1).view(np.uint8), 3, 3).rows
    3
    """
    if format not in FORMATS:
        raise UnsupportedFormat(
            f"weights are stored as {format}; the kernels read {', '.join(FORMATS)}",
            hint="choose a file quantised to one of these",
            format=format,
        )
    kind = FORMATS[format]
    if rows < 1 or cols < 1 or cols % kind.block:
        raise HostileFile(f"a {format} matrix cannot be {rows} x {cols}", hint="the file is damaged; pull it again")
    raw = np.ascontiguousarray(raw).reshape(-1).view(np.uint8)
    if raw.nbytes != kind.raw_bytes(rows, cols):
        raise TruncatedFile(
            f"a {format} matrix of {rows} x {cols} takes {kind.raw_bytes(rows, cols):,} bytes, not {raw.nbytes:,}",
            hint="the file is damaged; pull it again",
        )
    data = aligned(kind.packed_bytes(rows, cols))
    row_bytes, tile_bytes = kind.raw_bytes(1, cols), kind.tile_bytes(cols)
    for start in range(0, rows, _ROWS_AT_ONCE):  # a vocabulary at once would need its size several times over
        stop = min(start + _ROWS_AT_ONCE, rows)
        tiles = -(-(stop - start) // TILE_ROWS)
        part = raw[start * row_bytes : stop * row_bytes].reshape(stop - start, row_bytes)
        _check_finite(kind, part, start)
        if tiles * TILE_ROWS != stop - start:
            full = np.zeros((tiles * TILE_ROWS, row_bytes), dtype=np.uint8)
            full[: stop - start] = part
            part = full
        first = start // TILE_ROWS * tile_bytes
        _fill(kind, part, cols, data[first : first + tiles * tile_bytes])
    return PackedMatrix(format, rows, cols, data)


def pack_f32(array: Float32) -> PackedMatrix:
    """Pack a float32 matrix `(rows, cols)` as it is.

    Raises:
        NotFinite: a weight is NaN or infinite.
    """
    assert array.ndim == 2
    rows, cols = array.shape
    return pack("F32", np.ascontiguousarray(array, dtype=np.float32).reshape(-1).view(np.uint8), rows, cols)


def _check_finite(kind: Format, part: Bytes, first_row: int) -> None:
    if kind.quantized:
        blocks = part.reshape(part.shape[0], -1, kind.block_bytes)
        numbers = np.ascontiguousarray(blocks[..., : 4 if kind.name == "Q4_1" else 2]).view(np.float16)
    else:
        numbers = part.view(np.float16 if kind.name == "F16" else np.float32)
    fine = np.isfinite(numbers).reshape(part.shape[0], -1).all(axis=1)
    if not fine.all():
        row = first_row + int(np.argmin(fine))
        raise NotFinite(
            f"row {row} of a {kind.name} matrix holds a number that is not finite",
            hint="the file is damaged or its training diverged; pull another",
            row=row,
        )


def _fill(kind: Format, part: Bytes, cols: int, out: Bytes) -> None:
    """Whole tiles only: `part` has a multiple of 16 rows."""
    tiles = part.shape[0] // TILE_ROWS
    if not kind.quantized:
        dtype = np.float16 if kind.name == "F16" else np.float32
        packed = out.view(dtype).reshape(tiles, kind.padded_cols(cols), TILE_ROWS)
        packed[:, :cols] = part.view(dtype).reshape(tiles, TILE_ROWS, cols).transpose(0, 2, 1)
        packed[:, cols:] = 0
        return
    groups = cols // GROUP
    blocks = part.reshape(tiles, TILE_ROWS, groups, kind.block_bytes)
    steps, behind = _views(kind, out.reshape(tiles, -1), groups)
    if kind.name == "Q8_0":
        weights = (blocks[..., 2:] ^ 128).reshape(tiles, TILE_ROWS, groups, 8, 4)
        steps[..., :512].reshape(tiles, groups, 8, TILE_ROWS, 4)[:] = weights.transpose(0, 2, 3, 1, 4)
        numbers = blocks[..., :2]
    else:
        meta = 4 if kind.name == "Q4_1" else 2
        nibbles = blocks[..., meta:]  # byte i holds input i and, above it, input i + 16
        plain = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).reshape(tiles, TILE_ROWS, groups, 4, 2, 4)
        pairs = plain[..., 0, :] | (plain[..., 1, :] << 4)
        steps[..., :256].reshape(tiles, groups, 4, TILE_ROWS, 4)[:] = pairs.transpose(0, 2, 3, 1, 4)
        numbers = blocks[..., :meta]
    for place in range(0, numbers.shape[-1], 2):
        halves = numbers[..., place : place + 2].transpose(0, 2, 1, 3)
        behind[..., 16 * place : 16 * place + 32].reshape(tiles, groups, TILE_ROWS, 2)[:] = halves


def _views(kind: Format, tiles: Bytes, groups: int) -> tuple[Bytes, Bytes]:
    """Of quantised tiles, both (tiles, groups, bytes): the weights, and the scales and minimums."""
    end = groups * kind.bytes_per_step
    steps = tiles[:, :end].reshape(-1, groups, kind.bytes_per_step)
    if not kind.bytes_behind:
        return steps[..., :256], steps[..., 256:]
    return steps, tiles[:, end : end + groups * kind.bytes_behind].reshape(-1, groups, kind.bytes_behind)


def dequantize(packed: PackedMatrix) -> Float32:
    """The float32 matrix `(rows, cols)` that the packed one stands for, exactly."""
    return rows(packed, np.arange(packed.rows))


def rows(packed: PackedMatrix, ids: Sequence[int] | NDArray[Any]) -> Float32:
    """Some rows in float32 `(n, cols)`: an embedding's lookup. Each id must be a row."""
    wanted = np.asarray(ids, dtype=np.int64).reshape(-1)
    assert wanted.size == 0 or (wanted.min() >= 0 and wanted.max() < packed.rows)
    kind, cols = packed.kind, packed.cols
    tile, lane = wanted // TILE_ROWS, wanted % TILE_ROWS
    shaped = packed.data.reshape(-1, kind.tile_bytes(cols))
    if not kind.quantized:
        dtype = np.float16 if kind.name == "F16" else np.float32
        plain = shaped.view(dtype).reshape(-1, kind.padded_cols(cols), TILE_ROWS)
        return plain[tile, :cols, lane].astype(np.float32)
    groups = cols // GROUP
    steps, behind = _views(kind, shaped, groups)
    if kind.name == "Q8_0":
        bytes_ = steps.reshape(-1, groups, 8, TILE_ROWS, 4)[tile, :, :, lane]
        weights = bytes_.astype(np.float32) - np.float32(128)
    else:
        bytes_ = steps.reshape(-1, groups, 4, TILE_ROWS, 4)[tile, :, :, lane]
        weights = np.stack([bytes_ & 15, bytes_ >> 4], axis=3).astype(np.float32)
        if kind.name == "Q4_0":
            weights -= np.float32(8)
    numbers = behind[tile].view(np.float16)
    places = np.arange(wanted.size)
    scales = numbers[places, :, lane].astype(np.float32)
    found = weights.reshape(wanted.size, groups, GROUP) * scales[..., None]
    if kind.name == "Q4_1":
        found += numbers[places, :, TILE_ROWS + lane].astype(np.float32)[..., None]
    return found.reshape(wanted.size, cols)
