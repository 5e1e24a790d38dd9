"""Sessions: a signed cookie that names a key, and the CSRF token that goes with it.

The cookie holds no secret of its own: key id, tenant, subject, expiry, and an HMAC over them. A revoked key ends its
sessions at the next request, because whoever reads the cookie asks `cloud` whether the key still stands.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from ikkan.cloud.values import ADMIN, Principal
from ikkan.ground.clock import Clock
from ikkan.ground.ids import KeyId, SubjectId, TenantId

COOKIE = "ikkan_session"
LIFETIME = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser."""

    id: str
    tenant_id: str
    key_id: str | None
    """None: the keyless person at this machine's own keyboard (profile laptop, loopback)."""
    subject_id: str | None
    scopes: tuple[str, ...]
    expires_at: datetime

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.scopes

    @property
    def principal(self) -> Principal:
        """Who this is to the cloud: what a person does on a page is billed and recorded like any other request."""
        return Principal(
            TenantId(self.tenant_id),
            KeyId(self.key_id) if self.key_id is not None else None,
            SubjectId(self.subject_id) if self.subject_id is not None else None,
            frozenset(self.scopes),
        )


class SessionKeeper:
    """Issues and reads session cookies and CSRF tokens.

    >>> from ikkan.ground.clock import SystemClock
    >>> keeper = SessionKeeper(b"k" * 32, SystemClock())
    >>> session = keeper.open("local", key_id=None, subject_id="me", scopes=("admin",))
    >>> keeper.read(keeper.cookie(session)) == session, keeper.read("forged") is None
    (True, True)
    >>> keeper.csrf_ok(session, keeper.csrf(session)), keeper.csrf_ok(session, "guess")
    (True, False)
    """

    def __init__(self, secret: bytes, clock: Clock) -> None:
        assert len(secret) >= 32, "a session secret has 32 bytes or more"
        self._secret = secret
        self._clock = clock

    def open(self, tenant_id: str, *, key_id: str | None, subject_id: str | None, scopes: tuple[str, ...]) -> Session:
        # Whole seconds, so that a cookie read back equals the session that made it.
        expires_at = (self._clock.now() + LIFETIME).replace(microsecond=0)
        return Session(secrets.token_hex(16), tenant_id, key_id, subject_id, scopes, expires_at)

    def cookie(self, session: Session) -> str:
        """The cookie's value: payload and signature, URL-safe."""
        body = msgspec.json.encode(
            [
                session.id,
                session.tenant_id,
                session.key_id,
                session.subject_id,
                list(session.scopes),
                int(session.expires_at.timestamp()),
            ]
        )
        return f"{_b64(body)}.{_b64(self._sign(b'session', body))}"

    def read(self, value: str) -> Session | None:
        """The session a cookie stands for; None if forged, damaged or expired."""
        body_text, _, signature_text = value.partition(".")
        try:
            body, signature = _unb64(body_text), _unb64(signature_text)
        except ValueError:
            return None
        if not hmac.compare_digest(signature, self._sign(b"session", body)):
            return None
        session_id, tenant_id, key_id, subject_id, scopes, expires = msgspec.json.decode(body)
        expires_at = datetime.fromtimestamp(expires, UTC)
        if expires_at <= self._clock.now():
            return None
        return Session(session_id, tenant_id, key_id, subject_id, tuple(scopes), expires_at)

    def csrf(self, session: Session) -> str:
        return _b64(self._sign(b"csrf", session.id.encode()))

    def csrf_ok(self, session: Session, token: str) -> bool:
        return hmac.compare_digest(self.csrf(session).encode(), token.encode())

    def _sign(self, purpose: bytes, body: bytes) -> bytes:
        return hmac.new(self._secret, purpose + b"\x00" + body, hashlib.sha256).digest()


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
