"""A decoder's vectors are those of `transformers`, pooled either way; its likelihoods are those of its logits."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.families.conftest import once

from ikkan.engine.scoring import Pooling, Scorer
from ikkan.engine.values import HeldAdapter
from ikkan.models.adapters import read_adapter
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.families import load_decoder

NAMES = ["qwen2", "llama", "llama-gguf-f32"]


@dataclass
class AtOnce:
    """An engine that computes errands where it is asked."""

    context_tokens: int = 64
    slots_in_use: int = 1

    def status(self) -> Any:
        return self

    def call(self, errand: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(errand())
        return future


@dataclass(frozen=True)
class Reference:
    scorer: Scorer
    ids: list[int]
    said: dict[str, Any]
    adapter: HeldAdapter


@pytest.fixture(params=NAMES)
def reference(request: pytest.FixtureRequest) -> Reference:
    folder = once("make_adapters.py", "adapted", "{out}", beside=importlib.metadata.version("peft"))
    path: Path = folder / request.param
    gguf = path / f"{request.param}.gguf"
    with open_checkpoint(gguf if gguf.exists() else path) as checkpoint:
        decoder = load_decoder(checkpoint, threads=2)
    number = decoder.load_adapter(read_adapter(folder / f"{request.param}.all", decoder.config))
    with np.load(folder / f"{request.param}.npz") as kept:
        said = {key: kept[key] for key in kept.files}
    scorer = Scorer(AtOnce(), decoder)  # type: ignore[arg-type]
    return Reference(scorer, said["ids"].tolist(), said, HeldAdapter(number, "all"))


async def stays() -> bool:
    return False


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_pooled_states_are_those_of_transformers(pooling: Pooling, reference: Reference) -> None:
    texts = [reference.ids, reference.ids[:9]]
    got = asyncio.run(reference.scorer.vectors(texts, pooling, stays))
    for vector, text in zip(got, texts, strict=True):
        states = reference.said["hidden"][: len(text)].astype(np.float64)
        wanted = states[-1] if pooling == "last" else states.mean(0)
        assert abs(np.linalg.norm(vector) - 1) < 1e-5
        assert vector @ wanted / np.linalg.norm(wanted) >= 0.9999


@pytest.mark.parametrize("which", ["base", "all"])
def test_likelihoods_are_those_of_peft_and_transformers(which: str, reference: Reference) -> None:
    held = reference.adapter if which == "all" else None
    ids, logits = reference.ids, reference.said[which].astype(np.float64)
    after = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
    after -= logits.max(1, keepdims=True)
    wanted = [after[place - 1, ids[place]] for place in range(20, len(ids))]
    (found,) = asyncio.run(reference.scorer.continuations(ids[:20], [ids[20:]], stays, adapter=held))
    assert np.abs(np.subtract(found.logprobs, wanted)).mean() < 0.01
    given = asyncio.run(reference.scorer.given(ids, 0, stays, adapter=held))
    assert np.abs(np.subtract([one.logprob for one in given[19:]], wanted)).mean() < 0.01
