"""A worker process for `test_killed_in_the_middle.py`: `python tuning_worker.py HOME` trains until it is told to stop.

Each step that is taken leaves a line in `HOME/trace`; after step 5 it waits until `HOME/go` exists.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ikkan.cloud.assembly import Workshop, assemble
from ikkan.cloud.tuning.fakes import FakeTrainer
from ikkan.cloud.tuning.values import Base
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import SystemClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.jobs import Jobs


def workshop(home: Path, jobs: Jobs) -> Workshop:
    """What both processes of the test join, as bootstrap would."""

    def trace(step: int) -> None:
        with (home / "trace").open("a") as file:
            file.write(f"{step}\n")
        while step == 5 and not (home / "go").exists():
            time.sleep(0.02)

    return Workshop(
        files_dir=home / "files",
        work_dir=home / "cache",
        upload_bytes=1 << 20,
        artifacts=ArtifactStore(home / "artifacts"),
        jobs=jobs,
        bases={"default": Base("Tiny-1M", "b" * 64)}.get,
        trainer=FakeTrainer(keep_every=2, after_step=trace),
    )


if __name__ == "__main__":
    home = Path(sys.argv[1])
    database, clock, keys = Database(f"sqlite:///{home}/ikkan.db"), SystemClock(), Keys.open(home / "keys")
    jobs = Jobs(f"sqlite:///{home}/jobs.db", database)
    assemble(database, clock, EventLog(database, clock, keys), keys, workshop=workshop(home, jobs))
    jobs.run_worker()
