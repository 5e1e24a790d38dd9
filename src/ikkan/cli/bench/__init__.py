"""Benchmarks: ikkan beside the programs a user would pick instead, in one run on this machine.

Lives here: model files with random weights, contenders in processes of their own, the race, its table and plot.
May not enter: judgements of speed in tests; a figure stands in `benchmarks/LOG.md` with its machine.
Begin at `session.py`; `cells.py` says what is measured, `contenders/` how each program is driven.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

bench_app = typer.Typer(no_args_is_help=True, help="Measure this installation beside others.")


@bench_app.callback()
def bench() -> None:
    """Measure this installation beside others."""


@bench_app.command("engine")
def engine(
    json_file: Annotated[Path | None, typer.Option("--json", help="Write one JSON object for each cell here.")] = None,
    cells: Annotated[
        list[str] | None, typer.Option(help="Only cells like this, e.g. '0.5b-q4_0.*'; repeatable.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A tiny model and two rounds: does everything run?")] = False,
    rounds: Annotated[int | None, typer.Option(help="Rounds of each work; default 7.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads for everyone; default: all we may use.")] = None,
    model: Annotated[list[Path] | None, typer.Option(help="Race this GGUF file instead; repeatable.")] = None,
    peers: Annotated[Path | None, typer.Option(help="The peers' environment; default .venv-peers.")] = None,
    only_ours: Annotated[bool, typer.Option("--only-ours", help="Without peers.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the table as a PNG here (needs matplotlib).")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Say what would be measured, and end.")] = False,
) -> None:
    """Race our engine beside llama.cpp and OpenVINO: one run, one table. The whole table takes hours; see --cells."""
    from ikkan import bootstrap
    from ikkan.cli.bench import cells as works
    from ikkan.cli.bench import contestants, report
    from ikkan.cli.bench.session import Session
    from ikkan.ground.errors import BadInput

    settings = bootstrap.settings()
    table = works.quick() if quick else works.everything()
    if model:
        table = [one for path in model for one in works.of_file(str(path), contestants.measured(path).context)]
    chosen = works.chosen(table, cells or [])
    if not chosen:
        raise BadInput(f"no cell is like {' or '.join(cells or [])}", hint="ikkan bench engine --list")
    if listed:
        typer.echo("\n".join(work.name for work in chosen))
        return
    if plot is not None:
        report.plot([], plot)  # complains now rather than after hours
    count = rounds or (2 if quick else 7)
    session = Session(
        settings=settings,
        threads=threads or settings.engine_threads,
        rounds=count,
        peers=contestants.peers_folder(peers),
        only_ours=only_ours,
        note=lambda text: print(text, file=sys.stderr, flush=True),
    )
    facts = report.facts(session.threads, count)
    objects = []
    for cell in session.run(chosen):
        objects.append(report.as_object(cell, facts))
        for path in [json_file] if json_file else []:
            report.write(objects, path)  # after every cell: a run that is cut short keeps what it has
        if not quick:
            report.merge(objects[-1:], settings.home / "bench" / "engine.json")
    typer.echo(report.as_table(objects))
    if plot is not None:
        report.plot(objects, plot)
