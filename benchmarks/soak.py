"""Many short requests with random cancellation through one engine: does it give everything back?

    .venv/bin/python benchmarks/soak.py [--requests 20000] [--seconds 3600] [--model FILE.gguf] [--json FILE]

Requests come in bursts to an engine with few pages, from several callers, with shared beginnings, seeds, stop texts
and guesses; about a fifth is cancelled, in the line or in the middle of an answer. Without `--model` the tests' fake
decoder computes: then it is the engine's own book-keeping that is soaked. One JSON line every tenth of the requests:
pages that are neither free nor remembered while nobody is answered, resident memory beside what it was after the first
tenth, what was answered and how. Ends with 1 where a page leaked or memory grew by more than 5 %.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any

from ikkan.engine.engine import Engine, Ticket
from ikkan.engine.fakes import END, FakeDecoder, fake_template, fake_tokenizer
from ikkan.engine.serve import load_engine
from ikkan.engine.values import Generation, Piece, Sampling
from ikkan.ground.errors import RateLimited

ROOT = Path(__file__).resolve().parent.parent
MOST_GROWTH = 0.05
LEAVING = 0.2
"""The share of the requests whose caller leaves."""
KV_BYTES = 20_000_000
"""Of a real decoder: some twenty-five pages of the smallest model, so that callers compete for them."""
SAMPLINGS = (
    Sampling(temperature=0),
    Sampling(temperature=0.8, top_p=0.9, seed=1),
    Sampling(temperature=1.0, seed=2, repetition_penalty=1.1),
    Sampling(temperature=0, top_logprobs=1),
)


def resident_bytes() -> int:
    """What the process holds of the machine's memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


class Soak:
    """Asks, cancels and counts."""

    def __init__(self, engine: Engine, seed: int, tokens: int) -> None:
        self._engine = engine
        self._random = Random(seed)
        self._tokens = tokens  # ids a prompt may have
        self._lock = Lock()
        self.asked = 0
        self.ended: Counter[str] = Counter()
        self._open: dict[int, Ticket] = {}
        self._patience: dict[int, int] = {}  # pieces still to come before somebody leaves
        vocabulary = range(97, 97 + min(tokens, 26)) if tokens < 1_000 else range(1_000, tokens)
        self._beginnings = [self._random.choices(vocabulary, k=self._random.choice([0, 40, 80])) for _ in range(6)]
        self._vocabulary = vocabulary

    def ask(self) -> None:
        """One request; where too many wait it is made again later."""
        number = self.asked
        request = self._request()
        patience = self._random.choice([0, self._random.randint(1, 12)]) if self._random.random() < LEAVING else None

        def hear(_: int, piece: Piece) -> None:
            if number in self._patience:
                self._patience[number] -= 1
            if piece.is_last:
                self._close(number, "failed" if piece.failure else str(piece.finish))

        with self._lock:
            try:
                self._open[number] = self._engine.submit([request], hear)
            except RateLimited:
                self.ended["refused"] += 1
                return
            if patience is not None:
                self._patience[number] = patience
        self.asked += 1

    def cancel_some(self) -> None:
        """Whoever wanted to leave after so many pieces leaves; without patience, out of the line."""
        with self._lock:
            leaving = [number for number in self._open if self._patience.get(number, 1) <= 0]
            tickets = [self._open[number] for number in leaving]
        for number, ticket in zip(leaving, tickets, strict=True):
            ticket.cancel()
            self._close(number, "cancelled")

    def open(self) -> int:
        """Requests under way."""
        with self._lock:
            return len(self._open)

    def _close(self, number: int, how: str) -> None:
        with self._lock:
            self._patience.pop(number, None)
            if self._open.pop(number, None) is not None:
                self.ended[how] += 1

    def _request(self) -> Generation:
        random = self._random
        own = random.choices(self._vocabulary, k=random.randint(1, 30))
        copied = random.random() < 0.3
        return Generation(
            (*random.choice(self._beginnings), *own, *((END,) if copied and self._tokens < 1_000 else ())),
            max_tokens=random.randint(1, 24),
            sampling=random.choice(SAMPLINGS),
            stop=random.choice([(), (), ("e",)]),
            ignore_eos=random.random() < 0.5,
            cache_salt=random.choice(["", "a", "b"]),
            caller=random.choice("abc"),
        )


def measured(engine: Engine, soak: Soak, baseline: int | None, started_s: float) -> dict[str, Any]:
    """One line. Nobody is being answered."""
    # Two errands: the first may have been waiting for the step in which the last answer ended.
    for _ in range(2):
        engine.call(lambda: None).result()
    status = engine.status()
    resident = resident_bytes()
    return {
        "metric": "soak",
        "unit": "pages leaked; share of growth",
        "requests": soak.asked,
        "ended": dict(soak.ended),
        "pages_leaked": status.pages_in_use,
        "slots_leaked": status.slots_in_use,
        "still_waiting": status.waiting,
        "pages_cached": status.pages_cached,
        "pages": status.pages,
        "preemptions": status.preemptions,
        "resident_bytes": resident,
        "growth": None if baseline is None else round(resident / baseline - 1, 4),
        "seconds": round(time.monotonic() - started_s, 1),
    }


def run(engine: Engine, soak: Soak, requests: int, seconds: float) -> tuple[list[dict[str, Any]], bool]:
    """Soak until so many were asked or the time is up; the lines, and whether all is well."""
    lines: list[dict[str, Any]] = []
    started_s = time.monotonic()
    baseline: int | None = None
    well = True
    tenth = max(requests // 10, 1)
    while soak.asked < requests and time.monotonic() - started_s < seconds:
        goal = min(soak.asked + tenth, requests)
        while soak.asked < goal and time.monotonic() - started_s < seconds:
            for _ in range(soak._random.randint(1, 12)):
                if soak.asked < goal:
                    soak.ask()
            soak.cancel_some()
            while soak.open() > 24:
                time.sleep(0.002)
                soak.cancel_some()
        while soak.open():
            time.sleep(0.002)
        line = measured(engine, soak, baseline, started_s)
        baseline = baseline or line["resident_bytes"]
        leaked = line["pages_leaked"] or line["slots_leaked"] or line["still_waiting"] or soak.ended["failed"]
        well = well and not leaked and (line["growth"] or 0.0) <= MOST_GROWTH
        lines.append(line)
        print(json.dumps(line), flush=True)
    return lines, well


def main() -> None:
    """Read the arguments, soak, and end with 1 where something was not given back."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=3_600.0)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.model is None:
        decoder = FakeDecoder(page_tokens=8, remember_calls=False)
        engine = Engine(decoder, fake_tokenizer(), fake_template(), context_tokens=160, pages=60, max_waiting=20)
        tokens = 256
    else:
        engine = load_engine(asked.model, threads=asked.threads, context_tokens=256, kv_bytes=KV_BYTES, max_waiting=20)
        tokens = engine.vocab
    engine.start()
    engine.warm_up()
    lines, well = run(engine, Soak(engine, asked.seed, tokens), asked.requests, asked.seconds)
    engine.stop()
    if asked.json:
        git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        about = {
            "decoder": asked.model.name if asked.model else "fake",
            "commit": git.stdout.strip(),
            "machine": platform.processor() or platform.machine(),
        }
        with asked.json.open("a") as file:
            file.writelines(json.dumps(line | about) + "\n" for line in lines)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
