"""The multiplication of packed weights, held against what the same processor reads and multiplies in the same minute.

    .venv/bin/python benchmarks/kernels.py [--threads N] [--seconds S] [--json FILE]

- `matmul_1_token`: bytes of weights a second for one token, by working set (several matrices in turn, so that nothing
  smaller than the set is met again), beside a plain streaming read of the very same bytes.
- `matmul_64_tokens`: useful operations a second (two for each weight and token) for a prompt of 64, beside the int8
  peak. The kernels round activations to 12 bits and so multiply each weight twice: half the peak is their ceiling.

Kernel and bound take turns, pass by pass, and each line gives the best pass of both: other work on the machine can only
slow a pass down. Prints one JSON line a figure.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.silicon import cores_allowed, kernels, probe
from ikkan.silicon.device import processor_name

ROOT = Path(__file__).resolve().parent.parent
ROWS, COLS = 4864, 896
WORKING_SETS_MB = (2, 15, 40, 80, 160, 400)
FORMATS = ("Q4_0", "Q4_1", "Q8_0")
PROMPT = 64


def matrices(format: str, megabytes: int) -> tuple[list[kernels.PackedMatrix], NDArray[np.uint8]]:
    """As many matrices as fill the working set, one after the other in one piece of memory."""
    kind = kernels.FORMATS[format]
    count = max(1, round(megabytes * 1e6 / kind.packed_bytes(ROWS, COLS)))
    rows = ROWS if count > 1 else int(megabytes * 1e6 / kind.packed_bytes(16, COLS)) * 16
    size = kind.packed_bytes(rows, COLS)
    memory = kernels.aligned(count * size)
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (rows, COLS // 32, kind.block_bytes), dtype=np.uint8)
    blocks[..., :2] = np.float16(0.01).reshape(1).view(np.uint8)
    blocks[..., 2:4] = np.float16(0.01).reshape(1).view(np.uint8)
    one = kernels.pack(format, blocks.reshape(-1), rows, COLS)
    made = []
    for number in range(count):
        data = memory[number * size : (number + 1) * size]
        data[:] = one.data
        made.append(kernels.PackedMatrix(format, rows, COLS, data))
    return made, memory


def fastest(seconds: float, *runs: Callable[[], object]) -> list[float]:
    """The shortest time of each, taking turns until the time is up; at least five turns."""
    best = [float("inf")] * len(runs)
    for run in runs:
        run()
    turns, end = 0, time.perf_counter() + seconds
    while turns < 5 or time.perf_counter() < end:
        for place, run in enumerate(runs):
            begun = time.perf_counter()
            run()
            best[place] = min(best[place], time.perf_counter() - begun)
        turns += 1
    return best


def one_token(format: str, megabytes: int, threads: int, seconds: float) -> dict[str, Any]:
    """GB/s of one token's multiplication beside a read of the same bytes."""
    weights, memory = matrices(format, megabytes)
    x = np.random.default_rng(1).standard_normal((1, COLS)).astype(np.float32)
    out = np.empty((1, weights[0].rows), dtype=np.float32)

    def multiply() -> None:
        for w in weights:
            kernels.matmul(x, w, out)

    took, read = fastest(seconds, multiply, lambda: probe.read(memory, threads))
    return {
        "metric": "matmul_1_token",
        "format": format,
        "working_set_mb": round(memory.nbytes / 1e6, 1),
        "value": round(memory.nbytes / took / 1e9, 2),
        "unit": "GB/s",
        "read_gb_s": round(memory.nbytes / read / 1e9, 2),
        "share_of_read": round(read / took, 3),
    }


def prompt(format: str, threads: int, seconds: float) -> dict[str, Any]:
    """GOPS of 64 tokens' multiplication beside the peak of the path's own instructions."""
    weights, _ = matrices(format, 40)
    x = np.random.default_rng(1).standard_normal((PROMPT, COLS)).astype(np.float32)
    out = np.empty((PROMPT, ROWS), dtype=np.float32)
    peak = 0.0

    def multiply() -> None:
        for w in weights:
            kernels.matmul(x, w, out)

    def measure_peak() -> None:
        nonlocal peak
        peak = max(peak, probe.int8_tops(threads, passes=10))

    took, _ = fastest(seconds, multiply, measure_peak)
    gops = 2 * PROMPT * ROWS * COLS * len(weights) / took / 1e9
    return {
        "metric": f"matmul_{PROMPT}_tokens",
        "format": format,
        "value": round(gops, 1),
        "unit": "GOPS",
        "peak_gops": round(1000 * peak, 1),
        "share_of_peak": round(gops / 1000 / peak, 3),
        "share_of_ceiling": round(2 * gops / 1000 / peak, 3),
    }


def figures(threads: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Every figure, one after the other."""
    for format in FORMATS:
        for megabytes in WORKING_SETS_MB:
            yield one_token(format, megabytes, threads, seconds)
        yield prompt(format, threads, seconds)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=cores_allowed())
    parser.add_argument("--seconds", type=float, default=1.5, help="for each figure")
    parser.add_argument("--json", type=Path, help="also append the lines to this file")
    asked = parser.parse_args()
    kernels.set_threads(asked.threads)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    about = {
        "commit": commit,
        "machine": f"{processor_name()}, {platform.machine()}",
        "threads": asked.threads,
        "path": kernels.get_path(),
    }
    for figure in figures(asked.threads, asked.seconds):
        line = json.dumps(figure | about)
        print(line, flush=True)
        if asked.json:
            with asked.json.open("a") as file:
                file.write(f"{line}\n")


if __name__ == "__main__":
    main()
