"""How fast does the event log take events, and how long until they are a dataset? At 1x, 4x and 16x.

    .venv/bin/python benchmarks/events.py --sizes 62500,250000,1000000

Synthetic use of an assistant: 50,000 pseudonymous people, seven questions of ten with an answer, three with what
somebody said about an answer. Questions repeat as people's do (a few are asked all the time, most rarely, new ones come
up, many have a greeting, a wish or a missing letter). Each size runs in processes of its own:

- `ingest`: events a second into SQLite, 250 a transaction, each sealed with its person's key.
- `dataset`: seconds from the log to a kept dataset: reading, consent, scrubbing, joining what people said to what they
  were answered, near-duplicates, the parting, Parquet and manifest.
- `resident`: the most memory the process that built the dataset held.
- `visible`: seconds from a commit to the event in a reading.

Prints one JSON line a figure.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ikkan.flywheel import datasets
from ikkan.flywheel.joins import Reading, Rule, join
from ikkan.flywheel.scrubbing import ScrubbedEvents
from ikkan.ground.artifacts import ArtifactStore
from ikkan.ground.clock import SystemClock
from ikkan.ground.db import Database, upgrade
from ikkan.ground.eventlog import EventLog, Keys
from ikkan.ground.events import Event, NewEvent
from ikkan.ground.ids import SubjectId, TenantId

TENANT = TenantId("local")
PEOPLE = 50_000
BATCH = 250
DAYS = 90
START = datetime(2026, 1, 1, tzinfo=UTC)
RULE = Rule("InferenceServed", "FeedbackGiven", key=("request_id",), outcome_key=("inference_id",), window_s=7 * 86_400)


def main() -> None:
    options = argparse.ArgumentParser(description="Events in, a dataset out.")
    options.add_argument("--sizes", default="62500,250000,1000000")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="ikkan-events-") as folder:
        for size in map(int, given.sizes.split(",")):
            home = Path(folder, str(size))
            home.mkdir()
            for step in (ingest, build):
                worker = multiprocessing.get_context("spawn").Process(target=step, args=(home, size))
                worker.start()
                worker.join()
                assert worker.exitcode == 0, f"{step.__name__} failed"


def ingest(home: Path, size: int) -> None:
    """Fill the log, and see the last event at once."""
    url = f"sqlite:///{home}/ikkan.db"
    upgrade(url)
    database = Database(url)
    log = EventLog(database, SystemClock(), Keys.open(home / "keys"))
    batches = _batches(size)
    spent = 0.0
    for batch in batches:
        began = time.perf_counter()
        with database.transaction() as connection:
            log.append(connection, *batch)
        spent += time.perf_counter() - began
    tell("events.ingest", size / spent, "events/s", size, processor_s=round(time.process_time(), 1))
    tell("events.bytes", sum(file.stat().st_size for file in home.glob("ikkan.db*")) / size, "bytes/event", size)
    began = time.perf_counter()
    with database.transaction() as connection:
        log.append(connection, NewEvent("Marked", 1, TENANT, SubjectId("person-1"), START, "service", {"n": 1}))
    (seen,) = log.reader().read(["Marked"])
    tell("events.visible", time.perf_counter() - began, "s", size)
    assert seen.payload == {"n": 1}
    database.close()


def build(home: Path, size: int) -> None:
    """From the log to a kept dataset."""
    database = Database(f"sqlite:///{home}/ikkan.db")
    log = EventLog(database, SystemClock(), Keys.open(home / "keys"))
    artifacts = ArtifactStore(home / "artifacts")
    began, busy = time.perf_counter(), time.process_time()
    until = datetime.now(UTC)
    reading = Reading(text=_question, value=_value, row_id=lambda event: str(event.payload["request_id"]))
    joined = join(ScrubbedEvents(log.reader()), RULE, reading, until)
    read_s = time.perf_counter() - began
    cutoff = START + timedelta(days=0.7 * DAYS)
    parted = datasets.part(joined.rows, cutoff)
    facts = {"learnable": "benchmark", "until": until.isoformat(), "cutoff": cutoff.isoformat(), "salt": "benchmark"}
    kept = datasets.write(artifacts, joined.rows, parted, facts)
    seconds = time.perf_counter() - began
    told = datasets.facts(artifacts, kept.id)
    more = {"rows": told["rows"], **told["counts"], "joined_s": round(read_s, 1), "waiting": joined.waiting}
    tell("events.dataset", seconds, "s", size, **more, processor_s=round(time.process_time() - busy, 1))
    tell("events.resident", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB", size)
    tell("events.parquet", sum(file.stat().st_size for file in kept.path.glob("*.parquet")) / 2**20, "MiB", size)
    database.close()


def _question(event: Event) -> str:
    return str(event.payload["question"])


def _value(event: Event) -> float:
    return float(event.payload["value"] or 0.0)


def _batches(size: int) -> Iterator[list[NewEvent]]:
    rng = random.Random(size)
    ask = Questions(1)
    answered: list[tuple[str, SubjectId]] = []
    batch: list[NewEvent] = []
    for number in range(size):
        at = START + timedelta(days=DAYS * number / size)
        if not answered or rng.random() < 0.7:
            who, request = SubjectId(f"person-{rng.randrange(PEOPLE)}"), f"chatcmpl-{number:032x}"
            payload = {
                "request_id": request,
                "endpoint": "chat",
                "model": "assistant",
                "upstream": "assistant",
                "question": ask(rng, number / size),
                "answer": "社内ポータルの申請画面から手続きしてください。" * 3,
                "usage": {"input_tokens": 40, "cached_tokens": 0, "output_tokens": 60, "estimated": False},
                "facts": {"source": "knowledge", "knowledge_id": f"k{rng.randrange(400)}", "propensity": 1.0},
                "latency_ms": 12.5,
            }
            answered = [*answered[-63:], (request, who)]
            batch.append(NewEvent("InferenceServed", 1, TENANT, who, at, "service", payload))
        else:
            request, who = rng.choice(answered)
            payload = {"inference_id": request, "kind": "thumb", "value": rng.choice((1, 1, -1)), "actor": "local"}
            batch.append(NewEvent("FeedbackGiven", 1, TENANT, who, at, "service", payload))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


class Questions:
    """Made-up questions in made-up words, Japanese and Latin, asked as people ask."""

    def __init__(self, seed: int, kinds: int = 12_000) -> None:
        rng = random.Random(seed)
        kanji = [chr(code) for code in range(0x4E00, 0x4E00 + 2_400, 2)]
        words = ["".join(rng.choices(kanji, k=2)) for _ in range(3_000)]
        parts = ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ro", "su", "ta", "ve", "wi"]
        latin = ["".join(rng.choices(parts, k=rng.randrange(2, 5))) for _ in range(3_000)]
        ends = [
            "の申請方法を教えてください",
            "が使えません",
            "の期限はいつですか",
            "を変更したい",
            "をなくしました",
            "は必要ですか",
        ]
        frames = ["how do i request {}", "{} does not work", "where is {}", "i want to cancel {}", "is {} required"]
        self._kinds = []
        for _ in range(kinds):
            if rng.random() < 0.7:
                self._kinds.append("の".join(rng.choices(words, k=rng.randrange(2, 5))) + rng.choice(ends))
            else:
                self._kinds.append(rng.choice(frames).format(" ".join(rng.choices(latin, k=rng.randrange(2, 5)))))

    def __call__(self, rng: random.Random, share: float) -> str:
        """One more question, when this share of the time is over: what can be asked has by then grown so far."""
        known = int(len(self._kinds) * (0.4 + 0.6 * share))
        # Half of what people ask is about what came lately.
        chosen = (
            int(known * (1 - (1 - rng.random()) ** 2.5)) if rng.random() < 0.5 else int(known * rng.random() ** 2.5)
        )
        text = self._kinds[min(chosen, known - 1)]
        spaced = text[0] < "\u0100"
        chance = rng.random()
        if chance < 0.35:
            text = rng.choice(["please ", "hi, "] if spaced else ["すみません、", "至急です。", "昨日から"]) + text
        if chance > 0.75:
            text += rng.choice([" thanks", " asap"] if spaced else ["よろしくお願いします", "急いでいます"])
        if chance < 0.08:
            gone = rng.randrange(len(text))
            text = text[:gone] + text[gone + 1 :]
        if 0.5 < chance < 0.51:
            text += f" 090-{rng.randrange(10_000):04}-{rng.randrange(10_000):04}"
        return text


def tell(metric: str, value: float, unit: str, size: int, **more: object) -> None:
    """One line."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    told = {"metric": metric, "value": round(value, 3), "unit": unit, "events": size, **more}
    print(json.dumps({**told, "commit": commit, "machine": machine}), flush=True)


if __name__ == "__main__":
    main()
