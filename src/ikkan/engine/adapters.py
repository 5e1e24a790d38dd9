"""The adapters that are loaded: by name to requests, by number to the decoder.

Loading and unloading wait for no answer and stop none. An answer holds its adapter from the moment it is asked for; a
name that is unloaded or loaded again meanwhile means something else to those who come later.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ikkan.engine.values import HeldAdapter
from ikkan.ground.errors import BadInput, Conflict, NotAllowed, NotFound, RequestTooLarge, UnknownModel
from ikkan.models.adapters import WEIGHTS, Adapter, LowRank, module_shape, read_adapter
from ikkan.models.values import Decoder

log = logging.getLogger(__name__)

MOST: Final = 32
"""Adapters that may be loaded at the same time, unless told otherwise."""
MOST_BYTES: Final = 2 << 30
"""Of an adapter's file."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """An adapter that requests may name."""

    name: str
    folder: Path
    """Where it was read from."""
    held: HeldAdapter
    rank: int
    base: str
    """What its file says it was trained on; empty when it does not say."""
    loaded_at: float
    """Seconds since 1970."""


class AdapterShelf:
    """The adapters of one decoder. Safe to use from any thread.

    Args:
        folders: what a request may load lies below one of these.
        reserved: names that mean something else here.
        most: how many may be loaded at the same time.
    """

    def __init__(
        self, decoder: Decoder, *, folders: Sequence[Path] = (), reserved: Iterable[str] = (), most: int = MOST
    ) -> None:
        self._decoder = decoder
        self._folders = tuple(folders)
        self._reserved = frozenset(reserved)
        self._most = most
        self._one_at_a_time = threading.Lock()
        self._lock = threading.Lock()  # guards everything below
        self._loaded: dict[str, LoadedAdapter] = {}
        self._holders: dict[int, int] = {}
        """By number: how many answers hold it, and one for its name."""
        self._count = 0

    def warm_up(self) -> None:
        """Have the decoder ready for adapters, so that the first need not wait for kernels to compile."""
        config = self._decoder.config
        rows, cols = module_shape(config, "o")
        nothing = LowRank(np.zeros((1, cols), np.float32), np.zeros((rows, 1), np.float32), 1.0)
        self._decoder.unload_adapter(self._decoder.load_adapter(Adapter(config.layers, {(0, "o"): nothing}, "")))

    def list(self) -> list[LoadedAdapter]:
        """Those that can be asked for, the oldest first."""
        with self._lock:
            return list(self._loaded.values())

    def find(self, name: str) -> LoadedAdapter | None:
        """The adapter of this name."""
        with self._lock:
            return self._loaded.get(name)

    def hold(self, name: str) -> HeldAdapter:
        """An adapter for one answer; see `Adapters.hold`."""
        with self._lock:
            if name not in self._loaded:
                raise UnknownModel(f"no adapter named {name[:100]!r} is loaded", hint="GET /v1/models", param="model")
            held = self._loaded[name].held
            self._holders[held.number] += 1
            return held

    def let_go(self, held: HeldAdapter) -> None:
        """An answer is complete; see `Adapters.let_go`."""
        with self._lock:
            self._holders[held.number] -= 1
            if self._holders[held.number]:
                return
            del self._holders[held.number]
        self._decoder.unload_adapter(held.number)

    def load(
        self, name: str, path: str | Path, *, in_place: bool = False, from_anywhere: bool = False
    ) -> LoadedAdapter:
        """Read an adapter and give it a name. Whatever goes wrong, everything stays as it was.

        Args:
            path: its folder, absolute or below one of the allowed folders.
            in_place: if the name is taken, it means the new one from now on.
            from_anywhere: whoever asks may read any folder: it is the person who started the process.

        Raises:
            BadInput: no name for an adapter, or it is taken.
            NotAllowed: the folder is none of those that requests may load from.
            BadFile, NotFound: it cannot be read, or does not fit the model.
            RequestTooLarge: its file is larger than is ever loaded.
            Conflict: as many are loaded as may be.
        """
        with self._one_at_a_time:
            self._check_name(name, in_place)
            folder = Path(path).absolute() if from_anywhere else self._allowed(str(path))
            try:
                size = (folder / WEIGHTS).stat().st_size if (folder / WEIGHTS).is_file() else 0
                if size > MOST_BYTES:
                    raise RequestTooLarge(f"{WEIGHTS} has {size:,} bytes; at most {MOST_BYTES:,}", hint="a lower rank")
                started_s = time.monotonic()
                adapter = read_adapter(folder, self._decoder.config)
            except OSError as exc:
                raise NotFound(f"{folder.name} cannot be read: {exc.strerror}", hint="check who may read it") from exc
            number = self._decoder.load_adapter(adapter)
            with self._lock:
                self._count += 1
                before = self._loaded.pop(name, None)
                made = LoadedAdapter(
                    name, folder, HeldAdapter(number, f"{name}#{self._count}"), adapter.rank, adapter.base, time.time()
                )
                self._loaded[name] = made
                self._holders[number] = 1
            took_s = time.monotonic() - started_s
            log.info(
                "adapter loaded", extra={"rank": adapter.rank, "bytes": adapter.bytes, "after_s": round(took_s, 3)}
            )
        if before is not None:
            self.let_go(before.held)
        return made

    def unload(self, name: str) -> None:
        """Take a name away. Answers that began with the adapter end with it; its memory is free after the last.

        Raises:
            UnknownModel: there is no such adapter.
        """
        with self._lock:
            before = self._loaded.pop(name, None)
        if before is None:
            raise UnknownModel(f"no adapter named {name[:100]!r} is loaded", hint="GET /v1/models", param="lora_name")
        self.let_go(before.held)

    def _check_name(self, name: str, in_place: bool) -> None:
        if not _NAME.fullmatch(name) or name in self._reserved:
            raise BadInput(
                f"{name[:100]!r} cannot be an adapter's name",
                hint="up to 128 letters, digits and ._:/@+- that name no model here",
                param="lora_name",
            )
        with self._lock:
            is_taken, count = name in self._loaded, len(self._loaded)
        if is_taken and not in_place:
            raise BadInput(
                f"an adapter named {name!r} is loaded already",
                hint='unload it first, or send "load_inplace": true',
                param="lora_name",
            )
        if not is_taken and count >= self._most:
            raise Conflict(f"{count} adapters are loaded; at most {self._most} may be", hint="unload one first")

    def _allowed(self, path: str) -> Path:
        """A request's folder, links followed; what lies elsewhere is refused alike, whether it is there or not."""
        roots = [root.resolve() for root in self._folders]
        if path and "\0" not in path:
            for wanted in [Path(path)] if Path(path).is_absolute() else [root / path for root in roots]:
                try:
                    found = wanted.resolve()
                    is_there = found.is_dir()
                except (OSError, RuntimeError):  # names too long; links in a circle
                    continue
                if any(found.is_relative_to(root) for root in roots) and (is_there or Path(path).is_absolute()):
                    return found
        raise NotAllowed(
            "adapters are loaded from this engine's own folders",
            hint="put it below the home's models or artifacts, or start with --adapter-folder PATH",
            param="lora_path",
        )
