"""A base model held in memory between trainings and scorings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch

from ikkan.flywheel.training.tensors.network import Network
from ikkan.ground.errors import SetupNeeded, UnsupportedFormat
from ikkan.ground.settings import look_at_machine
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.store import StoredModel
from ikkan.models.values import DecoderConfig

_MULTIPLIES_BF16: Final = ("amx_bf16", "avx512_bf16")
_KINDS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Base:
    """A model that learns or judges. Weights are read at the first use, once for a kind and device."""

    def __init__(self, path: Path, name: str = "") -> None:
        self._checkpoint = open_checkpoint(path)
        config = self._checkpoint.config
        if not isinstance(config, DecoderConfig):
            raise UnsupportedFormat(
                f"a {config.family} model does not continue text, so it learns no answers",
                hint="name a chat model: ikkan model list",
                family=config.family,
            )
        self.path, self.name, self.config = path, name or path.stem, config
        self.tokenizer, self.template = self._checkpoint.tokenizer, self._checkpoint.chat_template
        self._network: Network | None = None
        self._digest = ""

    @property
    def digest(self) -> str:
        """sha256 of its weights and config."""
        if not self._digest:
            counted = hashlib.sha256()
            files = [self.path] if self.path.is_file() else sorted(self.path.glob("*.safetensors"))
            for file in [*files, *(one for one in [self.path / "config.json"] if self.path.is_dir())]:
                with file.open("rb") as content:
                    counted.update(hashlib.file_digest(content, "sha256").digest())
            self._digest = counted.hexdigest()
        return self._digest

    def network(self, dtype: str = "auto", device: str = "auto") -> Network:
        """Its weights as numbers of a kind on a device.

        Raises:
            SetupNeeded: there is no such device.
        """
        place = chosen_device(device)
        kind = chosen_dtype(dtype, place)
        if self._network is None or (self._network.dtype, self._network.device) != (kind, place):
            self._network = None  # the old weights go before the new ones come
            with torch.inference_mode(False):  # who scores first may train later
                self._network = Network(self._checkpoint, self.config, kind, place)
        return self._network

    def close(self) -> None:
        """Let go of file and weights."""
        self._network = None
        self._checkpoint.close()

    def __enter__(self) -> Base:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def chosen_device(device: str) -> torch.device:
    """The device of a plan; `auto` is CUDA where there is one.

    Raises:
        SetupNeeded: there is no such device.
    """
    wanted = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise SetupNeeded("there is no CUDA device here", hint='train with device = "cpu"', device=device)
    return torch.device("cuda", torch.cuda.current_device()) if wanted == torch.device("cuda") else wanted


def chosen_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The numbers of a plan; `auto` is bfloat16 where the processor multiplies them faster than float32."""
    if dtype != "auto":
        return _KINDS[dtype]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    processor = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(processor.get(one) for one in _MULTIPLIES_BF16) else torch.float32


@contextmanager
def threads_allowed() -> Iterator[None]:
    """On the cores we may use, and no more than the process had set, which comes back."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, look_at_machine().cores))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def opened(model: Base | StoredModel | Path | None) -> Iterator[Base | None]:
    """A base for one call; one that is open already stays open."""
    if model is None or isinstance(model, Base):
        yield model
        return
    with Base(model.path, model.name) if isinstance(model, StoredModel) else Base(Path(model)) as found:
        yield found
