"""A worker process for `test_jobs.py`: `python job_worker.py HOME [VERSION]` executes jobs until it is told to stop.

Each step that runs leaves a line in `HOME/trace`; the step `middle` waits until `HOME/go` exists.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import ikkan
from ikkan.ground.db import Database
from ikkan.ground.errors import BadFile
from ikkan.ground.jobs import JobContext, Jobs


def make_jobs(home: Path, jobs_url: str, database: Database) -> Jobs:
    """The jobs of this test, as bootstrap would make them in every process."""
    jobs = Jobs(jobs_url, database)

    def trace(line: str) -> str:
        with (home / "trace").open("a") as file:
            file.write(f"{line}\n")
        return line

    @jobs.job("test.three_steps")
    def three_steps(context: JobContext, word: str) -> list[str]:
        first = context.step("first", trace, f"first {word}")
        context.progress(0.3, "first is done")

        def middle() -> tuple[str, str]:
            trace("middle begins")
            while not (home / "go").exists():
                context.progress(0.5, "waiting")
                time.sleep(0.05)
            return trace("middle ends"), ikkan.__version__

        second = context.step("middle", middle)
        last = context.step("last", trace, "last")
        return [first, *second, last]

    @jobs.job("test.fails_once")
    def fails_once(context: JobContext) -> str:
        context.step("first", trace, "first")

        def picky() -> str:
            if not (home / "go").exists():
                raise BadFile("the file is bad", hint="bring a good one", row=3)
            return trace("picky")

        return context.step("picky", picky)

    @jobs.job("test.breaks")
    def breaks(context: JobContext) -> None:
        raise RuntimeError("out of luck")

    @jobs.job("test.returns_no_json")
    def returns_no_json(context: JobContext) -> object:
        return object()

    return jobs


if __name__ == "__main__":
    home = Path(sys.argv[1])
    ikkan.__version__ = sys.argv[2]
    database = Database(f"sqlite:///{home}/ikkan.db")
    make_jobs(home, f"sqlite:///{home}/jobs.db", database).run_worker()
