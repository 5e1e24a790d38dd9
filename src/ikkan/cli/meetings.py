"""Meetings: minutes of a transcript, on this machine and without a server."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from ikkan import bootstrap
from ikkan.cli.output import AsJson, show
from ikkan.ground.errors import BadInput

meetings_app = typer.Typer(no_args_is_help=True, help="Meetings: from a transcript to decisions and next actions.")


@meetings_app.callback()
def _group() -> None:
    """A group of one command stays a group."""


@meetings_app.command("minutes")
def minutes(
    file: Annotated[Path, typer.Argument(help="A transcript: txt (speaker: text), vtt, srt, docx or json.")],
    language: Annotated[str, typer.Option(help="ja, en or zh; nothing: heard from the words.")] = "",
    level: Annotated[int, typer.Option(help="0: no model. 1: a language model writes.", min=0, max=1)] = 0,
    held_on: Annotated[str, typer.Option(help="The day of the meeting, like 2026-11-01: what dates count from.")] = "",
    title: Annotated[str, typer.Option(help="What the meeting is called.")] = "",
    form: Annotated[str, typer.Option(help="standard, formal, board, stand-up, sales or interview.")] = "standard",
    as_json: AsJson = False,
) -> None:
    """Write the minutes of a transcript. Nothing is kept."""
    from ikkan.apps.meetings.service import drawn, transcript_of

    transcript = transcript_of(
        file,
        most_bytes=bootstrap.settings().transcript_bytes,
        language=language or None,
        held_on=_day(held_on),
        title=title,
    )
    found = drawn(transcript, level=level)
    show(found.as_json(form=form), as_json=as_json, text=lambda: found.as_markdown(form=form).rstrip())


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as exc:
        raise BadInput(f"{text!r} is no day", hint="like 2026-11-01", param="held-on") from exc
