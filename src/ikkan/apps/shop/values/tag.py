"""A tag of web pages: a key that anybody may read and that can only tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ikkan.ground.ids import TenantId

KEY_PREFIX = "tag-ik-"
VISITOR_PREFIX = "v-"
"""The tag's own visitors begin so: no customer's id can be claimed through it."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A publishable key of one shop."""

    tag_id: str
    tenant_id: TenantId
    key: str
    """Stands in the page's source; it opens the door of events and no other."""
    name: str
    origins: tuple[str, ...]
    """`https://shop.example`: pages of these sites may use it."""
    created_at: datetime
    revoked_at: datetime | None = None
