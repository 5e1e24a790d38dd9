"""Write what `transformers` says a BERT encoder's sentence embeddings are. Run as a script, in a process of its own.

`make_embeddings.py MODEL_FOLDER OUT.npz` uses the weights in the folder, `make_embeddings.py --tiny FOLDER OUT.npz` a
random network that it writes to the folder first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertModel

TEXTS = [
    "How do I return a parcel?",
    "The harbour office opens at seven, before the first ferry and long before the first tourist.",
    "配送状況は、メールに記載の番号でいつでもご確認いただけます。",
    "def merge(intervals: Iterable[Interval]) -> list[Interval]:",
    "a",
    "Where is my order? " * 40,
    "Ünïcode wörds, 100% of them – and an emoji 🙂.",
]
TINY_IDS = [[2, 9, 4, 3], [2, 3], list(range(1, 60)), [5]]


def embed(model: Any, ids: list[int]) -> np.ndarray[Any, Any]:
    """Mean over all tokens, scaled to length one, as sentence-transformers does."""
    with torch.inference_mode():
        hidden = model(torch.tensor([ids])).last_hidden_state[0]
        mean = hidden.mean(dim=0)
        return (mean / mean.norm()).numpy()


def tiny(folder: Path) -> Any:
    torch.manual_seed(3)
    model = BertModel(
        BertConfig(
            vocab_size=64, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=80,
            max_position_embeddings=64, initializer_range=0.2,
        )
    ).eval()  # fmt: skip
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.3)
    model.save_pretrained(folder)
    return model


def main(arguments: list[str]) -> None:
    if arguments[0] == "--tiny":
        folder, out = Path(arguments[1]), Path(arguments[2])
        model, ids = tiny(folder), TINY_IDS
    else:
        from tokenizers import Tokenizer

        folder, out = Path(arguments[0]), Path(arguments[1])
        model = BertModel.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        ids = [tokenizer.encode(text).ids for text in TEXTS]
    embeddings = np.stack([embed(model, one) for one in ids])
    np.savez(out, ids=np.array(json.dumps(ids)), embeddings=embeddings)


if __name__ == "__main__":
    main(sys.argv[1:])
