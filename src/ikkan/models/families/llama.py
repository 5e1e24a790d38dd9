"""Llama and those built like it (SmolLM2): the plain block, no biases.

Its GGUF files keep the rows of q and k interleaved for the rotation; `plain.half_split` puts them right at load.
"""

from __future__ import annotations

from ikkan.ground.errors import UnsupportedFormat
from ikkan.models.families import block
from ikkan.models.families.weights import HasTensors
from ikkan.models.values import Decoder, DecoderConfig, KVBits


def load(checkpoint: HasTensors, config: DecoderConfig, *, threads: int, kv_bits: KVBits = 16) -> Decoder:
    """A llama decoder; raises what `block.load` raises."""
    if config.qkv_bias:
        raise UnsupportedFormat("a llama with biases in its attention is not computed here")
    return block.load(checkpoint, config, threads=threads, kv_bits=kv_bits)
