"""What recognisers write where nobody said it: thanks to an audience, credits of subtitles, one word for ever.

Recognisers learned from subtitled videos fill noise with what stands at the end of those. Confidence alone does not
give them away, so the phrases are known by heart (`phrases.py`), and a window that holds nothing else is
looked at: credits go always; what people do say goes where the voice was faint or the recogniser unsure.

Source of the phrases: reports of users (Vexa-ai/vexa#617, Const-me/Whisper#54, openai/whisper discussions).
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Mapping

from ikkan.apps.meetings.rules.hearing.phrases import CREDITS, FILLERS

FAINT_DB = 5.5
"""A window whose voice lay no further above the room is faint."""
UNSURE = 0.35
_LOOP = re.compile(r"(.{1,40}?)\1{3,}", re.DOTALL)
_WORD_LOOP = re.compile(r"\b(\w+(?:\W+\w+){0,7}?)(?:\W+\1\b){3,}", re.IGNORECASE)
_SAME_IN_A_ROW = 2
_LONG = 8
"""Letters from which on a line that comes again and again is no answer people give."""
_LETTERS_A_SECOND = 40.0
"""Nobody speaks faster."""


def _any_of(phrases: Mapping[str, tuple[str, ...]]) -> re.Pattern[str]:
    # All languages at once: a recogniser that hears noise does not keep to the meeting's.
    return re.compile("|".join(f"(?:{each})" for some in phrases.values() for each in some))


_CREDIT, _FILLER = _any_of(CREDITS), _any_of(FILLERS)
_OTHER = re.compile(r"[^\w]+|_")
_MARKED = re.compile(r"^\s*[\[(（【♪*].{0,40}[\])）】♪*]\s*$")
"""`[Music]`, `(拍手)`, `♪`: said of the sound, not in it."""


class Sieve:
    """Keeps what was said and drops what was made up. One for each sound: it remembers the last lines.

    >>> sieve = Sieve()
    >>> sieve.keep("ご視聴ありがとうございました。", 3.0, above_db=15, confidence=0.9)
    ''
    >>> sieve.keep("We go, we go, we go, we go, we go, we go home.", 4.0, above_db=15, confidence=None)
    'We go home.'
    >>> sieve.keep("Thank you.", 1.0, above_db=15, confidence=0.9), sieve.keep("Thank you.", 1.0, above_db=3)
    ('Thank you.', '')
    """

    def __init__(self) -> None:
        self._last: deque[str] = deque(maxlen=_SAME_IN_A_ROW)
        self.dropped = 0

    def keep(self, text: str, length_s: float, *, above_db: float, confidence: float | None = None) -> str:
        """The text without loops, or nothing where nobody said it.

        Args:
            length_s: of the sound it stands for.
            above_db: how far the voice lay above the room.
            confidence: of the recogniser, in [0, 1]; None where it gives none.
        """
        kept = self._kept(unicodedata.normalize("NFC", text).strip(), length_s, above_db, confidence)
        self.dropped += bool(text.strip()) and not kept
        return kept

    def _kept(self, text: str, length_s: float, above_db: float, confidence: float | None) -> str:
        if not text or _MARKED.match(text):
            return ""
        unlooped = _LOOP.sub(r"\1", _WORD_LOOP.sub(r"\1", text)).strip()
        bare = _OTHER.sub("", unlooped).lower()
        if not bare:
            return ""
        is_weak = above_db < FAINT_DB or (confidence is not None and confidence < UNSURE)
        if _CREDIT.fullmatch(bare) or (is_weak and _FILLER.fullmatch(bare)):
            return ""
        if len(bare) > _LETTERS_A_SECOND * max(length_s, 0.5):
            return ""
        is_again = len(self._last) == _SAME_IN_A_ROW and set(self._last) == {bare}
        self._last.append(bare)
        return "" if is_again and len(bare) >= _LONG else unlooped
