"""Beyond the ladder: whatever larger model the firm has chooses among the intents, for what all rungs deferred.

It learns nothing and belongs to no artifact. It is asked through the same pipeline as everybody's chats, its answer
held to the list of intents by a schema; what it costs is what the ledger says. Off unless somebody asks for it: the
default chat model would guess.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

from ikkan.cloud.values import LOCAL, ChatChunk, ChatRequest, Principal

Chat: TypeAlias = Callable[[Principal, ChatRequest], AsyncGenerator[ChatChunk, None]]
"""`Pipeline.chat`."""

_TASK = "Say which one of these the message is about, by its name and nothing else:\n"
_ENOUGH = 64
"""Tokens beside those of the longest name."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a larger model took a text to want."""

    intent: str | None
    """None: what it said is none of them."""
    yen: float
    """By the ledger."""


class Larger:
    """A model that is asked for one of the intents.

    Args:
        chat: the pipeline's.
        model: an alias or a model, as in any request.
        principal: who pays.
    """

    def __init__(self, chat: Chat, *, model: str = "default", principal: Principal = LOCAL) -> None:
        self.name = model
        self._chat = chat
        self._principal = principal

    def choose_all(self, texts: Sequence[str], intents: Sequence[str]) -> list[Chosen]:
        """`choose` for each, one after another; for workers and commands, which have no event loop."""

        async def each() -> list[Chosen]:
            return [await self.choose(text, intents) for text in texts]

        return asyncio.run(each())

    async def choose(self, text: str, intents: Sequence[str]) -> Chosen:
        """Which intent the model takes it for.

        Raises:
            IkkanError: the model does not answer; see `cloud.pipeline.Pipeline.chat`.
        """
        request = ChatRequest(
            self.name,
            [{"role": "system", "content": _TASK + "\n".join(intents)}, {"role": "user", "content": text}],
            body=asked_for(intents),
        )
        said, micros = "", 0
        async with aclosing(self._chat(self._principal, request)) as chunks:
            async for chunk in chunks:
                said += chunk.text
                micros = int(chunk.facts.get("cost_micros") or micros)
        return Chosen(read_choice(said, intents), micros / 1e6)


def asked_for(intents: Sequence[str]) -> dict[str, Any]:
    """The part of a request's body that holds the answer to these."""
    schema = {
        "type": "object",
        "properties": {"intent": {"type": "string", "enum": list(intents)}},
        "required": ["intent"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "intent", "strict": True, "schema": schema}}
    return {"temperature": 0, "max_tokens": _ENOUGH + max(map(len, intents)), "response_format": form}


def read_choice(said: str, intents: Sequence[str]) -> str | None:
    """The intent in an answer; vendors that ignore a schema may name it plainly.

    >>> [read_choice(said, ["card", "refund"]) for said in ('{"intent": "card"}', " refund ", "both", '{"intent": 1}')]
    ['card', 'refund', None, None]
    """
    try:
        found = json.loads(said)
    except ValueError:
        found = {"intent": said.strip()}
    named = found.get("intent") if isinstance(found, dict) else None
    return named if named in intents else None
