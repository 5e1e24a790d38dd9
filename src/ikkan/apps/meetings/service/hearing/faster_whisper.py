"""faster-whisper: Whisper by CTranslate2, on this processor or a GPU, from a folder the operator fills.

pip install faster-whisper
<home>/models/hearing/faster-whisper/<folder with model.bin>/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ikkan.apps.meetings.rules.hearing import Window
from ikkan.apps.meetings.service.hearing.contract import Heard
from ikkan.ground.errors import MissingPackage, SetupNeeded

_NO_SPEECH = 0.6
"""Whisper's own threshold: above it, and unsure of its words, it says that nobody spoke."""
_UNSURE_LOG_PROB = -1.0


class FasterWhisper:
    """A Whisper model that CTranslate2 runs."""

    name = "faster-whisper"
    languages: frozenset[str] = frozenset()

    def __init__(self, folder: Path, threads: int = 2) -> None:
        self._folder = folder
        self._threads = threads
        self._model: Any = None

    def transcribe(self, windows: Iterable[Window], language: str | None) -> Iterator[Heard]:
        model = self._loaded()
        for window in windows:
            # Each window by itself: a text that is carried over is how its loops begin.
            segments, _ = model.transcribe(
                window.samples, language=language, condition_on_previous_text=False, vad_filter=False, beam_size=5
            )
            for segment in segments:
                text = segment.text.strip()
                is_nothing = segment.no_speech_prob > _NO_SPEECH and segment.avg_logprob < _UNSURE_LOG_PROB
                if text and not is_nothing:
                    yield Heard(
                        window.start_s + segment.start,
                        min(window.end_s, window.start_s + segment.end),
                        text,
                        math.exp(min(0.0, segment.avg_logprob)),
                        window.speaker,
                        window.above_db,
                    )

    def _loaded(self) -> Any:
        if self._model is None:
            try:
                from faster_whisper import WhisperModel
            except ImportError as exc:
                raise MissingPackage(
                    "this takes the package faster-whisper",
                    hint="pip install faster-whisper, and a model's folder: docs/meetings.md",
                ) from exc
            self._model = WhisperModel(
                str(whisper_folder(self._folder)), device="auto", compute_type="auto", cpu_threads=self._threads
            )
        return self._model


def whisper_folder(folder: Path) -> Path:
    """The folder with the model's files: this one, or the first in it. Nothing is ever fetched.

    Raises:
        SetupNeeded: there is none.
    """
    for each in [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]:
        if (each / "model.bin").is_file():
            return each
    raise SetupNeeded(
        "faster-whisper has no model here",
        hint=f"put a converted model's folder (model.bin, config.json, tokenizer.json) into {folder}: docs/meetings.md",
    )
