"""One message over the network, to an address that was checked at the moment of connecting.

A name is resolved once, every address it has is judged, and the connection goes to one of those: a name that points
elsewhere a moment later changes nothing. No redirect is followed.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from ikkan.apps.meetings.rules.hooks import checked_url, is_public
from ikkan.ground.errors import BadInput, NotAllowed

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of one try."""

    is_taken: bool
    told: str
    """The status, or what went wrong; never what was answered."""
    is_final: bool = False
    """Trying again cannot help."""


class _Judged(AbstractResolver):
    """Resolves names, and refuses those that lead into this network."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not self._allow_private and not all(is_public(each["host"]) for each in found):
            raise NotAllowed("this name leads into a network, not to the internet", hint="IKKAN_HOOKS_PRIVATE=on")
        return found

    async def close(self) -> None:
        await self._inner.close()


async def post(
    url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool, timeout_s: float = TIMEOUT_S
) -> Posted:
    """Send a message. Every failure is an answer: nothing is raised for what the other side does."""
    try:
        checked_url(url, allow_private=allow_private)
        connector = aiohttp.TCPConnector(resolver=_Judged(allow_private), use_dns_cache=False, force_close=True)
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            ) as session,
            session.post(url, data=body, headers=dict(headers), allow_redirects=False) as reply,
        ):
            return Posted(200 <= reply.status < 300, f"HTTP {reply.status}", is_final=reply.status == 410)
    except (NotAllowed, BadInput) as error:
        return Posted(False, error.message, is_final=True)
    except TimeoutError:
        return Posted(False, f"no answer within {timeout_s:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return Posted(False, f"{urlsplit(url).hostname}: {type(error).__name__}")
