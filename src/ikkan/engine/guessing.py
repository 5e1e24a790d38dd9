"""Guesses how an answer goes on by looking where its last words stood before, in the prompt or in the answer itself.

A guess costs a row in a call that is made anyway; a right one saves a call. `Guesses` finds them and learns how often
they come true; `scheduler.Costs` knows what rows cost here.

Source: prompt lookup decoding, Saxena 2023; checked as in Leviathan et al. 2023, but by drawing at every row, so that
the draws are those that would have been made without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MOST: Final = 16
"""Tokens guessed at once."""

_LONG, _SHORT = 4, 2
"""Tokens that are looked up: a long match first."""
_PLACES: Final = 4
"""How many of the last places are compared."""
_COMPARED: Final = 16
"""Tokens before a place that are compared at most."""
_WINDOW, _LONG_WINDOW = 0.9, 0.97
"""What an old experience counts for when a new one comes: an answer's own, and everybody's."""
_CLASS: Final = (0, 0, 0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5)
"""Lengths of a match (here 2 to 16) that are believed alike."""
_SUREST: Final = 5
_HARDLY: Final = 0.05
_FIRST_BELIEF: Final = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8)
_FIRST_WEIGHT: Final = 4.0
_WEIGHT_OF_ALL: Final = 2.0
"""How many experiences of its own an answer needs to believe them as much as everybody's."""


class Experience:
    """How often guesses came true lately in all answers: what one that begins believes."""

    __slots__ = ("right", "tried")

    def __init__(self) -> None:
        self.tried = [_FIRST_WEIGHT] * len(_FIRST_BELIEF)
        self.right = [_FIRST_WEIGHT * belief for belief in _FIRST_BELIEF]

    def note(self, kind: int, right: bool) -> None:
        """A guess of this kind came true, or not."""
        self.tried[kind] = _LONG_WINDOW * self.tried[kind] + 1.0
        self.right[kind] = _LONG_WINDOW * self.right[kind] + right


class Guesses:
    """What may follow in one text, and how often that came true.

    >>> guesses = Guesses()
    >>> text = [5, 6, 7, 8, 9, 1, 5, 6, 7]
    >>> guesses.look(text), guesses.first(text, 3)
    (3, [8, 9, 1])
    >>> text += [8]
    >>> guesses.learn(text, 1)
    >>> guesses.look(text), guesses.first(text, 9)
    (4, [9, 1, 5, 6, 7, 8, 9, 1, 5])
    """

    __slots__ = ("_all", "_at", "_earlier", "_indexed", "_last", "_length", "_right", "_tried")

    def __init__(self, experience: Experience | None = None) -> None:
        self._all = experience or Experience()
        self._last: dict[tuple[int, ...], int] = {}
        # For each place and kind, the place before it where the same tokens stood; 0 for none.
        self._earlier: tuple[list[int], list[int]] = ([], [])
        self._indexed = 0
        self._at = 0
        self._length = 0
        self._tried = [0.0] * len(_FIRST_BELIEF)
        self._right = [0.0] * len(_FIRST_BELIEF)

    def look(self, text: Sequence[int]) -> int:
        """Find the best guess; how many tokens before it agree with the end of the text, 0 when there is none."""
        self._index(text)
        if self._length < _LONG:
            self._at = self._length = 0
            for size, earlier in zip((_LONG, _SHORT), self._earlier, strict=True):
                place = self._last.get(tuple(text[-size:]), 0)
                for _ in range(_PLACES):
                    if place == 0:
                        break
                    length = self._agreement(text, place, size)
                    if length > self._length:
                        self._at, self._length = place, length
                    place = earlier[place]
                if self._length:
                    break
        return self._length

    def first(self, text: Sequence[int], count: int) -> list[int]:
        """The first tokens of the guess that `look` found; where it runs into the end of the text it repeats itself."""
        guess = list(text[self._at : self._at + count])
        while len(guess) < count:
            guess += guess[: count - len(guess)]
        return guess

    def learn(self, text: Sequence[int], came: int) -> None:
        """So many tokens came at the end of the text since `look`: was the guess right?"""
        if not self._length:
            return
        end = len(text) - came
        for place in range(end, len(text)):
            kind = _CLASS[min(self._length, _COMPARED)]
            right = text[self._at] == text[place]
            self._tried[kind] = _WINDOW * self._tried[kind] + 1.0
            self._right[kind] = _WINDOW * self._right[kind] + right
            self._all.note(kind, right)
            if not right:
                self._length = 0
                return
            self._at += 1
            self._length += 1

    def chances(self) -> list[float]:
        """For each token of the guess that `look` found, how likely it and all before it are right; until that is
        hardly likely."""
        chances: list[float] = []
        chance = 1.0
        right, tried, everybody, length = self._right, self._tried, self._all, self._length
        while len(chances) < MOST:
            kind = _CLASS[length] if length < _COMPARED else _SUREST
            usual = everybody.right[kind] / everybody.tried[kind]
            chance *= (right[kind] + _WEIGHT_OF_ALL * usual) / (tried[kind] + _WEIGHT_OF_ALL)
            if chance < _HARDLY:
                break
            chances.append(chance)
            length += 1
        return chances

    def _index(self, text: Sequence[int]) -> None:
        """Note what stood before every token that has one after it; the end of the text is what is looked up."""
        last, (long, short) = self._last, self._earlier
        for place in range(self._indexed, len(text)):
            # Tokens before `place`; `place` is where they go on.
            if place >= _LONG:
                key = tuple(text[place - _LONG : place])
                long.append(last.get(key, 0))
                last[key] = place
            else:
                long.append(0)
            if place >= _SHORT:
                key = (text[place - 2], text[place - 1])
                short.append(last.get(key, 0))
                last[key] = place
            else:
                short.append(0)
        self._indexed = len(text)

    @staticmethod
    def _agreement(text: Sequence[int], place: int, known: int) -> int:
        """How many tokens before a place agree with the end of the text."""
        length, end = known, len(text)
        most = min(_COMPARED, place)
        while length < most and text[place - 1 - length] == text[end - 1 - length]:
            length += 1
        return length
