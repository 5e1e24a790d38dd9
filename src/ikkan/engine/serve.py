"""The engine's process: a model file in, the OpenAI wire on a port out."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ikkan.engine.adapters import AdapterShelf
from ikkan.engine.embedder import Embedder
from ikkan.engine.engine import Engine
from ikkan.engine.scoring import Pooling, Scorer
from ikkan.engine.server import create_app
from ikkan.engine.values import Lease
from ikkan.ground import asgi
from ikkan.ground.errors import BadInput, Internal
from ikkan.models.checkpoint import open_checkpoint
from ikkan.models.values import Decoder, DecoderConfig, EncoderConfig, KVBits

log = logging.getLogger(__name__)


def run(
    model_path: Path,
    *,
    host: str,
    port: int,
    threads: int,
    embedder_path: Path | None = None,
    names: Sequence[str] = (),
    embedder_names: Sequence[str] = (),
    context_tokens: int = 2048,
    max_batch: int = 8,
    max_waiting: int = 64,
    kv_bytes: int | None = None,
    kv_bits: KVBits = 16,
    guess: bool = True,
    lease: Lease | None = None,
    adapters: Sequence[tuple[str, Path]] = (),
    adapter_folders: Sequence[Path] = (),
    pooling: Pooling | None = None,
) -> None:
    """Load a model and answer until SIGTERM or SIGINT.

    The port opens when everything is loaded and warm: whoever can connect is answered at once.

    Args:
        model_path: a chat model.
        host: the address to listen on.
        port: where to listen.
        threads: threads to compute with.
        embedder_path: an embedding model to serve beside it.
        names: what the chat model answers to; the first is what answers call it. Its file's name if none is given.
        embedder_names: likewise for the embedding model; `default-embed` if none is given.
        context_tokens: longest conversation; at most what the model was trained for.
        max_batch: answers computed at the same time.
        max_waiting: answers that may wait for their turn.
        kv_bytes: memory for conversations, at least for one that fills the context. Answers that do not fit beside the
            others wait, or give way and go on later.
        kv_bits: 16 for bfloat16; 8 for half the memory and answers that are a little less exact.
        guess: whether to guess what answers copy from their texts; never changes an answer.
        lease: held while answers are computed.
        adapters: names and folders of adapters to begin with.
        adapter_folders: requests may load adapters that lie below these.
        pooling: the chat model embeds texts as well, by its state after the last token or the mean of all.

    Raises:
        BadFile: a model or adapter cannot be read.
        BadInput: a file holds a model of the other kind.
        Internal: the compute thread died.
    """
    started_s = time.monotonic()
    known, known_embedder = list(names) or [model_path.stem], list(embedder_names) or ["default-embed"]
    loaded = load(
        model_path,
        threads=threads,
        context_tokens=context_tokens,
        max_batch=max_batch,
        max_waiting=max_waiting,
        kv_bytes=kv_bytes,
        kv_bits=kv_bits,
        guess=guess,
        lease=lease,
        adapter_folders=adapter_folders,
        reserved=[*known, *known_embedder],
    )
    engine = loaded.engine
    for name, folder in adapters:
        loaded.shelf.load(name, folder, from_anywhere=True)
    # Without its compute thread the process is of no use: it ends, and whoever supervises it starts another.
    engine.start(on_death=partial(os.kill, os.getpid(), signal.SIGTERM))
    engine.warm_up()
    loaded.shelf.warm_up()
    embedder = None
    if embedder_path is not None:
        embedder = load_embedder(embedder_path)
        embedder.warm_up(engine)
    gc.collect()
    app = create_app(
        engine,
        embedder,
        known[0],
        known[1:],
        embedder_name=known_embedder[0],
        embedder_aliases=known_embedder[1:],
        scorer=Scorer(engine, loaded.decoder),
        shelf=loaded.shelf,
        pooling=pooling,
    )
    status = engine.status()
    facts = {"model": known[0], "slots": status.slots, "context_tokens": status.context_tokens}
    log.info("engine is ready", extra={**facts, "after_s": round(time.monotonic() - started_s, 2)})

    async def stop() -> None:
        await asyncio.to_thread(engine.stop)
        await asyncio.sleep(0.1)  # whoever still waits is told, rather than cut off

    asgi.serve(app, host=host, port=port, on_stop=stop)
    if engine.died:
        raise Internal("the compute thread died", hint="its log says why; start the engine again")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, and what shares it."""

    engine: Engine
    decoder: Decoder
    shelf: AdapterShelf


def load(
    model_path: Path,
    *,
    threads: int,
    context_tokens: int = 2048,
    max_batch: int = 8,
    max_waiting: int = 64,
    kv_bytes: int | None = None,
    kv_bits: KVBits = 16,
    guess: bool = True,
    lease: Lease | None = None,
    adapter_folders: Sequence[Path] = (),
    reserved: Sequence[str] = (),
) -> Loaded:
    """An engine around the model in a file. The file is unmapped again; `start` is the caller's.

    Args:
        adapter_folders: see `run`.
        reserved: names that no adapter may have.
    """
    from ikkan.models.families import load_decoder  # kernels: not before somebody serves

    with open_checkpoint(model_path) as checkpoint:
        config = checkpoint.config
        if not isinstance(config, DecoderConfig):
            raise BadInput(f"{model_path.name} is no chat model but a {config.family} encoder", hint="--embedder FILE")
        tokenizer, template = checkpoint.tokenizer, checkpoint.chat_template
        decoder = load_decoder(checkpoint, threads=threads, kv_bits=kv_bits)
    context_tokens = min(context_tokens, config.context)
    pages = None
    if kv_bytes is not None:
        one = decoder.new_cache(1, context_tokens)
        pages = max(one.pages, min(kv_bytes // (one.bytes // one.pages), max_batch * one.pages))
    shelf = AdapterShelf(decoder, folders=adapter_folders, reserved=reserved)
    engine = Engine(
        decoder,
        tokenizer,
        template,
        max_batch=max_batch,
        context_tokens=context_tokens,
        max_waiting=max_waiting,
        pages=pages,
        guess=guess,
        lease=lease,
        adapters=shelf,
    )
    return Loaded(engine, decoder, shelf)


def load_engine(model_path: Path, *, threads: int, **settings: Any) -> Engine:
    """The engine alone; see `load`."""
    return load(model_path, threads=threads, **settings).engine


def load_embedder(embedder_path: Path) -> Embedder:
    """The embedding model in a file or folder."""
    from ikkan.models.families import load_encoder

    with open_checkpoint(embedder_path) as checkpoint:
        if not isinstance(checkpoint.config, EncoderConfig):
            raise BadInput(f"{embedder_path.name} is no embedding model", hint="serve it as the chat model")
        return Embedder(load_encoder(checkpoint), checkpoint.tokenizer)
