"""Which recogniser this home has, and what it would take to have one."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ikkan.apps.meetings.service.hearing.contract import Diariser, Transcriber
from ikkan.apps.meetings.service.hearing.endpoint import Endpoint
from ikkan.apps.meetings.service.hearing.faster_whisper import FasterWhisper, whisper_folder
from ikkan.apps.meetings.service.hearing.pocketsphinx import PocketSphinx
from ikkan.apps.meetings.service.hearing.sherpa_onnx import SherpaOnnx, SherpaSpeakers, model_folder
from ikkan.ground.errors import BadInput, SetupNeeded
from ikkan.ground.settings import Settings

BACKENDS = ("sherpa-onnx", "faster-whisper", "endpoint", "pocketsphinx")
"""Best first: how `auto` chooses among what is set up."""
DEMO = frozenset({"pocketsphinx"})
"""Shown to work, not to be relied on; pages say so."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What pages say of the recogniser."""

    name: str
    """Empty: none is set up."""
    languages: frozenset[str]
    is_demo: bool


class Ears:
    """The recogniser of a home, made when first asked for.

    Args:
        make: the recogniser; raises `SetupNeeded` where there is none.
        diariser: tells voices apart, where somebody set it up.
    """

    def __init__(self, make: Callable[[], Transcriber], diariser: Diariser | None = None) -> None:
        self._make = make
        self._made: Transcriber | None = None
        self.diariser = diariser

    def transcriber(self, language: str | None) -> Transcriber:
        """The recogniser, for this language.

        Raises:
            SetupNeeded: none is set up.
            BadInput: the one that is does not hear this language.
        """
        if self._made is None:
            self._made = self._make()
        hears = self._made.languages
        if hears and language not in hears:
            known = {"en": "English", "ja": "Japanese", "zh": "Chinese"}
            raise BadInput(
                f"the recogniser that is set up here ({self._made.name}) hears "
                f"{', '.join(known.get(each, each) for each in sorted(hears))} only",
                hint="choose the meeting's language if it is one of these; else set up sherpa-onnx: docs/meetings.md",
                param="language",
            )
        return self._made

    def told(self) -> Hearing:
        """What there is, for pages; loads no model."""
        try:
            made = self._made = self._made or self._make()
        except SetupNeeded:
            return Hearing("", frozenset(), False)
        return Hearing(made.name, made.languages, made.name in DEMO)


def ears(settings: Settings, secret_of: Callable[[str], str | None]) -> Ears:
    """The recogniser that settings name; `auto`: the best that is set up."""
    folder = settings.models_dir / "hearing"
    speakers = folder / "speakers"
    has_speakers = (speakers / "segmentation.onnx").is_file()
    return Ears(
        lambda: chosen(settings, folder, secret_of),
        SherpaSpeakers(speakers, settings.engine_threads) if has_speakers else None,
    )


def chosen(settings: Settings, folder: Path, secret_of: Callable[[str], str | None]) -> Transcriber:
    """Make the recogniser that settings name.

    Raises:
        SetupNeeded: there is none, or the one that is named lacks something.
    """
    threads = settings.engine_threads
    ready: dict[str, Callable[[], Transcriber]] = {
        "sherpa-onnx": lambda: SherpaOnnx(folder / "sherpa-onnx", threads),
        "faster-whisper": lambda: FasterWhisper(folder / "faster-whisper", threads),
        "endpoint": lambda: Endpoint(settings.hearing_url, settings.hearing_model, settings.hearing_key_env, secret_of),
        "pocketsphinx": PocketSphinx,
    }
    if settings.hearing in ready:
        if settings.hearing == "endpoint" and not settings.hearing_url:
            raise SetupNeeded("no address is set", hint="IKKAN_HEARING_URL=http://127.0.0.1:8000/v1")
        return ready[settings.hearing]()
    if settings.hearing == "auto":
        for name in BACKENDS:
            if _is_ready(name, folder, settings.hearing_url):
                return ready[name]()
    raise SetupNeeded(
        "no recogniser of speech is set up here",
        hint="pip install 'ikkan[asr]' hears English (demo grade); sherpa-onnx with a model's folder hears Japanese, "
        "Chinese and English: docs/meetings.md. Or bring the transcript of your meeting tool.",
    )


def _is_ready(name: str, folder: Path, url: str) -> bool:
    if name == "endpoint":
        return bool(url)
    package = {"sherpa-onnx": "sherpa_onnx", "faster-whisper": "faster_whisper", "pocketsphinx": "pocketsphinx"}[name]
    if importlib.util.find_spec(package) is None:
        return False
    find = {"sherpa-onnx": model_folder, "faster-whisper": whisper_folder}.get(name)
    if find is None:
        return True
    try:
        find(folder / name)
    except SetupNeeded:
        return False
    return True
