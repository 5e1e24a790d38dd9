"""Matrices and activations for tests, made from a seed: ordinary ones, and those in odd corners of real files."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ikkan.silicon.kernels import FORMATS

SHAPES = st.tuples(st.sampled_from([1, 2, 15, 16, 17, 33, 100]), st.sampled_from([1, 2, 3, 5, 9]))
"""Rows and groups of 32 inputs."""
BATCHES = st.sampled_from([1, 2, 3, 7, 8, 9, 17])
SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.sampled_from(["ordinary", "zero", "tiny", "huge", "mixed"])

_EXPONENTS = {"ordinary": (-8, -4), "zero": (0, 0), "tiny": (-24, -16), "huge": (6, 15), "mixed": (-24, 15)}


def blocks(format: str, rows: int, cols: int, seed: int, scales: str = "ordinary") -> NDArray[np.uint8]:
    """The bytes of a matrix as a GGUF file has them: every bit pattern of weights, scales of the asked size."""
    random, kind = np.random.default_rng(seed), FORMATS[format]
    low, high = _EXPONENTS[scales]

    def halves(*shape: int) -> NDArray[np.float16]:
        sizes = random.uniform(1, 1.9, shape) * 2.0 ** random.integers(low, high, shape, endpoint=True)
        return (sizes * random.choice([-1, 1], shape) * (scales != "zero")).astype(np.float16)

    if not kind.quantized:
        numbers: NDArray[Any] = halves(rows, cols)
        return numbers.astype({"F16": np.float16, "F32": np.float32}[format]).reshape(-1).view(np.uint8)
    made = random.integers(0, 256, (rows, cols // 32, kind.block_bytes), dtype=np.uint8)
    width = {"Q4_0": 2, "Q4_1": 4, "Q8_0": 2}[format]
    made[..., :width] = halves(rows, cols // 32, width // 2).view(np.uint8)
    return made.reshape(-1)


def activations(n: int, cols: int, seed: int, scales: str = "ordinary") -> NDArray[np.float32]:
    """Rows as a model has them: some entries far larger than the rest, some groups all zero."""
    random = np.random.default_rng([seed, 1])
    size = {"ordinary": 1.0, "zero": 0.0, "tiny": 1e-25, "huge": 1e15, "mixed": 1.0}[scales]
    x = random.standard_normal((n, cols)) * size
    x[:, random.integers(0, cols, 1 + cols // 50)] *= 300
    x[random.integers(0, n), : min(32, cols)] = 0
    x[scales == "mixed" and random.random((n, cols)) < 0.05] *= 1e-35
    return x.astype(np.float32)
