"""Throw mutated model files at the readers, guided by coverage, and say what came back that was no typed error.

    make fuzz                  # installs atheris into .venv-fuzz, apart from ours; two minutes a target
    python tools/fuzz.py SECONDS [TARGET ...]

Each target runs in a process of its own with bounded memory and a bounded time per input; its corpus grows in
`.cache/fuzz/TARGET`, so the next run goes on from there. Prints one JSON line a target; a finding is kept beside its
corpus, and the exit status says that there is one.
"""

from __future__ import annotations

import contextlib
import json
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HOUSE / "src"), str(HOUSE)]
MEMORY_MB, SECONDS_AN_INPUT, MOST_BYTES = 2048, 5, 60_000


def gguf_file(path: Path) -> None:
    """The header, the measurements, the tokenizer, the template, and every matrix packed as the kernels want it."""
    from ikkan.ground.errors import IkkanError
    from ikkan.models.checkpoint import open_checkpoint
    from ikkan.silicon.kernels.formats import FORMATS
    from ikkan.silicon.kernels.packed import pack

    with open_checkpoint(path) as checkpoint:
        for name in sorted(checkpoint.names):
            tensor = checkpoint.tensor(name)
            if len(tensor.shape) == 2 and tensor.format in FORMATS:
                with contextlib.suppress(IkkanError):  # one bad matrix must not hide the next
                    pack(tensor.format, tensor.raw, *tensor.shape)
        checkpoint.tokenizer.encode("hello <|im_end|>")
        assert checkpoint.chat_template is None or checkpoint.chat_template.source


def safetensors_file(path: Path) -> None:
    """The header, and every tensor of floats widened."""
    from ikkan.ground.errors import UnsupportedFormat
    from ikkan.models import safetensors

    with safetensors.read(path) as file:
        for name in file.tensors:
            with contextlib.suppress(UnsupportedFormat):
                file.float32(name)


def folder(path: Path) -> None:
    """`config.json`, `tokenizer_config.json` and `tokenizer.json`, one behind the other, a NUL between them."""
    from ikkan.models.checkpoint import open_checkpoint

    parts = path.read_bytes().split(b"\0", 2)
    for name, content in zip(("config.json", "tokenizer_config.json", "tokenizer.json"), parts, strict=False):
        (path.parent / name).write_bytes(content)
    with open_checkpoint(path.parent / "model.safetensors") as checkpoint:
        assert checkpoint.chat_template is None or checkpoint.chat_template.source
        checkpoint.tokenizer.encode("hello")


TARGETS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "gguf": ("model.gguf", gguf_file),
    "safetensors": ("one.safetensors", safetensors_file),
    "folder": ("parts", folder),
}


def seeds(target: str) -> list[bytes]:
    """Sound files, small enough to be mutated in their header."""
    if target == "gguf":
        import numpy as np
        from tests.models.conftest import tiny_gguf
        from tests.models.gguf_writer import Raw

        quantised = tiny_gguf("qwen3")
        sizes = {2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 12: 144, 13: 176, 14: 210, 30: 512}  # type number: bytes a row
        for kind, size in sizes.items():
            block = np.ones((3, size), np.uint8)
            shape = (256 if kind in (12, 13, 14, 30) else 32, 3)
            quantised.tensors = [*quantised.tensors, Raw(f"x{kind}", "F32", block, dims=shape, type_number=kind)]
        return [tiny_gguf().content(), quantised.content()]
    if target == "safetensors":
        tensors = {"a": ("F32", [4], 16), "b": ("F16", [2, 2], 8), "c": ("BF16", [2], 4), "d": ("I8", [4], 4)}
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name, (dtype, shape, size) in tensors.items():
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
            end += size
        raw = json.dumps(header).encode()
        return [struct.pack("<Q", len(raw)) + raw + bytes(end)]
    config = {
        "model_type": "qwen3", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 288,
        "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 64, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": True, "layer_types": ["full_attention"],
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "attention_bias": False,
    }  # fmt: skip
    told = {
        "eos_token": {"content": "<|im_end|>"},
        "chat_template": [{"name": "default", "template": "{{ messages }}"}],
    }
    words = {"model": {"type": "BPE", "vocab": {"h": 0, "e": 1, "he": 2}, "merges": [["h", "e"]]}, "added_tokens": []}
    return [b"\0".join(json.dumps(one).encode() for one in (config, told, words))]


def work(target: str, corpus: Path, seconds: int) -> None:
    """One target in this process, until its time is over; an input that gets another error than ours ends it."""
    import resource

    import atheris

    with atheris.instrument_imports(include=["ikkan.models", "ikkan.silicon.kernels.packed"]):
        from ikkan.ground.errors import IkkanError
        from ikkan.models import checkpoint, gguf, safetensors  # noqa: F401 - instrumented as they are imported

    name, read = TARGETS[target]
    place = Path(tempfile.mkdtemp())
    if target == "folder":
        raw = b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
        (place / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(4))
    resource.setrlimit(resource.RLIMIT_AS, (2 * MEMORY_MB << 20, 2 * MEMORY_MB << 20))

    def once(content: bytes) -> None:
        (place / name).write_bytes(content)
        with contextlib.suppress(IkkanError):
            read(place / name)

    limits = [f"-max_total_time={seconds}", f"-timeout={SECONDS_AN_INPUT}", f"-rss_limit_mb={MEMORY_MB}"]
    kept = [f"-artifact_prefix={corpus.parent}/{target}-", f"-max_len={MOST_BYTES}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, *kept, str(corpus)], once)
    atheris.Fuzz()


def main(seconds: int, targets: list[str]) -> int:
    """Run targets one after the other; 1 if any of them found something."""
    failed = 0
    for target in targets:
        corpus = HOUSE / ".cache" / "fuzz" / target
        corpus.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(seeds(target)):
            (corpus / f"seed-{number}").write_bytes(content)
        began = time.monotonic()
        command = [sys.executable, __file__, "--work", target, str(corpus), str(seconds)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        runs = re.search(r"number_of_executed_units: (\d+)", run.stderr)
        found = None if run.returncode == 0 else run.stderr[-3000:]
        failed |= found is not None
        line = {"metric": f"fuzz {target}", "inputs": int(runs[1]) if runs else 0, "unit": "inputs", "found": found}
        print(json.dumps({**line, "seconds": round(time.monotonic() - began)}), flush=True)
    return int(failed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        wanted = sys.argv[1:] or ["120"]
        sys.exit(main(int(wanted[0]), wanted[1:] or list(TARGETS)))
