"""A model that writes what it is told to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from ikkan.cloud.values import ChatChunk, ChatRequest, Principal
from ikkan.ground.errors import IkkanError

Answer = str | IkkanError | Callable[[ChatRequest], str]


def notes(**kinds: list[dict[str, Any]]) -> str:
    """An answer of the shape that is asked for."""
    empty: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("key_points", "decisions", "actions", "questions", "proposals")
    }
    return json.dumps({**empty, **kinds}, ensure_ascii=False)


class Scripted:
    """Stands where the cloud's pipeline does. The last answer is given again and again."""

    def __init__(self, *answers: Answer, pause_s: float = 0.0) -> None:
        self._answers = list(answers)
        self._pause_s = pause_s
        self.asked: list[ChatRequest] = []
        self.principals: list[Principal] = []
        self.closed = 0

    async def chat(self, principal: Principal, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """The pieces of the next answer."""
        self.asked.append(request)
        self.principals.append(principal)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, IkkanError):
            raise answer
        text = answer(request) if callable(answer) else answer
        try:
            for start in range(0, len(text), 40):
                await asyncio.sleep(self._pause_s)
                yield ChatChunk({}, text[start : start + 40])
            yield ChatChunk({}, "", "stop", facts={"upstream_model": "scripted-1b"})
        finally:
            self.closed += 1
