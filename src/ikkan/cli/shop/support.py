"""Recorded support cases, replayed through our tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from ikkan.cli.output import AsJson, show, stderr_console

if TYPE_CHECKING:
    from ikkan.apps.shop.service.replay import Replayed


def replay(
    tasks: Annotated[Path, typer.Option("--tasks", help="Tasks with gold actions, in the τ²-bench format.")],
    db: Annotated[Path, typer.Option("--db", help="The shop they belong to, in the τ²-bench retail format.")],
    as_json: AsJson = False,
) -> None:
    """Do the gold actions through our tools, confirmations included, and compare the database with the published one.

    Exit status 0 when every task ends with the same database.
    """
    from ikkan.apps.shop.service import replay as replaying
    from ikkan.apps.shop.service import tau

    found, wanted = tau.read_database(db), tau.read_tasks(tasks)
    console = stderr_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("replaying", total=len(wanted))
        done = replaying.replay(wanted, found, tell=lambda at, total: bar.update(task, completed=at))
    equal = sum(each.equal for each in done)
    told = {
        "tasks": len(done),
        "equal": equal,
        "equal_by_policy": sum(each.equal_by_policy for each in done),
        "writes": sum(each.writes for each in done),
        "rows": done,
    }
    show(told, as_json=as_json, text=lambda: _told(done))
    raise typer.Exit(0 if equal == len(done) else 1)


def _told(done: list[Replayed]) -> str:
    lines = [f"{sum(each.equal for each in done)} of {len(done)} tasks end with the same database"]
    lines += [f"  task {each.task_id}: not the same; refused: {', '.join(each.refused) or '-'}"
              for each in done if not each.equal]  # fmt: skip
    return "\n".join(lines)
