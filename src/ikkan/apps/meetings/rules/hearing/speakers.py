"""Who speaks when, where the sound itself says so: a microphone for each person, or what a diariser heard.

Labels are anonymous and people rename them on the page. No voiceprint is made or kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FRAME_S = 0.1
_SMOOTH = 5
"""Frames on either side that a frame asks who speaks."""
_LOUDER_DB = 4.0
"""A person's own microphone hears them so much better than the others'."""
_OWN_SHARE = 0.6
"""Of the frames with sound, how many must have one channel that stands out: else it is one mix, recorded in stereo."""
_SILENT = 1e-6
_MEET_S = 0.5
"""Turns so close meet in the middle."""
_LABELS = {"ja": "話者{number}", "en": "Speaker {number}", "zh": "说话人{number}"}


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch in which one voice speaks."""

    start_s: float
    end_s: float
    speaker: str


def labelled(number: int, language: str) -> str:
    """What an unknown voice is called until somebody names it.

    >>> labelled(2, "ja"), labelled(1, "en")
    ('話者2', 'Speaker 1')
    """
    return _LABELS.get(language, _LABELS["en"]).format(number=number)


def speaker_at(turns: Sequence[Turn], start_s: float, end_s: float) -> str:
    """Whose turn most of a stretch is; nobody's where there are no turns."""
    shares: dict[str, float] = {}
    for turn in turns:
        both = min(end_s, turn.end_s) - max(start_s, turn.start_s)
        if both > 0:
            shares[turn.speaker] = shares.get(turn.speaker, 0.0) + both
    return max(shares, key=lambda speaker: shares[speaker]) if shares else ""


class Loudest:
    """Tells people apart by whose channel is loudest, where each has one. Fed block by block, small for any length.

    >>> loudest, each = Loudest(16_000), np.zeros((32_000, 2), dtype=np.float32)
    >>> each[:16_000, 0], each[16_000:, 1] = 0.5, 0.5
    >>> loudest.feed(each)
    >>> [(turn.start_s, turn.end_s, turn.speaker) for turn in loudest.turns("en")]
    [(0.0, 1.0, 'Speaker 1'), (1.0, 2.0, 'Speaker 2')]
    """

    def __init__(self, rate: int) -> None:
        self._size = max(1, round(rate * _FRAME_S))
        self._rest: NDArray[np.float32] | None = None
        self._power: list[NDArray[np.float32]] = []

    def feed(self, block: NDArray[np.float32]) -> None:
        """Listen on. `block` is `(samples, channels)`."""
        whole = block if self._rest is None else np.concatenate([self._rest, block])
        many = len(whole) // self._size
        self._rest = whole[many * self._size :].copy()
        cut = whole[: many * self._size].reshape(many, self._size, whole.shape[1])
        self._power.append(np.mean(cut.astype(np.float32) ** 2, axis=1))

    def turns(self, language: str) -> list[Turn]:
        """Who spoke when; empty where all channels hear the same room."""
        power = np.concatenate(self._power) if self._power else np.zeros((0, 1), dtype=np.float32)
        if power.shape[0] == 0 or power.shape[1] < 2:
            return []
        smooth = np.stack([np.convolve(each, np.ones(_SMOOTH) / _SMOOTH, mode="same") for each in power.T], axis=1)
        ordered = np.sort(smooth, axis=1)
        sounds = ordered[:, -1] > _SILENT
        stands_out = ordered[:, -1] > ordered[:, -2] * 10 ** (_LOUDER_DB / 10)
        if not sounds.any() or np.mean(stands_out[sounds]) < _OWN_SHARE:
            return []
        loudest = np.where(sounds & stands_out, np.argmax(smooth, axis=1), -1)
        turns: list[Turn] = []
        numbers: dict[int, int] = {}
        for place, channel in enumerate(loudest.tolist()):
            if channel < 0:
                continue  # whoever spoke last goes on through the pause
            speaker = labelled(numbers.setdefault(channel, len(numbers) + 1), language)
            start_s, end_s = place * _FRAME_S, (place + 1) * _FRAME_S
            if turns and turns[-1].speaker == speaker:
                turns[-1] = Turn(turns[-1].start_s, round(end_s, 3), speaker)
                continue
            if turns and start_s - turns[-1].end_s < _MEET_S:
                start_s = (turns[-1].end_s + start_s) / 2
                turns[-1] = Turn(turns[-1].start_s, round(start_s, 3), turns[-1].speaker)
            turns.append(Turn(round(start_s, 3), round(end_s, 3), speaker))
        return turns
