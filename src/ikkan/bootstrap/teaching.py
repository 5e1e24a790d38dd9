"""This home's chat model in this process, for learning: opened at the first lesson, and let go of after a while."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from ikkan.bootstrap.names import DEFAULTS
from ikkan.bootstrap.writing import ask, write
from ikkan.flywheel.training import Lesson, Likelihood, Plan, Trained, Turn, likelihoods, open_base, train
from ikkan.ground.errors import NotFound, SetupNeeded
from ikkan.ground.settings import Settings
from ikkan.models.store import ModelStore, StoredModel
from ikkan.silicon.lease import DeviceLease

if TYPE_CHECKING:
    from ikkan.flywheel.training.tensors.base import Base

log = logging.getLogger(__name__)

_ALIAS: Final = DEFAULTS[0][0]
_IDLE_S: Final = 60.0
"""After so long without a lesson the model leaves the memory."""
_PATIENCE_S: Final = 3_600.0
"""How long to wait for another training to end."""
_CONTEXT: Final = 1_024
_SLOTS: Final = 8


class HomeChatModel:
    """A `kit.taught.Taught`: the model that answers for `default` in this home, in turns between people's answers.

    Args:
        is_serving: this process answers people: it writes nothing itself, because that loads kernels.
    """

    def __init__(self, store: ModelStore, settings: Settings, *, is_serving: bool = False) -> None:
        self._store = store
        self._lease = settings.run_dir / "device.lease"
        self._threads = settings.engine_threads
        self._engine_url = settings.engine_url
        self._shared = settings.artifacts_dir / ".shown"
        self._may_write = not is_serving
        self._using = threading.RLock()
        self._opened: tuple[StoredModel, Base] | None = None
        self._leaving: threading.Timer | None = None

    @property
    def name(self) -> str:
        """See `Taught.name`."""
        return self._stored().name

    @property
    def digest(self) -> str:
        """See `Taught.digest`."""
        return self._stored().sha256

    def train(self, lessons: Sequence[Lesson], plan: Plan) -> Trained:
        """See `Taught.train`."""
        with self._base() as (base, breathe):
            return train(base, lessons, plan, breathe=breathe)

    def likelihoods(
        self, adapter_files: Mapping[str, bytes] | None, lessons: Sequence[Lesson], *, max_tokens: int
    ) -> Sequence[Likelihood]:
        """See `Taught.likelihoods`."""
        with self._base() as (base, breathe):
            return likelihoods(base, adapter_files, lessons, max_tokens=max_tokens, breathe=breathe)

    def write(
        self, adapter_files: Mapping[str, bytes] | None, conversations: Sequence[Sequence[Turn]], *, max_tokens: int
    ) -> Sequence[str]:
        """See `Taught.write`. This home's engine writes where it runs; else one of this process, if it may."""
        asked = [[{"role": turn.role, "content": turn.content} for turn in turns] for turns in conversations]
        told = ask(
            self._engine_url, self._shared, adapter_files, asked, model=_ALIAS, max_tokens=max_tokens, at_once=_SLOTS
        )
        if told is not None or not self._may_write:
            return told or [""] * len(asked)
        with self._using:
            return write(
                self._stored().path,
                adapter_files,
                asked,
                max_tokens=max_tokens,
                threads=self._threads,
                context_tokens=_CONTEXT,
                at_once=_SLOTS,
                lease=DeviceLease(self._lease),
            )

    def _stored(self) -> StoredModel:
        aliases = self._store.aliases()
        if _ALIAS not in aliases:
            raise SetupNeeded("there is no chat model here to be taught", hint="ikkan model pull default")
        with suppress(NotFound):
            return self._store.get(aliases[_ALIAS])
        raise SetupNeeded(f"the model {aliases[_ALIAS]!r} is gone", hint="ikkan model list")

    @contextmanager
    def _base(self) -> Iterator[tuple[Base, Callable[[], None]]]:
        """The model in memory, and the processor."""
        with self._using:
            self._stay()
            stored = self._stored()
            if self._opened is None or self._opened[0].sha256 != stored.sha256:
                self._leave()
                self._opened = (stored, open_base(stored))
            self._lease.parent.mkdir(parents=True, exist_ok=True)
            with DeviceLease(self._lease).background(patience_s=_PATIENCE_S) as turn:

                def breathe() -> None:
                    turn.breathe()

                yield self._opened[1], breathe
            self._leaving = threading.Timer(_IDLE_S, self._leave)
            self._leaving.daemon = True
            self._leaving.start()

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def _leave(self) -> None:
        with self._using:
            if self._opened is not None:
                self._opened[1].close()
                self._opened = None


def home_chat_model(store: ModelStore, settings: Settings, *, is_serving: bool = False) -> HomeChatModel | None:
    """The chat model of this home, or None where none was pulled."""
    return HomeChatModel(store, settings, is_serving=is_serving) if _ALIAS in store.aliases() else None
