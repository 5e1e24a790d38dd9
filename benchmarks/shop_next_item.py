"""What comes next, measured: quality over seeds, time to another program's quality, counts and factors beside it.

    .venv/bin/python benchmarks/shop_next_item.py --leave-one-out ../shared/data/shop/iclrec/Beauty.txt --seeds 5
    .venv/bin/python benchmarks/shop_next_item.py --leave-one-out FILE --race peer.jsonl
    .venv/bin/python benchmarks/shop_next_item.py --temporal RATINGS.csv --peers /tmp/peers-shop/bin/python
    .venv/bin/python benchmarks/shop_next_item.py --latency

`peer.jsonl` is what `shop_next_item_peer.py` printed. The race: seconds of training until validation NDCG@10 is what
the peer's best epoch had; the peer's seconds leave its evaluation out, ours leave it in. CPU seconds are given as well,
since they hold on a machine that others use. Prints one JSON line per figure.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ikkan.apps.shop.learn.next_item.dial import Dial
from ikkan.apps.shop.learn.next_item.training import train
from ikkan.apps.shop.rules.next_item import Blend, Recommender, ranking
from ikkan.apps.shop.rules.next_item.blend import BUCKETS, bucket_of
from ikkan.apps.shop.service import evaluating

HERE = Path(__file__).parent


def main() -> None:
    options = argparse.ArgumentParser(description="What comes next, measured.")
    options.add_argument("--leave-one-out", type=Path)
    options.add_argument("--temporal", type=Path)
    options.add_argument("--race", type=Path, help="what the peer printed on the same file")
    options.add_argument("--peers", type=Path, help="python of the environment of peers_shop.sh")
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--size", type=int, default=2)
    options.add_argument("--latency", action="store_true")
    given = options.parse_args()
    if given.leave_one_out is not None:
        left_out(given)
    if given.temporal is not None:
        in_time(given)
    if given.latency:
        latency(given.size)


def left_out(given: argparse.Namespace) -> None:
    """Each person's last item, all items ranked."""
    asked = evaluating.leave_one_out(evaluating.read_sequences(given.leave_one_out))
    rows = []
    for seed in range(given.seeds):
        began = time.process_time()
        made = train(asked.training, items=asked.item_ids, held=asked.held, seed=seed, settings=Dial(size=given.size))
        cpu_s = time.process_time() - began
        plain = Recommender(made.model, made.recommender.covisits, made.recommender.popularity, Blend.plain())
        rows.append(evaluating.ranks(made.recommender, asked))
        say(
            "next_item_ndcg@10", ranking.means(rows[-1])["ndcg@10"], "NDCG", file=given.leave_one_out.name, seed=seed,
            encoder_alone=ranking.means(evaluating.ranks(plain, asked))["ndcg@10"], validation=made.facts["validation"],
            training_s=made.facts["training_s"], cpu_s=round(cpu_s, 1), epochs=made.facts["epochs"],
            **ranking.means(rows[-1]),
        )  # fmt: skip
        if given.race is not None and seed == 0:
            race(made.facts, cpu_s, given)
    for name in ("ndcg@10", "hr@10"):
        values = np.mean([ranking.gains(each, 10)[name] for each in rows], axis=0)
        found = ranking.bootstrap(values)
        say(f"next_item_{name}_over_seeds", found.mean, "mean", low=found.low, high=found.high, seeds=given.seeds,
            file=given.leave_one_out.name,
            spread=float(np.std([ranking.means(each)[name] for each in rows])))  # fmt: skip


def race(facts: Any, cpu_s: float, given: argparse.Namespace) -> None:
    """Seconds until our validation NDCG@10 was the peer's best."""
    told = [json.loads(line) for line in given.race.read_text().splitlines() if line.startswith("{")]
    epochs = [each for each in told if "epoch" in each]
    best = max(epochs, key=lambda each: each["validation"]["ndcg@10"])
    wanted = best["validation"]["ndcg@10"]
    ours = next((each["seconds"] for each in facts["curve"] if each["validation"] >= wanted), None)
    say(
        "seconds_to_peers_validation_ndcg@10", ours, "s", peer_s=best["training_s"], peer_cpu_s=best.get("cpu_s"),
        ratio=None if ours is None else round(ours / best["training_s"], 4), peer_epochs=best["epoch"],
        validation=wanted, file=given.leave_one_out.name, our_cpu_s_of_all_epochs=round(cpu_s, 1),
    )  # fmt: skip


def in_time(given: argparse.Namespace) -> None:
    """What came after a moment, beside counts and factors fitted on the same events."""
    asked = evaluating.temporal(evaluating.read_events(given.temporal))
    found = {}
    for seed in range(given.seeds):
        made = train(
            asked.training, items=asked.item_ids, times=asked.times, held=asked.held, seed=seed, refit=True,
            settings=Dial(size=given.size),
        )  # fmt: skip
        found[f"ours seed {seed}"] = evaluating.ranks(made.recommender, asked)
        say("temporal_training_s", made.facts["training_s"], "s", seed=seed, blend=made.facts["blend"],
            epochs=made.facts["epochs"])  # fmt: skip
    if given.peers is not None:
        with tempfile.TemporaryDirectory() as folder:
            questions, answers = Path(folder) / "questions.npz", Path(folder) / "ranks.npz"
            write_down(asked, questions)
            told = subprocess.run(
                [given.peers, HERE / "shop_next_item_counts.py", questions, answers],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            print(told.stdout, end="")
            found |= dict(np.load(answers))
    ours = np.mean([_gains(found[name]) for name in found if name.startswith("ours")], axis=0)
    values = {"ours": ours, **{name: _gains(each) for name, each in found.items() if not name.startswith("ours")}}
    buckets = np.array([bucket_of(known) for known in asked.known])
    parts = [("all", np.ones(len(ours), dtype=bool)), *((name, buckets == at) for at, name in enumerate(BUCKETS))]
    for part, mine in parts:
        if not mine.any():
            continue
        for name, each in values.items():
            own = _by_person(each[mine], asked.people[mine])
            mean = ranking.bootstrap(own)
            ahead = ranking.bootstrap(_by_person((ours - each)[mine], asked.people[mine]))
            say("temporal_ndcg@10", mean.mean, "NDCG", model=name, events_known=part, low=mean.low, high=mean.high,
                ours_ahead=ahead.mean, ahead_low=ahead.low, ahead_high=ahead.high, people=len(own),
                questions=int(mine.sum()))  # fmt: skip


def write_down(asked: evaluating.Questions, path: Path) -> None:
    """The questions, and those before them that choose, for a program in another environment."""
    ends = [len(each) - back for each, back in zip(asked.training, asked.held, strict=True)]
    choosing = [(who, at) for who, end in enumerate(ends) for at in range(end, len(asked.training[who]))]
    held: dict[str, Any] = {"items": len(asked.item_ids)}
    for part, training, inputs, targets, people in (
        ("choosing", [each[:end] for each, end in zip(asked.training, ends, strict=True)],
         [asked.training[who][:at] for who, at in choosing], [asked.training[who][at] for who, at in choosing],
         [who for who, _ in choosing]),
        ("asking", asked.training, asked.inputs, asked.targets, asked.people),
    ):  # fmt: skip
        for name, lists in (("training", training), ("", inputs)):
            label = f"{part}_{name}" if name else part
            held[label if name else f"{part}_rows"] = np.concatenate(lists)
            held[f"{label}_starts"] = np.concatenate([[0], np.cumsum([len(each) for each in lists])])
        held[f"{part}_targets"], held[f"{part}_people"] = np.asarray(targets), np.asarray(people)
    np.savez(path, **held)


def latency(size: int) -> None:
    """One history to one state, in numpy, one thread: what a request waits for before the catalogue is scored."""
    generator = np.random.default_rng(0)
    walks = [generator.integers(0, 12_000, 40) for _ in range(200)]
    model = train(walks, items=12_000, settings=Dial(size=size), budget_s=1.0).model
    for events in (1, 10, 50, model.encoder.longest, 200):
        history = generator.integers(0, 12_000, events).astype(np.int32)
        taken = []
        for _ in range(300):
            began = time.perf_counter()
            model.encode(history)
            taken.append(time.perf_counter() - began)
        say("encode_ms", 1e3 * float(np.median(taken)), "ms", events=events, p99=1e3 * float(np.quantile(taken, 0.99)),
            width=model.vectors.shape[1], longest=model.encoder.longest)  # fmt: skip


def _gains(found: Any) -> Any:
    return ranking.gains(found, 10)["ndcg@10"]


def _by_person(values: Any, people: Any) -> Any:
    _, places = np.unique(people, return_inverse=True)
    return np.bincount(places, values) / np.bincount(places)


def say(metric: str, value: Any, unit: str, **more: Any) -> None:
    """One figure, one line."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=HERE
    ).stdout.strip()
    machine = {"machine": platform.processor() or platform.machine(), "commit": commit}
    print(json.dumps({"metric": metric, "value": value, "unit": unit, **more, **machine}), flush=True)


if __name__ == "__main__":
    main()
