"""Server-sent events as model servers send them: `data:` lines, comments, and an end that must be told from a cut."""

from __future__ import annotations

from collections.abc import Iterator

from ikkan.ground.errors import UpstreamRejected

MAX_FRAME_BYTES = 16 << 20


class Frames:
    """Collects bytes as they arrive, and gives the data of each whole event.

    >>> frames = Frames()
    >>> list(frames.feed(b': hi\\r\\ndata: {"a"')), list(frames.feed(b':1}\\r\\n\\r\\ndata:[DONE]\\n\\n'))
    ([], [b'{"a":1}', b'[DONE]'])
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of every event that `piece` completes.

        Raises:
            UpstreamRejected: an event larger than 16 MiB.
        """
        self._rest += piece
        while (end := self._rest.find(b"\n", self._searched)) >= 0:
            line = bytes(self._rest[:end]).rstrip(b"\r")
            del self._rest[: end + 1]
            self._searched = 0
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                yield self._take()
        self._searched = len(self._rest)
        if len(self._rest) + sum(map(len, self._data)) > MAX_FRAME_BYTES:
            raise UpstreamRejected("the upstream sent an event of more than 16 MiB", hint="look at its log")

    def rest(self) -> Iterator[bytes]:
        """The last event of a server that closed without the blank line."""
        line = bytes(self._rest).rstrip(b"\r")
        self._rest.clear()
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        if self._data:
            yield self._take()

    def _take(self) -> bytes:
        data, self._data = b"\n".join(self._data), []
        return data
