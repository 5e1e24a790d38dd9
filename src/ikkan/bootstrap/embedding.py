"""This home's embedding model in this process, for learning: opened at the first text, and not before."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ikkan.bootstrap.names import DEFAULTS
from ikkan.models.store import ModelStore
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import Encoder

_ALIAS = DEFAULTS[1][0]


class HomeEmbedder:
    """Texts to vectors of unit length. Texts longer than the model reads are cut."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._opened: tuple[Encoder, Tokenizer] | None = None
        self._opening = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors `(n, width)`."""
        encoder, tokenizer = self._open()
        return encoder.embed([tokenizer.encode_for_embedding(text, encoder.context) for text in texts])

    def _open(self) -> tuple[Encoder, Tokenizer]:
        with self._opening:
            if self._opened is None:
                # Importing the families compiles kernels; a gateway, which never learns, is spared that.
                from ikkan.models.checkpoint import open_checkpoint
                from ikkan.models.families import load_encoder

                with open_checkpoint(self._store.resolve(_ALIAS)) as checkpoint:
                    self._opened = load_encoder(checkpoint), checkpoint.tokenizer
            return self._opened


def home_embedder(store: ModelStore) -> HomeEmbedder | None:
    """The embedder of this home, or None where none was pulled."""
    return HomeEmbedder(store) if _ALIAS in store.aliases() else None
