"""The forward pass computes what `transformers` computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from ikkan.models.values import Decoder

from .conftest import Tiny

EXACT = [
    "qwen2-tied", "qwen2-untied", "qwen25-untied", "qwen2-all-heads", "qwen2-float16", "qwen2-bfloat16", "qwen2-f32",
    "qwen2-f16", "llama-untied", "llama-wide-heads", "llama-f32", "qwen2-odd-sizes", "qwen3-tied", "qwen3-untied",
    "qwen3-f32",
]  # fmt: skip
ROUNDED = [
    "llama-q8_0", "llama-q4_0", "qwen2-q4_1", "llama-q4_1-wide", "llama-mixed", "llama-q4_k",
    "llama-q5_k", "llama-q6_k", "qwen2-k-mixed", "qwen3-q8_0",
]  # fmt: skip


def whole(decoder: Decoder, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    positions = np.arange(len(ids), dtype=np.int32)
    return decoder.forward(ids, np.zeros_like(ids), positions, decoder.new_cache(1, len(ids)), positions)


@pytest.mark.parametrize("name", EXACT)
def test_logits_of_unrounded_weights_are_those_of_transformers(
    name: str, tiny: Callable[[str], Tiny], tiny_decoder: Callable[[str], Decoder]
) -> None:
    got = whole(tiny_decoder(name), tiny(name).ids)
    error = np.abs(got - tiny(name).rounded)
    # Where two float32 sums fall on different sides of a bfloat16's middle, a share changes by 1/256 of itself.
    assert np.median(error) < 5e-4
    assert error.max() < 0.02
    plain = np.abs(got - tiny(name).logits)  # what bfloat16 in attention costs, beside float32 throughout
    assert plain.mean() < 0.01 * tiny(name).logits.std()


@pytest.mark.parametrize("name", ROUNDED)
def test_logits_of_rounded_weights_stay_close(
    name: str, tiny: Callable[[str], Tiny], tiny_decoder: Callable[[str], Decoder], parity: ModuleType
) -> None:
    # The reference has the same weights and the same attention; only activations are rounded, to 12 bits.
    got = whole(tiny_decoder(name), tiny(name).ids)
    rows = parity.compare(tiny(name).rounded, got)
    error, spread = np.abs(got - tiny(name).rounded), tiny(name).rounded.std()
    assert error.mean() < 0.01 * spread
    assert np.quantile(error, 0.99) < 0.1 * spread
    assert np.median(rows["kl"]) < 1e-4 * spread**2
    assert rows["margin"][~rows["agree"]].max(initial=0.0) < 0.1 * spread


@pytest.mark.weights
@pytest.mark.parametrize("as_prompt", [False, True], ids=["answer", "prompt"])
def test_smollm2_reads_real_text_as_transformers_does(
    as_prompt: bool, smollm: Path, smollm_decoder: Decoder, parity: ModuleType
) -> None:
    found = parity.measure(smollm_decoder, parity.reference(smollm), as_prompt=as_prompt)
    assert found.tokens >= 512
    assert found.top1 >= 0.97
    assert found.mean_kl <= 0.005
    assert found.widest_disputed_margin < found.median_margin
