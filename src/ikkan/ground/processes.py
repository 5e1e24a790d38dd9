"""Processes: start several, keep them running, stop them cleanly, and never leave one behind.

`Supervisor.run` is what `ikkan up` does after it has decided *what* to run. It knows nothing of gateways or engines.

- A child that ends is started again, after a pause that doubles each time and is forgotten once it has stayed healthy.
- Stopping is TERM, a grace period, then KILL, for the child's whole process group.
- If the supervisor itself is killed outright, a tiny guardian process notices its pipe close and stops the children.
- One supervisor per folder: a lock says who.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import http.client
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, Final, Literal
from urllib.parse import urlsplit

from ikkan.ground.errors import AlreadyRunning, PortTaken

log = logging.getLogger(__name__)

ProcessPhase = Literal["starting", "ready", "stopping", "waiting", "stopped"]

_TICK_S = 0.1
_ROTATE_BYTES = 10 << 20


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to keep running."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    """The whole environment of the child: nothing is added."""
    ready_url: str | None
    """Answers below 500 once the process can serve; None when being alive is enough."""
    log_path: Path
    """Where its output goes, appended; one older file is kept beside it."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """How one process is doing."""

    name: str
    phase: ProcessPhase
    """`waiting` is the pause before another start."""
    pid: int | None
    restarts: int
    exit_code: int | None
    """Of its last end; negative is a signal."""
    since: datetime


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before starting a process again.

    >>> [Backoff().pause_s(failures) for failures in (1, 2, 3, 10)]
    [0.5, 1.0, 2.0, 30.0]
    """

    first_s: float = 0.5
    most_s: float = 30.0
    healthy_s: float = 120.0
    """Having run this long, a process's earlier failures are forgotten."""

    def pause_s(self, failures: int) -> float:
        """The pause after so many failures in a row."""
        return min(self.most_s, self.first_s * 2.0 ** (min(failures, 32) - 1))


class FileLock:
    """One holder at a time, for as long as the holder's process lives; `kill -9` frees it.

    Raises on entry:
        AlreadyRunning: someone holds it; `facts["pid"]` says who.
    """

    def __init__(self, path: Path, told: str) -> None:
        self._path = path
        self._told = told
        self._file: IO[str] | None = None

    def __enter__(self) -> FileLock:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            file.seek(0)
            pid = file.read().strip() or "?"
            file.close()
            raise AlreadyRunning(
                f"{self._told}: process {pid}", hint=f"use that one, or stop it: kill {pid}", pid=pid
            ) from exc
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()


class _Child:
    """One spec and the process that runs it now, if any."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.state = ProcessState(spec.name, "waiting", None, 0, None, datetime.now(UTC))
        self.started_s = 0.0
        self.failures = 0
        self.start_at_s = 0.0
        self.kill_at_s: float | None = None
        self.asked_to_stop = False
        self.look_at_s = 0.0


class Supervisor:
    """Keeps the processes of `specs` running.

    Args:
        specs: started in this order, stopped together.
        run_dir: holds the lock, `state.json` and requests to restart (`restart-<name>`).
        grace_s: how long a process may take to end after TERM.
        on_change: told each time a process changes its phase (to print it, for example).
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        run_dir: Path,
        *,
        grace_s: float = 10.0,
        backoff: Backoff | None = None,
        on_change: Callable[[ProcessState], None] | None = None,
    ) -> None:
        assert len({spec.name for spec in specs}) == len(specs), "processes have different names"
        self._run_dir = run_dir
        self._grace_s = grace_s
        self._backoff = backoff or Backoff()
        self._on_change = on_change
        self._children = [_Child(spec) for spec in specs]
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._guardian: subprocess.Popen[bytes] | None = None
        self._started_at = datetime.now(UTC)

    @property
    def states(self) -> list[ProcessState]:
        """How each process is doing."""
        return [child.state for child in self._children]

    def stop(self) -> None:
        """Ask `run` to stop everything and return. From any thread; a second time means: at once."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def run(self) -> None:
        """Start everything and keep it running until `stop`, SIGINT, SIGTERM or SIGHUP; then stop it all and return.

        Raises:
            AlreadyRunning: another supervisor runs in this folder; `facts["pid"]` says who.
        """
        with FileLock(self._run_dir / "supervisor.lock", f"ikkan already runs in {self._run_dir.parent}"):
            former = self._catch_signals()
            try:
                for stale in self._run_dir.glob("restart-*"):
                    stale.unlink(missing_ok=True)
                self._write_state()
                while not self._stop.is_set():
                    self._tick()
                    self._stop.wait(_TICK_S)
            finally:
                try:
                    self._stop_all()
                finally:
                    self._end_guardian()
                    for number, handler in former.items():
                        signal.signal(number, handler)

    def _tick(self) -> None:
        self._keep_guardian()
        self._read_requests()
        for child in self._children:
            now_s = time.monotonic()
            if child.process is None:
                if now_s >= child.start_at_s:
                    self._start(child)
            elif _has_ended(child.process):
                self._after_end(child)
            elif child.kill_at_s is not None and now_s >= child.kill_at_s:
                _signal_group(child.process.pid, signal.SIGKILL)
            elif child.state.phase == "starting" and now_s >= child.look_at_s:
                child.look_at_s = now_s + 0.25
                if _is_ready(child.spec.ready_url):
                    self._change(child, "ready")

    def _start(self, child: _Child) -> None:
        spec = child.spec
        spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        if spec.log_path.exists() and spec.log_path.stat().st_size > _ROTATE_BYTES:
            spec.log_path.replace(spec.log_path.with_name(f"{spec.log_path.name}.1"))
        with spec.log_path.open("ab") as output:
            try:
                child.process = subprocess.Popen(
                    list(spec.argv),
                    env=dict(spec.env),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # its own group: Ctrl-C reaches us alone, and we stop them in order
                )
            except OSError as exc:
                output.write(f"cannot start {spec.argv[0]}: {exc.strerror}\n".encode())
                self._plan_restart(child, exit_code=127)
                return
        child.started_s = time.monotonic()
        child.kill_at_s, child.asked_to_stop, child.look_at_s = None, False, 0.0
        self._tell_guardian(f"+{child.process.pid}\n")
        self._change(child, "starting", pid=child.process.pid)

    def _after_end(self, child: _Child) -> None:
        assert child.process is not None
        exit_code = _bury(child.process)
        self._tell_guardian(f"-{child.process.pid}\n")
        child.process = None
        if time.monotonic() - child.started_s >= self._backoff.healthy_s:
            child.failures = 0
        self._plan_restart(child, exit_code)

    def _plan_restart(self, child: _Child, exit_code: int) -> None:
        if child.asked_to_stop:
            child.failures, child.start_at_s = 0, 0.0
        else:
            child.failures += 1
            pause_s = self._backoff.pause_s(child.failures)
            child.start_at_s = time.monotonic() + pause_s
            log.warning(
                "a process ended and is started again",
                extra={"child": child.spec.name, "exit_code": exit_code, "pause_s": pause_s},
            )
        child.state = replace(child.state, restarts=child.state.restarts + 1, exit_code=exit_code)
        self._change(child, "waiting", pid=None)

    def _read_requests(self) -> None:
        for request in self._run_dir.glob("restart-*"):
            request.unlink(missing_ok=True)
            name = request.name.removeprefix("restart-")
            for child in self._children:
                if child.spec.name == name:
                    child.start_at_s = 0.0
                    self._ask_to_end(child)

    def _ask_to_end(self, child: _Child) -> None:
        if child.process is not None and not child.asked_to_stop:
            child.asked_to_stop = True
            child.kill_at_s = time.monotonic() + self._grace_s
            _signal_group(child.process.pid, signal.SIGTERM)
            self._change(child, "stopping")

    def _stop_all(self) -> None:
        for child in reversed(self._children):
            self._ask_to_end(child)
        while running := [child for child in self._children if child.process is not None]:
            for child in running:
                assert child.process is not None and child.kill_at_s is not None
                if _has_ended(child.process):
                    exit_code = _bury(child.process)
                    self._tell_guardian(f"-{child.process.pid}\n")
                    child.process = None
                    child.state = replace(child.state, exit_code=exit_code)
                    self._change(child, "stopped", pid=None)
                elif self._hurry.is_set() or time.monotonic() >= child.kill_at_s:
                    _signal_group(child.process.pid, signal.SIGKILL)
            time.sleep(0.02)
        for child in self._children:
            if child.state.phase != "stopped":
                self._change(child, "stopped", pid=None)

    def _change(self, child: _Child, phase: ProcessPhase, **more: Any) -> None:
        child.state = replace(child.state, phase=phase, since=datetime.now(UTC), **more)
        self._write_state()
        if self._on_change is not None:
            self._on_change(child.state)

    def _write_state(self) -> None:
        state = {
            "supervisor": {"pid": os.getpid(), "since": self._started_at.isoformat()},
            "processes": {
                child.spec.name: {
                    "pid": child.state.pid,
                    "phase": child.state.phase,
                    "restarts": child.state.restarts,
                    "exit_code": child.state.exit_code,
                    "since": child.state.since.isoformat(),
                    "log": str(child.spec.log_path),
                }
                for child in self._children
            },
        }
        fresh = self._run_dir / ".state.json"
        fresh.write_text(json.dumps(state, indent=1))
        fresh.replace(self._run_dir / "state.json")

    def _catch_signals(self) -> dict[int, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}

        def caught(number: int, frame: FrameType | None) -> None:
            self.stop()

        return {number: signal.signal(number, caught) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def _keep_guardian(self) -> None:
        if self._guardian is not None and self._guardian.poll() is None:
            return
        self._end_guardian()
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARDIAN, str(self._grace_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        for child in self._children:
            if child.process is not None:
                self._tell_guardian(f"+{child.process.pid}\n")

    def _tell_guardian(self, line: str) -> None:
        if self._guardian is None or self._guardian.stdin is None:
            return
        try:
            self._guardian.stdin.write(line.encode())
            self._guardian.stdin.flush()
        except BrokenPipeError:
            log.warning("the guardian process ended; a new one takes over")

    def _end_guardian(self) -> None:
        guardian, self._guardian = self._guardian, None
        if guardian is not None and guardian.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                guardian.stdin.close()  # it has nobody left to stop, and ends
            guardian.wait()


# Reads "+pid" and "-pid" lines; when the pipe closes, whoever is still listed has lost its supervisor.
_GUARDIAN: Final = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
groups = set()
for line in sys.stdin:
    group = int(line[1:])
    groups.add(group) if line[0] == "+" else groups.discard(group)
def send(number):
    for group in list(groups):
        try:
            os.killpg(group, number)
        except OSError:
            groups.discard(group)
send(signal.SIGTERM)
end = time.monotonic() + float(sys.argv[1])
while groups and time.monotonic() < end:
    time.sleep(0.05)
    send(0)
send(signal.SIGKILL)
"""


def request_restart(run_dir: Path, name: str) -> None:
    """Ask the supervisor of this folder to restart one process; it does so within a moment."""
    assert name and "/" not in name, "a process's name"
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / f"restart-{name}").touch()


def read_state(run_dir: Path) -> Mapping[str, Any] | None:
    """What the supervisor of this folder last wrote, or None when none is running."""
    try:
        state: Mapping[str, Any] = json.loads((run_dir / "state.json").read_text())
        os.kill(state["supervisor"]["pid"], 0)
    except PermissionError:
        return state
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state


def require_free_port(host: str, port: int) -> None:
    """Make sure that `port` can be listened on.

    Raises:
        PortTaken: it cannot; the message names the program that has it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as exc:
            owner = port_owner(port)
            raise PortTaken(
                f"port {port} is taken by {owner}" if owner else f"cannot listen on {host}:{port}: {exc.strerror}",
                hint=f"stop it, or choose another port: IKKAN_PORT={port + 100}",
                port=port,
                owner=owner,
            ) from exc


def port_owner(port: int) -> str | None:
    """Who listens on a TCP port of this machine, as `name (process pid)`; None when nobody does or it is not Linux."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            for descriptor in (folder / "fd").iterdir():
                if str(descriptor.readlink()) in inodes:
                    return f"{(folder / 'comm').read_text().strip()} (process {folder.name})"
        except OSError:
            continue  # it ended meanwhile, or belongs to someone else
    return "a program of another user"


def _listening_inodes(port: int) -> Iterable[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    # Look without reaping: until then the kernel keeps the number, and its group can be signalled safely.
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _bury(process: subprocess.Popen[bytes]) -> int:
    """Reap an ended process, and whatever it left behind in its group."""
    _signal_group(process.pid, signal.SIGKILL)
    return process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _is_ready(url: str | None) -> bool:
    if url is None:
        return True
    parts = urlsplit(url)
    assert parts.scheme == "http" and parts.hostname, "a ready_url is http://host:port/path"
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=1.0)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def one_thread_products() -> bool:
    """Let numpy's matrix products run on the thread that asks; False where that cannot be told.

    A process that answers many people at once has other work for the second core, and a product that waits for a busy
    one takes a hundred times as long.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return False
    loaded = {line.split()[-1] for line in maps.read_text().splitlines() if "openblas" in line}
    for path in loaded:
        library = ctypes.CDLL(path)
        for name in ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads"):
            if hasattr(library, name):
                getattr(library, name)(1)
                return True
    return False
