"""The device lease: training works in short turns and steps aside while somebody waits for an answer.

Three lock files, asked for in one order, and nothing else: no server, no memory of who was here. The kernel drops the
locks of a process that dies, however it dies.

    PATH.background   held by the one who trains, from first to last turn: one trainer at a time
    PATH.asking       shared by all who answer, from the moment they ask; a trainer needs it alone, for an instant, to
                      begin a turn: so it begins none while anybody asks or answers
    PATH              the processor: shared by all who answer, or held alone by the trainer for one turn

A waiting answer therefore waits for the turn in progress and for no other. Answers never wait for each other, and
everybody who waits sleeps in the kernel.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ikkan.ground.errors import DeviceBusy, SetupNeeded

log = logging.getLogger(__name__)

TURN_S: Final = 0.1
"""How long a trainer may work between two breaths. An answer is then computing within twice that."""

_PATIENCE_S: Final = 2.0

_ours: set[int] = set()
"""Descriptors of lock files that this process opened."""


class DeviceLease:
    """The right to use this machine's processor, shared between processes through files beside `path`.

    Whoever answers a person asks for `interactive()`; whoever trains asks for `background()` and breathes at least
    every `TURN_S` seconds, or walks through `slices()`. Both may be asked for in any thread.

    >>> import tempfile
    >>> lease = DeviceLease(Path(tempfile.mkdtemp()) / "device.lease")
    >>> with lease.interactive():
    ...     with lease.interactive():  # the process has it already
    ...         print("answering")
    answering
    >>> with lease.background() as turn:
    ...     print(turn.breathe())  # nobody waited
    False
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answering = 0
        self._answers = threading.Lock()
        self._locks: list[int] = []
        self._trainer: int | None = None
        _forget_in_children()

    @contextmanager
    def interactive(self, *, patience_s: float = _PATIENCE_S) -> Iterator[None]:
        """Hold the processor while an answer is computed. Tens of microseconds, or the rest of a trainer's turn.

        It is entered in any case: after `patience_s`, or where the locks cannot be had at all, the answer is computed
        beside whoever does not let go, and a warning is logged. A stuck trainer slows answers down; it does not
        silence them.
        """
        assert self._trainer != threading.get_ident(), "a trainer's own thread would wait for itself: breathe instead"
        with self._answers:
            if not self._answering:
                self._locks = self._ask(patience_s)
            self._answering += 1
        try:
            yield
        finally:
            with self._answers:
                self._answering -= 1
                if not self._answering:
                    while self._locks:
                        _release(self._locks.pop())

    @contextmanager
    def background(self, *, patience_s: float | None = None) -> Iterator[Turn]:
        """Hold the processor for work that nobody waits for, and let go whenever `Turn.breathe` finds somebody waiting.

        Args:
            patience_s: how long to wait for the first turn; None waits as long as it takes.

        Raises:
            DeviceBusy: there was no turn in time: somebody trains, or answers without a pause.
            SetupNeeded: the lock files cannot be written or locked.
        """
        assert self._trainer != threading.get_ident(), "a trainer's own thread would wait for itself"
        try:
            training = _take(self._file("background"), fcntl.LOCK_EX, patience_s)
            if training is None:
                raise DeviceBusy("another training holds the processor", hint="wait for it, or: ikkan job list")
            try:
                turn = Turn(self)
                if not turn._begin(patience_s):
                    raise DeviceBusy("answers keep the processor busy", hint="train when fewer people ask")
                self._trainer = threading.get_ident()
                try:
                    yield turn
                finally:
                    self._trainer = None
                    turn._end()
            finally:
                _release(training)
        except _Unlockable as exc:
            message = f"{self.path} cannot be locked: {exc.__cause__}"
            raise SetupNeeded(message, hint="is its disk full or remote?") from exc

    def slices(self, *, patience_s: float | None = None) -> Iterator[int]:
        """Turns of background work, numbered from 0, without end: at most `TURN_S` of work in each, `break` when done.

        Raises:
            DeviceBusy, SetupNeeded: as `background`.
        """
        number = 0
        with self.background(patience_s=patience_s) as turn:
            while True:
                yield number
                turn.breathe()
                number += 1

    def _file(self, suffix: str = "") -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}") if suffix else self.path

    def _ask(self, patience_s: float) -> list[int]:
        locks: list[int] = []
        try:
            for file in (self._file("asking"), self.path):
                lock = _take(file, fcntl.LOCK_SH, patience_s)
                if lock is None:
                    log.warning("answering beside a trainer that does not let go", extra={"waited_s": patience_s})
                    break
                locks.append(lock)
        except _Unlockable as exc:
            log.warning("answering without a lease", extra={"reason": str(exc.__cause__)})
        except BaseException:
            for lock in locks:
                _release(lock)
            raise
        return locks


class Turn:
    """A trainer's hold on the processor. Made by `DeviceLease.background`."""

    __slots__ = ("_lease", "_processor")

    def __init__(self, lease: DeviceLease) -> None:
        self._lease = lease
        self._processor: int | None = None

    def breathe(self) -> bool:
        """Step aside if somebody waits, and come back when all have their answer. True if it did; else 10 us."""
        asking = self._lease._file("asking")
        unasked = _take(asking, fcntl.LOCK_EX, 0.0)
        if unasked is not None:
            _release(unasked)
            return False
        self._end()
        self._begin(None)
        return True

    def _begin(self, patience_s: float | None) -> bool:
        alone = _take(self._lease._file("asking"), fcntl.LOCK_EX, patience_s)
        if alone is None:
            return False
        try:
            self._processor = _take(self._lease.path, fcntl.LOCK_EX, patience_s)
        finally:
            _release(alone)
        return self._processor is not None

    def _end(self) -> None:
        if self._processor is not None:
            _release(self._processor)
            self._processor = None


class _Unlockable(Exception):
    """The file system refuses; the cause says why."""


def _take(file: Path, mode: int, patience_s: float | None) -> int | None:
    """Open and lock a file: its descriptor, or None if somebody else held on to it for `patience_s` (None: wait)."""
    try:
        descriptor = _open(file)
    except OSError as exc:
        raise _Unlockable from exc
    _ours.add(descriptor)
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        return descriptor
    except BlockingIOError:
        pass
    except OSError as exc:
        _close(descriptor)
        raise _Unlockable from exc
    if patience_s is None:
        try:
            fcntl.flock(descriptor, mode)
        except BaseException:
            _close(descriptor)
            raise
        return descriptor
    if patience_s > 0:
        return descriptor if _wait(descriptor, mode, patience_s) else None
    _close(descriptor)
    return None


def _open(file: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(file, flags, 0o600)
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, flags, 0o600)


def _wait(descriptor: int, mode: int, patience_s: float) -> bool:
    """Sleep until the lock is ours. A wait that ran out leaves the descriptor to its thread, which closes it."""
    # flock knows no time limit, so somebody else waits for us.
    deciding, ended = threading.Lock(), threading.Event()
    locked = given_up = False

    def wait() -> None:
        nonlocal locked
        try:
            fcntl.flock(descriptor, mode)
            locked = True
        except OSError:
            pass  # then it is not ours
        with deciding:
            ended.set()
            if given_up or not locked:
                _close(descriptor)

    threading.Thread(target=wait, name="ikkan-lease", daemon=True).start()
    ended.wait(patience_s)
    with deciding:
        given_up = not ended.is_set()
    return locked and not given_up


def _release(descriptor: int) -> None:
    if descriptor not in _ours:
        return  # this is a forked child: it never had the lock
    # Unlocked by hand: a child forked meanwhile may still have the same open file, and closing ours is not enough.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    _close(descriptor)


def _close(descriptor: int) -> None:
    _ours.discard(descriptor)
    with suppress(OSError):
        os.close(descriptor)


_watching: list[bool] = []


def _forget_in_children() -> None:
    """A forked child closes the lock files it inherits, or the locks would outlive us in it."""
    if not _watching:
        _watching.append(True)
        os.register_at_fork(after_in_child=_close_all)


def _close_all() -> None:
    for descriptor in tuple(_ours):
        _close(descriptor)
