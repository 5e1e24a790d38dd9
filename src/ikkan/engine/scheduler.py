"""Who takes part in the next forward call, and with how many tokens; and what calls cost here."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from ikkan.engine.guessing import MOST

if TYPE_CHECKING:
    from ikkan.engine.answer import Answer

FEW: Final = 8
"""Whoever has no more tokens to read than this always reads them all."""
LEAST_TOKENS: Final = 16
"""Prompt tokens a step reads however slow the machine is."""
LEAST_TOKENS_APART: Final = 64
"""The same where prompts are read apart: a step then walks over the weights once more, however few tokens it reads."""
TARGET_S: Final = 0.06
TARGET_APART_S: Final = 0.15
"""How long running answers wait for a step with prompts in it; likewise."""
ALONE_TOKENS: Final = 512
"""Prompt tokens a step reads at most when nobody is in the middle of an answer: newcomers wait for them."""
ALONE_S: Final = 0.3
"""How long such a step may take."""
FIRST_TOKENS: Final = 64
"""Prompt tokens a step reads while others wait, before it is known how long that takes."""


def shares(unread: Sequence[int], budget: int) -> list[int]:
    """How many tokens of each text the next step reads.

    Whoever writes an answer has one unread token, or a few, and always takes part. Of the prompts the oldest has half
    of the budget to itself, so that nobody is overtaken for ever; the rest goes to whoever needs least to be done, so
    that a short one is not kept waiting by a long one. Prompts of one length are thus read one after the other: half of
    them are answered in half the time.

    Args:
        unread: the oldest first.

    >>> shares([1, 500, 1, 10], 64), shares([1, 1], 64), shares([1000], 256), shares([400, 400, 300], 64)
    ([1, 54, 1, 10], [1, 1], [256], [32, 0, 32])
    """
    takes = [waiting if waiting <= FEW else 0 for waiting in unread]
    prompts = [number for number, waiting in enumerate(unread) if waiting > FEW]
    if not prompts:
        return takes
    oldest = prompts[0]
    takes[oldest] = min(unread[oldest], budget - budget // 2)
    left = budget - takes[oldest]
    for number in sorted(prompts, key=lambda one: unread[one]):
        more = min(unread[number] - takes[number], left)
        takes[number] += more
        left -= more
    return takes


class Line:
    """Answers that wait. Callers take turns: next is one of whose answers the fewest are being computed."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Answer]] = {}  # in the order of their turns

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def of(self, caller: str) -> int:
        """How many of one caller's answers wait."""
        return len(self._lines.get(caller, ()))

    def add(self, answer: Answer) -> None:
        """The last of its caller's."""
        self._lines.setdefault(answer.request.caller, deque()).append(answer)

    def add_first(self, answer: Answer) -> None:
        """The first of its caller's: it has begun before."""
        self._lines.setdefault(answer.request.caller, deque()).appendleft(answer)

    def next(self, computed: Sequence[Answer]) -> Answer | None:
        """Whose turn it is."""
        if not self._lines:
            return None
        busy = Counter(answer.request.caller for answer in computed)
        return self._lines[min(self._lines, key=lambda caller: busy[caller])][0]

    def take(self, answer: Answer) -> None:
        """It is computed now; the other callers come before its caller's next."""
        line = self._lines.pop(answer.request.caller)
        line.remove(answer)
        if line:
            self._lines[answer.request.caller] = line

    def remove(self, wanted: Callable[[Answer], bool]) -> list[Answer]:
        """Take all of these out."""
        found = [answer for line in self._lines.values() for answer in line if wanted(answer)]
        for answer in found:
            line = self._lines[answer.request.caller]
            line.remove(answer)
            if not line:
                del self._lines[answer.request.caller]
        return found


class Costs:
    """How long forward calls take here, learnt from those that were made.

    Args:
        target_s: how long a running answer should wait for a step at most.
        least: prompt tokens a step reads however long that takes.
    """

    _SIZES: Final = (*range(1, 25), 28, 32, 40, 48, 64, 96, 128)
    _COUNTS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, MOST)
    _NEWEST: Final = 0.2
    _OTHERS: Final = 0.02
    _UNTRIED: Final = 0.05
    _MARGIN: Final = 1.05
    _FRESH: Final = 8

    def __init__(self, target_s: float = TARGET_S, least: int = LEAST_TOKENS) -> None:
        self.target_s, self.least = target_s, least
        self._seconds: list[float] = [0.0] * len(self._SIZES)  # 0 where nothing was measured
        self._token_s = 0.0
        # What `of` answers. Made anew when a size was measured for the first time, and every few calls.
        self._table: list[float] = [0.0] * (self._SIZES[-1] + 1)
        self._stale = 0

    def note(self, rows: int, reading: int, seconds: float) -> None:
        """A call took so long.

        Args:
            rows: tokens whose scores were asked for.
            reading: tokens of prompts beside them.
        """
        if reading:
            if reading >= LEAST_TOKENS:
                each = max(seconds - self.of(rows), 0.0) / reading
                # A call that waited for the processor says little.
                each = min(each, 4 * self._token_s) if self._token_s else each
                self._token_s += (self._NEWEST if self._token_s else 1.0) * (each - self._token_s)
            return
        size = min(bisect_left(self._SIZES, rows), len(self._SIZES) - 1)
        known = self._seconds[size]
        self._stale += 1
        if not known:
            # The first of its kind may have been slow for a reason that does not come again.
            hoped = self.of(rows)
            self._seconds[size] = min(seconds, 2 * hoped) if hoped else seconds
            self._stale = self._FRESH
            return
        seconds = min(seconds, 2 * known)
        # Longer texts and busier machines make all calls slower, not only those of this size.
        drift = 1.0 + self._OTHERS * (seconds / known - 1.0)
        self._seconds = [one * drift for one in self._seconds]
        self._seconds[size] = known + self._NEWEST * (seconds - known)

    def of(self, rows: int) -> float:
        """How long a call with so many rows takes, as far as that is known; it is hoped that rows cost little."""
        if self._stale >= self._FRESH:
            self._table = self._filled()
            self._stale = 0
        return self._table[min(rows, len(self._table) - 1)]

    def reading_s(self, tokens: int) -> float:
        """How long it takes to read so much of a prompt."""
        return self._token_s * tokens

    def budget(self, rows: int) -> int:
        """How many tokens of prompts the next step may read beside so many rows of running answers.

        >>> costs = Costs(target_s=0.06)
        >>> costs.budget(0), costs.budget(1)
        (512, 64)
        >>> costs.note(1, 0, 0.01)
        >>> costs.note(1, 64, 0.07)
        >>> costs.budget(0), costs.budget(1)
        (304, 48)
        """
        if not self._token_s:
            return FIRST_TOKENS if rows else ALONE_TOKENS
        room_s = self.target_s - self.of(rows) if rows else ALONE_S
        tokens = int(room_s / self._token_s) // LEAST_TOKENS * LEAST_TOKENS
        return max(self.least, min(tokens, ALONE_TOKENS))

    def worth_guessing(self, rows: int, tokens: float, reading: int, chances: Sequence[float]) -> int:
        """How many guessed tokens to add to a call so that tokens come fastest.

        Args:
            rows: the call's rows so far, which will give so many `tokens`.
            reading: tokens of prompts in the call.
            chances: for each guessed token, how likely it is to be right.

        >>> costs = Costs()
        >>> for rows, seconds in [(1, 1.0), (2, 1.3), (5, 1.4), (9, 3.0)]: costs.note(rows, 0, seconds)
        >>> costs.worth_guessing(1, 1.0, 0, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])
        4
        >>> costs.worth_guessing(1, 1.0, 0, [0.2, 0.04, 0.01])
        0
        """
        read_s = self.reading_s(reading)
        fastest = tokens / max(self.of(rows) + read_s, 1e-9) * self._MARGIN
        best = counted = 0
        table, last = self._table, len(self._table) - 1
        for count in self._COUNTS:
            if count > len(chances):
                break
            for chance in chances[counted:count]:
                tokens += chance
            counted = count
            speed = tokens / max(table[min(rows + count, last)] + read_s, 1e-9)
            if speed > fastest:
                fastest, best = speed, count
        return best

    def _filled(self) -> list[float]:
        """What each number of rows costs: as measured, or on the line between two that were."""
        known = [(size, seconds) for size, seconds in zip(self._SIZES, self._seconds, strict=True) if seconds]
        if not known:
            return self._table
        # More rows never take less time: what says so was measured at a bad moment.
        for place in range(len(known) - 2, -1, -1):
            known[place] = (known[place][0], min(known[place][1], known[place + 1][1]))
        first, last = known[0], known[-1]
        table = [0.0] + [first[1]] * first[0]
        for (below, low), (above, high) in pairwise(known):
            slope = (high - low) / (above - below)
            table += [low + slope * (rows - below) for rows in range(below + 1, above + 1)]
        return table + [last[1] * (1.0 + self._UNTRIED * beyond) for beyond in range(1, self._SIZES[-1] + 1 - last[0])]
