"""Who races, and with what: our own process and the peers' environment, each with its surroundings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ikkan import bootstrap
from ikkan.cli.bench import files
from ikkan.cli.bench.race import Entry
from ikkan.ground.settings import Settings

OURS: Final = "ikkan"
_PEERS: Final = {"llama.cpp": "llama_native", "xllamacpp": "llama_wheel", "openvino": "openvino_genai"}
_AVX2: Final[Mapping[str, Mapping[str, Any]]] = {
    # The path is the tiles'; the rest of a forward pass is written by the compiler, for the processor it is told. That
    # compiler must know how to spell AMX, which other paths compile and do not use.
    OURS: {
        "kernel_path": "avx2",
        "environ": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+amx-tile,+amx-int8,+amx-bf16"},
    },
    "xllamacpp": {},  # the wheel has nothing wider
    "openvino": {
        "environ": {"ONEDNN_MAX_CPU_ISA": "AVX2"},  # read when its library is loaded
        # It asks the processor itself which precisions it has, and then finds no AVX2 kernel for them.
        "properties": {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"},
    },
}
"""How each is held to AVX2. The native build cannot be: its instructions were chosen when it was compiled."""
_SAMPLE: Final = "smollm2-135m-instruct"
_SERVED_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Model:
    """A file and what a token costs with it."""

    path: Path
    vocab: int
    context: int
    weights: int
    """In all matrices that a token is multiplied with."""
    bytes: int
    """What those take in the file, which is what a decoder has to read for a token."""
    repeated: int
    """Of the weights, those that are multiplied for every token of a prompt: all but the vocabulary's."""


def peers_folder(given: Path | None) -> Path:
    """The peers' environment: as given, else in this folder, else beside the source of this installation."""
    places = [Path(".venv-peers"), Path(__file__).parents[4] / ".venv-peers"]
    return given or next((place for place in places if place.exists()), places[0])


def entries(
    settings: Settings, peers: Path, purpose: str, mark: str, *, threads: int, only_ours: bool = False
) -> list[Entry]:
    """Everyone who takes part in some work, ours first."""
    ours = bootstrap.environ() | {"MALLOC_ARENA_MAX": "2", "IKKAN_HOME": str(settings.home)}
    if purpose != "serving" and purpose != "copying":  # a server finds its folder itself
        ours["NUMBA_CACHE_DIR"] = bootstrap.kernel_cache(settings)
    theirs = {name: value for name, value in bootstrap.environ().items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    theirs["OMP_NUM_THREADS"] = str(threads)
    held = _AVX2 if mark == "avx2" else {}
    path = "" if settings.kernel_path == "auto" else settings.kernel_path
    mine = {"kernel_path": path, **held.get(OURS, {})}
    found = [Entry(OURS, "ours", Path(sys.executable), ours | mine.get("environ", {}), mine)]
    if only_ours:
        return found
    python = peers.absolute() / "bin" / "python"
    for name, program in _PEERS.items():
        if not held or name in held:
            more = held.get(name, {})
            found.append(Entry(name, program, python, theirs | more.get("environ", {}), more))
    return found


def job(purpose: str, model: Model, threads: int, tokens: int, slots: int) -> dict[str, Any]:
    """What every contender is told when it starts."""
    context = min(model.context, -(-tokens // 256) * 256)
    return {
        "purpose": purpose,
        "model": str(model.path.absolute()),
        "threads": threads,
        "context": context,
        "slots": min(max(slots, 1), _SERVED_AT_ONCE),
        "variant": {},
    }


def model(settings: Settings, name: str) -> Model:
    """The file of a name in the table, written or looked up; a path stands for itself.

    Raises:
        NotFound: the sample model is not stored here, or there is no such file.
    """
    folder = settings.home / "cache" / "bench"
    size, _, format = name.partition("-")
    if size in files.SHAPES:
        path = files.shaped(folder, size, format.upper())
    elif name in ("135m-q4_1", "135m-q4_0"):
        path = bootstrap.model_store(settings).resolve(_SAMPLE)
        path = files.requantized(folder, path) if name == "135m-q4_0" else path
    else:
        path = Path(name)
    return measured(path)


def measured(path: Path) -> Model:
    """A file with what a token costs; the same for every program that reads it."""
    from ikkan.models.checkpoint import open_checkpoint
    from ikkan.models.values import DecoderConfig

    with open_checkpoint(path) as checkpoint:
        config = checkpoint.config
        assert isinstance(config, DecoderConfig), path
        output = "token_embd.weight" if config.tied_embeddings else "output.weight"
        matrices = [checkpoint.tensor(name) for name in sorted(checkpoint.names)]
        matrices = [one for one in matrices if len(one.shape) == 2 and one.name.startswith(("blk.", output))]
        counts = {one.name: int(np.prod(one.shape)) for one in matrices}
        total = sum(counts.values())
        return Model(
            path=path,
            vocab=config.vocab,
            context=config.context,
            weights=total,
            bytes=sum(one.raw.nbytes for one in matrices),
            repeated=total - counts[output],
        )


def copying(path: Path, text: str, answer: int) -> tuple[list[int], list[int]]:
    """A prompt that says a text twice and begins a third time, and what a model that copies answers: the rest of it.

    Asked to repeat a text, a model of 135M writes something else; shown a text twice, it copies it word for word.
    """
    from ikkan.models.checkpoint import open_checkpoint

    with open_checkpoint(path) as checkpoint:
        tokenizer = checkpoint.tokenizer
    once = tokenizer.encode(" ".join(text.split()) + "\n\n")
    return once * 2 + once[:4], once[4 : 4 + answer]


def tokens_of(path: Path, text: str) -> list[int]:
    """A text as the model's tokens."""
    from ikkan.models.checkpoint import open_checkpoint

    with open_checkpoint(path) as checkpoint:
        return checkpoint.tokenizer.encode(text)
