"""Weights as a file has them, turned into the order in which the tiles read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.ground.errors import HostileFile, NotFinite, TruncatedFile, UnsupportedFormat
from ikkan.silicon.kernels.formats import FORMATS, GROUP, OFFSETS, SHARED_BYTES, TILE_ROWS, WEIGHT_BYTES, Format
from ikkan.silicon.kernels.memory import lasting

Float32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]

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


def pack(format: str, raw: Bytes, rows: int, cols: int) -> PackedMatrix:
    """Reorder a matrix's bytes so that a multiplication reads them once, forwards.

    Args:
        format: a name in `FORMATS`.
        raw: the bytes as in a GGUF file, row after row; left untouched and not kept.
        rows: outputs; any number.
        cols: inputs; a multiple of 32 if quantised, of 256 in a format of super-blocks, else any number.

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
    data = lasting(kind.packed_bytes(rows, cols))
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
    if kind.name == "BF16":
        fine = (part.view(np.uint16) & 0x7F80) != 0x7F80
    elif kind.quantized:
        fine = np.isfinite(_halves(kind, part.reshape(part.shape[0], -1, kind.block_bytes)))
    else:
        fine = np.isfinite(part.view(_floats(kind)))
    sound = fine.reshape(part.shape[0], -1).all(axis=1)
    if not sound.all():
        row = first_row + int(np.argmin(sound))
        raise NotFinite(
            f"row {row} of a {kind.name} matrix holds a number that is not finite",
            hint="the file is damaged or its training diverged; pull another",
            row=row,
        )


# A file's blocks: (rows, blocks of a row, bytes).


def _floats(kind: Format) -> Any:
    """BF16 is moved as whole numbers of the same width."""
    return {"F16": np.float16, "F32": np.float32, "BF16": np.uint16}[kind.name]


def _halves(kind: Format, blocks: Bytes) -> NDArray[np.float16]:
    """The scale of each block, and its minimum where it has one."""
    first, last = {"Q4_0": (0, 2), "Q8_0": (0, 2), "Q5_0": (0, 2), "Q6_K": (208, 210)}.get(kind.name, (0, 4))
    return np.ascontiguousarray(blocks[..., first:last]).view(np.float16)


_1, _3, _4, _6, _15, _63 = (np.uint8(one) for one in (1, 3, 4, 6, 15, 63))


def _unsigned(kind: Format, blocks: Bytes) -> Bytes:
    """Each weight as a byte, `OFFSETS` above the number it stands for: (rows, blocks of a row, block).

    Source: the block layouts of ggml, <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>.
    """
    name, shape = kind.name, (*blocks.shape[:2], -1, GROUP)
    plain: Bytes
    if name == "Q8_0":
        plain = blocks[..., 2:] ^ np.uint8(128)
        return plain
    bit = np.arange(8, dtype=np.uint8)[:, None]
    if name == "Q6_K":  # two runs of 128 weights: four groups share the nibbles of 64 bytes and the pairs of bits of 32
        low = blocks[..., :128].reshape(*blocks.shape[:2], 2, 1, 2, GROUP) >> bit[:5:4, None] & _15
        high = blocks[..., 128:192].reshape(*blocks.shape[:2], 2, 1, GROUP) >> bit[::2] & _3
        plain = low.reshape(shape) | high.reshape(shape) << _4
        return plain.reshape(*blocks.shape[:2], -1)
    if name in ("Q4_K", "Q5_K"):  # 64 weights share 32 bytes: the first half below, the second above
        plain = blocks[..., -128:].reshape(*blocks.shape[:2], 4, 1, GROUP) >> bit[:5:4] & _15
        plain = plain.reshape(shape)
        if name == "Q5_K":
            plain |= (blocks[..., 16:48].reshape(*blocks.shape[:2], 1, GROUP) >> bit & _1) << _4
        return plain.reshape(*blocks.shape[:2], -1)
    plain = (blocks[..., None, -16:] >> bit[:5:4] & _15).reshape(*blocks.shape[:2], GROUP)
    if name in ("Q5_0", "Q5_1"):
        plain |= np.unpackbits(blocks[..., -20:-16], axis=-1, bitorder="little") << _4
    return plain


def _small(kind: Format, blocks: Bytes) -> Bytes:
    """What a super-block's groups multiply its scale with: (rows, blocks of a row, 8 groups, 2).

    Scale and minimum of 6 bits; of Q6_K the signed scales of a group's two halves.
    """
    if kind.name == "Q6_K":
        return blocks[..., 192:208].reshape(*blocks.shape[:2], 8, 2)
    scales, minimums, rest = (blocks[..., at : at + 4] for at in (4, 8, 12))
    later = rest & _15 | scales >> _6 << _4, rest >> _4 | minimums >> _6 << _4
    both = [np.concatenate([first & _63, last], axis=-1) for first, last in zip((scales, minimums), later, strict=True)]
    return np.stack(both, axis=-1)


# Packed tiles: (tiles, steps that stand together, which of them, ...).


@dataclass(frozen=True, slots=True)
class _Places:
    """Views of quantised tiles by what stands there."""

    lines: Bytes
    """Weights: (tiles, outer, inner, lines of 64, row, 4)."""
    halves: NDArray[np.float16]
    """Scales, then minimums: (tiles, outer, inner, 1 or 2, row); of a super-block `inner` is 1."""
    small: Bytes
    """Of a super-block: (tiles, outer, group, 2, row)."""

    @classmethod
    def of(cls, kind: Format, tiles: Bytes) -> _Places:
        """The places in bytes (tiles, bytes of a tile)."""
        steps = tiles.reshape(len(tiles), -1, kind.bytes_per_step)
        front, size = SHARED_BYTES if kind.shared else 0, WEIGHT_BYTES[kind.name]
        outer, inner = steps.shape[1], kind.together
        last = front + inner * size
        lines = steps[..., front:last].reshape(len(tiles), outer, inner, size // 64, TILE_ROWS, 4)
        if kind.shared:
            halves = steps[..., :64].view(np.float16).reshape(len(tiles), outer, 1, 2, TILE_ROWS)
            return cls(lines, halves, steps[..., 64:front].reshape(len(tiles), outer, inner, 2, TILE_ROWS))
        halves = steps[..., last:].view(np.float16).reshape(len(tiles), outer, inner, -1, TILE_ROWS)
        return cls(lines, halves, steps[..., :0])


def _fill(kind: Format, part: Bytes, cols: int, out: Bytes) -> None:
    """Whole tiles only: `part` has a multiple of 16 rows."""
    tiles = part.shape[0] // TILE_ROWS
    if not kind.quantized:
        dtype = _floats(kind)
        packed = out.view(dtype).reshape(tiles, kind.padded_cols(cols), TILE_ROWS)
        packed[:, :cols] = part.view(dtype).reshape(tiles, TILE_ROWS, cols).transpose(0, 2, 1)
        packed[:, cols:] = 0
        return
    places = _Places.of(kind, out.reshape(tiles, -1))
    outer, inner, count = places.lines.shape[1:4]
    blocks = part.reshape(tiles * TILE_ROWS, -1, kind.block_bytes)
    if kind.paired and blocks.shape[1] % 2:
        blocks = np.pad(blocks, ((0, 0), (0, 1), (0, 0)))
    fours = _unsigned(kind, blocks).reshape(tiles, TILE_ROWS, outer, inner, 8, 4).transpose(0, 2, 3, 4, 1, 5)
    if kind.name == "Q8_0":
        places.lines[:] = fours
    else:
        places.lines[..., :4, :, :] = fours[..., 0::2, :, :] & 15 | fours[..., 1::2, :, :] << 4
        for line in range(4, count):  # above the nibbles: one bit of eight fours, or two bits of four
            across = 8 // (count - 4)
            high = fours[..., (line - 4) * across : (line - 3) * across, :, :] >> 4
            shift = np.arange(0, 8, 8 // across, dtype=np.uint8)[:, None, None]
            places.lines[..., line, :, :] = np.bitwise_or.reduce(high << shift, axis=3)
    halves = _halves(kind, blocks)
    if kind.shared:
        signs = np.array([1, -1], np.float16)[: halves.shape[-1]]  # minimums are subtracted
        numbers = (halves * signs).reshape(tiles, TILE_ROWS, outer, 1, -1)
        small = _small(kind, blocks).reshape(tiles, TILE_ROWS, outer, inner, 2)
        places.small[:] = small.transpose(0, 2, 3, 4, 1)
        places.halves[..., 1, :] = 0
    else:
        numbers = halves.reshape(tiles, TILE_ROWS, outer, inner, -1)
    places.halves[..., : numbers.shape[-1], :] = numbers.transpose(0, 2, 3, 4, 1)


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
        plain = shaped.view(_floats(kind)).reshape(-1, kind.padded_cols(cols), TILE_ROWS)[tile, :cols, lane]
        wide: Float32 = (plain.astype(np.uint32) << 16).view(np.float32) if kind.name == "BF16" else plain
        return wide.astype(np.float32)
    places = _Places.of(kind, shaped)
    lines = places.lines[tile, :, :, :, lane]  # (n, outer, inner, lines, 4)
    if kind.name == "Q8_0":
        fours = lines
    else:
        fours = np.stack([lines[..., :4, :] & 15, lines[..., :4, :] >> 4], axis=-2).reshape(*lines.shape[:3], 8, 4)
        planes = lines.shape[3] - 4
        if planes:
            shift = np.arange(0, 8, planes, dtype=np.uint8)[:, None]
            high = lines[..., 4:, None, :] >> shift & np.uint8(2**planes - 1)
            fours |= high.reshape(fours.shape) << 4
    weights = fours.reshape(*fours.shape[:3], 2, GROUP // 2).astype(np.float32) - np.float32(OFFSETS[kind.name])
    halves = places.halves[tile, ..., lane].astype(np.float32)  # (n, outer, inner, 1 or 2)
    scales = halves[..., :1]
    minimums = halves[..., 1:]
    if kind.shared:
        small = places.small[tile, ..., lane]  # (n, outer, inner, 2)
        if kind.name == "Q6_K":
            scales, minimums = scales * small.view(np.int8).astype(np.float32), minimums[..., :0]
        else:
            scales, minimums = scales * small[..., :1], minimums * small[..., 1:]
    found = weights * scales[..., None]
    if minimums.shape[-1]:
        found += minimums[..., None]
    return found.reshape(wanted.size, places.lines.shape[1] * kind.together * GROUP)[:, :cols]
