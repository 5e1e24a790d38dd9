"""OpenVINO GenAI: its pipeline for one stream, continuous batching in process for many; GGUF through its own reader."""

from __future__ import annotations

import importlib.metadata
import os
import time
from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "single": [{"backend": "PA"}, {"backend": "SDPA"}],
    "serving": [{"split_fuse": True}, {"split_fuse": False}],
    "copying": [{"lookup": 0}, {"lookup": 5}, {"lookup": 15}],
}


def open_contender(job: dict[str, Any]) -> Single | Serving:
    """The pipeline for one, or the one for many."""
    return Serving(job) if job["purpose"] == "serving" else Single(job)


class Single:
    """`LLMPipeline` for latency, with either of its attentions; with prompt lookup for texts that copy."""

    def __init__(self, job: dict[str, Any]) -> None:
        import openvino_genai as genai

        chosen: dict[str, Any] = job["variant"]
        self._genai, self._lookup = genai, int(chosen.get("lookup", 0))
        more = {"ATTENTION_BACKEND": chosen["backend"]} if "backend" in chosen else {}
        if self._lookup:
            more["prompt_lookup"] = True
        held = job.get("properties", {})
        self._pipe = genai.LLMPipeline(
            job["model"], "CPU", INFERENCE_NUM_THREADS=job["threads"], PERFORMANCE_HINT="LATENCY", **more, **held
        )
        self.version, self.pids = importlib.metadata.version("openvino-genai"), [os.getpid()]
        self.settings = {**chosen, "hint": "LATENCY", **held, **job.get("environ", {})}

    def prefill(self, prompt: list[int]) -> float:
        """Seconds to the first token of the answer, by the pipeline's own clock."""
        return float(self._run(prompt, 2).perf_metrics.get_ttft().mean) / 1e3

    def decode(self, prompt: list[int], answer: int) -> float:
        """Seconds from the first token of the answer to the last, by the pipeline's own clock."""
        return float(self._run(prompt, answer).perf_metrics.get_tpot().mean) / 1e3 * (answer - 1)

    def streams(self, lines: list[list[Any]], answer: int) -> dict[str, Any]:
        """One line with one prompt, for copying."""
        started = time.perf_counter()
        found = self._run(lines[0][0], answer)
        took = time.perf_counter() - started
        first = float(found.perf_metrics.get_ttft().mean) / 1e3
        ids = [int(one) for one in found.tokens[0]]
        one = {"asked_s": 0.0, "first_s": first, "last_s": took, "tokens": len(ids), "ids": ids}
        return {"seconds": took, "lines": [[one]]}

    def _run(self, prompt: list[int], answer: int) -> Any:
        import numpy as np
        import openvino

        config = self._genai.GenerationConfig(max_new_tokens=answer, ignore_eos=True, do_sample=False)
        config.apply_chat_template = False
        if self._lookup:
            config.num_assistant_tokens, config.max_ngram_size = self._lookup, 3
        ids = np.array([prompt], dtype=np.int64)
        inputs = self._genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids)))
        return self._pipe.generate(inputs, config)


class Serving:
    """`ContinuousBatchingPipeline` with its prefix cache, driven in process: it has no server of its own in Python."""

    def __init__(self, job: dict[str, Any]) -> None:
        import openvino_genai as genai

        self._genai = genai
        room = genai.SchedulerConfig()
        room.enable_prefix_caching, room.max_num_seqs = True, job["slots"]
        room.dynamic_split_fuse = job["variant"]["split_fuse"]
        room.max_num_batched_tokens = 512 if room.dynamic_split_fuse else 4096
        room.cache_size = 2  # GiB
        self._pipe = genai.ContinuousBatchingPipeline(
            job["model"], room, "CPU", {"INFERENCE_NUM_THREADS": job["threads"]}
        )
        self._asked = 0
        self.version, self.pids = importlib.metadata.version("openvino-genai"), [os.getpid()]
        self.settings = {**job["variant"], "wire": "in process", "prefix_cache": True}

    def streams(self, lines: list[list[Any]], answer: int) -> dict[str, Any]:
        """As `streams.drive`, without HTTP."""
        import numpy as np
        import openvino

        config = self._genai.GenerationConfig(max_new_tokens=answer, ignore_eos=True, do_sample=False)
        started = time.perf_counter()
        waiting = [list(prompts) for prompts in lines]
        found: list[list[dict[str, Any]]] = [[] for _ in lines]
        handles: dict[int, Any] = {}

        def ask(line: int) -> None:
            if waiting[line]:
                self._asked += 1
                ids = openvino.Tensor(np.array([waiting[line].pop(0)], dtype=np.int64))
                now = time.perf_counter() - started
                handles[line] = self._pipe.add_request(self._asked, ids, config)
                found[line].append({"asked_s": now, "first_s": None, "last_s": now, "tokens": 0, "text": ""})

        for line in range(len(lines)):
            ask(line)
        while self._pipe.has_non_finished_requests():
            self._pipe.step()
            now = time.perf_counter() - started
            for line, handle in list(handles.items()):
                one = found[line][-1]
                while handle.can_read():
                    for output in handle.read().values():
                        one["tokens"] += len(output.generated_ids)
                    one["first_s"] = now if one["first_s"] is None else one["first_s"]
                    one["last_s"] = now
                if one["tokens"] >= answer:
                    del handles[line]
                    ask(line)
        return {"seconds": time.perf_counter() - started, "lines": found}
