"""Texts written by this home's engine where it runs, else by one of this process: for what nobody waits for."""

from __future__ import annotations

import json
import logging
import tempfile
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ikkan.ground.errors import UpstreamTimeout
from ikkan.ground.ids import new_id

if TYPE_CHECKING:
    from ikkan.engine import Lease, Piece

log = logging.getLogger(__name__)

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
    # Compiles kernels: not before somebody writes.
    from ikkan.engine import Generation, Sampling
    from ikkan.engine.serve import load

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


def ask(
    url: str,
    readable: Path,
    adapter_files: Mapping[str, bytes] | None,
    conversations: Sequence[Sequence[Mapping[str, Any]]],
    *,
    model: str,
    max_tokens: int,
    at_once: int,
) -> list[str] | None:
    """The same by the engine at `url`, which serves `model`; None where none answers.

    Args:
        readable: a folder from below which that engine loads adapters.
    """

    def post(path: str, body: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(
            url + path, json.dumps(body).encode(), {"content-type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as reply:
            return reply.read()

    def one(messages: Sequence[Mapping[str, Any]]) -> str:
        wanted = {"model": name, "messages": list(messages), "temperature": 0, "max_tokens": max_tokens}
        text = json.loads(post("/v1/chat/completions", wanted))["choices"][0]["message"]["content"]
        return str(text or "")

    try:
        with urllib.request.urlopen(f"{url}/health", timeout=1.0):
            pass
        if adapter_files is None:
            name = model
            with ThreadPoolExecutor(at_once) as pool:
                return list(pool.map(one, conversations))
        readable.mkdir(parents=True, exist_ok=True)
        name = new_id("tuned:shown")
        with tempfile.TemporaryDirectory(dir=readable) as folder:
            for file, content in adapter_files.items():
                (Path(folder) / file).write_bytes(content)
            post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": folder})
        try:
            with ThreadPoolExecutor(at_once) as pool:
                return list(pool.map(one, conversations))
        finally:
            post("/v1/unload_lora_adapter", {"lora_name": name})
    except (OSError, ValueError, KeyError) as error:
        log.info("the engine wrote nothing", extra={"error": type(error).__name__})
        return None


def _read(engine: Any, messages: Sequence[Mapping[str, Any]]) -> list[int]:
    from ikkan.models.template import encode_chat

    if engine.template is not None:
        return encode_chat(engine.tokenizer, engine.template, messages)
    text = "".join(str(message["content"]) for message in messages)
    return [*engine.tokenizer.encode("", special=True)[:1], *engine.tokenizer.encode(text)]
