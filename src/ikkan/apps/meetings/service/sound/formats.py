"""Sound of many formats, read block by block: libsndfile first, ffmpeg for what it does not know, where that is there.

A day of sound takes no more memory than ten seconds of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.hearing import RATE
from ikkan.apps.meetings.rules.transcripts.sound import sound as codec_of
from ikkan.ground.errors import BadFile, MissingPackage, UnsupportedFormat

UNDERSTOOD = "wav, flac, ogg (Vorbis, Opus), mp3, aiff and caf"
MOST_S = 24 * 3600.0
"""A recording is at most a day."""
_BLOCK_S = 10
_MOST_CHANNELS = 16
_DEMUXERS = {"MP4 or M4A": "mov", "AAC": "aac", "AMR": "amr", "WebM or Matroska": "matroska", "Windows Media": "asf"}
"""What ffmpeg is let at, each by name: its guess could take a file for a playlist that names other files."""
_HOW = "ffmpeg -i meeting.xyz -ac 1 -ar 16000 meeting.flac makes one of them"

Block = NDArray[np.float32]


class Sound(Protocol):
    """Sound that is open."""

    rate: int
    channels: int
    length_s: float | None
    """None where only its end will tell."""

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        """The sound from `start_s`, float32 `(samples, channels)`, ten seconds at a time."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def open_sound(file: BinaryIO, filename: str, *, is_pcm: bool = False) -> Sound:
    """Open sound of any format that can be read here.

    Args:
        file: seekable; stays open as long as the sound.
        filename: its ending helps where the first bytes say nothing.
        is_pcm: it has no header and is 16-bit mono at 16,000 a second.

    Raises:
        UnsupportedFormat: nobody here knows the codec; says which are known and how to convert.
        BadFile: it is damaged, empty or longer than a day.
    """
    soundfile = _package()
    head = file.read(512)
    file.seek(0)
    ending = filename.rpartition(".")[2].lower() if "." in filename else ""
    codec = "PCM" if is_pcm else codec_of(head, ending) or "no sound that is known"
    raw = {"samplerate": RATE, "channels": 1, "format": "RAW", "subtype": "PCM_16"} if is_pcm else {}
    try:
        opened = soundfile.SoundFile(file, **raw)
    except (soundfile.LibsndfileError, TypeError):
        file.seek(0)
        return _by_ffmpeg(file, codec)
    if opened.frames <= 0 or not 0 < opened.samplerate <= 768_000 or opened.channels > _MOST_CHANNELS:
        opened.close()
        raise BadFile("there is no sound in this file", hint=f"record it again; {UNDERSTOOD} are read")
    _check_length(opened.frames / opened.samplerate)
    return _Sndfile(opened)


class _Sndfile:
    def __init__(self, opened: Any) -> None:
        self._opened = opened
        self.rate: int = opened.samplerate
        self.channels: int = opened.channels
        self.length_s: float | None = opened.frames / opened.samplerate

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        import soundfile

        try:
            self._opened.seek(min(round(start_s * self.rate), self._opened.frames))
            while len(block := self._opened.read(self.rate * _BLOCK_S, dtype="float32", always_2d=True)):
                yield np.nan_to_num(block, copy=False)
        except soundfile.LibsndfileError as exc:
            raise BadFile("the sound is damaged", hint="export it again from where it was recorded") from exc

    def close(self) -> None:
        self._opened.close()


class _Ffmpeg:
    """What ffmpeg makes of a file, through a pipe. The file lies open on disk while it is read, and no longer."""

    rate, channels = RATE, 1
    length_s: float | None = None

    def __init__(self, program: str, file: BinaryIO, demuxer: str, codec: str) -> None:
        self._program, self._demuxer, self._codec = program, demuxer, codec
        self._folder = tempfile.TemporaryDirectory(prefix="ikkan-sound-")
        self._path = Path(self._folder.name) / "sound"
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        command = [
            self._program, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", "-f", self._demuxer,
            "-ss", f"{start_s:.3f}", "-i", str(self._path), "-vn", "-sn", "-dn", "-ac", "1", "-ar", str(RATE),
            "-f", "s16le", "pipe:1",
        ]  # fmt: skip
        total = 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            try:
                while data := _read_full(process.stdout, RATE * 2 * _BLOCK_S):
                    total += len(data) // 2
                    _check_length(total / RATE)
                    samples = np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2")
                    yield (samples.astype(np.float32) / np.float32(32_768))[:, None]
            finally:
                # Whoever stops early leaves it writing into a pipe that nobody reads.
                with contextlib.suppress(ProcessLookupError):
                    process.kill() if process.poll() is None and total == 0 else process.terminate()
                process.stdout.close()
        if total == 0 and start_s == 0:
            raise UnsupportedFormat(
                f"this is {self._codec}, and ffmpeg finds no sound in it",
                hint=f"{UNDERSTOOD} are read; {_HOW}",
                codec=self._codec,
            )

    def close(self) -> None:
        self._folder.cleanup()


def _by_ffmpeg(file: BinaryIO, codec: str) -> Sound:
    program, demuxer = shutil.which("ffmpeg"), _DEMUXERS.get(codec)
    if program is None or demuxer is None:
        more = f", and {', '.join(sorted(_DEMUXERS))} where ffmpeg is installed" if program is None else ""
        raise UnsupportedFormat(
            f"this is {codec}, which cannot be decoded here",
            hint=f"{UNDERSTOOD} are read{more}; {_HOW}. Or bring the transcript of your meeting tool.",
            codec=codec,
        )
    return _Ffmpeg(program, file, demuxer, codec)


def _check_length(length_s: float) -> None:
    if length_s > MOST_S:
        raise BadFile("a recording is at most 24 hours long", hint="cut it into meetings")


def _read_full(pipe: IO[bytes], many: int) -> bytes:
    data = pipe.read(many)
    return data or b""


def _package() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as exc:
        raise MissingPackage("reading sound takes the package soundfile", hint="pip install soundfile") from exc
    return soundfile
