"""Reads GGUF files: one mapped file of metadata and quantised tensors, as llama.cpp and friends write them.

The header is checked before anything is believed: a file may lie, and nothing here allocates more than the file itself
justifies. Tensor bytes are never read here, only located.

Source: the GGUF specification, versions 2 and 3, <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ikkan.ground.errors import BadFile, HostileFile, NotFound, TruncatedFile, UnsupportedFormat
from ikkan.models.values import Bytes

Value: TypeAlias = "bool | int | float | str | tuple[str, ...] | NDArray[Any]"
"""Numeric and boolean arrays come as read-only numpy arrays, string arrays as tuples."""

MAX_METADATA_BYTES: Final = 256 * 2**20
"""The largest vocabularies need some 20 MB; more is not metadata."""
MAX_ELEMENTS: Final = 2**48

BLOCKS: Final[Mapping[int, tuple[str, int, int]]] = MappingProxyType(
    {
        0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
        7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
        12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
        24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
        30: ("BF16", 1, 2),
    }
)  # fmt: skip
"""Type number in the file: its name, weights a block, bytes a block."""

_STRING, _ARRAY = 8, 9
_SCALARS: Final[Mapping[int, tuple[struct.Struct, str]]] = MappingProxyType(
    {
        0: (struct.Struct("<B"), "u1"), 1: (struct.Struct("<b"), "i1"), 2: (struct.Struct("<H"), "<u2"),
        3: (struct.Struct("<h"), "<i2"), 4: (struct.Struct("<I"), "<u4"), 5: (struct.Struct("<i"), "<i4"),
        6: (struct.Struct("<f"), "<f4"), 7: (struct.Struct("<B"), "u1"), 10: (struct.Struct("<Q"), "<u8"),
        11: (struct.Struct("<q"), "<i8"), 12: (struct.Struct("<d"), "<f8"),
    }
)  # fmt: skip
_BOOL = 7
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """Where one tensor lies, and a view on its bytes."""

    name: str
    shape: tuple[int, ...]
    """Rows first, so the reverse of the order in the file."""
    format: str
    offset: int
    """From the beginning of the file."""
    nbytes: int
    data: Bytes
    """Read-only, one dimension, on the mapped file."""


class GgufFile:
    """An open GGUF file. Its bytes stay mapped until `close` was called and the last tensor view is gone."""

    def __init__(self, path: Path, metadata: Mapping[str, Value], tensors: Mapping[str, GgufTensor]) -> None:
        self.path = path
        self.metadata = metadata
        self.tensors = tensors

    def close(self) -> None:
        """Let go of the mapping. Views that others still hold keep it alive until they go too."""
        self.tensors = {}

    def __enter__(self) -> GgufFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def text(self, key: str, default: str | None = None) -> str:
        """A string of the metadata.

        Raises:
            HostileFile: it is missing and has no default, or is of another type.
        """
        value = self.metadata.get(key, default)
        if not isinstance(value, str):
            raise HostileFile(f"{self.path.name}: {key} is {_kind(value)}, not text", file=self.path.name, key=key)
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number of the metadata; the same number for every layer may also be written as an array.

        Raises:
            HostileFile: it is missing and has no default, or is of another type.
            UnsupportedFormat: it differs between layers.
        """
        value = self.metadata.get(key, default)
        if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.size:
            if np.any(value != value[0]):
                raise UnsupportedFormat(f"{self.path.name}: {key} differs between layers", file=self.path.name, key=key)
            value = int(value[0])
        if isinstance(value, bool) or not isinstance(value, int):
            raise HostileFile(f"{self.path.name}: {key} is {_kind(value)}, not a number", file=self.path.name, key=key)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A real number of the metadata.

        Raises:
            HostileFile: it is missing and has no default, or is of another type.
        """
        value = self.metadata.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise HostileFile(f"{self.path.name}: {key} is {_kind(value)}, not a number", file=self.path.name, key=key)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """A yes or no of the metadata.

        Raises:
            HostileFile: it is of another type.
        """
        value = self.metadata.get(key, default)
        if not isinstance(value, bool):
            raise HostileFile(f"{self.path.name}: {key} is {_kind(value)}, not yes or no", file=self.path.name, key=key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty when it is missing.

        Raises:
            HostileFile: it is of another type.
        """
        value = self.metadata.get(key, ())
        if isinstance(value, np.ndarray) and value.size == 0:
            return ()
        if not isinstance(value, tuple):
            raise HostileFile(f"{self.path.name}: {key} is {_kind(value)}, not texts", file=self.path.name, key=key)
        return value

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers; empty when it is missing.

        Raises:
            HostileFile: it is of another type.
        """
        value = self.metadata.get(key, ())
        if isinstance(value, tuple) and not value:
            return ()
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
            raise HostileFile(f"{self.path.name}: {key} is {_kind(value)}, not numbers", file=self.path.name, key=key)
        return tuple(value.tolist())


def _kind(value: object) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"


def read(path: Path) -> GgufFile:
    """Open a GGUF file: all of its metadata, and where each tensor lies.

    Raises:
        NotFound: there is no such file.
        TruncatedFile: the file ends before its own header says it should.
        HostileFile: the header contradicts itself or asks for absurd sizes.
        UnsupportedFormat: not GGUF, or of a version, byte order or tensor format that is not read here.
    """
    path = Path(path)
    return _Header(path, map_file(path)).file()


def map_file(path: Path) -> memoryview:
    """The bytes of a file, read-only, without reading them; unmapped when the last view on them is gone.

    Raises:
        NotFound: there is no such file.
        TruncatedFile: the file is empty.
    """
    try:
        with path.open("rb") as opened:
            return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
    except ValueError as exc:  # mmap refuses empty files so
        raise TruncatedFile(f"{path.name} is empty", hint="pull it again", file=path.name) from exc
    except OSError as exc:
        raise NotFound(f"cannot open {path}: {exc.strerror}", hint="ikkan model list", file=path.name) from exc


class _Header:
    """A cursor over the header that never steps outside the file."""

    def __init__(self, path: Path, whole: memoryview) -> None:
        self._name = path.name
        self._path = path
        self._whole = whole
        self._at = 0
        self._end = min(len(whole), MAX_METADATA_BYTES)

    def file(self) -> GgufFile:
        if bytes(self._whole[:4]) != b"GGUF":
            raise UnsupportedFormat(
                f"{self._name} is not a GGUF file", hint="GGUF and safetensors are read", file=self._name
            )
        self._at = 4
        version = self._u32()
        if version not in (2, 3):
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in (2, 3)
            what = "is written for big-endian machines" if swapped else f"is GGUF version {version}"
            raise UnsupportedFormat(
                f"{self._name} {what}; versions 2 and 3, little-endian, are read",
                hint="convert the model again with a current tool",
                file=self._name,
            )
        tensor_count, entry_count = self._u64(), self._u64()
        # The smallest entry is an empty key, a type and one byte; the smallest tensor one dimension.
        self._check_count("metadata entries", entry_count, 13)
        self._check_count("tensors", tensor_count, 32)
        metadata = self._metadata(entry_count)
        return GgufFile(self._path, MappingProxyType(metadata), MappingProxyType(self._tensors(tensor_count, metadata)))

    def _metadata(self, count: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for _ in range(count):
            key = self._string(strict=True)
            if key in found:
                raise self._hostile(f"says {key!r} twice")
            found[key] = self._value(self._u32())
        return found

    def _tensors(self, count: int, metadata: Mapping[str, Value]) -> dict[str, GgufTensor]:
        alignment = metadata.get("general.alignment", 32)
        if isinstance(alignment, bool) or not isinstance(alignment, int) or alignment not in _ALIGNMENTS:
            raise self._hostile(f"aligns tensors to {alignment!r} bytes")
        placed = [self._placed() for _ in range(count)]
        base = -(-self._at // alignment) * alignment
        whole = np.frombuffer(self._whole, dtype=np.uint8)
        tensors: dict[str, GgufTensor] = {}
        end, before = base, ""
        for one in sorted(placed, key=lambda one: (one.offset, one.nbytes)):
            first, last = base + one.offset, base + one.offset + one.nbytes
            if one.name in tensors:
                raise self._hostile(f"has tensor {one.name!r} twice")
            if one.offset % alignment:
                raise self._hostile(f"puts {one.name!r} at {one.offset}, not a multiple of {alignment}")
            if first < end:
                raise self._hostile(f"lays {one.name!r} over {before!r}")
            if last > len(whole):
                raise TruncatedFile(
                    f"{self._name} has {len(whole):,} bytes; its tensor {one.name!r} ends at {last:,}",
                    hint="the download did not finish: pull it again",
                    file=self._name,
                )
            data = whole[first:last]
            tensors[one.name] = GgufTensor(one.name, one.shape, one.format, first, one.nbytes, data)
            end, before = last, one.name
        return {one.name: tensors[one.name] for one in placed}

    def _placed(self) -> _Placed:
        name = self._string(strict=True)
        dimensions = self._u32()
        if not 1 <= dimensions <= 4:
            raise self._hostile(f"gives {name!r} {dimensions} dimensions")
        shape = tuple(self._u64() for _ in range(dimensions))[::-1]
        kind, offset = self._u32(), self._u64()
        elements = 1
        for length in shape:
            elements *= length
            if not 0 < elements <= MAX_ELEMENTS:
                raise self._hostile(f"gives {name!r} the shape {shape}")
        if kind not in BLOCKS:
            raise UnsupportedFormat(
                f"{self._name}: {name!r} is stored as type {kind}, which is not read here",
                hint="choose a Q4_0, Q4_K_M, Q8_0 or F16 file of the same model",
                file=self._name,
            )
        format_, block, nbytes = BLOCKS[kind]
        if shape[-1] % block:
            raise self._hostile(f"stores rows of {shape[-1]} in blocks of {block} ({name!r})")
        return _Placed(name, shape, format_, offset, elements // block * nbytes)

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise UnsupportedFormat(f"{self._name} has a metadata value of unknown type {kind}", file=self._name)
        layout, _ = _SCALARS[kind]
        (value,) = layout.unpack_from(self._whole, self._take(layout.size))
        found: int | float = value
        return bool(found) if kind == _BOOL else found

    def _array(self) -> Value:
        kind, count = self._u32(), self._u64()
        if kind == _STRING:
            self._check_count("strings", count, 8)
            return tuple(self._string() for _ in range(count))
        if kind == _ARRAY:
            raise UnsupportedFormat(f"{self._name} has arrays of arrays in its metadata", file=self._name)
        if kind not in _SCALARS:
            raise UnsupportedFormat(f"{self._name} has a metadata array of unknown type {kind}", file=self._name)
        layout, dtype = _SCALARS[kind]
        self._check_count("numbers", count, layout.size)
        at = self._take(count * layout.size)
        values: NDArray[Any] = np.frombuffer(self._whole, dtype, count, at).copy()
        if kind == _BOOL:
            values = values.astype(np.bool_)
        values.flags.writeable = False
        return values

    def _string(self, *, strict: bool = False) -> str:
        length = self._u64()
        at = self._take(length)
        raw = bytes(self._whole[at : at + length])
        try:
            return raw.decode("utf-8", "strict" if strict else "replace")
        except UnicodeDecodeError as exc:
            raise self._hostile("has a name that is not UTF-8") from exc

    def _u32(self) -> int:
        return int(_U32.unpack_from(self._whole, self._take(4))[0])

    def _u64(self) -> int:
        return int(_U64.unpack_from(self._whole, self._take(8))[0])

    def _take(self, nbytes: int) -> int:
        """Step over `nbytes` that are there; return where they begin."""
        at = self._at
        if nbytes > self._end - at:
            raise self._too_much(f"a value of {nbytes:,} bytes", nbytes)
        self._at = at + nbytes
        return at

    def _check_count(self, what: str, count: int, least_bytes: int) -> None:
        if count * least_bytes > self._end - self._at:
            raise self._too_much(f"{count:,} {what}", count * least_bytes)

    def _too_much(self, what: str, nbytes: int) -> BadFile:
        if nbytes > MAX_METADATA_BYTES or self._end < len(self._whole):
            return self._hostile(f"claims {what}, more than a header can hold")
        return TruncatedFile(
            f"{self._name} ends at byte {len(self._whole):,}, inside its header (it promises {what})",
            hint="the download did not finish: pull it again",
            file=self._name,
        )

    def _hostile(self, what: str) -> HostileFile:
        return HostileFile(f"{self._name} {what}", hint="get the file from its original source again", file=self._name)


_ALIGNMENTS: Final = frozenset(2**n for n in range(3, 17))


@dataclass(frozen=True, slots=True)
class _Placed:
    name: str
    shape: tuple[int, ...]
    format: str
    offset: int
    nbytes: int
