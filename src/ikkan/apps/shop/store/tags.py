"""Tags of web pages: a publishable key, and from which sites it may be used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ikkan.apps.shop.store.incoming import tags
from ikkan.apps.shop.values.tag import Tag
from ikkan.ground.ids import TenantId


def add(connection: sa.Connection, tag: Tag) -> None:
    """Keep a new tag."""
    connection.execute(
        tags.insert().values(
            tenant_id=tag.tenant_id,
            tag_id=tag.tag_id,
            key=tag.key,
            name=tag.name,
            origins=list(tag.origins),
            created_at=tag.created_at,
            revoked_at=None,
        )
    )


def by_key(connection: sa.Connection, key: str) -> Tag | None:
    """The tag of a key, unless it was revoked."""
    row = connection.execute(sa.select(tags).where(tags.c.key == key, tags.c.revoked_at.is_(None))).one_or_none()
    return None if row is None else _tag(row)


def listed(connection: sa.Connection, tenant_id: TenantId) -> Sequence[Tag]:
    """The tags of a shop, revoked ones included, the newest first."""
    chosen = sa.select(tags).where(tags.c.tenant_id == tenant_id).order_by(tags.c.tag_id.desc())
    return [_tag(row) for row in connection.execute(chosen)]


def is_any_for(connection: sa.Connection, origin: str) -> bool:
    """Whether any shop's tag in use is for pages of this site."""
    # A list in JSON is searched differently by each database; tags are few.
    rows = connection.execute(sa.select(tags.c.origins).where(tags.c.revoked_at.is_(None))).scalars()
    return any(origin in each for each in rows)


def revoke(connection: sa.Connection, tenant_id: TenantId, tag_id: str, at: datetime) -> bool:
    """Let a key open nothing any more; False where it did not."""
    mine = (tags.c.tenant_id == tenant_id, tags.c.tag_id == tag_id, tags.c.revoked_at.is_(None))
    return bool(connection.execute(tags.update().where(*mine).values(revoked_at=at)).rowcount)


def _tag(row: Any) -> Tag:
    return Tag(
        row.tag_id, TenantId(row.tenant_id), row.key, row.name, tuple(row.origins), row.created_at, row.revoked_at
    )
