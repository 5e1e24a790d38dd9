"""Who is there to show a meeting to: everyone of the tenant who has a key that stands."""

from __future__ import annotations

from dataclasses import dataclass

from ikkan.cloud.assembly import Cloud
from ikkan.ground.ids import KeyId, SubjectId, TenantId


@dataclass(frozen=True, slots=True)
class Person:
    """A key's holder."""

    key_id: KeyId
    name: str
    """What the key was named."""
    subject_id: SubjectId


def people_of(cloud: Cloud, tenant_id: TenantId) -> list[Person]:
    """Everyone of a tenant who can sign in, by name."""
    return sorted(
        (
            Person(key.id, key.name, key.subject_id or cloud.subjects.pseudonym(tenant_id, f"key:{key.id}"))
            for key in cloud.service.keys(tenant_id)
            if not key.is_revoked
        ),
        key=lambda person: (person.name, person.key_id),
    )
