"""Plain numbers are what the kernels multiply with, and what the format's own package reads."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from ikkan.ground.errors import HostileFile, UnsupportedFormat
from ikkan.models.plain import float32
from ikkan.models.values import RawTensor
from ikkan.silicon.kernels import FORMATS, dequantize, pack

SCALES_AT = {"Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "Q4_1": (0, 2), "Q5_1": (0, 2), "F16": (0,), "F32": ()}
ROWS, COLS = 32, 512


def random_tensor(kind: str) -> RawTensor:
    form = FORMATS[kind]
    random = np.random.default_rng(3)
    blocks = random.integers(0, 256, (ROWS * COLS // form.block, form.block_bytes), dtype=np.uint8)
    for at in SCALES_AT.get(kind, (0,)):
        scales = random.uniform(-1e-2, 1e-2, len(blocks)).astype(np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return RawTensor("w", (ROWS, COLS), kind, blocks.reshape(-1))


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "F16", "BF16"])
def test_plain_numbers_are_those_of_the_kernels_and_of_the_formats_own_package(kind: str) -> None:
    tensor = random_tensor(kind)
    ours = float32(tensor)
    packed = dequantize(pack(kind, tensor.raw, ROWS, COLS))
    theirs = gguf.quants.dequantize(tensor.raw.reshape(ROWS, -1), gguf.GGMLQuantizationType[kind])
    np.testing.assert_array_equal(ours, packed)
    np.testing.assert_array_equal(ours, theirs)


def test_what_is_not_read_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedFormat):
        float32(RawTensor("w", (1, 256), "Q2_K", np.zeros(84, np.uint8)))
    with pytest.raises(HostileFile):
        float32(RawTensor("w", (2, 16), "Q8_0", np.zeros(34, np.uint8)))
