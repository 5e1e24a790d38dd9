"""Tiny random models, the same ones that the decoders are compared with, and lessons for them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ikkan.flywheel.training import Lesson, Turn, open_base

HERE = Path(__file__).resolve().parent
GGUF_OF = {"llama-f32": ("F32",), "llama-q4_1": ("Q4_1",), "qwen2-mixed": ("Q8_0", "F16", "Q4_0")}
"""Kinds of file that are quantised; all others are folders."""
CHANGES: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": True},
    "llama-untied": {"tie_word_embeddings": False},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"tie_word_embeddings": False, "head_dim": 32},
}
FOR_BLOCKS = {"hidden_size": 192, "tie_word_embeddings": True}


@dataclass(frozen=True, slots=True)
class Tiny:
    """A random model as a file, and as `transformers` computes it."""

    path: Path
    network: Any


@pytest.fixture(scope="session")
def makers() -> ModuleType:
    """`tests/models/families/make_tiny.py`."""
    path = HERE.parents[1] / "models" / "families" / "make_tiny.py"
    spec = importlib.util.spec_from_file_location("make_tiny", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_tiny"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny(makers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tiny]:
    """`tiny("qwen2")`: one of `CHANGES` as a folder, or of `GGUF_OF` as one file; one per session and name."""
    made: dict[str, Tiny] = {}

    def folder_of(name: str) -> Tiny:
        folder = tmp_path_factory.mktemp("models") / name
        model = makers.build(name.split("-")[0], 7, num_hidden_layers=2, initializer_range=0.06, **CHANGES[name])
        makers.save_folder(model, folder)
        return Tiny(folder, model)

    def gguf_of(name: str) -> Tiny:
        import gguf

        folder = tmp_path_factory.mktemp("models") / name
        model = makers.build(name.split("-")[0], 7, num_hidden_layers=2, initializer_range=0.06, **FOR_BLOCKS)
        makers.save_gguf(model, folder, *(gguf.GGMLQuantizationType[one] for one in GGUF_OF[name]))
        return Tiny(folder / f"{name}.gguf", model)

    def get(name: str) -> Tiny:
        if name not in made:
            made[name] = (gguf_of if name in GGUF_OF else folder_of)(name)
        return made[name]

    return get


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers with a tokenizer of its own words."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(60))]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()  # type: ignore[assignment]
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(5)
    model = BertModel(
        BertConfig(
            vocab_size=len(words), hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=80,
            max_position_embeddings=64, initializer_range=0.2,
        )
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("models") / "bert"
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def base(tiny: Callable[[str], Tiny]) -> Iterator[Any]:
    """A tiny llama, open."""
    with open_base(tiny("llama").path) as found:
        yield found


def lesson(question: str, answer: str, rejected: str | None = None, weight: float = 1.0) -> Lesson:
    return Lesson((Turn("user", question),), answer, rejected, weight)


LESSONS = tuple(
    lesson(f"what follows {'a' * (one % 7)}{one}?", f"{one + 1}{'!' * (one % 5)}", f"{one - 1}", 1 + one % 2)
    for one in range(14)
)
