"""Reads safetensors: one mapped file, or a folder of shards with an index.

The header is parsed and bounded here; tensor bytes are only located. Pickled weights are refused by name.

Source: <https://github.com/huggingface/safetensors#format>.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from ikkan.ground.errors import HostileFile, NotFound, TruncatedFile, UnsupportedFormat
from ikkan.models.gguf import MAX_ELEMENTS, map_file
from ikkan.models.values import Bytes, Float32

MAX_HEADER_BYTES: Final = 32 * 2**20
"""The format allows 100 MB; ten thousand tensors take 1.5 MB."""
MAX_JSON_BYTES: Final = 64 * 2**20
"""Of a JSON file beside the weights: a tokenizer of 250,000 words takes 17 MB."""

ITEM_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2,
        "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    }
)  # fmt: skip
PICKLES: Final = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
INDEX: Final = "model.safetensors.index.json"
SINGLE: Final = "model.safetensors"


@dataclass(frozen=True, slots=True)
class TensorView:
    """One tensor's bytes on the mapped file, and how to read them."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """As the file says: `F32`, `F16`, `BF16`, ..."""
    raw: Bytes
    """Read-only, one dimension."""


class SafeTensorsFile:
    """An open safetensors file or folder. Bytes stay mapped until `close` was called and the last view is gone."""

    def __init__(self, path: Path, tensors: Mapping[str, TensorView]) -> None:
        self.path = path
        self.tensors = tensors

    def close(self) -> None:
        """Let go of the mapping. Views that others still hold keep it alive until they go too."""
        self.tensors = {}

    def __enter__(self) -> SafeTensorsFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def float32(self, name: str) -> Float32:
        """A copy of one tensor in float32, in its own shape.

        Raises:
            NotFound: there is no such tensor.
            UnsupportedFormat: it does not hold floating-point numbers of 16, 32 or 64 bits.
        """
        if name not in self.tensors:
            raise NotFound(f"{self.path.name} has no tensor {name!r}", file=self.path.name, tensor=name)
        view = self.tensors[name]
        return widen(view.raw, view.dtype).reshape(view.shape)


def widen(raw: Bytes, dtype: str) -> Float32:
    """Raw little-endian floats of 16, 32 or 64 bits as float32, copied.

    Raises:
        UnsupportedFormat: any other type.

    >>> widen(np.array([0x80, 0x3F], np.uint8), "BF16").tolist()
    [1.0]
    """
    if dtype == "BF16":  # the upper half of a float32
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    kinds = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
    if dtype not in kinds:
        raise UnsupportedFormat(f"tensors of type {dtype} are not read", hint="choose F16, BF16 or F32 weights")
    with np.errstate(over="ignore"):
        return raw.view(kinds[dtype]).astype(np.float32)


def read(path: Path) -> SafeTensorsFile:
    """Open one `.safetensors` file, or a folder that holds `model.safetensors` or shards and their index.

    Raises:
        NotFound: nothing of the kind is there.
        TruncatedFile: a file ends before its own header says it should.
        HostileFile: a header contradicts itself, or the index points outside the folder.
        UnsupportedFormat: an unknown element type, or only pickled weights.
    """
    path = Path(path)
    if not path.is_dir():
        if path.suffix.lower() in PICKLES:
            raise _pickled(path.name)
        return SafeTensorsFile(path, MappingProxyType(_one(path)))
    if (path / INDEX).exists():
        return SafeTensorsFile(path, MappingProxyType(_sharded(path)))
    if (path / SINGLE).exists():
        return SafeTensorsFile(path, MappingProxyType(_one(path / SINGLE)))
    found = sorted(path.glob("*.safetensors"))
    if len(found) == 1:
        return SafeTensorsFile(path, MappingProxyType(_one(found[0])))
    for pickled in sorted(one.name for one in path.iterdir() if one.suffix.lower() in PICKLES):
        raise _pickled(pickled)
    raise NotFound(f"{path} holds no {SINGLE} and no {INDEX}", hint="name a .gguf or .safetensors file", path=path.name)


def _pickled(name: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"{name} is a pickle, and opening a pickle runs code that is in it",
        hint="use the model's .safetensors or .gguf file instead",
        file=name,
    )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file beside the weights, bounded in size and depth.

    Raises:
        NotFound: there is no such file.
        HostileFile: too large, too deep, not JSON, or not an object.
    """
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise HostileFile(f"{path.name} has {size:,} bytes; no such file needs that", file=path.name)
        return parse_object(path.read_bytes(), path.name)
    except OSError as exc:
        raise NotFound(f"cannot open {path}: {exc.strerror}", file=path.name) from exc


def parse_object(raw: bytes, name: str) -> dict[str, Any]:
    """A JSON object without repeated keys.

    Raises:
        HostileFile: anything else.

    >>> parse_object(b'{"a": 1}', "config.json")
    {'a': 1}
    """
    try:
        found = json.loads(raw, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise HostileFile(f"{name} is not sound JSON: {exc}", hint="get the file again", file=name) from exc
    if not isinstance(found, dict):
        raise HostileFile(f"{name} is not a JSON object", hint="get the file again", file=name)
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _sharded(folder: Path) -> dict[str, TensorView]:
    where = read_json(folder / INDEX).get("weight_map")
    if not isinstance(where, dict) or not where:
        raise HostileFile(f"{INDEX} has no weight_map", file=INDEX)
    shards: dict[str, dict[str, TensorView]] = {}
    for shard in _distinct(where.values()):
        plain = isinstance(shard, str) and Path(shard).name == shard and shard.endswith(".safetensors")
        if not plain or "\\" in shard or "\0" in shard:
            raise HostileFile(f"{INDEX} points at {shard!r}, not a safetensors file beside it", file=INDEX)
        if not (folder / shard).is_file():
            raise TruncatedFile(f"{shard} is missing beside {INDEX}", hint="pull the model again", file=shard)
        shards[shard] = _one(folder / shard)
    found: dict[str, TensorView] = {}
    for name, shard in where.items():
        if name not in shards[shard]:
            raise HostileFile(f"{INDEX} promises {name!r} in {shard}, which does not have it", file=shard)
        found[name] = shards[shard][name]
    return found


def _distinct(shards: Iterable[Any]) -> list[Any]:
    return sorted({shard if isinstance(shard, str) else repr(shard) for shard in shards})


def _one(path: Path) -> dict[str, TensorView]:
    whole = np.frombuffer(map_file(path), np.uint8)
    name, size = path.name, len(whole)
    if size < 8:
        raise TruncatedFile(f"{name} has {size} bytes", hint="pull it again", file=name)
    length = int.from_bytes(whole[:8].tobytes(), "little")
    if length > MAX_HEADER_BYTES or length < 2:
        raise HostileFile(f"{name} claims a header of {length:,} bytes", hint="is it a safetensors file?", file=name)
    if length > size - 8:
        raise TruncatedFile(f"{name} ends inside its header", hint="pull it again", file=name)
    raw = whole[8 : 8 + length].tobytes()
    if raw[:1] != b"{":
        raise HostileFile(f"{name} does not begin with a JSON object", hint="is it a safetensors file?", file=name)
    header = parse_object(raw, name)
    header.pop("__metadata__", None)
    data = whole[8 + length :]
    tensors: dict[str, TensorView] = {}
    end = 0
    placed = [(_placed(name, tensor, entry), tensor) for tensor, entry in header.items()]
    for (first, last, dtype, shape), tensor in sorted(placed, key=lambda one: one[0][:2]):
        if first != end:
            raise HostileFile(f"{name}: {tensor!r} begins at {first:,}, where {end:,} was next", file=name)
        if last > len(data):
            raise TruncatedFile(
                f"{name} has {len(data):,} bytes of tensors; {tensor!r} ends at {last:,}",
                hint="the download did not finish: pull it again",
                file=name,
            )
        tensors[tensor] = TensorView(tensor, shape, dtype, data[first:last])
        end = last
    if end != len(data):
        raise HostileFile(f"{name} has {len(data) - end:,} bytes that belong to no tensor", file=name)
    return {tensor: tensors[tensor] for tensor in header}


def _placed(name: str, tensor: str, entry: Any) -> tuple[int, int, str, tuple[int, ...]]:
    fields = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = fields.get("dtype"), _naturals(fields.get("shape")), _naturals(fields.get("data_offsets"))
    if not isinstance(dtype, str) or shape is None or offsets is None or len(offsets) != 2:
        raise HostileFile(f"{name} does not say where {tensor!r} lies", file=name)
    if dtype not in ITEM_BYTES:
        raise UnsupportedFormat(f"{name}: {tensor!r} is of type {dtype!r}, which is not read", file=name)
    elements = 1
    for length in shape:
        elements *= length
        if elements > MAX_ELEMENTS:
            raise HostileFile(f"{name} gives {tensor!r} the shape {shape}", file=name)
    first, last = offsets
    if last - first != elements * ITEM_BYTES[dtype]:
        raise HostileFile(
            f"{name} gives {tensor!r} {last - first:,} bytes for {elements:,} numbers of type {dtype}", file=name
        )
    return first, last, dtype, shape


def _naturals(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list) or len(value) > 16:
        return None
    sound = all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one < 2**63 for one in value)
    return tuple(value) if sound else None
