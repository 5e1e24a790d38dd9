"""Kernels compiled for one state of the sources are never met by tests of another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numba
import pytest

from ikkan.silicon.device import cache_key

numba.config.CACHE_DIR = str(Path(__file__).parents[2] / ".cache" / "numba" / cache_key())

from ikkan.silicon import kernels  # noqa: E402 - the folder is chosen before anything is compiled


@pytest.fixture(params=kernels.available_paths())
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of this machine in turn."""
    kernels.set_path(request.param)
    yield request.param
    kernels.set_path(None)
