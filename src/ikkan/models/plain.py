"""A model's weights as plain float32 numbers: for whoever computes with something other than our kernels.

Plain numpy, no kernels. What a block format stands for is said here a second time, slowly: the kernels pack the same
bytes in `silicon/kernels`, and `tests/models/test_plain.py` compares the two, bit by bit.

Source: the block layouts of ggml (`ggml-common.h`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ikkan.ground.errors import HostileFile, NotFinite
from ikkan.models.checkpoint import Checkpoint
from ikkan.models.gguf import BLOCKS
from ikkan.models.safetensors import widen
from ikkan.models.values import Bytes, DecoderConfig, Float32, RawTensor


def read_plain(checkpoint: Checkpoint, name: str, shape: tuple[int, ...], *, rotated_heads: int = 0) -> Float32:
    """One tensor of a decoder in float32, copied, rows of q and k half-split.

    Args:
        name: canonical (see `models/checkpoint.py`).
        shape: what the model's own measurements say.
        rotated_heads: the rows belong to so many rotated heads and come back half-split; 0: as stored.

    Raises:
        HostileFile: it is missing, or of another shape than the measurements say.
        UnsupportedFormat: of a block format that is not read.
        NotFinite: it holds NaN or an infinity.
    """
    tensor = checkpoint.tensor(name)
    if tensor.shape != shape:
        raise HostileFile(
            f"{name} has shape {tensor.shape}; by the model's own measurements it is {shape}",
            hint="config and weights are of different models",
            tensor=name,
        )
    found = float32(tensor)
    if not np.isfinite(found).all():
        raise NotFinite(f"{name} holds numbers that are not finite", hint="get the model again", tensor=name)
    config = checkpoint.config
    if rotated_heads and isinstance(config, DecoderConfig) and config.rope_style == "interleaved":
        found = half_split(found.reshape(shape[0], -1), rotated_heads).reshape(shape)
    return found


def float32(tensor: RawTensor) -> Float32:
    """What a tensor's bytes stand for, in its own shape.

    Raises:
        UnsupportedFormat: of a block format that is not read.
        HostileFile: its rows are not whole blocks.

    >>> float32(RawTensor("w", (2,), "BF16", np.array([0x80, 0x3F, 0, 0], np.uint8))).tolist()
    [1.0, 0.0]
    """
    if tensor.format not in _READ:
        return widen(tensor.raw, tensor.format).reshape(tensor.shape)
    block, nbytes = _SIZES[tensor.format]
    if tensor.shape[-1] % block or len(tensor.raw) * block != nbytes * int(np.prod(tensor.shape)):
        raise HostileFile(f"{tensor.name} does not consist of whole blocks of {block}", tensor=tensor.name)
    with np.errstate(invalid="ignore", over="ignore"):
        values: Float32 = _READ[tensor.format](tensor.raw.reshape(-1, nbytes))
    return values.reshape(tensor.shape)


def half_split(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Reorder rows whose rotation partners stand side by side so that they stand half a head apart.

    Whole rows move, so it works on quantised bytes as well; the rotation then needs one form only.

    >>> half_split(np.arange(8).reshape(8, 1), heads=2).ravel().tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    return rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


# --- block formats: each takes (blocks, bytes of a block) and gives (blocks, weights of a block) ----------------------


def _halves(blocks: Bytes, at: int) -> Float32:
    return np.ascontiguousarray(blocks[:, at : at + 2]).view("<f2").astype(np.float32)


def _nibbles(blocks: Bytes) -> Bytes:
    return np.concatenate([blocks & 15, blocks >> 4], axis=1)


def _fifth_bits(blocks: Bytes) -> Bytes:
    bits = np.unpackbits(np.ascontiguousarray(blocks), axis=1, bitorder="little")
    return bits << np.uint8(4)


def _q4_0(blocks: Bytes) -> Float32:
    return (_nibbles(blocks[:, 2:]).astype(np.float32) - 8) * _halves(blocks, 0)


def _q4_1(blocks: Bytes) -> Float32:
    return _nibbles(blocks[:, 4:]).astype(np.float32) * _halves(blocks, 0) + _halves(blocks, 2)


def _q5_0(blocks: Bytes) -> Float32:
    levels = _nibbles(blocks[:, 6:]) | _fifth_bits(blocks[:, 2:6])
    return (levels.astype(np.float32) - 16) * _halves(blocks, 0)


def _q5_1(blocks: Bytes) -> Float32:
    levels = _nibbles(blocks[:, 8:]) | _fifth_bits(blocks[:, 4:8])
    return levels.astype(np.float32) * _halves(blocks, 0) + _halves(blocks, 2)


def _q8_0(blocks: Bytes) -> Float32:
    return blocks[:, 2:].view(np.int8).astype(np.float32) * _halves(blocks, 0)


def _small_scales(packed: Bytes) -> tuple[Bytes, Bytes]:
    """Eight scales and eight minimums of six bits each, out of twelve bytes."""
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([first & 63, (third & 15) | ((first >> 2) & 48)], axis=1)
    minimums = np.concatenate([second & 63, (third >> 4) | ((second >> 2) & 48)], axis=1)
    return scales, minimums


def _with_minimums(blocks: Bytes, levels: Bytes) -> Float32:
    scales, minimums = _small_scales(blocks[:, 4:16])
    by_scale = (_halves(blocks, 0) * scales)[:, :, None]
    result: Float32 = by_scale * levels - (_halves(blocks, 2) * minimums)[:, :, None]
    return result.reshape(len(blocks), 256)


def _by_group(packed: Bytes) -> Bytes:
    """Of 128 bytes, eight groups of 32 nibbles: the low ones of 32 bytes, then the high ones of the same."""
    lines = packed.reshape(-1, 4, 1, 32)
    return np.concatenate([lines & 15, lines >> 4], axis=2).reshape(-1, 8, 32)


def _q4_k(blocks: Bytes) -> Float32:
    return _with_minimums(blocks, _by_group(blocks[:, 16:]))


def _q5_k(blocks: Bytes) -> Float32:
    shifts = np.arange(8, dtype=np.uint8)[None, :, None]
    fifth = ((blocks[:, None, 16:48] >> shifts) & 1) * 16
    return _with_minimums(blocks, _by_group(blocks[:, 48:]) + fifth.astype(np.uint8))


def _q6_k(blocks: Bytes) -> Float32:
    lines = blocks[:, :128].reshape(-1, 2, 1, 64)
    low = np.concatenate([lines & 15, lines >> 4], axis=2).reshape(-1, 8, 32)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[None, None, :, None]
    levels = (low | ((high & 3) << np.uint8(4)).reshape(-1, 8, 32)).astype(np.float32) - 32
    scales = np.ascontiguousarray(blocks[:, 192:208]).view(np.int8) * _halves(blocks, 208)
    result: Float32 = scales[:, :, None] * levels.reshape(-1, 16, 16)
    return result.reshape(len(blocks), 256)


_READ: Final[Mapping[str, Callable[[Bytes], Float32]]] = {
    "Q4_0": _q4_0, "Q4_1": _q4_1, "Q5_0": _q5_0, "Q5_1": _q5_1, "Q8_0": _q8_0,
    "Q4_K": _q4_k, "Q5_K": _q5_k, "Q6_K": _q6_k,
}  # fmt: skip
_SIZES: Final = {name: (block, nbytes) for name, block, nbytes in BLOCKS.values()}
