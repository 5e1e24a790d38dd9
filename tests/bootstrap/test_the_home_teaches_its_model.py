"""This home's chat model learns, judges and writes in the process that learns; in the one that serves it only asks."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ikkan.bootstrap.teaching import HomeChatModel, home_chat_model
from ikkan.flywheel.training import Lesson, Plan, Turn
from ikkan.ground.errors import SetupNeeded
from ikkan.ground.settings import Settings
from ikkan.models.adapters import CONFIG, WEIGHTS
from ikkan.models.store import ModelStore

ASKED = [(Turn("user", "Where?"),), (Turn("user", "When?"),)]
LESSONS = [Lesson(turns, "Here, dear.") for turns in ASKED]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model's folder."""
    pytest.importorskip("torch", reason="training is not installed: pip install 'ikkan[train]'")
    path = Path(__file__).parents[1] / "models" / "families" / "make_tiny.py"
    spec = importlib.util.spec_from_file_location("make_tiny_for_bootstrap", path)
    assert spec is not None and spec.loader is not None
    makers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(makers)
    folder = tmp_path_factory.mktemp("models") / "llama"
    makers.save_folder(makers.build("llama", 7, num_hidden_layers=2, tie_word_embeddings=True), folder)
    return folder


@pytest.fixture
def store(tiny: Path, settings: Settings) -> ModelStore:
    made = ModelStore(settings.models_dir)
    made.set_alias("default", made.pull(str(tiny), "tiny").name)
    return made


def test_a_home_without_a_chat_model_has_nothing_to_teach(settings: Settings) -> None:
    empty = ModelStore(settings.models_dir)
    assert home_chat_model(empty, settings) is None
    with pytest.raises(SetupNeeded, match="no chat model"):
        _ = HomeChatModel(empty, settings).digest


def test_what_is_taught_becomes_likelier_and_is_written_with_the_adapter(store: ModelStore, settings: Settings) -> None:
    home = HomeChatModel(store, settings)
    assert (home.name, home.digest) == ("tiny", store.get("tiny").sha256)
    before = home.likelihoods(None, LESSONS, max_tokens=64)
    plan = Plan(epochs=12, batch=2, learning_rate=2e-2, rank=4, max_tokens=64)
    made, again = home.train(LESSONS, plan), home.train(LESSONS, plan)
    assert made.files == again.files and set(made.files) == {CONFIG, WEIGHTS}
    after = home.likelihoods(made.files, LESSONS, max_tokens=64)
    assert all(now.per_token > then.per_token + 1.0 for now, then in zip(after, before, strict=True))
    plain, taught = home.write(None, ASKED, max_tokens=12), home.write(made.files, ASKED, max_tokens=12)
    assert len(plain) == len(taught) == 2 and list(plain) != list(taught)
    assert list(taught) == list(home.write(made.files, ASKED, max_tokens=12)), "greedily, so the same again"


class Engine(BaseHTTPRequestHandler):
    """Answers with the name of the model it was asked for, and remembers what it loaded."""

    loaded: list[str] = []
    unloaded: list[str] = []

    def do_GET(self) -> None:
        self._reply({})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/load_lora_adapter":
            self.loaded.append((Path(body["lora_path"]) / WEIGHTS).read_text())
        elif self.path == "/v1/unload_lora_adapter":
            self.unloaded.append(body["lora_name"])
        told = f"{body.get('model', '').partition(':')[0]}: {body.get('messages', [{}])[-1].get('content')}"
        self._reply({"choices": [{"message": {"content": told}}]})

    def _reply(self, told: Any) -> None:
        content = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def engine() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_serving_process_has_the_running_engine_write(store: ModelStore, settings: Settings, engine: str) -> None:
    home = HomeChatModel(store, replace(settings, engine_url=engine), is_serving=True)
    assert home.write(None, ASKED, max_tokens=8) == ["default: Where?", "default: When?"]
    files = {CONFIG: b"{}", WEIGHTS: b"numbers"}
    assert home.write(files, ASKED[:1], max_tokens=8) == ["tuned: Where?"]
    assert Engine.loaded == ["numbers"] and len(Engine.unloaded) == 1


def test_a_serving_process_writes_nothing_where_no_engine_runs(store: ModelStore, settings: Settings) -> None:
    home = HomeChatModel(store, replace(settings, engine_url="http://127.0.0.1:9"), is_serving=True)
    assert home.write(None, ASKED, max_tokens=8) == ["", ""]
