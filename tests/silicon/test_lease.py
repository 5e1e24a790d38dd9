"""The device lease between real processes: who waits for whom, in which order, and what a killed one leaves behind."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from ikkan.ground.errors import DeviceBusy, SetupNeeded
from ikkan.silicon.lease import DeviceLease

# A trainer that begins and ends its turns on command and tells of each; it waits for commands while it holds the lease.
TRAINER = """
import sys
from pathlib import Path
from ikkan.silicon.lease import DeviceLease

with DeviceLease(Path(sys.argv[1])).background() as turn:
    print("turn begins", flush=True)
    for line in sys.stdin:
        print("stepped aside" if turn.breathe() else "nobody waited", flush=True)
print("trained", flush=True)
"""

# One who answers: asks when told, tells when it has the lease, lets go when told.
ASKER = """
import sys
from pathlib import Path
from ikkan.silicon.lease import DeviceLease

lease = DeviceLease(Path(sys.argv[1]))
for line in sys.stdin:
    print("asks", flush=True)
    with lease.interactive(patience_s=60):
        print("answers", flush=True)
        sys.stdin.readline()
    print("answered", flush=True)
"""

# A trainer that leaves a forked child behind, as a data loader does.
FORKER = """
import os, sys, time
from pathlib import Path
from ikkan.silicon.lease import DeviceLease

with DeviceLease(Path(sys.argv[1])).background() as turn:
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    print("turn begins", flush=True)
    sys.stdin.read()
"""

# A trainer with turns of its own, and one who asks again and again: both write what they do into one file.
FREE_TRAINER = """
import os, sys, time
from pathlib import Path
from ikkan.silicon.lease import DeviceLease

events = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)
print("ready", flush=True)
for number in DeviceLease(Path(sys.argv[1])).slices():
    os.write(events, b"turn\\n")
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        pass
"""
FREE_ASKER = """
import os, sys, time
from pathlib import Path
from ikkan.silicon.lease import DeviceLease

events = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)
lease = DeviceLease(Path(sys.argv[1]))
for _ in range(25):
    time.sleep(0.03)
    os.write(events, b"asks\\n")
    with lease.interactive(patience_s=60):
        os.write(events, b"answers\\n")
        time.sleep(0.01)
        os.write(events, b"answered\\n")
"""


class Told:
    """A process that we command by lines, and that tells by lines."""

    def __init__(self, program: str, *arguments: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin and self.process.stdout
        self._in, self._out = self.process.stdin, self.process.stdout

    def tell(self, line: str = "go") -> None:
        self._in.write(f"{line}\n".encode())
        self._in.flush()

    def hear(self) -> str:
        return self._out.readline().decode().strip()

    def is_silent(self) -> bool:
        return not select.select([self._out], [], [], 0)[0]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        self._in.close()
        self.process.wait()

    def close(self) -> None:
        self._in.close()
        self._out.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "device.lease"


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., Told]]:
    started: list[Told] = []

    def begin(program: str, *arguments: Path) -> Told:
        started.append(Told(program, path, *arguments))
        return started[-1]

    yield begin
    for one in started:
        one.kill()
        one.close()


def _until_asked(path: Path) -> None:
    """Wait until somebody holds or awaits the right to answer."""
    asking = os.open(f"{path}.asking", os.O_RDWR | os.O_CREAT)
    pause = threading.Event()
    try:
        while True:
            fcntl.flock(asking, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(asking, fcntl.LOCK_UN)
            pause.wait(0.01)
    except BlockingIOError:
        pass
    finally:
        os.close(asking)


def test_a_waiting_answer_gets_the_processor_at_the_next_breath(path: Path, start: Callable[..., Told]) -> None:
    trainer, asker = start(TRAINER), start(ASKER)
    assert trainer.hear() == "turn begins"
    asker.tell("ask")
    assert asker.hear() == "asks"
    _until_asked(path)
    assert asker.is_silent(), "the turn in progress is not taken away"

    trainer.tell("breathe")
    assert asker.hear() == "answers"
    assert trainer.is_silent(), "no turn begins while somebody answers"

    asker.tell("let go")
    assert asker.hear() == "answered"
    assert trainer.hear() == "stepped aside"


def test_a_trainer_that_nobody_waits_for_keeps_its_turn(start: Callable[..., Told]) -> None:
    trainer = start(TRAINER)
    assert trainer.hear() == "turn begins"
    trainer.tell("breathe")
    trainer.tell("breathe")
    assert [trainer.hear(), trainer.hear()] == ["nobody waited", "nobody waited"]
    trainer.end()


def test_no_training_begins_while_somebody_answers(start: Callable[..., Told], path: Path) -> None:
    asker = start(ASKER)
    asker.tell("ask")
    assert [asker.hear(), asker.hear()] == ["asks", "answers"]
    with pytest.raises(DeviceBusy), DeviceLease(path).background(patience_s=0.05):
        pytest.fail("two had the processor")
    asker.tell("let go")
    assert asker.hear() == "answered"
    with DeviceLease(path).background() as turn:
        assert turn.breathe() is False


def test_answers_do_not_wait_for_each_other(start: Callable[..., Told]) -> None:
    askers = [start(ASKER), start(ASKER)]
    for asker in askers:
        asker.tell("ask")
    assert [[asker.hear(), asker.hear()] for asker in askers] == [["asks", "answers"]] * 2


def test_only_one_trains_at_a_time(start: Callable[..., Told], path: Path) -> None:
    trainer = start(TRAINER)
    assert trainer.hear() == "turn begins"
    with pytest.raises(DeviceBusy), DeviceLease(path).background(patience_s=0.05):
        pytest.fail("two trained at once")
    trainer.end()
    assert next(DeviceLease(path).slices()) == 0


@pytest.mark.parametrize("program", [TRAINER, FORKER])
def test_a_killed_trainer_leaves_no_lock_behind(program: str, start: Callable[..., Told]) -> None:
    trainer, asker = start(program), start(ASKER)
    assert trainer.hear() == "turn begins"
    asker.tell("ask")
    assert asker.hear() == "asks"
    trainer.kill()
    assert asker.hear() == "answers"


def test_a_killed_asker_lets_the_trainer_go_on(path: Path, start: Callable[..., Told]) -> None:
    trainer, asker = start(TRAINER), start(ASKER)
    assert trainer.hear() == "turn begins"
    asker.tell("ask")
    _until_asked(path)
    trainer.tell("breathe")
    assert [asker.hear(), asker.hear()] == ["asks", "answers"]
    asker.kill()
    assert trainer.hear() == "stepped aside"


def test_a_trainer_that_never_breathes_does_not_silence_answers(
    path: Path, start: Callable[..., Told], caplog: pytest.LogCaptureFixture
) -> None:
    trainer = start(TRAINER)
    assert trainer.hear() == "turn begins"
    with DeviceLease(path).interactive(patience_s=0.05):
        assert "does not let go" in caplog.text
    trainer.tell("breathe")
    assert trainer.hear() == "nobody waited", "an answer that is over is not waited for"


def test_an_asker_waits_for_one_turn_at_most_as_a_rule(
    tmp_path: Path, start: Callable[..., Told], record_property: Callable[[str, object], None]
) -> None:
    events = tmp_path / "events"
    events.touch()
    trainer = start(FREE_TRAINER, events)
    assert trainer.hear() == "ready"
    asker = start(FREE_ASKER, events)
    asker.process.wait()

    told = events.read_text().splitlines()
    asked = [index for index, line in enumerate(told) if line == "asks"]
    waited = [told[index:].index("answers") - 1 for index in asked]
    record_property("turns begun between asking and answering", waited)
    assert len(waited) == 25
    # Between telling and asking, the system may give the processor to the trainer: so this is about most of them.
    assert sum(turns <= 1 for turns in waited) >= 20, waited
    begun = [told[index + 1] for index, line in enumerate(told) if line == "answers"]
    assert begun == ["answered"] * 25, "no turn begins while somebody answers"
    assert "turn" in told[asked[-1] - 3 :], "training goes on between answers"


def test_the_lease_is_entered_again_by_the_process_that_has_it(path: Path, start: Callable[..., Told]) -> None:
    lease = DeviceLease(path)
    inside, leave = threading.Event(), threading.Event()

    def answer() -> None:
        with lease.interactive():
            inside.set()
            leave.wait()

    other = threading.Thread(target=answer)
    with lease.interactive():
        other.start()
        inside.wait()
    trainer = start(TRAINER)  # the first has left, the second still answers
    with pytest.raises(DeviceBusy), DeviceLease(path).background(patience_s=0.05):
        pytest.fail("the processor was lent twice")
    assert trainer.is_silent()
    leave.set()
    other.join()
    assert trainer.hear() == "turn begins"


def test_slices_are_numbered_and_end_with_the_loop(path: Path) -> None:
    lease = DeviceLease(path)
    assert list(islice(lease.slices(), 3)) == [0, 1, 2]
    with lease.interactive(patience_s=0.0):
        pass
    assert next(lease.slices(patience_s=0.05)) == 0, "the loop's end gave the processor back"


def test_a_failed_training_gives_the_processor_back(path: Path) -> None:
    lease = DeviceLease(path)
    with pytest.raises(ZeroDivisionError), lease.background():
        _ = 1 / 0
    with lease.background(patience_s=0.05) as turn:
        assert not turn.breathe()


def test_a_place_that_cannot_be_locked_stops_training_and_not_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    lease = DeviceLease(tmp_path / "file" / "device.lease")
    with lease.interactive():
        assert "without a lease" in caplog.text
    with pytest.raises(SetupNeeded), lease.background():
        pytest.fail("trained without a lease")
