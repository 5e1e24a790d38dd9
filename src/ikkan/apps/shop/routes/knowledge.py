"""The API of a merchant's documents, under `/a/shop/v1/knowledge`: bring in, list, read, ask, take away."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, File, Query, Request, UploadFile

from ikkan.apps.shop.rules.knowledge.reading import MOST_BYTES
from ikkan.apps.shop.service.knowledge import ShopKnowledge
from ikkan.ground.ids import TenantId
from ikkan.kit import Parts


def join(door: FastAPI, parts: Parts, knowledge: ShopKnowledge) -> None:
    """Put the paths of knowledge at the door."""
    run = parts.database.run

    def mine(request: Request, *, admin: bool = False) -> TenantId:
        return TenantId(parts.frame.require(request, admin=admin).tenant_id)

    @door.get("/knowledge/documents")
    async def documents(request: Request) -> dict[str, Any]:
        found = await run(knowledge.documents, mine(request))
        return {"documents": [asdict(each) for each in found]}

    @door.post("/knowledge/documents")
    async def add(request: Request, file: Annotated[UploadFile, File()]) -> dict[str, Any]:
        tenant_id = mine(request, admin=True)
        content = await file.read(MOST_BYTES + 1)
        return asdict(await run(knowledge.add, tenant_id, file.filename or "document.txt", content))

    @door.get("/knowledge/documents/{document_id}")
    async def document(request: Request, document_id: str) -> dict[str, Any]:
        return asdict(await run(knowledge.document, mine(request), document_id))

    @door.delete("/knowledge/documents/{document_id}")
    async def remove(request: Request, document_id: str) -> dict[str, bool]:
        await run(knowledge.remove, mine(request, admin=True), document_id)
        return {"removed": True}

    @door.get("/knowledge/answer")
    async def answer(request: Request, q: Annotated[str, Query(min_length=1, max_length=2_000)]) -> dict[str, Any]:
        found = await run(knowledge.ask, mine(request), q)
        return {"answer": None if found is None else asdict(found)}
