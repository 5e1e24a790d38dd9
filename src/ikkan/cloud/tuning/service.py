"""Files, trainings and tuned models as plain functions of one object: for the wire, the console and the CLI alike.

Every method opens its own transactions and blocks; an event loop calls it in a thread.
"""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from ikkan.cloud import directory
from ikkan.cloud.directory import Snapshot
from ikkan.cloud.events import file_uploaded
from ikkan.cloud.ledger import TRAINING, Hold, Ledger
from ikkan.cloud.tables import tuning_jobs
from ikkan.cloud.tuning import store
from ikkan.cloud.tuning.asking import Asked, decide
from ikkan.cloud.tuning.ending import CREATED, end
from ikkan.cloud.tuning.examples import inspect
from ikkan.cloud.tuning.shelf import Shelf
from ikkan.cloud.tuning.upload import Upload, copied
from ikkan.cloud.tuning.values import (
    FINE_TUNE,
    TUNED,
    TUNING,
    Base,
    Page,
    StoredFile,
    TunedModel,
    TuningEvent,
    TuningJob,
)
from ikkan.cloud.values import Principal
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, Conflict, NotFound, UnknownJob, UnknownModel
from ikkan.ground.eventlog import EventLog
from ikkan.ground.ids import JobId, RequestId, SubjectId, TenantId, new_id
from ikkan.ground.jobs import Jobs
from ikkan.ground.money import FREE

RUN = "cloud.tuning"
"""The durable job that trains."""
_UPLOADING = timedelta(days=1)
_STARTING = timedelta(minutes=1)
"""A training that has no durable job after so long lost it in a crash."""


class TuningService:
    """The use cases of this folder.

    Args:
        work_dir: where trainings keep what they go on from.
        bases: what our engine serves under a name, if adapters can be trained for it.
        on_change: called after each change of what may be asked for, so that this process notices at once.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        events: EventLog,
        ledger: Ledger,
        shelf: Shelf,
        artifacts: ArtifactStore,
        jobs: Jobs,
        *,
        work_dir: Path,
        bases: Callable[[str], Base | None],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._events = events
        self._ledger = ledger
        self._shelf = shelf
        self._artifacts = artifacts
        self._jobs = jobs
        self._work_dir = work_dir
        self._bases = bases
        self._on_change = on_change

    # ---- files -------------------------------------------------------------------------------------------------------

    def add_file(self, principal: Principal, upload: Upload, purpose: str) -> StoredFile:
        """Check every line of a file that came, and keep it. The upload is gone afterwards, kept or not.

        Raises:
            BadInput: another purpose than `fine-tune`, or a line that cannot be learned from; it names the line.
            ErasedSubject: whose file it is was erased; nothing more of them is kept.
        """
        try:
            if purpose != FINE_TUNE:
                raise BadInput(
                    f"files with the purpose {purpose[:40]!r} are not used here", hint=FINE_TUNE, param="purpose"
                )
            file = StoredFile(
                id=new_id("file"),
                tenant_id=principal.tenant_id,
                subject_id=principal.subject_id,
                filename=upload.filename[:300],
                purpose=purpose,
                bytes=upload.bytes,
                sha256=upload.sha256,
                contents=inspect(upload.path),
                created_at=self._clock.now(),
            )
            # Row and content in one transaction: a deletion of the same content cannot come between them.
            with self._database.transaction() as connection:
                # Also so that a restore knows this person again, if they are erased after the backup.
                self._events.append(connection, file_uploaded(file))
                store.add_file(connection, file)
                self._shelf.take(file.tenant_id, upload.path, file.sha256)
        finally:
            upload.path.unlink(missing_ok=True)
        return file

    def bring(self, principal: Principal, path: Path) -> StoredFile:
        """`add_file`, for a file that is on this machine; it stays where it is."""
        return self.add_file(principal, copied(path, self._shelf.staging), FINE_TUNE)

    def files(
        self,
        tenant_id: TenantId,
        *,
        after: str | None = None,
        limit: int = 10_000,
        newest: bool = True,
        purpose: str | None = None,
    ) -> Page[StoredFile]:
        """A tenant's files."""
        with self._database.read() as connection:
            return store.list_files(connection, tenant_id, after=after, limit=limit, newest=newest, purpose=purpose)

    def file(self, tenant_id: TenantId, file_id: str) -> tuple[StoredFile, Path]:
        """A file, and where its content lies. Raises `NotFound`."""
        with self._database.read() as connection:
            found = store.get_file(connection, tenant_id, file_id)
        return found, self._shelf.path(found)

    def delete_file(self, tenant_id: TenantId, file_id: str) -> None:
        """Forget a file and destroy its content.

        Raises:
            NotFound: there is none of this id here.
            Conflict: a training needs it now.
        """
        with self._database.transaction() as connection:
            found = store.get_file(connection, tenant_id, file_id)
            job_id = store.is_used(connection, file_id)
            if job_id is not None:
                raise Conflict(
                    f"{job_id} is learning from {file_id}", hint="cancel the job first, or wait until it is done"
                )
            if store.remove_file(connection, found):
                self._shelf.destroy(found)

    # ---- jobs --------------------------------------------------------------------------------------------------------

    def create(self, principal: Principal, asked: Asked) -> TuningJob:
        """Reserve what a training may cost, write it down and put it in the queue.

        Raises:
            BadInput: a base that cannot be trained here, or a file that does not fit the method; `facts["param"]`.
            NotFound: no such file.
            QuotaExhausted: a budget has not that much left.
        """
        now = self._clock.now()
        with self._database.transaction() as connection:
            snapshot = directory.load_snapshot(connection)
            upstream, upstream_model, base = self._base(snapshot, asked.model)
            training = self._learnable(connection, principal.tenant_id, asked, asked.training_file, "training_file")
            if asked.validation_file is not None:
                self._learnable(connection, principal.tenant_id, asked, asked.validation_file, "validation_file")
            recipe = decide(asked, training.contents.examples)
            price = snapshot.price_of(TUNING, base.name)
            job_id = new_id("ftjob")
            short = job_id.replace("-", "")[-8:]
            job = TuningJob(
                id=job_id,
                tenant_id=principal.tenant_id,
                key_id=principal.key_id,
                subject_id=principal.subject_id,
                state="validating_files",
                created_at=now,
                finished_at=None,
                model=asked.model,
                upstream=upstream,
                upstream_model=upstream_model,
                base=base,
                training_file=asked.training_file,
                validation_file=asked.validation_file,
                suffix=asked.suffix,
                asked=dict(asked.hyperparameters),
                recipe=recipe,
                metadata=asked.metadata,
                price=price or FREE,
                run_id=None,
                step=0,
                steps=math.ceil(training.contents.examples / recipe.batch) * recipe.epochs,
                trained_tokens=0,
                estimated_finish=None,
                error=None,
                model_name=f"{TUNED}{base.name.replace('/', '-')[:60]}:{principal.tenant_id}:{asked.suffix}:{short}",
                result_file=new_id("file"),
            )
            most = training.contents.tokens_most * recipe.epochs
            hold = Hold(
                request_id=RequestId(job.id),
                attempt=1,
                tenant_id=job.tenant_id,
                key_id=job.key_id,
                subject_id=job.subject_id,
                endpoint=TRAINING,
                model=job.model,
                upstream=upstream,
                upstream_model=upstream_model,
                amount_micros=job.price.of(input_tokens=most, cached_tokens=0, output_tokens=0),
                priced=price is not None,
            )
            self._ledger.reserve(connection, hold)
            store.add_job(connection, job)
            store.tell(connection, job.id, CREATED, now, f"Created fine-tuning job: {job.id}")
        self._start(job.id)
        return self.job(job.tenant_id, job.id)

    def jobs(
        self,
        tenant_id: TenantId | None,
        *,
        after: str | None = None,
        limit: int = 20,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[TuningJob]:
        """Jobs, newest first: of one tenant, or all."""
        with self._database.read() as connection:
            page = store.list_jobs(connection, tenant_id, after=after, limit=limit, metadata=metadata)
        return Page([self._seen(job) for job in page.items], page.has_more)

    def job(self, tenant_id: TenantId | None, job_id: str) -> TuningJob:
        """One job. Raises `NotFound`."""
        with self._database.read() as connection:
            found = store.get_job(connection, tenant_id, job_id)
        return self._seen(found)

    def cancel(self, tenant_id: TenantId | None, job_id: str) -> TuningJob:
        """End a job now: the worker stops within a step, and what was trained until here is billed.

        Raises:
            NotFound: there is none of this id here.
            Conflict: it is over.
        """
        with self._database.transaction() as connection:
            job = store.get_job(connection, tenant_id, job_id)
            now = self._clock.now()
            if not end(connection, self._ledger, job, "cancelled", now, tokens=job.trained_tokens):
                raise Conflict(f"{job_id} is over: it {job.state}", hint="delete its model if you do not want it")
        return self.job(tenant_id, job_id)

    def events(
        self, tenant_id: TenantId, job_id: str, *, after: str | None = None, limit: int = 20
    ) -> Page[TuningEvent]:
        """What happened to a job, latest first."""
        with self._database.read() as connection:
            store.get_job(connection, tenant_id, job_id)
            return store.list_events(connection, job_id, after=after, limit=limit)

    def checkpoints(
        self, tenant_id: TenantId, job_id: str, *, after: str | None = None, limit: int = 10
    ) -> Page[TunedModel]:
        """What a job kept at the end of its epochs, latest first."""
        with self._database.read() as connection:
            store.get_job(connection, tenant_id, job_id)
            found = store.models_of(connection, job_id)
        places = [number for number, one in enumerate(found) if one.checkpoint_id == after]
        if after is not None and not places:
            raise BadInput(f"{after[:80]!r} is no checkpoint of this job", hint="the id of one", param="after")
        rest = found[places[0] + 1 :] if places else found
        return Page(rest[:limit], len(rest) > limit)

    def recover(self) -> int:
        """Queue what a crash kept from being queued; returns how many. Run at every start.

        What a crash left half-uploaded, or of a training that is over, is removed.
        """
        self._shelf.sweep(self._clock.now() - _UPLOADING)
        for folder in self._work_dir.glob("ftjob-*"):
            with contextlib.suppress(NotFound), self._database.read() as connection:
                if not store.get_job(connection, None, folder.name).is_active:
                    shutil.rmtree(folder, ignore_errors=True)
        waiting = sa.select(tuning_jobs.c.id).where(
            tuning_jobs.c.state == "validating_files",
            tuning_jobs.c.run_id.is_(None),
            tuning_jobs.c.created_at < self._clock.now() - _STARTING,
        )
        with self._database.read() as connection:
            lost = list(connection.execute(waiting).scalars())
        for job_id in lost:
            self._start(job_id)
        return len(lost)

    # ---- models ------------------------------------------------------------------------------------------------------

    def delete_model(self, tenant_id: TenantId, name: str) -> None:
        """Let nobody ask for a model any more, and destroy its adapter.

        Raises:
            UnknownModel: this tenant has no model of its own by this name.
        """
        with self._database.transaction() as connection:
            found = store.all_models(connection).get(name)
            if found is None or found.tenant_id != tenant_id:
                raise UnknownModel(f"you have no fine-tuned model {name[:120]!r}", hint="GET /v1/models", param="model")
            store.remove_model(connection, found)
            self._artifacts.delete(found.artifact_id)
        self._on_change()

    def forget(self, connection: sa.Connection, tenant_id: TenantId, subject_id: SubjectId) -> int:
        """Destroy the files a person brought and every model that learned from them; returns the rows changed.

        What is learning from them now stops.
        """
        changed = 0
        brought = store.files_of(connection, tenant_id, subject_id)
        for job in store.jobs_on(connection, [file.id for file in brought]):
            changed += end(connection, self._ledger, job, "cancelled", self._clock.now(), tokens=job.trained_tokens)
            for model in store.models_of(connection, job.id):
                store.remove_model(connection, model)
                self._artifacts.delete(model.artifact_id)
                changed += 1
        for file in brought:
            changed += 1
            if store.remove_file(connection, file):
                self._shelf.destroy(file)
        here = sa.and_(tuning_jobs.c.tenant_id == tenant_id, tuning_jobs.c.subject_id == subject_id)
        return changed + connection.execute(tuning_jobs.update().where(here).values(subject_id=None)).rowcount

    # ---- private -----------------------------------------------------------------------------------------------------

    def _start(self, job_id: str) -> None:
        run_id = self._jobs.start_once(RUN, job_id, tuning_id=job_id)
        with self._database.transaction() as connection:
            store.set_run(connection, job_id, run_id)

    def _seen(self, job: TuningJob) -> TuningJob:
        """A job, after one whose durable job ended without it was ended as well: a worker that died ten times."""
        if not job.is_active or job.run_id is None:
            return job
        try:
            status = self._jobs.status(JobId(job.run_id))
        except UnknownJob:
            return job
        if not status.is_finished:
            return job
        told = status.error.message if status.error else "the worker gave it up"
        error = {"code": "internal_error", "message": told, "param": None}
        with self._database.transaction() as connection:
            end(connection, self._ledger, job, "failed", self._clock.now(), tokens=0, error=error)
            return store.get_job(connection, None, job.id)

    def _base(self, snapshot: Snapshot, model: str) -> tuple[str, str, Base]:
        """Upstream, its name for the model, and the base: of a name that requests use."""
        able = [name for name, record in snapshot.upstreams.items() if record.quirks.get("adapters")]
        alias = snapshot.aliases.get(model)
        if alias is not None:
            targets: Sequence[str] = alias.targets
        else:
            targets = [model, *(f"{name}/{model}" for name in able)]
        for target in targets:
            upstream, _, upstream_model = target.partition("/")
            base = self._bases(upstream_model) if upstream in able else None
            if base is not None:
                return upstream, upstream_model, base
        if model.startswith(TUNED):
            raise BadInput(
                "a fine-tuned model is not trained further", hint="train its base on all your data", param="model"
            )
        raise BadInput(
            f"{model[:120]!r} cannot be fine-tuned here: it is not a model that our own engine serves",
            hint="`default` can, where our engine answers for it; ikkan model list",
            param="model",
        )

    def _learnable(
        self, connection: sa.Connection, tenant_id: TenantId, asked: Asked, file_id: str, param: str
    ) -> StoredFile:
        file = store.get_file(connection, tenant_id, file_id, param=param)
        if file.purpose != FINE_TUNE:
            raise BadInput(f"{file_id} has the purpose {file.purpose}", hint=f"one with {FINE_TUNE}", param=param)
        wanted = "preference" if asked.method == "dpo" else "chat"
        if file.contents.kind != wanted:
            raise BadInput(
                f"{file_id} is in the {file.contents.kind} format; the method {asked.method} learns from {wanted}",
                hint='"messages" for supervised; "input", "preferred_output", "non_preferred_output" for dpo',
                param=param,
            )
        return file
