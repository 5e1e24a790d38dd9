"""How well, how surely and how cheaply are intents read? BANKING77, parts of its train file, on this machine.

    .venv/bin/python benchmarks/intent.py [--folds 5] [--fold K] [--ladder] [--table] [--data FILE] [--test FILE]

Each part of the train file is judged once by a ladder that learned from the rest (the same text never on both sides):
accuracy with nothing deferred, coverage and accuracy at the levels that training chose, seconds to train (embedding
included), and what a right answer costs at each rung. `--ladder` puts the rung above whose embedder learns too, and
says by how much the whole is righter than its bottom rung, and than its bottom rungs, with nothing deferred, the same
texts asked of all (`ikkan[train]` needed). `--table` compares ways to read, on one part. `--test` trains on
all of `--data` and scores another file, once. The data lies beside the repository (`../shared/data`) or where
`IKKAN_TEST_DATA` says, the default models where `IKKAN_TEST_MODELS` says. Prints one JSON line per figure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ikkan.apps.assistant.learn import IntentLearnable
from ikkan.bootstrap.embedding import home_embedder
from ikkan.flywheel import Budget, Examples, Fitted
from ikkan.ground.settings import load_settings
from ikkan.kit.intent import (
    Labelled,
    Recipe,
    TunedRecipe,
    as_examples,
    read_labelled,
    report,
)
from ikkan.kit.intent.fit import lbfgs, multinomial
from ikkan.kit.intent.ladder import Asked, Float32, Floats, Index, Ladder, Linear, Nearest, spelling, tempered
from ikkan.kit.intent.report import coverage_at
from ikkan.kit.letters import same_text
from ikkan.kit.taught import Embed
from ikkan.models.store import ModelStore

HOUSE = Path(__file__).parents[1]
BUDGET = Budget(seconds=120.0)
LADDER_BUDGET = Budget(seconds=600.0)


def main() -> None:
    options = argparse.ArgumentParser(description="How well intents are read.")
    data = Path(os.environ.get("IKKAN_TEST_DATA") or HOUSE.parent / "shared" / "data")
    options.add_argument("--data", type=Path, default=data / "shop" / "banking77" / "train.csv")
    options.add_argument("--test", type=Path)
    options.add_argument("--folds", type=int, default=5)
    options.add_argument("--fold", type=int, help="Only this one, from 0.")
    options.add_argument("--ladder", action="store_true")
    options.add_argument("--table", action="store_true")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    models = Path(os.environ.get("IKKAN_TEST_MODELS") or HOUSE / ".cache" / "test-home" / "models")
    if not given.data.is_file() or not models.is_dir():
        print(json.dumps({"metric": "intent", "skipped": f"needs {given.data} and the models in {models}"}))
        sys.exit(0)
    rows = read_labelled(given.data)
    embed = home_embedder(ModelStore(models), models.parent / "run" / "device.lease")
    assert embed is not None, "the models are there"
    above = [TunedRecipe(embed)] if given.ladder else []
    if given.test:
        say({"metric": "test", **measured(rows, read_labelled(given.test), embed, given.seed, above)})
    elif given.table:
        for line in table(*next(parts(rows, given.folds, given.seed)), embed):
            say(line)
    else:
        found = []
        for number, (taught, judging) in enumerate(parts(rows, given.folds, given.seed)):
            if given.fold not in (None, number):
                continue
            found.append({"metric": "fold", "fold": number, **measured(taught, judging, embed, given.seed, above)})
            say(found[-1])
        say({"metric": "folds", "folds": len(found), **summary(found)})


def parts(rows: Sequence[Labelled], folds: int, seed: int) -> Iterator[tuple[list[Labelled], list[Labelled]]]:
    """What teaches and what judges, for each fold; the same text is always on one side."""
    texts = sorted({same_text(row.text) for row in rows})
    drawn = np.random.default_rng(seed).permutation(len(texts)) % folds
    part = dict(zip(texts, drawn.tolist(), strict=True))
    for number in range(folds):
        here = [row for row in rows if part[same_text(row.text)] == number]
        yield [row for row in rows if part[same_text(row.text)] != number], here


def measured(
    taught: Sequence[Labelled], judging: Sequence[Labelled], embed: Embed, seed: int, above: Sequence[Recipe]
) -> dict[str, object]:
    """One ladder on texts it has not seen."""
    learnable = IntentLearnable(embed=embed, above=above)
    began, began_cpu = time.perf_counter(), time.process_time()
    fitted = learnable.train(as_examples(taught, seed), LADDER_BUDGET if above else BUDGET, seed)
    train_s, train_cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    settings = load_settings({})
    judges = as_examples(judging, seed)
    found = report(learnable, fitted, judges, yen_an_hour=settings.yen_an_hour)
    line = {
        "taught": len(taught),
        "train_s": round(train_s, 1),
        "train_cpu_s": round(train_cpu_s, 1),
        "bytes": sum(map(len, fitted.files.values())),
        "yen_per_success": found.yen_per_success,
        **asdict(found),
    }
    return {**line, "gains": gains(learnable, fitted, judges)} if above else line


def gains(learnable: IntentLearnable, fitted: Fitted, judges: Examples) -> dict[str, dict[str, int]]:
    """The whole ladder against its lower part, text by text, nothing deferred: where only one of the two is right."""
    ladder, asked = learnable.ladder(fitted), learnable.asked(judges.inputs)
    truths = [meant.intent for meant in judges.truths]

    def right(steps: int) -> list[bool]:
        read = Ladder(ladder.intents, ladder.steps[:steps], ladder.width).read(asked)
        return [ladder.intents[at] == truth for at, truth in zip(read.intent.tolist(), truths, strict=True)]

    whole = right(len(ladder.steps))
    return {
        "+".join(step.name for step in ladder.steps[:steps]): {
            "won": sum(ours and not theirs for ours, theirs in zip(whole, right(steps), strict=True)),
            "lost": sum(theirs and not ours for ours, theirs in zip(whole, right(steps), strict=True)),
        }
        for steps in range(1, len(ladder.steps))
    }


def summary(found: Sequence[dict[str, object]]) -> dict[str, object]:
    """Over all folds, weighted by texts; the interval is 1.96 standard errors of a share."""
    texts = np.array([line["texts"] for line in found], dtype=float)

    def mean(name: str) -> float:
        return float(np.average([float(str(line[name])) for line in found], weights=texts))

    accuracy, coverage = mean("accuracy"), mean("coverage")
    answered = texts * np.array([line["coverage"] for line in found], dtype=float)
    right = float(np.average([float(str(line["accuracy_answered"])) for line in found], weights=answered))
    n = float(texts.sum())
    paired: dict[str, object] = {}
    for part in found[0].get("gains", {}):  # type: ignore[attr-defined]
        won, lost = (sum(line["gains"][part][side] for line in found) for side in ("won", "lost"))  # type: ignore[index]
        gain = (won - lost) / n
        half = 1.96 * ((won + lost) / n - gain**2) ** 0.5 / n**0.5
        paired[f"gain_over_{part}"] = {"gain": round(gain, 4), "half_width": round(half, 4), "won": won, "lost": lost}
    return {
        **paired,
        "texts": int(n),
        "accuracy": round(accuracy, 4),
        "accuracy_half_width": round(1.96 * (accuracy * (1 - accuracy) / n) ** 0.5, 4),
        "coverage": round(coverage, 4),
        "accuracy_answered": round(right, 4),
        "answered_half_width": round(1.96 * (right * (1 - right) / float(answered.sum())) ** 0.5, 4),
        "coverage_at_97": round(mean("coverage_at_97"), 4),
        "train_s_most": max(float(str(line["train_s"])) for line in found),
        "train_cpu_s_most": max(float(str(line["train_cpu_s"])) for line in found),
    }


def table(taught: Sequence[Labelled], judging: Sequence[Labelled], embed: Embed) -> Iterator[dict[str, object]]:
    """Ways to read, each trained on the same texts and judged on the same others."""
    intents = sorted({row.intent for row in taught})
    means = np.array([intents.index(row.intent) for row in taught], dtype=np.int64)
    truths = np.array([intents.index(row.intent) for row in judging], dtype=np.int64)
    here, there = ([row.text for row in rows] for rows in (taught, judging))
    learned, judged = Asked(tuple(here), embed(here)), Asked(tuple(there), embed(there))
    written, read = spelling(here), spelling(there)

    def line(name: str, chances: Floats, began: float) -> dict[str, object]:
        right = chances.argmax(axis=1) == truths
        return {
            "metric": "way",
            "way": name,
            "texts": len(truths),
            "accuracy": round(float(right.mean()), 4),
            "coverage_at_97": round(coverage_at(chances.max(axis=1), right), 4),
            "seconds": round(time.perf_counter() - began, 1),
        }

    def linear(name: str, ours: Float32, theirs: Float32, strength: float) -> dict[str, object]:
        began = time.perf_counter()
        weights = multinomial(with_constant(ours), means, len(intents), strength=strength)
        scores = (with_constant(theirs) @ weights).astype(np.float64)
        return line(f"logistic regression, {name}", tempered(scores, 1.0), began)

    began = time.perf_counter()
    nearest = Nearest(learned.vectors, means, len(intents)).logits(judged)
    yield line("10 nearest, embedding", tempered(nearest, 1.0), began)
    began = time.perf_counter()
    bare = Asked(judged.texts, np.zeros((len(there), 0), np.float32))
    by_spelling = Nearest(written, means, len(intents)).logits(bare)
    yield line("10 nearest, spelling", tempered(by_spelling, 1.0), began)
    yield linear("embedding", learned.vectors, judged.vectors, 30.0)
    yield linear("spelling", written, read, 30.0)
    ours, theirs = np.hstack([learned.vectors, written]), np.hstack([judged.vectors, read])
    for strength in (3.0, 10.0, 30.0):
        yield linear(f"embedding + spelling, strength {strength:.0f}", ours, theirs, strength)
    for name, mine, yours in (
        ("embedding", learned.vectors, judged.vectors),
        ("embedding + spelling", ours, theirs),
    ):
        began = time.perf_counter()
        scores = (with_constant(yours) @ hinged(with_constant(mine), means, len(intents))).astype(np.float64)
        yield line(f"linear support vectors, {name}", tempered(scores, 0.3), began)
    began = time.perf_counter()
    ratios = log_count_ratios(np.abs(written), means, len(intents))
    yield line("naive Bayes, spelling", tempered((np.abs(read) @ ratios).astype(np.float64), 1.0), began)
    began = time.perf_counter()
    weights = hinged(np.abs(written), means, len(intents), scale=ratios, strength=10.0)
    yield line("NB-SVM, spelling", tempered((np.abs(read) @ weights).astype(np.float64), 0.3), began)
    began = time.perf_counter()
    scores = Linear(multinomial(with_constant(ours), means, len(intents))).logits(judged)
    yield line(
        "mean of 10 nearest and logistic regression", (tempered(scores, 0.7) + tempered(nearest, 1.4)) / 2, began
    )


def hinged(
    rows: Float32, means: Index, intents: int, *, scale: Float32 | None = None, strength: float = 1.0
) -> Float32:
    """One against the rest with a squared hinge; weights `(columns, intents)`.

    Args:
        scale: what each column counts for each intent, as in Wang and Manning 2012 ("Baselines and bigrams").
    """
    n, columns = rows.shape
    sides = -np.ones((n, intents), np.float32)
    sides[np.arange(n), means] = 1
    scale = np.ones((columns, intents), np.float32) if scale is None else scale

    def loss(weights: Float32) -> tuple[float, Float32]:
        shaped = weights.reshape(columns, intents)
        short = np.maximum(np.float32(0), 1 - sides * (rows @ (shaped * scale)))
        value = float((short * short).sum(dtype=np.float64)) / n + float(weights @ weights) / (2 * strength * n)
        slope = scale * (rows.T @ (-2 * sides * short / np.float32(n))) + shaped / np.float32(strength * n)
        return value, slope.ravel()

    return lbfgs(loss, np.zeros(columns * intents, np.float32), 80).reshape(columns, intents) * scale


def log_count_ratios(rows: Float32, means: Index, intents: int) -> Float32:
    """How much oftener each piece is in an intent than in the rest, `(columns, intents)`."""
    counts = np.stack([rows[means == intent].sum(axis=0) for intent in range(intents)], axis=1)
    others = counts.sum(axis=1, keepdims=True) - counts + 0.1
    counts = counts + 0.1
    return np.asarray(np.log(counts / counts.sum(axis=0)) - np.log(others / others.sum(axis=0)), dtype=np.float32)


def with_constant(rows: Float32) -> Float32:
    """The rows with a column of ones."""
    return np.hstack([rows, np.ones((len(rows), 1), np.float32)])


def say(line: dict[str, object]) -> None:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    where = {"commit": commit.stdout.strip(), "machine": platform.processor() or platform.machine()}
    print(json.dumps({**line, **where, "cores": os.cpu_count()}), flush=True)


if __name__ == "__main__":
    main()
