"""A small GGUF writer that also writes lies."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Entry: TypeAlias = "tuple[str, Any] | None"

TYPES = {
    "uint8": (0, "B"), "int8": (1, "b"), "uint16": (2, "H"), "int16": (3, "h"), "uint32": (4, "I"), "int32": (5, "i"),
    "float32": (6, "f"), "bool": (7, "?"), "uint64": (10, "Q"), "int64": (11, "q"), "float64": (12, "d"),
}  # fmt: skip
FORMATS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8, "BF16": 30}


def string(text: str | bytes, claims: int | None = None) -> bytes:
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw) if claims is None else claims) + raw


def value(kind: str, content: Any) -> bytes:
    """A metadata value with its type in front; `[kind]` is an array, `raw` is taken as it is."""
    if kind == "raw":
        return bytes(content)
    if kind == "string":
        return struct.pack("<I", 8) + string(content)
    if kind.startswith("["):
        inner = kind[1:-1]
        items = [value(inner, one)[4:] for one in content]
        number = 8 if inner == "string" else TYPES[inner][0]
        return struct.pack("<IIQ", 9, number, len(items)) + b"".join(items)
    number, code = TYPES[kind]
    return struct.pack(f"<I{code}", number, content)


@dataclass
class Raw:
    """A tensor; what is not None is written instead of the truth."""

    name: str | bytes
    format: str
    data: NDArray[Any]
    dims: Sequence[int] | None = None
    offset: int | None = None
    type_number: int | None = None
    dim_count: int | None = None


@dataclass
class Gguf:
    """A file; `content()` writes it. Counts, version and alignment may be lied about."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    tensors: Sequence[Raw] = ()
    version: int = 3
    alignment: int = 32
    entry_count: int | None = None
    tensor_count: int | None = None
    extra_entries: bytes = b""
    extra_entry_count: int = 0

    def content(self) -> bytes:
        entries = b"".join(string(key) + value(*entry) for key, entry in self.entries.items() if entry is not None)
        header, data, at = b"", b"", 0
        for one in self.tensors:
            raw = np.ascontiguousarray(one.data).tobytes()
            dims = list(one.data.shape[::-1]) if one.dims is None else list(one.dims)
            header += string(one.name) + struct.pack("<I", len(dims) if one.dim_count is None else one.dim_count)
            header += struct.pack(f"<{len(dims)}Q", *dims)
            number = FORMATS[one.format] if one.type_number is None else one.type_number
            header += struct.pack("<IQ", number, at if one.offset is None else one.offset)
            padded = raw + b"\0" * (-len(raw) % self.alignment)
            data += padded
            at += len(padded)
        counts = (
            len(self.tensors) if self.tensor_count is None else self.tensor_count,
            len(self.entries) + self.extra_entry_count if self.entry_count is None else self.entry_count,
        )
        front = b"GGUF" + struct.pack("<IQQ", self.version, *counts) + entries + self.extra_entries + header
        return front + b"\0" * (-len(front) % self.alignment) + data
