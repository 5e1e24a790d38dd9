"""Adapters as files in PEFT's format."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from ikkan.flywheel.training.tensors.network import Learning
from ikkan.models.adapters import CONFIG, MODULES, WEIGHTS, Adapter, read_adapter
from ikkan.models.values import DecoderConfig


def written(learning: Learning, alpha: float, base: str) -> dict[str, bytes]:
    """`adapter_config.json` and `adapter_model.safetensors`; the same numbers give the same bytes."""
    config = {
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": learning.rank,
        "target_modules": [f"{one}_proj" for one in MODULES],
        "task_type": "CAUSAL_LM",
    }
    tensors = {}
    for layer, module, half, values in learning.matrices():
        part = "self_attn" if module in ("q", "k", "v", "o") else "mlp"
        name = f"base_model.model.model.layers.{layer}.{part}.{module}_proj.lora_{half}.weight"
        tensors[name] = np.ascontiguousarray(values)
    return {CONFIG: json.dumps(config, indent=2).encode(), WEIGHTS: save(tensors, metadata={"format": "pt"})}


def read(files: Mapping[str, bytes], config: DecoderConfig) -> Adapter:
    """An adapter from its two files; raises what `models.adapters.read_adapter` raises."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (CONFIG, WEIGHTS):
            if name in files:
                (Path(folder) / name).write_bytes(files[name])
        return read_adapter(Path(folder), config)
