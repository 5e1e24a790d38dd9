"""One suite for every recogniser: with its engine faked where the engine cannot be here, for real where it can."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from ikkan.apps.meetings.rules.hearing import RATE, Window
from ikkan.apps.meetings.service.hearing import Transcriber, ears
from ikkan.apps.meetings.service.hearing.endpoint import Endpoint
from ikkan.apps.meetings.service.hearing.fakes import FakeTranscriber
from ikkan.apps.meetings.service.hearing.faster_whisper import FasterWhisper
from ikkan.apps.meetings.service.hearing.pocketsphinx import PocketSphinx
from ikkan.apps.meetings.service.hearing.sherpa_onnx import SherpaOnnx, SherpaSpeakers
from ikkan.ground.errors import (
    BadInput,
    MissingPackage,
    SetupNeeded,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamUnreachable,
)
from ikkan.ground.settings import Settings, load_settings

from .hearing import babble, said


class Server:
    """A recogniser behind an address, in a thread: answers what it is told and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.url = ""
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(20)

    async def _hear(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        plain = {name: value for name, value in form.items() if isinstance(value, str)}
        self.asked.append({**plain, "key": request.headers.get("authorization"), "wav": file.file.read()})
        status, body = self.answers.pop(0) if self.answers else (200, {"text": "Hello there."})
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/v1/audio/transcriptions", self._hear)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"  # type: ignore[attr-defined]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


def fake_sherpa(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """sherpa-onnx as far as we use it; answers with which model was made."""
    made: dict[str, Any] = {}

    class Recogniser:
        def __init__(self, kind: str, options: dict[str, Any]) -> None:
            made.update(kind=kind, **options)

        def create_stream(self) -> Any:
            return SimpleNamespace(accept_waveform=lambda rate, samples: None, result=None)

        def decode_stream(self, stream: Any) -> None:
            stream.result = SimpleNamespace(text=" Hello there. ", ys_log_probs=[-0.1, -0.3])

    kinds = ("from_transducer", "from_whisper", "from_paraformer", "from_sense_voice")
    factory = {kind: staticmethod(lambda _kind=kind, **options: Recogniser(_kind, options)) for kind in kinds}
    module = ModuleType("sherpa_onnx")
    module.OfflineRecognizer = type("OfflineRecognizer", (), factory)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sherpa_onnx", module)
    return made


def sherpa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Transcriber:
    fake_sherpa(monkeypatch)
    folder = tmp_path / "sherpa-onnx-sense-voice-zh-en-ja-ko-yue"
    folder.mkdir()
    for name in ("model.int8.onnx", "tokens.txt"):
        (folder / name).touch()
    return SherpaOnnx(tmp_path)


def whisper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Transcriber:
    module = ModuleType("faster_whisper")

    class WhisperModel:
        def __init__(self, folder: str, **options: Any) -> None:
            assert Path(folder).is_dir()

        def transcribe(self, samples: Any, **options: Any) -> tuple[Any, Any]:
            assert options["condition_on_previous_text"] is False
            length_s = len(samples) / RATE
            spoken = SimpleNamespace(
                start=0.0, end=length_s + 3, text=" Hello there.", no_speech_prob=0.1, avg_logprob=-0.2
            )
            nothing = SimpleNamespace(start=0.0, end=1.0, text=" you", no_speech_prob=0.9, avg_logprob=-1.4)
            return iter([spoken, nothing]), None

    module.WhisperModel = WhisperModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    (tmp_path / "model.bin").touch()
    return FasterWhisper(tmp_path)


def sphinx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Transcriber:
    pytest.importorskip("pocketsphinx", reason="the demo recogniser is missing: pip install 'ikkan[asr]'")
    return PocketSphinx()


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Transcriber:
    return FakeTranscriber(["Hello there."])


MAKERS: dict[str, Callable[[Path, pytest.MonkeyPatch], Transcriber]] = {
    "fake": fake,
    "sherpa-onnx": sherpa,
    "faster-whisper": whisper,
    "pocketsphinx": sphinx,
}


@pytest.fixture(params=[*MAKERS, "endpoint"])
def transcriber(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transcriber]:
    maker = MAKERS.get(request.param)
    yield (
        maker(tmp_path, monkeypatch)
        if maker
        else Endpoint(request.getfixturevalue("server").url, "m", "", lambda name: None)
    )


def test_every_recogniser_keeps_to_the_contract(transcriber: Transcriber) -> None:
    taken: list[float] = []

    def windows() -> Iterator[Window]:
        for start_s in (10.0, 30.0):
            taken.append(start_s)
            yield Window(start_s, babble(1.5), 12.5, "Speaker 2")

    assert [*transcriber.transcribe([], "en")] == []
    heard = []
    for each in transcriber.transcribe(windows(), "en"):
        heard.append(each)
        assert taken[-1] <= each.start_s <= each.end_s <= taken[-1] + 1.5 + 1e-6, "no window is taken ahead of its turn"
        assert each.text == each.text.strip() != ""
        assert each.confidence is None or 0 <= each.confidence <= 1
        assert (each.speaker, each.above_db) == ("Speaker 2", 12.5)
    assert taken == [10.0, 30.0]
    assert [each.start_s for each in heard] == sorted(each.start_s for each in heard)
    assert transcriber.name and transcriber.languages <= {"ja", "en", "zh"}


def test_english_is_recognised_from_packages_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = [*sphinx(tmp_path, monkeypatch).transcribe([Window(0.0, said("hello"), 20.0)], "en")]
    assert heard and heard[0].text.isascii() and heard[0].confidence is not None


def test_the_demo_recogniser_says_that_it_hears_english_only() -> None:
    with pytest.raises(BadInput, match="English only"):
        [*PocketSphinx().transcribe([], "ja")]


@pytest.mark.parametrize(
    ("folder", "files", "kind"),
    [
        (
            "sherpa-onnx-zipformer-ja-reazonspeech",
            ["encoder.int8.onnx", "decoder.onnx", "joiner.onnx"],
            "from_transducer",
        ),
        ("sherpa-onnx-whisper-small", ["small-encoder.onnx", "small-decoder.onnx"], "from_whisper"),
        ("sherpa-onnx-paraformer-zh", ["model.onnx"], "from_paraformer"),
        ("sherpa-onnx-sense-voice", ["model.onnx", "model.int8.onnx"], "from_sense_voice"),
    ],
)
def test_a_folder_says_what_model_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, files: list[str], kind: str
) -> None:
    made = fake_sherpa(monkeypatch)
    (tmp_path / folder).mkdir()
    for name in [*files, "tokens.txt"]:
        (tmp_path / folder / name).touch()
    assert next(SherpaOnnx(tmp_path).transcribe([Window(0.0, babble(1))], "ja")).text == "Hello there."
    assert made["kind"] == kind
    assert "fp32" not in str(made) and made.get("model", "int8").count("int8") == (
        "sense" in folder or "model" not in made
    )


@pytest.mark.parametrize("module", ["sherpa_onnx", "faster_whisper", "pocketsphinx"])
def test_what_is_missing_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]  # makes the import fail
    for name in ("tokens.txt", "model.bin", "segmentation.onnx", "embedding.onnx"):
        (tmp_path / name).touch()
    made: dict[str, Transcriber] = {
        "sherpa_onnx": SherpaOnnx(tmp_path),
        "faster_whisper": FasterWhisper(tmp_path),
        "pocketsphinx": PocketSphinx(),
    }
    with pytest.raises(MissingPackage) as told:
        [*made[module].transcribe([Window(0.0, babble(1))], "en")]
    assert "pip install" in told.value.hint


def test_a_missing_model_says_where_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_sherpa(monkeypatch)
    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=None))  # type: ignore[arg-type]
    for made in (SherpaOnnx(tmp_path), FasterWhisper(tmp_path)):
        with pytest.raises(SetupNeeded) as told:
            [*made.transcribe([Window(0.0, babble(1))], None)]
        assert str(tmp_path) in told.value.hint
    with pytest.raises(SetupNeeded, match="two models"):
        SherpaSpeakers(tmp_path).turns([Window(0.0, babble(1))], "en")


def test_a_servers_segments_and_its_mistakes_are_understood(server: Server) -> None:
    asked = Endpoint(server.url, "whisper-1", "HEARING_KEY", {"HEARING_KEY": "sk-secret"}.get)
    segments = [
        {"start": 0.2, "end": 99.0, "text": " One. ", "avg_logprob": -0.5},
        {"start": "x", "end": None, "text": "Two."},
        {"text": ""},
        "nonsense",
    ]
    server.answers = [(200, {"text": "One. Two.", "segments": segments})]
    one, two = asked.transcribe([Window(5.0, babble(2))], "ja")
    assert (one.text, one.start_s, one.end_s, round(one.confidence or 0, 3)) == ("One.", 5.2, 7.0, 0.607)
    assert (two.text, two.start_s, two.end_s, two.confidence) == ("Two.", 5.0, 7.0, None)
    question = server.asked[0]
    assert (question["language"], question["model"], question["key"]) == ("ja", "whisper-1", "Bearer sk-secret")
    assert question["wav"][:4] == b"RIFF" and len(question["wav"]) == 44 + RATE * 2 * 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [((500, "sk-secret"), UpstreamRejected), ((200, "not json"), UpstreamFailed), ((200, [1]), UpstreamFailed)],
)
def test_a_server_that_fails_is_named_and_not_quoted(server: Server, answer: tuple[int, Any], error: type) -> None:
    server.answers = [answer]
    with pytest.raises(error) as told:
        [*Endpoint(server.url, "m", "", lambda name: None).transcribe([Window(0.0, babble(1))], None)]
    assert "secret" not in str(told.value) and server.url in str(told.value)


def test_nobody_behind_the_address_and_a_key_that_is_not_set() -> None:
    with pytest.raises(UpstreamUnreachable):
        [*Endpoint("http://127.0.0.1:9", "m", "", lambda name: None).transcribe([Window(0.0, babble(1))], None)]
    with pytest.raises(SetupNeeded, match="HEARING_KEY"):
        [*Endpoint("http://127.0.0.1:9", "m", "HEARING_KEY", lambda name: None).transcribe([], None)]


def chosen(settings: Settings, **more: str) -> Settings:
    return load_settings({"IKKAN_HOME": str(settings.home), **more})


def test_the_best_recogniser_that_is_set_up_is_chosen(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"pocketsphinx"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in found or None)
    no_key: Callable[[str], str | None] = lambda name: None  # noqa: E731
    assert ears(settings, no_key).told().name == "pocketsphinx" and ears(settings, no_key).told().is_demo
    with pytest.raises(BadInput, match="English only"):
        ears(settings, no_key).transcriber("ja")
    with_url = chosen(settings, IKKAN_HEARING_URL="http://127.0.0.1:9/v1")
    assert ears(with_url, no_key).told().name == "endpoint"
    found.add("sherpa_onnx")
    assert ears(with_url, no_key).told().name == "endpoint", "a package without a model hears nothing"
    folder = settings.models_dir / "hearing" / "sherpa-onnx" / "sense-voice"
    folder.mkdir(parents=True)
    (folder / "tokens.txt").touch()
    assert ears(with_url, no_key).told().name == "sherpa-onnx"
    assert ears(chosen(settings, IKKAN_HEARING="pocketsphinx"), no_key).told().name == "pocketsphinx"
    off = ears(chosen(settings, IKKAN_HEARING="off"), no_key)
    assert off.told().name == ""
    with pytest.raises(SetupNeeded) as told:
        off.transcriber("ja")
    assert "ikkan[asr]" in told.value.hint
