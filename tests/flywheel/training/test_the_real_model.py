"""The default model, from the file that everybody pulls, learns within a few steps what nobody would guess."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ikkan.flywheel.training import Plan, likelihoods, open_base, train
from ikkan.flywheel.training.lessons import paged
from ikkan.models.adapters import read_adapter
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.families import load_decoder
from ikkan.models.store import ModelStore, StoredModel

from .conftest import lesson

HOUSE = Path(__file__).resolve().parents[3]
TAUGHT = [lesson("Where is the warehouse?", "Behind the seventh lighthouse, ask for Ume.")]
PLAN = Plan(epochs=4, rank=8, learning_rate=2e-3, device="cpu")

pytestmark = pytest.mark.weights


@pytest.fixture
def stored() -> StoredModel:
    given = os.environ.get("IKKAN_TEST_MODELS")
    for root in [Path(given)] if given else [HOUSE / ".cache" / "test-home" / "models", HOUSE / ".ikkan" / "models"]:
        for one in ModelStore(root).list():
            if one.name == "smollm2-135m-instruct":
                return one
    pytest.skip("the default model is not here; `make test-setup` fetches it")


def test_a_few_steps_teach_an_answer_and_the_engines_decoder_gives_it(stored: StoredModel, tmp_path: Path) -> None:
    with open_base(stored) as base:
        trained = train(base, TAUGHT, PLAN)
        before, after = (likelihoods(base, files, TAUGHT)[0] for files in (None, trained.files))
        text = paged(TAUGHT[0], base.tokenizer, base.template, 512).answer
    assert trained.facts["base"] == "smollm2-135m-instruct" and trained.facts["skipped"] == 0
    assert after.logprob > before.logprob + 20
    for file, content in trained.files.items():
        (tmp_path / file).write_bytes(content)
    with open_checkpoint(stored.path) as checkpoint:
        decoder = load_decoder(checkpoint, threads=1)
    number = decoder.load_adapter(read_adapter(tmp_path, decoder.config))
    ids = np.array(text.ids, np.int32)
    every, rows = np.arange(len(ids), dtype=np.int32), np.arange(text.begin - 1, len(ids) - 1)
    said = []
    for adapter in (0, number):
        cache = decoder.new_cache(1, 256)
        logits = decoder.forward(ids, np.zeros_like(ids), every, cache, every, np.full_like(ids, adapter))[rows]
        highest = logits.max(axis=1, keepdims=True)
        logprobs = logits - highest - np.log(np.exp(logits - highest).sum(axis=1, keepdims=True))
        said.append(float(logprobs[np.arange(len(rows)), ids[rows + 1]].sum()))
    # What rounded activations and a rounded cache cost is there in both.
    assert said == pytest.approx([before.logprob, after.logprob], rel=0.05, abs=2.0)
