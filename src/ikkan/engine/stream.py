"""From tokens to text that may be shown: never half a character, never the beginning of a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Turns the bytes of tokens into text, holding back what might still become something else.

    >>> stream = TextStream(stop=["END"])
    >>> stream.push("あ".encode()[:2]), stream.push("あ".encode()[2:] + b" E"), stream.push(b"N"), stream.push(b"JOY")
    ('', 'あ ', '', 'ENJOY')
    >>> stream.push(b" EN"), stream.push(b"D of it"), stream.stopped
    (' ', '', True)
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(text for text in stop if text)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False
        """A stop string was found; nothing from it on was or will be given out."""

    def push(self, data: bytes) -> str:
        """Add bytes; returns the text that is certain now."""
        return self._give(self._decoder.decode(data), final=False)

    def end(self) -> str:
        """No more will come: returns what was held back, with half a character as U+FFFD."""
        return self._give(self._decoder.decode(b"", True), final=True)

    def _give(self, text: str, *, final: bool) -> str:
        if self.stopped:
            return ""
        held = self._held + text
        places = [place for place in (held.find(stop) for stop in self._stop) if place >= 0]
        if places:
            self.stopped, self._held = True, ""
            return held[: min(places)]
        keep = 0 if final else max((_overlap(held, stop) for stop in self._stop), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of `text` are the beginning of `stop`, without being all of it."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
