"""Messages to a company's own address: where they may go, how they are signed, and when one is tried again."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from ikkan.ground.errors import BadInput

MINUTES_READY, ACTION_ACCEPTED, TEST = "minutes.ready", "action.accepted", "test"
SIGNATURE, EVENT, DELIVERY = "x-ikkan-signature", "x-ikkan-event", "x-ikkan-delivery"
WAITS_S = (10.0, 60.0, 300.0, 1_800.0, 7_200.0, 21_600.0)
"""Before the second try, the third, …: nine hours in all."""
MOST_URL = 2_000


def checked_url(url: str, *, allow_private: bool) -> str:
    """An address that messages may go to, as far as it can be known without asking for its host.

    Args:
        allow_private: hosts inside this network, and plain http, are allowed.

    Raises:
        BadInput: it is none, or not allowed.

    >>> checked_url("https://example.com/hooks?team=7", allow_private=False)
    'https://example.com/hooks?team=7'
    """
    hint = "https://hooks.example.com/minutes, for example"
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname or "", parts.port
    except ValueError as exc:
        raise BadInput("this is no web address", hint=hint, param="url") from exc
    if parts.scheme not in ("http", "https") or not host or len(url) > MOST_URL:
        raise BadInput("this is no web address", hint=hint, param="url")
    if parts.username is not None or parts.password is not None:
        raise BadInput("an address holds no password", hint="messages are signed: check the signature", param="url")
    if not allow_private:
        if parts.scheme != "https":
            raise BadInput("messages go out encrypted only", hint="https://…, or IKKAN_HOOKS_PRIVATE=on", param="url")
        if is_literal(host) and not is_public(host):
            raise BadInput(
                "this address is inside a network, not on the internet",
                hint="the operator allows it with IKKAN_HOOKS_PRIVATE=on",
                param="url",
            )
    return url.strip()


def is_literal(host: str) -> bool:
    """Whether a host is written as an address."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether an address is on the internet: not loopback, private, link-local, reserved, or one of those wrapped.

    >>> [is_public(each) for each in ("93.184.216.34", "10.0.0.1", "169.254.169.254", "::1", "2606:2800:220:1::1")]
    [True, False, False, False, True]
    >>> [is_public(each) for each in ("::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "224.0.0.1", "0.0.0.0")]
    [False, False, False, False, False]
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def signature(secret: bytes, body: bytes, at_s: int) -> str:
    """What a message is signed with: the time, and HMAC-SHA256 of time, point and body.

    >>> signature(b"k" * 32, b"{}", 1_790_000_000)[:26]
    't=1790000000,v1=c4cacc6f6a'
    """
    made = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={made}"


def headers(secret: bytes, body: bytes, *, event: str, delivery_id: str, at_s: int) -> Mapping[str, str]:
    """The headers of a message."""
    return {
        "content-type": "application/json",
        "user-agent": "ikkan",
        EVENT: event,
        DELIVERY: delivery_id,
        SIGNATURE: signature(secret, body, at_s),
    }


def wait_s(tries: int) -> float | None:
    """Seconds before the next try, after so many that failed; None: given up.

    >>> wait_s(1), wait_s(6), wait_s(7)
    (10.0, 21600.0, None)
    """
    return WAITS_S[tries - 1] if tries <= len(WAITS_S) else None
