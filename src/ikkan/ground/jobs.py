"""Durable jobs: imports, training, evaluation - work that outlives a click, a crash and an upgrade.

A job is a function of `JobContext` and JSON arguments, made of named steps. What a finished step returned is kept, so
after `kill -9` the worker goes on where it was; the interrupted step runs again, which is why **every step is
idempotent**. The gateway starts, watches and cancels jobs without executing any; the worker (`Jobs.run_worker`) does.

Jobs are replayed by the *order and names* of their steps. Code may change between releases, the sequence of steps of a
job may not: when it must, give the job a new name (`maps.import` -> `maps.import.2`) and keep the old one too.

dbos does the work. Its application version is pinned (`JOBS_VERSION`): by default it is a hash of the code, and a job
begun before an upgrade would wait for the old code for ever.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Concatenate, Final, Literal, ParamSpec, TypeVar

import msgspec
import sqlalchemy as sa

from ikkan.ground.clock import Clock, SystemClock
from ikkan.ground.db import Database, UtcDateTime
from ikkan.ground.errors import AlreadyRunning, BadInput, Conflict, IkkanError, Internal, UnknownJob
from ikkan.ground.ids import JobId, new_id
from ikkan.ground.processes import FileLock

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
JobState = Literal["queued", "running", "done", "failed", "cancelled"]

JOBS_VERSION: Final = "ikkan-jobs-1"
"""Never follows the release. It changes only when *every* job kept in a jobs database must be given up."""

FINISHED: Final[frozenset[JobState]] = frozenset({"done", "failed", "cancelled"})

metadata = sa.MetaData()

progress_table = sa.Table(
    "ground_jobs_progress",
    metadata,
    sa.Column("job_id", sa.String(80), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("fraction", sa.Float, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

_QUEUE = "ikkan"
_APPLICATION = "ikkan"
_MOST_RECOVERIES = 10
"""A job whose step kills the worker (out of memory) is given up after as many tries instead of for ever."""
_PROGRESS_EVERY_S = 0.25
_STATES: Final[dict[str, JobState]] = {
    "DELAYED": "queued",
    "ENQUEUED": "queued",
    "PENDING": "running",
    "SUCCESS": "done",
    "ERROR": "failed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
    "CANCELLED": "cancelled",
}


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Where a job stands."""

    id: JobId
    name: str
    state: JobState
    progress: float
    """0 to 1."""
    message: str
    """What it is doing, in the job's own words."""
    error: IkkanError | None
    """Why it failed."""
    result: Any
    """What it returned, as JSON values, once it is done."""
    created_at: datetime
    updated_at: datetime

    @property
    def is_finished(self) -> bool:
        """Done, failed or cancelled: it will not move unless resumed."""
        return self.state in FINISHED


class JobContext:
    """What a running job is handed."""

    def __init__(self, jobs: Jobs, job_id: JobId, name: str) -> None:
        self.job_id = job_id
        self.name = name
        self._jobs = jobs
        self._written_s = -1.0
        self._message = ""

    def step(self, name: str, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one idempotent step, or give back what it returned before an interruption without running it.

        What it returns is handed back as JSON values (a tuple becomes a list), so that both ways look the same.
        A cancelled job stops here.
        """
        from dbos import DBOS

        def run() -> Any:
            return _plain(fn(*args, **kwargs), f"step {name!r} of {self.name} returned")

        result: R = DBOS.run_step({"name": name}, run)
        return result

    def progress(self, fraction: float, message: str = "") -> None:
        """Show how far it is (0 to 1). Cheap enough for every item: it is written four times a second at most.

        A cancelled job stops here, also in the middle of a step.
        """
        assert 0.0 <= fraction <= 1.0, "progress is between 0 and 1"
        now_s = time.monotonic()
        if fraction < 1.0 and self._written_s >= 0 and now_s - self._written_s < _PROGRESS_EVERY_S:
            return
        self._written_s, self._message = now_s, message or self._message
        self._jobs._write_progress(self.job_id, self.name, fraction, self._message)
        self.check()

    def check(self) -> None:
        """Stop here if the job was cancelled."""
        if self._jobs._is_cancelled(self.job_id):
            from dbos._error import DBOSWorkflowCancelledError

            raise DBOSWorkflowCancelledError(f"job {self.job_id} was cancelled")


JobFunction = Callable[Concatenate[JobContext, P], R]


class Jobs:
    """The jobs of this installation. Bootstrap makes one in each process and lets every room register its own.

    Args:
        database_url: where dbos keeps its state; a file of its own on SQLite.
        app_db: where progress is shown, for console and CLI.
        executor_id: this worker's own name, the same after a restart; two workers on one database need two.
        concurrency: jobs this worker executes at the same time.
    """

    def __init__(
        self,
        database_url: str,
        app_db: Database,
        *,
        clock: Clock | None = None,
        executor_id: str = "local",
        concurrency: int = 2,
    ) -> None:
        self._url = database_url
        self._app_db = app_db
        self._clock = clock or SystemClock()
        self._executor_id = executor_id
        self._concurrency = concurrency
        self._functions: dict[str, Callable[..., Any]] = {}
        self._client_lock = threading.Lock()
        self._client_made: Any = None

    def job(self, name: str) -> Callable[[JobFunction[P, R]], JobFunction[P, R]]:
        """Register a function as the job `name`: `@jobs.job("maps.import")`. Both processes register; one executes."""

        def register(fn: JobFunction[P, R]) -> JobFunction[P, R]:
            assert name not in self._functions, f"two jobs are named {name!r}"
            self._functions[name] = fn
            return fn

        return register

    @property
    def names(self) -> list[str]:
        """The registered jobs."""
        return sorted(self._functions)

    def start(self, name: str, /, **kwargs: Any) -> JobId:
        """Put a job in the queue; on disk when this returns. A worker takes it when it is free.

        Raises:
            UnknownJob: nobody registered the name.
            BadInput: an argument is not JSON.
        """
        return self._enqueue(name, kwargs, {})

    def start_once(self, name: str, key: str, /, *, as_id: JobId | None = None, **kwargs: Any) -> JobId:
        """Like `start`, but while a job started with this `key` is queued or running, gives that one back instead.

        Args:
            as_id: the id of a job that is started now, from `new_id("job")`: for whoever notes it before a worker can
                have it.
        """
        once = {"deduplication_id": f"{name}:{key}", "duplication_policy": "return-existing"}
        return self._enqueue(name, kwargs, once | ({} if as_id is None else {"workflow_id": as_id}))

    def start_later(self, name: str, after_s: float, /, **kwargs: Any) -> JobId:
        """Like `start`, for a job that is to wait first; a restart forgets neither the job nor when it is due."""
        return self._enqueue(name, kwargs, {"delay_seconds": after_s})

    def status(self, job_id: JobId) -> JobStatus:
        """Where the job stands.

        Raises:
            UnknownJob: there is none of this id.
        """
        found = self._client().list_workflows(workflow_ids=[job_id], load_input=False)
        if not found:
            raise UnknownJob(f"no job {job_id}", hint="ikkan job list", job=job_id)
        return self._statuses(found)[0]

    def list(self, *, limit: int = 50, name: str | None = None) -> Sequence[JobStatus]:
        """The latest jobs, newest first."""
        found = self._client().list_workflows(name=name, limit=limit, sort_desc=True, load_input=False)
        return self._statuses(found)

    def cancel(self, job_id: JobId) -> JobStatus:
        """Stop it at its next step or report of progress. What its finished steps did stays, for `resume`."""
        if not self.status(job_id).is_finished:
            self._client().cancel_workflow(job_id)
        return self.status(job_id)

    def resume(self, job_id: JobId) -> JobStatus:
        """Let a cancelled or failed job go on after its last good step, under the same id.

        Raises:
            Conflict: it is already done.
        """
        status = self.status(job_id)
        client = self._client()
        if status.state == "done":
            raise Conflict(f"job {job_id} is done", hint="start it again as a new job", job=job_id)
        if status.state == "failed":
            steps = client.list_workflow_steps(job_id, load_output=True)
            bad = [step["function_id"] for step in steps if step["error"] is not None]
            after = max((step["function_id"] for step in steps), default=0) + 1
            client.rewind_workflow(
                job_id,
                start_step=min(bad, default=after),
                application_version=JOBS_VERSION,
                queue_name=_QUEUE,
            )
        elif status.state == "cancelled":
            client.resume_workflow(job_id, queue_name=_QUEUE)
        return self.status(job_id)

    def wait(self, job_id: JobId, *, timeout_s: float | None = None, every_s: float = 0.2) -> JobStatus:
        """Block until the job is finished, or `timeout_s` is over: look at the status that comes back."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            status = self.status(job_id)
            if status.is_finished or (until is not None and time.monotonic() >= until):
                return status
            time.sleep(every_s)

    async def wait_async(self, job_id: JobId, *, timeout_s: float | None = None, every_s: float = 0.2) -> JobStatus:
        """`wait` for an event loop."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            status = await asyncio.to_thread(self.status, job_id)
            if status.is_finished or (until is not None and time.monotonic() >= until):
                return status
            await asyncio.sleep(every_s)

    def run_worker(self, stop: threading.Event | None = None) -> None:
        """Execute jobs until `stop` is set; without `stop`, until SIGTERM or SIGINT, as the whole of a process.

        Jobs that a former worker left in the middle go on first. A job still in a step at the end is left as after
        `kill -9`: the next worker goes on with it.

        Raises:
            AlreadyRunning: a worker of this jobs database is running (SQLite).
        """
        if stop is not None:
            with self.working():
                stop.wait()
            return
        ended = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            ended.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        with self.working():
            while not ended.wait(1.0):
                pass
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        # A thread inside a long step cannot be interrupted, and leaving normally would wait for it.
        os._exit(0)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Execute jobs in background threads as long as the block lasts. One per process."""
        from dbos import DBOS

        with self._worker_lock():
            client = self._client()
            _quiet()
            DBOS(
                config={
                    "name": _APPLICATION,
                    "system_database_url": self._url,
                    "application_version": JOBS_VERSION,
                    "executor_id": self._executor_id,
                    "serializer": _Json(),
                    "enable_otlp": False,
                    "log_level": "WARNING",
                }
            )
            try:
                for name, function in self._functions.items():
                    DBOS.workflow(name=name, max_recovery_attempts=_MOST_RECOVERIES)(self._workflow(name, function))
                client.register_queue(
                    _QUEUE, worker_concurrency=self._concurrency, polling_interval_sec=0.25, on_conflict="always_update"
                )
                DBOS.launch()
                log.info("worker started", extra={"jobs": len(self._functions), "executor": self._executor_id})
                yield
            finally:
                DBOS.destroy(destroy_registry=True)
                log.info("worker stopped")

    def close(self) -> None:
        """Let go of the jobs database. Safe to call twice."""
        with self._client_lock:
            client, self._client_made = self._client_made, None
        if client is not None:
            client.destroy()

    def _enqueue(self, name: str, kwargs: dict[str, Any], more: dict[str, Any]) -> JobId:
        if name not in self._functions:
            raise UnknownJob(f"no job is named {name!r}", hint=f"there are: {', '.join(self.names) or 'none'}")
        arguments = _plain(kwargs, f"an argument of {name} is")
        options = {
            "workflow_name": name,
            "queue_name": _QUEUE,
            "workflow_id": new_id("job"),
            "app_version": JOBS_VERSION,
            **more,
        }
        return JobId(self._client().enqueue(options, **arguments).workflow_id)

    def _workflow(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        from dbos import DBOS

        def workflow(**kwargs: Any) -> Any:
            job_id = JobId(str(DBOS.workflow_id))
            context = JobContext(self, job_id, name)
            log.info("job started", extra={"job": name, "job_id": job_id})
            result = _plain(function(context, **kwargs), f"{name} returned")
            self._write_progress(job_id, name, 1.0, "")
            log.info("job done", extra={"job": name, "job_id": job_id})
            return result

        workflow.__qualname__ = workflow.__name__ = name
        return workflow

    def _write_progress(self, job_id: JobId, name: str, fraction: float, message: str) -> None:
        row = {"name": name, "fraction": fraction, "message": message, "updated_at": self._clock.now()}
        with self._app_db.transaction() as connection:
            changed = connection.execute(
                progress_table.update().where(progress_table.c.job_id == job_id).values(row)
            ).rowcount
            if not changed:
                connection.execute(progress_table.insert().values(job_id=job_id, **row))

    def _is_cancelled(self, job_id: JobId) -> bool:
        found = self._client().list_workflows(workflow_ids=[job_id], load_input=False, load_output=False)
        return bool(found) and found[0].status == "CANCELLED"

    def _statuses(self, found: Sequence[Any]) -> Sequence[JobStatus]:
        ids = [workflow.workflow_id for workflow in found]
        with self._app_db.read() as connection:
            rows = connection.execute(sa.select(progress_table).where(progress_table.c.job_id.in_(ids)))
            progress = {row.job_id: (row.fraction, row.message) for row in rows}
        statuses = []
        for workflow in found:
            state = _STATES[workflow.status]
            fraction, message = progress.get(workflow.workflow_id, (0.0, ""))
            statuses.append(
                JobStatus(
                    id=JobId(workflow.workflow_id),
                    name=workflow.name,
                    state=state,
                    progress=1.0 if state == "done" else fraction,
                    message=message,
                    error=_failure(workflow),
                    result=workflow.output if state == "done" else None,
                    created_at=_moment(workflow.created_at),
                    updated_at=_moment(workflow.updated_at),
                )
            )
        return statuses

    @contextmanager
    def _worker_lock(self) -> Iterator[None]:
        # Two workers of one name would each take the other's running job for one that was left behind.
        file = _sqlite_file(self._url)
        if file is None:
            with _server_lock(self._url, f"ikkan worker {self._executor_id}"):
                yield
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_name(f"{file.name}.worker"), "a worker already executes the jobs of this home"):
            yield

    def _client(self) -> Any:
        with self._client_lock:
            if self._client_made is None:
                from dbos import DBOS, DBOSClient

                _quiet()
                file = _sqlite_file(self._url)
                if file is not None:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    _use_wal(self._url)
                DBOS.migrate(self._url)
                self._client_made = DBOSClient(
                    system_database_url=self._url, serializer=_Json(), application_name=_APPLICATION
                )
            return self._client_made


class _Json:
    """How dbos keeps arguments, results and errors: JSON. Its default is pickle, which runs code from a file."""

    def name(self) -> str:
        return "ikkan_json"

    def serialize(self, data: Any) -> str:
        if isinstance(data, BaseException):
            data = {"$error": _describe(data)}
        return msgspec.json.encode(data).decode()

    def deserialize(self, text: str) -> Any:
        data = msgspec.json.decode(text)
        if isinstance(data, dict) and "$error" in data:
            told = data["$error"]
            return _error_class(told["code"])(told["message"], hint=told["hint"], **told["facts"])
        return data


def _describe(error: BaseException) -> dict[str, Any]:
    if isinstance(error, IkkanError):
        facts = {name: fact for name, fact in error.facts.items() if name not in ("message", "hint")}
        return {"code": error.code, "message": error.message, "hint": error.hint, "facts": _plain(facts, "a fact is")}
    return {
        "code": Internal.code,
        "message": f"{type(error).__name__}: {error}",
        "hint": "the worker's log has the traceback",
        "facts": {},
    }


def _error_class(code: str) -> type[IkkanError]:
    classes: list[type[IkkanError]] = [IkkanError]
    for known in classes:
        if known.code == code:
            return known
        classes.extend(known.__subclasses__())
    return Internal


def _failure(workflow: Any) -> IkkanError | None:
    if workflow.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        return Internal(
            f"the worker ended {_MOST_RECOVERIES} times in the middle of this job",
            hint="it may need more memory than there is; look at the worker's log, then: ikkan job resume",
        )
    if workflow.status != "ERROR":
        return None
    error = workflow.error
    return error if isinstance(error, IkkanError) else Internal(str(error), hint="the worker's log has the traceback")


def _plain(value: Any, told: str) -> Any:
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError, msgspec.MsgspecError) as exc:
        raise BadInput(
            f"{told} no JSON value: {exc}", hint="keep data in an artifact and pass its id between steps"
        ) from exc


def _moment(epoch_ms: int | None) -> datetime:
    return datetime.fromtimestamp((epoch_ms or 0) / 1000, UTC)


def _sqlite_file(url: str) -> Path | None:
    parsed = sa.make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


@contextmanager
def _server_lock(url: str, name: str) -> Iterator[None]:
    """Hold a lock that PostgreSQL frees with the connection."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            got = connection.scalar(sa.select(sa.func.pg_try_advisory_lock(sa.func.hashtextextended(name, 0))))
            if not got:
                raise AlreadyRunning(
                    f"another {name!r} executes jobs of this database", hint="give each worker an id of its own"
                )
            yield
    finally:
        engine.dispose()


def _use_wal(url: str) -> None:
    """Let readers of the jobs file (a console that polls) never wait for the worker; the file remembers it."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    engine.dispose()


def _quiet() -> None:
    """Send dbos's log where ours goes, instead of to a console handler of its own."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.setLevel(logging.WARNING)
