"""References that `transformers` computed in processes of their own, kept under ~/.cache/ikkan-tests."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.families import load_decoder
from ikkan.models.store import ModelStore
from ikkan.models.values import Decoder

HERE = Path(__file__).resolve().parent
HOUSE = HERE.parents[2]
CACHE = Path.home() / ".cache" / "ikkan-tests"
THREADS = 2


def once(script: str, name: str, *arguments: str, beside: str = "") -> Path:
    """What `script` wrote under `name`, made now if it or the libraries it uses have changed."""
    versions = [importlib.metadata.version(package) for package in ("torch", "transformers", "gguf")]
    key = hashlib.sha256(b"|".join([(HERE / script).read_bytes(), *map(str.encode, [*versions, beside])])).hexdigest()
    made = CACHE / f"{name}-{key[:16]}"
    if not made.exists():
        partial = made.with_name(f"{made.name}.{os.getpid()}.part")  # two runs may make it at the same time
        partial.mkdir(parents=True)
        command = [sys.executable, str(HERE / script), *(part.format(out=partial) for part in arguments)]
        subprocess.run(command, check=True, capture_output=True)
        with contextlib.suppress(OSError):
            partial.replace(made)
        shutil.rmtree(partial, ignore_errors=True)
    return made


def find_weights(name: str) -> Path:
    """A default model's file in the store that `make test` or `make up` filled, or skip the test."""
    given = os.environ.get("IKKAN_TEST_MODELS")
    homes = [HOUSE / ".cache" / "test-home", HOUSE / ".ikkan", Path.home() / ".ikkan"]
    for root in [Path(given)] if given else [home / "models" for home in homes]:
        if name in {stored.name for stored in ModelStore(root).list()}:
            return ModelStore(root).resolve(name)
    pytest.skip(f"{name} is not here; `make test-setup` fetches it")


@dataclass(frozen=True, slots=True)
class Tiny:
    """One tiny checkpoint and the reference's logits after each of `ids`."""

    path: Path
    ids: NDArray[np.int32]
    logits: NDArray[np.float32]
    rounded: NDArray[np.float32]
    """The same from attention as the kernels define it, with bfloat16 products."""


@pytest.fixture(scope="session")
def tiny() -> Callable[[str], Tiny]:
    """`tiny("qwen2-tied")`: a checkpoint that `make_tiny.py` wrote."""
    folder = once("make_tiny.py", "tiny", "{out}")

    def get(name: str) -> Tiny:
        gguf = folder / name / f"{name}.gguf"
        with np.load(folder / f"{name}.npz") as kept:
            return Tiny(gguf if gguf.exists() else folder / name, kept["ids"], kept["logits"], kept["rounded"])

    return get


@pytest.fixture(scope="session")
def tiny_decoder(tiny: Callable[[str], Tiny]) -> Callable[[str], Decoder]:
    """`tiny_decoder("qwen2-tied")`: the same checkpoint, loaded by us; one per session and name."""
    loaded: dict[str, Decoder] = {}

    def get(name: str) -> Decoder:
        if name not in loaded:
            loaded[name] = load_decoder(open_checkpoint(tiny(name).path), threads=THREADS)
        return loaded[name]

    return get


@pytest.fixture
def tampered(tiny: Callable[[str], Tiny], tmp_path: Path) -> Callable[..., Path]:
    """`tampered("qwen2-tied", hidden_size=95)`: a copy of a checkpoint folder whose config says something else."""

    def change(name: str, **fields: Any) -> Path:
        copy = tmp_path / name
        shutil.copytree(tiny(name).path, copy)
        config = json.loads((copy / "config.json").read_text("utf-8"))
        (copy / "config.json").write_text(json.dumps({**config, **fields}), "utf-8")
        return copy

    return change


@pytest.fixture(scope="session")
def smollm() -> Path:
    return find_weights("smollm2-135m-instruct")


@pytest.fixture(scope="session")
def smollm_decoder(smollm: Path) -> Iterator[Decoder]:
    yield load_decoder(open_checkpoint(smollm), threads=THREADS)


@pytest.fixture(scope="session")
def parity() -> ModuleType:
    """`benchmarks/parity.py`: the same figures that the benchmark prints."""
    spec = importlib.util.spec_from_file_location("parity", HOUSE / "benchmarks" / "parity.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True, slots=True)
class Sentences:
    """An encoder's folder, token ids of some sentences, and the reference's embeddings of them."""

    path: Path
    ids: list[list[int]]
    embeddings: NDArray[np.float32]


def _sentences(path: Path, kept: Path) -> Sentences:
    with np.load(kept) as arrays:
        return Sentences(path, json.loads(str(arrays["ids"])), arrays["embeddings"])


@pytest.fixture(scope="session")
def minilm() -> Sentences:
    weights = find_weights("all-minilm-l6-v2")
    folder = weights if weights.is_dir() else weights.parent
    made = once("make_embeddings.py", "minilm", str(folder), "{out}/sentences.npz", beside=str(folder))
    return _sentences(folder, made / "sentences.npz")


@pytest.fixture(scope="session")
def tiny_bert() -> Sentences:
    made = once("make_embeddings.py", "bert", "--tiny", "{out}/model", "{out}/sentences.npz")
    return _sentences(made / "model", made / "sentences.npz")
