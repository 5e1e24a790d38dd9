"""Write tiny random models with LoRA adapters that `peft` saved, and what `transformers` and `peft` say of both.

    python make_adapters.py FOLDER

For each NAME: the base `NAME/`, adapters `NAME.FIRST/`, `NAME.SECOND/`, ..., and `NAME.npz` with `ids`, `base` (logits
of the base), `hidden` (its last hidden states) and `FIRST`, ... (logits with that adapter), `FIRST.merged` (merged into
it).
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model

CALM = {"initializer_range": 0.06}
"""Networks that multiply a rounded cache less than those of `make_tiny` do, as trained ones."""
EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS: dict[str, dict[str, Any]] = {
    "all": {"r": 8, "lora_alpha": 16, "target_modules": EVERY},
    "qv": {"r": 20, "lora_alpha": 10, "target_modules": ["q_proj", "v_proj"], "use_rslora": True},
    "patterned": {
        "r": 4,
        "lora_alpha": 4,
        "target_modules": ["k_proj", "o_proj", "up_proj", "down_proj"],
        "rank_pattern": {"o_proj": 3, "layers.1.mlp.up_proj": 17},
        "alpha_pattern": {"down_proj": 9},
        "layers_to_transform": [0, 1],
    },
}


def adapted(model: Any, out: Path, name: str) -> None:
    from make_tiny import IDS, answer  # beside this script

    with np.load(out / f"{name}.npz") as kept:
        found = {"ids": kept["ids"], "base": kept["logits"]}
    with torch.inference_mode():
        ids = torch.from_numpy(IDS.astype(np.int64))[None]
        found["hidden"] = model.model(ids).last_hidden_state[0].float().numpy()
    for number, (which, settings) in enumerate(ADAPTERS.items()):
        torch.manual_seed(100 + number)
        config = LoraConfig(**settings, init_lora_weights=True, task_type="CAUSAL_LM")
        tuned = get_peft_model(copy.deepcopy(model), config).eval()
        with torch.no_grad():
            for key, weight in tuned.named_parameters():
                if "lora_" in key:
                    weight.normal_(0, 0.08)
        tuned.save_pretrained(out / f"{name}.{which}")
        again = PeftModel.from_pretrained(copy.deepcopy(model), out / f"{name}.{which}").eval()
        found[which] = answer(again)["logits"]
        found[f"{which}.merged"] = answer(again.merge_and_unload())["logits"]
    np.savez(out / f"{name}.npz", **found)


def main(out: Path) -> None:
    from make_tiny import build, save_folder, save_gguf

    kinds = gguf.GGMLQuantizationType
    for name, kind, changes in (
        ("qwen2", "qwen2", {"tie_word_embeddings": True}),
        ("llama", "llama", {"tie_word_embeddings": False}),
        ("qwen2-odd", "qwen2", {"hidden_size": 72, "intermediate_size": 100, "tie_word_embeddings": True}),
    ):
        model = build(kind, 31, **CALM, **changes)
        save_folder(model, out / name)
        adapted(model, out, name)
    wide = {"hidden_size": 192, "num_hidden_layers": 2, "tie_word_embeddings": True}
    for name, kind, stored in (
        ("llama-gguf-f32", "llama", (kinds.F32,)),
        ("llama-gguf-q4_1", "llama", (kinds.Q4_1,)),
        ("qwen2-gguf-mixed", "qwen2", (kinds.Q8_0, kinds.F16, kinds.Q4_0)),
    ):
        model = build(kind, 32, **CALM, **wide)
        save_gguf(model, out / name, *stored)
        adapted(model, out, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
