"""What the gateway must not carry: kernels, training libraries, a validation framework on the hot path."""

from __future__ import annotations

import subprocess
import sys


def test_the_cloud_loads_no_heavy_library() -> None:
    script = "import sys, ikkan.cloud.assembly; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & {"numba", "llvmlite", "torch", "transformers", "numpy", "pydantic", "fastapi", "httpx"} == set()
