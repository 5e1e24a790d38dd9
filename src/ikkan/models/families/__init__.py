"""Families: the forward pass of each kind of network, one file a family.

Lives here: the block that llama, qwen2 and qwen3 share, BERT, the KV cache.
May not enter: sampling, batching, HTTP, torch. (Contracts "Rooms are stacked" and "Tensors stay below the cloud".)
Importing this room loads numba; the gateway never does. (Contract "The gateway never loads kernels".)
Begin at `block.py`; one pass through all blocks is silicon's `kernels.stack`, what a thread does in it `kernels.walk`.
"""

from __future__ import annotations

from ikkan.ground.errors import UnsupportedFormat
from ikkan.models.checkpoint import Checkpoint
from ikkan.models.families import llama, qwen
from ikkan.models.families.bert import BertEncoder
from ikkan.models.values import Decoder, DecoderConfig, Encoder, EncoderConfig, KVBits

__all__ = ["load_decoder", "load_encoder"]

_DECODERS = {"llama": llama.load, "qwen2": qwen.load, "qwen3": qwen.load}


def load_decoder(checkpoint: Checkpoint, *, threads: int, kv_bits: KVBits = 16) -> Decoder:
    """A network that continues text, packed and ready. It keeps nothing of the checkpoint: close that afterwards.

    Args:
        threads: cores to run on.
        kv_bits: how its caches keep keys and values.

    Raises:
        UnsupportedFormat: the checkpoint is no decoder, or of a family or format that is not computed here.
        HostileFile: its tensors do not fit its config.
        NotFinite: a weight is NaN or infinite.
    """
    config = checkpoint.config
    if not isinstance(config, DecoderConfig) or config.family not in _DECODERS:
        raise UnsupportedFormat(
            f"a {config.family} model does not continue text",
            hint=f"families that do: {', '.join(_DECODERS)}",
            family=config.family,
        )
    return _DECODERS[config.family](checkpoint, config, threads=threads, kv_bits=kv_bits)


def load_encoder(checkpoint: Checkpoint) -> Encoder:
    """A network that turns texts into vectors, in float32. It keeps nothing of the checkpoint.

    Raises:
        UnsupportedFormat: the checkpoint is no encoder.
        HostileFile: its tensors do not fit its config.
        NotFinite: a weight is NaN or infinite.
    """
    config = checkpoint.config
    if not isinstance(config, EncoderConfig) or config.family != "bert":
        raise UnsupportedFormat(
            f"a {config.family} model does not embed texts", hint="families that do: bert", family=config.family
        )
    return BertEncoder(checkpoint, config)
