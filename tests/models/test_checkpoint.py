"""One model is one thing, whichever file it came in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ikkan.ground.errors import BadFile, HostileFile, NotFound, UnsupportedFormat
from ikkan.models import safetensors
from ikkan.models.checkpoint import canonical_name, open_checkpoint
from ikkan.models.values import DecoderConfig, EncoderConfig

from .conftest import ALPHABET, tiny_gguf

Written = Callable[..., Path]
Folder = Callable[..., Path]
DECODER_NAMES = {
    "token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "blk.0.attn_q.weight",
    "blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.0.ffn_gate.weight",
    "blk.0.ffn_up.weight", "blk.0.ffn_down.weight",
}  # fmt: skip
BIASES = {f"blk.0.attn_{one}.bias" for one in "qkv"}


@pytest.mark.weights
def test_the_default_chat_model_is_described_right(smollm_path: Path) -> None:
    with open_checkpoint(smollm_path) as checkpoint:
        assert checkpoint.config == DecoderConfig(
            family="llama", layers=30, hidden=576, heads=9, kv_heads=3, head_dim=64, intermediate=1536, vocab=49152,
            context=8192, rope_theta=100_000.0, rms_eps=float(np.float32(1e-5)), tied_embeddings=True, qkv_bias=False,
            rope_style="interleaved",
        )  # fmt: skip
        assert (checkpoint.source, checkpoint.family) == ("gguf", "llama")
        assert len(checkpoint.names) == 272
        embedding = checkpoint.tensor("token_embd.weight")
        assert (embedding.shape, embedding.format, embedding.raw.nbytes) == ((49152, 576), "Q8_0", 30_081_024)


@pytest.mark.weights
@pytest.mark.parametrize("part", [".", "model.safetensors"])
def test_the_default_embedder_is_described_right(part: str, minilm_path: Path) -> None:
    with open_checkpoint(minilm_path / part) as checkpoint:
        assert checkpoint.config == EncoderConfig("bert", 6, 384, 12, 1536, 30522, 512, 2, 1e-12)
        assert checkpoint.tensor("embeddings.word_embeddings.weight").shape == (30522, 384)
        assert checkpoint.tensor("encoder.layer.5.output.dense.weight").format == "F32"
        assert checkpoint.chat_template is None


def test_gguf_and_folder_use_the_same_names(written: Written, folder: Folder) -> None:
    with open_checkpoint(written(tiny_gguf().content())) as one, open_checkpoint(folder()) as other:
        assert one.names == DECODER_NAMES
        assert other.names == DECODER_NAMES | BIASES
        shapes = {
            name: (one.tensor(name).shape, other.tensor(name).shape)
            for name in ("blk.0.ffn_down.weight", "blk.0.attn_k.weight")
        }
        assert all(mine == theirs for mine, theirs in shapes.values())


@pytest.mark.parametrize(
    ("arch", "style"), [("llama", "interleaved"), ("qwen2", "half_split"), ("qwen3", "half_split")]
)
def test_a_gguf_says_how_its_rotated_rows_stand(arch: str, style: str, written: Written) -> None:
    with open_checkpoint(written(tiny_gguf(arch).content())) as checkpoint:
        assert isinstance(checkpoint.config, DecoderConfig)
        assert checkpoint.config.rope_style == style


def test_a_qwen3_says_the_size_of_its_heads_and_that_they_have_norms(folder: Folder, written: Written) -> None:
    inside = {
        "qwen3.attention.key_length": ("uint32", 16), "qwen3.attention.value_length": ("uint32", 16),
        "tokenizer.ggml.pre": ("string", "qwen2"),
    }  # fmt: skip
    changes = {"model_type": "qwen3", "head_dim": 16, "attention_bias": False, "layer_types": ["full_attention"]}
    for path in (written(tiny_gguf("qwen3", **inside).content()), folder(**changes)):
        with open_checkpoint(path) as checkpoint:
            assert isinstance(checkpoint.config, DecoderConfig)
            config = checkpoint.config
            assert (config.family, config.head_dim, config.hidden, config.heads) == ("qwen3", 16, 32, 4)
            assert (config.qk_norm, config.qkv_bias) == (True, False)
            assert checkpoint.tokenizer.decode(checkpoint.tokenizer.encode("hello")) == "hello"


# What Qwen3's own template asks of whoever reads it: looking back through the turns, slices, methods of texts, a
# namespace, and a word that only some callers say.
THINKS = """{%- set ns = namespace(last=-1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.last < 0 and message.role == "user" and message.content is string
        and not (message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- set thought = '' %}
    {%- if message.role == "assistant" and '</think>' in content %}
        {%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\n' }}
    {%- if thought and loop.index0 > ns.last %}{{- '<think>\n' + thought + '\n</think>\n\n' }}{%- endif %}
    {{- content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}"""


@pytest.mark.parametrize(("said", "end"), [({}, ""), ({"enable_thinking": False}, "<think>\n\n</think>\n\n")])
def test_a_template_that_thinks_is_read(said: dict[str, Any], end: str, written: Written) -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nyes"},
        {"role": "user", "content": "so?"},
    ]
    content = tiny_gguf("qwen3", **{"tokenizer.chat_template": ("string", THINKS)}).content()
    with open_checkpoint(written(content)) as checkpoint:
        assert checkpoint.chat_template is not None
        found = checkpoint.chat_template.render(turns, **said)
    before = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\nso?<|im_end|>\n"
    assert found == f"{before}<|im_start|>assistant\n{end}"


@pytest.mark.parametrize("part", ["q", "k"])
def test_the_norms_of_heads_have_one_name(part: str) -> None:
    assert canonical_name(f"model.layers.7.self_attn.{part}_norm.weight") == f"blk.7.attn_{part}_norm.weight"


def test_rows_in_a_folder_always_stand_half_split(folder: Folder) -> None:
    with open_checkpoint(folder(model_type="llama")) as checkpoint:
        assert isinstance(checkpoint.config, DecoderConfig)
        assert checkpoint.config.rope_style == "half_split"
        assert checkpoint.config.rope_theta == 1_000_000.0


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
        {"rope_parameters": None, "rope_scaling": None, "rope_theta": 5e5},
        {"rope_scaling": {"type": "default"}, "rope_theta": 500_000},
    ],
    ids=str,
)
def test_old_and_new_ways_to_write_the_rotation_are_read(rope: dict[str, Any], folder: Folder) -> None:
    with open_checkpoint(folder(**rope)) as checkpoint:
        assert isinstance(checkpoint.config, DecoderConfig)
        assert checkpoint.config.rope_theta == 500_000.0


@pytest.mark.parametrize(
    "name", ["model.layers.0.unknown.weight", "model.layers.99999.self_attn.q_proj.weight", "lm_head.bias", ""]
)
def test_an_unknown_name_stays_as_it_is(name: str) -> None:
    assert canonical_name(name) == name


def test_a_promised_tensor_that_is_not_there_is_a_named_error(folder: Folder) -> None:
    with open_checkpoint(folder()) as checkpoint, pytest.raises(HostileFile, match=r"blk\.7"):
        checkpoint.tensor("blk.7.attn_q.weight")


def test_shards_are_one_checkpoint(folder: Folder) -> None:
    from safetensors.numpy import load_file, save_file

    path = folder()
    tensors = load_file(path / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, chosen in parts.items():
        save_file({name: tensors[name] for name in chosen}, path / file)
    (path / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {name: file for file, chosen in parts.items() for name in chosen}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.names == DECODER_NAMES | BIASES
        raw = checkpoint.tensor("token_embd.weight").raw
        assert np.array_equal(raw.view(np.float32).reshape(288, 32), tensors["model.embed_tokens.weight"])


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16", "float64"])
def test_floats_of_every_width_are_widened_as_the_reference_does(dtype: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    values = torch.randn(3, 5, dtype=torch.float64).to(getattr(torch, dtype))
    save_file({"w": values}, tmp_path / "x.safetensors")
    with safetensors.read(tmp_path / "x.safetensors") as file:
        assert np.array_equal(file.float32("w"), values.float().numpy())
        with pytest.raises(NotFound):
            file.float32("v")


def test_whole_numbers_are_not_taken_for_weights(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": np.arange(4, dtype=np.int64)}, tmp_path / "x.safetensors")
    with safetensors.read(tmp_path / "x.safetensors") as file, pytest.raises(UnsupportedFormat):
        file.float32("w")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"llama.block_count": ("uint32", 0)}, HostileFile),
        ({"llama.block_count": ("uint32", 2**31)}, HostileFile),
        ({"llama.block_count": ("string", "one")}, HostileFile),
        ({"llama.block_count": None}, HostileFile),
        ({"llama.attention.head_count": ("uint32", 5)}, HostileFile),
        ({"llama.attention.head_count": ("uint32", 0)}, HostileFile),
        ({"llama.attention.head_count_kv": ("uint32", 3)}, HostileFile),
        ({"llama.attention.head_count_kv": ("uint32", 0)}, HostileFile),
        ({"llama.attention.layer_norm_rms_epsilon": ("float32", float("nan"))}, HostileFile),
        ({"llama.rope.freq_base": ("float32", float("inf"))}, HostileFile),
        ({"llama.rope.freq_base": ("float32", -1.0)}, HostileFile),
        ({"llama.rope.scaling.type": ("string", "yarn")}, UnsupportedFormat),
        ({"llama.rope.dimension_count": ("uint32", 4)}, UnsupportedFormat),
        ({"llama.expert_count": ("uint32", 8)}, UnsupportedFormat),
        ({"general.architecture": ("string", "mamba")}, UnsupportedFormat),
        ({"general.architecture": ("uint32", 1)}, HostileFile),
        ({"tokenizer.ggml.tokens": ("[string]", [str(n) for n in range(999)])}, HostileFile),
    ],
    ids=str,
)
def test_a_gguf_that_contradicts_itself_is_refused(
    changes: dict[str, Any], error: type[BadFile], written: Written
) -> None:
    with pytest.raises(error):
        open_checkpoint(written(tiny_gguf(**changes).content()))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"hidden_size": 33}, HostileFile),
        ({"hidden_size": "32"}, HostileFile),
        ({"hidden_size": None}, HostileFile),
        ({"hidden_size": True}, HostileFile),
        ({"hidden_size": 10**400}, HostileFile),
        ({"rms_norm_eps": 10**400}, HostileFile),
        ({"head_dim": 7}, HostileFile),
        ({"vocab_size": -1}, HostileFile),
        ({"hidden_act": "gelu"}, UnsupportedFormat),
        ({"use_sliding_window": True}, UnsupportedFormat),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, UnsupportedFormat),
        ({"rope_scaling": [1]}, HostileFile),
        ({"partial_rotary_factor": 0.5}, UnsupportedFormat),
        ({"quantization_config": {"quant_method": "gptq"}}, UnsupportedFormat),
        ({"model_type": "qwen3_moe"}, UnsupportedFormat),
        ({"model_type": ["llama"]}, HostileFile),
        ({"model_type": "llama", "attention_bias": True}, UnsupportedFormat),
        ({"model_type": "qwen3", "attention_bias": True}, UnsupportedFormat),
        ({"model_type": "qwen3", "layer_types": ["full_attention", "sliding_attention"]}, UnsupportedFormat),
        ({"layer_types": [1]}, HostileFile),
        ({"model_type": "llama", "mlp_bias": True}, UnsupportedFormat),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_config_that_contradicts_itself_is_refused(
    changes: dict[str, Any], error: type[BadFile], folder: Folder
) -> None:
    with pytest.raises(error):
        open_checkpoint(folder(**changes))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1, "a": 2}', "[" * 10_000], ids=lambda value: value[:20])
def test_a_config_that_is_no_config_is_refused(content: str, folder: Folder) -> None:
    path = folder()
    (path / "config.json").write_text(content)
    with pytest.raises(HostileFile):
        open_checkpoint(path)


def test_a_folder_without_config_or_weights_says_what_is_missing(folder: Folder, tmp_path: Path) -> None:
    path = folder()
    (path / "config.json").unlink()
    with pytest.raises(NotFound, match=r"config\.json"):
        open_checkpoint(path)
    (path / "model.safetensors").unlink()
    with pytest.raises(NotFound, match=r"model\.safetensors"):
        open_checkpoint(path)
    with pytest.raises(NotFound):
        open_checkpoint(tmp_path / "nothing")


def test_weights_may_be_opened_before_anyone_asks_for_a_tokenizer(folder: Folder) -> None:
    path = folder()
    (path / "tokenizer.json").unlink()
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.has("token_embd.weight")
        with pytest.raises(NotFound, match=r"tokenizer\.json"):
            _ = checkpoint.tokenizer


def test_an_embedder_that_pools_another_way_is_refused(minilm_path: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).symlink_to(minilm_path / name)
    (tmp_path / "1_Pooling").mkdir()
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    with pytest.raises(UnsupportedFormat, match="pooling"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("layout", ["inside", "jinja", "list"])
def test_the_chat_template_is_found_wherever_it_is_written(layout: str, folder: Folder) -> None:
    path = folder()
    source = "{{ messages[0].content }}{{ eos_token }}"
    stored = {
        "inside": {"chat_template": source, "eos_token": {"content": "<|im_end|>"}},
        "jinja": {"chat_template": "old", "eos_token": "<|im_end|>"},
        "list": {"chat_template": [{"name": "default", "template": source}], "eos_token": "<|im_end|>"},
    }
    (path / "tokenizer_config.json").write_text(json.dumps(stored[layout]))
    files = {"jinja": path / "chat_template.jinja"}
    files.get(layout, path / "unused.txt").write_text(source)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.chat_template is not None
        assert checkpoint.chat_template.render([{"role": "user", "content": "hi"}]) == "hi<|im_end|>"


def test_a_gguf_knows_its_template_and_tokens(written: Written) -> None:
    with open_checkpoint(written(tiny_gguf().content())) as checkpoint:
        assert checkpoint.chat_template is not None
        text = checkpoint.chat_template.render([{"role": "user", "content": "hello"}])
        ids = checkpoint.tokenizer.encode(text, special=True)
        assert ids[0] == len(ALPHABET) + 3
        assert checkpoint.tokenizer.decode(ids) == "user\nhello\nassistant\n"


def test_a_closed_checkpoint_has_let_go(written: Written) -> None:
    checkpoint = open_checkpoint(written(tiny_gguf().content()))
    tokenizer = checkpoint.tokenizer
    checkpoint.close()
    assert checkpoint.names == frozenset()
    assert checkpoint.tokenizer is tokenizer
