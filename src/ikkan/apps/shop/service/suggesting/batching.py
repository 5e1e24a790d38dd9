"""Asks that come in while others are answered are answered together: the shelf is read from memory once for all.

Lists are chosen where they are asked for, on the event loop, out of what is in memory: less than a millisecond each.
What has to be read first is read by a thread, but for a person out of a file, who is there sooner than a thread is. A
large shelf has a thread that chooses until it is in cells. Whoever comes alone is answered at once. Where lists are
asked for all the time, one waits until as many are there as were answered together lately, and 3 ms at most: server,
loop and threads take turns once a batch, so that everybody is answered sooner.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from ikkan.apps.shop.service.suggesting.suggesting import Suggesting
from ikkan.apps.shop.values import Ask, Suggestions
from ikkan.ground.errors import RateLimited
from ikkan.ground.ids import TenantId

MOST = 16
"""Asks in one batch: more would let the first wait for the last."""
WAITING_MOST = 512
GATHERS_S, BUSY_S = 0.003, 0.030
"""One waits so long for company at most, and only where somebody was answered within so long before."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    tenant_id: TenantId
    ask: Ask
    reasons: bool
    answer: asyncio.Future[Suggestions]


class Batches:
    """Answers asks from an event loop."""

    def __init__(self, service: Suggesting) -> None:
        self._service = service
        self._asked = 0
        self._waiting: deque[_Waiting] = deque()
        self._thread: ThreadPoolExecutor | None = None
        self._called: asyncio.AbstractEventLoop | None = None
        self._gathers: asyncio.TimerHandle | None = None
        self._company = 0
        """With so many nobody waits longer: as in the batch before, or one less than was enough for that."""
        self._told_at = float("-inf")
        self._chooses: asyncio.Task[None] | None = None

    async def suggest(self, tenant_id: TenantId, ask: Ask, *, reasons: bool = True) -> Suggestions:
        """What to show; answered with whoever else waits just now.

        Raises:
            RateLimited: too many wait.
        """
        if self._asked >= WAITING_MOST:
            raise RateLimited("too many lists are asked for at once", hint="ask again in a second", retry_after_s=1)
        self._asked += 1
        try:
            loop = asyncio.get_running_loop()
            service = self._service
            if not service.at_hand(tenant_id, ask) and not service.fetch_at_once(tenant_id, ask):
                await loop.run_in_executor(self._executor(), service.fetch, tenant_id, ask)
            answer: asyncio.Future[Suggestions] = loop.create_future()
            self._waiting.append(_Waiting(tenant_id, ask, reasons, answer))
            self._call(loop)
            return await answer
        finally:
            self._asked -= 1

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        is_called = self._called is loop
        if is_called and self._gathers is None:
            return  # they are answered next
        if len(self._waiting) < self._company and loop.time() - self._told_at < BUSY_S:
            if not is_called:
                self._called, self._gathers = loop, loop.call_later(GATHERS_S, self._answer, loop)
            return
        if is_called and self._gathers is not None:
            self._gathers.cancel()
        # After whatever else came in just now, so that it is answered together.
        self._called, self._gathers = loop, None
        loop.call_soon(self._answer, loop)

    def _answer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._called = self._gathers = None
        if not self._waiting:
            return  # the thread chose for them
        if self._chooses is not None and not self._chooses.done() and self._chooses.get_loop() is loop:
            return  # it goes on with those who wait
        batch = self._next()
        try:
            first = batch[0]
            lists = self._service.suggest_at_once(first.tenant_id, [each.ask for each in batch], reasons=first.reasons)
        except Exception as exc:  # whoever waits must hear of it
            _fail(batch, exc)
            lists = []
        if lists is None:
            self._waiting.extendleft(reversed(batch))
            self._chooses = loop.create_task(self._choose(loop))
            return
        self._company, self._told_at = max(len(batch), self._company - 1), loop.time()
        _tell(batch, lists)
        if self._waiting:
            self._call(loop)

    async def _choose(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the thread choose until nobody waits."""
        while self._waiting:
            batch = self._next()
            asks, first = [each.ask for each in batch], batch[0]
            try:
                choose = partial(self._service.suggest_many, first.tenant_id, asks, reasons=first.reasons)
                lists = await loop.run_in_executor(self._executor(), choose)
            except Exception as exc:  # whoever waits must hear of it
                _fail(batch, exc)
            else:
                _tell(batch, lists)

    def _next(self) -> list[_Waiting]:
        """Those in front who ask the same shop in the same way."""
        first = self._waiting[0]
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < MOST:
            if (self._waiting[0].tenant_id, self._waiting[0].reasons) != (first.tenant_id, first.reasons):
                break
            batch.append(self._waiting.popleft())
        return batch

    def _executor(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="ikkan-suggest")
        return self._thread


def _tell(batch: list[_Waiting], lists: list[Suggestions]) -> None:
    for each, made in zip(batch, lists, strict=False):
        if not each.answer.done():
            each.answer.set_result(made)


def _fail(batch: list[_Waiting], exc: Exception) -> None:
    for each in batch:
        if not each.answer.done():
            each.answer.set_exception(exc)
