"""A whole platform, started as a person would start it, for the journeys to walk through."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

READY_S = 180.0


@dataclass
class Running:
    """`ikkan up` in a home of its own."""

    home: Path
    port: int
    environ: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ikkan(self, *words: str, check: bool = True) -> Any:
        """Run an ikkan command in this home; returns its JSON when `--json` is among the words, else its text."""
        done = subprocess.run(
            [sys.executable, "-m", "ikkan", *words], env=self.environ, capture_output=True, text=True, timeout=240
        )
        assert not check or done.returncode == 0, done.stderr
        return json.loads(done.stdout) if "--json" in words and done.returncode == 0 else done.stdout + done.stderr

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as reply:
            return json.loads(reply.read())

    def state(self) -> dict[str, Any]:
        return dict(self.ikkan("up", "--check", "--json"))

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"ikkan up ended with {self.process.returncode}:\n{self.logs()}")
            try:
                if self.get("/health")["ready"]:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"not ready after {READY_S:.0f} s:\n{self.logs()}")

    def logs(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted((self.home / "logs").glob("*"))
        )

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start(home: Path, models: Path) -> Running:
    """Start `ikkan up` in `home` with the default models already pulled."""
    if not (home / "models").exists():
        home.mkdir(parents=True, exist_ok=True)
        shutil.copytree(models, home / "models", copy_function=os.link)
    port = free_port()
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("IKKAN_")},
        "IKKAN_HOME": str(home),
        "IKKAN_PORT": str(port),
        # Kernels compiled once serve every home of the tests.
        "NUMBA_CACHE_DIR": str(models.parent / "cache" / "numba"),
    }
    (home / "logs").mkdir(exist_ok=True)
    with (home / "logs" / "up.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ikkan", "up"], env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    running = Running(home, port, environ, process)
    running.wait_until_ready()
    return running


@pytest.fixture(scope="session")
def default_models() -> Path:
    """Where the default models were pulled to by `make test`."""
    given = os.environ.get("IKKAN_TEST_MODELS", "")
    if not given or not (Path(given) / "aliases.json").exists():
        pytest.skip("the default models are not here: run `make test`, or set IKKAN_TEST_MODELS to a model store")
    return Path(given)


@pytest.fixture(scope="session")
def running(default_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One platform for all journeys that do no harm to it."""
    platform = start(tmp_path_factory.mktemp("home"), default_models)
    yield platform
    platform.stop()


@pytest.fixture
def own_running(default_models: Path, tmp_path: Path) -> Iterator[Running]:
    """A platform for one journey alone: it may be killed."""
    platform = start(tmp_path / "home", default_models)
    yield platform
    platform.stop()
