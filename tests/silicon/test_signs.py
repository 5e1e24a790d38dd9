"""What the sign on this room's door promises."""

from __future__ import annotations

import subprocess
import sys

import ikkan.silicon


def test_importing_the_room_does_not_import_numba() -> None:
    program = "import sys, ikkan.silicon; sys.exit('numba' in sys.modules or 'llvmlite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_public_name_is_there() -> None:
    assert [name for name in ikkan.silicon.__all__ if not hasattr(ikkan.silicon, name)] == []
    assert ikkan.silicon.__all__ == sorted(ikkan.silicon.__all__)
