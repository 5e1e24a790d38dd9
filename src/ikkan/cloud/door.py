"""The door: who is asking. A key says so; on a laptop, sitting at this machine is enough.

Without a key only a caller on this machine is let in, and a browser only where the page it shows is our own: another
site's page must not spend this person's money through their browser, nor reach us under a name it made resolve to
127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from ikkan.cloud.freshness import Freshness
from ikkan.cloud.keys import PREFIX
from ikkan.cloud.values import LOCAL, Principal
from ikkan.ground.errors import NotAllowed, NotAuthenticated
from ikkan.ground.ids import SubjectId, TenantId

_FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip", "x-forwarded-host", "via", "cf-connecting-ip")
"""Headers of a proxy: its own address says nothing about who asks."""


class Door:
    """Lets callers in.

    Args:
        allow_keyless: whether a caller on this machine needs no key (profile laptop).
    """

    def __init__(self, freshness: Freshness, *, allow_keyless: bool) -> None:
        self._freshness = freshness
        self._allow_keyless = allow_keyless

    async def admit(self, method: str, client_host: str | None, headers: Mapping[str, str]) -> Principal:
        """Who this is. `headers` has lower-case names.

        A credential that does not look like one of our keys counts as none where none is needed: many clients insist
        on sending something.

        Raises:
            NotAuthenticated: no key, or one that opens nothing.
        """
        secret = credential(headers)
        if secret is not None and secret.startswith(PREFIX):
            return await self._freshness.authenticate(secret)
        if self._allow_keyless and is_at_this_machine(method, client_host, headers):
            return LOCAL
        if secret is not None:
            raise NotAuthenticated("this is not one of our keys", hint="they begin with sk-ik-; ikkan key create")
        raise NotAuthenticated(
            "a key is needed here", hint="send `Authorization: Bearer sk-ik-…`; ikkan key create makes one"
        )


def credential(headers: Mapping[str, str]) -> str | None:
    """The key a request carries, in any of the usual places."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or headers.get("api-key") or None


def is_at_this_machine(method: str, client_host: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a request was made by this machine's own user, as far as can be known. Also for the console's pages.

    >>> at_home = {"host": "127.0.0.1:8700"}
    >>> is_at_this_machine("POST", "127.0.0.1", at_home)
    True
    >>> is_at_this_machine("POST", "127.0.0.1", at_home | {"origin": "https://evil.example"})
    False
    >>> is_at_this_machine("POST", "127.0.0.1", {"host": "evil.example:8700"})
    False
    >>> is_at_this_machine("POST", "127.0.0.1", at_home | {"x-forwarded-for": "203.0.113.9"})
    False
    """
    if not _is_loopback(client_host or "") or any(name in headers for name in _FORWARDED):
        return False
    host = headers.get("host", "").lower()
    if not _is_loopback_name(host):
        return False
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin.lower()).netloc != host:
        return False
    # Browsers that say so also tell of requests without an Origin: images, scripts, links.
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    return True


def require_admin(principal: Principal) -> None:
    """Let only administrators on.

    Raises:
        NotAllowed: this key has no such scope.
    """
    if not principal.is_admin:
        raise NotAllowed("this is for administrators", hint="use a key of scope admin: ikkan key create --scope admin")


class Subjects:
    """Turns what a client calls a person into a pseudonym that only this installation can make again.

    >>> subjects = Subjects(b"m" * 32)
    >>> ada = subjects.pseudonym(TenantId("acme"), "ada@example.com")
    >>> ada == subjects.pseudonym(TenantId("acme"), "ada@example.com"), "ada" in ada
    (True, False)
    """

    def __init__(self, master: bytes) -> None:
        self._pepper = hashlib.blake2b(master, digest_size=32, person=b"ikkan subjects").digest()

    def pseudonym(self, tenant_id: TenantId, person: str) -> SubjectId:
        """The same person of the same tenant has the same pseudonym; of another tenant, another."""
        said = f"{tenant_id}\x00{person}".encode("utf-8", "replace")
        return SubjectId("s-" + hashlib.blake2b(said, key=self._pepper, digest_size=16).hexdigest())


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _is_loopback_name(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    return name == "localhost" or _is_loopback(name)
