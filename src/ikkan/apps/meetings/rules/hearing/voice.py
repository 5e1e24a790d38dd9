"""Where somebody speaks: sixteen bands of each 20 ms against a floor that follows the room.

A frame is voice while the bands lie well above their floors on average; two thresholds keep a word's quiet middle
together, and padding keeps its edges. A steady hum or hiss becomes floor and is voice no longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
"""Samples a second, here and for every recogniser."""
HOP = 320
FRAME = 512
HOP_S = HOP / RATE
_BANDS = 16
_LOW_HZ, _HIGH_HZ = 150.0, 3_800.0
_CEILING_DB = 20.0
"""What one band can add: a click in one band is no voice."""
_STAYS_SHARE = 0.6
"""Of the threshold that begins a voice, what keeps it."""
_SMOOTH = 6
"""Frames whose power is averaged: noise flickers, voices last."""
_QUIET_UP_DB, _QUIET_DOWN_DB = 0.4, 0.4
"""How far a frame moves the floors while nobody speaks: they settle at the middle of the noise."""
_VOICE_UP_DB, _VOICE_DOWN_DB = 0.04, 0.15
"""The same while somebody does: 2 dB a second up, so that a noise that stays is floor at last."""
_SETTLES_FRAMES = 50
"""The first floor is the quiet of the first second: somebody may speak in it already."""
_QUIET_PERCENTILE = 20
_SILENCE_DB = -75.0
"""Below it there is nothing to hear, whatever the floor."""

_LEAST_POWER = 2.5e-5
"""Of a band: what such a silence has. A floor never sinks below it where a tool sends nothing at all."""

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of voice, in seconds from the beginning of the sound."""

    start_s: float
    end_s: float
    above_db: float
    """How far its voice lay above the room on average: small for what is faint."""


class VoiceFinder:
    """Finds stretches of voice in sound that comes in pieces of any size.

    Args:
        on_db: how far above the floor a voice begins, averaged over the bands.
        pad_s: kept before and after.
        least_s: anything shorter is a knock, not a word.
        hangs_s: a pause as short belongs to the voice around it.

    >>> finder, quiet = VoiceFinder(), np.random.default_rng(1).normal(0, 1e-3, RATE).astype(np.float32)
    >>> tone = np.sin(np.arange(RATE) * 2 * np.pi * 300 / RATE).astype(np.float32) / 4
    >>> spans = [*finder.feed(np.concatenate([quiet, tone + quiet, quiet])), *finder.end()]
    >>> [(round(span.start_s, 1), round(span.end_s, 1)) for span in spans]
    [(0.8, 2.3)]
    """

    def __init__(
        self,
        *,
        on_db: float = 3.5,
        pad_s: float = 0.2,
        least_s: float = 0.14,
        hangs_s: float = 0.5,
        start_s: float = 0.0,
    ) -> None:
        self._on_db, self._off_db = on_db, on_db * _STAYS_SHARE
        self._pad_s, self._least_s = pad_s, least_s
        self._hangs = round(hangs_s / HOP_S)
        self._bands = _band_matrix()
        self._window = np.hanning(FRAME).astype(np.float32)
        self._rest = np.zeros(0, dtype=np.float32)
        self._start_s = start_s
        self._frames = 0
        self._floor: NDArray[np.float64] | None = None
        self._power: NDArray[np.float64] | None = None
        self._first: list[tuple[NDArray[np.float64], bool]] = []
        self._run = 0
        self._begun: int | None = None
        self._last = 0
        self._voiced: list[float] = []
        self._ended_s = start_s

    @property
    def open_since_s(self) -> float | None:
        """Where the voice that has not ended yet began; None while nobody speaks."""
        return None if self._begun is None else max(self._ended_s, self._time(self._begun) - self._pad_s)

    @property
    def heard_s(self) -> float:
        """Up to where was listened."""
        return self._time(self._frames)

    def feed(self, samples: Samples) -> Iterator[Span]:
        """Listen on; gives the stretches that ended.

        Args:
            samples: float32 in [-1, 1], mono, 16,000 a second.
        """
        whole = np.concatenate([self._rest, samples])
        count = max(0, (len(whole) - FRAME) // HOP + 1)
        # The copy lets go of what was listened to.
        self._rest = whole[count * HOP :].copy()
        for start in range(0, count, 500):  # ten seconds at a time, so that an hour in one piece needs no more memory
            many = min(500, count - start)
            piece = whole[start * HOP : (start + many - 1) * HOP + FRAME]
            frames = np.lib.stride_tricks.sliding_window_view(piece, FRAME)[::HOP]
            power = np.abs(np.fft.rfft(frames * self._window, axis=1)) ** 2
            levels = 10 * np.log10(self._smoothed(power @ self._bands) + _LEAST_POWER)
            loud = 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-12)
            for level, is_loud in zip(levels, loud > _SILENCE_DB, strict=True):
                if self._floor is None:
                    self._first.append((level, bool(is_loud)))
                    if len(self._first) == _SETTLES_FRAMES:
                        yield from self._settle()
                    continue
                ended = self._step(level, bool(is_loud))
                if ended is not None:
                    yield ended

    def end(self) -> Iterator[Span]:
        """Say that no more comes; gives the stretch that was open."""
        if self._floor is None and self._first:
            yield from self._settle()
        if self._begun is not None:
            ended = self._close()
            if ended is not None:
                yield ended

    def _settle(self) -> Iterator[Span]:
        waited, self._first = self._first, []
        self._floor = np.percentile(np.stack([level for level, _ in waited]), _QUIET_PERCENTILE, axis=0)
        for level, is_loud in waited:
            ended = self._step(level, is_loud)
            if ended is not None:
                yield ended

    def _step(self, level: NDArray[np.float64], is_loud: bool) -> Span | None:
        at, self._frames = self._frames, self._frames + 1
        assert self._floor is not None
        above = level - self._floor
        score = float(np.mean(np.clip(above, 0.0, _CEILING_DB))) if is_loud else 0.0
        up, down = (_QUIET_UP_DB, _QUIET_DOWN_DB) if self._begun is None else (_VOICE_UP_DB, _VOICE_DOWN_DB)
        self._floor = self._floor + np.clip(above, -down, up)
        if self._begun is None:
            self._run = self._run + 1 if score >= self._on_db else 0
            if self._run >= 3:
                self._begun, self._last, self._voiced = at - 2, at, [score] * 3
            return None
        if score >= self._off_db:
            self._last = at
            self._voiced.append(score)
        if at - self._last < self._hangs:
            return None
        return self._close()

    def _smoothed(self, power: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each frame's power with that of the frames before it."""
        before = np.repeat(power[:1], _SMOOTH - 1, axis=0) if self._power is None else self._power
        whole = np.concatenate([before, power])
        self._power = whole[len(whole) - _SMOOTH + 1 :]
        made: NDArray[np.float64] = np.mean(np.lib.stride_tricks.sliding_window_view(whole, _SMOOTH, axis=0), axis=-1)
        return made

    def _close(self) -> Span | None:
        assert self._begun is not None
        begun, voiced = self._begun, self._voiced
        self._begun, self._run, self._voiced = None, 0, []
        end_s = self._time(self._last) + FRAME / RATE
        if end_s - self._time(begun) < self._least_s:
            return None
        start_s = max(self._ended_s, self._time(begun) - self._pad_s)
        self._ended_s = end_s + self._pad_s
        return Span(start_s, self._ended_s, sum(voiced) / len(voiced))

    def _time(self, frame: int) -> float:
        return self._start_s + frame * HOP_S


def _band_matrix() -> NDArray[np.float64]:
    """Which bins of a frame's spectrum make which band: triangles, evenly spaced as an ear hears."""
    bins = np.arange(FRAME // 2 + 1) * RATE / FRAME
    edges = _hertz(np.linspace(_mel(_LOW_HZ), _mel(_HIGH_HZ), _BANDS + 2))
    up = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(up, down), 0.0, None)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return 700 * (10 ** (mel / 2595) - 1)
