"""The default model, served in a process of its own as `ikkan engine serve` does it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import APIError, OpenAI
from tests.models.conftest import find

from .conftest import eventually

pytestmark = pytest.mark.weights

PROGRAM = """
import sys
from pathlib import Path
from ikkan.engine.serve import run
model, embedder, port = sys.argv[1:]
run(Path(model), host="127.0.0.1", port=int(port), threads=2, embedder_path=Path(embedder), names=["small", "default"])
"""
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 40}},
    "required": ["city"],
    "additionalProperties": False,
}
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 30},
        "age": {"type": "integer", "minimum": 1, "maximum": 120},
        "likes": {"type": "array", "items": {"enum": ["tea", "rain", "books"]}, "minItems": 1, "maxItems": 3},
    },
    "required": ["name", "age", "likes"],
    "additionalProperties": False,
}
QUESTION = "What is the capital of France?"


class Process:
    """An engine's process on a free port."""

    def __init__(self, model: Path, embedder: Path, log: Path) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self.log = log
        with log.open("w") as file:
            self.child = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(model), str(embedder), str(self.port)],
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        for _ in range(10):  # kernels that nobody compiled yet take half a minute
            try:
                eventually(self._answers)
                break
            except AssertionError:
                assert self.child.poll() is None, log.read_text()

    def client(self) -> OpenAI:
        return OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key="none", max_retries=0)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            assert self.child.poll() is None, self.log.read_text()
            return False

    def end(self) -> int:
        self.child.terminate()
        return self.child.wait(20)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    model, embedder = find("SmolLM2-135M-Instruct.Q4_1.gguf"), find("sentence_bert_config.json").parent
    one = Process(model, embedder, tmp_path_factory.mktemp("engine") / "log")
    yield one
    one.child.kill()
    one.child.wait(20)


def say(client: OpenAI, text: str = QUESTION, **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    settings = {"temperature": 0, "max_tokens": 40, **more}
    return client.chat.completions.create(model="default", messages=messages, **settings)


def shaped(client: OpenAI, question: str) -> tuple[str, int]:
    """An answer in JSON, and how many tokens it took."""
    reply = client.chat.completions.create(
        model="small",
        messages=[{"role": "user", "content": f"Describe a person named {question}."}],
        temperature=0,
        max_tokens=120,
        extra_body={"guided_json": PERSON},
    )
    assert reply.usage is not None
    return str(reply.choices[0].message.content), reply.usage.completion_tokens


def test_a_shape_is_kept_by_the_model_alone_and_in_company(process: Process) -> None:
    names = ["Hanako", "Taro", "Ivo"]
    with process.client() as client, ThreadPoolExecutor(3) as pool:
        alone = [shaped(client, name) for name in names]
        assert [*pool.map(lambda name: shaped(client, name), names)] == alone
    for text, _ in alone:
        assert set(json.loads(text)) == {"name", "age", "likes"}


def test_a_model_that_was_taught_no_tools_calls_them_when_it_must(process: Process) -> None:
    with process.client() as client:
        reply = client.chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": "What is the weather in Paris?"}],
            temperature=0,
            max_tokens=120,
            tools=[{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}],
            tool_choice="required",
            parallel_tool_calls=False,
        )
    (call,) = reply.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert isinstance(json.loads(call.function.arguments)["city"], str)


def test_it_knows_the_capital_of_france(process: Process) -> None:
    with process.client() as client:
        reply = say(client)
    assert reply.choices[0].message.content == "The capital of France is Paris."
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == "small"


def test_greedy_answers_are_the_same_alone_together_and_with_a_cached_beginning(process: Process) -> None:
    questions = [f"{number} friends meet at a station. " * 4 + "What do they do?" for number in range(2, 8)]
    with process.client() as client, ThreadPoolExecutor(6) as people:
        alone = [say(client, one).choices[0].message.content for one in questions]
        together = list(people.map(lambda one: say(client, one), questions))
    assert [one.choices[0].message.content for one in together] == alone
    assert all(one.usage.prompt_tokens_details.cached_tokens > 0 for one in together)


def test_a_seed_repeats_in_company(process: Process) -> None:
    settings: Any = {"temperature": 1.1, "top_p": 0.9, "seed": 5}
    with process.client() as client, ThreadPoolExecutor(3) as people:
        alone = say(client, **settings).choices[0].message.content
        others = [people.submit(say, client, "Tell me a story.", temperature=1) for _ in range(2)]
        assert say(client, **settings).choices[0].message.content == alone
        assert all(one.result().choices[0].message.content for one in others)


def test_a_stop_text_across_real_tokens_is_never_shown(process: Process) -> None:
    with process.client() as client, say(client, stop=["ance is Par"], stream=True) as stream:
        said = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert said == "The capital of Fr"


def test_streamed_characters_of_other_scripts_are_whole(process: Process) -> None:
    settings: Any = {"temperature": 1.5, "seed": 3, "max_tokens": 80, "stream": True}
    with process.client() as client, say(client, "鉄道について日本語で書いて 🚃", **settings) as stream:
        said = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert said and said.encode().decode() == said


def test_near_texts_have_near_vectors(process: Process) -> None:
    texts = ["Where is my order?", "When will my parcel arrive?", "The cat sat on the mat."]
    with process.client() as client:
        found = client.embeddings.create(model="default-embed", input=texts)
    first, near, far = np.array([one.embedding for one in found.data])
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    assert first @ near > 2 * abs(first @ far)


def test_whoever_streams_while_the_engine_is_ended_is_told_and_it_ends_cleanly(process: Process) -> None:
    with process.client() as client:
        # Eight stories: one alone is told to its end in the moment that answers under way are given.
        stream = say(client, "Tell a long story.", stream=True, n=8, max_tokens=1900, extra_body={"ignore_eos": True})
        next(iter(stream))
        process.child.send_signal(signal.SIGTERM)
        with pytest.raises(APIError, match="stopping"):
            list(stream)
    assert process.child.wait(20) == 0
    assert "long story" not in process.log.read_text()
