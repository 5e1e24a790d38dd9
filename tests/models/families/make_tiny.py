"""Write tiny random checkpoints and what `transformers` says about them. Run as a script, in a process of its own.

    python make_tiny.py FOLDER

Every checkpoint is a folder `NAME/` holding what a user would have (safetensors with its JSON files, or one GGUF file)
and beside it `NAME.npz` with `ids` (n,), `logits` and `rounded` (n, vocab). Weights come from fixed seeds.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AttentionInterface,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCAB = 288
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
SHAPE = {
    "vocab_size": VOCAB, "hidden_size": 96, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.15, "eos_token_id": 256,
    "bos_token_id": 256, "pad_token_id": None,
}  # fmt: skip
IDS = np.random.default_rng(5).integers(0, 256, size=61).astype(np.int32)


def build(kind: str, seed: int, **changes: Any) -> Any:
    """A random network whose biases and norms are not the zeros and ones `transformers` starts with."""
    torch.manual_seed(seed)
    config, network = {
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
        "qwen3": (Qwen3Config, Qwen3ForCausalLM),
        "llama": (LlamaConfig, LlamaForCausalLM),
    }[kind]
    model = network(config(**{**SHAPE, **changes})).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(".bias"):
                weight.normal_(0, 0.3)
            if "norm" in name:
                weight.uniform_(0.5, 1.5)
    return model


def vocabulary() -> list[str]:
    """256 bytes in the GPT-2 alphabet, the special tokens, and unused ones up to VOCAB."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return alphabet + SPECIAL + [f"<|unused{n}|>" for n in range(VOCAB - 256 - len(SPECIAL))]


def rounded_attention(
    module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float, **_: Any
) -> tuple[Any, None]:
    """Attention as the kernels define it: what is multiplied is bfloat16, what is added is not."""

    def rounded(x: Any) -> Any:
        return x.to(torch.bfloat16).to(torch.float32)

    shared = module.num_key_value_groups
    key, value = (rounded(one).repeat_interleave(shared, dim=1) for one in (key, value))
    scores = rounded(query) @ key.transpose(2, 3) * scaling
    hidden = torch.triu(torch.ones(scores.shape[-2:], dtype=torch.bool), diagonal=1)
    scores = scores.masked_fill(hidden, float("-inf"))
    powers = rounded(torch.exp(scores - scores.amax(dim=-1, keepdim=True)))
    return (powers @ value / powers.sum(dim=-1, keepdim=True)).transpose(1, 2).contiguous(), None


AttentionInterface.register("rounded", rounded_attention)


def answer(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Logits of the network in float32, and of the same with the attention that the kernels define."""
    found = {}
    for name, attention in (("rounded", "rounded"), ("logits", "eager")):
        model.set_attn_implementation(attention)
        with torch.inference_mode():
            found[name] = model(torch.from_numpy(IDS.astype(np.int64))[None]).logits[0].float().numpy()
    return found


def save_folder(model: Any, folder: Path, kind: torch.dtype = torch.float32) -> None:
    """A Hugging Face folder whose weights are stored as `kind`; the reference answers with them, in float32."""
    copy.deepcopy(model).to(kind).save_pretrained(folder)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.to(kind).float())
    words = vocabulary()
    tokenizer = Tokenizer(models.BPE(vocab={word: n for n, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(words[256:])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"eos_token": SPECIAL[0], "chat_template": TEMPLATE, "tokenizer_class": "PreTrainedTokenizerFast"})
    )
    np.savez(folder.with_suffix(".npz"), ids=IDS, **answer(model))


GGUF_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


def gguf_name(name: str) -> str:
    stem, kind = name.rsplit(".", 1)
    if stem.startswith("model.layers."):
        _, _, number, rest = stem.split(".", 3)
        return f"blk.{number}.{GGUF_NAMES[rest]}.{kind}"
    return f"{GGUF_NAMES[stem]}.{kind}"


def interleave(weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Row order of a llama GGUF: rotation partners side by side instead of half a head apart."""
    return weight.reshape(heads, 2, -1, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


# Of a super-block: bytes, where its scale is, and how large that is for weights of about 0.15.
SUPER_BLOCKS = {"Q4_K": (144, 0, 1e-3), "Q5_K": (176, 0, 5e-4), "Q6_K": (210, 208, 1.1e-4)}


def quantised(values: np.ndarray[Any, Any], kind: gguf.GGMLQuantizationType) -> np.ndarray[Any, Any]:
    """The bytes of a matrix. The gguf package writes no super-blocks: those are random ones, which are weights as good
    as any, and the reference reads them back from the bytes like all others."""
    if kind.name not in SUPER_BLOCKS:
        return gguf.quants.quantize(values, kind)
    size, at, scale = SUPER_BLOCKS[kind.name]
    random = np.random.default_rng(int(np.abs(values).sum()))
    blocks = random.integers(0, 256, (values.shape[0], values.shape[1] // 256, size), dtype=np.uint8)
    # A minimum of 7.5 (15.5) steps puts the middle of 16 (32) levels at zero.
    numbers = {"Q4_K": [scale, 7.5 * scale], "Q5_K": [scale, 15.5 * scale]}.get(kind.name, [scale])
    blocks[..., at : at + 2 * len(numbers)] = np.array(numbers, np.float16).view(np.uint8)
    return blocks.reshape(values.shape[0], -1)


def save_gguf(model: Any, folder: Path, *kinds: gguf.GGMLQuantizationType) -> None:
    """One GGUF file, kinds dealt out in turn; the reference answers with the weights rounded as the file has them."""
    folder.mkdir(parents=True, exist_ok=True)
    config, arch = model.config, model.config.model_type
    writer = gguf.GGUFWriter(folder / f"{folder.name}.gguf", arch)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm" if arch == "llama" else "qwen2")
    writer.add_token_list(vocabulary())
    writer.add_token_types([1] * 256 + [3] * (VOCAB - 256))
    writer.add_token_merges([])
    writer.add_eos_token_id(256)
    writer.add_chat_template(TEMPLATE)
    tied = config.tie_word_embeddings
    rounded: dict[str, torch.Tensor] = {}
    for number, (name, weight) in enumerate(model.state_dict().items()):
        kind = kinds[number % len(kinds)]
        if name == "lm_head.weight" and tied:
            continue
        values = weight.numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2], 0)
        turned = heads > 0 and arch == "llama"
        stored = interleave(values, heads) if turned else values
        if values.ndim == 2:
            packed = quantised(stored, kind)
            restored = gguf.quants.dequantize(packed, kind).astype(np.float32)
            writer.add_tensor(gguf_name(name), packed, raw_dtype=kind)
        else:
            restored = stored
            writer.add_tensor(gguf_name(name), np.ascontiguousarray(stored))
        if turned:
            restored = restored.reshape(heads, -1, 2, *restored.shape[1:]).swapaxes(1, 2).reshape(values.shape)
        rounded[name] = torch.from_numpy(np.array(restored))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if tied:
        rounded["lm_head.weight"] = rounded["model.embed_tokens.weight"]
    model.load_state_dict(rounded)
    np.savez(folder.with_suffix(".npz"), ids=IDS, **answer(model))


def main(out: Path) -> None:
    kinds = gguf.GGMLQuantizationType
    save_folder(build("qwen2", 1, tie_word_embeddings=True), out / "qwen2-tied")
    save_folder(build("qwen2", 2, tie_word_embeddings=False), out / "qwen2-untied")
    # Qwen2.5 keeps the architecture and moves the base of the rotation.
    turning = {"rope_type": "default", "rope_theta": 1_000_000.0}
    save_folder(build("qwen2", 3, tie_word_embeddings=False, rope_parameters=turning), out / "qwen25-untied")
    save_folder(build("qwen2", 4, num_key_value_heads=6), out / "qwen2-all-heads")
    save_folder(build("qwen2", 13, tie_word_embeddings=True), out / "qwen2-float16", torch.float16)
    save_folder(build("qwen2", 14, tie_word_embeddings=True), out / "qwen2-bfloat16", torch.bfloat16)
    save_folder(build("llama", 5, tie_word_embeddings=False), out / "llama-untied")
    save_folder(build("llama", 6, tie_word_embeddings=True, head_dim=32), out / "llama-wide-heads")
    save_gguf(build("qwen2", 7, tie_word_embeddings=True), out / "qwen2-f32", kinds.F32)
    save_gguf(build("qwen2", 8, tie_word_embeddings=False), out / "qwen2-f16", kinds.F16)
    save_gguf(build("llama", 9, tie_word_embeddings=True), out / "llama-f32", kinds.F32)
    save_gguf(build("llama", 10, tie_word_embeddings=False), out / "llama-q8_0", kinds.Q8_0)
    save_gguf(build("llama", 11, tie_word_embeddings=True), out / "llama-q4_0", kinds.Q4_0)
    save_gguf(build("qwen2", 12, tie_word_embeddings=True), out / "qwen2-q4_1", kinds.Q4_1)
    odd = {"hidden_size": 72, "intermediate_size": 100, "vocab_size": VOCAB + 3}
    save_folder(build("qwen2", 15, tie_word_embeddings=True, **odd), out / "qwen2-odd-sizes")
    wide = {"hidden_size": 192, "num_hidden_layers": 2}
    save_gguf(build("llama", 16, tie_word_embeddings=True, **wide), out / "llama-q4_1-wide", kinds.Q4_1)
    mixture = (kinds.Q8_0, kinds.F16, kinds.Q4_0, kinds.F32, kinds.Q4_1)
    save_gguf(build("llama", 17, tie_word_embeddings=False, **wide), out / "llama-mixed", *mixture)
    save_folder(build("qwen3", 18, tie_word_embeddings=True, head_dim=32), out / "qwen3-tied")
    save_folder(build("qwen3", 19, tie_word_embeddings=False, head_dim=16), out / "qwen3-untied", torch.bfloat16)
    save_gguf(build("qwen3", 20, tie_word_embeddings=True, head_dim=32), out / "qwen3-f32", kinds.F32)
    save_gguf(build("qwen3", 21, tie_word_embeddings=False, head_dim=64), out / "qwen3-q8_0", kinds.Q8_0)
    whole = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_hidden_layers": 2}
    for seed, one in enumerate((kinds.Q4_K, kinds.Q5_K, kinds.Q6_K)):
        model = build("llama", 22 + seed, tie_word_embeddings=True, **whole)
        save_gguf(model, out / f"llama-{one.name.lower()}", one)
    # As files called Q4_K_M are: several super-blocks, and blocks of 32 where the width has none.
    mixture = (kinds.Q4_K, kinds.Q6_K, kinds.Q5_0, kinds.Q4_K, kinds.Q5_K, kinds.Q8_0, kinds.BF16, kinds.Q5_1)
    save_gguf(build("qwen2", 25, tie_word_embeddings=False, **whole), out / "qwen2-k-mixed", *mixture)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
