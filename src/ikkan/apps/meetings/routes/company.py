"""What holds for all meetings of a company: its glossary, who writes its minutes, and which systems are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ikkan.apps.meetings.service import MeetingsService
from ikkan.apps.meetings.service.company import company_facts, hooks_of, plain_delivery
from ikkan.apps.meetings.values import Viewer
from ikkan.kit import Parts

_Term = Annotated[str, Field(min_length=1, max_length=200)]


class Terms(BaseModel):
    """How what is heard is written here."""

    model_config = ConfigDict(extra="forbid")
    terms: Annotated[dict[_Term, _Term], Field(max_length=5_000)]


class CompanyChange(BaseModel):
    """Other settings of a company. What is absent stays; level null: by what was measured of the model."""

    model_config = ConfigDict(extra="forbid")
    level: Literal[0, 1] | None = None
    hook_url: Annotated[str, Field(max_length=2_000)] | None = None


def add_company_doors(
    door: FastAPI, parts: Parts, service: MeetingsService, viewer: Callable[[Request], Viewer]
) -> None:
    """Glossary, settings and messages."""
    run = parts.database.run

    @door.get("/glossary")
    async def terms(request: Request) -> dict[str, Any]:
        """As heard → as written."""
        return {"terms": await run(service.glossary.terms, viewer(request))}

    @door.put("/glossary")
    async def put_terms(request: Request, asked: Terms) -> dict[str, Any]:
        """Add terms, or change how they are written; others stay."""
        return {"terms": await run(service.glossary.put, viewer(request), asked.terms)}

    @door.delete("/glossary")
    async def remove_term(request: Request, heard: Annotated[str, Query(max_length=200)]) -> dict[str, Any]:
        return {"removed": await run(service.glossary.remove, viewer(request), heard)}

    @door.get("/company")
    async def company(request: Request) -> dict[str, Any]:
        """Who writes minutes here, and for administrators where messages go."""
        return await company_facts(parts, service, viewer(request))

    @door.patch("/company")
    async def change(request: Request, asked: CompanyChange) -> dict[str, Any]:
        """The first address brings a secret, which is shown in this answer and never again."""
        who, hooks = viewer(request), hooks_of(service)
        if "level" in asked.model_fields_set:
            await run(hooks.set_level, who, asked.level)
        secret = await run(hooks.set_url, who, asked.hook_url) if asked.hook_url is not None else None
        return {**await company_facts(parts, service, who), "secret": secret}

    @door.post("/company/secret")
    async def renew(request: Request) -> dict[str, Any]:
        return {"secret": await run(hooks_of(service).renew_secret, viewer(request))}

    @door.post("/company/test")
    async def test(request: Request) -> dict[str, Any]:
        """Send a message of the event `test`."""
        return {"id": await run(hooks_of(service).test, viewer(request))}

    @door.get("/deliveries")
    async def log(request: Request) -> dict[str, Any]:
        """What other systems were told lately, and what came of it."""
        found = await run(hooks_of(service).log, viewer(request))
        return {"deliveries": [plain_delivery(each) for each in found]}

    @door.post("/deliveries/{delivery_id}/again")
    async def again(request: Request, delivery_id: str) -> dict[str, Any]:
        await run(hooks_of(service).again, viewer(request), delivery_id)
        return {"id": delivery_id, "state": "waiting"}
