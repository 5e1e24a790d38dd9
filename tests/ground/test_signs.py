"""What the sign on ground's door claims is true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ikkan.ground

HOME = Path(ikkan.ground.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(HOME).with_suffix("").parts)
    for path in HOME.rglob("*.py")
    if "migrations" not in path.parts
)

WATCHED = """
import socket, sys, threading
touched = []
def watch(name, arguments):
    writes = name == "open" and any(letter in str(arguments[1] or "r") for letter in "wax+")
    if writes or name in ("socket.connect", "socket.bind", "subprocess.Popen", "sqlite3.connect", "os.mkdir"):
        touched.append((name, arguments[0]))
sys.dont_write_bytecode = True
sys.addaudithook(watch)
__import__(sys.argv[1])
assert touched == [], touched
assert threading.active_count() == 1, threading.enumerate()
heavy = {"numba", "torch", "transformers", "dbos"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize("module", MODULES)
def test_importing_a_module_does_no_io_starts_no_thread_and_loads_nothing_heavy(module: str) -> None:
    subprocess.run([sys.executable, "-c", WATCHED, f"ikkan.ground.{module}".removesuffix(".__init__")], check=True)


def test_every_public_name_is_there() -> None:
    assert all(hasattr(ikkan.ground, name) for name in ikkan.ground.__all__)
    assert list(ikkan.ground.__all__) == sorted(ikkan.ground.__all__, key=lambda name: (not name.isupper(), name))
