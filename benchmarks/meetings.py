"""What Level 0 finds in meetings it has not learned from, how good an extract it makes, and what an hour costs.

    .venv/bin/python benchmarks/meetings.py [--actions] [--decisions] [--minutes] [--chapters] [--chinese] [--cost]
        [--data FOLDER] [--icsi]

Without a choice, everything. The data lies beside the repository (`../shared/data/meetings`) or under where
`IKKAN_TEST_DATA` says. All but chapters goes through `level0.extract`. Prints one JSON line per figure.

- actions, decisions: AMI, 5 folds (index of the series in sorted order, mod 5; a series is a meeting's name without its
  last letter). Weights, calibration and threshold come from the other folds only. F1 is of dialogue acts; a minuted
  action is covered if one of the first 10 or 20 candidates of its meeting is linked to it (of those linked to any act).
- minutes: series ES2003, IS1008 and TS3006, learned from all other series. The first words of the key points, as many
  as the reference (all sections of the written summary) has, against the reference. ROUGE as in `rouge-score` without
  stemming: lower case, runs of `[a-z0-9]`, F of clipped counts; mean over meetings.
- chapters: borders against the topics of QMSum (train part), P_k and WindowDiff, beside even cuts and no cut.
- chinese: the same on the segments of VCSum (development part) put together again, and ROUGE-1 of characters against
  all their summaries; shipped weights, which know no Chinese.
- cost: an hour of 10,000 words, shipped weights, a fresh process.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ikkan.apps.meetings.rules.level0 import extract
from ikkan.apps.meetings.rules.level0.chapters import chapters
from ikkan.apps.meetings.rules.level0.corpus import lesson_of, linked, transcript_of
from ikkan.apps.meetings.rules.level0.features import COLUMNS
from ikkan.apps.meetings.rules.level0.model import Head, Model
from ikkan.apps.meetings.rules.level0.rates import TRAITS, WORD_COLUMNS, Rates, Told
from ikkan.apps.meetings.rules.level0.train import Lesson, fit_rates, fit_shape, head, head_and_chances
from ikkan.apps.meetings.rules.level0.units import units
from ikkan.apps.meetings.values import Extraction, Kind, Segment, Transcript

HOUSE = Path(__file__).parents[1]
FOLDS = 5
JUDGED = {"ES2003", "IS1008", "TS3006"}
PARTS = ("actions", "decisions", "minutes", "chapters", "chinese", "cost")
Bools = NDArray[np.bool_]


def main() -> None:
    options = argparse.ArgumentParser(description="How well meetings are read without a language model.")
    data = Path(os.environ.get("IKKAN_TEST_DATA") or HOUSE.parent / "shared" / "data")
    options.add_argument("--data", type=Path, default=data / "meetings")
    options.add_argument("--one-hour", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--icsi", action="store_true", help="Minutes: learn importance and words from ICSI too.")
    for part in PARTS:
        options.add_argument(f"--{part}", action="store_true")
    given = options.parse_args()
    if not (given.data / "ami").is_dir():
        print(json.dumps({"metric": "meetings", "skipped": f"needs {given.data}/ami"}))
        sys.exit(0)
    if given.one_hour:
        one_hour(given.data)
        return
    chosen = [part for part in PARTS if getattr(given, part)] or list(PARTS)
    records = read(given.data / "ami" / "ami_shared.jsonl.gz")
    if {"actions", "decisions", "minutes"} & set(chosen):
        lessons = [lesson_of(record, questions=("actions", "decisions", "importance")) for record in records]
    if "actions" in chosen:
        found_in_folds(records, lessons, "actions", Kind.ACTION)
    if "decisions" in chosen:
        found_in_folds(records, lessons, "decisions", Kind.DECISION)
    if "minutes" in chosen:
        more = read(given.data / "icsi" / "icsi_shared.jsonl.gz") if given.icsi else []
        minutes(records, lessons, [lesson_of(record, questions=("importance",)) for record in more])
    if "chapters" in chosen:
        borders("chapters", english_topics(read(given.data / "qmsum" / "train.jsonl.gz")))
    if "chinese" in chosen:
        meetings = list(chinese_meetings(given.data / "vcsum" / "short_dev.txt"))
        borders("chinese_chapters", [(transcript, truth) for transcript, truth, _ in meetings])
        chinese(meetings)
    if "cost" in chosen:
        subprocess.run([sys.executable, __file__, "--one-hour", "--data", str(given.data)], check=True)


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def found_in_folds(records: Sequence[dict[str, Any]], lessons: Sequence[Lesson], question: str, kind: Kind) -> None:
    series = sorted({one.group for one in lessons})
    fold = [series.index(one.group) % FOLDS for one in lessons]
    blank = empty_model()
    f1, hits, said, real = [], 0, 0, 0
    covered, minuted = Counter[int](), 0
    expected, right, shown_all = 0.0, 0, 0
    for here in range(FOLDS):
        learned = head([one for one, where in zip(lessons, fold, strict=True) if where != here], question)
        model = replace(blank, **{question: learned})
        here_hits = here_said = here_real = 0
        for record, where in zip(records, fold, strict=True):
            if where != here:
                continue
            supports = linked(record, question)
            ranked = [one for one in extract(transcript_of(record), model=model) if one.kind is kind]
            sure = {one.evidence[0] for one in ranked if one.confidence >= round(learned.threshold, 4)}
            here_hits += len(sure & set(supports))
            here_said += len(sure)
            here_real += len(supports)
            expected += sum(one.confidence for one in ranked)
            right += sum(one.evidence[0] in supports for one in ranked)
            shown_all += len(ranked)
            for first in (10, 20):
                shown = [supports.get(one.evidence[0], set()) for one in ranked[:first]]
                covered[first] += len(set().union(*shown))
            minuted += len(set().union(*supports.values()))
        f1.append(2 * here_hits / max(1, here_said + here_real))
        hits, said, real = hits + here_hits, said + here_said, real + here_real
    say(
        f"{question}_f1",
        float(np.mean(f1)),
        "share",
        folds=[round(one, 3) for one in f1],
        precision=round(hits / max(1, said), 3),
        recall=round(hits / real, 3),
    )
    say(f"{question}_confidence", expected / shown_all, "mean of what is shown", right=round(right / shown_all, 4))
    for first in (10, 20):
        say(f"{question}_covered_by_top_{first}", covered[first] / minuted, "share", minuted=minuted)


def minutes(records: Sequence[dict[str, Any]], lessons: Sequence[Lesson], more: Sequence[Lesson]) -> None:
    rest = [*(one for one in lessons if one.group not in JUDGED), *more]
    importance, chances = head_and_chances(rest, "importance", folds=3)
    model = replace(empty_model(), importance=importance, shape=fit_shape(rest), rates=fit_rates(rest, chances))
    found: dict[str, list[float]] = {}
    for record in records:
        if record["meeting"][:-1] not in JUDGED:
            continue
        reference = rouge_words(" ".join(one["text"] for one in record["summary"]))
        transcript = transcript_of(record)
        points = [one for one in extract(transcript, model=model) if one.kind is Kind.KEY_POINT]
        important = {act["id"] for act in record["dialogue_acts"] if act["ext"]}
        ways = {
            "key_points": [one.text for one in points],
            "first_words": [one.text for one in transcript],
            "gold_extract": [one.text for one in transcript if one.id in important],
        }
        for way, texts in ways.items():
            cut = rouge_words(" ".join(texts))[: len(reference)]
            for n in (1, 2):
                found.setdefault(f"{way} {n}", []).append(rouge(cut, reference, n))
        used = within(points, len(reference))
        found.setdefault("important", []).append(float(np.mean([one.evidence[0] in important for one in used])))
    for way in ("key_points", "first_words", "gold_extract"):
        say(
            f"minutes_rouge1_{way}",
            float(np.mean(found[f"{way} 1"])),
            "F",
            rouge2=round(float(np.mean(found[f"{way} 2"])), 3),
            meetings=[round(one, 3) for one in found[f"{way} 1"]],
        )
    say("minutes_lines_people_also_chose", float(np.mean(found["important"])), "share")


def within(points: Sequence[Extraction], room_words: int) -> list[Extraction]:
    used, filled = [], 0
    for one in points:
        if filled >= room_words:
            break
        used.append(one)
        filled += len(rouge_words(one.text))
    return used


def rouge_words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def rouge(said: Sequence[str], reference: Sequence[str], n: int) -> float:
    """F of clipped n-gram counts."""
    ours, theirs = grams(said, n), grams(reference, n)
    both = (ours & theirs).total()
    return 2 * both / max(1, ours.total() + theirs.total())


def grams(said: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(said[at : at + n]) for at in range(len(said) - n + 1))


def english_topics(meetings: Sequence[dict[str, Any]]) -> Iterator[tuple[Transcript, Bools]]:
    for meeting in meetings:
        turns = meeting["meeting_transcripts"]
        starts = {int(span[0]) for topic in meeting["topic_list"] for span in topic["relevant_text_span"]}
        segments = [
            Segment(f"s{at}", turn["speaker"], re.sub(r"\{\w+\}", "", turn["content"])) for at, turn in enumerate(turns)
        ]
        yield (
            Transcript(tuple(segments), "en"),
            np.array([at in starts and at > 0 for at in range(len(turns))]),
        )


def chinese_meetings(path: Path) -> Iterator[tuple[Transcript, Bools, str]]:
    meetings: dict[int, list[dict[str, Any]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        part = json.loads(line)
        meetings.setdefault(part["av_num"], []).append(part)
    for parts in meetings.values():
        parts.sort(key=lambda part: int(part["id"].split("_")[1]))
        segments, truth = list[Segment](), list[bool]()
        for part in parts:
            for turn, (who, sentences) in enumerate(zip(part["speaker"], part["context"], strict=True)):
                for number, text in enumerate(sentences):
                    truth.append(bool(segments) and turn == number == 0)
                    segments.append(Segment(f"s{len(segments)}", str(who), text))
        summary = "".join(part["discussion"] for part in parts)
        yield Transcript(tuple(segments), "zh"), np.array(truth), summary


def chinese(meetings: Sequence[tuple[Transcript, Bools, str]]) -> None:
    found: dict[str, list[float]] = {}
    for transcript, _, summary in meetings:
        reference = re.findall(r"\w", summary)
        points = [one.text for one in extract(transcript) if one.kind is Kind.KEY_POINT]
        for way, texts in (("key_points", points), ("first_words", [one.text for one in transcript])):
            cut = re.findall(r"\w", "".join(texts))[: len(reference)]
            for n in (1, 2):
                found.setdefault(f"{way} {n}", []).append(rouge(cut, reference, n))
    for way in ("key_points", "first_words"):
        value, second = (float(np.mean(found[f"{way} {n}"])) for n in (1, 2))
        say(f"chinese_rouge1_{way}", value, "F of characters", rouge2=round(second, 3), meetings=len(meetings))


def borders(name: str, meetings: Iterable[tuple[Transcript, Bools]]) -> None:
    scores: dict[str, list[float]] = {}
    for transcript, truth in meetings:
        said = units(transcript)
        topics = chapters(said, np.ones(len(said)))
        place = {segment.id: at for at, segment in enumerate(transcript)}
        n = len(truth)
        ours, even = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
        ours[[place[said[one.first].segment_id] for one in topics[1:]]] = True
        even[np.linspace(0, n, len(topics) + 1).astype(int)[1:-1]] = True
        reach = max(2, n // (2 * (int(truth.sum()) + 1)))
        for way, guess in (("level0", ours), ("even", even), ("none", np.zeros(n, dtype=np.bool_))):
            for score, value in misses(truth, guess, reach):
                scores.setdefault(f"{score} {way}", []).append(value)
    for score in ("pk", "windowdiff"):
        others = {way: round(float(np.mean(scores[f"{score} {way}"])), 3) for way in ("even", "none")}
        say(f"{name}_{score}", float(np.mean(scores[f"{score} level0"])), "missed, less is better", **others)


def misses(truth: Bools, guess: Bools, reach: int) -> Iterator[tuple[str, float]]:
    sums = [np.concatenate([[0], np.cumsum(one)]) for one in (truth, guess)]
    real, ours = (one[1 + reach :] - one[1:-reach] for one in sums)
    yield "pk", float(np.mean((real > 0) != (ours > 0)))
    yield "windowdiff", float(np.mean(real != ours))


def one_hour(data: Path) -> None:
    words, segments = 0, list[Segment]()
    for record in read(data / "ami" / "ami_shared.jsonl.gz"):
        for one in transcript_of(record):
            if words < 10_000:
                segments.append(replace(one, id=f"s{len(segments)}"))
                words += len(one.text.split())
    transcript = Transcript(tuple(segments), "en")
    before_s, cpu_s = time.perf_counter(), time.process_time()
    found = extract(transcript)
    wall_s, cpu_s = time.perf_counter() - before_s, time.process_time() - cpu_s
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    say("one_hour_level0", wall_s, "s", cpu_s=round(cpu_s, 2), words=words, extractions=len(found))
    say("one_hour_level0_peak", peak_bytes / 1e6, "MB")


def empty_model() -> Model:
    """Knows nothing; the parts that are measured are put into it."""
    nothing = np.zeros(WORD_COLUMNS)
    told = Told(1.0, 1.0, nothing, nothing + 1, nothing, nothing)
    rates = Rates(told, np.zeros(TRAITS), np.ones(TRAITS), np.zeros(1 + TRAITS + TRAITS * (TRAITS + 1) // 2))
    blank = Head(np.zeros(COLUMNS, dtype=np.float32), np.zeros(3), 2.0)
    return Model(blank, blank, blank, np.zeros(12), rates)


def say(metric: str, value: float, unit: str, **more: Any) -> None:
    commit = subprocess.run(
        ["git", "-C", str(HOUSE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs"
    line = {"metric": metric, "value": round(value, 4), "unit": unit, **more, "commit": commit, "machine": machine}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
