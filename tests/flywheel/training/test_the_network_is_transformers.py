"""What learns here is the network that others know, from whatever file it comes, and so are its adapters."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel

from ikkan.flywheel.training import Plan, likelihoods, open_base, train
from ikkan.flywheel.training.lessons import Text
from ikkan.flywheel.training.tensors import steps
from ikkan.flywheel.training.tensors.files import read
from ikkan.flywheel.training.tensors.network import Batch, no_pairs, pairs_of
from ikkan.models.adapters import read_adapter
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.families import load_decoder
from ikkan.models.template import encode_chat

from .conftest import CHANGES, GGUF_OF, LESSONS, Tiny, lesson

PLAN = Plan(epochs=2, batch=4, rank=4, dtype="float32", device="cpu", learning_rate=5e-3)
TEXTS = [Text(tuple(range(3 + one, 40 + 5 * one)), 1) for one in range(3)]


def theirs(model: torch.nn.Module, texts: list[Text]) -> torch.Tensor:
    """Logits of every position but the last, text after text."""
    with torch.inference_mode():
        return torch.cat([model(torch.tensor([text.ids])).logits[0, :-1] for text in texts])


@pytest.mark.parametrize("name", [*CHANGES, *GGUF_OF])
def test_logits_are_those_of_transformers(name: str, tiny: Callable[[str], Tiny]) -> None:
    one = tiny(name)
    with open_base(one.path) as base, torch.inference_mode():
        network = base.network("float32", "cpu")
        logits = network.hidden(Batch.of(TEXTS, network.device), no_pairs(network)) @ network.head.t()
    torch.testing.assert_close(logits, theirs(one.network, TEXTS), atol=2e-5, rtol=2e-5)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's own
@pytest.mark.parametrize("name", ["llama-untied", "llama-q4_1", "qwen2", "qwen3"])
def test_peft_loads_an_adapter_and_says_the_same(name: str, tiny: Callable[[str], Tiny], tmp_path: Path) -> None:
    one = tiny(name)
    with open_base(one.path) as base:
        trained = train(base, LESSONS, PLAN)
        network = base.network("float32", "cpu")
        with torch.inference_mode():
            pairs = pairs_of(read(trained.files, base.config), network)
            logits = network.hidden(Batch.of(TEXTS, network.device), pairs) @ network.head.t()
    for file, content in trained.files.items():
        (tmp_path / file).write_bytes(content)
    model = PeftModel.from_pretrained(copy.deepcopy(one.network), tmp_path).eval()
    assert (logits - theirs(one.network, TEXTS)).abs().max() > 1e-2
    torch.testing.assert_close(logits, theirs(model, TEXTS), atol=2e-5, rtol=2e-5)


def test_long_texts_take_torchs_own_attention_and_say_the_same(
    tiny: Callable[[str], Tiny], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for kept in (1024, 8):
        monkeypatch.setattr(steps, "SHARES_KEPT", kept)
        results.append(train(tiny("llama").path, LESSONS, replace(PLAN, max_steps=2)).losses)
    assert results[0] == pytest.approx(results[1], abs=1e-5)


@pytest.mark.parametrize("name", ["llama-f32", "qwen2-mixed"])
def test_the_engines_decoder_loads_an_adapter_and_expects_what_was_taught(
    name: str, tiny: Callable[[str], Tiny], tmp_path: Path
) -> None:
    one = tiny(name)
    taught = [lesson("what is it?", "a bird")]
    with open_base(one.path) as base:
        trained = train(base, taught, replace(PLAN, epochs=8))
        before, after = (likelihoods(base, files, taught, dtype="float32")[0] for files in (None, trained.files))
    for file, content in trained.files.items():
        (tmp_path / file).write_bytes(content)
    with open_checkpoint(one.path) as checkpoint:
        decoder = load_decoder(checkpoint, threads=1)
        assert checkpoint.chat_template is not None
        number = decoder.load_adapter(read_adapter(tmp_path, decoder.config))
        asked = encode_chat(
            checkpoint.tokenizer, checkpoint.chat_template, [{"role": "user", "content": "what is it?"}]
        )
        ids = np.array([*asked, *checkpoint.tokenizer.encode("a bird<|im_end|>", special=True)], np.int32)
    said = []
    for adapter in (0, number):
        every = np.arange(len(ids), dtype=np.int32)
        logits = decoder.forward(
            ids, np.zeros_like(ids), every, decoder.new_cache(1, 128), every, np.full_like(ids, adapter)
        )
        logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        rows = np.arange(len(asked) - 1, len(ids) - 1)
        said.append(float(logprobs[rows, ids[rows + 1]].sum()))
    assert after.tokens == len(ids) - len(asked)
    assert said == pytest.approx([before.logprob, after.logprob], rel=0.05)
    assert said[1] > said[0] + 5
