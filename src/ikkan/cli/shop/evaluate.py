"""Suggestions measured on recorded interactions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import Progress

from ikkan.cli.output import AsJson, plain, show, stderr_console, table

if TYPE_CHECKING:
    from ikkan.apps.shop.service.evaluating import Evaluated


def evaluate(
    interactions: Annotated[Path, typer.Option("--interactions", help="Interactions in a text file.")],
    protocol: Annotated[
        Literal["leave-one-out", "temporal"],
        typer.Option("--protocol", help="Lines `user item item …`, or `user,item,value,timestamp`."),
    ] = "leave-one-out",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many trainings.")] = 1,
    size: Annotated[int, typer.Option("--size", min=1, max=8, help="The dial: 1 small, 2 daily work, 3 and up.")] = 2,
    budget_s: Annotated[float | None, typer.Option("--budget-s", help="Seconds for one training.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train the next-item model on recorded interactions and rank everything not yet seen: NDCG and hit rate.

    Leave-one-out: the last item of each person is asked, the one before it chooses, the rest is trained on.
    Temporal: the last tenth of all events is asked, the tenth before it chooses.
    """
    from ikkan.apps.shop.learn.next_item.dial import Dial
    from ikkan.apps.shop.learn.next_item.training import train
    from ikkan.apps.shop.service import evaluating

    read = evaluating.read_sequences if protocol == "leave-one-out" else evaluating.read_events
    found = read(interactions)
    console = stderr_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=1.0)
        done = evaluating.evaluate(
            found,
            protocol,
            train,
            seeds=range(seeds),
            tell=lambda share, line: bar.update(task, completed=share, description=line),
            settings=Dial(size=size),
            budget_s=budget_s,
        )
    means = {name: each.mean for name, each in done.intervals.items()}
    show({**means, **plain(done)}, as_json=as_json, text=lambda: _measured(done))


def _measured(done: Evaluated) -> str:
    lines = [
        f"{done.people:,} people, {done.questions:,} questions, {done.items:,} items, all ranked; "
        f"{len(done.seeds)} trainings of {done.training_s:.0f} s"
    ]
    lines += [f"  {name:<8} {each.mean:.4f}  ({each.low:.4f} to {each.high:.4f})"
              for name, each in done.intervals.items()]  # fmt: skip
    lines += [f"  ndcg@10 of {name.replace('_', ' ')} alone: {value:.4f}" for name, value in done.baselines.items()]
    rows = [(each.events, each.questions, each.people, f"{each.ndcg_at_10.mean:.4f}",
             f"{each.ndcg_at_10.low:.4f} to {each.ndcg_at_10.high:.4f}") for each in done.buckets]  # fmt: skip
    return "\n".join([*lines, table(["events known", "questions", "people", "ndcg@10", "95 %"], rows)])
