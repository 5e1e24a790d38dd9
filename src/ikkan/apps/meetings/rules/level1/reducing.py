"""Notes of many parts in groups that fit into one question."""

from __future__ import annotations

from collections.abc import Sequence

from ikkan.apps.meetings.rules.level1.parts import weight
from ikkan.apps.meetings.rules.level1.reading import Draft

_OVERHEAD_TOKENS = 12


def groups(notes: Sequence[Draft], room_tokens: int) -> list[list[Draft]]:
    """Neighbouring notes in groups of at most about `room_tokens`; each holds two notes at least, where there are two.

    >>> from ikkan.apps.meetings.values import Kind
    >>> notes = [Draft(Kind.KEY_POINT, "word " * 20, (n,)) for n in range(10)]
    >>> [len(group) for group in groups(notes, 150)]
    [4, 4, 2]
    """
    found: list[list[Draft]] = []
    filled = 0
    for note in notes:
        tokens = weight(note.text) + _OVERHEAD_TOKENS
        if not found or (filled + tokens > room_tokens and len(found[-1]) >= 2):
            found.append([])
            filled = 0
        found[-1].append(note)
        filled += tokens
    return found
