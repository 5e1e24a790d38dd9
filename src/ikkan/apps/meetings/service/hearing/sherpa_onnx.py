"""sherpa-onnx: SenseVoice, Paraformer, Whisper and zipformers on this processor, from a folder the operator fills.

    pip install sherpa-onnx
    <home>/models/hearing/sherpa-onnx/<folder of a released model>/

What a folder holds says what it is: `encoder`, `decoder` and `joiner` are a transducer (ReazonSpeech for Japanese),
`encoder` and `decoder` are Whisper, one `model` is SenseVoice or Paraformer by the folder's name. Speakers are told
apart by `segmentation.onnx` and `embedding.onnx` in `<home>/models/hearing/speakers/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ikkan.apps.meetings.rules.hearing import RATE, Turn, Window, labelled
from ikkan.apps.meetings.service.hearing.contract import Heard
from ikkan.ground.errors import BadInput, MissingPackage, SetupNeeded

_MOST_DIARISED_S = 2 * 3600
"""The diariser wants the whole recording in memory: 460 MB at this length."""


class SherpaOnnx:
    """A model that sherpa-onnx runs."""

    name = "sherpa-onnx"
    languages: frozenset[str] = frozenset()

    def __init__(self, folder: Path, threads: int = 2) -> None:
        self._folder = folder
        self._threads = threads
        self._made: dict[str, Any] = {}

    def transcribe(self, windows: Iterable[Window], language: str | None) -> Iterator[Heard]:
        recogniser = self._loaded(language or "")
        for window in windows:
            stream = recogniser.create_stream()
            stream.accept_waveform(RATE, window.samples)
            recogniser.decode_stream(stream)
            result = stream.result
            text = str(result.text).strip()
            if text:
                sure = _confidence(getattr(result, "ys_log_probs", None))
                yield Heard(window.start_s, window.end_s, text, sure, window.speaker, window.above_db)

    def _loaded(self, language: str) -> Any:
        # Only Whisper and SenseVoice are told the language; making a recogniser takes seconds, so each is kept.
        if language not in self._made:
            self._made[language] = _recogniser(model_folder(self._folder), self._threads, language)
        return self._made[language]


class SherpaSpeakers:
    """Voices told apart by sherpa-onnx's segmentation and clustering. Nothing of a voice is kept."""

    name = "sherpa-onnx"

    def __init__(self, folder: Path, threads: int = 2) -> None:
        self._folder = folder
        self._threads = threads

    def turns(self, samples: Iterable[Window], language: str) -> list[Turn]:
        pieces, length_s = [], 0.0
        for piece in samples:
            pieces.append(piece.samples)
            length_s = piece.end_s
            if length_s > _MOST_DIARISED_S:
                return []
        found = self._diariser().process(np.concatenate(pieces)).sort_by_start_time() if pieces else []
        numbers: dict[int, int] = {}
        return [
            Turn(turn.start, turn.end, labelled(numbers.setdefault(turn.speaker, len(numbers) + 1), language))
            for turn in found
        ]

    def _diariser(self) -> Any:
        sherpa = _package()
        segmentation, embedding = self._folder / "segmentation.onnx", self._folder / "embedding.onnx"
        if not segmentation.is_file() or not embedding.is_file():
            raise SetupNeeded(
                "telling voices apart takes two models",
                hint=f"put segmentation.onnx (pyannote 3.0) and embedding.onnx (a speaker model) into {self._folder}",
            )
        return sherpa.OfflineSpeakerDiarization(
            sherpa.OfflineSpeakerDiarizationConfig(
                segmentation=sherpa.OfflineSpeakerSegmentationModelConfig(
                    pyannote=sherpa.OfflineSpeakerSegmentationPyannoteModelConfig(model=str(segmentation)),
                    num_threads=self._threads,
                ),
                embedding=sherpa.SpeakerEmbeddingExtractorConfig(model=str(embedding), num_threads=self._threads),
                clustering=sherpa.FastClusteringConfig(num_clusters=-1, threshold=0.5),
                min_duration_on=0.3,
                min_duration_off=0.5,
            )
        )


def model_folder(folder: Path) -> Path:
    """The folder with the model's files: this one, or the first in it.

    Raises:
        SetupNeeded: there is none.
    """
    for each in [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]:
        if (each / "tokens.txt").is_file() or any(each.glob("*-tokens.txt")):
            return each
    raise SetupNeeded(
        "sherpa-onnx has no model here",
        hint=f"unpack a released model (SenseVoice hears ja, en and zh) into {folder}: docs/meetings.md",
    )


def _recogniser(folder: Path, threads: int, language: str) -> Any:
    sherpa = _package()
    tokens = str(next(iter([*folder.glob("tokens.txt"), *folder.glob("*-tokens.txt")])))
    encoder, decoder, joiner, model = (_one(folder, part) for part in ("encoder", "decoder", "joiner", "model"))
    make = sherpa.OfflineRecognizer
    if encoder and decoder and joiner:
        return make.from_transducer(encoder=encoder, decoder=decoder, joiner=joiner, tokens=tokens, num_threads=threads)
    if encoder and decoder:
        return make.from_whisper(
            encoder=encoder, decoder=decoder, tokens=tokens, num_threads=threads, language=language
        )
    if model and "paraformer" in folder.name.lower():
        return make.from_paraformer(paraformer=model, tokens=tokens, num_threads=threads)
    if model and "sense" in folder.name.lower():
        return make.from_sense_voice(
            model=model, tokens=tokens, num_threads=threads, language=language or "auto", use_itn=True
        )
    raise BadInput(
        f"{folder.name} holds no model of a kind that is known here",
        hint="a folder of SenseVoice, Paraformer, Whisper or a transducer, under its released name",
    )


def _one(folder: Path, part: str) -> str | None:
    """A part's file, the int8 one first: half the memory, the same words."""
    found = sorted(folder.glob(f"*{part}*.onnx"), key=lambda path: ("int8" not in path.name, path.name))
    return str(found[0]) if found else None


def _confidence(log_probs: Any) -> float | None:
    values = np.asarray(log_probs if log_probs is not None else [], dtype=np.float64)
    return float(np.exp(values.mean())) if values.size else None


def _package() -> Any:
    try:
        import sherpa_onnx
    except ImportError as exc:
        raise MissingPackage(
            "this takes the package sherpa-onnx", hint="pip install sherpa-onnx, and a model's folder: docs/meetings.md"
        ) from exc
    return sherpa_onnx
