"""Tool calls read out of an answer while it grows: its words, the calls it begins, their arguments piece by piece."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ikkan.engine.reasoning import held_back

Style: TypeAlias = Literal["tags", "object"]
"""`tags`: `<tool_call>` around each call, as Qwen and Hermes were taught. `object`: one JSON object with all calls."""

OPEN, CLOSE = "<tool_call>", "</tool_call>"
OBJECT: Final = '{"tool_calls": ['
_HEAD: Final = re.compile(r'\s*\{\s*"name"\s*:\s*"([^"\\]*)"\s*,\s*"arguments"\s*:\s*(?=\{)')


@dataclass(frozen=True, slots=True)
class Said:
    """Words of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """A call begins."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class Argued:
    """What a call's arguments, JSON, grow by."""

    index: int
    text: str


Heard: TypeAlias = "Said | Called | Argued"


class Calls:
    """Takes an answer as it comes and tells words from calls. White space before a call is left out.

    >>> calls = Calls("tags")
    >>> calls.add('Let me see.\\n<tool_call>\\n{"name": "add", "argu')
    [Said(text='Let me see.')]
    >>> calls.add('ments": {"x": 1')
    [Called(index=0, name='add'), Argued(index=0, text='{"x": 1')]
    >>> calls.add('}}\\n</tool_call>')
    [Argued(index=0, text='}')]
    """

    def __init__(self, style: Style) -> None:
        self.count = 0
        """Calls begun so far."""
        self._style = style
        self._held = ""
        self._state = "saying" if style == "tags" else "begin"
        self._depth = 0
        self._quoted = self._escaped = False

    def add(self, text: str) -> list[Heard]:
        """What these letters say."""
        self._held += text
        heard: list[Heard] = []
        while self._step(heard):
            pass
        return heard

    def end(self) -> list[Heard]:
        """What was held back, now that nothing follows. Half a call's head says nothing."""
        held, self._held = self._held, ""
        return [Said(held)] if held and self._state in ("saying", "begin", "words") else []

    def _step(self, heard: list[Heard]) -> bool:
        """Go on in the present state; whether there may be more to do in the next."""
        match self._state:
            case "begin":
                return self._begin()
            case "saying":
                return self._say(heard)
            case "head":
                return self._head(heard)
            case "arguments":
                return self._argue(heard)
            case "tail":
                return self._tail()
            case "words":
                if self._held:
                    heard.append(Said(self._held))
                self._held = ""
            case _:
                self._held = ""
        return False

    def _begin(self) -> bool:
        if self._held.startswith(OBJECT):
            self._held, self._state = self._held[len(OBJECT) :], "head"
            return True
        if OBJECT.startswith(self._held):
            return False
        self._state = "words"
        return True

    def _say(self, heard: list[Heard]) -> bool:
        words, opened, rest = self._held.partition(OPEN)
        sure = len(words) if opened else len(words) - held_back(words, OPEN)
        sure = len(words[:sure].rstrip())
        if sure:
            heard.append(Said(words[:sure]))
        self._held = rest if opened else words[sure:]
        self._state = "head" if opened else "saying"
        return bool(opened)

    def _head(self, heard: list[Heard]) -> bool:
        found = _HEAD.match(self._held)
        if not found:
            return False
        heard.append(Called(self.count, found[1]))
        self.count += 1
        self._held, self._state = self._held[found.end() :], "arguments"
        return True

    def _argue(self, heard: list[Heard]) -> bool:
        ended = 0
        for place, letter in enumerate(self._held):
            if self._quoted:
                self._quoted = self._escaped or letter != '"'
                self._escaped = letter == "\\" and not self._escaped
            elif letter == '"':
                self._quoted = True
            elif letter in "{[":
                self._depth += 1
            elif letter in "}]":
                self._depth -= 1
                if not self._depth:
                    ended = place + 1
                    break
        grown = self._held[:ended] if ended else self._held
        if grown:
            heard.append(Argued(self.count - 1, grown))
        self._held = self._held[len(grown) :]
        self._state = "tail" if ended else "arguments"
        return bool(ended)

    def _tail(self) -> bool:
        if self._style == "tags":
            _, closed, rest = self._held.partition(CLOSE)
            if closed:
                self._held, self._state = rest, "saying"
            return bool(closed)
        self._held = self._held.lstrip("}, \n")
        if self._held:
            self._state = "head" if self._held[0] == "{" else "done"
        return bool(self._held)
