"""API keys: `sk-ik-<public id>-<secret>`, shown once, kept as a keyed hash.

The public id names the key in logs, budgets and lists. The secret has 160 random bits, so a fast keyed hash is as
safe as a slow one: there is nothing to guess (see docs/decisions/0050).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ikkan.cloud import versions
from ikkan.cloud.ledger import key_owner, open_budget
from ikkan.cloud.tables import budgets, keys, tenants
from ikkan.cloud.values import SCOPES, USER, Principal
from ikkan.ground.errors import BadInput, NotAuthenticated, NotFound
from ikkan.ground.ids import KeyId, SubjectId, TenantId

PREFIX = "sk-ik-"


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it may be listed: everything but the secret."""

    id: KeyId
    """Its public part."""
    tenant_id: TenantId
    name: str
    scopes: frozenset[str]
    subject_id: SubjectId | None
    """The person it belongs to, if it belongs to one."""
    created_at: datetime
    revoked_at: datetime | None
    limit_micros: int | None
    """The most it may spend in all; None for no limit."""
    spent_micros: int
    held_micros: int
    """Reserved for requests that are being answered now."""
    currency: str

    @property
    def is_revoked(self) -> bool:
        """Whether it no longer opens anything."""
        return self.revoked_at is not None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the only moment its secret is known."""

    key: Key
    secret: str
    """The whole key, as a client sends it. It is not kept: whoever loses it makes a new one."""


class KeyHasher:
    """Turns secrets into what is kept of them, under a key of this installation.

    >>> hasher = KeyHasher(b"m" * 32)
    >>> hasher.hash("sk-ik-a-b") == hasher.hash("sk-ik-a-b"), len(hasher.hash("sk-ik-a-b"))
    (True, 32)
    """

    def __init__(self, master: bytes) -> None:
        self._pepper = hashlib.blake2b(master, digest_size=32, person=b"ikkan api keys").digest()

    def hash(self, secret: str) -> bytes:
        """32 bytes that prove knowledge of the key and cannot be turned back."""
        return hashlib.blake2b(secret.encode("utf-8", "replace"), key=self._pepper, digest_size=32).digest()

    def matches(self, secret: str, kept: bytes) -> bool:
        """Whether this is the key, in time that does not depend on where it differs."""
        return hmac.compare_digest(self.hash(secret), kept)


@dataclass(frozen=True, slots=True)
class KeptKey:
    """What a door needs to check a key."""

    secret_hash: bytes
    principal: Principal


def public_id_of(secret: str) -> KeyId | None:
    """The public part of something that has the form of a key, else None.

    >>> public_id_of("sk-ik-abcdefghijkl-" + "x" * 32), public_id_of("sk-proj-1234")
    ('abcdefghijkl', None)
    """
    if not secret.startswith(PREFIX) or len(secret) > 200:
        return None
    public, dash, rest = secret[len(PREFIX) :].partition("-")
    return KeyId(public) if dash and rest and 0 < len(public) <= 40 and public.isascii() else None


def create_key(
    connection: sa.Connection,
    hasher: KeyHasher,
    at: datetime,
    *,
    tenant_id: TenantId,
    name: str,
    scopes: Iterable[str] = (USER,),
    budget_micros: int | None = None,
    subject_id: SubjectId | None = None,
) -> NewKey:
    """Make a key. Its secret is in the result and nowhere else.

    Raises:
        NotFound: no such tenant.
        BadInput: no name, an unknown scope, or a negative budget.
    """
    asked = frozenset(scopes)
    if not name.strip() or len(name) > 200:
        raise BadInput("a key needs a name of at most 200 characters", hint="ikkan key create --name 'batch jobs'")
    if not asked or not asked <= SCOPES:
        unknown = ", ".join(sorted(asked - SCOPES)) or "none"
        raise BadInput(f"unknown scope: {unknown}", hint="user, admin, or both", scopes=sorted(asked))
    if budget_micros is not None and budget_micros < 0:
        raise BadInput("a budget cannot be negative", hint="leave it out for no limit")
    if connection.execute(sa.select(tenants.c.id).where(tenants.c.id == tenant_id)).first() is None:
        raise NotFound(f"there is no tenant {tenant_id!r}", hint="make it first", tenant=tenant_id)
    public, hidden = _random(8)[:12], _random(20)
    secret = f"{PREFIX}{public}-{hidden}"
    connection.execute(
        keys.insert(),
        {
            "id": public,
            "tenant_id": tenant_id,
            "name": name.strip(),
            "secret_hash": hasher.hash(secret),
            "scopes": " ".join(sorted(asked)),
            "subject_id": subject_id,
            "created_at": at,
        },
    )
    open_budget(connection, key_owner(public), limit_micros=budget_micros)
    versions.bump(connection)
    return NewKey(get_key(connection, KeyId(public)), secret)


def list_keys(connection: sa.Connection, tenant_id: TenantId | None = None) -> Sequence[Key]:
    """Keys, newest first: of one tenant, or all."""
    statement = _listed().order_by(keys.c.created_at.desc(), keys.c.id)
    if tenant_id is not None:
        statement = statement.where(keys.c.tenant_id == tenant_id)
    return [_key(row) for row in connection.execute(statement).mappings()]


def get_key(connection: sa.Connection, key_id: KeyId) -> Key:
    """One key.

    Raises:
        NotFound: no such key.
    """
    row = connection.execute(_listed().where(keys.c.id == key_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no key {key_id!r}", hint="ikkan key list", key=key_id)
    return _key(row)


def revoke_key(connection: sa.Connection, key_id: KeyId, at: datetime) -> Key:
    """Make a key open nothing any more, in every process within a second. Revoking twice keeps the first time.

    Raises:
        NotFound: no such key.
    """
    statement = keys.update().where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=at)
    if connection.execute(statement).rowcount:
        versions.bump(connection)
    return get_key(connection, key_id)


def find_kept(connection: sa.Connection, key_id: KeyId) -> KeptKey | None:
    """What a door needs to check this key; None if there is none or it was revoked."""
    statement = sa.select(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None))
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    principal = Principal(row.tenant_id, row.id, row.subject_id, frozenset(row.scopes.split()))
    return KeptKey(row.secret_hash, principal)


def check(hasher: KeyHasher, secret: str, kept: KeptKey | None) -> Principal:
    """Who this key is.

    Raises:
        NotAuthenticated: no such key, revoked, or another secret. The answer does not say which.
    """
    if kept is None or not hasher.matches(secret, kept.secret_hash):
        raise NotAuthenticated("this key does not open anything here", hint="ikkan key create makes a new one")
    return kept.principal


def _random(size: int) -> str:
    return base64.b32encode(secrets.token_bytes(size)).decode("ascii").rstrip("=").lower()


def _listed() -> sa.Select[tuple[object, ...]]:
    joined = keys.join(budgets, budgets.c.owner == sa.literal("key:") + keys.c.id)
    return sa.select(
        keys, budgets.c.limit_micros, budgets.c.spent_micros, budgets.c.held_micros, budgets.c.currency
    ).select_from(joined)


def _key(row: sa.RowMapping) -> Key:
    return Key(
        id=row["id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        scopes=frozenset(row["scopes"].split()),
        subject_id=row["subject_id"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        limit_micros=row["limit_micros"],
        spent_micros=row["spent_micros"],
        held_micros=row["held_micros"],
        currency=row["currency"],
    )
