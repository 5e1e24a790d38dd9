"""Qwen2 and Qwen2.5: the same block with a bias on q, k and v; q and k are half-split in every file."""

from __future__ import annotations

from ikkan.ground.errors import UnsupportedFormat
from ikkan.models.families import block
from ikkan.models.families.weights import HasTensors
from ikkan.models.values import Decoder, DecoderConfig


def load(checkpoint: HasTensors, config: DecoderConfig, *, threads: int) -> Decoder:
    """A qwen2 decoder; raises what `block.load` raises."""
    if config.rope_style != "half_split":
        raise UnsupportedFormat("a qwen2 with interleaved rotations is not computed here")
    return block.load(checkpoint, config, threads=threads)
