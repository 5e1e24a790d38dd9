"""Matrices and activations for tests, made from a seed: ordinary ones, and those in odd corners of real files."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ikkan.silicon.kernels import FORMATS

SHAPES = st.tuples(st.sampled_from([1, 2, 15, 16, 17, 33, 100]), st.sampled_from([1, 2, 3, 5, 9]))
"""Rows and blocks of inputs."""


def inputs(format: str, blocks: int) -> int:
    """So many blocks of a format, or of 32 floats."""
    return blocks * max(32, FORMATS[format].block)


BATCHES = st.sampled_from([1, 2, 3, 7, 8, 9, 17])
SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.sampled_from(["ordinary", "zero", "tiny", "huge", "mixed"])

NUMBERS = {
    "Q4_0": (0, 2), "Q4_1": (0, 4), "Q8_0": (0, 2), "Q5_0": (0, 2), "Q5_1": (0, 4), "Q4_K": (0, 4), "Q5_K": (0, 4),
    "Q6_K": (208, 210),
}  # fmt: skip
"""Where a block of a file has its scale and minimum, as halves."""

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
        if format == "BF16":
            return np.ascontiguousarray(numbers.astype(np.float32).view("<u2")[:, 1::2]).reshape(-1).view(np.uint8)
        return numbers.astype({"F16": np.float16, "F32": np.float32}[format]).reshape(-1).view(np.uint8)
    made = random.integers(0, 256, (rows, cols // kind.block, kind.block_bytes), dtype=np.uint8)
    first, last = NUMBERS[format]
    made[..., first:last] = halves(rows, cols // kind.block, (last - first) // 2).view(np.uint8)
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


def slowly(format: str, block: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The numbers one block stands for, weight by weight as the format is defined; nothing of ours is used."""
    b = [int(one) for one in block]

    def half(at: int) -> float:
        return float(np.frombuffer(bytes(b[at : at + 2]), np.float16)[0])

    def signed(byte: int) -> int:
        return byte - 256 if byte > 127 else byte

    def nibble(at: int, upper: int) -> int:
        return b[at] >> 4 if upper else b[at] & 15

    def six_bits(j: int) -> tuple[int, int]:
        q = b[4:16]
        if j < 4:
            return q[j] & 63, q[j + 4] & 63
        return (q[j + 4] & 15) | (q[j - 4] >> 6) << 4, (q[j + 4] >> 4) | (q[j] >> 6) << 4

    def simple(i: int) -> float:
        at = {"Q4_0": 2, "Q4_1": 4, "Q5_0": 6, "Q5_1": 8}[format]
        q = nibble(at + i % 16, i // 16)
        if format in ("Q5_0", "Q5_1"):
            q |= (b[at - 4 + i // 8] >> i % 8 & 1) << 4
        return half(0) * (q - {"Q4_0": 8, "Q5_0": 16}[format]) if at in (2, 6) else half(0) * q + half(2)

    def byte(i: int) -> float:
        return half(0) * signed(b[2 + i])

    def shared(i: int) -> float:
        at, group = {"Q4_K": 16, "Q5_K": 48}[format], i // 32
        q = nibble(at + group // 2 * 32 + i % 32, group % 2)
        if format == "Q5_K":
            q |= (b[16 + i % 32] >> group & 1) << 4
        scale, minimum = six_bits(group)
        return half(0) * scale * q - half(2) * minimum

    def six(i: int) -> float:
        run, quarter, j = i // 128, i // 32 % 4, i % 32
        q = nibble(64 * run + j + 32 * (quarter % 2), quarter // 2)
        q |= (b[128 + 32 * run + j] >> 2 * quarter & 3) << 4
        return half(208) * signed(b[192 + i // 16]) * (q - 32)

    one = {"Q8_0": byte, "Q4_K": shared, "Q5_K": shared, "Q6_K": six}.get(format, simple)
    return np.array([one(i) for i in range(FORMATS[format].block)], dtype=np.float64).astype(np.float32)
