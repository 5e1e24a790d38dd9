"""What a recogniser is to us: windows of voice in, timed words out. One conformance suite holds all of them to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ikkan.apps.meetings.rules.hearing import Turn, Window


@dataclass(frozen=True, slots=True)
class Heard:
    """Words that were recognised."""

    start_s: float
    """From the beginning of the sound, within the window it was heard in."""
    end_s: float
    text: str
    confidence: float | None = None
    """In [0, 1]; None where the recogniser gives none."""
    speaker: str = ""
    above_db: float = 20.0
    """How far the voice lay above the room."""


class Transcriber(Protocol):
    """A recogniser. Slow and blocking: called from a worker's job, or from a thread of its own.

    Implementations load nothing before the first window, keep nothing of the sound, and answer in the order of the
    windows. What a window holds no words for gives nothing.
    """

    name: str
    """As in settings: `sherpa-onnx`."""
    languages: frozenset[str]
    """Languages it hears; empty: any that its model was made for."""

    def transcribe(self, windows: Iterable[Window], language: str | None) -> Iterator[Heard]:
        """Recognise each window.

        Args:
            windows: float32 mono at 16,000 a second, taken one by one as they are needed.
            language: `ja`, `en` or `zh`; None: whatever it hears.

        Raises:
            SetupNeeded: a package or a model is missing; the hint says what to do.
            UpstreamFailed: a server that was asked did not answer.
        """
        ...


class Diariser(Protocol):
    """Tells voices apart. It keeps nothing of them: labels are numbers within one recording."""

    name: str

    def turns(self, samples: Iterable[Window], language: str) -> list[Turn]:
        """Who speaks when, over a whole recording that comes in pieces."""
        ...
