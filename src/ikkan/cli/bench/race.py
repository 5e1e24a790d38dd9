"""Contenders take turns, each in a process of its own, while the others stand still.

A busy minute of the machine then hits all of them alike, and nobody pays for a thread that another left spinning.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from ikkan.cli.bench.contenders import child
from ikkan.ground.errors import SetupNeeded

_CHILD: Final = Path(child.__file__)
_LAST_WORDS: Final = 400
_ROUNDS_AT_LEAST: Final = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """Who runs, and how it is started."""

    name: str
    program: str
    """A file in `contenders`."""
    python: Path
    environ: Mapping[str, str]
    extra: Mapping[str, Any]
    """More for its job: what it is held to."""


class Contender:
    """A process group that works only while it is its turn."""

    def __init__(self, entry: Entry, job: Mapping[str, Any]) -> None:
        self.name = entry.name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `close`
        command = [str(entry.python), "-P", str(_CHILD), entry.program, json.dumps({**job, **entry.extra})]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=dict(entry.environ),
                start_new_session=True,
            )
        except OSError as exc:
            self._errors.close()
            raise SetupNeeded(f"{self.name} is not installed: {exc.strerror}", hint="make bench-peers") from exc
        try:
            hello = self._read()
            self.version: str = hello["version"]
            self.settings: Mapping[str, Any] = hello["settings"]
        except BaseException:
            self.close()
            raise
        self._signal(signal.SIGSTOP)

    def do(self, deed: str, **task: Any) -> Any:
        """Its turn: one task, its result.

        Raises:
            SetupNeeded: it ended instead.
        """
        self._signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):  # the reading below says why
            print(json.dumps({"do": deed, **task}), file=self._process.stdin, flush=True)
        result = self._read()["result"]
        self._signal(signal.SIGSTOP)
        return result

    def close(self) -> None:
        """End it and all that it started."""
        self._signal(signal.SIGKILL)
        self._process.communicate()
        self._errors.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            said = [one for one in self._errors.read().strip().splitlines() if one.strip()][-1:]
            how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            raise SetupNeeded(f"{self.name} {how}: {said[0][:_LAST_WORDS] if said else 'without a word'}")
        answer: dict[str, Any] = json.loads(line)
        self.peak_mb: float = answer["peak_mb"]
        return answer


def variants(program: str, purpose: str) -> list[dict[str, Any]]:
    """The settings of a program that are worth trying, or none if it does not do this."""
    return cast("dict[str, list[dict[str, Any]]]", child.neighbour(program).VARIANTS).get(purpose, [])


Probe = Callable[[Contender], float]
"""A short run: more is better."""


def choose(
    entry: Entry, job: Mapping[str, Any], probes: Mapping[str, Probe], note: Callable[[str, str], None]
) -> dict[str, dict[str, Any]]:
    """For each kind of work, the settings with which a program does it fastest; each is tried alone.

    Ours has one setting and is tried as well: whatever it compiles for the first time is then compiled.

    Raises:
        SetupNeeded: none of its settings works; says why the last did not.
    """
    tried = variants(entry.program, job["purpose"])
    best: dict[str, tuple[float, dict[str, Any]]] = {}
    problem: SetupNeeded | None = None
    for variant in tried:
        try:
            with started([entry], [{**job, "variant": variant}]) as (one,):
                for kind, probe in probes.items():
                    rate = probe(one)
                    if kind not in best or rate > best[kind][0]:
                        best[kind] = (rate, variant)
        except SetupNeeded as exc:
            problem = exc
            note(f"{entry.name} {variant}", exc.message)
    missing = set(probes) - set(best)
    if missing:
        raise problem or SetupNeeded(f"{entry.name} has no settings for {', '.join(sorted(missing))}")
    return {kind: variant for kind, (_, variant) in best.items()}


@contextlib.contextmanager
def started(entries: Sequence[Entry], jobs: Sequence[Mapping[str, Any]]) -> Iterator[list[Contender]]:
    """Contenders, loaded one after the other and standing still; gone at the end."""
    running: list[Contender] = []
    try:
        for entry, job in zip(entries, jobs, strict=True):
            running.append(Contender(entry, job))
        yield running
    finally:
        for one in running:
            one.close()


@dataclass(frozen=True, slots=True)
class Turns:
    """What each contender did in its turns, and who fell over."""

    found: Mapping[str, list[Any]]
    lost: Mapping[str, str]


def rounds(
    contenders: Mapping[str, Contender], turn: Callable[[Contender, int], Any], count: int, patience_s: float
) -> Turns:
    """Let contenders take turns; another begins each round, because whoever follows a pause finds a cooler processor.

    A contender that falls over keeps nothing of this work; the others go on.

    Args:
        turn: one contender's turn, given the number of the round.
        count: rounds.
        patience_s: no more rounds than three when they have taken so long.
    """
    found: dict[str, list[Any]] = {name: [] for name in contenders}
    lost: dict[str, str] = {}
    begun = time.monotonic()
    for number in range(count):
        if number >= _ROUNDS_AT_LEAST and time.monotonic() - begun > patience_s:
            break
        names = list(found)
        first = number % len(names) if names else 0
        for name in names[first:] + names[:first]:
            try:
                found[name].append(turn(contenders[name], number))
            except SetupNeeded as problem:
                lost[name] = problem.message
                del found[name]
    return Turns(found, lost)
