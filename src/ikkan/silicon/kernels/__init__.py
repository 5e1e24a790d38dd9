"""Kernels: the arithmetic of language models, in Python that compiles to this processor's own instructions.

Lives here: packed weights and their multiplication, attention over pages, adapters, norms and activations; and, for
whoever writes a whole forward pass as one parallel region, the steps it is made of (`steps`, `attend`, `team`). Prompts
have steps of their own where there are matrix registers (`prompts`), caches of eight bits theirs (`narrow`).
May not enter: names of tensors, families of models, files.
Begin at `formats.py` (how weights lie in memory), then `tiles.py` (the inner loop), then `steps.py`.

One compute thread at a time: `team.LOCK` guards every parallel region. Importing this package imports numba (0.4 s)
and compiles nothing; the first call compiles (seconds) or loads what an earlier run compiled.
"""

from ikkan.silicon.kernels import steps, team
from ikkan.silicon.kernels.cache import (
    KeyValues,
    RopeStyle,
    attention,
    new_cache,
    rope,
    rope_tables,
    store_keys_values,
)
from ikkan.silicon.kernels.elementwise import gelu, layer_norm, rms_norm, softmax, swiglu
from ikkan.silicon.kernels.formats import FORMATS, Format
from ikkan.silicon.kernels.memory import aligned
from ikkan.silicon.kernels.multiply import get_path, matmul, set_path
from ikkan.silicon.kernels.packed import PackedMatrix, dequantize, pack, pack_f32, rows
from ikkan.silicon.kernels.team import get_threads, set_threads
from ikkan.silicon.kernels.tiles import PATHS, available_paths

__all__ = [
    "FORMATS",
    "PATHS",
    "Format",
    "KeyValues",
    "PackedMatrix",
    "RopeStyle",
    "aligned",
    "attention",
    "available_paths",
    "dequantize",
    "gelu",
    "get_path",
    "get_threads",
    "layer_norm",
    "matmul",
    "new_cache",
    "pack",
    "pack_f32",
    "rms_norm",
    "rope",
    "rope_tables",
    "rows",
    "set_path",
    "set_threads",
    "softmax",
    "steps",
    "store_keys_values",
    "swiglu",
    "team",
]
