"""llama.cpp as a wheel (xllamacpp): what a user installs without a compiler. It uses AVX2 and nothing wider."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any
from urllib.parse import urlsplit

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "single": [{"flash": True}, {"flash": False}],
    "serving": [{"unified": False}, {"unified": True}],
    "copying": [{"draft": "NONE"}, {"draft": "NGRAM_SIMPLE"}, {"draft": "NGRAM_MAP_K"}, {"draft": "NGRAM_MOD"}],
}


def open_contender(job: dict[str, Any]) -> Wheel:
    """Its server, asked without HTTP for one stream and with HTTP for many."""
    return Wheel(job)


class Wheel:
    """xllamacpp's `Server`."""

    def __init__(self, job: dict[str, Any]) -> None:
        import xllamacpp as llama

        import __main__

        chosen, single = job["variant"], job["purpose"] == "single"
        slots = 1 if single else job["slots"]
        params = llama.CommonParams()
        params.model.path = job["model"]
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
        params.n_ctx, params.n_parallel, params.warmup, params.verbosity = slots * job["context"], slots, True, 0
        if "flash" in chosen:
            params.flash_attn_type = getattr(
                llama.llama_flash_attn_type,
                f"LLAMA_FLASH_ATTN_TYPE_{'ENABLED' if chosen['flash'] else 'DISABLED'}",
            )
        params.kv_unified = bool(chosen.get("unified"))
        if "draft" in chosen:
            params.speculative.types = [
                getattr(llama.common_speculative_type, f"COMMON_SPECULATIVE_TYPE_{chosen['draft']}")
            ]
        params.hostnames, params.port = ["127.0.0.1"], __main__.neighbour("streams").free_port()
        self._server, self._drive = llama.Server(params), __main__.neighbour("streams").drive
        self._port = urlsplit(self._server.listening_address).port
        self.version, self.settings = importlib.metadata.version("xllamacpp"), dict(chosen)
        self.pids = [os.getpid()]

    def prefill(self, prompt: list[int]) -> float:
        """Seconds to the first token of the answer, by the server's own clock."""
        return self._ask(prompt, 1, cached=False)["prompt_ms"] / 1e3

    def decode(self, prompt: list[int], answer: int) -> float:
        """Seconds from the first token of the answer to the last, by the server's own clock."""
        return self._ask(prompt, answer, cached=True)["predicted_ms"] / 1e3

    def streams(self, lines: list[list[Any]], answer: int) -> dict[str, Any]:
        """See `streams.drive`."""
        return dict(self._drive(self._port, lines, answer, cache_prompt=True))

    def _ask(self, prompt: list[int], answer: int, *, cached: bool) -> dict[str, float]:
        body = {"prompt": prompt, "n_predict": answer, "temperature": 0, "ignore_eos": True, "cache_prompt": cached}
        return dict(self._server.handle_completions(body)["timings"])
