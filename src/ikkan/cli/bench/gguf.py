"""Writes GGUF files, a tensor at a time, so that a model larger than memory could be written."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FORMATS: Final = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q8_0": (8, 32, 34)}
"""A format's number in the file, weights a block, bytes a block."""

_ALIGNMENT: Final = 32
_TEXT, _ARRAY = 8, 9
_DTYPES: Final = {"u1": 0, "i1": 1, "u2": 2, "i2": 3, "u4": 4, "i4": 5, "f4": 6, "b1": 7, "u8": 10, "i8": 11, "f8": 12}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor to write; its bytes are asked for when its turn comes."""

    name: str
    shape: tuple[int, ...]
    """Rows first."""
    format: str
    content: Callable[[], NDArray[np.uint8]]

    @property
    def nbytes(self) -> int:
        """What it takes in the file."""
        _, block, size = FORMATS[self.format]
        return int(np.prod(self.shape)) // block * size


def write(path: Path, metadata: Mapping[str, Any], tensors: Iterable[Tensor]) -> None:
    """Write a GGUF file; until it is whole it has another name.

    Args:
        path: where; the folder is made.
        metadata: texts, yes or no, whole numbers (32 bits where they fit), real numbers, numpy arrays, and tuples
            of texts.
        tensors: in the order in which they shall lie in the file.
    """
    tensors = list(tensors)
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        head += _text(key) + _value(value)
    at = 0
    for one in tensors:
        number, _, _ = FORMATS[one.format]
        head += _text(one.name) + struct.pack("<I", len(one.shape))
        head += struct.pack(f"<{len(one.shape)}Q", *one.shape[::-1]) + struct.pack("<IQ", number, at)
        at += one.nbytes + -one.nbytes % _ALIGNMENT
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(head + b"\0" * (-len(head) % _ALIGNMENT))
            for one in tensors:
                content = one.content()
                assert content.nbytes == one.nbytes, (one.name, content.nbytes, one.nbytes)
                file.write(np.ascontiguousarray(content).data)
                file.write(b"\0" * (-one.nbytes % _ALIGNMENT))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _TEXT) + _text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        kind, code = (4, "I") if 0 <= value < 2**32 else (11, "q")
        return struct.pack(f"<I{code}", kind, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, tuple):
        return struct.pack("<IIQ", _ARRAY, _TEXT, len(value)) + b"".join(map(_text, value))
    kind = _DTYPES[value.dtype.str[1:]]
    return struct.pack("<IIQ", _ARRAY, kind, len(value)) + np.ascontiguousarray(value).tobytes()
