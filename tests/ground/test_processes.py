"""A supervisor keeps its processes running, stops them cleanly, and leaves none behind however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from ikkan.ground.errors import AlreadyRunning, PortTaken
from ikkan.ground.processes import (
    Backoff,
    ProcessSpec,
    ProcessState,
    Supervisor,
    port_owner,
    read_state,
    request_restart,
    require_free_port,
)

PATIENCE_S = 60.0
QUICK = Backoff(first_s=0.05, most_s=0.2, healthy_s=3600)

SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(600)"
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)"
)
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print('goodbye', flush=True), sys.exit(0)))
print('up', flush=True)
time.sleep(600)
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
print('child', child.pid, flush=True)
time.sleep(600)
"""
SERVER = """
import http.server, sys, time
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *words): pass
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()
"""


@pytest.fixture
def run_dir(home: Path) -> Path:
    return home / "run"


@pytest.fixture
def spec(home: Path) -> Callable[..., ProcessSpec]:
    def make(name: str, code: str, *arguments: str, ready_url: str | None = None) -> ProcessSpec:
        argv = [sys.executable, "-I", "-c", code, *arguments]
        return ProcessSpec(name, argv, {"WHO": name}, ready_url, home / "logs" / f"{name}.log")

    return make


Supervise = Callable[..., Supervisor]


@pytest.fixture
def supervise(run_dir: Path) -> Iterator[Supervise]:
    """Runs a supervisor in a thread; stops it at the end."""
    running: list[tuple[Supervisor, threading.Thread]] = []

    def start(specs: Sequence[ProcessSpec], **more: Any) -> Supervisor:
        given: dict[str, Any] = {"backoff": QUICK, "grace_s": 5.0} | more
        supervisor = Supervisor(specs, run_dir, **given)
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        running.append((supervisor, thread))
        return supervisor

    yield start
    for supervisor, _thread in running:
        supervisor.stop()
    for _supervisor, thread in running:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def until(true: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < give_up, "it never came"
        time.sleep(0.02)
    return found


def text(spec: ProcessSpec) -> str:
    return spec.log_path.read_text() if spec.log_path.exists() else ""


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_processes_run_with_their_own_log_and_environment_and_end_on_stop(
    supervise: Supervise, spec: Callable[..., ProcessSpec], run_dir: Path
) -> None:
    who = spec("who", "import os, time; print(dict(os.environ).get('WHO'), flush=True); time.sleep(600)")
    polite = spec("polite", POLITE)
    supervisor = supervise([who, polite])
    until(lambda: "who" in text(who) and "up" in text(polite))
    pids = [state.pid or 0 for state in supervisor.states]
    supervisor.stop()
    until(lambda: all(state.phase == "stopped" for state in supervisor.states))
    assert all(is_gone(pid) for pid in pids) and "goodbye" in text(polite)


def test_a_process_that_dies_is_started_again(supervise: Supervise, spec: Callable[..., ProcessSpec]) -> None:
    supervisor = supervise([spec("sleeper", SLEEPER)])
    first = until(lambda: supervisor.states[0].pid)
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.states[0].pid not in (None, first))
    assert (supervisor.states[0].restarts, supervisor.states[0].exit_code) == (1, -signal.SIGKILL)


def test_pauses_grow_while_a_process_keeps_failing(supervise: Supervise, spec: Callable[..., ProcessSpec]) -> None:
    pauses: list[float] = []

    class Watched(Backoff):
        def pause_s(self, failures: int) -> float:
            pauses.append(Backoff.pause_s(QUICK, failures))
            return pauses[-1]

    supervise([spec("broken", "raise SystemExit(3)")], backoff=Watched(healthy_s=3600))
    until(lambda: len(pauses) >= 4)
    assert pauses[:4] == [0.05, 0.1, 0.2, 0.2]


def test_a_healthy_spell_forgives_earlier_failures(supervise: Supervise, spec: Callable[..., ProcessSpec]) -> None:
    failures: list[int] = []

    class Watched(Backoff):
        def pause_s(self, count: int) -> float:
            failures.append(count)
            return 0.0

    supervise([spec("broken", "raise SystemExit(3)")], backoff=Watched(healthy_s=0.0))
    until(lambda: len(failures) >= 3)
    assert failures[:3] == [1, 1, 1]


def test_a_program_that_cannot_be_started_is_reported_in_its_log(
    supervise: Supervise, home: Path, spec: Callable[..., ProcessSpec]
) -> None:
    missing = ProcessSpec("missing", [str(home / "no-such-program")], {}, None, home / "logs" / "missing.log")
    supervisor = supervise([missing, spec("sleeper", SLEEPER)])
    until(lambda: "cannot start" in text(missing) and supervisor.states[1].phase == "ready")


def test_a_process_is_ready_once_its_address_answers(supervise: Supervise, spec: Callable[..., ProcessSpec]) -> None:
    port = free_port()
    phases: list[str] = []

    def note(state: ProcessState) -> None:
        phases.append(state.phase)

    server = spec("server", SERVER, str(port), ready_url=f"http://127.0.0.1:{port}/health")
    supervise([server], on_change=note)
    until(lambda: "ready" in phases)
    assert phases == ["starting", "ready"]
    owner = port_owner(port)
    assert owner is not None and "python" in owner


def test_a_restart_is_asked_for_through_a_file(
    supervise: Supervise, spec: Callable[..., ProcessSpec], run_dir: Path
) -> None:
    polite, other = spec("polite", POLITE), spec("other", SLEEPER)
    supervisor = supervise([polite, other])
    until(lambda: "up" in text(polite) and supervisor.states[1].pid)
    before = [state.pid for state in supervisor.states]
    request_restart(run_dir, "polite")
    until(lambda: supervisor.states[0].pid not in (None, before[0]))
    assert supervisor.states[1].pid == before[1] and "goodbye" in text(polite)
    assert list(run_dir.glob("restart-*")) == []
    assert supervisor.states[0].exit_code == 0


def test_a_process_that_ignores_term_is_killed_after_its_grace(
    supervise: Supervise, spec: Callable[..., ProcessSpec]
) -> None:
    stubborn = spec("stubborn", STUBBORN)
    supervisor = supervise([stubborn], grace_s=0.3)
    until(lambda: "up" in text(stubborn))
    pid = supervisor.states[0].pid or 0
    supervisor.stop()
    until(lambda: supervisor.states[0].phase == "stopped")
    assert supervisor.states[0].exit_code == -signal.SIGKILL and is_gone(pid)


def test_what_a_dead_process_left_behind_is_ended_with_it(
    supervise: Supervise, spec: Callable[..., ProcessSpec]
) -> None:
    parent = spec("parent", PARENT)
    supervisor = supervise([parent])
    until(lambda: "child" in text(parent))
    grandchild = int(text(parent).split()[1])
    os.kill(supervisor.states[0].pid or 0, signal.SIGKILL)
    until(lambda: is_gone(grandchild))


def test_the_state_is_on_disk_while_it_runs(
    supervise: Supervise, spec: Callable[..., ProcessSpec], run_dir: Path
) -> None:
    sleeper = spec("sleeper", SLEEPER)
    supervisor = supervise([sleeper])
    pid = until(lambda: supervisor.states[0].phase == "ready" and supervisor.states[0].pid)
    state = read_state(run_dir)
    assert state is not None
    assert state["supervisor"]["pid"] == os.getpid()
    assert (state["processes"]["sleeper"]["pid"], state["processes"]["sleeper"]["phase"]) == (pid, "ready")


@pytest.mark.parametrize("content", ["", "{}", '{"supervisor": {"pid": 99999999}}'])
def test_a_stale_or_damaged_state_counts_as_none(run_dir: Path, content: str) -> None:
    run_dir.mkdir()
    (run_dir / "state.json").write_text(content)
    assert read_state(run_dir) is None


def test_a_second_supervisor_in_the_same_home_is_refused_with_the_pid(
    supervise: Supervise, spec: Callable[..., ProcessSpec], run_dir: Path
) -> None:
    first = supervise([spec("sleeper", SLEEPER)])
    until(lambda: first.states[0].pid)
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}") as caught:
        Supervisor([], run_dir).run()
    assert caught.value.facts["pid"] == str(os.getpid())
    assert first.states[0].pid is not None


ON_ITS_OWN = """
import sys
from pathlib import Path
from ikkan.ground.processes import ProcessSpec, Supervisor
home = Path(sys.argv[1])
specs = [ProcessSpec(name, [sys.executable, '-I', '-c', code], {}, None, home / f'{name}.log')
         for name, code in (('polite', sys.argv[2]), ('stubborn', sys.argv[3]), ('parent', sys.argv[4]))]
Supervisor(specs, home / 'run', grace_s=1.0).run()
print('left cleanly', flush=True)
"""


@pytest.fixture
def alone(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A supervisor that is a process of its own, as `ikkan up` is."""
    process = subprocess.Popen(
        [sys.executable, "-c", ON_ITS_OWN, str(home), POLITE, STUBBORN, PARENT], stdout=subprocess.PIPE, text=True
    )
    until(lambda: all((home / f"{name}.log").exists() for name in ("polite", "stubborn", "parent")))
    until(lambda: "up" in (home / "polite.log").read_text() and "up" in (home / "stubborn.log").read_text())
    until(lambda: "child" in (home / "parent.log").read_text())
    yield process
    process.kill()
    process.communicate()


def pids_of(home: Path) -> list[int]:
    state = json.loads((home / "run" / "state.json").read_text())
    grandchild = int((home / "parent.log").read_text().split()[1])
    return [process["pid"] for process in state["processes"].values()] + [grandchild]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_and_then_the_supervisor(
    alone: subprocess.Popen[str], home: Path, number: signal.Signals
) -> None:
    pids = pids_of(home)
    alone.send_signal(number)
    output, _ = alone.communicate(timeout=PATIENCE_S)
    assert (alone.returncode, output) == (0, "left cleanly\n")
    assert all(is_gone(pid) for pid in pids) and "goodbye" in (home / "polite.log").read_text()


def test_children_end_even_when_the_supervisor_is_killed_outright(alone: subprocess.Popen[str], home: Path) -> None:
    pids = pids_of(home)
    alone.kill()
    alone.wait()
    until(lambda: all(is_gone(pid) for pid in pids))
    assert "goodbye" in (home / "polite.log").read_text()


def test_a_home_is_free_again_after_its_supervisor_was_killed(
    alone: subprocess.Popen[str], home: Path, supervise: Supervise
) -> None:
    pids = pids_of(home)
    alone.kill()
    alone.wait()
    until(lambda: all(is_gone(pid) for pid in pids))
    assert read_state(home / "run") is None
    supervisor = supervise([])
    until(lambda: (home / "run" / "state.json").exists() and read_state(home / "run"))
    supervisor.stop()


def test_a_taken_port_is_refused_with_the_name_of_its_owner() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"process {os.getpid()}") as caught:
            require_free_port("127.0.0.1", port)
        assert caught.value.facts["port"] == port
    require_free_port("127.0.0.1", port)
    assert port_owner(port) is None


def test_products_run_on_the_thread_that_asks() -> None:
    # In a process of its own: it is for good, and what other tests train would come out another bit.
    told = subprocess.run(
        [sys.executable, "-c", ONE_THREAD], capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()
    assert told == ["True", "True"]


ONE_THREAD = """
import numpy as np
from ikkan.ground.processes import one_thread_products
matrix = np.ones((64, 64), np.float32)
before = matrix @ matrix
print(one_thread_products(), np.array_equal(matrix @ matrix, before))
"""
