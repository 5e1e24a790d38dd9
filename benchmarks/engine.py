"""Decode and prefill speed of our decoder beside the programs a user would pick instead, on the same GGUF.

    .venv/bin/python benchmarks/engine.py [--model FILE.gguf] [--rounds 7] [--json FILE]

Needs `make bench-peers` (a virtual environment of its own, `.venv-peers`); a peer that is missing is reported as such.
Every contender loads and warms up in a process of its own and then takes turns, round by round, while the others are
stopped (SIGSTOP), so that a busy minute of the machine hits all of them alike. Prompts are random token ids, new in
every round, so that nobody's prefix cache answers. Everybody gets the same number of threads and the settings its
documentation recommends for latency.

- decode: 32 prompt tokens, then 64 greedy tokens; 63 steps over the time from the first token to the last.
- prefill: prompt tokens over the time to the first token.

The lines give the best round, the median and all rounds.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"
PROMPT, ANSWER = 32, 64
PREFILLS = (128, 512, 2048)
VOCAB = 40_000  # every contender's ids stay below; the sample model has 49,152

Run = Callable[[list[int], int], tuple[float, float]]
"""(prompt ids, tokens to generate) -> (seconds to the first token, seconds from the first to the last)."""


# Contenders. Each imports its program inside the function: it runs in a child process, in its own environment.


def ikkan(model: Path, threads: int) -> tuple[str, Run]:
    from ikkan import __version__
    from ikkan.models.checkpoint import open_checkpoint
    from ikkan.models.families import load_decoder

    with open_checkpoint(model) as checkpoint:
        decoder = load_decoder(checkpoint, threads=threads)
    cache = decoder.new_cache(1, max(PREFILLS) + ANSWER)

    def run(prompt: list[int], answer: int) -> tuple[float, float]:
        started = time.perf_counter()
        first, n = started, len(prompt)
        tokens = np.array(prompt, dtype=np.int32)
        positions = np.arange(n, dtype=np.int32)
        for step in range(answer):
            last = np.array([len(tokens) - 1], dtype=np.int32)
            logits = decoder.forward(tokens, np.zeros_like(tokens), positions, cache, last)
            tokens = logits.argmax(axis=1).astype(np.int32)
            positions = np.array([n + step], dtype=np.int32)
            if step == 0:
                first = time.perf_counter()
        return first - started, time.perf_counter() - first

    return __version__, run


def xllamacpp(model: Path, threads: int) -> tuple[str, Run]:
    import xllamacpp as x

    params = x.CommonParams()
    params.model.path = str(model)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_ctx, params.n_parallel, params.warmup, params.verbosity = max(PREFILLS) + 2 * ANSWER, 1, True, 0
    server = x.Server(params)

    def run(prompt: list[int], answer: int) -> tuple[float, float]:
        body = {"prompt": prompt, "n_predict": answer, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
        timings = server.handle_completions(body)["timings"]
        return timings["prompt_ms"] / 1e3, timings["predicted_ms"] / 1e3

    return importlib.metadata.version("xllamacpp"), run


def openvino_genai(model: Path, threads: int) -> tuple[str, Run]:
    import openvino
    import openvino_genai as genai

    pipe = genai.LLMPipeline(str(model), "CPU", INFERENCE_NUM_THREADS=threads, PERFORMANCE_HINT="LATENCY")

    def run(prompt: list[int], answer: int) -> tuple[float, float]:
        config = genai.GenerationConfig(max_new_tokens=max(answer, 2), ignore_eos=True, do_sample=False)
        config.apply_chat_template = False
        ids = np.array([prompt], dtype=np.int64)
        inputs = genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids)))
        metrics = pipe.generate(inputs, config).perf_metrics
        steps = metrics.get_num_generated_tokens() - 1
        return metrics.get_ttft().mean / 1e3, metrics.get_tpot().mean / 1e3 * steps

    return importlib.metadata.version("openvino-genai"), run


CONTENDERS = {"ikkan": ikkan, "xllamacpp": xllamacpp, "openvino-genai": openvino_genai}


def child(name: str, model: Path, threads: int) -> None:
    """Load, warm up, say hello; then one line in, one line out, until the pipe closes."""
    wire = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a program prints goes to stderr; our answers keep the pipe
    version, run = CONTENDERS[name](model, threads)
    ids = np.random.default_rng(os.getpid())

    def prompt(tokens: int) -> list[int]:
        return [int(n) for n in ids.integers(1000, VOCAB, tokens)]

    for tokens in (PROMPT, *PREFILLS, PROMPT):
        run(prompt(tokens), 8)
    print(json.dumps({"version": version, "peak_rss_mb": _peak_rss_mb()}), file=wire, flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        first, rest = run(prompt(task["prompt"]), task["answer"])
        rate = (task["answer"] - 1) / rest if task["answer"] > 1 else task["prompt"] / first
        print(json.dumps({"rate": rate, "peak_rss_mb": _peak_rss_mb()}), file=wire, flush=True)


def _peak_rss_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


# The race.


class Contender:
    """A child process that works only while it is its turn."""

    def __init__(self, name: str, model: Path, threads: int, python: Path) -> None:
        self.name = name
        command = [str(python), __file__, "--child", name, "--model", str(model), "--threads", str(threads)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        hello = self._read()
        self.version, self.peak_rss_mb = hello["version"], hello["peak_rss_mb"]
        self._process.send_signal(signal.SIGSTOP)

    def measure(self, prompt: int, answer: int) -> float:
        self._process.send_signal(signal.SIGCONT)
        print(json.dumps({"prompt": prompt, "answer": answer}), file=self._pipe(self._process.stdin), flush=True)
        result = self._read()
        self._process.send_signal(signal.SIGSTOP)
        self.peak_rss_mb = result["peak_rss_mb"]
        return float(result["rate"])

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        line = self._pipe(self._process.stdout).readline()
        if not line:
            self._process.wait()
            tail = self._pipe(self._process.stderr).read().strip().splitlines()[-1:]
            raise RuntimeError(f"{self.name}: {tail[0] if tail else 'died without a word'}")
        return dict(json.loads(line))

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def race(model: Path, *, threads: int, rounds: int, say: Callable[[dict[str, Any]], None]) -> None:
    contenders: list[Contender] = []
    try:
        for name in CONTENDERS:
            python = Path(sys.executable) if name == "ikkan" else PEERS
            try:
                contenders.append(Contender(name, model, threads, python))
            except (RuntimeError, OSError) as problem:
                say({"metric": f"missing.{name}", "unit": "", "value": None, "why": str(problem)})
        tasks = {f"decode_{PROMPT}_{ANSWER}": (PROMPT, ANSWER), **{f"prefill_{n}": (n, 1) for n in PREFILLS}}
        for task, (prompt, answer) in tasks.items():
            rates: dict[str, list[float]] = {one.name: [] for one in contenders}
            for turn in range(rounds):
                # A different one begins each round: whoever follows a pause finds a cooler processor.
                for one in contenders[turn % len(contenders) :] + contenders[: turn % len(contenders)]:
                    rates[one.name].append(one.measure(prompt, answer))
            for one in contenders:
                found = rates[one.name]
                say(
                    {
                        "metric": f"{task}.{one.name}",
                        "unit": "tok/s",
                        "value": round(max(found), 1),
                        "median": round(statistics.median(found), 1),
                        "rounds": [round(rate, 1) for rate in found],
                        "version": one.version,
                    }
                )
            peers = {name: max(found) for name, found in rates.items() if name != "ikkan"}
            if peers and "ikkan" in rates:
                fastest = max(peers, key=lambda name: peers[name])
                ratio = max(rates["ikkan"]) / peers[fastest]
                say({"metric": f"{task}.ikkan_over_{fastest}", "unit": "ratio", "value": round(ratio, 3)})
        for one in contenders:
            say({"metric": f"peak_rss.{one.name}", "unit": "MB", "value": one.peak_rss_mb})
    finally:
        for one in contenders:
            one.close()


def machine() -> str:
    """The processor's name and how many cores we may use."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def default_model() -> Path:
    """The sample model, in the first store that `make test` or `make up` filled."""
    from ikkan.models.store import ModelStore

    given = os.environ.get("IKKAN_TEST_MODELS")
    homes = [ROOT / ".cache" / "test-home", ROOT / ".ikkan", Path.home() / ".ikkan"]
    for root in [Path(given)] if given else [home / "models" for home in homes]:
        if "smollm2-135m-instruct" in {stored.name for stored in ModelStore(root).list()}:
            return ModelStore(root).resolve("smollm2-135m-instruct")
    sys.exit("the sample model is not here; `make test-setup` fetches it, or name a file with --model")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a GGUF file (default: the sample model)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="append the lines to this file as well")
    parser.add_argument("--child", choices=sorted(CONTENDERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    model = arguments.model or default_model()
    if arguments.child:
        child(arguments.child, model, arguments.threads)
        return
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    facts = {"model": model.name, "threads": arguments.threads, "commit": git.stdout.strip(), "machine": machine()}

    def say(line: dict[str, Any]) -> None:
        text = json.dumps({**line, **facts})
        print(text, flush=True)
        if arguments.json:
            with arguments.json.open("a", encoding="utf-8") as file:
                file.write(text + "\n")

    race(model, threads=arguments.threads, rounds=arguments.rounds, say=say)


if __name__ == "__main__":
    main()
