"""From stretches of voice to what a recogniser is sent: never silence, never longer than it takes, one voice each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ikkan.apps.meetings.rules.hearing.speakers import Turn, speaker_at
from ikkan.apps.meetings.rules.hearing.voice import RATE, Samples, Span, VoiceFinder

LONGEST_S = 24.0
"""Recognisers of Whisper's kind hear 30 seconds at a time."""
_LOOKS_BACK_S = 6.0
"""A stretch that is too long is cut at the quietest moment of its last seconds."""
_LEAST_TURN_S = 0.4


@dataclass(frozen=True, slots=True)
class Window:
    """Sound that a recogniser is sent."""

    start_s: float
    samples: Samples
    """float32 in [-1, 1], mono, 16,000 a second."""
    above_db: float = 20.0
    """How far its voice lay above the room."""
    speaker: str = ""

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return self.start_s + len(self.samples) / RATE


class Windows:
    """Cuts sound that comes in pieces into windows with voice; holds no more than one window and a moment.

    Args:
        start_s: where the sound begins, if somebody listened before.
        turns: who speaks when, in order; windows are cut where the voice changes.

    >>> hum = np.zeros(RATE, dtype=np.float32)
    >>> [*Windows().feed(hum)], [*Windows().end()]
    ([], [])
    """

    def __init__(self, *, start_s: float = 0.0, turns: Sequence[Turn] = (), longest_s: float = LONGEST_S) -> None:
        self._finder = VoiceFinder(start_s=start_s)
        self._held = np.zeros(0, dtype=np.float32)
        self._held_s = start_s
        """Where what is held begins."""
        self._turns = turns
        self._longest_s = longest_s
        self.done_s = start_s
        """Up to where everything was given out: listening can begin here again and lose nothing."""

    def feed(self, samples: Samples) -> Iterator[Window]:
        """Listen on; gives the windows that are complete."""
        self._held = np.concatenate([self._held, samples])
        for span in self._finder.feed(samples):
            yield from self._cut(span)
        yield from self._cut_long()
        self._forget()

    def end(self) -> Iterator[Window]:
        """Say that no more comes; gives what was open."""
        for span in self._finder.end():
            yield from self._cut(span)
        self.done_s = self._held_s + len(self._held) / RATE

    def _cut_long(self) -> Iterator[Window]:
        """Give out the beginning of a stretch that goes on and on."""
        while True:
            since_s = self._finder.open_since_s
            since_s = None if since_s is None else max(since_s, self.done_s)
            if since_s is None or self._finder.heard_s - since_s < self._longest_s:
                return
            at_s = self._quietest(since_s + self._longest_s - _LOOKS_BACK_S, since_s + self._longest_s)
            yield from self._by_turn(Span(since_s, at_s, 20.0))
            self.done_s = at_s

    def _cut(self, span: Span) -> Iterator[Window]:
        end_s = min(span.end_s, self._held_s + len(self._held) / RATE)
        start_s = max(span.start_s, self.done_s)
        while end_s - start_s > self._longest_s:
            at_s = self._quietest(start_s + self._longest_s - _LOOKS_BACK_S, start_s + self._longest_s)
            yield from self._by_turn(Span(start_s, at_s, span.above_db))
            start_s = at_s
        if end_s > start_s:
            yield from self._by_turn(Span(start_s, end_s, span.above_db))
        self.done_s = max(self.done_s, end_s)

    def _by_turn(self, span: Span) -> Iterator[Window]:
        borders = [turn.start_s for turn in self._turns if span.start_s < turn.start_s < span.end_s]
        start_s = span.start_s
        for border_s in [*borders, span.end_s]:
            is_last = border_s == span.end_s
            if not is_last and (border_s - start_s < _LEAST_TURN_S or span.end_s - border_s < _LEAST_TURN_S):
                continue
            samples = self._between(start_s, border_s)
            if len(samples):
                speaker = speaker_at(self._turns, start_s, border_s)
                yield Window(round(start_s, 3), samples, span.above_db, speaker)
            start_s = border_s

    def _between(self, start_s: float, end_s: float) -> Samples:
        first, last = (max(0, round((at_s - self._held_s) * RATE)) for at_s in (start_s, end_s))
        return self._held[first:last].copy()

    def _quietest(self, start_s: float, end_s: float) -> float:
        samples = self._between(start_s, end_s)
        many = len(samples) // 800
        if many < 2:
            return end_s
        loud = np.mean(samples[: many * 800].reshape(many, 800) ** 2, axis=1)
        return start_s + (int(np.argmin(loud)) + 0.5) * 800 / RATE

    def _forget(self) -> None:
        since_s = self._finder.open_since_s
        keep_s = max(self.done_s, since_s if since_s is not None else self._finder.heard_s - 1.0)
        if since_s is None:
            self.done_s = max(self.done_s, keep_s)
        gone = max(0, min(len(self._held), int((keep_s - self._held_s) * RATE)))
        self._held = self._held[gone:]
        self._held_s += gone / RATE
