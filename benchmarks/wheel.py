"""How often does the gate promote what it should, and refuse what it should? In memory, over many seeds.

    .venv/bin/python benchmarks/wheel.py --seeds 50

Arms, each judged as `Flywheel.run` judges, with the visits of `ikkan.apps.assistant.sample`:

- `true`: the recorded corrections. Promoted is right.
- `shuffled`: the same visits whose people believe permuted answers, in training and in judging. Refused is right.
- `drill`: the true visits with what people said permuted by the flywheel itself. Refused is right.
- `resample`: the champion has learned from the first 60 %; the candidate is its recipe on a bootstrap resample of the
  same lessons. Nothing was gained; refused is right.

Prints one JSON line per run and one with the totals.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from ikkan.apps.assistant.learn import AnswerLearnable
from ikkan.apps.assistant.rules import Answerer
from ikkan.apps.assistant.sample import knowledge, shuffled, visits
from ikkan.apps.assistant.service.sample import visit_events
from ikkan.apps.assistant.values import Knowledge
from ikkan.flywheel import NO_EXAMPLES, Budget, Examples, Fitted, Terms
from ikkan.flywheel.gate import Champion, Turn, cut_off, turn
from ikkan.flywheel.split import clusters, split
from ikkan.ground.clock import FakeClock
from ikkan.ground.fakes import FakeEvents

KNOWN = [Knowledge(e.entry_id, e.lang, e.topic, e.question, e.answer, e.source) for e in knowledge()]
ANSWERS = {entry.id: entry.answer for entry in KNOWN}
ARMS = ("true", "shuffled", "drill", "resample")
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def main() -> None:
    options = argparse.ArgumentParser(description="How often the gate is right.")
    options.add_argument("--seeds", type=int, default=50)
    options.add_argument("--first", type=int, default=1)
    options.add_argument("--arms", default=",".join(ARMS))
    given = options.parse_args()
    learnable = AnswerLearnable(lambda: KNOWN)
    base = learnable.train(NO_EXAMPLES, Budget(), 0)
    totals: Counter[str] = Counter()
    seconds = []
    for seed in range(given.first, given.first + given.seeds):
        for arm in given.arms.split(","):
            began = time.perf_counter()
            came = judged(learnable, base, arm, seed)
            seconds.append(time.perf_counter() - began)
            totals[f"{arm} promoted"] += came.promoted
            slices = {contest.name: round(contest.gain.lower, 4) for contest in came.slices}
            totals[f"{arm} every language above zero"] += bool(slices) and min(slices.values()) > 0
            print(json.dumps({"arm": arm, "seed": seed, **line(came), "seconds": round(seconds[-1], 2)}), flush=True)
    summary = {"metric": "promotions", "seeds": given.seeds, **dict(sorted(totals.items()))}
    print(json.dumps(summary | {"median_seconds": round(statistics.median(seconds), 2), "commit": commit(),
                                "machine": platform.processor() or platform.machine()}))  # fmt: skip


def judged(learnable: AnswerLearnable, base: Fitted, arm: str, seed: int) -> Turn:
    """One turn of the wheel in one arm."""
    recorded = visits(seed)
    if arm == "shuffled":
        recorded = shuffled(recorded, seed)
    clock = FakeClock(LATER)
    events, answerer = FakeEvents(clock), Answerer.load(base.files)
    for visit in recorded:
        best = answerer.reply(visit.question, most=1).best
        replayed = visit_events(visit, best.entry if best else None, ANSWERS)
        events.append(*(event for event in (replayed.served, replayed.feedback) if event is not None))
    clock.advance(1)
    seen = learnable.examples(events, clock.now())
    if arm == "drill":
        seen = seen.shuffled(seed)
    if arm != "resample":
        return turn(learnable, seen, Champion(base), seed=seed)
    lessons = taught(seen, Champion(base))
    champion = learnable.train(lessons, Budget(), seed)
    drawn = np.sort(np.random.default_rng(seed).integers(0, len(lessons), len(lessons)))
    return turn(
        learnable, seen, Champion(champion), seed=seed, candidate=learnable.train(lessons.take(drawn), Budget(), seed)
    )


def taught(seen: Examples, champion: Champion) -> Examples:
    """What teaches at the gate's own cut-off."""
    cutoff = cut_off(seen, champion, Terms())
    assert cutoff is not None, "there are visits"
    return seen.take(split(seen, cutoff, clusters(seen.keys)).teach)


def line(came: Turn) -> dict[str, object]:
    """The figures of one turn."""
    if came.gain is None or came.split is None:
        return {"promoted": came.promoted, "code": came.code}
    return {
        "promoted": came.promoted,
        "code": came.code,
        "n": came.gain.n,
        "people": came.gain.units,
        "gain": round(came.gain.estimate, 4),
        "lower": round(came.gain.lower, 4),
        "upper": round(came.gain.upper, 4),
        "champion": round(came.champion_score or 0, 4),
        "candidate": round(came.candidate_score or 0, 4),
        "slices": dict(_slices(came)),
        "beats": {contest.name: round(contest.gain.lower, 4) for contest in came.baselines},
        "too_similar": came.split.too_similar,
    }


def _slices(came: Turn) -> Iterator[tuple[str, list[float]]]:
    for contest in came.slices:
        yield (
            contest.name,
            [round(value, 4) for value in (contest.gain.estimate, contest.gain.lower, contest.gain.upper)],
        )


def commit() -> str:
    """The commit this was measured at."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
