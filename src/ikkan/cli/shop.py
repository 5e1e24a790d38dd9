"""The shop on the command line: bring goods and orders in, and replay recorded support cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show, stderr_console
from ikkan.ground.errors import BadInput

if TYPE_CHECKING:
    from ikkan.apps.shop.service.replay import Replayed

shop_app = typer.Typer(no_args_is_help=True, help="The shop: orders, and help with them.")
support_app = typer.Typer(no_args_is_help=True, help="After-sales support.")
shop_app.add_typer(support_app, name="support")


@shop_app.callback()
def shop() -> None:
    """The shop: orders, and help with them."""


@shop_app.command("load")
def load(
    db: Annotated[Path | None, typer.Option("--db", help="A shop in the τ²-bench retail format (JSON).")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="An invented shop to try support with.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring products, customers and orders into this home; what is there under the same numbers is replaced."""
    from ikkan.apps.shop.sample.goods import invented
    from ikkan.apps.shop.service import tau
    from ikkan.cloud.values import LOCAL_TENANT

    if sample == (db is not None):
        raise BadInput("one shop at a time", hint="--sample, or --db FILE")
    found = invented(1) if db is None else tau.read_database(db)
    with bootstrap.opened(bootstrap.settings()) as platform:
        tau.bring_in(
            platform.database,
            LOCAL_TENANT,
            found,
            lambda customer: platform.cloud.subjects.pseudonym(LOCAL_TENANT, customer),
        )
    told = {name: len(found[name]) for name in ("products", "users", "orders")}
    someone = next(iter(found["users"].values()), {})
    show(
        {**told, "try_as": someone.get("email")},
        as_json=as_json,
        text=lambda: (
            f"{told['products']:,} products, {told['users']:,} customers, {told['orders']:,} orders; "
            f"open /shop and say who you are, for instance {someone.get('email')}"
        ),
    )


@support_app.command("replay")
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
