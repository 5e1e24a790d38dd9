"""Reasoning kept apart from the answer: what stands between `<think>` and `</think>`, however it is cut."""

from __future__ import annotations

from typing import Final

OPEN, CLOSE = "<think>", "</think>"

_BEFORE: Final = "before"
_INSIDE: Final = "inside"
_GAP: Final = "gap"
_AFTER: Final = "after"


class Thinking:
    """Takes a text as it comes and says of each letter whether it is reasoning or answer.

    White space around either is left out. A text that does not begin with `<think>` has no reasoning, whatever follows.

    Args:
        opened: whether the prompt ends inside of `<think>` already.

    >>> thinking = Thinking(opened=False)
    >>> thinking.add("<thi"), thinking.add("nk>\\nwell, 4</th"), thinking.add("ink>\\n\\n"), thinking.add("It is 4.")
    (('', ''), ('well, 4', ''), ('', ''), ('', 'It is 4.'))
    """

    def __init__(self, *, opened: bool) -> None:
        self._state = _INSIDE if opened else _BEFORE
        self._held = ""
        self._begun = False  # whether any of the reasoning was given out

    def add(self, text: str) -> tuple[str, str]:
        """What is now known to be reasoning, and what is answer."""
        if self._state == _AFTER:
            return "", text
        self._held += text
        thought = ""
        if self._state == _BEFORE:
            begins = self._held.lstrip()
            if OPEN.startswith(begins[: len(OPEN)]) and len(begins) < len(OPEN):
                return "", ""
            if not begins.startswith(OPEN):
                return "", self._answer(self._held)
            self._state, self._held = _INSIDE, begins[len(OPEN) :]
        if self._state == _INSIDE:
            inner, closed, rest = self._held.partition(CLOSE)
            if not closed:
                return self._think(), ""
            thought = inner.rstrip() if self._begun else inner.strip()
            self._state, self._held = _GAP, rest
        answer = self._held.lstrip()
        self._held = ""
        return thought, self._answer(answer) if answer else ""

    def end(self) -> tuple[str, str]:
        """What was held back, now that nothing follows."""
        held, self._held = self._held, ""
        if self._state == _INSIDE:
            return (held if self._begun else held.lstrip()).rstrip(), ""
        return "", held if self._state == _BEFORE else ""

    def _answer(self, text: str) -> str:
        self._state, self._held = _AFTER, ""
        return text

    def _think(self) -> str:
        """The reasoning but for its end, which may be white space before the tag, or the tag's beginning."""
        if not self._begun:
            self._held = self._held.lstrip()
        sure = len(self._held) - held_back(self._held, CLOSE)
        sure = len(self._held[:sure].rstrip())
        shown, self._held = self._held[:sure], self._held[sure:]
        self._begun = self._begun or bool(shown)
        return shown


class ThoughtTokens:
    """Counts the tokens of reasoning, its tags among them.

    >>> tokens = ThoughtTokens(opened=False)
    >>> for data in (b"<think>", b"hm", b"</thi", b"nk>", b"4"):
    ...     tokens.add(data)
    >>> tokens.count
    4
    """

    def __init__(self, *, opened: bool) -> None:
        self.count = 0
        self._state = _INSIDE if opened else _BEFORE
        self._seen = b""
        self._pending = 0

    def add(self, data: bytes) -> None:
        """Take the bytes of the next token."""
        if self._state == _AFTER:
            return
        self._pending += 1
        self._seen += data
        if self._state == _BEFORE:
            begins = self._seen.lstrip()
            if len(begins) < len(OPEN) and OPEN.encode().startswith(begins):
                return
            self._state = _INSIDE if begins.startswith(OPEN.encode()) else _AFTER
        if self._state == _INSIDE:
            self.count, self._pending = self.count + self._pending, 0
            if CLOSE.encode() in self._seen:
                self._state = _AFTER
            self._seen = self._seen[-len(CLOSE) :]


def held_back(text: str, tag: str) -> int:
    """How many letters at the end of a text may be the beginning of a tag.

    >>> held_back("a <thi", "<think>"), held_back("a < b", "<think>")
    (4, 0)
    """
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0
