"""Keeps what the hot path knows in memory, and notices within half a second when another process changed it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ikkan.cloud import versions
from ikkan.cloud.directory import Snapshot, load_snapshot
from ikkan.cloud.keys import KeptKey, KeyHasher, check, find_kept, public_id_of
from ikkan.cloud.values import Principal
from ikkan.ground.db import Database
from ikkan.ground.errors import NotAuthenticated
from ikkan.ground.ids import KeyId

POLL_S = 0.5
"""How old an answer may be. A revoked key stops within this time plus one request's."""
_MAX_KEYS = 10_000


class Freshness:
    """The directory and the keys, in memory, for one process.

    A request older than `POLL_S` since the last look reads one number from the database; only if it has changed is
    everything read again. Unknown keys are remembered too, so that a flood of them costs nothing; nothing about a
    failed authentication is ever written.
    """

    def __init__(
        self, database: Database, hasher: KeyHasher, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._monotonic = monotonic
        self._snapshot: Snapshot | None = None
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[Snapshot] | None = None
        self._keys: dict[KeyId, KeptKey | None] = {}
        self._at_hand: dict[KeyId, KeptKey | None] = {}
        """For callers that cannot wait; as old as `_glanced_at`, and of the directory's version `_glanced`."""
        self._glanced_at = float("-inf")
        self._glanced = -1

    def expire(self) -> None:
        """Look again at the next request: something was changed in this process. May be called from any thread."""
        self._looked_at = self._glanced_at = float("-inf")

    async def snapshot(self) -> Snapshot:
        """The directory, at most `POLL_S` old."""
        if self._snapshot is not None and self._monotonic() - self._looked_at < POLL_S:
            return self._snapshot
        if self._looking is None or self._looking.done():
            # One look for all requests that wait; it outlives a client that leaves meanwhile.
            self._looking = asyncio.ensure_future(self._look())
        return await asyncio.shield(self._looking)

    async def authenticate(self, secret: str) -> Principal:
        """Who this key is.

        Raises:
            NotAuthenticated: no such key, or revoked.
        """
        key_id = public_id_of(secret)
        if key_id is None:
            raise NotAuthenticated("this is not one of our keys", hint="they begin with sk-ik-; ikkan key create")
        snapshot = await self.snapshot()
        if key_id not in self._keys:
            kept = await self._database.run(self._find, key_id)
            if self._snapshot is snapshot:  # else the answer may already be out of date
                while len(self._keys) >= _MAX_KEYS:
                    del self._keys[next(iter(self._keys))]
                self._keys[key_id] = kept
            return check(self._hasher, secret, kept)
        return check(self._hasher, secret, self._keys[key_id])

    def authenticate_now(self, secret: str) -> Principal:
        """Who this key is, without waiting: a page's door asks at every request. As fresh as `authenticate`.

        Raises:
            NotAuthenticated: no such key, or revoked.
        """
        key_id = public_id_of(secret)
        if key_id is None:
            raise NotAuthenticated("this is not one of our keys", hint="they begin with sk-ik-; ikkan key create")
        now = self._monotonic()
        if now - self._glanced_at >= POLL_S or key_id not in self._at_hand:
            with self._database.read() as connection:
                version = versions.current(connection)
                if version != self._glanced or len(self._at_hand) >= _MAX_KEYS:
                    self._at_hand, self._glanced = {}, version
                if key_id not in self._at_hand:
                    self._at_hand[key_id] = find_kept(connection, key_id)
            self._glanced_at = now
        return check(self._hasher, secret, self._at_hand.get(key_id))

    async def _look(self) -> Snapshot:
        began = self._monotonic()
        known = self._snapshot
        found = await self._database.run(self._read, None if known is None else known.version)
        if found is not None:
            self._snapshot = known = found
            self._keys.clear()
        assert known is not None, "the first look reads everything"
        self._looked_at = began
        return known

    def _read(self, version: int | None) -> Snapshot | None:
        with self._database.read() as connection:
            if version is not None and versions.current(connection) == version:
                return None
            return load_snapshot(connection)

    def _find(self, key_id: KeyId) -> KeptKey | None:
        with self._database.read() as connection:
            return find_kept(connection, key_id)
