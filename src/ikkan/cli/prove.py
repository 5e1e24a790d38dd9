"""Proving that the wheel makes something better, and learning from a labelled file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ikkan import bootstrap
from ikkan.cli.output import show
from ikkan.ground.clock import SystemClock
from ikkan.ground.errors import BadInput, NotFound, UnknownLearnable

if TYPE_CHECKING:
    from ikkan.bootstrap.platform import Platform
    from ikkan.flywheel import Learnable

prove_app = typer.Typer(no_args_is_help=True, help="Experiments that would convince a sceptic.")

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="A file: CSV text,category (intents), question,answer (reply_style) or user,item,value,time (next_item);"
        " records of meetings.",
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", min=1, help="With --data: how long to learn; default 120. More trains dearer rungs too."),
]
Test = Annotated[Path | None, typer.Option("--test", help="Another such file, scored once, at the end.")]


@prove_app.callback()
def prove() -> None:
    """Experiments that would convince a sceptic."""


@prove_app.command("flywheel")
def flywheel(
    learnable: Annotated[str, typer.Option("--learnable", help="assistant.intent, shop.next_item, …")],
    json_file: Annotated[Path, typer.Option("--json", help="Write the proof here; a killed run goes on from it.")],
    seeds: Annotated[int | None, typer.Option(min=1, help="Towns of people; default 5 or what it takes.")] = None,
    first_seed: Annotated[int, typer.Option(min=0, help="Other towns: seeds from this one on.")] = 0,
    report: Annotated[Path | None, typer.Option("--report", help="Write a page for people here (HTML).")] = None,
    data: Data = None,
    test: Test = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds that teach; default 5, fewer if slow.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small: does everything run?")] = False,
) -> None:
    """Prove, or fail to prove, that people's feedback makes it better. Status 0 only when the verdict is a pass."""
    from ikkan.flywheel.proof import Journal, Paced, Plan, Provable, Seeded, page_of, prove
    from ikkan.flywheel.proof.files import learn, reads_files

    if test is not None and data is None:
        raise BadInput("--test without --data: nothing to learn from", hint="--data FILE --test FILE")
    for path in (data, test):
        if path is not None and not path.is_file():
            raise NotFound(f"there is no file {path}", hint="a file of labelled examples", path=str(path))
    _writable(json_file, report)
    settings = bootstrap.settings()
    language = settings.terminal_language
    with bootstrap.opened(settings) as platform:
        found = named(platform, learnable)
        if not isinstance(found, Provable):
            raise BadInput(
                f"{learnable} has no world to be proved in", hint=f"these have one: {', '.join(_provable(platform))}"
            )
        if test is not None:
            reads_files(found)
        world = found.world(data, quick=quick)
        usual = world.rounds if isinstance(world, Paced) else 3 if quick else 5
        towns = 3 if quick else world.seeds if isinstance(world, Seeded) else 5
        made = Plan.of(
            world, seeds=seeds or towns, rounds=rounds or usual, first_seed=first_seed, data=data,
            test=test, quick=quick,
        )  # fmt: skip
        # Before anything but its hash is read of the data.
        typer.echo(f"protocol {made.digest()}")
        journal = Journal(json_file.with_name(json_file.name + ".journal"), made)
        if journal.resumed:
            typer.echo(f"going on after {journal.resumed} steps of an earlier run", err=True)
        with _bar() as tell:
            proof = prove(world, made, journal, tell)
            if data is not None and test is not None:
                learned = learn(found, data, test, note=lambda text: tell(1, 1, text))
                proof["test"] = dict(learned.test or {})
    proof["finished_at"] = SystemClock().now().isoformat(timespec="seconds")
    _write(json_file, json.dumps(proof, ensure_ascii=False, indent=1))
    if report is not None:
        _write(report, page_of(proof, language=language))
    journal.close()
    typer.echo(_told(proof))
    raise typer.Exit(0 if proof["verdict"] == "pass" else 1)


def learn_file(
    name: str, data: Path | None, test: Path | None, seed: int, *, seconds: float | None, as_json: bool
) -> None:
    """Learn from a labelled file and say what it is worth. Who serves stays who it was: people decide that."""
    from ikkan.flywheel import Budget
    from ikkan.flywheel.proof.files import BUDGET, learn

    if data is None:
        raise BadInput("--test or --seconds without --data: nothing to learn from", hint="--data FILE --test FILE")
    with bootstrap.opened(bootstrap.settings()) as platform:
        learned = learn(
            named(platform, name), data, test, seed=seed, budget=Budget(seconds=seconds) if seconds else BUDGET,
            note=lambda text: typer.echo(text, err=True),
        )  # fmt: skip
        fitted = learned.fitted
        kept = platform.artifacts.put(fitted.files, kind=fitted.kind, source=f"file {data.name}", facts=fitted.facts)
    told = {"learnable": name, "decision": "learned", "artifact": kept.id, "seed": seed, **learned.as_json()}
    figures = learned.test or learned.folds or {}
    where = f"the test file, {learned.tested:,} examples, scored once" if test else "parts of the file itself"
    show(
        told,
        as_json=as_json,
        text=lambda: "\n".join(
            [f"learned from {learned.examples:,} examples in {learned.train_s} s; on {where}:"]
            + [f"  {figure} {value:.4g}" for figure, value in figures.items()]
            + [f"  kept as {kept.id}; who serves was not changed"]
        ),
    )


def named(platform: Platform, name: str) -> Learnable:
    """The learnable of this name.

    Raises:
        UnknownLearnable: no app declares it.
    """
    known = {learnable.name: learnable for app in platform.apps for learnable in app.learns}
    if name not in known:
        raise UnknownLearnable(
            f"nothing called {name!r} can be learned here", hint=f"there is: {', '.join(sorted(known))}", name=name
        )
    return known[name]


def _provable(platform: Platform) -> list[str]:
    """Names of what has a world."""
    from ikkan.flywheel.proof import Provable

    return sorted(each.name for app in platform.apps for each in app.learns if isinstance(each, Provable))


@contextmanager
def _bar() -> Iterator[Callable[[int, int, str], None]]:
    """A bar with an estimate on stderr; a line now and then where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        said = ""

        def tell(done: int, total: int, message: str) -> None:
            nonlocal said
            bar.update(task, completed=done, total=total, description=message)
            head = message.partition(",")[0]
            if not console.is_terminal and head != said:
                said = head
                typer.echo(f"{done}/{total} {head}", err=True)

        yield tell


def _writable(*paths: Path | None) -> None:
    """Complain now rather than after half an hour."""
    for path in paths:
        if path is not None and (path.is_dir() or not path.parent.is_dir()):
            raise BadInput(f"cannot write {path}", hint="name a file in a folder that exists", path=str(path))


def _write(path: Path, text: str) -> None:
    """The whole file or none of it."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _told(proof: dict[str, Any]) -> str:
    def line(name: str, one: dict[str, Any]) -> str:
        return f"  {name}: {one['gain']:+.4f}, between {one['lower']:+.4f} and {one['upper']:+.4f}"

    missed = [name for name, fine in proof["checks"].items() if not fine]
    lines = [
        f"{proof['verdict']}: {proof['protocol']['learnable']}" + (f" (not so: {', '.join(missed)})" if missed else ""),
        line("flywheel over frozen", proof),
        line("placebo over frozen", proof["placebo"]),
        line("self-training over frozen", proof["self_training"]),
        f"  null challengers promoted: {proof['null_promoted']} of {proof['null_tried']:,}",
    ]
    if proof["test"]:
        lines.append("  test: " + ", ".join(f"{name} {value:.4g}" for name, value in proof["test"].items()))
    return "\n".join(lines)
