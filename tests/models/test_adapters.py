"""Whatever a folder says it is, reading it ends in an adapter that fits or in a typed error that says what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from ikkan.ground.errors import BadFile, HostileFile, IkkanError, NotFinite, NotFound, TruncatedFile, UnsupportedFormat
from ikkan.models.adapters import CONFIG, MODULES, WEIGHTS, module_shape, read_adapter
from ikkan.models.values import DecoderConfig

BASE = DecoderConfig("llama", 2, 12, 3, 1, 4, 20, 64, 128, 10_000.0, 1e-5, True, False)
AT = "base_model.model.model.layers.{layer}.{module}_proj.lora_{half}.weight"
INSIDE = dict.fromkeys("qkvo", "self_attn.") | dict.fromkeys(("gate", "up", "down"), "mlp.")
Tensors = dict[str, np.ndarray[Any, Any]]


def tensors(rank: int = 3, kind: Any = np.float32, layers: int = 2) -> Tensors:
    random, found = np.random.default_rng(4), {}
    for layer in range(layers):
        for module in MODULES:
            rows, cols = module_shape(BASE, module)
            for half, shape in (("A", (rank, cols)), ("B", (rows, rank))):
                name = AT.format(layer=layer, module=INSIDE[module] + module, half=half)
                found[name] = random.normal(size=shape).astype(kind)
    return found


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write(tensors(), r=3)`: a folder of these tensors and this config."""

    def make(weights: Mapping[str, Any] | None = None, **fields: Any) -> Path:
        save_file(dict(tensors() if weights is None else weights), tmp_path / WEIGHTS)
        config = {"peft_type": "LORA", "r": 3, "lora_alpha": 6, **fields}
        (tmp_path / CONFIG).write_text(json.dumps(config))
        return tmp_path

    return make


def changed(name: str, value: Any) -> Tensors:
    return {**tensors(), name: value}


FIRST = AT.format(layer=0, module="self_attn.q", half="A")


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_sound_adapter_is_read_in_full(kind: Any, write: Callable[..., Path]) -> None:
    made = tensors(kind=kind)
    adapter = read_adapter(write(made, base_model_name_or_path="somebody/base"), BASE)
    assert (adapter.layers, adapter.rank, adapter.base, len(adapter.modules)) == (2, 3, "somebody/base", 14)
    for (layer, module), pair in adapter.modules.items():
        assert pair.scaling == 2.0
        for half, got in (("A", pair.a), ("B", pair.b)):
            wanted = made[AT.format(layer=layer, module=INSIDE[module] + module, half=half)]
            assert got.dtype == np.float32 and np.array_equal(got, wanted.astype(np.float32))


def test_scaling_may_be_rank_stabilised_and_differ_by_module(write: Callable[..., Path]) -> None:
    weights = {name: one for name, one in tensors().items() if ".q_proj" in name or ".down_proj" in name}
    for half, shape in (("A", (5, 20)), ("B", (12, 5))):
        weights[AT.format(layer=1, module="mlp.down", half=half)] = np.ones(shape, np.float32)
    folder = write(weights, use_rslora=True, rank_pattern={"layers.1.mlp.down_proj": 5}, alpha_pattern={"q_proj": 9})
    modules = read_adapter(folder, BASE).modules
    assert modules[0, "q"].scaling == 9 / math.sqrt(3)
    assert modules[0, "down"].scaling == 6 / math.sqrt(3)
    assert modules[1, "down"].scaling == 6 / math.sqrt(5)
    assert modules[1, "down"].rank == 5


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"lora_bias": True}, "lora_bias"),
        ({"bias": "all"}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"target_parameters": ["experts"]}, "target_parameters"),
        ({"alora_invocation_tokens": [1]}, "aLoRA"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"use_qalora": True}, "use_qalora"),
        ({"use_something_new": True}, "use_something_new"),
        ({"something_config": {"a": 1}}, "something_config"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"peft_type": None}, "None"),
        ({"r": 4096}, "rank"),
        ({"rank_pattern": {"(a+)+b": 2}}, "regular expression"),
    ],
    ids=str,
)
def test_what_would_be_computed_wrongly_is_refused_by_name(
    fields: dict[str, Any], word: str, write: Callable[..., Path]
) -> None:
    with pytest.raises(UnsupportedFormat, match=word):
        read_adapter(write(**fields), BASE)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("base_model.model.model.embed_tokens.lora_embedding_A", "embeddings"),
        ("base_model.model.lm_head.lora_A.weight", "output matrix"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", "DoRA"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias", "lora_bias"),
        ("base_model.model.model.layers.0.self_attn.q_norm.lora_A.weight", "q_norm"),
        ("base_model.model.model.layers.0.mlp.q_proj.lora_A.weight", "q_proj"),
        ("base_model.model.model.layers.0.mlp.experts.lora_A.weight", "experts"),
        ("anything", "anything"),
    ],
)
def test_tensors_that_would_be_left_out_are_refused_by_name(name: str, word: str, write: Callable[..., Path]) -> None:
    with pytest.raises(UnsupportedFormat, match=word):
        read_adapter(write(changed(name, np.ones((3, 12), np.float32))), BASE)


@pytest.mark.parametrize(
    ("weights", "fields", "error"),
    [
        (tensors(layers=2) | tensors(layers=3), {}, HostileFile),
        ({}, {}, HostileFile),
        ({FIRST: np.ones((3, 12), np.float32)}, {}, HostileFile),
        (changed(FIRST, np.ones((3, 13), np.float32)), {}, HostileFile),
        (changed(FIRST, np.ones((4, 12), np.float32)), {}, HostileFile),
        (changed(FIRST, np.ones((36,), np.float32)), {}, HostileFile),
        (changed(FIRST, np.ones((3, 12), np.int8)), {}, UnsupportedFormat),
        (changed(FIRST, np.full((3, 12), np.nan, np.float32)), {}, NotFinite),
        (changed(FIRST, np.full((3, 12), 1e300, np.float64)), {}, NotFinite),
        (changed(FIRST.replace("model.model.model", "model.model"), np.ones((3, 12), np.float32)), {}, HostileFile),
        (None, {"r": 0}, HostileFile),
        (None, {"r": True}, HostileFile),
        (None, {"r": "3"}, HostileFile),
        (None, {"lora_alpha": 0}, HostileFile),
        (None, {"lora_alpha": 10**400}, HostileFile),
        (None, {"lora_alpha": None}, HostileFile),
        (None, {"use_rslora": "yes"}, HostileFile),
        (None, {"alpha_pattern": [1]}, HostileFile),
        (None, {"rank_pattern": {"q_proj": -1}}, HostileFile),
        (None, {"rank_pattern": {"q_proj": 4}}, HostileFile),
    ],
    ids=[
        "more layers", "nothing", "half a pair", "other inputs", "other rank", "a vector", "whole numbers",
        "not finite", "too large", "a module twice", "rank 0", "rank true", "rank in words", "no scaling",
        "endless scaling", "scaling unsaid", "a flag in words", "a pattern that is none", "a rank below 0",
        "a rank that is not there",
    ],
)  # fmt: skip
def test_what_contradicts_itself_or_its_model_is_refused(
    weights: Tensors | None, fields: dict[str, Any], error: type[IkkanError], write: Callable[..., Path]
) -> None:
    with pytest.raises(error):
        read_adapter(write(weights, **fields), BASE)


def test_what_is_not_there_is_said(tmp_path: Path, write: Callable[..., Path]) -> None:
    with pytest.raises(NotFound):
        read_adapter(tmp_path / "nowhere", BASE)
    with pytest.raises(NotFound, match=CONFIG):
        read_adapter(tmp_path, BASE)
    folder = write()
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")
    with pytest.raises(UnsupportedFormat, match="pickle"):
        read_adapter(folder, BASE)
    (folder / "adapter_model.bin").unlink()
    with pytest.raises(NotFound, match=WEIGHTS):
        read_adapter(folder, BASE)


def test_a_file_cut_anywhere_is_refused(write: Callable[..., Path]) -> None:
    folder = write()
    whole = (folder / WEIGHTS).read_bytes()
    for length in [*range(0, 2_000, 37), *range(2_000, len(whole), 499), len(whole) - 1]:
        (folder / WEIGHTS).write_bytes(whole[:length])
        with pytest.raises((TruncatedFile, HostileFile)):
            read_adapter(folder, BASE)


def test_an_endless_config_is_not_read(write: Callable[..., Path]) -> None:
    folder = write()
    (folder / CONFIG).write_text(json.dumps({"peft_type": "LORA", "target_modules": "x" * (2 << 20)}))
    with pytest.raises(HostileFile, match="bytes"):
        read_adapter(folder, BASE)


BOUNDED = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([
    "r", "lora_alpha", "use_rslora", "use_dora", "bias", "rank_pattern", "alpha_pattern", "init_lora_weights",
    "peft_type", "modules_to_save", "base_model_name_or_path", "loftq_config", "target_modules",
])  # fmt: skip


@BOUNDED
@given(fields=st.dictionaries(FIELDS, JSON, min_size=1, max_size=4))
def test_any_config_ends_in_an_adapter_or_a_typed_error(fields: dict[str, Any], write: Callable[..., Path]) -> None:
    folder = write(**fields)
    try:
        assert read_adapter(folder, BASE).rank == 3
    except BadFile as error:
        assert error.message


@BOUNDED
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["byte", "length", "cut", "swap"]), st.integers(0, 2**64 - 1)),
        min_size=1,
        max_size=5,
    ),
    of_header=st.booleans(),
)
def test_any_damage_to_the_weights_ends_in_an_adapter_or_a_typed_error(
    edits: list[tuple[float, str, int]], of_header: bool, write: Callable[..., Path]
) -> None:
    folder = write()
    content = bytearray((folder / WEIGHTS).read_bytes())
    reach = 8 + int.from_bytes(content[:8], "little") if of_header else len(content)
    for where, kind, value in edits:
        place = int(where * (min(reach, len(content)) - 1)) if content else 0
        if kind == "byte" and content:
            content[place] = value % 256
        elif kind == "length":
            content[:8] = value.to_bytes(8, "little")
        elif kind == "cut":
            del content[place : place + value % 64]
        elif kind == "swap":
            content[place : place + 4] = content[place : place + 4][::-1]
    (folder / WEIGHTS).write_bytes(bytes(content))
    try:
        adapter = read_adapter(folder, BASE)
    except (BadFile, NotFound) as error:
        assert error.message
    else:
        assert all(np.isfinite(one.a).all() and np.isfinite(one.b).all() for one in adapter.modules.values())
