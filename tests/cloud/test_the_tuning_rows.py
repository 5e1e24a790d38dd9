"""Files, trainings and models as rows, on each kind of database, with every step of the worker taken twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ikkan.cloud.ledger import Ledger
from ikkan.cloud.service import CloudService
from ikkan.cloud.tuning.asking import Asked
from ikkan.cloud.tuning.fakes import TOKENS_A_STEP, FakeTrainer
from ikkan.cloud.tuning.service import TuningService
from ikkan.cloud.tuning.shelf import Shelf
from ikkan.cloud.tuning.values import TUNING, Base, TuningJob
from ikkan.cloud.tuning.work import TuningWork
from ikkan.cloud.values import LOCAL, LOCAL_TENANT
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import FakeClock
from ikkan.ground.db import Database
from ikkan.ground.errors import ChecksumMismatch, Internal, NotFound
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.ids import JobId
from ikkan.ground.jobs import JobStatus
from ikkan.ground.money import Price


class Twice:
    """A context whose every step was interrupted at its very end, and is taken again."""

    def step(self, name: str, fn: Callable[..., Any], *args: Any) -> Any:
        fn(*args)
        return json.loads(json.dumps(fn(*args)))


class NoJobs:
    """Durable jobs that nobody executes; `ended` says what became of them."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.started: list[str] = []
        self.ended = False

    def start_once(self, name: str, key: str, **kwargs: Any) -> JobId:
        self.started.append(key)
        return JobId(f"run-{key}")

    def status(self, job_id: JobId) -> JobStatus:
        now = self.clock.now()
        error = Internal("the worker ended 10 times") if self.ended else None
        return JobStatus(job_id, "x", "failed" if self.ended else "queued", 0.0, "", error, None, now, now)


class House:
    def __init__(self, database: Database, clock: FakeClock, keys: Keys, home: Path) -> None:
        self.home = home
        self.trainer = FakeTrainer()
        self.jobs = NoJobs(clock)
        self.artifacts = ArtifactStore(home / "artifacts")
        self.cloud = CloudService(database, clock, keys)
        self.cloud.prepare(upstreams={"local": "http://127.0.0.1:9"}, aliases={"default": ["local/default"]})
        self.cloud.set_price(TUNING, "*", Price("JPY", 1_000_000, 0, 0))
        ledger, shelf = Ledger(clock), Shelf(home / "files")
        self.service = TuningService(
            database,
            clock,
            EventLog(database, clock, keys),
            ledger,
            shelf,
            self.artifacts,
            self.jobs,  # type: ignore[arg-type]
            work_dir=home / "cache",
            bases={"default": Base("Tiny-1M", "b" * 64)}.get,
        )
        self.work = TuningWork(database, clock, ledger, shelf, self.artifacts, self.trainer, home / "cache")

    def lines(self, count: int) -> Path:
        said = [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "Certainly."}]
        path = self.home / f"{count}.jsonl"
        path.write_text("\n".join(json.dumps({"messages": said}) for _ in range(count)))
        return path

    def begun(self, count: int = 4, **more: Any) -> TuningJob:
        file = self.service.bring(LOCAL, self.lines(count))
        return self.service.create(LOCAL, Asked("default", file.id, **more))

    def run(self, job: TuningJob, context: Any = None) -> TuningJob:
        self.work.run(context or Twice(), job.id)
        return self.service.job(LOCAL_TENANT, job.id)


@pytest.fixture
def house(database: Database, clock: FakeClock, keys: Keys, home: Path) -> House:
    return House(database, clock, keys, home)


def test_a_step_that_is_taken_twice_leaves_one_of_everything(house: House) -> None:
    job = house.run(house.begun(4, hyperparameters={"n_epochs": 3}))
    assert (job.state, job.step, job.trained_tokens) == ("succeeded", 12, 12 * TOKENS_A_STEP)
    assert job.recipe.batch == 1
    events = house.service.events(LOCAL_TENANT, job.id, limit=100).items
    told = [event.data["step"] for event in reversed(events) if event.data]
    assert told == list(range(1, 13)) and len(events) == 12 + 3 + 2 + 2
    kept = house.service.checkpoints(LOCAL_TENANT, job.id).items
    assert [model.step for model in kept] == [12, 8, 4]
    assert {artifact.id for artifact in house.artifacts.list()} == {model.artifact_id for model in kept}
    assert house.service.files(LOCAL_TENANT, purpose="fine-tune-results").items[0].id == job.result_file
    (line,) = house.cloud.usage(by=())
    assert (line.requests, line.cost_micros) == (1, 12 * TOKENS_A_STEP) and house.cloud.audit().is_sound
    assert not (house.home / "cache" / job.id).exists()


def test_an_artifact_names_its_file_and_its_base(house: House) -> None:
    job = house.run(house.begun())
    file, path = house.service.file(LOCAL_TENANT, job.training_file)
    (artifact,) = [one for one in house.artifacts.list() if "step" not in one.manifest.facts]
    assert artifact.manifest.built_from == (f"sha256:{file.sha256}", f"sha256:{'b' * 64}")
    assert path.read_bytes() == house.lines(4).read_bytes() and path.stat().st_mode & 0o077 == 0


def test_pages_and_metadata_are_the_same_on_every_database(house: House) -> None:
    ids = [house.begun(1, metadata={"team": team}).id for team in ("a", "b", "a")] + [house.begun(1).id]
    page = house.service.jobs(LOCAL_TENANT, limit=3)
    assert [job.id for job in page.items] == ids[:0:-1] and page.has_more
    rest = house.service.jobs(LOCAL_TENANT, limit=3, after=page.items[-1].id)
    assert [job.id for job in rest.items] == ids[:1] and not rest.has_more
    assert [job.id for job in house.service.jobs(None, metadata={"team": "a"}).items] == [ids[2], ids[0]]


def test_what_was_cancelled_before_it_began_never_begins(house: House) -> None:
    job = house.begun()
    house.service.cancel(None, job.id)
    assert house.run(job).state == "cancelled" and house.trainer.steps == []
    assert house.cloud.usage(by=())[0].cost_micros == 0 and house.cloud.tenants()[0].held_micros == 0


def test_what_is_cancelled_after_the_last_step_leaves_no_model(house: House) -> None:
    class LateCancel:
        def step(self, name: str, fn: Callable[..., Any], *args: Any) -> Any:
            if name == "finish":
                house.service.cancel(None, args[0])
            return fn(*args)

    job = house.run(house.begun(1, hyperparameters={"n_epochs": 1}), LateCancel())
    assert (job.state, job.trained_tokens) == ("cancelled", TOKENS_A_STEP)
    assert list(house.artifacts.list()) == [] and house.service.checkpoints(LOCAL_TENANT, job.id).items == []
    assert house.cloud.audit().is_sound


@pytest.mark.parametrize(
    ("harm", "code"),
    [(Path.unlink, NotFound.code), (lambda path: path.write_text("{}"), ChecksumMismatch.code)],
    ids=["gone", "changed"],
)
def test_a_file_that_was_harmed_on_the_disk_fails_the_job(house: House, harm: Any, code: str) -> None:
    job = house.begun()
    harm(house.service.file(LOCAL_TENANT, job.training_file)[1])
    failed = house.run(job)
    assert failed.state == "failed" and failed.error is not None
    assert (failed.error["code"], failed.error["param"]) == (code, "training_file")


def test_a_trainer_that_breaks_is_told_without_its_insides(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def break_down(step: int) -> None:
        raise RuntimeError("secret words of a lesson")

    house.trainer.after_step = break_down
    failed = house.run(house.begun())
    assert failed.error is not None and failed.error["code"] == "internal_error"
    assert "secret" not in str(failed) + caplog.text and failed.trained_tokens == 0
    (logged,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "break_down" in str(vars(logged)["where"])


def test_a_job_whose_worker_died_ten_times_is_seen_to_have_failed(house: House) -> None:
    job = house.begun()
    assert house.service.job(None, job.id).state == "validating_files"
    house.jobs.ended = True
    failed = house.service.jobs(None).items[0]
    assert failed.state == "failed" and failed.error is not None and "10 times" in str(failed.error["message"])
    assert house.cloud.tenants()[0].held_micros == 0


def test_a_training_that_a_crash_kept_from_the_queue_is_queued_at_the_next_start(
    house: House, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: Any, **kwargs: Any) -> JobId:
        raise Internal("killed")

    with monkeypatch.context() as patched:
        patched.setattr(house.jobs, "start_once", crash)
        with pytest.raises(Internal):
            house.begun()
    assert house.service.recover() == 0, "another gateway may be about to"
    clock.advance(120)
    assert house.service.recover() == 1 and len(house.jobs.started) == 1
    assert house.service.recover() == 0


def test_what_a_crash_left_of_an_upload_or_of_a_training_that_is_over_is_removed(
    house: House, home: Path, clock: FakeClock
) -> None:
    running, over = house.begun(), house.begun()
    house.service.cancel(None, over.id)
    for job in (running, over):
        (home / "cache" / job.id).mkdir(parents=True)
    old, fresh = (home / "files" / ".staging" / name for name in ("upload-1", "upload-2"))
    for path, age_s in ((old, 2 * 86_400), (fresh, 60)):
        path.write_text("words")
        moment = clock.now().timestamp() - age_s
        os.utime(path, (moment, moment))
    house.service.recover()
    assert (home / "cache" / running.id).exists() and not (home / "cache" / over.id).exists()
    assert fresh.exists() and not old.exists()
