"""A recogniser that writes what it is told to: it passes the same suite as the real ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ikkan.apps.meetings.rules.hearing import Window
from ikkan.apps.meetings.service.hearing.contract import Heard


class FakeTranscriber:
    """Says its lines in turn, one a window, and remembers what it was sent."""

    name = "fake"

    def __init__(self, lines: Iterable[str] = (), *, languages: Iterable[str] = (), confidence: float = 0.9) -> None:
        self.languages = frozenset(languages)
        self.sent: list[Window] = []
        self._lines = list(lines)
        self._confidence = confidence

    def transcribe(self, windows: Iterable[Window], language: str | None) -> Iterator[Heard]:
        for window in windows:
            number = len(self.sent)
            self.sent.append(window)
            text = self._lines[number % len(self._lines)] if self._lines else f"Window {number + 1} was heard."
            if text:
                yield Heard(window.start_s, window.end_s, text, self._confidence, window.speaker, window.above_db)
