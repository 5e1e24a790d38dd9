"""Which instructions the engine uses is a setting; one that this processor lacks is refused before a model is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ikkan.ground.errors import UnknownSetting
from ikkan.ground.settings import GIB, Machine, explain, load_settings

SMALL = Machine(cores=2, cores_reason="2 cores", memory_bytes=8 * GIB, memory_reason="8 GiB")


def test_an_engine_with_a_path_that_is_not_there_says_which_are(home: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("IKKAN_")}
    done = subprocess.run(
        [sys.executable, "-m", "ikkan", "engine", "serve", "nothing", "--port", "0"],
        env=environ | {"IKKAN_HOME": str(home), "IKKAN_KERNEL_PATH": "mmx"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "no kernel path 'mmx'" in done.stderr and "plain" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("POWER_WATTS", "much"), ("POWER_YEN_KWH", "-1"), ("MACHINE_YEARS", "0"), ("MACHINE_YEN", "nan"),
     ("KERNEL_PATH", "a b"), ("KERNEL_PATH", "../x")],
)  # fmt: skip
def test_a_cost_or_path_that_cannot_be_is_refused(name: str, value: str) -> None:
    with pytest.raises(UnknownSetting, match=name.lower()):
        load_settings({f"IKKAN_{name}": value}, machine=SMALL)


def test_what_a_machine_costs_says_where_it_comes_from() -> None:
    settings = load_settings({"IKKAN_POWER_WATTS": "45.5"}, machine=SMALL)
    why = {line.name: (line.value, line.reason) for line in explain(settings)}
    assert why["power_watts"] == (45.5, "IKKAN_POWER_WATTS")
    assert why["machine_yen"] == (60_000.0, "30,000 JPY a core; 2 cores")
