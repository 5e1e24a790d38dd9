"""Speech and noise for tests: said by espeak-ng where it is installed, else tones in the rhythm of speech."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave

import numpy as np
import pytest
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.hearing import RATE, Resampler

Samples = NDArray[np.float32]


def quiet(length_s: float, level: float = 1e-3, seed: int = 1) -> Samples:
    """A room in which nobody speaks."""
    return np.random.default_rng(seed).normal(0, level, round(length_s * RATE)).astype(np.float32)


def babble(length_s: float, hertz: float = 170.0) -> Samples:
    """A tone with overtones that comes and goes four times a second, as syllables do."""
    at = np.arange(round(length_s * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * hertz * n * at) / n for n in range(1, 12))
    return (0.15 * voice * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * at))).astype(np.float32)


def said(text: str, voice: str = "en-us") -> Samples:
    """Synthetic speech; skips the test where there is no synthesiser."""
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("no speech synthesiser on this machine: apt-get install espeak-ng (make setup does)")
    made = subprocess.run([program, "-v", voice, "-s", "140", "--stdout", text], check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(made)) as file:
        rate, frames = file.getframerate(), file.readframes(1 << 30)
    samples = np.frombuffer(frames[: len(frames) // 2 * 2], dtype="<i2").astype(np.float32) / 32_768
    resampler = Resampler(rate)
    return np.concatenate([resampler.feed(samples), resampler.end()])


def pcm(samples: Samples) -> bytes:
    """16-bit samples without a header."""
    return (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()


def wav(samples: Samples, rate: int = RATE) -> bytes:
    """A WAV file of one channel, or of several where samples are `(n, channels)`."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm(samples))
    return held.getvalue()


def talk(*lengths_s: float, gap_s: float = 1.5, start_s: float = 1.5) -> Samples:
    """Stretches of babble with room between them."""
    parts = [quiet(start_s)]
    for length_s in lengths_s:
        parts += [babble(length_s) + quiet(length_s), quiet(gap_s)]
    return np.concatenate(parts)
