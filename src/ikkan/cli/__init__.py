"""The `ikkan` command: every verb of the platform, for people and for scripts.

Each command reads settings, asks `bootstrap` for what it needs, and prints; every command that reports takes `--json`.
May not enter: decisions. What a command does is done by a room below; here it is only asked for and shown.
Begin at `main`; the verbs are in the files beside, by subject.
"""

from __future__ import annotations

import os
import sys

import typer

from ikkan import __version__
from ikkan.cli import backup, cloud, erasure, machine, meetings, models, prove, run, shop, tuning, wheel
from ikkan.cli.bench import bench_app
from ikkan.cli.output import complain
from ikkan.ground.errors import IkkanError

__all__ = ["main"]

app = typer.Typer(
    name="ikkan",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="ikkan 一気通貫: the AI loop a company owns.",
)

app.command("up")(run.up)
app.command("serve")(run.serve)
app.command("worker")(run.worker)
app.add_typer(run.engine_app, name="engine")
app.add_typer(models.model_app, name="model")
app.add_typer(cloud.key_app, name="key")
app.add_typer(cloud.upstream_app, name="upstream")
app.add_typer(cloud.alias_app, name="alias")
app.command("meter")(cloud.meter)
app.add_typer(wheel.flywheel_app, name="flywheel")
app.add_typer(tuning.tune_app, name="tune")
app.add_typer(shop.shop_app, name="shop")
erasure.join(wheel.flywheel_app)
app.add_typer(wheel.sample_app, name="sample")
app.add_typer(prove.prove_app, name="prove")
app.add_typer(meetings.meetings_app, name="meetings")
app.add_typer(bench_app, name="bench")
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("silicon")(machine.silicon)
app.add_typer(machine.config_app, name="config")


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line; an error we can name ends with its message, what to do now, and status 2."""
    try:
        app(standalone_mode=True)
    except IkkanError as error:
        complain(error, as_json="--json" in sys.argv)
        sys.exit(2)
    except BrokenPipeError:
        # The reader (head, less) left; a second complaint at interpreter exit helps nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
