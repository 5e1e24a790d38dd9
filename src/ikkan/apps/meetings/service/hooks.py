"""Telling a company's own systems of finished minutes and accepted actions: signed, tried again, and logged.

A message is written down in the transaction of what it tells of, by ids alone; a durable job reads what it holds when
it sends it. Only meetings that everyone of the tenant may see are told of.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from ikkan.apps.meetings.rules import hooks as rules
from ikkan.apps.meetings.rules.exports.plain import plain, plain_item
from ikkan.apps.meetings.service.posting import Posted, post
from ikkan.apps.meetings.store import deliveries, items, plans
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.values import Audience, Delivery, DeliveryState, Meeting, Policy, Viewer
from ikkan.ground.clock import Clock
from ikkan.ground.db import Database
from ikkan.ground.errors import BadInput, NotAllowed
from ikkan.ground.eventlog import Keys
from ikkan.ground.ids import TenantId, new_id
from ikkan.ground.jobs import JobContext, Jobs

DELIVER = "meetings.deliver"
"""The durable job that sends one message once; a try that fails starts the next one, later."""
Post = Callable[..., Awaitable[Posted]]
log = logging.getLogger(__name__)


class Hooks:
    """A company's address, the messages to it, and what came of them.

    Args:
        keys: seals the secret that messages are signed with.
        jobs: sends; without it messages wait.
        allow_private: addresses inside this network are allowed.
        send: puts one message on the network.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        keys: Keys,
        jobs: Jobs | None,
        *,
        allow_private: bool = False,
        send: Post = post,
    ) -> None:
        self._database = database
        self._clock = clock
        self._keys = keys
        self._jobs = jobs
        self._allow_private = allow_private
        self._send = send
        if jobs is not None:

            @jobs.job(DELIVER)
            def deliver(context: JobContext, delivery_id: str) -> dict[str, Any]:
                return context.step("deliver", lambda: {"state": self.deliver(delivery_id).value})

    def policy(self, tenant_id: TenantId) -> Policy:
        """What a company set."""
        with self._database.read() as connection:
            return plans.policy(connection, tenant_id)

    def set_url(self, viewer: Viewer, url: str) -> str | None:
        """Set where messages go, empty for nowhere; returns a new secret the first time, to be shown once.

        Raises:
            NotAllowed: an administrator does this.
            BadInput: it is no address, or not an allowed one.
        """
        _require_admin(viewer)
        given = rules.checked_url(url, allow_private=self._allow_private) if url.strip() else ""
        with self._database.transaction() as connection:
            known = plans.policy(connection, viewer.tenant_id)
            plans.put_policy(connection, viewer.tenant_id, self._clock.now(), hook_url=given)
            return self._fresh_secret(connection, viewer.tenant_id) if given and not known.hook_secret else None

    def renew_secret(self, viewer: Viewer) -> str:
        """Sign with another secret from now on; returned once, and nowhere to be read again.

        Raises:
            NotAllowed: an administrator does this.
        """
        _require_admin(viewer)
        with self._database.transaction() as connection:
            return self._fresh_secret(connection, viewer.tenant_id)

    def set_level(self, viewer: Viewer, level: int | None) -> None:
        """Set the level of meetings for which nobody chooses one; None: by what was measured.

        Raises:
            NotAllowed: an administrator does this.
        """
        _require_admin(viewer)
        with self._database.transaction() as connection:
            plans.put_policy(connection, viewer.tenant_id, self._clock.now(), level=level)

    def tell(self, connection: sa.Connection, meeting: Meeting, event: str, item_id: str = "") -> list[str]:
        """Write a message down, where the company wants any and may hear of the meeting; `start` takes the result."""
        if meeting.audience is not Audience.TENANT or not plans.policy(connection, meeting.tenant_id).hook_url:
            return []
        return [self._add(connection, meeting.tenant_id, meeting.number, event, item_id)]

    def test(self, viewer: Viewer) -> str:
        """Send a message that tells of nothing; returns its id.

        Raises:
            NotAllowed: an administrator does this.
            BadInput: no address is set.
        """
        _require_admin(viewer)
        with self._database.transaction() as connection:
            if not plans.policy(connection, viewer.tenant_id).hook_url:
                raise BadInput("no address is set", hint="set one first", param="url")
            made = self._add(connection, viewer.tenant_id, 0, rules.TEST, "")
        self.start([made])
        return made

    def again(self, viewer: Viewer, delivery_id: str) -> None:
        """Send a message anew, whatever came of it.

        Raises:
            NotAllowed: an administrator does this.
            NotFound: this company has no such message.
        """
        _require_admin(viewer)
        with self._database.transaction() as connection:
            found = deliveries.of_tenant(connection, viewer.tenant_id, delivery_id)
            deliveries.change(connection, found.id, state=DeliveryState.WAITING, tries=0, changed_at=self._clock.now())
        self.start([delivery_id])

    def log(self, viewer: Viewer, *, limit: int = 50) -> list[Delivery]:
        """What was told lately, the newest first.

        Raises:
            NotAllowed: an administrator sees this.
        """
        _require_admin(viewer)
        with self._database.read() as connection:
            return deliveries.latest(connection, viewer.tenant_id, limit=limit)

    def start(self, delivery_ids: Sequence[str]) -> None:
        """Hand written messages to the worker, after their transaction; and any that a crash left in between."""
        if self._jobs is None or not delivery_ids:
            return
        with self._database.read() as connection:
            left = deliveries.untried(connection)
        for delivery_id in dict.fromkeys((*delivery_ids, *left)):
            self._jobs.start_once(DELIVER, delivery_id, delivery_id=delivery_id)

    def deliver(self, delivery_id: str) -> DeliveryState:
        """Try one message once. Safe to repeat: who gets it twice sees the same `x-ikkan-delivery`."""
        with self._database.read() as connection:
            found = deliveries.get(connection, delivery_id)
            if found is None or found.state is not DeliveryState.WAITING:
                return found.state if found is not None else DeliveryState.DROPPED
            policy = plans.policy(connection, found.tenant_id)
            told = self._told(connection, found)
        if told is None or not policy.hook_url or policy.hook_secret is None:
            return self._note(found, DeliveryState.DROPPED, found.tries, "nobody is to be told of this any more")
        body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        secret = self._keys.unseal(self._keys.master, policy.hook_secret, _context(found.tenant_id))
        at_s = int(self._clock.now().timestamp())
        headers = rules.headers(secret, body, event=found.event, delivery_id=found.id, at_s=at_s)
        posted = asyncio.run(self._posted(policy.hook_url, body, headers))
        tries = found.tries + 1
        if posted.is_taken:
            return self._note(found, DeliveryState.SENT, tries, posted.told)
        later_s = None if posted.is_final else rules.wait_s(tries)
        if later_s is None or self._jobs is None:
            return self._note(found, DeliveryState.FAILED, tries, posted.told)
        state = self._note(found, DeliveryState.WAITING, tries, posted.told)
        self._jobs.start_later(DELIVER, later_s, delivery_id=found.id)
        return state

    # ---- private -----------------------------------------------------------------------------------------------------

    async def _posted(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
        return await self._send(url, body, headers, allow_private=self._allow_private)

    def _told(self, connection: sa.Connection, found: Delivery) -> dict[str, Any] | None:
        """What a message holds, as it is now; None where it may not be told any more."""
        head = {"id": found.id, "event": found.event, "at": found.created_at.isoformat()}
        if found.event == rules.TEST:
            return head
        meeting = store.by_number(connection, found.number)
        if meeting is None or meeting.audience is not Audience.TENANT or meeting.tenant_id != found.tenant_id:
            return None
        facts = {
            "id": meeting.id,
            "title": meeting.title,
            "language": meeting.language,
            "held_on": meeting.held_on.isoformat() if meeting.held_on else None,
        }
        drawn = items.of_meeting(connection, meeting.number)
        if found.item_id:
            chosen = [item for item in drawn if item.id == found.item_id and item.is_wanted]
            return {**head, "meeting": facts, "action": plain_item(chosen[0])} if chosen else None
        made = plain(store.transcript(connection, meeting), drawn)
        return {**head, "meeting": facts, **{name: made[name] for name in ("extractions", "minutes_markdown")}}

    def _add(self, connection: sa.Connection, tenant_id: TenantId, number: int, event: str, item_id: str) -> str:
        now = self._clock.now()
        made = Delivery(new_id("delivery"), tenant_id, number, item_id, event, DeliveryState.WAITING, 0, "", now, now)
        deliveries.add(connection, made)
        return made.id

    def _note(self, found: Delivery, state: DeliveryState, tries: int, told: str) -> DeliveryState:
        with self._database.transaction() as connection:
            facts = {"state": state, "tries": tries, "told": told[:300], "changed_at": self._clock.now()}
            deliveries.change(connection, found.id, **facts)
        log.info("a message was tried", extra={"event": found.event, "state": state.value, "tries": tries})
        return state

    def _fresh_secret(self, connection: sa.Connection, tenant_id: TenantId) -> str:
        secret = f"hook-{secrets.token_urlsafe(32)}"
        sealed = self._keys.seal(self._keys.master, secret.encode(), _context(tenant_id))
        plans.put_policy(connection, tenant_id, self._clock.now(), hook_secret=sealed)
        return secret


def _context(tenant_id: TenantId) -> bytes:
    return f"meetings.hook\x00{tenant_id}".encode()


def _require_admin(viewer: Viewer) -> None:
    if not viewer.is_admin:
        raise NotAllowed("this is for administrators", hint="ask whoever set this up")
