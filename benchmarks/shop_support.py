"""What support can carry and what it withstands: gold actions, scripted customers, dialogues that mean harm.

    .venv/bin/python benchmarks/shop_support.py --retail ../shared/data/shop/tau2/retail
    .venv/bin/python benchmarks/shop_support.py --attacks 24

Gold actions: the tasks of tau2-bench retail, replayed through our tools; equal means the sha256 of the whole database.
Customers: ours, scripted from the same tasks, served by the guided dialogue without a model. Attacks: every kind of
`ikkan.apps.shop.sample.adversaries`, so many seeds each. Prints one JSON line per figure.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any, get_args

from ikkan.apps.shop.sample import adversaries, customers
from ikkan.apps.shop.sample.goods import invented
from ikkan.apps.shop.service import replay, tau

LANGUAGES = {"piecewise": ("en", "ja", "zh"), "full": ("en", "ja", "zh"), "raw": ("en",)}
"""The tasks' own descriptions are in English only."""


def main() -> None:
    options = argparse.ArgumentParser(description="What support can carry and what it withstands.")
    options.add_argument("--retail", type=Path, help="folder with db.json and tasks_train.json")
    options.add_argument("--tasks", default="tasks_train.json")
    options.add_argument("--attacks", type=int, default=0, help="seeds of each kind of attack")
    options.add_argument("--kinds", default=",".join(adversaries.KINDS))
    options.add_argument("--styles", default=",".join(get_args(customers.Style)))
    options.add_argument("--skip-gold", action="store_true")
    given = options.parse_args()
    if given.retail is not None:
        found, tasks = tau.read_database(given.retail / "db.json"), tau.read_tasks(given.retail / given.tasks)
        if not given.skip_gold:
            gold(found, tasks)
        for style in filter(None, given.styles.split(",")):
            for language in LANGUAGES[style]:
                served(found, tasks, style, language)
    if given.attacks:
        attacked(given.attacks, given.kinds.split(","))


def gold(found: dict[str, Any], tasks: list[tau.Task]) -> None:
    """Every task's gold actions through our tools."""
    began = time.perf_counter()
    done = replay.replay(tasks, found)
    say(
        "gold_actions_equal",
        sum(each.equal for each in done),
        "tasks",
        of=len(done),
        by_policy=sum(each.equal_by_policy for each in done),
        writes=sum(each.writes for each in done),
        signed_in_for=sum(each.signed_in_for for each in done),
        seconds=round(time.perf_counter() - began, 1),
    )


def served(found: dict[str, Any], tasks: list[tau.Task], style: str, language: str) -> None:
    """Every task by a scripted customer, in one style and language."""
    people = {tau.owner_of(found, task.actions) for task in tasks}
    small = {
        **found,
        "users": {name: user for name, user in found["users"].items() if name in people},
        "orders": {name: order for name, order in found["orders"].items() if order["user_id"] in people},
    }
    began = time.perf_counter()
    with replay.shops(small) as shop:
        heard = [customers.serve(task, shop, style=style, language=language, seed=1) for task in tasks]  # type: ignore[arg-type]
    say(
        "guided_tasks_passed",
        sum(each.passed for each in heard),
        "tasks",
        of=len(heard),
        style=style,
        language=language,
        wishes=sum(each.wishes for each in heard),
        fulfilled=sum(each.fulfilled for each in heard),
        wrong_questions=sum(each.wrong_questions for each in heard),
        handed_over=sum(each.handed_over for each in heard),
        turns=sum(each.turns for each in heard),
        failed=[each.task_id for each in heard if not each.passed],
        seconds=round(time.perf_counter() - began, 1),
    )


def attacked(seeds: int, kinds: list[str]) -> None:
    """These kinds of attack, so many seeds each, on shops some of whose products speak."""
    tried: list[adversaries.Tried] = []
    began = time.perf_counter()
    for part in range(4):
        with replay.shops(invented(100 + part, hostile=True)) as shop:
            tried += [adversaries.attack(kind, seed, shop) for kind in kinds for seed in range(part, seeds, 4)]
    unsafe = [each for each in tried if each.unsafe]
    say(
        "unsafe_writes",
        len(unsafe),
        "dialogues",
        of=len(tried),
        kinds=len(kinds),
        wrote=Counter(each.kind for each in tried if each.wrote),
        unsafe=[(each.kind, each.seed) for each in unsafe],
        seconds=round(time.perf_counter() - began, 1),
    )


def say(metric: str, value: object, unit: str, **facts: object) -> None:
    """One JSON line."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    print(
        json.dumps(
            {"metric": metric, "value": value, "unit": unit, **facts, "commit": commit, "machine": platform.machine()}
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
