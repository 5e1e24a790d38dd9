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
    blocks = part.reshape(tiles, TILE_ROWS, cols // GROUP, kind.block_bytes)
    for which, weights, numbers in _parts(kind, out.reshape(tiles, -1), cols // GROUP):
        some = blocks[:, :, which]
        count = some.shape[2]
        if kind.name == "Q8_0":
            plain = (some[..., 2:] ^ 128).reshape(tiles, TILE_ROWS, count, 8, 4)
            weights.reshape(tiles, count, 8, TILE_ROWS, 4)[:] = plain.transpose(0, 2, 3, 1, 4)
        else:
            nibbles = some[..., _META[kind.name] :]  # byte i holds input i and, above it, input i + 16
            both = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).reshape(tiles, TILE_ROWS, count, 4, 2, 4)
            plain = both[..., 0, :] | (both[..., 1, :] << 4)
            weights.reshape(tiles, count, 4, TILE_ROWS, 4)[:] = plain.transpose(0, 2, 3, 1, 4)
        for place in range(0, _META[kind.name], 2):
            halves = some[..., place : place + 2].transpose(0, 2, 1, 3)
            numbers[..., 16 * place : 16 * place + 32].reshape(tiles, count, TILE_ROWS, 2)[:] = halves


_META = {"Q4_0": 2, "Q4_1": 4, "Q8_0": 2}
"""Bytes of scale and minimum in front of a file's block."""


_OFFSET = {"Q4_0": np.float32(8), "Q4_1": np.float32(0), "Q8_0": np.float32(128)}
"""What packed weights are above the numbers they stand for."""


def _parts(kind: Format, tiles: Bytes, groups: int) -> list[tuple[slice, Bytes, Bytes]]:
    """Views of quantised tiles: which groups, their weights and their scales, both (tiles, those groups, bytes)."""
    steps = tiles.reshape(len(tiles), -1, kind.bytes_per_step)
    if not kind.paired:
        return [(slice(None), steps[..., :256], steps[..., 256:])]
    size = kind.bytes_per_step // 2 - 32
    parts = []
    for half in range(2):
        mine = steps[:, : (groups + 1 - half) // 2]
        scales = 2 * size + 32 * half
        weights = mine[..., half * size : half * size + size]
        parts.append((slice(half, None, 2), weights, mine[..., scales : scales + 32]))
    return parts


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
    found = np.empty((wanted.size, cols // GROUP, GROUP), dtype=np.float32)
    places = np.arange(wanted.size)
    for which, weights, numbers in _parts(kind, shaped, cols // GROUP):
        tiles, count = weights.shape[:2]
        if kind.name == "Q8_0":
            bytes_ = weights.reshape(tiles, count, 8, TILE_ROWS, 4)[tile, :, :, lane]
        else:
            both = weights.reshape(tiles, count, 4, TILE_ROWS, 4)[tile, :, :, lane]
            bytes_ = np.stack([both & 15, both >> 4], axis=3)
        plain = bytes_.astype(np.float32).reshape(wanted.size, count, GROUP) - _OFFSET[kind.name]
        halves = numbers[tile].view(np.float16)
        scaled = plain * halves[places, :, lane].astype(np.float32)[..., None]
        if kind.name == "Q4_1":
            scaled += halves[places, :, TILE_ROWS + lane].astype(np.float32)[..., None]
        found[:, which] = scaled
    return found.reshape(wanted.size, cols)
