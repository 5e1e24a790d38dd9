"""Qwen2, Qwen2.5 and Qwen3: the same block, q and k half-split in every file.

Qwen2 has a bias on q, k and v. Qwen3 has none; instead every head of q and k passes an RMS norm before it is turned,
and a head may be of another size than its share of the width.
"""

from __future__ import annotations

from ikkan.ground.errors import UnsupportedFormat
from ikkan.models.families import block
from ikkan.models.families.weights import HasTensors
from ikkan.models.values import Decoder, DecoderConfig, KVBits


def load(checkpoint: HasTensors, config: DecoderConfig, *, threads: int, kv_bits: KVBits = 16) -> Decoder:
    """A qwen2 or qwen3 decoder; raises what `block.load` raises."""
    if config.rope_style != "half_split":
        raise UnsupportedFormat(f"a {config.family} with interleaved rotations is not computed here")
    if config.qk_norm and config.qkv_bias:
        raise UnsupportedFormat(f"a {config.family} with biases in its attention is not computed here")
    return block.load(checkpoint, config, threads=threads, kv_bits=kv_bits)
