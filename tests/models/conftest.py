"""Where the default models are, and small files of every kind written on the spot."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from ikkan.models.checkpoint import Checkpoint, open_checkpoint

from .gguf_writer import Entry, Gguf, Raw

HOUSE = Path(__file__).resolve().parents[2]


def find(name: str) -> Path:
    """Where `make test` or `make setup` put a default model, or skip the test."""
    roots = [HOUSE / ".cache" / "test-home" / "models", HOUSE / ".ikkan" / "models", Path.home() / ".ikkan" / "models"]
    given = os.environ.get("IKKAN_TEST_MODELS")
    for root in [Path(given), *roots] if given else roots:
        for found in sorted(root.rglob(name)) if root.is_dir() else []:
            return found
    pytest.skip(f"{name} is not here; `make test` fetches it")


@pytest.fixture(scope="session")
def smollm_path() -> Path:
    return find("SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="session")
def minilm_path() -> Path:
    return find("sentence_bert_config.json").parent


@pytest.fixture(scope="session")
def smollm(smollm_path: Path) -> Iterator[Checkpoint]:
    with open_checkpoint(smollm_path) as checkpoint:
        yield checkpoint


ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_gguf(arch: str = "llama", **changes: Any) -> Gguf:
    """A complete model of one layer whose parts a test may spoil before writing it."""
    tokens = [*ALPHABET, "he", "ll", *SPECIAL]
    vocab, hidden, inner = len(tokens), 32, 64
    sizes = {
        "attn_q": (hidden, hidden),
        "attn_k": (16, hidden),
        "attn_v": (16, hidden),
        "attn_output": (hidden, hidden),
    }
    sizes |= {"ffn_gate": (inner, hidden), "ffn_up": (inner, hidden), "ffn_down": (hidden, inner)}
    entries: dict[str, Entry] = {
        "general.architecture": ("string", arch),
        f"{arch}.block_count": ("uint32", 1),
        f"{arch}.context_length": ("uint32", 128),
        f"{arch}.embedding_length": ("uint32", hidden),
        f"{arch}.feed_forward_length": ("uint32", inner),
        f"{arch}.attention.head_count": ("uint32", 4),
        f"{arch}.attention.head_count_kv": ("uint32", 2),
        f"{arch}.attention.layer_norm_rms_epsilon": ("float32", 1e-5),
        f"{arch}.rope.freq_base": ("float32", 10_000.0),
        "tokenizer.ggml.model": ("string", "gpt2"),
        "tokenizer.ggml.pre": ("string", "smollm"),
        "tokenizer.ggml.tokens": ("[string]", tokens),
        "tokenizer.ggml.token_type": ("[int32]", [1] * (vocab - 3) + [3] * 3),
        "tokenizer.ggml.merges": ("[string]", ["h e", "l l"]),
        "tokenizer.ggml.eos_token_id": ("uint32", vocab - 3),
        "tokenizer.ggml.bos_token_id": ("uint32", vocab - 2),
        "tokenizer.chat_template": ("string", TEMPLATE),
        **changes,
    }
    random = np.random.default_rng(1)
    tensors = [
        Raw("token_embd.weight", "F32", random.normal(size=(vocab, hidden)).astype(np.float32)),
        Raw("output_norm.weight", "F32", np.ones(hidden, np.float32)),
        *(Raw(f"blk.0.{norm}.weight", "F32", np.ones(hidden, np.float32)) for norm in ("attn_norm", "ffn_norm")),
        *(
            Raw(f"blk.0.{name}.weight", "F32", random.normal(size=size).astype(np.float32))
            for name, size in sizes.items()
        ),
    ]
    return Gguf({key: entry for key, entry in entries.items() if entry is not None}, tensors)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes, str], Path]:
    """`written(content, "model.gguf")`: a file of this content."""

    def write(content: bytes, name: str = "model.gguf") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def tiny_tokenizer() -> Tokenizer:
    words = [*ALPHABET, "he", "ll"]
    inner = Tokenizer(models.BPE(vocab={word: n for n, word in enumerate(words)}, merges=[("h", "e"), ("l", "l")]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in SPECIAL])
    return inner


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """`folder(hidden_size=48)`: a Hugging Face folder of a one-layer qwen2, its config changed."""

    def make(**changes: Any) -> Path:
        from safetensors.numpy import save_file

        made = tmp_path / "tiny-qwen2"
        made.mkdir(exist_ok=True)
        config = {
            "model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4,
            "vocab_size": 288, "num_key_value_heads": 2, "intermediate_size": 64, "max_position_embeddings": 128,
            "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": True, "rope_theta": 1_000_000.0,
            "eos_token_id": 258, **changes,
        }  # fmt: skip
        (made / "config.json").write_text(json.dumps(config))
        tiny_tokenizer().save(str(made / "tokenizer.json"))
        (made / "tokenizer_config.json").write_text(
            json.dumps({"eos_token": "<|im_end|>", "bos_token": None, "chat_template": TEMPLATE})
        )
        layer = "model.layers.0"
        sizes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (288, 32), "model.norm.weight": (32,)}
        sizes |= {f"{layer}.{norm}_layernorm.weight": (32,) for norm in ("input", "post_attention")}
        sizes |= {
            f"{layer}.self_attn.{one}_proj.weight": (rows, 32)
            for one, rows in {"q": 32, "k": 16, "v": 16, "o": 32}.items()
        }
        sizes |= {f"{layer}.self_attn.{one}_proj.bias": (rows,) for one, rows in {"q": 32, "k": 16, "v": 16}.items()}
        sizes |= {
            f"{layer}.mlp.{one}_proj.weight": size
            for one, size in {"gate": (64, 32), "up": (64, 32), "down": (32, 64)}.items()
        }
        random = np.random.default_rng(2)
        save_file(
            {name: random.normal(size=size).astype(np.float32) for name, size in sizes.items()},
            made / "model.safetensors",
        )
        return made

    return make
