"""This machine and how ikkan is set up on it."""

from __future__ import annotations

from typing import Annotated

import typer

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show, table
from ikkan.ground.settings import explain

config_app = typer.Typer(no_args_is_help=True, help="Settings and why they have their values.")


def silicon(
    stored: Annotated[bool, typer.Option("--stored", help="Show the last measurement instead of measuring.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure this machine: cores, instructions, memory, read bandwidth, int8 peak (about 15 seconds)."""
    profile = bootstrap.device_profile(bootstrap.settings(), measure=not stored)
    show(profile, as_json=as_json, text=lambda: str(profile))


@config_app.command("explain")
def config_explain(as_json: AsJson = False) -> None:
    """Every setting with its value and the reason it has it."""
    lines = explain(bootstrap.settings())
    show(
        lines,
        as_json=as_json,
        text=lambda: table(["setting", "value", "why"], [[line.name, line.value, line.reason] for line in lines]),
    )
