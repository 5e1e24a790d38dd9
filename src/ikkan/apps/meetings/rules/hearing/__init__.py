"""What is decided about sound before and after it is recognised: where there is a voice, whose, and what nobody said.

Begin at `voice.py`, which finds the voice; `windows.py` cuts it, `phantoms.py` looks at what came back.
"""

from ikkan.apps.meetings.rules.hearing.phantoms import Sieve
from ikkan.apps.meetings.rules.hearing.resampling import Resampler
from ikkan.apps.meetings.rules.hearing.speakers import Loudest, Turn, labelled
from ikkan.apps.meetings.rules.hearing.voice import RATE, Span, VoiceFinder
from ikkan.apps.meetings.rules.hearing.windows import Window, Windows

__all__ = [
    "RATE",
    "Loudest",
    "Resampler",
    "Sieve",
    "Span",
    "Turn",
    "VoiceFinder",
    "Window",
    "Windows",
    "labelled",
]
