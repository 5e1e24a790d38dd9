"""An engine with everything beside answers: adapters, likelihoods, ranking, vectors of the chat model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ikkan.engine.adapters import AdapterShelf
from ikkan.engine.embedder import Embedder
from ikkan.engine.engine import Engine
from ikkan.engine.fakes import FakeDecoder, FakeEncoder, fake_template, fake_tokenizer
from ikkan.engine.scoring import Scorer
from ikkan.engine.server import create_app

from .conftest import Served


def write_adapter(folder: Path, *, seed: int = 0, rows: int = 8, **fields: Any) -> Path:
    """An adapter of the fake decoder's one layer, as PEFT would write it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "fake", **fields}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    random, at = np.random.default_rng(seed), "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    halves = {"A": random.normal(size=(2, 8)), "B": random.normal(size=(rows, 2))}
    save_file(
        {f"{at}{half}.weight": one.astype(np.float32) for half, one in halves.items()},
        folder / "adapter_model.safetensors",
    )
    return folder


class ServedWhole(Served):
    """The same with adapters from one folder, a scorer, and if wanted an embedder and vectors of the chat model."""

    def __init__(self, engine: Engine, decoder: FakeDecoder, shelf: AdapterShelf, *, with_embedder: bool) -> None:
        super().__init__(engine, decoder)
        self.shelf, self.scorer = shelf, Scorer(engine, decoder)
        embedder = Embedder(FakeEncoder(), fake_tokenizer()) if with_embedder else None
        self._app = create_app(
            engine,
            embedder,
            "tiny",
            ["default"],
            embedder_name="tiny-embed",
            scorer=self.scorer,
            shelf=shelf,
            pooling="last" if with_embedder else None,
        )

    @property
    def app(self) -> Any:
        return self._app


@contextmanager
def serving_whole(
    folder: Path, decoder: FakeDecoder | None = None, *, with_embedder: bool = True, most: int = 4, **options: Any
) -> Iterator[ServedWhole]:
    decoder = decoder or FakeDecoder()
    shelf = AdapterShelf(decoder, folders=[folder], reserved=["tiny", "default", "tiny-embed"], most=most)
    settings = {"max_batch": 4, "context_tokens": 400, "max_waiting": 6, "adapters": shelf, **options}
    engine = Engine(decoder, fake_tokenizer(), fake_template(), **settings)
    with ServedWhole(engine, decoder, shelf, with_embedder=with_embedder) as served:
        yield served
