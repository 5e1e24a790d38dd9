"""The API of data in: files to look at, try, bring in and take back; single wares; and a tag's events.

Merchants' doors need a key of scope admin. `collect` is the one door for strangers: a tag's public key and its site's
origin open it, it only takes, and it stands beside the others because no session and no CSRF token can be asked there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.routing import Route

from ikkan.apps.shop import store
from ikkan.apps.shop.rules.importing import times
from ikkan.apps.shop.rules.importing.reporting import error_rows
from ikkan.apps.shop.service.collecting import MOST_BYTES, Collecting
from ikkan.apps.shop.service.importing import JOB, Importing
from ikkan.apps.shop.service.importing.landing import put_products
from ikkan.apps.shop.values import DEEDS, Ware
from ikkan.apps.shop.values.importing import SHEET_KINDS, Import, Reading, SheetKind
from ikkan.apps.shop.values.tag import Tag
from ikkan.cloud.tuning.upload import FORM_BYTES, Upload, receive
from ikkan.ground.errors import BadInput, IkkanError, NotFound, RequestTooLarge
from ikkan.ground.ids import JobId, TenantId
from ikkan.kit import Parts, error_reply

_Id = Annotated[str, Field(min_length=1, max_length=80)]
_Text = Annotated[str, Field(max_length=300)]
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "CSV or Parquet"},
                        "kind": {"type": "string", "enum": list(SHEET_KINDS)},
                        "map": {"type": "string", "description": "JSON: field → column"},
                        "currency": {"type": "string"},
                        "utc_offset": {"type": "string"},
                        "encoding": {"type": "string"},
                        "deed": {"type": "string", "enum": list(DEEDS)},
                    },
                }
            }
        },
    }
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PutWare(_Body):
    """A ware as a merchant's system says it is. What is absent is not so."""

    name: Annotated[str, Field(min_length=1, max_length=300)]
    price: Annotated[float, Field(ge=0, le=1e9)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "JPY"
    category: _Text = ""
    description: Annotated[str, Field(max_length=20_000)] = ""
    brand: Annotated[str, Field(max_length=200)] = ""
    seller: Annotated[str, Field(max_length=200)] = ""
    margin_share: Annotated[float, Field(ge=0, le=1)] | None = None
    stock: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    attributes: Annotated[dict[Annotated[str, Field(max_length=80)], _Text], Field(max_length=100)] = {}
    tags: Annotated[list[Annotated[str, Field(max_length=80)]], Field(max_length=100)] = []
    image: Annotated[str, Field(max_length=1_000, pattern=r"^$|^(https?://|/)[^\s<>\"'\\]+$")] = ""
    names: dict[Literal["ja", "en", "zh"], _Text] = {}
    added_at: AwareDatetime | None = None
    is_listed: bool = True


class MakeTag(_Body):
    """A tag for pages of these sites."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    origins: Annotated[list[Annotated[str, Field(max_length=300)]], Field(min_length=1, max_length=50)]


def join(door: FastAPI, parts: Parts, importing: Importing, collecting: Collecting, shelf: Any) -> None:
    """Add these paths.

    Args:
        shelf: puts and removes single wares, `put_wares(tenant_id, wares)` and `remove_ware(tenant_id, product_id)`;
            whoever keeps wares in memory.
    """
    run, staging = parts.database.run, parts.settings.home / "cache" / "shop"

    def merchant(request: Request) -> TenantId:
        return TenantId(parts.frame.require(request, admin=True).tenant_id)

    # ---- files -------------------------------------------------------------------------------------------------------

    @door.post("/imports/guess", openapi_extra=_FORM)
    async def guess(request: Request) -> dict[str, Any]:
        """Which column seems to be what, with samples and how sure it is. Nothing is kept."""
        tenant_id = merchant(request)
        async with _received(request, staging, parts.settings.upload_bytes) as (upload, kind, said, reading):
            found = await asyncio.to_thread(importing.guess, tenant_id, upload.path, kind, said=said, reading=reading)
        return cast(dict[str, Any], msgspec.to_builtins(found))

    @door.post("/imports/dry-run", openapi_extra=_FORM)
    async def dry_run(request: Request) -> dict[str, Any]:
        """What would be added, changed and refused. Nothing is kept."""
        tenant_id = merchant(request)
        async with _received(request, staging, parts.settings.upload_bytes) as (upload, kind, said, reading):
            found = await asyncio.to_thread(importing.preview, tenant_id, upload.path, kind, said=said, reading=reading)
        return cast(dict[str, Any], msgspec.to_builtins(found))

    @door.post("/imports", openapi_extra=_FORM)
    async def bring(request: Request) -> dict[str, Any]:
        """Bring a file in: answers at once; a job does it. The same file again gives the same import."""
        tenant_id = merchant(request)
        async with _received(request, staging, parts.settings.upload_bytes) as (upload, kind, said, reading):
            made = await asyncio.to_thread(
                importing.begin, tenant_id, upload.path, kind, filename=upload.filename, said=said, reading=reading,
                is_moved=True,
            )  # fmt: skip
        job_id = None
        if made.state == "running" and parts.jobs is not None:
            job_id = await asyncio.to_thread(
                parts.jobs.start_once, JOB, made.import_id, tenant_id=tenant_id, import_id=made.import_id
            )
        return {**_import(made), "job_id": job_id}

    @door.get("/imports")
    async def listed(request: Request) -> dict[str, Any]:
        return {"imports": [_import(each) for each in await run(importing.imports, merchant(request))]}

    @door.get("/imports/{import_id}")
    async def one(request: Request, import_id: str) -> dict[str, Any]:
        return _import(await run(importing.get, merchant(request), import_id))

    @door.get("/imports/{import_id}/errors")
    async def errors(request: Request, import_id: str, format: Literal["json", "csv"] = "json") -> Response:
        """Row by row: number, field, value, what is wrong, what to do."""
        tenant_id = merchant(request)
        await run(importing.get, tenant_id, import_id)
        found = importing.troubles(tenant_id, import_id)
        if format == "csv":
            headers = {"content-disposition": f'attachment; filename="errors-{import_id}.csv"'}
            return StreamingResponse(
                _threaded(error_rows(found)), media_type="text/csv; charset=utf-8", headers=headers
            )
        return JSONResponse({"errors": await run(lambda: [asdict(each) for each in found])})

    @door.post("/imports/{import_id}/undo")
    async def undo(request: Request, import_id: str) -> dict[str, Any]:
        """Take back what it did."""
        return asdict(await asyncio.to_thread(importing.undo, merchant(request), import_id))

    @door.get("/jobs/{job_id}")
    async def job(request: Request, job_id: str) -> dict[str, Any]:
        merchant(request)
        if parts.jobs is None:
            raise NotFound("there are no jobs here", hint="ikkan worker")
        status = await asyncio.to_thread(parts.jobs.status, JobId(job_id))
        if status.name != JOB:
            raise NotFound("there is no such import", hint="GET /a/shop/v1/imports")
        return {"state": status.state, "progress": status.progress, "message": status.message}

    # ---- single wares ------------------------------------------------------------------------------------------------

    @door.get("/wares/{product_id}")
    async def ware(request: Request, product_id: str) -> dict[str, Any]:
        tenant_id = merchant(request)

        def read() -> Ware | None:
            with parts.database.read() as connection:
                return store.shelf.ware(connection, tenant_id, product_id)

        found = await run(read)
        if found is None:
            raise NotFound(f"there is no ware {product_id}", hint="PUT puts one there")
        return cast(dict[str, Any], msgspec.to_builtins(found))

    @door.put("/wares/{product_id}")
    async def put_ware(request: Request, product_id: _Id, body: PutWare) -> dict[str, Any]:
        """Put a ware on the shelf, or replace it. It can be suggested at the next request."""
        tenant_id = merchant(request)
        said = body.model_dump(exclude={"price", "added_at", "tags"})

        def put() -> Ware:
            with parts.database.read() as connection:
                before = store.shelf.ware(connection, tenant_id, product_id)
            since: datetime = body.added_at or (before.added_at if before else parts.clock.now())
            micros = round(body.price * 1_000_000)
            made = Ware(product_id=product_id, price_micros=micros, added_at=since, tags=tuple(body.tags), **said)
            shelf.put_wares(tenant_id, [made])
            with parts.database.transaction() as connection:
                put_products(connection, tenant_id, [made])
            return made

        return cast(dict[str, Any], msgspec.to_builtins(await run(put)))

    @door.delete("/wares/{product_id}")
    async def remove_ware(request: Request, product_id: _Id) -> dict[str, bool]:
        """Take a ware from the shelf; it is not suggested from the next request on, and orders still know it."""
        if not await run(shelf.remove_ware, merchant(request), product_id):
            raise NotFound(f"there is no ware {product_id} on the shelf", hint="GET /a/shop/v1/wares/{id}")
        return {"removed": True}

    # ---- tags --------------------------------------------------------------------------------------------------------

    @door.get("/tags")
    async def tags(request: Request) -> dict[str, Any]:
        return {"tags": [_tag(each) for each in await run(collecting.tags, merchant(request))]}

    @door.post("/tags")
    async def make_tag(request: Request, body: MakeTag) -> dict[str, Any]:
        """A publishable key for pages of these sites."""
        return _tag(await run(collecting.make, merchant(request), body.name, body.origins))

    @door.delete("/tags/{tag_id}")
    async def revoke_tag(request: Request, tag_id: str) -> dict[str, bool]:
        await run(collecting.revoke, merchant(request), tag_id)
        return {"revoked": True}

    async def collect(request: Request) -> Response:
        origin = request.headers.get("origin")
        if request.method == "OPTIONS":
            allowed = origin is not None and await run(collecting.allows, origin)
            return Response(status_code=204, headers=_cors(origin) if allowed else {})
        try:
            body = await _at_most(request.stream(), MOST_BYTES)
            address = request.client.host if request.client else ""
            told = await run(collecting.collect, body, origin, address)
        except IkkanError as error:
            return _with(error_reply(error), _cors(origin))
        return JSONResponse(
            {"accepted": told.accepted, "repeated": told.repeated, "refused": [list(each) for each in told.refused]},
            status_code=202,
            headers=_cors(origin),
        )

    # A plain route: the door's own guard asks for a session, which no stranger's page has.
    door.router.routes.append(Route("/collect", collect, methods=["POST", "OPTIONS"]))


# ---- private ---------------------------------------------------------------------------------------------------------


class _received:
    """A form with a file; what is left of the file afterwards is removed."""

    def __init__(self, request: Request, staging: Path, most_bytes: int) -> None:
        self._request, self._staging, self._most_bytes = request, staging, most_bytes
        self._upload: Upload | None = None

    async def __aenter__(self) -> tuple[Upload, SheetKind | None, dict[str, str], Reading]:
        request = self._request
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._most_bytes + FORM_BYTES:
            raise RequestTooLarge(
                f"at most {self._most_bytes:,} bytes", hint="bring it in parts, or by ikkan shop import"
            )
        self._upload = upload = await receive(
            request.stream(), request.headers.get("content-type", ""), self._staging, most_bytes=self._most_bytes
        )
        try:
            return upload, _kind(upload.fields.get("kind", "")), _map(upload.fields), _reading(upload.fields)
        except BadInput:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        if self._upload is not None:
            await asyncio.to_thread(self._upload.path.unlink, missing_ok=True)


def _kind(text: str) -> SheetKind | None:
    if text and text not in SHEET_KINDS:
        raise BadInput(f"{text!r} is no kind of file", hint=f"one of {', '.join(SHEET_KINDS)}", param="kind")
    return cast(SheetKind, text) or None


def _map(fields: dict[str, str]) -> dict[str, str]:
    try:
        return msgspec.json.decode(fields.get("map") or "{}", type=dict[str, str])
    except msgspec.DecodeError as exc:
        raise BadInput(f"map: {exc}", hint='JSON, like {"price": "売価"}', param="map") from exc


def _reading(fields: dict[str, str]) -> Reading:
    reading = Reading()
    said = {name: fields[name] for name in ("currency", "utc_offset", "encoding", "deed") if fields.get(name)}
    try:
        made = msgspec.convert({**asdict(reading), **said}, type=Reading)
        times.offset(made.utc_offset)
    except (msgspec.ValidationError, times.NoTime) as exc:
        raise BadInput(f"the file cannot be read so: {exc}", hint="utc_offset like +09:00, currency like JPY") from exc
    return made


def _import(made: Import) -> dict[str, Any]:
    share = made.position / made.total if made.total else 0.0
    return {
        **cast(dict[str, Any], msgspec.to_builtins(made)),
        "progress": 1.0 if made.state == "done" else min(0.999, share),
    }


def _tag(tag: Tag) -> dict[str, Any]:
    told = cast(dict[str, Any], msgspec.to_builtins(tag))
    return {name: value for name, value in told.items() if name != "tenant_id"}


def _cors(origin: str | None) -> dict[str, str]:
    # Told to every origin: the answer holds nothing but counts of what was just sent, and cookies do not travel.
    return {} if origin is None else {
        "access-control-allow-origin": origin, "access-control-allow-methods": "POST",
        "access-control-allow-headers": "content-type", "access-control-max-age": "86400", "vary": "origin",
    }  # fmt: skip


def _with(response: Response, headers: dict[str, str]) -> Response:
    response.headers.update(headers)
    return response


async def _at_most(pieces: AsyncIterator[bytes], most: int) -> bytes:
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > most:
            raise RequestTooLarge(f"a batch has at most {most:,} bytes", hint="send smaller ones")
    return bytes(body)


async def _threaded(rows: Iterator[str]) -> AsyncIterator[str]:
    while piece := await asyncio.to_thread(lambda: "".join(row for _, row in zip(range(500), rows, strict=False))):
        yield piece
