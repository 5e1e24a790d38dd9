"""A person is erased: at once in the data, and by a durable job in what was learned. Command line and API meet here.

The job is `flywheel.erase`; its argument is the erasure's id, so no pseudonym stands among the jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ikkan.cloud.door import Subjects
from ikkan.flywheel.erasure import Eraser, Erasure
from ikkan.ground.errors import AlreadyRunning, NotFound
from ikkan.ground.ids import JobId, SubjectId, TenantId
from ikkan.ground.jobs import Jobs, JobStatus

ERASE = "flywheel.erase"
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Begun:
    """A person is forgotten; their job carries it into the models."""

    erasure: Erasure
    job_id: JobId | None
    """None where the receipt is there already."""


@dataclass(frozen=True, slots=True)
class Erasing:
    """Erases people of this house. Implements `ikkan.cloud.admin.Erasing`."""

    eraser: Eraser
    subjects: Subjects
    jobs: Jobs

    def begin(self, tenant_id: TenantId, person: str) -> Begun:
        """Forget a person for good and start the job.

        Args:
            person: the pseudonym, or what a client calls the person (`user` in its requests).

        Raises:
            NotFound: nothing is known of either.
        """
        try:
            erasure = self.eraser.begin(tenant_id, SubjectId(person))
        except NotFound as unknown:
            try:
                erasure = self.eraser.begin(tenant_id, self.subjects.pseudonym(tenant_id, person))
            except NotFound:
                raise unknown from None
        return Begun(erasure, None if erasure.receipt else start(self.jobs, erasure))

    def erase(self, tenant_id: TenantId, person: str) -> dict[str, Any]:
        """`begin`, as JSON."""
        begun = self.begin(tenant_id, person)
        return {"erasure": begun.erasure.as_json(), "job": begun.job_id}

    def erasures(self) -> list[dict[str, Any]]:
        """Every erasure, the latest first, as JSON."""
        return [erasure.as_json() for erasure in self.eraser.erasures()]

    def erasure(self, erasure_id: str) -> dict[str, Any]:
        """One erasure, with its receipt once all is done, as JSON."""
        return self.eraser.erasure(erasure_id).as_json()


def start(jobs: Jobs, erasure: Erasure) -> JobId:
    """Let the worker carry an erasure out; one job at a time for each."""
    return jobs.start_once(ERASE, erasure.id, erasure=erasure.id)


def go_on(eraser: Eraser, jobs: Jobs) -> list[JobId]:
    """Start what was begun and has no job, as after a power cut between the two, or after a failed one."""
    return [start(jobs, erasure) for erasure in eraser.unfinished("asked")]


def wait(jobs: Jobs, job_id: JobId, tell: Progress) -> JobStatus:
    """Until the job is finished: by the worker that runs, else here."""

    def watch() -> JobStatus:
        while not (status := jobs.wait(job_id, timeout_s=0.5)).is_finished:
            tell(status.progress, status.message)
        return status

    try:
        with jobs.working():
            return watch()
    except AlreadyRunning:
        return watch()
