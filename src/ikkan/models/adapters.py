"""Reads a LoRA adapter in PEFT's format: pairs of thin matrices that change what a decoder's own matrices say.

A folder holds `adapter_config.json` and `adapter_model.safetensors`. Everything is compared with the measurements of
the model it is for before anything is kept; what would be computed wrongly is refused by name.

PEFT always counts rows as Hugging Face does: rotation partners of q and k half a head apart. So do our decoders, whose
rows were put into that order at load whatever file they came from; an adapter's rows stay where they are.

Source: Hu et al. 2021 (LoRA); Kalajdzievski 2023 (rank-stabilised scaling).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from ikkan.ground.errors import BadFile, HostileFile, NotFinite, NotFound, UnsupportedFormat
from ikkan.models import safetensors
from ikkan.models.values import DecoderConfig, Float32

MAX_RANK: Final = 512
MAX_CONFIG_BYTES: Final = 1 << 20
CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"

Module: TypeAlias = Literal["q", "k", "v", "o", "gate", "up", "down"]
MODULES: Final[tuple[Module, ...]] = ("q", "k", "v", "o", "gate", "up", "down")
"""A block's matrices, in the order in which kernels know them."""

_MAX_ALPHA: Final = 1 << 20
_NAME: Final = re.compile(
    r"base_model\.model\.(?:model\.)?(layers\.(\d{1,4})\.(self_attn|mlp)\.([a-z]{1,4})_proj)\.lora_([AB])\.weight"
)
_INSIDE: Final = {"q": "self_attn", "k": "self_attn", "v": "self_attn", "o": "self_attn"}
"""The part of a block a module belongs to; the others belong to `mlp`."""
_PLAIN_PATTERN: Final = re.compile(r"\^?[A-Za-z0-9_.]{1,200}")

_CHANGES: Final = {
    "use_dora": "weights split into size and direction (DoRA)",
    "lora_bias": "a bias beside its matrices (lora_bias)",
    "modules_to_save": "whole modules of its own (modules_to_save)",
    "trainable_token_indices": "changed embeddings (trainable_token_indices)",
    "layer_replication": "repeated layers (layer_replication)",
    "target_parameters": "changed parameters outside the linear modules (target_parameters)",
    "alora_invocation_tokens": "activation by tokens in the text (aLoRA)",
    "fan_in_fan_out": "transposed matrices (fan_in_fan_out)",
}
"""Fields that ask for more than a pair of matrices when they are set."""
_BASE_KEPT: Final = (None, True, False, "gaussian", "eva", "orthogonal")
"""Ways to begin training that leave the base as it is; others (PiSSA, OLoRA, LoftQ, ...) subtract from it first."""


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """What an adapter adds to one matrix: `scaling * b @ (a @ x)`."""

    a: Float32
    """(rank, in)"""
    b: Float32
    """(out, rank)"""
    scaling: float

    @property
    def rank(self) -> int:
        """Rows of `a`, columns of `b`."""
        return int(self.a.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A change to a decoder that fits it: every shape was compared, every number is finite."""

    layers: int
    """Of the decoder it is for."""
    modules: Mapping[tuple[int, Module], LowRank]
    """By number of the layer and module; those that are absent stay as they are."""
    base: str
    """What its file says it was trained on; empty when it does not say."""

    @property
    def rank(self) -> int:
        """The largest rank of its modules."""
        return max(one.rank for one in self.modules.values())

    @property
    def bytes(self) -> int:
        """What its matrices take in float32."""
        return sum(one.a.nbytes + one.b.nbytes for one in self.modules.values())


def read_adapter(folder: Path, config: DecoderConfig) -> Adapter:
    """Read a PEFT folder for a decoder of these measurements. Nothing of the files stays open or mapped.

    Raises:
        NotFound: the folder or one of its two files is not there.
        TruncatedFile: a file ends before its own header says it should.
        HostileFile: the files contradict themselves, each other or the decoder's measurements.
        UnsupportedFormat: another kind of adapter, or a trait that would be computed wrongly; the message says which.
        NotFinite: a number is NaN or infinite.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder.name!r}", hint=f"name the folder that holds {CONFIG}")
    fields = _read_config(folder / CONFIG)
    if not (folder / WEIGHTS).is_file():
        pickled = sorted(one.name for one in folder.glob("adapter_model*") if one.suffix in safetensors.PICKLES)
        if pickled:
            raise UnsupportedFormat(
                f"{pickled[0]} is a pickle, and opening a pickle runs code that is in it",
                hint="save the adapter with safe_serialization=True",
                file=pickled[0],
            )
        raise NotFound(f"{folder.name} holds no {WEIGHTS}", hint="name a folder that PEFT wrote", file=WEIGHTS)
    with safetensors.read(folder / WEIGHTS) as file:
        named = [(name, *_place(name, config.layers)) for name in file.tensors]
        halves: dict[tuple[int, Module, str], str] = {}
        for name, layer, module, _, half in named:
            if (layer, module, half) in halves:
                raise HostileFile(f"{WEIGHTS} has {name!r} under two names", file=WEIGHTS)
            halves[layer, module, half] = name
        if not halves:
            raise HostileFile(f"{WEIGHTS} holds no matrices", hint="was it saved before training?", file=WEIGHTS)
        # All shapes are compared before any number is copied.
        wanted = {(layer, module): _expected(fields, spelled, module, config) for _, layer, module, spelled, _ in named}
        for (layer, module), expected in wanted.items():
            for half, shape in (("A", (expected.rank, expected.cols)), ("B", (expected.rows, expected.rank))):
                _check(halves, file, layer, module, half, shape)
        modules = {
            (layer, module): LowRank(
                _numbers(file, halves[layer, module, "A"]),
                _numbers(file, halves[layer, module, "B"]),
                expected.scaling,
            )
            for (layer, module), expected in sorted(wanted.items())
        }
    return Adapter(config.layers, modules, fields.base)


_OTHER_MODEL: Final = "was it trained on another model?"


def module_shape(config: DecoderConfig, module: Module) -> tuple[int, int]:
    """Outputs and inputs of one of a block's matrices."""
    wide, narrow = config.heads * config.head_dim, config.kv_heads * config.head_dim
    return {
        "q": (wide, config.hidden),
        "k": (narrow, config.hidden),
        "v": (narrow, config.hidden),
        "o": (config.hidden, wide),
        "gate": (config.intermediate, config.hidden),
        "up": (config.intermediate, config.hidden),
        "down": (config.hidden, config.intermediate),
    }[module]


# --- adapter_config.json ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Config:
    rank: int
    alpha: float
    stabilised: bool
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    base: str


@dataclass(frozen=True, slots=True)
class _Expected:
    rank: int
    rows: int
    cols: int
    scaling: float


def _read_config(path: Path) -> _Config:
    if not path.is_file():
        raise NotFound(f"{path.parent.name} holds no {CONFIG}", hint="name a folder that PEFT wrote", file=CONFIG)
    size = path.stat().st_size
    if size > MAX_CONFIG_BYTES:
        raise HostileFile(f"{CONFIG} has {size:,} bytes; no such file needs that", file=CONFIG)
    fields = safetensors.read_json(path)
    kind = fields.get("peft_type")
    if kind != "LORA":
        raise _refused(f"an adapter of type {str(kind)[:40]!r}; LORA is read")
    for name, asked in _CHANGES.items():
        if fields.get(name):
            raise _refused(asked)
    if fields.get("bias") not in (None, "none"):
        raise _refused(f"changed biases (bias = {str(fields['bias'])[:40]!r})")
    for name, value in fields.items():
        # PEFT names its variants so; one we do not know changes what the matrices mean.
        if name not in _HARMLESS and value and (name.startswith("use_") or name.endswith("_config")):
            raise _refused(f"{name[:60]!r}")
    begun = fields.get("init_lora_weights")
    if not (begun is None or isinstance(begun, bool) or begun in _BASE_KEPT):
        raise _refused(f"a base that was changed before training (init_lora_weights = {str(begun)[:40]!r})")
    base = fields.get("base_model_name_or_path")
    return _Config(
        rank=_whole("r", fields.get("r")),
        alpha=_alpha("lora_alpha", fields.get("lora_alpha")),
        stabilised=_flag("use_rslora", fields.get("use_rslora")),
        ranks={key: _whole(f"rank_pattern.{key}", one) for key, one in _pattern("rank_pattern", fields).items()},
        alphas={key: _alpha(f"alpha_pattern.{key}", one) for key, one in _pattern("alpha_pattern", fields).items()},
        base=base[:500] if isinstance(base, str) else "",
    )


_HARMLESS: Final = frozenset({"use_rslora", "runtime_config", "eva_config", "megatron_config", "loftq_config"})
"""Settings of training alone."""


def _refused(asked: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"the adapter asks for {asked}, which is not computed here",
        hint="train a plain LoRA, or merge it into the model before serving",
        file=CONFIG,
    )


def _wrong(name: str, value: object) -> BadFile:
    return HostileFile(f"{CONFIG} says {name[:100]} = {str(value)[:40]}", hint="save the adapter again", key=name[:100])


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(name, value)
    if value > MAX_RANK:
        raise UnsupportedFormat(f"the adapter has rank {str(value)[:40]}; up to {MAX_RANK} is served", file=CONFIG)
    return value


def _alpha(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _MAX_ALPHA:
        raise _wrong(name, value)
    return float(value)


def _flag(name: str, value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, value)
    return bool(value)


def _pattern(name: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    found = fields.get(name) or {}
    if not isinstance(found, dict):
        raise _wrong(name, found)
    for key in found:
        # PEFT reads keys as regular expressions. Names do without, and cannot take for ever.
        if not _PLAIN_PATTERN.fullmatch(key):
            raise _refused(f"{name} with a regular expression ({key[:60]!r}) where a module's name is read")
    return found


def _chosen(patterns: Sequence[str], spelled: str) -> str | None:
    """The first key that names this module or an end of its name, as PEFT chooses.

    >>> _chosen(["o_proj", "layers.1.self_attn.q_proj"], "model.layers.1.self_attn.q_proj")
    'layers.1.self_attn.q_proj'
    >>> _chosen(["oj", "^layers.1.self_attn.q_proj"], "model.layers.1.self_attn.q_proj") is None
    True
    """
    for key in patterns:
        name = key.removeprefix("^")
        if spelled == name or (name is key and spelled.endswith(f".{name}")):
            return key
    return None


def _expected(config: _Config, spelled: str, module: Module, base: DecoderConfig) -> _Expected:
    of_rank, of_alpha = _chosen(list(config.ranks), spelled), _chosen(list(config.alphas), spelled)
    rank = config.rank if of_rank is None else config.ranks[of_rank]
    alpha = config.alpha if of_alpha is None else config.alphas[of_alpha]
    rows, cols = module_shape(base, module)
    return _Expected(rank, rows, cols, alpha / (math.sqrt(rank) if config.stabilised else rank))


# --- adapter_model.safetensors ----------------------------------------------------------------------------------------


def _place(name: str, layers: int) -> tuple[int, Module, str, str]:
    """Layer, module, the module's name in the network, and `A` or `B`."""
    found = _NAME.fullmatch(name)
    if found is None:
        for sign, asked in (
            ("lora_embedding", "changed embeddings"),
            ("lora_magnitude", _CHANGES["use_dora"]),
            (".lora_B.bias", _CHANGES["lora_bias"]),
            ("lm_head", "a changed output matrix"),
            ("embed_tokens", "changed embeddings"),
        ):
            if sign in name:
                raise _refused(f"{asked} ({name[:100]!r})")
        raise _refused(f"a change of {name[:100]!r}")
    spelled, number, part, module, half = found.groups()
    known = next((one for one in MODULES if one == module), None)
    if known is None or part != _INSIDE.get(known, "mlp"):
        raise _refused(f"a change of {name[:100]!r}")
    if int(number) >= layers:
        raise HostileFile(
            f"the adapter changes layer {int(number)} of a model that has {layers}", hint=_OTHER_MODEL, file=WEIGHTS
        )
    return int(number), known, f"model.{spelled}", half


def _check(
    halves: Mapping[tuple[int, Module, str], str],
    file: safetensors.SafeTensorsFile,
    layer: int,
    module: Module,
    half: str,
    shape: tuple[int, int],
) -> None:
    name = halves.get((layer, module, half))
    if name is None:
        raise HostileFile(
            f"{WEIGHTS} has one half only of {module} in layer {layer}", hint="save the adapter again", file=WEIGHTS
        )
    if file.tensors[name].shape != shape:
        raise HostileFile(
            f"{name} has shape {file.tensors[name].shape}; for this model and by {CONFIG} it is {shape}",
            hint=_OTHER_MODEL,
            file=WEIGHTS,
            tensor=name,
        )


def _numbers(file: safetensors.SafeTensorsFile, name: str) -> Float32:
    found = file.float32(name)
    if not np.isfinite(found).all():
        raise NotFinite(
            f"{name} holds numbers that are not finite",
            hint="its training diverged or the file is damaged",
            tensor=name,
        )
    return found
