"""Opens a model, whatever file it comes in, as one thing: measurements, named tensors, tokenizer, chat template.

Canonical names of a decoder are those of GGUF, whichever file they come from:

    token_embd.weight   output_norm.weight   output.weight (absent when tied)
    blk.N.attn_norm.weight   blk.N.attn_q.weight   blk.N.attn_k.weight   blk.N.attn_v.weight   blk.N.attn_output.weight
    blk.N.attn_q.bias   blk.N.attn_k.bias   blk.N.attn_v.bias (qwen2)
    blk.N.attn_q_norm.weight   blk.N.attn_k_norm.weight (qwen3; one head long)
    blk.N.ffn_norm.weight   blk.N.ffn_gate.weight   blk.N.ffn_up.weight   blk.N.ffn_down.weight

Those of a BERT encoder are Hugging Face's without a leading `bert.`: `embeddings.word_embeddings.weight`,
`encoder.layer.N.attention.self.query.weight`, ...

Matrices are `(out, in)` from either source. One thing differs and is said rather than repaired: llama's q and k rows
stand `interleaved` in GGUF and `half_split` in safetensors (`config.rope_style`); those of qwen2 and qwen3 are
`half_split` in both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from ikkan.ground.errors import BadFile, HostileFile, NotFound, UnsupportedFormat
from ikkan.models import gguf, safetensors
from ikkan.models.template import ChatTemplate
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import DecoderConfig, EncoderConfig, RawTensor

DECODERS: Final = ("llama", "qwen2", "qwen3")
FAMILIES: Final = (*DECODERS, "bert")

_OUTER: Final[Mapping[str, str]] = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_INNER: Final[Mapping[str, str]] = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_LAYER: Final = re.compile(r"model\.layers\.(\d{1,4})\.(.+)\.(weight|bias)")


def canonical_name(name: str) -> str:
    """The canonical name of a decoder's tensor in a Hugging Face file; a name we do not know stays as it is.

    >>> canonical_name("model.layers.3.self_attn.q_proj.weight")
    'blk.3.attn_q.weight'
    """
    if name in _OUTER:
        return _OUTER[name]
    found = _LAYER.fullmatch(name)
    if found and found[2] in _INNER:
        return f"blk.{int(found[1])}.{_INNER[found[2]]}.{found[3]}"
    return name


class Checkpoint:
    """An open model. Tensors are views on the mapped file until `close`."""

    def __init__(
        self,
        path: Path,
        source: Literal["gguf", "safetensors"],
        config: DecoderConfig | EncoderConfig,
        tensors: Mapping[str, RawTensor],
        load_tokenizer: Callable[[], Tokenizer],
        load_template: Callable[[], ChatTemplate | None],
    ) -> None:
        self.path = path
        self.source = source
        self.config = config
        self._tensors = dict(tensors)
        self._load_tokenizer = load_tokenizer
        self._load_template = load_template

    @property
    def family(self) -> str:
        """`llama`, `qwen2`, `qwen3` or `bert`."""
        return self.config.family

    @property
    def names(self) -> frozenset[str]:
        """Canonical names of all tensors."""
        return frozenset(self._tensors)

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this canonical name."""
        return name in self._tensors

    def tensor(self, name: str) -> RawTensor:
        """One tensor as it is stored, by its canonical name.

        Raises:
            HostileFile: the measurements promise it, the file does not have it.
        """
        if name not in self._tensors:
            raise HostileFile(
                f"{self.path.name} has no tensor {name!r}, which its measurements promise",
                hint="get the model from its original source again",
                file=self.path.name,
                tensor=name,
            )
        return self._tensors[name]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that came with the model, built at the first use.

        Raises:
            BadFile: it is missing, contradicts itself, or is of a kind that is not read.
        """
        return self._load_tokenizer()

    @cached_property
    def chat_template(self) -> ChatTemplate | None:
        """How the model wants a conversation written; None when it was not made for conversations.

        Raises:
            BadTemplate: it cannot be parsed.
        """
        return self._load_template()

    def close(self) -> None:
        """Let go of the file. Tokenizer and template, once used, stay; views that others hold keep the map alive."""
        self._tensors = {}
        self._load_tokenizer = _closed
        self._load_template = _closed

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _closed() -> Any:
    raise AssertionError("the checkpoint was closed before this was first asked for")


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a `.gguf` file, a `.safetensors` file with its JSON files beside it, or a Hugging Face folder.

    Raises:
        NotFound: nothing is there.
        TruncatedFile: a file ends before its own header says it should.
        HostileFile: a header or configuration contradicts itself or asks for absurd sizes.
        UnsupportedFormat: a family, version or trait that we would compute wrongly.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(f"there is nothing at {path}", hint="ikkan model list", path=path.name)
    if path.is_dir() or path.suffix.lower() in {".safetensors", *safetensors.PICKLES}:
        return _open_folder(path)
    return _open_gguf(path)


# --- GGUF -------------------------------------------------------------------------------------------------------------


def _open_gguf(path: Path) -> Checkpoint:
    file = gguf.read(path)
    config = _gguf_config(file)
    tensors = {name: RawTensor(name, one.shape, one.format, one.data) for name, one in file.tensors.items()}
    file.close()

    def template() -> ChatTemplate | None:
        source = file.metadata.get("tokenizer.chat_template")
        if not isinstance(source, str) or not source:
            return None
        tokens = file.texts("tokenizer.ggml.tokens")

        def spelled(key: str) -> str:
            number = file.integer(key, -1)
            return tokens[number] if 0 <= number < len(tokens) else ""

        return ChatTemplate(source, spelled("tokenizer.ggml.bos_token_id"), spelled("tokenizer.ggml.eos_token_id"))

    return Checkpoint(path, "gguf", config, tensors, lambda: Tokenizer.from_gguf(file), template)


def _gguf_config(file: gguf.GgufFile) -> DecoderConfig:
    family = file.text("general.architecture")
    if family not in DECODERS:
        raise _unknown_family(file.path.name, family)
    for absent in ("expert_count", "attention.sliding_window"):
        if file.integer(f"{family}.{absent}", 0):
            raise _would_be_wrong(file.path.name, f"{absent} = {file.integer(f'{family}.{absent}')}")
    if "rope_freqs.weight" in file.tensors:
        raise _would_be_wrong(file.path.name, "per-frequency rotation factors")
    for key in ("type", "factor"):
        scaling = file.metadata.get(f"{family}.rope.scaling.{key}", "none")
        if scaling not in ("none", 1.0):
            raise _would_be_wrong(file.path.name, f"rope scaling {scaling!r}")
    if "token_embd.weight" not in file.tensors:
        raise HostileFile(f"{file.path.name} has no token_embd.weight", file=file.path.name)
    hidden, heads = file.integer(f"{family}.embedding_length"), file.integer(f"{family}.attention.head_count")
    head_dim = file.integer(f"{family}.attention.key_length", 0) or _divided(file.path.name, hidden, heads)
    for other in ("attention.value_length", "rope.dimension_count"):
        if file.integer(f"{family}.{other}", head_dim) != head_dim:
            raise _would_be_wrong(file.path.name, f"{other} that is not the head's size")
    config = DecoderConfig(
        family=family,
        layers=file.integer(f"{family}.block_count"),
        hidden=hidden,
        heads=heads,
        kv_heads=file.integer(f"{family}.attention.head_count_kv", heads),
        head_dim=head_dim,
        intermediate=file.integer(f"{family}.feed_forward_length"),
        vocab=file.tensors["token_embd.weight"].shape[0],
        context=file.integer(f"{family}.context_length"),
        rope_theta=file.number(f"{family}.rope.freq_base", 10_000.0),
        rms_eps=file.number(f"{family}.attention.layer_norm_rms_epsilon"),
        tied_embeddings="output.weight" not in file.tensors,
        qkv_bias="blk.0.attn_q.bias" in file.tensors,
        rope_style="interleaved" if family == "llama" else "half_split",
        qk_norm=family == "qwen3",
    )
    _check_decoder(file.path.name, config)
    tokens = len(file.texts("tokenizer.ggml.tokens"))
    if tokens > config.vocab:
        raise HostileFile(
            f"{file.path.name} has {tokens:,} tokens for an embedding of {config.vocab:,} rows", file=file.path.name
        )
    return config


# --- safetensors and Hugging Face folders -----------------------------------------------------------------------------


def _open_folder(path: Path) -> Checkpoint:
    weights = safetensors.read(path)
    folder = path if path.is_dir() else path.parent
    fields = _Fields(safetensors.read_json(folder / "config.json"))
    family = fields.text("model_type", "")
    if family not in FAMILIES:
        raise _unknown_family(path.name, family)
    if fields.get("quantization_config") is not None:
        raise _would_be_wrong(path.name, "weights quantised in a scheme of their own")
    if family == "bert" and (folder / "1_Pooling" / "config.json").exists():
        pooling = _Fields(safetensors.read_json(folder / "1_Pooling" / "config.json"))
        _require(pooling.flag("pooling_mode_mean_tokens", False), "pooling other than the mean")
        for other in ("cls_token", "max_tokens", "mean_sqrt_len_tokens"):
            _require(not pooling.flag(f"pooling_mode_{other}", False), "pooling other than the mean")
    config = _encoder_config(fields) if family == "bert" else _decoder_config(family, fields)
    tensors: dict[str, RawTensor] = {}
    for name, view in weights.tensors.items():
        canonical = name.removeprefix("bert.") if family == "bert" else canonical_name(name)
        if canonical in tensors:
            raise HostileFile(f"{path.name} has {canonical!r} under two names", file=path.name)
        tensors[canonical] = RawTensor(canonical, view.shape, view.dtype, view.raw)
    weights.close()
    if isinstance(config, DecoderConfig) and config.tied_embeddings:
        tensors.pop("output.weight", None)  # some files repeat the embedding here
    return Checkpoint(
        path, "safetensors", config, tensors, lambda: Tokenizer.from_folder(folder), lambda: _folder_template(folder)
    )


def _folder_template(folder: Path) -> ChatTemplate | None:
    fields: dict[str, Any] = {}
    if (folder / "tokenizer_config.json").exists():
        fields = safetensors.read_json(folder / "tokenizer_config.json")
    source = fields.get("chat_template")
    if isinstance(source, list):  # several templates by name
        named = {one.get("name"): one.get("template") for one in source if isinstance(one, dict)}
        source = named.get("default")
    if (folder / "chat_template.jinja").exists():
        source = (folder / "chat_template.jinja").read_text("utf-8", "replace")
    if not isinstance(source, str) or not source:
        return None
    return ChatTemplate(source, _spelled(fields.get("bos_token")), _spelled(fields.get("eos_token")))


def _spelled(token: Any) -> str:
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else ""


class _Fields:
    """A config.json that is asked for fields of a type."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw

    def get(self, name: str) -> Any:
        return self._raw.get(name)

    def text(self, name: str, default: str) -> str:
        value = self._raw.get(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._raw.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self._wrong(name, value)
        return tuple(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self._raw.get(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, value)
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._raw.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, value)
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self._raw.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(name, value)
        return _float(value)

    def _wrong(self, name: str, value: object) -> BadFile:
        return HostileFile(f"config.json says {name} = {str(value)[:40]}", hint="get the model again", key=name)


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _decoder_config(family: str, fields: _Fields) -> DecoderConfig:
    _require(fields.text("hidden_act", "silu") == "silu", "an activation other than silu")
    _require(not fields.flag("use_sliding_window", False), "sliding windows")
    _require(set(fields.texts("layer_types")) <= {"full_attention"}, "layers of several kinds")
    _require(not fields.flag("mlp_bias", False), "biases in the feed-forward part")
    _require(not fields.flag("attention_bias", False) or family == "qwen2", "a bias in the output projection")
    _require(fields.number("partial_rotary_factor", 1.0) == 1.0, "partial rotation")
    rope = fields.get("rope_parameters") or fields.get("rope_scaling") or {}
    if not isinstance(rope, dict):
        raise HostileFile("config.json does not describe the rotation", key="rope_parameters")
    turning = _Fields(rope)
    kind = turning.text("rope_type", turning.text("type", "default"))
    _require(kind == "default", f"rope scaling {kind!r}")
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    config = DecoderConfig(
        family=family,
        layers=fields.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=fields.integer("num_key_value_heads", heads),
        head_dim=fields.integer("head_dim", 0) or _divided("config.json", hidden, heads),
        intermediate=fields.integer("intermediate_size"),
        vocab=fields.integer("vocab_size"),
        context=fields.integer("max_position_embeddings"),
        rope_theta=turning.number("rope_theta", fields.number("rope_theta", 10_000.0)),
        rms_eps=fields.number("rms_norm_eps", 1e-6),
        tied_embeddings=fields.flag("tie_word_embeddings", False),
        qkv_bias=family == "qwen2",
        rope_style="half_split",
        qk_norm=family == "qwen3",
    )
    _check_decoder("config.json", config)
    return config


def _encoder_config(fields: _Fields) -> EncoderConfig:
    _require(fields.text("hidden_act", "gelu") == "gelu", "an activation other than gelu")
    _require(fields.text("position_embedding_type", "absolute") == "absolute", "relative positions")
    _require(not fields.flag("is_decoder", False), "a BERT that is a decoder")
    config = EncoderConfig(
        family="bert",
        layers=fields.integer("num_hidden_layers"),
        hidden=fields.integer("hidden_size"),
        heads=fields.integer("num_attention_heads"),
        intermediate=fields.integer("intermediate_size"),
        vocab=fields.integer("vocab_size"),
        context=fields.integer("max_position_embeddings"),
        types=fields.integer("type_vocab_size", 2),
        norm_eps=fields.number("layer_norm_eps", 1e-12),
    )
    _check_sizes("config.json", config)
    _divided("config.json", config.hidden, config.heads)
    _within("config.json", "types", config.types, 256)
    _positive("config.json", "layer_norm_eps", config.norm_eps)
    return config


# --- what no sound model says -----------------------------------------------------------------------------------------


def _check_decoder(name: str, config: DecoderConfig) -> None:
    _check_sizes(name, config)
    _within(name, "head_dim", config.head_dim, 1024)
    if config.kv_heads < 1 or config.heads % config.kv_heads:
        raise HostileFile(f"{name} shares {config.kv_heads} key heads among {config.heads} heads", file=name)
    if config.head_dim % 2:
        raise HostileFile(f"{name} rotates heads of odd size {config.head_dim}", file=name)
    _positive(name, "rope_theta", config.rope_theta)
    _positive(name, "rms_eps", config.rms_eps)


def _check_sizes(name: str, config: DecoderConfig | EncoderConfig) -> None:
    _within(name, "layers", config.layers, 1024)
    _within(name, "hidden", config.hidden, 2**17)
    _within(name, "heads", config.heads, 1024)
    _within(name, "intermediate", config.intermediate, 2**20)
    _within(name, "vocab", config.vocab, 2**22)
    _within(name, "context", config.context, 2**24)


def _within(name: str, what: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise HostileFile(f"{name} says {what} = {value}", hint="get the model again", file=name, key=what)


def _positive(name: str, what: str, value: float) -> None:
    if not 1e-30 < value < 1e30:  # also as float32, and not NaN
        raise HostileFile(f"{name} says {what} = {value}", hint="get the model again", file=name, key=what)


def _divided(name: str, hidden: int, heads: int) -> int:
    if heads < 1 or hidden % heads:
        raise HostileFile(f"{name} divides a width of {hidden} among {heads} heads", file=name)
    return hidden // heads


def _require(known: bool, trait: str) -> None:
    if not known:
        raise _would_be_wrong("config.json", trait)


def _would_be_wrong(name: str, trait: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"{name} asks for {trait}, which is not computed here",
        hint="serve it with vLLM or llama.cpp and add that as an upstream: ikkan upstream add",
        file=name,
    )


def _unknown_family(name: str, family: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"{name} is of the family {family!r}; known here: {', '.join(FAMILIES)}",
        hint="serve it with vLLM or llama.cpp and add that as an upstream: ikkan upstream add",
        file=name,
        family=family,
    )
