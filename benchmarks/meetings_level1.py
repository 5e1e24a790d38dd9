"""Minutes that a model writes beside Level 0's: the same meetings, the same measures. Is a model allowed by default?

    .venv/bin/python benchmarks/meetings_level1.py [--meetings 12] [--model smollm2-135m-instruct] [--data FOLDER]
        [--models FOLDER] [--level0 FILE] [--engine URL]

The meetings are those of series ES2003, IS1008 and TS3006 of AMI, in order; Level 0 is learned from all other series. A
home is made in a temporary folder, our engine is started in it as its own process, and every request goes through the
gateway's pipeline: reserved, metered, settled. Models are found in `IKKAN_TEST_MODELS`, or `.cache/test-home/models`.

- rouge1: the first words of the key points, as many as the reference has, as in `benchmarks/meetings.py`. `model_alone`
  is the model's own notes without Level 0's behind them.
- action_f1: of dialogue acts, threshold from Level 0's training; actions_in_top_20: minuted actions that one of the
  first 20 candidates of its meeting is linked to.
- notes, questions, tokens: what the model wrote, what was dropped and why, and what it cost.

Prints one JSON line per figure, and last the row for `rules/level1/measured.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from meetings import HOUSE, JUDGED, empty_model, read, rouge, rouge_words, say

from ikkan import bootstrap
from ikkan.apps.meetings.rules.level0 import extract
from ikkan.apps.meetings.rules.level0.corpus import lesson_of, linked, transcript_of
from ikkan.apps.meetings.rules.level0.model import Model
from ikkan.apps.meetings.rules.level0.train import fit_rates, fit_shape, head, head_and_chances
from ikkan.apps.meetings.rules.level1.measured import plain_name
from ikkan.apps.meetings.service.writing import ALIASES, Writer, Written
from ikkan.apps.meetings.values import Extraction, Kind
from ikkan.bootstrap.platform import make_ready
from ikkan.cloud.values import LOCAL
from ikkan.ground.settings import Settings, load_settings

CONTEXT_TOKENS = 2048
"""The laptop's."""
PART_S = 600.0
"""A busy machine is no reason to give the model less of a chance."""


@dataclass(frozen=True, slots=True)
class Score:
    """One way of drawing a meeting out, against what people wrote."""

    rouge1: float
    hits: int
    said: int
    covered: int


def main() -> None:
    options = argparse.ArgumentParser(description="Whether a model's minutes are no worse than none.")
    data = Path(os.environ.get("IKKAN_TEST_DATA") or HOUSE.parent / "shared" / "data")
    models = Path(os.environ.get("IKKAN_TEST_MODELS") or HOUSE / ".cache" / "test-home" / "models")
    options.add_argument("--data", type=Path, default=data / "meetings")
    options.add_argument("--models", type=Path, default=models)
    options.add_argument("--model", default="smollm2-135m-instruct")
    options.add_argument("--meetings", type=int, default=12)
    options.add_argument("--engine", default="", help="An engine that runs already, instead of one of our own.")
    options.add_argument("--level0", type=Path, help="A file in which the learned Level 0 is kept between runs.")
    given = options.parse_args()
    if not (given.data / "ami").is_dir() or not (given.models / given.model).is_dir():
        print(json.dumps({"metric": "meetings_level1", "skipped": f"needs {given.data}/ami and {given.models}"}))
        sys.exit(0)
    records = read(given.data / "ami" / "ami_shared.jsonl.gz")
    level0 = learned(records, given.level0)
    threshold = round(level0.actions.threshold, 4)
    judged = [record for record in records if record["meeting"][:-1] in JUDGED][: given.meetings]
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder), given) as settings:
        make_ready(settings, lambda told: None)
        with bootstrap.opened(settings) as platform:
            platform.cloud.service.set_alias(ALIASES[0], f"{bootstrap.ENGINE}/{given.model}")
            writer = Writer(platform.cloud.pipeline, context_tokens=CONTEXT_TOKENS, part_s=PART_S)
            asyncio.run(race(platform.cloud, writer, judged, level0, threshold, given.model))


def learned(records: Sequence[dict[str, Any]], kept: Path | None) -> Model:
    """Level 0 of all other series."""
    if kept is not None and kept.exists():
        return Model.unpack(kept.read_bytes())
    lessons = [
        lesson_of(record, questions=("actions", "importance"))
        for record in records
        if record["meeting"][:-1] not in JUDGED
    ]
    importance, chances = head_and_chances(lessons, "importance", folds=3)
    actions = head(lessons, "actions")
    rates, shape = fit_rates(lessons, chances), fit_shape(lessons)
    model = replace(empty_model(), importance=importance, shape=shape, rates=rates, actions=actions)
    if kept is not None:
        kept.write_bytes(model.pack())
    return Model.unpack(model.pack())  # as it would ship


async def race(
    cloud: Any, writer: Writer, judged: Sequence[dict[str, Any]], level0: Model, threshold: float, model: str
) -> None:
    scores: dict[str, list[Score]] = {"level0": [], "level1": [], "model_alone": []}
    dropped: Counter[str] = Counter()
    real = minuted = notes = questions = parts = fell_back = 0
    began_s = time.perf_counter()
    for record in judged:
        transcript = transcript_of(record)
        found = extract(transcript, model=level0)
        written: Written = await writer.write(LOCAL, transcript, found, form="standard")
        own = [one for one in written.extractions if one.made_by.startswith("level1:")]
        for way, drawn in (("level0", found), ("level1", written.extractions), ("model_alone", own)):
            scores[way].append(score(record, drawn, threshold))
        supports = linked(record, "actions")
        real += len(supports)
        minuted += len(set().union(*supports.values()))
        notes += len(own)
        dropped.update(written.dropped)
        questions, parts, fell_back = (
            questions + written.questions,
            parts + written.parts,
            fell_back + (not written.level),
        )
        line = {way: round(each[-1].rouge1, 3) for way, each in scores.items()}
        taken_s = round(time.perf_counter() - began_s)
        told = {"questions": written.questions, "kept": len(own), "dropped": dict(written.dropped), "so_far_s": taken_s}
        print(json.dumps({"meeting": record["meeting"], **line, **told, "remarks": written.remarks}), flush=True)
    n = len(judged)
    figures: dict[str, dict[str, float]] = {}
    for way, each in scores.items():
        hits, said, covered = (sum(getattr(one, name) for one in each) for name in ("hits", "said", "covered"))
        figures[way] = {
            "rouge1": float(np.mean([one.rouge1 for one in each])),
            "action_f1": 2 * hits / max(1, said + real),
            "actions_in_top_20": covered / max(1, minuted),
        }
    for measure in ("rouge1", "action_f1", "actions_in_top_20"):
        others = {way: round(figures[way][measure], 4) for way in ("level0", "model_alone")}
        say(
            f"level1_{measure}", figures["level1"][measure], "share", **others, model=model, meetings=n, minuted=minuted
        )
    say("level1_notes", notes, "kept", dropped=dict(dropped), fell_back=fell_back, questions=questions, parts=parts)
    used = cloud.service.usage(by=("upstream",), tenant_id=LOCAL.tenant_id)
    tokens = {
        name: sum(getattr(line, name) for line in used) for name in ("input_tokens", "cached_tokens", "output_tokens")
    }
    say("level1_wall", time.perf_counter() - began_s, "s", **tokens, meetings=n)
    pairs = {m: (round(figures["level0"][m], 4), round(figures["level1"][m], 4)) for m in figures["level0"]}
    print(json.dumps({plain_name(model): {"on": f"{datetime.now(UTC):%Y-%m-%d}", "meetings": n, **pairs}}), flush=True)


def score(record: dict[str, Any], drawn: Sequence[Extraction], threshold: float) -> Score:
    reference = rouge_words(" ".join(one["text"] for one in record["summary"]))
    points = [one.text for one in drawn if one.kind is Kind.KEY_POINT]
    cut = rouge_words(" ".join(points))[: len(reference)]
    supports = linked(record, "actions")
    ranked = [one for one in drawn if one.kind is Kind.ACTION]
    # A candidate rests on one act, a model's own note on several: each of them is said.
    sure = {segment_id for one in ranked if one.confidence >= threshold for segment_id in one.evidence}
    shown = [supports.get(segment_id, set()) for one in ranked[:20] for segment_id in one.evidence]
    return Score(rouge(cut, reference, 1), len(sure & set(supports)), len(sure), len(set().union(*shown)))


@contextmanager
def engine(folder: Path, given: argparse.Namespace) -> Iterator[Settings]:
    """Settings of a fresh home whose engine answers, until the block ends."""
    home = folder / "home"
    home.mkdir()
    (home / "models").symlink_to(given.models.resolve())
    if given.engine:
        yield load_settings({"IKKAN_HOME": str(home), "IKKAN_ENGINE_URL": given.engine})
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {"IKKAN_HOME": str(home), "IKKAN_ENGINE_URL": f"http://127.0.0.1:{port}"}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("IKKAN_")}
    environ["IKKAN_CONTEXT_TOKENS"] = str(CONTEXT_TOKENS)
    with (folder / "engine.log").open("w") as log:
        command = [sys.executable, "-m", "ikkan", "engine", "serve", given.model, "--port", str(port)]
        process = subprocess.Popen(command, env={**outside, **environ}, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            yield load_settings(environ)
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the engine ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(1)
    raise TimeoutError("the engine does not answer")


if __name__ == "__main__":
    main()
