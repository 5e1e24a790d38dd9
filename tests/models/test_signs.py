"""What the sign on the door says is so."""

from __future__ import annotations

import subprocess
import sys

import pytest

_WHAT_WAS_LOADED = """
import sys, threading
import {module}
heavy = {{"numba", "llvmlite", "torch", "transformers", "huggingface_hub", "aiohttp"}}
print(sorted(heavy & {{name.split(".")[0] for name in sys.modules}}), threading.active_count())
"""


@pytest.mark.parametrize(
    "module", ["ikkan.models", "ikkan.models.store", "ikkan.models.registry", "ikkan.models.checkpoint"]
)
def test_importing_the_room_loads_no_kernel_and_starts_no_thread(module: str) -> None:
    command = [sys.executable, "-c", _WHAT_WAS_LOADED.format(module=module)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "1"]
