"""From tokens to text that may be shown: whole characters, and nothing of a stop text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Turns the bytes of tokens into text as they come.

    What was given out is never taken back: half a character waits for its other half, and the end of the text waits
    while it may be the beginning of a stop text. Of several stop texts the one that is complete first counts, however
    the bytes were cut into tokens; of those complete at the same letter, the longest.

    >>> text = TextStream(stop=["END"])
    >>> text.add(b"\\xe3\\x81"), text.add(b"\\x82 E"), text.add(b"NE"), text.add(b"ND."), text.stopped
    ('', 'あ ', 'EN', '', True)
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        assert all(stop), "an empty stop text would end every answer"
        self.stopped = False
        """Whether a stop text was met; all further bytes are ignored."""
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def add(self, data: bytes, *, may_stop: bool = True) -> str:
        """The text that may be shown now that these bytes have come.

        Args:
            data: what a token adds; perhaps part of a character, perhaps nothing.
            may_stop: whether a stop text that these bytes complete ends the answer.
        """
        if self.stopped:
            return ""
        self._held += self._decoder.decode(data)
        if not may_stop:
            return self._release(len(self._held))
        found = [(at + len(stop), at) for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown = self._release(min(found)[1])
            self._held = ""
            return shown
        return self._release(len(self._held) - self._undecided())

    def end(self) -> str:
        """What was held back, now that nothing follows. Half a character is left out."""
        return "" if self.stopped else self._release(len(self._held))

    def _release(self, chars: int) -> str:
        shown, self._held = self._held[:chars], self._held[chars:]
        return shown

    def _undecided(self) -> int:
        """How many letters at the end may still become a stop text."""
        longest = 0
        for stop in self._stop:
            for length in range(min(len(stop) - 1, len(self._held)), longest, -1):
                if self._held.endswith(stop[:length]):
                    longest = length
                    break
        return longest
