"""A simulated population, by policy of suggesting."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from ikkan.cli.output import AsJson, show, stderr_console
from ikkan.ground.errors import BadFile, BadInput, NotFound

if TYPE_CHECKING:
    from ikkan.apps.shop.service.simulating import Figure, Simulated

Interactions = Annotated[
    Path | None, typer.Option("--interactions", help="People who really were: a line each, user item item … by time.")
]
Policy = Annotated[list[str] | None, typer.Option("--policy", help="Only these; the first is what others are beside.")]


def simulate(
    people: Annotated[int, typer.Option(min=2, max=100_000, help="How many of them.")] = 100,
    steps: Annotated[int, typer.Option(min=2, max=10_000, help="How often each looks at a list.")] = 20,
    wares: Annotated[int, typer.Option(min=20, max=100_000, help="On the made shelf.")] = 360,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same people in the same moods.")] = 0,
    interactions: Interactions = None,
    policy: Policy = None,
    as_json: AsJson = False,
) -> None:
    """Let people who are made (or recorded) live with each policy: clicks, revenue, coverage and novelty.

    Tastes drift, moods come and go, deliveries are late and things are sent back. The service is the one that serves,
    in this process, on a database of its own; this home is not touched.
    """
    from ikkan.apps.shop.rules.population import Population, wares_of
    from ikkan.apps.shop.service import simulating

    policies = tuple(policy or simulating.POLICIES)
    if strange := [each for each in policies if each not in simulating.POLICIES]:
        raise BadInput(f"there is no policy {strange[0]!r}", hint=f"one of {', '.join(simulating.POLICIES)}")
    crowd: simulating.Crowd
    if interactions is None:
        shelf, kinds = wares_of(seed, wares)
        crowd = Population.made(seed, people, kinds)
    else:
        items, histories = _read(interactions, people, steps)
        shelf = [simulating.plain_ware(item) for item in items]
        crowd = simulating.Recorded(histories, seed)
    console = stderr_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("simulating", total=None)
        found = simulating.simulate(
            shelf, crowd, steps=steps, seed=seed, policies=policies,
            tell=lambda done, total, what: bar.update(task, completed=done, total=total, description=what),
        )  # fmt: skip
    told = {"seed": seed, "people": crowd.people, "steps": steps, "wares": len(shelf)}
    show({**told, "policies": [asdict(each) for each in found]}, as_json=as_json, text=lambda: _table(found))


def _read(path: Path, people: int, steps: int) -> tuple[list[str], list[list[int]]]:
    """Items of the first people with enough of them, and their histories as places in these."""
    if not path.is_file():
        raise NotFound(f"there is no file {path}", hint="a line per user: user item item …", path=str(path))
    place: dict[str, int] = {}
    histories: list[list[int]] = []
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                items = line.split()[1:]
                if len(items) >= 2 and len(histories) < people:
                    histories.append([place.setdefault(item, len(place)) for item in items[:steps]])
    except UnicodeDecodeError as error:
        raise BadFile(f"{path.name} is not UTF-8", hint="a line per user: user item item …") from error
    if len(histories) < 2:
        raise BadFile(f"{path.name} has no two people with two things each", hint="a line per user: user item item …")
    return list(place), histories


def _table(found: list[Simulated]) -> str:
    def line(each: Figure, digits: int = 3) -> str:
        return f"{each.value:.{digits}f} [{each.low:.{digits}f}, {each.high:.{digits}f}]"

    names = ("policy", "click rate", "revenue a list", "coverage", "novelty (bits)", "clicks over first")
    rows = [f"{names[0]:<18} {names[1]:<22} {names[2]:<22} {names[3]:<9} {names[4]:<22} {names[5]}"]
    rows += [
        f"{each.policy:<18} {line(each.click_rate):<22} {line(each.revenue, 2):<22} {each.coverage:<9.3f}"
        f" {line(each.novelty, 2):<22} {line(each.over_first)}"
        for each in found
    ]
    ends = [f"{each.policy}: {each.bought} bought, {each.late} late, {each.returned} sent back" for each in found]
    return "\n".join([*rows, *ends])
