"""This home's embedding model in this process, for learning: opened at the first text, and not before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ikkan.bootstrap.names import DEFAULTS
from ikkan.flywheel.training import Sorter, SortingPlan, can_train, learn_to_sort
from ikkan.models.store import ModelStore
from ikkan.models.tokenizer import Tokenizer
from ikkan.models.values import Encoder, EncoderPairs
from ikkan.silicon.lease import DeviceLease

Vectors: TypeAlias = NDArray[np.float32]

_ALIAS = DEFAULTS[1][0]
_PATIENCE_S: Final = 3_600.0
"""How long to wait for another training to end."""


class HomeEmbedder:
    """Texts to vectors of unit length. Texts longer than the model reads are cut. Implements `kit.taught.Tunes`.

    Args:
        lease: the file by which engine and trainers of this machine take turns.
    """

    def __init__(self, store: ModelStore, lease: Path) -> None:
        self._store = store
        self._lease = lease
        self._opened: tuple[Encoder, Tokenizer] | None = None
        self._opening = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Vectors `(n, width)`."""
        return _vectors(*self._open(), texts)

    @property
    def can_learn(self) -> bool:
        """See `Tunes.can_learn`."""
        return can_train()

    def learn(self, texts: Sequence[str], classes: Sequence[int], count: int, plan: SortingPlan) -> Sorter:
        """See `Tunes.learn`."""
        self._lease.parent.mkdir(parents=True, exist_ok=True)
        with DeviceLease(self._lease).background(patience_s=_PATIENCE_S) as turn:
            return learn_to_sort(self._store.resolve(_ALIAS), texts, classes, count, plan, breathe=turn.breathe)

    def adapted(self, pairs: EncoderPairs) -> Callable[[Sequence[str]], Vectors]:
        """See `Tunes.adapted`."""
        changed: list[Encoder] = []

        def embed(texts: Sequence[str]) -> Vectors:
            encoder, tokenizer = self._open()
            if not changed:
                changed.append(encoder.adapted(pairs))
            return _vectors(changed[0], tokenizer, texts)

        return embed

    def _open(self) -> tuple[Encoder, Tokenizer]:
        with self._opening:
            if self._opened is None:
                # Importing the families compiles kernels; a gateway, which never learns, is spared that.
                from ikkan.models.checkpoint import open_checkpoint
                from ikkan.models.families import load_encoder

                with open_checkpoint(self._store.resolve(_ALIAS)) as checkpoint:
                    self._opened = load_encoder(checkpoint), checkpoint.tokenizer
            return self._opened


def _vectors(encoder: Encoder, tokenizer: Tokenizer, texts: Sequence[str]) -> Vectors:
    return encoder.embed([tokenizer.encode_for_embedding(text, encoder.context) for text in texts])


def home_embedder(store: ModelStore, lease: Path) -> HomeEmbedder | None:
    """The embedder of this home, or None where none was pulled."""
    return HomeEmbedder(store, lease) if _ALIAS in store.aliases() else None
