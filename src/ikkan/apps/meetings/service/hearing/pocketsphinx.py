"""PocketSphinx: English only and of demo grade, but it works from packages alone, with no model to fetch.

    pip install 'ikkan[asr]'

Its wheel carries the acoustic model of US English. Expect to recognise what a meeting was about, not what was said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ikkan.apps.meetings.rules.hearing import Window
from ikkan.apps.meetings.service.hearing.contract import Heard
from ikkan.ground.errors import BadInput, MissingPackage

_FRAMES_A_SECOND = 100
_NO_WORDS = ("<s>", "</s>", "<sil>", "[NOISE]", "[SPEECH]", "[COUGH]", "[SMACK]", "[UH]", "[UM]")


class PocketSphinx:
    """English of demo grade, on this machine."""

    name = "pocketsphinx"
    languages = frozenset({"en"})

    def __init__(self) -> None:
        self._decoder: Any = None

    def transcribe(self, windows: Iterable[Window], language: str | None) -> Iterator[Heard]:
        if language != "en":
            raise BadInput(
                "the recogniser that is set up here (pocketsphinx) hears English only",
                hint="say that the meeting is in English; for other languages set up sherpa-onnx: docs/meetings.md",
                param="language",
            )
        for window in windows:
            heard = self._heard(window)
            if heard is not None:
                yield heard

    def _heard(self, window: Window) -> Heard | None:
        decoder = self._loaded()
        pcm = (np.clip(window.samples, -1.0, 1.0) * 32_767).astype("<i2").tobytes()
        if len(pcm) < 3_200:  # a tenth of a second: no frames to search
            return None
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        words = [
            (word.word.partition("(")[0], word.start_frame, word.end_frame, float(word.prob))
            for word in (decoder.seg() or ())
            if not word.word.startswith(("<", "["))
        ]
        words = [word for word in words if word[0] not in _NO_WORDS]
        if not words:
            return None
        text = " ".join(word for word, *_ in words)
        sure = math.exp(sum(math.log(max(chance, 1e-6)) for *_, chance in words) / len(words))
        start_s = window.start_s + words[0][1] / _FRAMES_A_SECOND
        end_s = min(window.end_s, window.start_s + (words[-1][2] + 1) / _FRAMES_A_SECOND)
        return Heard(start_s, end_s, text[:1].upper() + text[1:] + ".", sure, window.speaker, window.above_db)

    def _loaded(self) -> Any:
        if self._decoder is None:
            try:
                import pocketsphinx
            except ImportError as exc:
                raise MissingPackage(
                    "recognising English speech takes the package pocketsphinx", hint="pip install 'ikkan[asr]'"
                ) from exc
            self._decoder = pocketsphinx.Decoder(samprate=16_000, loglevel="FATAL")
        return self._decoder
