"""A job survives the worker's death and the next release, does no finished step twice, and can be stopped."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ikkan.ground.db import Database, upgrade
from ikkan.ground.errors import AlreadyRunning, BadFile, BadInput, Conflict, Internal, UnknownJob
from ikkan.ground.ids import JobId
from ikkan.ground.jobs import Jobs

SCRIPT = Path(__file__).with_name("job_worker.py")
PATIENCE_S = 60.0


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("job_worker", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_jobs: Callable[[Path, str, Database], Jobs] = _load().make_jobs


@pytest.fixture
def jobs(home: Path) -> Iterator[Jobs]:
    """The gateway's side: it can start and watch jobs, and executes none."""
    url = f"sqlite:///{home}/ikkan.db"
    upgrade(url)
    database = Database(url)
    made = make_jobs(home, f"sqlite:///{home}/jobs.db", database)
    yield made
    made.close()
    database.close()


@pytest.fixture
def worker(home: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts worker processes of a given release; whoever is left at the end is ended by pid."""
    started: list[subprocess.Popen[bytes]] = []

    def start(version: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, str(SCRIPT), str(home), version]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def trace(home: Path) -> list[str]:
    path = home / "trace"
    path.touch()
    return path.read_text().splitlines()


def until(true: Callable[[], Any]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up, "it never came"
        time.sleep(0.05)


def test_a_job_killed_in_the_middle_is_finished_by_the_next_release(
    jobs: Jobs, home: Path, worker: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    old = worker("0.1.0")
    job_id = jobs.start("test.three_steps", word="猫")
    until(lambda: "middle begins" in trace(home))
    until(lambda: jobs.status(job_id).progress == 0.5)
    running = jobs.status(job_id)
    assert (running.state, running.message, running.result) == ("running", "waiting", None)

    old.send_signal(signal.SIGKILL)
    old.wait()
    (home / "go").touch()
    worker("0.2.0")

    done = jobs.wait(job_id, timeout_s=PATIENCE_S)
    assert (done.state, done.progress, done.error) == ("done", 1.0, None)
    assert done.result == ["first 猫", "middle ends", "0.2.0", "last"]
    assert trace(home) == ["first 猫", "middle begins", "middle begins", "middle ends", "last"]


def test_a_worker_told_to_stop_leaves_at_once_and_the_next_one_goes_on(
    jobs: Jobs, home: Path, worker: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    first = worker("0.1.0")
    job_id = jobs.start("test.three_steps", word="a")
    until(lambda: "middle begins" in trace(home))
    first.terminate()
    assert first.wait(PATIENCE_S) == 0
    (home / "go").touch()
    worker("0.1.0")
    assert jobs.wait(job_id, timeout_s=PATIENCE_S).state == "done"
    assert trace(home).count("first a") == 1


def test_starting_executes_nothing_here(jobs: Jobs, home: Path) -> None:
    job_id = jobs.start("test.three_steps", word="a")
    waited = jobs.wait(job_id, timeout_s=0.5)
    assert (waited.state, waited.progress, waited.is_finished, trace(home)) == ("queued", 0.0, False, [])


def test_a_job_that_fails_says_why_and_goes_on_from_the_failed_step_when_resumed(jobs: Jobs, home: Path) -> None:
    with jobs.working():
        job_id = jobs.start("test.fails_once")
        failed = jobs.wait(job_id, timeout_s=PATIENCE_S)
        assert failed.state == "failed" and isinstance(failed.error, BadFile)
        assert (failed.error.message, failed.error.hint, failed.error.facts) == (
            "the file is bad",
            "bring a good one",
            {"row": 3},
        )
        (home / "go").touch()
        jobs.resume(job_id)
        done = jobs.wait(job_id, timeout_s=PATIENCE_S)
    assert (done.id, done.state, done.result, done.error) == (job_id, "done", "picky", None)
    assert trace(home) == ["first", "picky"]
    with pytest.raises(Conflict):
        jobs.resume(job_id)


def test_a_cancelled_job_stops_in_the_middle_of_its_step_and_can_be_resumed(jobs: Jobs, home: Path) -> None:
    with jobs.working():
        job_id = jobs.start("test.three_steps", word="a")
        until(lambda: "middle begins" in trace(home))
        assert jobs.cancel(job_id).state == "cancelled"
        (home / "go").touch()
        stopped = jobs.wait(job_id, timeout_s=PATIENCE_S)
        assert stopped.state == "cancelled" and "last" not in trace(home)
        jobs.resume(job_id)
        assert jobs.wait(job_id, timeout_s=PATIENCE_S).state == "done"
    assert trace(home).count("first a") == 1 and trace(home).count("last") == 1


def test_a_job_cancelled_before_it_began_never_runs(jobs: Jobs, home: Path) -> None:
    unwanted = jobs.start("test.three_steps", word="unwanted")
    jobs.cancel(unwanted)
    (home / "go").touch()
    with jobs.working():
        wanted = jobs.start("test.three_steps", word="wanted")
        jobs.wait(wanted, timeout_s=PATIENCE_S)
    assert trace(home)[0] == "first wanted" and jobs.status(unwanted).state == "cancelled"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [("test.breaks", Internal, "RuntimeError: out of luck"), ("test.returns_no_json", BadInput, "no JSON value")],
)
def test_a_fault_of_the_job_is_kept_with_it(jobs: Jobs, name: str, kind: type[Exception], words: str) -> None:
    with jobs.working():
        failed = jobs.wait(jobs.start(name), timeout_s=PATIENCE_S)
    assert failed.state == "failed" and isinstance(failed.error, kind) and words in str(failed.error)


def test_the_same_key_gives_the_running_job_back(jobs: Jobs) -> None:
    first = jobs.start_once("test.three_steps", "nightly", word="a")
    assert jobs.start_once("test.three_steps", "nightly", word="b") == first
    assert jobs.start_once("test.three_steps", "another", word="c") != first
    jobs.cancel(first)
    assert jobs.start_once("test.three_steps", "nightly", word="d") != first


def test_a_job_for_later_waits_and_then_runs(jobs: Jobs, home: Path) -> None:
    (home / "go").touch()
    later = jobs.start_later("test.three_steps", 3_600.0, word="later")
    soon = jobs.start_later("test.three_steps", 0.2, word="soon")
    with jobs.working():
        assert jobs.wait(soon, timeout_s=PATIENCE_S).state == "done"
    assert jobs.status(later).state == "queued" and not any("later" in line for line in trace(home))


def test_jobs_are_listed_newest_first(jobs: Jobs) -> None:
    ids = [jobs.start("test.breaks"), jobs.start("test.three_steps", word="a"), jobs.start("test.breaks")]
    assert [status.id for status in jobs.list()] == ids[::-1]
    assert [status.id for status in jobs.list(limit=1)] == ids[:1:-1]
    assert [status.name for status in jobs.list(name="test.breaks")] == ["test.breaks"] * 2


def test_a_second_worker_in_the_same_home_is_refused_with_the_pid(jobs: Jobs, home: Path) -> None:
    database = Database(f"sqlite:///{home}/ikkan.db")
    second = make_jobs(home, f"sqlite:///{home}/jobs.db", database)
    with jobs.working(), pytest.raises(AlreadyRunning, match=str(os.getpid())), second.working():
        pass
    database.close()


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_second_worker_of_the_same_name_on_one_server_is_refused(
    database: Database, database_url: str, home: Path
) -> None:
    first, second = (make_jobs(home, database_url, database) for _ in range(2))
    with first.working(), pytest.raises(AlreadyRunning, match="local"), second.working():
        pass
    first.close()
    second.close()


def test_unknown_names_ids_and_arguments_are_refused(jobs: Jobs) -> None:
    with pytest.raises(UnknownJob, match="no job is named") as caught:
        jobs.start("test.nothing")
    assert "test.three_steps" in caught.value.hint
    with pytest.raises(UnknownJob):
        jobs.status(JobId("job-0"))
    with pytest.raises(BadInput, match="no JSON value"):
        jobs.start("test.three_steps", word=object())


async def test_waiting_does_not_block_the_event_loop(jobs: Jobs) -> None:
    job_id = jobs.start("test.breaks")
    assert (await jobs.wait_async(job_id, timeout_s=0.3)).state == "queued"


def test_nothing_is_pickled(jobs: Jobs, home: Path) -> None:
    import sqlite3

    (home / "go").touch()
    with jobs.working():
        jobs.wait(jobs.start("test.three_steps", word="a"), timeout_s=PATIENCE_S)
        jobs.wait(jobs.start("test.breaks"), timeout_s=PATIENCE_S)
    connection = sqlite3.connect(home / "jobs.db")
    kinds = connection.execute(
        "SELECT serialization FROM workflow_status UNION SELECT serialization FROM operation_outputs"
    ).fetchall()
    connection.close()
    assert kinds == [("ikkan_json",)]


def test_jobs_run_the_same_on_either_database(database: Database, database_url: str, home: Path) -> None:
    kinds = {"sqlite": f"sqlite:///{home}/jobs.db", "postgresql": database_url}
    jobs = make_jobs(home, kinds[database.dialect], database)
    (home / "go").touch()
    with jobs.working():
        done = jobs.wait(jobs.start("test.three_steps", word="a"), timeout_s=PATIENCE_S)
    jobs.close()
    assert (done.state, done.progress) == ("done", 1.0)
