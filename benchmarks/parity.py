"""How closely the decoder agrees with `transformers` on the same weights, token by token.

    .venv/bin/python benchmarks/parity.py [MODEL.gguf] [--json FILE]

The reference dequantises the same GGUF to float32 and reads mixed text (`parity_text.json`: prose, code, Japanese, a
chat) with teacher forcing. It runs in a process of its own and its log-probabilities are kept under
`~/.cache/ikkan-tests`, because computing them takes a minute and torch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
TEXT = HERE / "parity_text.json"
CACHE = Path.home() / ".cache" / "ikkan-tests"


@dataclass(frozen=True, slots=True)
class Reference:
    """What `transformers` says: token ids of every text and, row by row, the float32 logits after each token."""

    ids: tuple[NDArray[np.int32], ...]
    logits: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, slots=True)
class Parity:
    """Agreement over all rows of all texts."""

    tokens: int
    top1: float
    """Share of rows whose most likely token is the same."""
    mean_kl: float
    """Mean KL(reference || ours) in nats."""
    max_kl: float
    widest_disputed_margin: float
    """The largest gap between the reference's first and second logit among rows that disagree."""
    median_margin: float
    """The same gap's median over all rows, for scale."""


def reference(model: Path, *, cache: Path = CACHE) -> Reference:
    """The reference's logits for `model`, computed in a child process the first time and kept in `cache`."""
    digest = hashlib.sha256(TEXT.read_bytes())
    with model.open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    path = cache / f"logits-{digest.hexdigest()[:16]}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, __file__, str(model), "--write-reference", str(path)], check=True)
    with np.load(path) as kept:
        names = sorted(name.removeprefix("ids_") for name in kept if name.startswith("ids_"))
        return Reference(tuple(kept[f"ids_{name}"] for name in names), tuple(kept[f"logits_{name}"] for name in names))


def write_reference(model: Path, path: Path) -> None:
    """Read every text with torch and save ids and logits; written whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model.parent), gguf_file=model.name)
    network = AutoModelForCausalLM.from_pretrained(str(model.parent), gguf_file=model.name, dtype=torch.float32)
    kept: dict[str, Any] = {}
    with torch.inference_mode():
        for name, text in json.loads(TEXT.read_text("utf-8")).items():
            ids = tokenizer(text, return_tensors="pt").input_ids
            kept[f"ids_{name}"] = ids[0].numpy().astype(np.int32)
            kept[f"logits_{name}"] = network(ids).logits[0].float().numpy()
    partial = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(partial, **kept)
    partial.replace(path)


def compare(expected: NDArray[np.float32], got: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Row by row: KL(expected || got), whether the first choice agrees, and the reference's margin."""
    p, q = _log_softmax(expected), _log_softmax(got)
    kl = np.sum(np.exp(p) * (p - q), axis=1)
    second, first = np.sort(np.partition(expected, -2, axis=1)[:, -2:], axis=1).T
    return {"kl": kl, "agree": expected.argmax(1) == got.argmax(1), "margin": first - second}


def measure(decoder: Any, expected: Reference, *, as_prompt: bool = False) -> Parity:
    """Teacher-force every text through `decoder`, each in a slot of its own, and compare all rows."""
    longest = max(len(ids) for ids in expected.ids)
    cache = decoder.new_cache(len(expected.ids), longest)
    rows: list[dict[str, NDArray[Any]]] = []
    for slot, (ids, logits) in enumerate(zip(expected.ids, expected.logits, strict=True)):
        positions = np.arange(len(ids), dtype=np.int32)
        slots, prompt = np.full(len(ids), slot, dtype=np.int32), np.full(len(ids), as_prompt)
        got = decoder.forward(ids, slots, positions, cache, positions, None, prompt)
        rows.append(compare(logits, got))
    kl, agree, margin = (np.concatenate([row[key] for row in rows]) for key in ("kl", "agree", "margin"))
    disputed = margin[~agree]
    return Parity(
        tokens=len(kl),
        top1=float(agree.mean()),
        mean_kl=float(kl.mean()),
        max_kl=float(kl.max()),
        widest_disputed_margin=float(disputed.max()) if len(disputed) else 0.0,
        median_margin=float(np.median(margin)),
    )


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="append the lines to this file as well")
    parser.add_argument("--write-reference", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write_reference:
        write_reference(arguments.model, arguments.write_reference)
        return

    from ikkan.models.checkpoint import open_checkpoint
    from ikkan.models.families import load_decoder

    model = arguments.model
    expected = reference(model)
    with open_checkpoint(model) as checkpoint:
        decoder = load_decoder(checkpoint, threads=arguments.threads)
    found = asdict(measure(decoder, expected))
    if decoder.reads_prompts_apart:
        as_prompt = asdict(measure(decoder, expected, as_prompt=True))
        found |= {f"prompt.{metric}": value for metric, value in as_prompt.items() if metric != "tokens"}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    units = {"tokens": "tokens", "top1": "share", "mean_kl": "nats", "max_kl": "nats"}
    for metric, value in found.items():
        line = json.dumps(
            {
                "metric": f"parity.{metric}",
                "unit": units.get(metric.removeprefix("prompt."), "logits"),
                "value": value,
                "model": model.name,
                "commit": commit.stdout.strip(),
                "machine": platform.processor() or platform.machine(),
            }
        )
        print(line)
        if arguments.json:
            with arguments.json.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
