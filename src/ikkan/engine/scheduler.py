"""Who takes part in the next forward call, and with how many tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ALONE_TOKENS: Final = 256
"""Prompt tokens a step reads when nobody is in the middle of an answer."""
SHARED_TOKENS: Final = 64
"""Prompt tokens a step reads while answers go on: it is what a running answer waits for."""


def shares(unread: Sequence[int], *, alone: int = ALONE_TOKENS, shared: int = SHARED_TOKENS) -> list[int]:
    """How many tokens of each text the next step reads.

    Whoever writes an answer has one unread token and always takes part. Prompts share what is left evenly, so that a
    short one is not kept waiting by a long one; what one does not need goes to the others.

    >>> shares([1, 500, 1, 10]), shares([1, 1]), shares([1000])
    ([1, 54, 1, 10], [1, 1], [256])
    """
    takes = [1 if waiting == 1 else 0 for waiting in unread]
    budget = shared if any(takes) else alone
    prompts = sorted((number for number, waiting in enumerate(unread) if waiting > 1), key=lambda one: unread[one])
    for done, number in enumerate(prompts):
        # Shortest first: its leftover is then known when the longer ones are served.
        takes[number] = min(unread[number], budget // (len(prompts) - done))
        budget -= takes[number]
    return takes
