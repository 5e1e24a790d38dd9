"""Data frames out of R's .rda files, as columns of text. What such a file could run is not there: only data is read.

Without it we would need pandas and xarray through the `rdata` package, for one data set. The format is R's
serialization ("R Internals", section 1.8), versions 2 and 3, in its XDR form; what holds code is refused.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ikkan.ground.errors import HostileFile, TruncatedFile, UnsupportedFormat

_BYTES_AT_MOST = 1 << 30
_NESTED_AT_MOST = 200
_NA = -(2**31)
_NIL, _GLOBAL, _BASE, _EMPTY, _REF, _ALTREP = 254, 253, 241, 242, 255, 238
_SYMBOL, _PAIRS, _CHARS, _LOGICAL, _INTEGER, _REAL, _STRINGS, _LIST = 1, 2, 9, 10, 13, 14, 16, 19

Columns = Mapping[str, Sequence[str]]
"""Name → cells as text; nothing is the empty text."""


class _Value:
    """A vector with its attributes."""

    def __init__(self, data: Any, attributes: Mapping[str, Any]) -> None:
        self.data, self.attributes = data, attributes


def data_frames(path: Path) -> dict[str, Columns]:
    """The data frames of a file, by name; factors as their labels, times as ISO in UTC.

    Raises:
        UnsupportedFormat: it is no .rda file, or holds something else than data.
        TruncatedFile, HostileFile: it breaks off, or unpacks to more than 1 GiB.
    """
    reader = _Reader(_unpacked(path))
    try:
        found = reader.file()
    except (struct.error, IndexError) as exc:
        raise TruncatedFile(f"{path.name} breaks off", hint="copy it again", path=str(path)) from exc
    return {name: _columns(value) for name, value in found.items() if _is_frame(value)}


def _unpacked(path: Path) -> bytes:
    openers: Sequence[tuple[bytes, Callable[..., Any]]] = ((b"BZh", bz2.open), (b"\x1f\x8b", gzip.open),
                                                           (b"\xfd7zXZ", lzma.open))  # fmt: skip
    with path.open("rb") as file:
        magic = file.read(6)
    opener = next((each for begin, each in openers if magic.startswith(begin)), open)
    try:
        with opener(path, "rb") as file:
            data: bytes = file.read(_BYTES_AT_MOST + 1)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as exc:
        raise TruncatedFile(f"{path.name} cannot be unpacked", hint="copy it again", path=str(path)) from exc
    if len(data) > _BYTES_AT_MOST:
        raise HostileFile(f"{path.name} unpacks to more than {_BYTES_AT_MOST:,} bytes", hint="is it the right file?")
    if not data.startswith((b"RDX2\nX\n", b"RDX3\nX\n")):
        raise UnsupportedFormat(f"{path.name} is no .rda file", hint="made by save() in R, in its binary form")
    return data


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 7
        self._refs: list[Any] = []
        self._depth = 0

    def file(self) -> dict[str, Any]:
        version, _, _ = self._ints(3)
        if version == 3:
            self._take(self._int())
        found = self._item()
        return dict(found) if isinstance(found, list) else {}

    def _item(self) -> Any:
        self._depth += 1
        if self._depth > _NESTED_AT_MOST:
            raise HostileFile("the file is nested too deep", hint="is it the right file?")
        try:
            return self._of_kind(self._int())
        finally:
            self._depth -= 1

    def _of_kind(self, flags: int) -> Any:
        kind, has_attributes, has_tag = flags & 0xFF, bool(flags & 0x200), bool(flags & 0x400)
        if kind in (_NIL, _GLOBAL, _BASE, _EMPTY):
            return None
        if kind == _REF:
            return self._refs[(flags >> 8 or self._int()) - 1]
        if kind == _SYMBOL:
            self._refs.append(self._item())
            return self._refs[-1]
        if kind == _PAIRS:
            return self._pairs(has_attributes, has_tag)
        if kind == _CHARS:
            length = self._int()
            return None if length == -1 else self._take(length).decode("utf-8", "replace")
        if kind == _ALTREP:
            return self._compact()
        data = self._vector(kind)
        return _Value(data, dict(self._item() or ()) if has_attributes else {})

    def _vector(self, kind: int) -> Any:
        length = self._int()
        if length < 0:
            raise HostileFile("a vector of more than 2^31 elements", hint="is it the right file?")
        if kind in (_LOGICAL, _INTEGER):
            return np.frombuffer(self._take(4 * length), dtype=">i4")
        if kind == _REAL:
            return np.frombuffer(self._take(8 * length), dtype=">f8")
        if kind in (_STRINGS, _LIST):
            self._there(4 * length)
            return [self._item() for _ in range(length)]
        raise UnsupportedFormat(f"the file holds something else than data (type {kind})", hint="save data frames only")

    def _pairs(self, has_attributes: bool, has_tag: bool) -> list[tuple[str, Any]]:
        # A loop, not recursion: a pair list is as long as it likes.
        found: list[tuple[str, Any]] = []
        while True:
            if has_attributes:
                self._item()
            tag = self._item() if has_tag else ""
            found.append((str(tag), self._item()))
            flags = self._int()
            if flags & 0xFF != _PAIRS:
                self._of_kind(flags)
                return found
            has_attributes, has_tag = bool(flags & 0x200), bool(flags & 0x400)

    def _compact(self) -> Any:
        info, state, attributes = self._item(), self._item(), self._item()
        name = str(info[0][1])
        if name == "compact_intseq":
            count, first, by = (int(each) for each in state.data)
            if not 0 <= count <= 1 << 28:
                raise HostileFile("a sequence of absurd length", hint="is it the right file?")
            return _Value(first + by * np.arange(count), dict(attributes or ()))
        if name.startswith("wrap_"):
            inside = state[0][1] if isinstance(state, list) else state.data[0]
            return _Value(inside.data, dict(attributes or ()) or inside.attributes)
        raise UnsupportedFormat(f"the file holds a {name}", hint="save it with an older version: save(…, version = 2)")

    def _int(self) -> int:
        return self._ints(1)[0]

    def _ints(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f">{count}i", self._take(4 * count))

    def _take(self, length: int) -> bytes:
        self._there(length)
        taken = self._data[self._at : self._at + length]
        self._at += length
        return taken

    def _there(self, length: int) -> None:
        if length < 0 or self._at + length > len(self._data):
            raise IndexError(length)


def _strings(value: Any) -> list[str]:
    return [each or "" for each in value.data] if isinstance(value, _Value) else []


def _is_frame(value: Any) -> bool:
    return isinstance(value, _Value) and "data.frame" in _strings(value.attributes.get("class"))


def _columns(frame: _Value) -> Columns:
    names = _strings(frame.attributes.get("names"))
    return {name: _cells(column) for name, column in zip(names, frame.data, strict=False)}


def _cells(column: Any) -> list[str]:
    classes, data = _strings(column.attributes.get("class")), column.data
    if "factor" in classes:
        labels = _strings(column.attributes.get("levels"))
        return ["" if code == _NA else labels[code - 1] for code in data.tolist()]
    if isinstance(data, list):
        return [each or "" for each in data]
    if "POSIXct" in classes:
        return ["" if moment != moment else datetime.fromtimestamp(moment, UTC).isoformat() for moment in data.tolist()]
    if data.dtype.kind == "f":
        return ["" if each != each else f"{each:.15g}" for each in data.tolist()]
    return ["" if each == _NA else str(each) for each in data.tolist()]
