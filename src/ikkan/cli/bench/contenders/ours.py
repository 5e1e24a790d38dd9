"""ikkan: the decoder in this process for one stream, the engine's own process for many."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {"single": [{}], "serving": [{}], "copying": [{}], "limits": [{}]}


def open_contender(job: dict[str, Any]) -> Single | Serving | Limits:
    """The decoder alone, the server, or the processor's limits."""
    if job["purpose"] == "limits":
        return Limits(job)
    return Single(job) if job["purpose"] == "single" else Serving(job)


class Single:
    """One conversation, greedy, at the decoder: `forward` and the largest logit."""

    def __init__(self, job: dict[str, Any]) -> None:
        from ikkan import __version__
        from ikkan.models.checkpoint import open_checkpoint
        from ikkan.models.families import load_decoder
        from ikkan.silicon.kernels import get_path, set_path

        if job.get("kernel_path"):
            set_path(job["kernel_path"])
        with open_checkpoint(Path(job["model"])) as checkpoint:
            self._decoder = load_decoder(checkpoint, threads=job["threads"])
        self._cache = self._decoder.new_cache(1, job["context"])
        self._read: list[int] = []
        self.version, self.settings, self.pids = __version__, {"kernel_path": get_path()}, [os.getpid()]

    def prefill(self, prompt: list[int]) -> float:
        """Seconds to the first token of the answer."""
        started = time.perf_counter()
        self._next(prompt, 0, is_prompt=True)
        took = time.perf_counter() - started
        self._read = prompt
        return took

    def decode(self, prompt: list[int], answer: int) -> float:
        """Seconds from the first token of the answer to the last; a prompt just read is not read again."""
        if self._read != prompt:
            self.prefill(prompt)
        token = self._next(prompt[-1:], len(prompt) - 1)
        started = time.perf_counter()
        for step in range(answer - 1):
            token = self._next([token], len(prompt) + step)
        return time.perf_counter() - started

    def kv_bytes(self, tokens: int) -> int:
        """What so many tokens of one conversation take."""
        return self._cache.bytes * tokens // self._cache.context_tokens

    def _next(self, tokens: list[int], position: int, *, is_prompt: bool = False) -> int:
        import numpy as np

        given = np.array(tokens, dtype=np.int32)
        positions = np.arange(position, position + len(given), dtype=np.int32)
        last = np.array([len(given) - 1], dtype=np.int32)
        prompt = np.full(len(given), is_prompt)
        return int(
            self._decoder.forward(given, np.zeros_like(given), positions, self._cache, last, None, prompt).argmax()
        )


class Limits:
    """What the processor can do, by the kernels' own threads; apart, so that its buffer is nobody's memory."""

    def __init__(self, job: dict[str, Any]) -> None:
        from ikkan import __version__
        from ikkan.silicon.kernels import get_path, set_path

        if job.get("kernel_path"):
            set_path(job["kernel_path"])
        self._threads: int = job["threads"]
        self.version, self.settings, self.pids = __version__, {"kernel_path": get_path()}, [os.getpid()]

    def read(self, size: int, times: int) -> float:
        """Seconds to read so many bytes once, forwards: best of some."""
        from ikkan.silicon import probe

        return size / (probe.read_gb_s(size, self._threads, passes=times) * 1e9)

    def int8_tops(self) -> float:
        """Trillions of int8 operations a second in the instructions that the kernels use."""
        from ikkan.silicon import probe

        return probe.int8_tops(self._threads, passes=20)


class Serving:
    """`ikkan engine serve`, as anybody starts it."""

    def __init__(self, job: dict[str, Any]) -> None:
        import __main__
        import ikkan

        streams = __main__.neighbour("streams")
        self._drive, self._port, self._model = streams.drive, streams.free_port(), job["model"]
        command = [sys.executable, "-m", "ikkan", "engine", "serve", job["model"], "--port", str(self._port)]
        size = ["--context", str(job["context"]), "--max-batch", str(job["slots"]), "--threads", str(job["threads"])]
        self._server = subprocess.Popen(
            [*command, *size], stdin=subprocess.DEVNULL, stdout=2, preexec_fn=__main__.end_with_parent
        )
        streams.wait_until_ready(f"http://127.0.0.1:{self._port}/health", lambda: self._server.poll() is None)
        self.version, self.settings, self.pids = ikkan.__version__, {"wire": "HTTP"}, [self._server.pid]

    def streams(self, lines: list[list[Any]], answer: int) -> dict[str, Any]:
        """See `streams.drive`."""
        return dict(self._drive(self._port, lines, answer, model=self._model))
