"""Models: what a model file says, where models come from, and which one is champion.

Lives here: readers of GGUF and safetensors, tokenizers, chat templates, the store of pulled models, the registry of
champions, and one file a family of networks under `families/`.
May not enter: tenants, prices, requests, training (contract "Rooms are stacked"); pickles and code from model files
(`tests/models/test_a_file_may_lie.py`, `tests/models/test_a_template_may_be_hostile.py`). Importing this package loads
no kernel: only `families/` touches numba (`tests/models/test_signs.py`).
Begin at `values.py`, then `checkpoint.py`: one model file as one thing.
"""

from ikkan.models.values import (
    Decoder,
    DecoderConfig,
    Encoder,
    EncoderConfig,
    KVCache,
    RawTensor,
    RopeStyle,
)

__all__ = ["Decoder", "DecoderConfig", "Encoder", "EncoderConfig", "KVCache", "RawTensor", "RopeStyle"]
