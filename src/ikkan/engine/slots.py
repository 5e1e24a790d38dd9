"""The seats of the KV cache, and what was computed in them before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Slot:
    tokens: list[int] = field(default_factory=list)
    """Whose keys and values lie here, from position 0."""
    salt: str = ""
    taken: bool = False
    left_at: int = 0
    """The larger, the later it became free."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in the cache, and how much of the prompt is there already."""

    slot: int
    cached_tokens: int


class Slots:
    """Gives each text a slot of its own: the free one that holds most of its beginning, if the two have at least half
    of the shorter one in common; else the one that was left longest ago.

    The last token of a prompt is always computed again, for its scores.

    >>> slots = Slots(2)
    >>> first = slots.take([1, 2, 3], salt="a")
    >>> slots.leave(first.slot, [1, 2, 3, 4], salt="a")
    >>> slots.take([1, 2, 9], salt="b"), slots.take([1, 2, 9], salt="a")
    (Seat(slot=1, cached_tokens=0), Seat(slot=0, cached_tokens=2))
    """

    def __init__(self, count: int) -> None:
        self._slots = [_Slot() for _ in range(count)]
        self._turn = 0

    @property
    def in_use(self) -> int:
        """Slots that are taken."""
        return sum(slot.taken for slot in self._slots)

    def take(self, prompt: Sequence[int], *, salt: str) -> Seat | None:
        """A slot for this prompt; None when all are taken."""
        free = [number for number, slot in enumerate(self._slots) if not slot.taken]
        if not free:
            return None
        shared = {number: self._shared(self._slots[number], prompt, salt) for number in free}
        # Two conversations often share no more than the system's words. For so little, another one is not thrown away
        # while an older slot, or an unused one, is free.
        worth = [number for number in free if self._is_worth(shared[number], self._slots[number], prompt)]
        if worth:
            chosen = max(worth, key=lambda number: shared[number])
        else:
            chosen = min(free, key=lambda number: self._slots[number].left_at)
        slot = self._slots[chosen]
        slot.taken, slot.tokens = True, []
        return Seat(chosen, shared[chosen])

    def leave(self, number: int, tokens: Sequence[int], *, salt: str) -> None:
        """Free a slot. `tokens` are those whose keys and values are known to lie in it."""
        self._turn += 1
        self._slots[number] = _Slot(list(tokens), salt, False, self._turn)

    def forget(self) -> None:
        """Forget what lies in free slots."""
        for slot in self._slots:
            slot.tokens, slot.left_at = [], 0

    @staticmethod
    def _is_worth(shared: int, slot: _Slot, prompt: Sequence[int]) -> bool:
        return shared > 0 and 2 * shared >= min(len(slot.tokens), len(prompt))

    @staticmethod
    def _shared(slot: _Slot, prompt: Sequence[int], salt: str) -> int:
        if slot.salt != salt:
            return 0
        most = min(len(slot.tokens), len(prompt) - 1)
        for place in range(most):
            if slot.tokens[place] != prompt[place]:
                return place
        return most
