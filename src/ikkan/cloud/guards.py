"""Guards: whoever may stop a text. Rooms above implement them, `bootstrap` hands them over; called chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ikkan.cloud.values import Principal
from ikkan.ground.errors import ContentRefused
from ikkan.ground.ids import RequestId


@dataclass(frozen=True, slots=True)
class GuardedText:
    """A text on its way in, or a piece of one on its way out."""

    request_id: RequestId
    principal: Principal
    direction: Literal["in", "out"]
    text: str
    """The piece itself."""
    before: str = ""
    """What of this answer was already sent; a forbidden phrase may lie across pieces."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the text may pass."""

    allowed: bool
    reason: str = ""
    """For the person who asked; never quotes the text."""


PASS = Verdict(True)


class Guard(Protocol):
    """Sees every text that passes the pipeline."""

    name: str

    async def inspect(self, chunk: GuardedText) -> Verdict:
        """Judge one text or piece. Raising counts as a refusal by our own fault, never as a pass."""
        ...


async def inspect_all(guards: Sequence[Guard], chunk: GuardedText) -> None:
    """Ask each guard in order; the first refusal ends it.

    Raises:
        ContentRefused: a guard did not let the text pass.
    """
    for guard in guards:
        verdict = await guard.inspect(chunk)
        if not verdict.allowed:
            raise ContentRefused(
                verdict.reason or "this text may not pass",
                hint="say it in other words, or ask the administrator about the guard",
                guard=guard.name,
                direction=chunk.direction,
            )
