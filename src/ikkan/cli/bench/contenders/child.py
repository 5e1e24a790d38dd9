"""A contender's process: load, warm up, say hello; then one task in, one answer out, until the pipe closes.

    python -P child.py CONTENDER '{"purpose": "single", "model": "…", "threads": 2, …}'

A contender's file has `VARIANTS`, by purpose the settings worth trying, and `open_contender(job)`. What that returns
has `version`, `settings`, `pids` (processes beside this one) and a method for each task of its purpose:

- single: `prefill(prompt)` and `decode(prompt, answer)` give seconds: to the first token, from the first to the last;
- serving: `streams(lines, answer, ...)` gives for each line of prompts when each answer began and ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent


def end_with_parent() -> None:
    """Let the kernel end this process when the one that started it ends, however that ends, even standing still."""
    set_parent_death_signal = 1
    with contextlib.suppress(AttributeError, OSError):  # not on Linux
        ctypes.CDLL(None).prctl(set_parent_death_signal, int(signal.SIGKILL))


def neighbour(name: str) -> ModuleType:
    """A file of this folder as a module, wherever this runs and whatever else has its name."""
    spec = importlib.util.spec_from_file_location(f"contender_{name}", HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peak_mb(pids: list[int]) -> float:
    """The most memory that processes ever held, together."""
    total = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        total += int(status.split("VmHWM:")[1].split()[0])
    return round(total / 1024, 1)


def main() -> None:
    """Run until nobody asks any more."""
    end_with_parent()
    wire = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a program prints goes to stderr; our answers keep the pipe
    name, job = sys.argv[1], json.loads(sys.argv[2])
    contender = neighbour(name).open_contender(job)

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps({**answer, "peak_mb": peak_mb(contender.pids)}), file=wire, flush=True)

    say({"version": contender.version, "settings": contender.settings})
    for line in sys.stdin:
        task = json.loads(line)
        say({"result": getattr(contender, task.pop("do"))(**task)})


if __name__ == "__main__":
    main()
