"""How well and how quickly are meetings searched? JSQuAD for the first, a thousand meetings for the second.

    .venv/bin/python benchmarks/meetings_search.py [--part quality|speed|japanese|meaning] [--meetings N] [--url URL]

`quality`: all 1,145 paragraphs of JSQuAD's validation part (v1.3), each a meeting of its own; every one of its 4,442
questions is asked, and R@1 and R@5 count the paragraph it was written from. `speed`: AMI and QMSum meetings, repeated
to as many as are asked for, and QMSum's questions; `japanese` the same with meetings put together of JSQuAD paragraphs
(15,000 characters each, an hour of talk). `meaning`: every fifth meeting of QMSum's train part, its specific questions,
with and without this home's embedding model (`--models`): is a passage of the evidence among the first? Everything goes
through the tables, as a page's search does. The data lies beside the repository (`../shared/data`) or where
`IKKAN_TEST_DATA` says. Prints one JSON line per figure.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import platform
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ikkan.apps.meetings.rules.search import passages
from ikkan.apps.meetings.rules.search.passages import SAID
from ikkan.apps.meetings.service.indexing import index_part
from ikkan.apps.meetings.service.searching import Searching
from ikkan.apps.meetings.store import meetings as store
from ikkan.apps.meetings.values import Embed, Meeting, Segment, Viewer
from ikkan.bootstrap.embedding import home_embedder
from ikkan.ground.clock import SystemClock
from ikkan.ground.db import Database, upgrade
from ikkan.ground.ids import SubjectId, TenantId, new_id
from ikkan.models.store import ModelStore

HOUSE = Path(__file__).parents[1]
ASKS = Viewer(TenantId("bench"), SubjectId("s"))
_HOUR_CHARACTERS = 15_000
_ASKED = 300


def main() -> None:
    options = argparse.ArgumentParser(description="How well and how quickly meetings are searched.")
    options.add_argument("--part", choices=("quality", "speed", "japanese", "meaning"), default="quality")
    options.add_argument("--meetings", type=int, default=1_000)
    options.add_argument("--url", default="")
    options.add_argument("--models", type=Path, default=HOUSE / ".cache" / "test-home" / "models")
    given = options.parse_args()
    data = Path(os.environ.get("IKKAN_TEST_DATA") or HOUSE.parent / "shared" / "data") / "meetings"
    if not data.is_dir():
        print(json.dumps({"metric": "meetings_search", "skipped": f"needs {data}"}))
        return
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"sqlite:///{folder}/bench.db"
        upgrade(url)
        database = Database(url)
        if given.part == "quality":
            quality(database, data)
        elif given.part == "meaning":
            meaning(database, data, given.models)
        else:
            texts = english(data) if given.part == "speed" else japanese(data, given.meetings)
            questions = asked_in_english(data) if given.part == "speed" else [text for text, _ in jsquad(data)[1]]
            speed(database, texts, questions, given.meetings, given.part)
        database.close()


def quality(database: Database, data: Path) -> None:
    """R@1 and R@5 over all paragraphs, and how long each question took."""
    paragraphs, questions = jsquad(data)
    ids = keep(database, ([paragraph] for paragraph in paragraphs))
    searching, firsts, fives, took_ms = Searching(database), 0, 0, []
    for question, place in questions:
        started = time.perf_counter()
        found = searching.search(ASKS, question, part=SAID, limit=5).quotes
        took_ms.append(1e3 * (time.perf_counter() - started))
        best = list(dict.fromkeys(quote.meeting_id for quote in found))
        firsts += best[:1] == [ids[place]]
        fives += ids[place] in best
    tell("meetings_search.jsquad.r@1", firsts / len(questions), "share", questions=len(questions))
    tell("meetings_search.jsquad.r@5", fives / len(questions), "share", questions=len(questions))
    tell("meetings_search.jsquad.p95", float(np.percentile(took_ms, 95)), "ms", meetings=len(paragraphs))


def speed(database: Database, texts: Sequence[Sequence[str]], questions: Sequence[str], count: int, part: str) -> None:
    """How long a question takes over that many meetings, and what the index weighs."""
    started = time.perf_counter()
    keep(database, itertools.islice(itertools.cycle(texts), count))
    build_s = time.perf_counter() - started
    random.Random(0).shuffle(asked := list(questions))
    searching, took_ms = Searching(database), []
    for question in asked[:_ASKED]:
        started = time.perf_counter()
        searching.search(ASKS, question, part=SAID, limit=10)
        took_ms.append(1e3 * (time.perf_counter() - started))
    tell(f"meetings_search.{part}.build", build_s / count * 1e3, "ms a meeting", meetings=count)
    tell(f"meetings_search.{part}.p50", float(np.percentile(took_ms, 50)), "ms", meetings=count)
    tell(f"meetings_search.{part}.p95", float(np.percentile(took_ms, 95)), "ms", meetings=count, asked=len(took_ms))
    if database.dialect == "sqlite":
        path = Path(database.url.removeprefix("sqlite:///"))
        size = sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))
        tell(f"meetings_search.{part}.bytes", size / count, "bytes a meeting", meetings=count)


def meaning(database: Database, data: Path, models: Path) -> None:
    """R@1, R@10 and the mean reciprocal rank of the evidence of QMSum's questions, by halves of the meetings."""
    embed = home_embedder(ModelStore(models), models / "lease")
    with gzip.open(data / "qmsum" / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in itertools.islice(lines, 0, None, 5)]
    ids = keep(database, ([turn["content"] for turn in each["meeting_transcripts"]] for each in records), embed=embed)
    for name, searching in (("words", Searching(database)), ("meaning", Searching(database, embed=embed))):
        for half in (0, 1):
            ranks = [
                _rank_of(searching, asked["query"], ids[at], asked["relevant_text_span"])
                for at, record in enumerate(records)
                for asked in record["specific_query_list"]
                if at % 2 == half
            ]
            tell(f"meetings_search.qmsum.{name}.r@1", np.mean([rank == 1 for rank in ranks]), "share", half=half)
            tell(f"meetings_search.qmsum.{name}.r@10", np.mean([rank <= 10 for rank in ranks]), "share", half=half)
            told = {"half": half, "questions": len(ranks)}
            tell(f"meetings_search.qmsum.{name}.mrr", np.mean([1 / rank for rank in ranks]), "mean", **told)


def _rank_of(searching: Searching, question: str, meeting_id: str, spans: Sequence[Sequence[str]]) -> float:
    """At which place the first passage of the evidence stands; infinity where none is among the first hundred."""
    evidence = {f"s{turn + 1}" for first, last in spans for turn in range(int(first), int(last) + 1)}
    found = searching.search(ASKS, question, part=SAID, limit=100).quotes
    places = (at for at, each in enumerate(found, 1) if each.meeting_id == meeting_id and evidence & set(each.evidence))
    return next(places, float("inf"))


def keep(database: Database, meetings: Iterator[Sequence[str]], *, embed: Embed | None = None) -> list[str]:
    """Meetings and their index, as the service writes them."""
    ids, now = [], SystemClock().now()
    for said in meetings:
        segments = [Segment(f"s{place}", "", text) for place, text in enumerate(said, start=1)]
        fresh = Meeting(new_id("meeting"), 0, ASKS.tenant_id, ASKS.subject_id, "", "ja", None, now)
        with database.transaction() as connection:
            meeting = store.add(connection, fresh, segments)
        index_part(database, meeting, SAID, passages(segments), embed=embed)
        ids.append(meeting.id)
    return ids


def jsquad(data: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """Paragraphs, and each question with the place of its paragraph."""
    articles = json.loads((data / "jsquad" / "valid-v1.3.json").read_text(encoding="utf-8"))["data"]
    paragraphs, questions = [], []
    for article in articles:
        for paragraph in article["paragraphs"]:
            questions += [(each["question"], len(paragraphs)) for each in paragraph["qas"]]
            paragraphs.append(paragraph["context"].replace("[SEP]", "\n"))
    return paragraphs, questions


def english(data: Path) -> list[list[str]]:
    """What was said in AMI and QMSum meetings."""
    meetings = []
    with gzip.open(data / "ami" / "ami_shared.jsonl.gz", "rt", encoding="utf-8") as lines:
        meetings += [[act["text"] for act in json.loads(line)["dialogue_acts"]] for line in lines]
    with gzip.open(data / "qmsum" / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        meetings += [[turn["content"] for turn in json.loads(line)["meeting_transcripts"]] for line in lines]
    return meetings


def asked_in_english(data: Path) -> list[str]:
    """QMSum's questions about particular things."""
    with gzip.open(data / "qmsum" / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [each["query"] for line in lines for each in json.loads(line)["specific_query_list"]]


def japanese(data: Path, count: int) -> list[list[str]]:
    """Meetings of an hour each, put together of paragraphs by chance."""
    paragraphs, _ = jsquad(data)
    chance, meetings = random.Random(0), []
    for _ in range(count):
        said: list[str] = []
        while sum(map(len, said)) < _HOUR_CHARACTERS:
            said.append(chance.choice(paragraphs))
        meetings.append(said)
    return meetings


def tell(metric: str, value: float, unit: str, **facts: object) -> None:
    """One line."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HOUSE, capture_output=True, text=True, check=False
    ).stdout.strip()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    told = {"metric": metric, "value": round(value, 4), "unit": unit, **facts, "commit": commit, "machine": machine}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
