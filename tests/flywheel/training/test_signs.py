"""What the sign on the door says is so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ikkan.flywheel.training import call
from ikkan.ground.errors import MissingPackage

_WHAT_WAS_LOADED = """
import sys
from ikkan.flywheel.training import likelihoods, open_base, train
import ikkan.flywheel
print(sorted({"torch", "transformers", "peft", "numba"} & {name.split(".")[0] for name in sys.modules}))
"""


def test_importing_the_room_loads_neither_torch_nor_kernels() -> None:
    done = subprocess.run([sys.executable, "-c", _WHAT_WAS_LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_torch_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r"ikkan\[train\]"):
        call.likelihoods(call.Path("any"), None, [])
