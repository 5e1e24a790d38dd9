"""Asks that come in while others are answered are answered together: the shelf is read from memory once for all.

One thread chooses, so that requests do not take turns in the middle of arithmetic and the event loop stays free. Nobody
waits for company: whoever comes alone is answered alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ikkan.apps.shop.service.suggesting.suggesting import Suggesting
from ikkan.apps.shop.values import Ask, Suggestions
from ikkan.ground.errors import RateLimited
from ikkan.ground.ids import TenantId

MOST = 16
"""Asks in one batch: more would let the first wait for the last."""
WAITING_MOST = 512


class Batches:
    """Answers asks from an event loop."""

    def __init__(self, service: Suggesting) -> None:
        self._service = service
        self._waiting: deque[tuple[TenantId, Ask, bool, asyncio.Future[Suggestions]]] = deque()
        self._thread: ThreadPoolExecutor | None = None
        self._task: asyncio.Task[None] | None = None

    async def suggest(self, tenant_id: TenantId, ask: Ask, *, reasons: bool = True) -> Suggestions:
        """What to show; answered with whoever else waits just now.

        Raises:
            RateLimited: too many wait.
        """
        if len(self._waiting) >= WAITING_MOST:
            raise RateLimited("too many lists are asked for at once", hint="ask again in a second", retry_after_s=1)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Suggestions] = loop.create_future()
        self._waiting.append((tenant_id, ask, reasons, answer))
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._answer(loop))
        return await answer

    async def _answer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="ikkan-suggest")
        while self._waiting:
            tenant_id, _, reasons, _ = self._waiting[0]
            batch: list[tuple[TenantId, Ask, bool, asyncio.Future[Suggestions]]] = []
            while self._waiting and len(batch) < MOST and self._waiting[0][:3:2] == (tenant_id, reasons):
                batch.append(self._waiting.popleft())
            answers = [answer for *_, answer in batch]
            try:
                asks = [ask for _, ask, _, _ in batch]
                lists = await loop.run_in_executor(self._thread, self._choose, tenant_id, asks, reasons)
            except Exception as exc:  # whoever waits must hear of it
                for answer in answers:
                    if not answer.done():
                        answer.set_exception(exc)
            else:
                for answer, made in zip(answers, lists, strict=True):
                    if not answer.done():
                        answer.set_result(made)

    def _choose(self, tenant_id: TenantId, asks: Sequence[Ask], reasons: bool) -> list[Suggestions]:
        return self._service.suggest_many(tenant_id, asks, reasons=reasons)
