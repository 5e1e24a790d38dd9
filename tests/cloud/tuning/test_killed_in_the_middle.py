"""`kill -9` in the middle of a training: the next worker goes on, and nothing is there twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ikkan.cloud.assembly import Workshop, assemble
from ikkan.cloud.tuning.asking import Asked
from ikkan.cloud.tuning.fakes import TOKENS_A_STEP, FakeTrainer
from ikkan.cloud.tuning.values import TUNING, Base
from ikkan.cloud.values import LOCAL, LOCAL_TENANT
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import SystemClock
from ikkan.ground.db import Database
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.jobs import Jobs
from ikkan.ground.money import Price

WORKER = Path(__file__).with_name("tuning_worker.py")
LINE = '{"messages": [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "Certainly."}]}\n'


@contextmanager
def worker(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, str(WORKER), str(home)], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def wait_until(is_so: Callable[[], bool]) -> None:
    for _attempt in range(1_500):
        if is_so():
            return
        time.sleep(0.02)
    raise AssertionError("it did not become so")


def test_a_killed_training_goes_on_where_it_was(home: Path, _fresh_sqlite: Callable[[Path], Any]) -> None:
    with _fresh_sqlite(home) as url:
        database, clock, keys = Database(url), SystemClock(), Keys.open(home / "keys")
        jobs = Jobs(f"sqlite:///{home}/jobs.db", database)
        artifacts = ArtifactStore(home / "artifacts")
        bases = {"default": Base("Tiny-1M", "b" * 64)}.get
        here = Workshop(home / "files", home / "cache", 1 << 20, artifacts, jobs, bases, FakeTrainer())
        cloud = assemble(database, clock, EventLog(database, clock, keys), keys, workshop=here)
        cloud.service.prepare(upstreams={"local": "http://127.0.0.1:9"}, aliases={"default": ["local/default"]})
        cloud.service.set_price(TUNING, "*", Price("JPY", 1_000_000, 0, 0))
        service = cloud.tuning
        assert service is not None
        (home / "lines.jsonl").write_text(LINE * 4)
        asked = Asked("default", service.bring(LOCAL, home / "lines.jsonl").id, hyperparameters={"n_epochs": 2})
        job_id = service.create(LOCAL, asked).id
        trace = home / "trace"
        with worker(home):
            wait_until(lambda: trace.exists() and "5" in trace.read_text())
            assert service.job(None, job_id).state == "running"
        (home / "go").touch()
        with worker(home):
            wait_until(lambda: not service.job(None, job_id).is_active)
        job = service.job(None, job_id)
        assert (job.state, job.trained_tokens) == ("succeeded", 8 * TOKENS_A_STEP)
        assert trace.read_text().split() == ["1", "2", "3", "4", "5", "5", "6", "7", "8"], "5 was not written down yet"
        events = service.events(LOCAL_TENANT, job_id, limit=100).items
        assert [event.data["step"] for event in reversed(events) if event.data] == [1, 2, 3, 4, 5, 6, 7, 8]
        kept = service.checkpoints(LOCAL_TENANT, job_id).items
        assert [model.step for model in kept] == [8, 4]
        assert {artifact.id for artifact in artifacts.list()} == {model.artifact_id for model in kept}
        assert cloud.service.usage(by=())[0].cost_micros == 8 * TOKENS_A_STEP and cloud.service.audit().is_sound
        jobs.close()
        database.close()
