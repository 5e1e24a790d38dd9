"""`/v1/files` and `/v1/fine_tuning/jobs`. Thin over `service.py`; a tenant sees its own and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute, Route

from ikkan.cloud.door import Door, Subjects
from ikkan.cloud.exchange import Desk, Exchange
from ikkan.cloud.router import Router
from ikkan.cloud.tuning.service import TuningService
from ikkan.cloud.tuning.shelf import Shelf
from ikkan.cloud.tuning.upload import FORM_BYTES, receive
from ikkan.cloud.tuning.values import RESULTS
from ikkan.cloud.values import Principal
from ikkan.cloud.wires import tuning as wire


class TuningRoutes:
    """Handlers of the wire for files and fine-tuning."""

    def __init__(
        self,
        door: Door,
        service: TuningService,
        router: Router,
        subjects: Subjects,
        files_dir: Path,
        upload_bytes: int,
    ) -> None:
        self._door = door
        self._service = service
        self._router = router
        self._subjects = subjects
        self._staging = Shelf(files_dir).staging
        self._upload_bytes = upload_bytes

    def routes(self) -> list[BaseRoute]:
        """What to mount at the root, before the routes that answer for everything below `/v1`."""
        jobs = "/v1/fine_tuning/jobs"
        return [
            Route("/v1/files", Desk({"GET": self.list_files, "POST": self.create_file})),
            Route("/v1/files/{id}", Desk({"GET": self.show_file, "DELETE": self.delete_file})),
            Route("/v1/files/{id}/content", Desk({"GET": self.file_content})),
            Route(jobs, Desk({"GET": self.list_jobs, "POST": self.create_job})),
            Route(f"{jobs}/{{id}}", Desk({"GET": self.show_job})),
            Route(f"{jobs}/{{id}}/cancel", Desk({"POST": self.cancel_job})),
            Route(f"{jobs}/{{id}}/events", Desk({"GET": self.list_events})),
            Route(f"{jobs}/{{id}}/checkpoints", Desk({"GET": self.list_checkpoints})),
        ]

    async def create_file(self, exchange: Exchange) -> None:
        """POST /v1/files: a form with `purpose` and `file`, and (ours) `user`, whose words it holds."""
        principal = await exchange.admit(self._door)
        upload = await receive(
            exchange.pieces(self._upload_bytes + FORM_BYTES),
            exchange.headers.get("content-type", ""),
            self._staging,
            most_bytes=self._upload_bytes,
        )
        principal = self._who(principal, upload.fields.get("user"))
        try:
            wire.check_form(upload.fields)
            made = await self._run(self._service.add_file, principal, upload, upload.fields.get("purpose", ""))
        finally:
            upload.path.unlink(missing_ok=True)
        await exchange.reply(wire.file_object(made))

    async def list_files(self, exchange: Exchange) -> None:
        """GET /v1/files?after=…&limit=…&order=…&purpose=…"""
        principal = await exchange.admit(self._door)
        query = wire.Query(exchange.query, most=10_000, default=10_000)
        found = await self._run(
            self._service.files,
            principal.tenant_id,
            after=query.after,
            limit=query.limit,
            newest=query.newest,
            purpose=query.purpose,
        )
        await exchange.reply(wire.page([wire.file_object(file) for file in found.items], found.has_more))

    async def show_file(self, exchange: Exchange) -> None:
        """GET /v1/files/{id}"""
        principal = await exchange.admit(self._door)
        file, _ = await self._run(self._service.file, principal.tenant_id, exchange.path_params["id"])
        await exchange.reply(wire.file_object(file))

    async def file_content(self, exchange: Exchange) -> None:
        """GET /v1/files/{id}/content"""
        principal = await exchange.admit(self._door)
        file, path = await self._run(self._service.file, principal.tenant_id, exchange.path_params["id"])
        is_table = file.purpose == RESULTS
        await exchange.reply_file(path, "text/csv; charset=utf-8" if is_table else "application/jsonl")

    async def delete_file(self, exchange: Exchange) -> None:
        """DELETE /v1/files/{id}"""
        principal = await exchange.admit(self._door)
        file_id = exchange.path_params["id"]
        await self._run(self._service.delete_file, principal.tenant_id, file_id)
        await exchange.reply({"id": file_id, "object": "file", "deleted": True})

    async def create_job(self, exchange: Exchange) -> None:
        """POST /v1/fine_tuning/jobs"""
        principal = await exchange.admit(self._door)
        asked = wire.read_create(await exchange.body())
        await self._router.resolve(asked.model, principal.tenant_id)  # a name that nobody knows is a 404
        await exchange.reply(wire.job_object(await self._run(self._service.create, principal, asked)))

    async def list_jobs(self, exchange: Exchange) -> None:
        """GET /v1/fine_tuning/jobs?after=…&limit=…&metadata[name]=value"""
        principal = await exchange.admit(self._door)
        query = wire.Query(exchange.query, most=100, default=20)
        found = await self._run(
            self._service.jobs,
            principal.tenant_id,
            after=query.after,
            limit=query.limit,
            metadata=query.metadata,
        )
        await exchange.reply(wire.page([wire.job_object(job) for job in found.items], found.has_more))

    async def show_job(self, exchange: Exchange) -> None:
        """GET /v1/fine_tuning/jobs/{id}"""
        principal = await exchange.admit(self._door)
        job = await self._run(self._service.job, principal.tenant_id, exchange.path_params["id"])
        await exchange.reply(wire.job_object(job))

    async def cancel_job(self, exchange: Exchange) -> None:
        """POST /v1/fine_tuning/jobs/{id}/cancel"""
        principal = await exchange.admit(self._door)
        job = await self._run(self._service.cancel, principal.tenant_id, exchange.path_params["id"])
        await exchange.reply(wire.job_object(job))

    async def list_events(self, exchange: Exchange) -> None:
        """GET /v1/fine_tuning/jobs/{id}/events?after=…&limit=…"""
        principal = await exchange.admit(self._door)
        query = wire.Query(exchange.query, most=1_000, default=20)
        found = await self._run(
            self._service.events,
            principal.tenant_id,
            exchange.path_params["id"],
            after=query.after,
            limit=query.limit,
        )
        await exchange.reply(wire.page([wire.event_object(event) for event in found.items], found.has_more))

    async def list_checkpoints(self, exchange: Exchange) -> None:
        """GET /v1/fine_tuning/jobs/{id}/checkpoints?after=…&limit=…"""
        principal = await exchange.admit(self._door)
        query = wire.Query(exchange.query, most=100, default=10)
        found = await self._run(
            self._service.checkpoints,
            principal.tenant_id,
            exchange.path_params["id"],
            after=query.after,
            limit=query.limit,
        )
        await exchange.reply(wire.page([wire.checkpoint_object(model) for model in found.items], found.has_more))

    def _who(self, principal: Principal, person: str | None) -> Principal:
        if not person:
            return principal
        return replace(principal, subject_id=self._subjects.pseudonym(principal.tenant_id, person))

    async def _run(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Not on the few threads that answer requests: reading a large file takes seconds.
        return await asyncio.to_thread(work, *args, **kwargs)
