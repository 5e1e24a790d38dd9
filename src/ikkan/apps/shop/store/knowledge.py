"""A merchant's documents, in passages. They are the merchant's and name no customer, so an erasure leaves them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ikkan.apps.shop.rules.knowledge import Document, Passage
from ikkan.apps.shop.store.tables import documents
from ikkan.ground.ids import TenantId


@dataclass(frozen=True, slots=True)
class Kept:
    """A document as it is kept."""

    document_id: str
    name: str
    """The file it came from."""
    title: str
    passages: int
    added_at: datetime


def put(
    connection: sa.Connection, tenant_id: TenantId, document_id: str, name: str, document: Document, sha256: str,
    at: datetime,
) -> None:  # fmt: skip
    """Keep a document; one of the same id is replaced."""
    remove(connection, tenant_id, document_id)
    connection.execute(
        documents.insert().values(
            tenant_id=tenant_id,
            document_id=document_id,
            name=name[:300],
            title=document.title[:300],
            passages=[[list(each.headings), each.text] for each in document.passages],
            sha256=sha256,
            added_at=at,
        )
    )


def remove(connection: sa.Connection, tenant_id: TenantId, document_id: str) -> bool:
    """Take a document away; False where there was none."""
    mine = (documents.c.tenant_id == tenant_id, documents.c.document_id == document_id)
    return bool(connection.execute(documents.delete().where(*mine)).rowcount)


def kept(connection: sa.Connection, tenant_id: TenantId) -> list[Kept]:
    """What there is, by name."""
    chosen = sa.select(documents).where(documents.c.tenant_id == tenant_id).order_by(documents.c.name)
    return [
        Kept(row.document_id, row.name, row.title, len(row.passages), row.added_at)
        for row in connection.execute(chosen)
    ]


def state(connection: sa.Connection, tenant_id: TenantId) -> tuple[int, datetime | None]:
    """What changes with every change: how many there are, and when the latest came."""
    chosen = sa.select(sa.func.count(), sa.func.max(documents.c.added_at)).where(documents.c.tenant_id == tenant_id)
    count, latest = connection.execute(chosen).one()
    return int(count), latest


def every(connection: sa.Connection, tenant_id: TenantId) -> dict[str, Document]:
    """All of them with their passages."""
    chosen = sa.select(documents).where(documents.c.tenant_id == tenant_id).order_by(documents.c.document_id)
    return {row.document_id: _document(row) for row in connection.execute(chosen)}


def get(connection: sa.Connection, tenant_id: TenantId, document_id: str) -> Document | None:
    """One of them."""
    mine = (documents.c.tenant_id == tenant_id, documents.c.document_id == document_id)
    row = connection.execute(sa.select(documents).where(*mine)).one_or_none()
    return None if row is None else _document(row)


def _document(row: sa.Row[tuple[object, ...]]) -> Document:
    found = row._mapping
    passages = tuple(Passage(tuple(headings), text) for headings, text in found["passages"])
    return Document(str(found["title"]), passages)
