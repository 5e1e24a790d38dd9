"""Texts written by an engine of this process: for what nobody waits for, where no engine need be running."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ikkan.engine import Generation, Lease, Piece, Sampling
from ikkan.engine.serve import load
from ikkan.ground.errors import UpstreamTimeout
from ikkan.models.template import encode_chat

_ADAPTER: Final = "written-with"
_PATIENCE_S: Final = 1_800.0


def write(
    model: Path,
    adapter_files: Mapping[str, bytes] | None,
    conversations: Sequence[Sequence[Mapping[str, Any]]],
    *,
    max_tokens: int,
    threads: int,
    context_tokens: int,
    at_once: int,
    lease: Lease,
) -> list[str]:
    """How a model, with an adapter or without, goes on in each conversation, always with the likeliest token.

    Raises:
        BadFile: the model or the adapter cannot be read.
    """
    loaded = load(
        model,
        threads=threads,
        context_tokens=context_tokens,
        max_batch=at_once,
        max_waiting=max(1, len(conversations)),
        lease=lease,
    )
    engine = loaded.engine
    texts = [""] * len(conversations)
    over, failed, left = threading.Event(), list[Exception](), len(conversations)

    def hear(number: int, piece: Piece) -> None:
        nonlocal left
        texts[number] += piece.text
        if piece.failure is not None:
            failed.append(piece.failure)
        if piece.is_last:
            left -= 1
            if not left:
                over.set()

    engine.start()
    try:
        if adapter_files is not None:
            with tempfile.TemporaryDirectory() as folder:
                for name, content in adapter_files.items():
                    (Path(folder) / name).write_bytes(content)
                loaded.shelf.load(_ADAPTER, folder, from_anywhere=True)
        adapter = "" if adapter_files is None else _ADAPTER
        asked = []
        for messages in conversations:
            ids = _read(engine, messages)[-(engine.context_tokens - max_tokens) :]
            asked.append(Generation(tuple(ids), max_tokens, Sampling(temperature=0.0), adapter=adapter))
        if asked:
            engine.submit(asked, hear)
            if not over.wait(_PATIENCE_S):
                raise UpstreamTimeout("writing took too long", hint="is the machine busy?")
    finally:
        engine.stop()
    if failed:
        raise failed[0]
    return texts


def _read(engine: Any, messages: Sequence[Mapping[str, Any]]) -> list[int]:
    if engine.template is not None:
        return encode_chat(engine.tokenizer, engine.template, messages)
    text = "".join(str(message["content"]) for message in messages)
    return [*engine.tokenizer.encode("", special=True)[:1], *engine.tokenizer.encode(text)]
