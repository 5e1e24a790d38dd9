"""llama.cpp built for this processor: the library of llama-cpp-python for one stream, its `llama-server` for many.

Both are compiled from the same source distribution with `GGML_NATIVE=ON` (`benchmarks/install_llama.sh`), so that on a
processor with AMX the weights lie in its AMX buffers. Tried and the faster taken: those buffers (and its repacking)
on and off, flash attention on and off. Weights are read into memory, not mapped, which is smaller where it repacks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "single": [{"repack": True, "flash": True}, {"repack": True, "flash": False}, {"repack": False, "flash": True}],
    "serving": [{"unified": False}, {"unified": True}],
    "copying": [{"draft": "none"}, {"draft": "ngram-simple"}, {"draft": "ngram-map-k"}, {"draft": "ngram-mod"}],
}


def open_contender(job: dict[str, Any]) -> Single | Serving:
    """The library in this process, or its server."""
    return Single(job) if job["purpose"] == "single" else Serving(job)


class Single:
    """One conversation through the C interface, greedy sampler included: nothing of Python between two tokens."""

    def __init__(self, job: dict[str, Any]) -> None:
        import llama_cpp as llama

        self._llama, chosen = llama, job["variant"]
        weights = llama.llama_model_default_params()
        weights.load_mode, weights.use_extra_bufts = llama.LLAMA_LOAD_MODE_NONE, chosen["repack"]
        self._model = llama.llama_model_load_from_file(job["model"].encode(), weights)
        if not self._model:
            raise RuntimeError("llama.cpp does not load this file")
        room = llama.llama_context_default_params()
        room.n_ctx, room.n_batch, room.n_ubatch = job["context"], 2048, 512
        room.n_threads = room.n_threads_batch = job["threads"]
        room.flash_attn_type = int(chosen["flash"])
        self._context = llama.llama_init_from_model(self._model, room)
        if not self._context:
            raise RuntimeError("llama.cpp makes no context for this file")
        self._sampler = llama.llama_sampler_init_greedy()
        self._read: list[int] = []
        self.version, self.settings, self.pids = llama.__version__, {**chosen, "mmap": False}, [os.getpid()]

    def prefill(self, prompt: list[int]) -> float:
        """Seconds to the first token of the answer."""
        self._forget(0)
        started = time.perf_counter()
        self._next(prompt)
        took = time.perf_counter() - started
        self._read = prompt
        return took

    def decode(self, prompt: list[int], answer: int) -> float:
        """Seconds from the first token of the answer to the last; a prompt just read is not read again."""
        if self._read != prompt:
            self.prefill(prompt)
        self._forget(len(prompt) - 1)
        token = self._next(prompt[-1:])
        started = time.perf_counter()
        for _ in range(answer - 1):
            token = self._next([token])
        return time.perf_counter() - started

    def _forget(self, position: int) -> None:
        self._llama.llama_memory_seq_rm(self._llama.llama_get_memory(self._context), 0, position, -1)

    def _next(self, tokens: list[int]) -> int:
        llama = self._llama
        for start in range(0, len(tokens), 2048):
            part = tokens[start : start + 2048]
            given = (llama.llama_token * len(part))(*part)
            if llama.llama_decode(self._context, llama.llama_batch_get_one(given, len(part))):
                raise RuntimeError("llama.cpp could not compute")
        return int(llama.llama_sampler_sample(self._sampler, self._context, -1))


class Serving:
    """`llama-server` with as many slots as there are streams at most, and its prompt cache on."""

    def __init__(self, job: dict[str, Any]) -> None:
        import llama_cpp

        import __main__

        self._streams, chosen = __main__.neighbour("streams"), job["variant"]
        self._port = self._streams.free_port()
        threads, slots = str(job["threads"]), job["slots"]
        command = [str(Path(sys.executable).parent / "llama-server"), "-m", job["model"], "--load-mode", "none"]
        command += ["--host", "127.0.0.1", "--port", str(self._port), "-t", threads, "-tb", threads]
        command += ["-np", str(slots), "-c", str(slots * job["context"])]
        command += ["-kvu" if chosen.get("unified") else "-no-kvu", "--spec-type", chosen.get("draft", "none")]
        self._server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=2, preexec_fn=__main__.end_with_parent
        )
        self._streams.wait_until_ready(f"http://127.0.0.1:{self._port}/health", lambda: self._server.poll() is None)
        self.version, self.settings = llama_cpp.__version__, {**chosen, "wire": "HTTP", "mmap": False}
        self.pids = [self._server.pid]

    def streams(self, lines: list[list[Any]], answer: int) -> dict[str, Any]:
        """See `streams.drive`."""
        return dict(self._streams.drive(self._port, lines, answer, cache_prompt=True))
